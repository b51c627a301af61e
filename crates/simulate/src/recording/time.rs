//! The times of a file's rows, and the even rows that they are mapped to.

mod read;

use std::collections::HashMap;

use super::fault::RecordingFault;
use super::stamp::written;
use super::{Gaps, MOST_ROWS, ReadOptions};

/// The length of a row if nothing says it, in milliseconds: a minute.
const DEFAULT_ROW: i64 = 60_000;
/// The smallest step between rows is the length of a row if it divides this part of all steps.
const REGULAR: f64 = 0.95;
const DAY: i64 = 86_400_000;

/// What the times of a file mean, beside what they say.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Unit {
    /// What a bare number counts, in seconds.
    pub number: Option<f64>,
    /// The least a row lasts, in seconds: a column named `minute` has no shorter rows.
    pub row: Option<f64>,
}

/// The times of a file's rows.
#[derive(Debug)]
pub(super) struct Times {
    /// As they are in the file.
    pub labels: Vec<String>,
    pub unit: Unit,
    /// They follow each other in the file, so a clock that goes back has passed midnight.
    pub in_order: bool,
    /// They may be mere names, like `t0`.
    pub may_be_names: bool,
}

/// Even rows of time, and the place of each row of the file among them.
#[derive(Debug)]
pub(super) struct Axis {
    /// The names of the even rows.
    pub labels: Vec<String>,
    /// The place of every row of the file among the even ones.
    pub places: Vec<usize>,
    pub row_seconds: f64,
    /// The number of missing rows, and of the gaps that they form.
    pub missing: u64,
    pub gaps: usize,
    /// Rows with the same time as another one.
    pub doubled: usize,
    /// What the file does not say and was assumed, in sentences.
    pub assumed: Vec<String>,
}

impl Axis {
    /// Maps the file's rows to even ones.
    ///
    /// # Errors
    /// The index of a row whose time cannot be read.
    pub fn of(
        times: Times,
        gaps: Gaps,
        reading: &ReadOptions,
    ) -> Result<Self, (usize, RecordingFault)> {
        let asked = reading
            .row_seconds
            .map(|seconds| (1000.0 * seconds).round() as i64);
        let mut assumed = Vec::new();
        let Some(read) = times.read(asked, &mut assumed)? else {
            return Ok(Self::untimed(times.labels, asked.unwrap_or(DEFAULT_ROW)));
        };
        let (labels, times, unit) = (times.labels, read, times.unit);
        let mut sorted: Vec<i64> = times.clone();
        sorted.sort_unstable();
        let named = unit.row.map(|seconds| (1000.0 * seconds) as i64);
        let row = asked
            .unwrap_or_else(|| length(&sorted, named, &mut assumed))
            .max(1);
        let first = sorted.first().copied().unwrap_or(0);
        // Half a row of tolerance, so that rows a moment late or early keep their place.
        let even = |time: i64| ((time - first) + row / 2) / row;
        let mut steps: Vec<i64> = sorted.iter().map(|&time| even(time)).collect();
        steps.dedup();
        let last = steps.last().copied().unwrap_or(0);
        let missing = (last + 1) as u64 - steps.len() as u64;
        let apart = |pair: &&[i64]| pair[1] > pair[0] + 1;
        let stretches = steps.windows(2).filter(apart).count();
        let doubled = times.len() - steps.len();
        if gaps == Gaps::Zero {
            if last as u64 >= MOST_ROWS as u64 {
                let latest = times.iter().enumerate().max_by_key(|(_, time)| **time);
                let what = "rows from the first time to the last";
                return Err((
                    latest.map_or(0, |(place, _)| place),
                    RecordingFault::too_many(what, MOST_ROWS),
                ));
            }
            steps = (0..=last).collect();
        }
        let place: HashMap<i64, usize> = steps.iter().copied().zip(0..).collect();
        let places: Vec<usize> = times.iter().map(|&time| place[&even(time)]).collect();
        Ok(Self {
            labels: names(labels, &places, &steps, |step| written(first + step * row)),
            places,
            row_seconds: row as f64 / 1000.0,
            missing,
            gaps: stretches,
            doubled,
            assumed,
        })
    }

    /// Rows without times follow each other in the order of the file.
    fn untimed(labels: Vec<String>, row: i64) -> Self {
        let row_seconds = row as f64 / 1000.0;
        Self {
            assumed: vec![format!(
                "the names of the rows are not times: each row is assumed to last {row_seconds} s (--row-seconds)"
            )],
            places: (0..labels.len()).collect(),
            labels,
            row_seconds,
            missing: 0,
            gaps: 0,
            doubled: 0,
        }
    }

    /// Maps the counts of the file's rows to the even ones.
    pub fn lay(&self, counts: Vec<u32>) -> Vec<u32> {
        let even = self
            .places
            .iter()
            .enumerate()
            .all(|(row, &place)| row == place);
        if even && counts.len() == self.labels.len() {
            return counts;
        }
        let mut laid = vec![0_u32; self.labels.len()];
        for (&place, count) in self.places.iter().zip(counts) {
            laid[place] = laid[place].saturating_add(count);
        }
        laid
    }
}

/// The names of the even rows: those of the file's rows on them, else `made` of the step.
fn names(
    labels: Vec<String>,
    places: &[usize],
    steps: &[i64],
    made: impl Fn(i64) -> String,
) -> Vec<String> {
    let mut names: Vec<Option<String>> = vec![None; steps.len()];
    for (label, &place) in labels.into_iter().zip(places) {
        names[place].get_or_insert(label);
    }
    let named = |(name, &step): (Option<String>, &i64)| name.unwrap_or_else(|| made(step));
    names.into_iter().zip(steps).map(named).collect()
}

/// How long a row lasts.
///
/// If the file names the unit of its times, the length is the greatest common divisor of all steps,
/// but at least the unit. Otherwise it is the smallest step, if nearly all others are multiples of
/// it. Otherwise the times are not exact, and it is the median step.
fn length(sorted: &[i64], named: Option<i64>, assumed: &mut Vec<String>) -> i64 {
    let mut steps: Vec<i64> = sorted
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|step| *step > 0)
        .collect();
    steps.sort_unstable();
    let Some(&smallest) = steps.first() else {
        if named.is_none() && assumed.is_empty() {
            assumed.push(format!(
                "there is one row of time only: it is assumed to last {} s (--row-seconds)",
                DEFAULT_ROW / 1000
            ));
        }
        return named.unwrap_or(DEFAULT_ROW);
    };
    if let Some(unit) = named {
        return steps.iter().copied().fold(0, divisor).max(unit);
    }
    let multiples = steps.iter().filter(|step| **step % smallest == 0).count();
    if multiples as f64 >= REGULAR * steps.len() as f64 {
        return smallest;
    }
    let median = steps[steps.len() / 2];
    assumed.push(format!(
        "the times are not even: a row is assumed to last {} s, their median distance (--row-seconds)",
        median as f64 / 1000.0
    ));
    median
}

/// The greatest common divisor.
fn divisor(one: i64, other: i64) -> i64 {
    if other == 0 {
        one
    } else {
        divisor(other, one % other)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn axis(labels: &[&str], gaps: Gaps) -> Axis {
        let reading = ReadOptions::default();
        Axis::of(times(labels), gaps, &reading).unwrap()
    }

    fn times(labels: &[&str]) -> Times {
        Times {
            labels: labels.iter().map(|label| (*label).to_owned()).collect(),
            unit: Unit::default(),
            in_order: true,
            may_be_names: true,
        }
    }

    #[test]
    fn gaps_are_closed_or_filled() {
        let labels = ["09:00", "09:05", "09:20", "09:25"];
        let closed = axis(&labels, Gaps::Close);
        assert_eq!(closed.places, [0, 1, 2, 3]);
        assert_eq!((closed.missing, closed.gaps), (2, 1));
        assert_eq!(closed.row_seconds, 300.0);
        let filled = axis(&labels, Gaps::Zero);
        assert_eq!(filled.places, [0, 1, 4, 5]);
        assert_eq!(filled.labels[2], "9:10");
        assert_eq!(filled.lay(vec![1, 2, 3, 4]), [1, 2, 0, 0, 3, 4]);
    }

    #[test]
    fn rows_out_of_order_or_a_moment_off_find_their_place() {
        let labels = [
            "2024-01-01 00:10:02",
            "2024-01-01 00:00:00",
            "2024-01-01 00:05:01",
            "2024-01-01 00:15:00",
            "2024-01-01 00:20:00",
        ];
        assert_eq!(axis(&labels, Gaps::Zero).places, [2, 0, 1, 3, 4]);
    }

    #[test]
    fn a_clock_that_falls_back_has_passed_midnight() {
        let axis = axis(&["23:58", "23:59", "00:00", "00:01"], Gaps::Zero);
        assert_eq!(axis.places, [0, 1, 2, 3]);
        let axis = self::axis(&["00:01", "00:00", "23:59", "23:57"], Gaps::Zero);
        assert_eq!(axis.places, [4, 3, 2, 0]);
        let list = |labels: &[&str]| {
            let mut times = times(labels);
            times.in_order = false;
            Axis::of(times, Gaps::Zero, &ReadOptions::default())
                .unwrap()
                .places
        };
        assert_eq!(list(&["23:58", "23:59", "00:00", "00:01"]), [0, 1, 2, 3]);
        assert_eq!(list(&["10:01", "10:00", "10:02"]), [1, 0, 2]);
    }

    #[test]
    fn times_of_one_row_are_added_up() {
        let axis = axis(&["10", "11", "11", "12"], Gaps::Zero);
        assert_eq!(axis.doubled, 1);
        assert_eq!(axis.lay(vec![1, 2, 3, u32::MAX]), [1, 5, u32::MAX]);
    }

    #[test]
    fn a_span_too_long_for_its_rows_is_refused_and_not_filled() {
        let times = times(&["1", "2", "99999999"]);
        let error = Axis::of(times, Gaps::Zero, &ReadOptions::default()).unwrap_err();
        assert!(
            matches!(error, (2, RecordingFault::TooMany { .. })),
            "{error:?}"
        );
    }

    #[test]
    fn numbers_without_a_unit_are_rows_or_refused() {
        let axis = axis(&["3", "4", "6"], Gaps::Zero);
        assert_eq!((axis.row_seconds, axis.labels.len()), (60.0, 4));
        assert!(axis.assumed[0].contains("without a unit"), "{axis:?}");
        let seconds = ["0", "300", "900"];
        let error = Axis::of(times(&seconds), Gaps::Zero, &ReadOptions::default()).unwrap_err();
        assert_eq!(error, (1, RecordingFault::NoUnit("300".into())));
        let days = ["18687", "18688"];
        let error = Axis::of(times(&days), Gaps::Zero, &ReadOptions::default()).unwrap_err();
        assert_eq!(error, (1, RecordingFault::NoUnit("18688".into())));
        let asked = ReadOptions {
            row_seconds: Some(300.0),
            ..ReadOptions::default()
        };
        let axis = Axis::of(times(&seconds), Gaps::Zero, &asked).unwrap();
        assert_eq!(axis.places, [0, 1, 3]);
    }
}
