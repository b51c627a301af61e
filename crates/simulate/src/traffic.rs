//! Traffic as the simulation plays it: the root requests of every operation in every row of time.
//!
//! Nothing here reads a file or a clock. Begin with [`Traffic`], then [`Schedule`], which maps the
//! rows to the intervals of a run.

use std::collections::HashMap;
use std::ops::Range;

use rand::SeedableRng;
use rand::rngs::SmallRng;
use rand_distr::{Binomial, Distribution};
use weir_allocation::{OperationName, ServiceName};

/// The requests of all operations of a fleet, row of time by row of time.
#[derive(Debug, Clone, PartialEq)]
pub struct Traffic {
    labels: Vec<String>,
    services: Vec<ServiceTraffic>,
    operations: Vec<OperationTraffic>,
}

/// A service and the range of its operations.
#[derive(Debug, Clone, PartialEq)]
pub struct ServiceTraffic {
    /// Its name.
    pub name: ServiceName,
    /// The indexes of its operations in [`Traffic::operations`].
    pub operations: Range<usize>,
}

/// One operation and its root requests.
#[derive(Debug, Clone, PartialEq)]
pub struct OperationTraffic {
    /// The index of its service in [`Traffic::services`].
    pub service: usize,
    /// Its name.
    pub name: OperationName,
    /// Root requests before sampling, one number per row of time.
    pub counts: Vec<u32>,
}

/// An operation before it is added to a [`Traffic`].
pub type OperationRow = (ServiceName, OperationName, Vec<u32>);

/// An operation's name and its root requests, row by row of time.
type NamedCounts = (OperationName, Vec<u32>);

/// Two of the given rows have the same operation of the same service.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RepeatedOperation {
    /// The index of the first one.
    pub first: usize,
    /// The index of the second one.
    pub second: usize,
}

impl Traffic {
    /// Sorts the operations by service; services are in the order of their first occurrence.
    ///
    /// Every row of counts must be as long as `labels`; a shorter one is filled with zeros.
    ///
    /// # Errors
    /// If an operation occurs twice.
    pub fn new(labels: Vec<String>, rows: Vec<OperationRow>) -> Result<Self, RepeatedOperation> {
        refuse_repeats(&rows)?;
        let mut places: HashMap<ServiceName, usize> = HashMap::new();
        let mut grouped: Vec<(ServiceName, Vec<NamedCounts>)> = Vec::new();
        for (service, operation, mut counts) in rows {
            counts.resize(labels.len(), 0);
            let place = *places.entry(service.clone()).or_insert_with(|| {
                grouped.push((service, Vec::new()));
                grouped.len() - 1
            });
            grouped[place].1.push((operation, counts));
        }
        let mut traffic = Self {
            labels,
            services: Vec::with_capacity(grouped.len()),
            operations: Vec::new(),
        };
        for (place, (name, rows)) in grouped.into_iter().enumerate() {
            let first = traffic.operations.len();
            traffic
                .operations
                .extend(rows.into_iter().map(|(name, counts)| OperationTraffic {
                    service: place,
                    name,
                    counts,
                }));
            traffic.services.push(ServiceTraffic {
                name,
                operations: first..traffic.operations.len(),
            });
        }
        Ok(traffic)
    }

    /// The names of the rows of time, as recorded.
    #[must_use]
    pub fn labels(&self) -> &[String] {
        &self.labels
    }

    /// The services, each with the range of its operations.
    #[must_use]
    pub fn services(&self) -> &[ServiceTraffic] {
        &self.services
    }

    /// The operations, service by service.
    #[must_use]
    pub fn operations(&self) -> &[OperationTraffic] {
        &self.operations
    }

    /// How many rows of time there are.
    #[must_use]
    pub fn rows(&self) -> usize {
        self.labels.len()
    }

    /// The index of the row of time with this label.
    #[must_use]
    pub fn row_of(&self, label: &str) -> Option<usize> {
        self.labels.iter().position(|known| known == label)
    }

    /// Root requests of one service in an average row.
    #[must_use]
    pub fn mean_per_row(&self, service: usize) -> f64 {
        let Some(service) = self.services.get(service) else {
            return 0.0;
        };
        let total: u64 = self.operations[service.operations.clone()]
            .iter()
            .flat_map(|operation| operation.counts.iter().map(|&count| u64::from(count)))
            .sum();
        total as f64 / self.rows().max(1) as f64
    }
}

fn refuse_repeats(rows: &[OperationRow]) -> Result<(), RepeatedOperation> {
    let mut seen = HashMap::with_capacity(rows.len());
    for (second, (service, operation, _)) in rows.iter().enumerate() {
        if let Some(first) = seen.insert((service, operation), second) {
            return Err(RepeatedOperation { first, second });
        }
    }
    Ok(())
}

/// The mapping of rows of time to the intervals of a run.
///
/// Interval `i` plays the rows from `start + i·pace` up to `start + (i+1)·pace`. Where intervals begin
/// within a row, each of its requests falls into one of the parts by chance, in proportion to their
/// lengths. The parts add up to the recorded count, and come out the same in every run.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Schedule {
    start: usize,
    pace: f64,
    intervals: usize,
}

impl Schedule {
    /// Maps `rows` rows from `start` on to intervals of `pace` rows each: all that fit, or `wanted`
    /// of them if that is fewer.
    #[must_use]
    pub fn new(rows: usize, start: usize, pace: f64, wanted: Option<usize>) -> Self {
        let left = rows.saturating_sub(start) as f64;
        // The tolerance prevents that 1/3 + 1/3 + 1/3 loses the third interval to rounding.
        let fitting = (left / pace + 1e-9).floor() as usize;
        Self {
            start,
            pace,
            intervals: wanted.map_or(fitting, |wanted| wanted.min(fitting)),
        }
    }

    /// How many intervals the run has.
    #[must_use]
    pub fn intervals(&self) -> usize {
        self.intervals
    }

    /// The row where an interval begins, and the part of that row, in [0, 1).
    fn position(&self, interval: usize) -> (usize, f64) {
        // Rounded, so that six steps of a third end at 2 and not just before it.
        let at = ((self.start as f64 + interval as f64 * self.pace) * 1e9).round() / 1e9;
        (at.floor() as usize, at.fract())
    }

    /// The label of the row where an interval begins.
    #[must_use]
    pub fn label<'a>(&self, traffic: &'a Traffic, interval: usize) -> &'a str {
        traffic
            .labels
            .get(self.position(interval).0)
            .map_or("", String::as_str)
    }

    /// Root requests of every operation in one interval.
    #[must_use]
    pub fn counts(&self, traffic: &Traffic, interval: usize) -> Vec<u64> {
        let (first, _) = self.position(interval);
        let (last, _) = self.position(interval + 1);
        let (skipped, taken) = (self.cut(interval), self.cut(interval + 1));
        let part = |counts: &[u32], place: usize, cut: &Cut| {
            let count = counts.get(cut.row).copied().unwrap_or(0);
            cut.requests_before(self, place, u64::from(count))
        };
        traffic
            .operations
            .iter()
            .enumerate()
            .map(|(place, operation)| {
                let counts = operation.counts.as_slice();
                let whole: u64 = counts
                    .iter()
                    .take(last)
                    .skip(first)
                    .map(|&count| u64::from(count))
                    .sum();
                // The skipped part lies in a whole row or, within one row, in the taken part.
                whole + part(counts, place, &taken) - part(counts, place, &skipped)
            })
            .collect()
    }

    /// The position in its row at which an interval begins.
    fn cut(&self, interval: usize) -> Cut {
        let (row, _) = self.position(interval);
        let within = |other: &usize| self.position(*other).0 == row;
        let inside = |other: &usize| within(other) && self.position(*other).1 > 0.0;
        let before = (0..interval).rev().take_while(inside).count();
        let after = (interval..).take_while(within).count();
        Cut {
            row,
            interval,
            first: interval - before,
            end: interval + after,
        }
    }
}

/// The position at which an interval begins within a row, in which others may begin too.
#[derive(Debug)]
struct Cut {
    row: usize,
    interval: usize,
    /// The first interval that begins within the row, and the one after the last.
    first: usize,
    end: usize,
}

impl Cut {
    /// How many of a row's requests come before the cut.
    ///
    /// The row is halved at the middle one of its cuts until the cut is found. So what lies between two
    /// cuts is the same whichever of the two is asked for.
    fn requests_before(&self, schedule: &Schedule, place: usize, count: u64) -> u64 {
        let at = |interval: usize| schedule.position(interval).1;
        if at(self.interval) <= 0.0 {
            return 0;
        }
        let (mut first, mut end) = (self.first, self.end);
        let (mut from, mut to) = (0.0, 1.0);
        let (mut before, mut left) = (0, count);
        while left > 0 {
            let middle = usize::midpoint(first, end);
            let cut = at(middle);
            let part = drawn(left, (cut - from) / (to - from), [place, self.row, middle]);
            if self.interval < middle {
                (end, to, left) = (middle, cut, part);
                continue;
            }
            before += part;
            if self.interval == middle {
                break;
            }
            (first, from, left) = (middle + 1, cut, left - part);
        }
        before
    }
}

/// How many of `count` requests fall into a part, drawn the same way every time for these numbers.
fn drawn(count: u64, part: f64, numbers: [usize; 3]) -> u64 {
    const ODD: [u64; 3] = [
        0x9e37_79b9_7f4a_7c15,
        0xbf58_476d_1ce4_e5b9,
        0x94d0_49bb_1331_11eb,
    ];
    let mixed = numbers.iter().zip(ODD).fold(0_u64, |mixed, (number, odd)| {
        (mixed ^ *number as u64).wrapping_mul(odd).rotate_left(29)
    });
    let binomial = Binomial::new(count, part.clamp(0.0, 1.0)).expect("a part is a probability");
    binomial.sample(&mut SmallRng::seed_from_u64(mixed))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn row(service: &str, operation: &str, counts: &[u32]) -> OperationRow {
        (
            ServiceName::parse(service).unwrap(),
            OperationName::parse(operation).unwrap(),
            counts.to_vec(),
        )
    }

    fn labels(rows: usize) -> Vec<String> {
        (0..rows).map(|row| row.to_string()).collect()
    }

    #[test]
    fn operations_stand_side_by_side_under_their_service() {
        let traffic = Traffic::new(
            labels(2),
            vec![
                row("cart", "get", &[1, 2]),
                row("pay", "post", &[3, 4]),
                row("cart", "put", &[5, 6]),
            ],
        )
        .unwrap();
        let cart = &traffic.services()[0];
        let names: Vec<&str> = traffic.operations()[cart.operations.clone()]
            .iter()
            .map(|operation| operation.name.as_str())
            .collect();
        assert_eq!(names, ["get", "put"]);
        assert_eq!(traffic.operations()[2].service, 1);
        assert!((traffic.mean_per_row(0) - 7.0).abs() < 1e-12);
    }

    #[test]
    fn an_operation_that_is_there_twice_is_refused_with_both_places() {
        let rows = vec![
            row("a", "x", &[1]),
            row("b", "x", &[1]),
            row("a", "x", &[2]),
        ];
        assert_eq!(
            Traffic::new(labels(1), rows),
            Err(RepeatedOperation {
                first: 0,
                second: 2
            })
        );
    }

    #[test]
    fn a_row_per_interval_plays_the_record_as_it_is() {
        let traffic = Traffic::new(labels(3), vec![row("a", "x", &[7, 8, 9])]).unwrap();
        let schedule = Schedule::new(traffic.rows(), 1, 1.0, None);
        assert_eq!(schedule.intervals(), 2);
        assert_eq!(schedule.counts(&traffic, 0), [8]);
        assert_eq!(schedule.counts(&traffic, 1), [9]);
        assert_eq!(schedule.label(&traffic, 1), "2");
    }

    #[test]
    fn any_pace_plays_every_recorded_request_once() {
        let counts = [7, 0, 9, 1, 1000, 3];
        let traffic = Traffic::new(labels(6), vec![row("a", "x", &counts)]).unwrap();
        for pace in [0.1, 0.25, 1.0 / 3.0, 0.5, 0.75, 1.0, 1.5, 2.0, 6.0] {
            let schedule = Schedule::new(traffic.rows(), 0, pace, None);
            let played: u64 = (0..schedule.intervals())
                .map(|interval| schedule.counts(&traffic, interval)[0])
                .sum();
            assert_eq!(played, 1020, "at {pace} rows per interval");
        }
    }

    #[test]
    fn the_few_requests_of_small_operations_do_not_all_come_at_once() {
        let rows = (0..1000).map(|place| row("a", &place.to_string(), &[1, 2]));
        let traffic = Traffic::new(labels(2), rows.collect()).unwrap();
        let schedule = Schedule::new(traffic.rows(), 0, 0.2, None);
        for interval in 0..10 {
            let played: u64 = schedule.counts(&traffic, interval).iter().sum();
            let expected = if interval < 5 { 200 } else { 400 };
            assert!(played.abs_diff(expected) < 80, "{played} in {interval}");
        }
    }

    #[test]
    fn a_long_row_scatters_as_requests_by_chance_do() {
        const ROWS: usize = 400;
        let traffic = Traffic::new(labels(ROWS), vec![row("a", "x", &[1000; ROWS])]).unwrap();
        for cuts in [2, 5, 20] {
            let part = 1.0 / f64::from(cuts);
            let schedule = Schedule::new(ROWS, 0, part, None);
            let played: Vec<f64> = (0..schedule.intervals())
                .map(|interval| schedule.counts(&traffic, interval)[0] as f64)
                .collect();
            let mean = played.iter().sum::<f64>() / played.len() as f64;
            assert!((mean - 1000.0 * part).abs() < 1e-9, "{mean}");
            let squares = played.iter().map(|count| (count - mean).powi(2));
            let variance = squares.sum::<f64>() / played.len() as f64;
            let expected = 1000.0 * part * (1.0 - part);
            assert!(
                (variance / expected - 1.0).abs() < 0.2,
                "{variance} at {cuts}"
            );
            let pairs = played
                .windows(2)
                .map(|pair| (pair[0] - mean) * (pair[1] - mean));
            let joint = pairs.sum::<f64>() / (played.len() - 1) as f64 / variance;
            assert!(
                joint.abs() < if cuts == 2 { 0.6 } else { 0.35 },
                "{joint} at {cuts}"
            );
        }
    }

    #[test]
    fn no_more_intervals_than_wanted_or_recorded() {
        assert_eq!(Schedule::new(10, 0, 1.0, Some(4)).intervals(), 4);
        assert_eq!(Schedule::new(10, 8, 1.0, Some(4)).intervals(), 2);
        assert_eq!(Schedule::new(10, 12, 1.0, None).intervals(), 0);
    }
}
