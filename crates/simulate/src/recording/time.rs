//! The times of a file's rows, and the even rows that they are mapped to.

use std::collections::HashMap;

use chrono::{DateTime, NaiveDate, NaiveDateTime, NaiveTime, Timelike};

use super::fault::{RecordingFault, shortened};
use super::{Gaps, MOST_ROWS, ReadOptions};

/// The length of a row if nothing says it, in milliseconds: a minute.
const DEFAULT_ROW: i64 = 60_000;
/// The smallest step between rows is the length of a row if it divides this part of all steps.
const REGULAR: f64 = 0.95;
const DAY: i64 = 86_400_000;

/// The time in a row's name, in milliseconds, or a number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Stamp {
    /// A date and a time.
    Instant(i64),
    /// A time of day.
    Clock(i64),
    /// A position in a sequence.
    Number(i64),
}

impl Stamp {
    fn parse(label: &str) -> Option<Self> {
        if !label.is_empty() && label.bytes().all(|byte| byte.is_ascii_digit()) {
            return number(label.parse().ok()?);
        }
        if let Ok(instant) = DateTime::parse_from_rfc3339(label) {
            return Some(Self::Instant(instant.timestamp_millis()));
        }
        let instant = label.trim_end_matches('Z').replace(['T', '/'], " ");
        let instant = instant.split(' ').collect::<Vec<_>>();
        let (date, time) = match instant.as_slice() {
            [year, month, day, rest @ ..] if !year.contains(['-', ':']) => {
                (format!("{year}-{month}-{day}"), rest)
            }
            [time] if time.contains(':') => return Some(Self::Clock(clock(time)?)),
            [date, rest @ ..] => ((*date).to_owned(), rest),
            [] => return None,
        };
        let date = NaiveDate::parse_from_str(&date, "%Y-%m-%d").ok()?;
        let time = match time {
            [] => 0,
            [time] => clock(time)?,
            _ => return None,
        };
        let midnight = NaiveDateTime::new(date, NaiveTime::MIN).and_utc();
        Some(Self::Instant(midnight.timestamp_millis() + time))
    }

    fn is_like(self, other: Self) -> bool {
        std::mem::discriminant(&self) == std::mem::discriminant(&other)
    }
}

/// A large number counts from 1970; its size shows the unit.
fn number(number: i64) -> Option<Stamp> {
    const FROM: [(i64, i64, i64); 4] = [
        (100_000_000_000_000_000, 1, 1_000_000),
        (100_000_000_000_000, 1, 1000),
        (100_000_000_000, 1, 1),
        (100_000_000, 1000, 1),
    ];
    let unit = FROM.iter().find(|(from, ..)| number >= *from);
    Some(match unit {
        Some((_, times, over)) => Stamp::Instant(number * times / over),
        None => Stamp::Number(number),
    })
}

/// A time of day in milliseconds.
fn clock(text: &str) -> Option<i64> {
    let time = ["%H:%M:%S%.f", "%H:%M"]
        .iter()
        .find_map(|format| NaiveTime::parse_from_str(text, format).ok())?;
    let seconds = i64::from(time.num_seconds_from_midnight());
    Some(1000 * seconds + i64::from(time.nanosecond() / 1_000_000))
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
    /// Whether the names contain times.
    pub timed: bool,
}

impl Axis {
    /// Maps the file's rows to even ones. `in_order` says that they follow each other in the file,
    /// so a clock that goes back has passed midnight.
    ///
    /// # Errors
    /// The index of a row whose time cannot be read.
    pub fn of(
        labels: Vec<String>,
        unit: Option<f64>,
        in_order: bool,
        gaps: Gaps,
        reading: &ReadOptions,
    ) -> Result<Self, (usize, RecordingFault)> {
        let asked = reading
            .row_seconds
            .map(|seconds| (1000.0 * seconds).round() as i64);
        let Some(times) = times(&labels, unit, in_order, asked.unwrap_or(DEFAULT_ROW))? else {
            return Ok(Self::untimed(labels, asked.unwrap_or(DEFAULT_ROW)));
        };
        let mut sorted: Vec<i64> = times.clone();
        sorted.sort_unstable();
        let named = unit.map(|seconds| (1000.0 * seconds) as i64);
        let row = asked.unwrap_or_else(|| length(&sorted, named)).max(1);
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
            timed: true,
        })
    }

    /// Rows without times follow each other in the order of the file.
    fn untimed(labels: Vec<String>, row: i64) -> Self {
        Self {
            places: (0..labels.len()).collect(),
            labels,
            row_seconds: row as f64 / 1000.0,
            missing: 0,
            gaps: 0,
            doubled: 0,
            timed: false,
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

/// The times of the rows in milliseconds; none if the first row's name is not a time.
fn times(
    labels: &[String],
    unit: Option<f64>,
    in_order: bool,
    row: i64,
) -> Result<Option<Vec<i64>>, (usize, RecordingFault)> {
    let Some(first) = labels.first().and_then(|label| Stamp::parse(label)) else {
        return Ok(None);
    };
    let unit = unit.map_or(row, |seconds| (1000.0 * seconds) as i64);
    let mut days = 0;
    let mut before = i64::MIN;
    let mut times = Vec::with_capacity(labels.len());
    for (place, label) in labels.iter().enumerate() {
        let stamp = Stamp::parse(label).filter(|stamp| stamp.is_like(first));
        let unlike = || RecordingFault::Time {
            found: shortened(label),
            first: shortened(&labels[0]),
        };
        times.push(match stamp.ok_or_else(|| (place, unlike()))? {
            Stamp::Instant(time) => time,
            Stamp::Number(number) => number.saturating_mul(unit),
            Stamp::Clock(time) => {
                days += i64::from(in_order && time < before);
                before = time;
                days * DAY + time
            }
        });
    }
    Ok(Some(times))
}

/// How long a row lasts.
///
/// If the file names the unit of its times, the length is the greatest common divisor of all steps,
/// but at least the unit. Otherwise it is the smallest step, if nearly all others are multiples of
/// it. Otherwise the times are not exact, and it is the median step.
fn length(sorted: &[i64], named: Option<i64>) -> i64 {
    let mut steps: Vec<i64> = sorted
        .windows(2)
        .map(|pair| pair[1] - pair[0])
        .filter(|step| *step > 0)
        .collect();
    steps.sort_unstable();
    let Some(&smallest) = steps.first() else {
        return named.unwrap_or(DEFAULT_ROW);
    };
    if let Some(unit) = named {
        return steps.iter().copied().fold(0, divisor).max(unit);
    }
    let multiples = steps.iter().filter(|step| **step % smallest == 0).count();
    if multiples as f64 >= REGULAR * steps.len() as f64 {
        smallest
    } else {
        steps[steps.len() / 2]
    }
}

/// The greatest common divisor.
fn divisor(one: i64, other: i64) -> i64 {
    if other == 0 {
        one
    } else {
        divisor(other, one % other)
    }
}

/// The name of a row that the file does not have.
fn written(milliseconds: i64) -> String {
    let after = |time: &DateTime<_>| time.timestamp() >= 10 * DAY / 1000;
    match DateTime::from_timestamp_millis(milliseconds).filter(after) {
        Some(time) => time.format("%Y-%m-%d %H:%M:%S").to_string(),
        None => format!(
            "{}:{:02}",
            milliseconds / 3_600_000,
            milliseconds / 60_000 % 60
        ),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn instant(text: &str) -> i64 {
        match Stamp::parse(text) {
            Some(Stamp::Instant(time)) => time,
            other => panic!("{text}: {other:?}"),
        }
    }

    #[test]
    fn an_instant_is_read_in_every_usual_spelling() {
        let expected = instant("2022-08-22T03:53:00Z");
        for text in [
            "2022-08-22 03:53",
            "2022-08-22 03:53:00",
            "2022-08-22 03:53:00.000",
            "2022-08-22T03:53:00",
            "2022/08/22 03:53",
            "2022-08-22T05:53:00+02:00",
            "1661140380",
            "1661140380000",
            "1661140380000000",
        ] {
            assert_eq!(instant(text), expected, "{text}");
        }
        assert_eq!(instant("2022-08-22"), expected - (3 * 60 + 53) * 60_000);
        for text in [
            "t0",
            "",
            "2022-13-01",
            "24:61",
            "1.5",
            "-3",
            "2022-08-22 03:53 CET",
        ] {
            assert_eq!(Stamp::parse(text), None, "{text}");
        }
        assert_eq!(Stamp::parse("09:01"), Some(Stamp::Clock(541 * 60_000)));
        assert_eq!(Stamp::parse("480"), Some(Stamp::Number(480)));
    }

    fn axis(labels: &[&str], gaps: Gaps) -> Axis {
        let labels = labels.iter().map(|label| (*label).to_owned()).collect();
        Axis::of(labels, None, true, gaps, &ReadOptions::default()).unwrap()
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
    }

    #[test]
    fn times_of_one_row_are_added_up() {
        let axis = axis(&["10", "11", "11", "12"], Gaps::Zero);
        assert_eq!(axis.doubled, 1);
        assert_eq!(axis.lay(vec![1, 2, 3, u32::MAX]), [1, 5, u32::MAX]);
    }

    #[test]
    fn a_span_too_long_for_its_rows_is_refused_and_not_filled() {
        let labels = ["1", "2", "99999999"].map(str::to_owned).to_vec();
        let error = Axis::of(labels, None, true, Gaps::Zero, &ReadOptions::default()).unwrap_err();
        assert!(
            matches!(error, (2, RecordingFault::TooMany { .. })),
            "{error:?}"
        );
    }
}
