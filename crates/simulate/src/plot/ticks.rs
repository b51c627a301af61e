//! Where the ticks of an axis of time are, and what they say.

use chrono::{DateTime, Utc};

use super::axis::number;
use crate::recording::instant_of;
use crate::verdict::Interval;

/// The most ticks of an axis: more would touch each other.
const MOST: f64 = 9.0;

const MINUTE: i64 = 60;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// Steps between ticks that people read easily, in seconds.
const STEPS: [i64; 22] = [
    1,
    2,
    5,
    10,
    15,
    30,
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    15 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    14 * DAY,
    28 * DAY,
];

/// A mark on the axis.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Tick {
    pub at: f64,
    pub label: String,
}

/// Ticks at round numbers from 0 to `end`.
pub(super) fn elapsed(end: f64) -> Vec<Tick> {
    if end <= 0.0 {
        return Vec::new();
    }
    let magnitude = 10_f64.powf((end / MOST).log10().floor());
    let steps = [1.0, 2.0, 5.0, 10.0].map(|step| step * magnitude);
    let step = steps.into_iter().find(|step| end / step <= MOST + 1.0);
    let step = step.unwrap_or(10.0 * magnitude);
    let count = (end / step + 1e-9).floor() as usize;
    let tick = |place: usize| {
        let at = place as f64 * step;
        Tick {
            at: at.min(end),
            label: number(at),
        }
    };
    (0..=count).map(tick).collect()
}

/// Ticks at round times of the recording, and the days that it covers; none if its rows are not named
/// by dates, or do not lie evenly.
pub(super) fn dated(intervals: &[Interval], end: f64) -> Option<(Vec<Tick>, String)> {
    let instant = |interval: &Interval| instant_of(&interval.label);
    let first = instant(intervals.first()?)?;
    let last = instant(intervals.last()?)?;
    let count = intervals.len();
    if count < 2 || last <= first {
        return None;
    }
    // The rows' names are where they begin, so the last one lasts as long as the others.
    let span = (last - first) as f64 * count as f64 / (count - 1) as f64 / 1000.0;
    let middle = instant(&intervals[count / 2])?;
    let expected = first as f64 + 1000.0 * span * (count / 2) as f64 / count as f64;
    if (middle as f64 - expected).abs() > 1000.0 * span / 50.0 {
        return None;
    }
    let step = STEPS.into_iter().find(|step| span / *step as f64 <= MOST)?;
    let begin = first.div_euclid(1000);
    let mut time = (begin + step - 1).div_euclid(step) * step;
    let mut ticks = Vec::new();
    while time as f64 <= begin as f64 + span {
        let at = DateTime::from_timestamp(time, 0)?;
        ticks.push(Tick {
            at: (time - begin) as f64 / span * end,
            label: written(at, step),
        });
        time += step;
    }
    let days = [first, last].map(|at| DateTime::from_timestamp_millis(at).map(day));
    let [Some(first_day), Some(last_day)] = days else {
        return None;
    };
    let title = match first_day == last_day {
        true => format!("recorded time on {first_day}"),
        false => format!("recorded time, from {first_day} to {last_day}"),
    };
    Some((ticks, title))
}

fn day(at: DateTime<Utc>) -> String {
    at.format("%-d %B %Y").to_string()
}

/// A time of day, or a date where a day begins.
fn written(at: DateTime<Utc>, step: i64) -> String {
    let form = match at.timestamp().rem_euclid(DAY) {
        0 => "%-d %b",
        _ if step >= MINUTE => "%H:%M",
        _ => "%H:%M:%S",
    };
    at.format(form).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::fleet::Tally;

    fn named(labels: impl Iterator<Item = String>) -> Vec<Interval> {
        let interval = |label| Interval {
            label,
            seconds: 60.0,
            budget_factor: 1.0,
            tally: Tally::default(),
        };
        labels.map(interval).collect()
    }

    fn labels(ticks: &[Tick]) -> Vec<&str> {
        ticks.iter().map(|tick| tick.label.as_str()).collect()
    }

    #[test]
    fn elapsed_time_has_ticks_at_round_numbers() {
        assert_eq!(
            labels(&elapsed(60.0)),
            ["0", "10", "20", "30", "40", "50", "60"]
        );
        assert_eq!(labels(&elapsed(480.0)).last(), Some(&"450"));
        assert_eq!(labels(&elapsed(0.5))[1], "0.05");
        assert!(elapsed(0.0).is_empty());
        for end in 1..2000 {
            assert!(elapsed(f64::from(end)).len() <= 11, "{end}");
        }
    }

    #[test]
    fn recorded_dates_are_ticks_at_round_times() {
        let minute =
            |number: usize| format!("2022-08-22 {:02}:{:02}", 22 + number / 60, number % 60);
        let (ticks, title) = dated(&named((0..100).map(minute)), 100.0).unwrap();
        assert_eq!(title, "recorded time on 22 August 2022");
        assert_eq!(labels(&ticks)[..2], ["22:00", "22:15"]);
        assert_eq!(ticks[1].at, 15.0);
        let hour =
            |number: usize| format!("2022-08-{:02}T{:02}:00:00Z", 22 + number / 24, number % 24);
        let (ticks, title) = dated(&named((0..72).map(hour)), 72.0).unwrap();
        assert_eq!(
            title,
            "recorded time, from 22 August 2022 to 24 August 2022"
        );
        assert_eq!(labels(&ticks)[..3], ["22 Aug", "12:00", "23 Aug"]);
    }

    #[test]
    fn names_that_are_no_dates_have_no_dates() {
        assert_eq!(
            dated(&named((0..9).map(|row| format!("t{row}"))), 9.0),
            None
        );
        assert_eq!(
            dated(&named((480..500).map(|row| row.to_string())), 9.0),
            None
        );
        assert_eq!(
            dated(&named((0..9).map(|_| "2022-08-22".into())), 9.0),
            None
        );
    }
}
