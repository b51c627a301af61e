//! Which time is asked for, and in which steps.

use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use humantime::format_duration;
use serde::Deserialize;

use super::super::Admin;
use super::super::history::instant;
use super::super::services::number_between;
use super::read::By;
use crate::allocation::Timestamp;
use crate::http::problem::Problem;
use crate::store::{SeriesStep, StepsKept};

/// The most steps of an answer.
pub(in crate::api::admin) const POINTS_MAX: usize = 1000;

/// The most windows that are read for an answer: a day of seconds would be more.
const WINDOWS_MAX: i64 = 20_000;

const MINUTE: i64 = 60_000;
const HOUR: i64 = 60 * MINUTE;
const DAY: i64 = 24 * HOUR;

/// The steps that are chosen from, in milliseconds, beside the interval.
const STEPS: [i64; 15] = [
    MINUTE,
    2 * MINUTE,
    5 * MINUTE,
    10 * MINUTE,
    20 * MINUTE,
    30 * MINUTE,
    HOUR,
    2 * HOUR,
    3 * HOUR,
    6 * HOUR,
    12 * HOUR,
    DAY,
    2 * DAY,
    7 * DAY,
    30 * DAY,
];

/// Which time is asked for.
#[derive(Deserialize)]
pub(in crate::api::admin) struct Wanted {
    pub start: Option<String>,
    pub end: Option<String>,
    pub step: Option<String>,
    pub points: Option<String>,
    pub by: Option<String>,
}

impl Wanted {
    /// What else is asked for.
    pub(super) fn by(&self) -> Result<By, Problem> {
        match self.by.as_deref() {
            None => Ok(By::Nothing),
            Some("class") => Ok(By::Class),
            Some(_) => Err(Problem::Malformed {
                field: "by".into(),
                detail: "must be class, or left out".into(),
            }),
        }
    }
}

/// Steps in a row. The first begins at a multiple of its length since the Unix epoch, so at midnight in UTC.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::api::admin) struct Steps {
    /// The start of the first step.
    pub origin: Timestamp,
    /// The length of a step, in milliseconds.
    pub length: i64,
    /// How many there are.
    pub count: usize,
    /// What is read for them.
    pub base: SeriesStep,
}

/// What is stored, and since when.
#[derive(Debug, Clone, Copy)]
struct Stored {
    now: Timestamp,
    interval: i64,
    windows: Duration,
    steps: StepsKept,
}

impl Steps {
    /// The steps that are asked for: those given, or the finest of which an answer may have enough.
    pub fn asked(wanted: &Wanted, admin: &Admin) -> Result<Self, Problem> {
        let stored = Stored {
            now: admin.clock.timestamp(),
            interval: i64::try_from(admin.interval.as_millis()).unwrap_or(i64::MAX),
            windows: admin.history,
            steps: admin.steps,
        };
        let points = wanted.points.as_deref();
        let points = number_between("points", points, POINTS_MAX, 1..=POINTS_MAX)?;
        let (start, end) = range(wanted, admin.clock.now())?;
        match wanted.step.as_deref() {
            Some(step) => stored.given(start, end, step, points),
            None => Ok(stored.chosen(start, end, points)),
        }
    }

    /// As many steps as are asked for, back from now.
    pub fn back(admin: &Admin, length: Duration, count: usize) -> Result<Self, Problem> {
        let step = i64::try_from(length.as_millis()).unwrap_or(i64::MAX) / count as i64;
        let interval = i64::try_from(admin.interval.as_millis()).unwrap_or(i64::MAX);
        let base = base(step, interval);
        let last = Timestamp(admin.clock.timestamp().0.div_euclid(step.max(1)) * step);
        let steps = Self {
            origin: Timestamp(last.0.saturating_sub(step.saturating_mul(count as i64 - 1))),
            length: step,
            count,
            base,
        };
        if step < interval || steps.windows(interval) > WINDOWS_MAX {
            return Err(Problem::Malformed {
                field: "sparkline".into(),
                detail: format!(
                    "must be {count} times a length that is at least the interval of {}, and a multiple of ten \
                     minutes where it is much longer; take 24h",
                    format_duration(admin.interval)
                ),
            });
        }
        Ok(steps)
    }

    /// The instant after the last step.
    pub fn end(&self) -> Timestamp {
        let all = self.length.saturating_mul(self.count as i64);
        Timestamp(self.origin.0.saturating_add(all))
    }

    /// The start of a step.
    pub fn start(&self, step: usize) -> Timestamp {
        Timestamp(self.origin.0 + self.length * step as i64)
    }

    /// The step that an instant is in.
    pub fn place(&self, at: Timestamp) -> Option<usize> {
        let since = at.0.checked_sub(self.origin.0)?;
        let place = usize::try_from(since.div_euclid(self.length)).ok()?;
        (place < self.count).then_some(place)
    }

    /// How many windows are read for it.
    fn windows(&self, interval: i64) -> i64 {
        match self.base {
            SeriesStep::Window => self.end().0.saturating_sub(self.origin.0) / interval.max(1),
            _ => 0,
        }
    }

    fn between(start: Timestamp, end: Timestamp, length: i64, base: SeriesStep) -> Self {
        let origin = start.0.div_euclid(length).saturating_mul(length);
        let count = end.0.saturating_sub(origin).max(0) / length
            + i64::from(end.0.saturating_sub(origin).max(0) % length > 0);
        Self {
            origin: Timestamp(origin),
            length,
            count: usize::try_from(count).unwrap_or(usize::MAX),
            base,
        }
    }
}

/// The coarsest stored steps that add up to steps of this length.
fn base(length: i64, interval: i64) -> SeriesStep {
    let coarse = SeriesStep::COARSE.into_iter().rev();
    let mut fits = coarse.filter(|step| length % step.milliseconds() == 0 && length >= interval);
    fits.next().unwrap_or(SeriesStep::Window)
}

/// The range that is asked for, up to now at the latest.
fn range(wanted: &Wanted, now: DateTime<Utc>) -> Result<(Timestamp, Timestamp), Problem> {
    let end = instant("end", wanted.end.as_deref())?.unwrap_or(now);
    let hour_before = end.checked_sub_signed(TimeDelta::hours(1)).unwrap_or(end);
    let start = instant("start", wanted.start.as_deref())?.unwrap_or(hour_before);
    if start > end {
        return Err(Problem::Malformed {
            field: "start".into(),
            detail: "must not be after end".into(),
        });
    }
    let end = end.min(now).max(start);
    Ok((
        Timestamp(start.timestamp_millis()),
        Timestamp(end.timestamp_millis()),
    ))
}

impl Stored {
    fn given(
        &self,
        start: Timestamp,
        end: Timestamp,
        given: &str,
        points: usize,
    ) -> Result<Steps, Problem> {
        let wrong = |detail: String| Problem::Malformed {
            field: "step".into(),
            detail,
        };
        let length = humantime::parse_duration(given).ok();
        let length = length.and_then(|length| i64::try_from(length.as_millis()).ok());
        let length = length.filter(|length| (1..=366 * DAY).contains(length));
        let length = length.ok_or_else(|| wrong("must be a number and a unit, like 10m".into()))?;
        if length < self.interval {
            let interval = shown(self.interval);
            return Err(wrong(format!("must be at least the interval, {interval}")));
        }
        let steps = Steps::between(start, end, length, base(length, self.interval));
        if steps.count > points {
            return Err(wrong(format!(
                "must be longer for such a range: it has {} steps, and the limit is {points}",
                steps.count
            )));
        }
        if steps.windows(self.interval) > WINDOWS_MAX {
            return Err(wrong("must be a multiple of 10m for such a range".into()));
        }
        Ok(steps)
    }

    /// The finest steps that fit, and that are stored from the start of the range on.
    fn chosen(&self, start: Timestamp, end: Timestamp, points: usize) -> Steps {
        let finest = Some(self.interval);
        let coarser = STEPS.into_iter().filter(|length| *length > self.interval);
        let mut coarsest = Steps::between(start, end, DAY, SeriesStep::Day);
        for length in finest.into_iter().chain(coarser) {
            let steps = Steps::between(start, end, length, base(length, self.interval));
            if steps.count <= points && self.reaches(&steps, start) {
                return steps;
            }
            coarsest = steps;
        }
        // A range from the beginning of time: the newest steps.
        let over = coarsest.count.saturating_sub(points) as i64;
        Steps {
            origin: Timestamp(coarsest.origin.0.saturating_add(over * coarsest.length)),
            count: coarsest.count.min(points),
            ..coarsest
        }
    }

    /// Whether what is read for these steps is stored since their start, and is not too much.
    fn reaches(&self, steps: &Steps, start: Timestamp) -> bool {
        let kept = |length: Duration| {
            let length = i64::try_from(length.as_millis()).unwrap_or(i64::MAX);
            self.now.0.saturating_sub(start.0) <= length
        };
        let range = steps.end().0.saturating_sub(steps.origin.0);
        match steps.base {
            SeriesStep::Window => {
                kept(self.windows) && steps.windows(self.interval) <= WINDOWS_MAX / 2
            }
            SeriesStep::TenMinutes => kept(self.steps.ten_minutes) && range <= 31 * DAY,
            SeriesStep::Hour => kept(self.steps.hours) && range <= 100 * DAY,
            SeriesStep::Day => true,
        }
    }
}

fn shown(milliseconds: i64) -> String {
    let length = Duration::from_millis(milliseconds.max(0).unsigned_abs());
    format_duration(length).to_string()
}

#[cfg(test)]
mod tests {
    use super::*;

    const NOW: i64 = 20_000 * DAY + 7 * HOUR + 123;

    fn stored() -> Stored {
        let days = |days: u64| Duration::from_secs(days * 86_400);
        Stored {
            now: Timestamp(NOW),
            interval: MINUTE,
            windows: days(1),
            steps: StepsKept {
                ten_minutes: days(14),
                hours: days(400),
                days: days(400),
            },
        }
    }

    #[test]
    fn the_finest_steps_are_chosen_that_fit_and_are_stored() {
        let chosen = |back: i64, points| {
            let (start, end) = (Timestamp(NOW - back), Timestamp(NOW));
            let steps = stored().chosen(start, end, points);
            assert!(steps.count <= points && steps.origin <= start && steps.end() >= end);
            assert_eq!(steps.origin.0 % steps.length, 0);
            (shown(steps.length), steps.base)
        };
        use SeriesStep::{Day, Hour, TenMinutes, Window};
        assert_eq!(chosen(HOUR, 1000), ("1m".into(), Window));
        assert_eq!(chosen(HOUR, 30), ("5m".into(), Window));
        assert_eq!(chosen(DAY - HOUR, 1000), ("2m".into(), Window));
        assert_eq!(chosen(2 * DAY, 1000), ("10m".into(), TenMinutes));
        assert_eq!(chosen(7 * DAY, 1000), ("20m".into(), TenMinutes));
        assert_eq!(chosen(15 * DAY, 1000), ("1h".into(), Hour));
        assert_eq!(chosen(60 * DAY, 1000), ("2h".into(), Hour));
        assert_eq!(chosen(366 * DAY, 1000), ("1day".into(), Day));
        assert_eq!(chosen(366 * DAY, 60), ("7days".into(), Day));
    }

    #[test]
    fn a_range_from_the_beginning_of_time_gives_its_newest_steps() {
        let (start, end) = (Timestamp(i64::MIN / 2), Timestamp(NOW));
        let steps = stored().chosen(start, end, 10);
        assert_eq!((steps.count, steps.base), (10, SeriesStep::Day));
        assert!(steps.end() >= end);
        assert_eq!(steps.place(Timestamp(NOW)), Some(9));
        assert_eq!(steps.place(steps.end()), None);
        assert_eq!(steps.place(Timestamp(0)), None);
    }

    #[test]
    fn a_step_that_is_given_is_refused_where_it_gives_too_much() {
        let given = |back: i64, step: &str| {
            let given = stored().given(Timestamp(NOW - back), Timestamp(NOW), step, 1000);
            given
                .map(|steps| steps.count)
                .map_err(|problem| problem.to_string())
        };
        assert_eq!(given(HOUR, "10m"), Ok(7));
        for (back, step, said) in [
            (HOUR, "1s", "must be at least the interval, 1m"),
            (HOUR, "soon", "must be a number and a unit, like 10m"),
            (HOUR, "0s", "must be a number and a unit, like 10m"),
            (DAY, "1m", "it has 1441 steps, and the limit is 1000"),
            (400 * DAY, "601m", "must be a multiple of 10m"),
        ] {
            let refused = given(back, step).unwrap_err();
            assert!(refused.contains(said), "{refused}");
        }
    }
}
