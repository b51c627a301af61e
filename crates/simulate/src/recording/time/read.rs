//! Reads the times of a file's rows.

use super::{DAY, DEFAULT_ROW, Times, divisor};
use crate::recording::fault::{RecordingFault, shortened};
use crate::recording::stamp::{Stamp, advice};

impl Times {
    /// The times in milliseconds; none if they are mere names. `asked` is how long a row lasts.
    pub(super) fn read(
        &self,
        asked: Option<i64>,
        assumed: &mut Vec<String>,
    ) -> Result<Option<Vec<i64>>, (usize, RecordingFault)> {
        let Some(first_label) = self.labels.first() else {
            return Ok(None);
        };
        let Some(first) = Stamp::parse(first_label) else {
            if asked.is_some() || (self.may_be_names && !Stamp::is_meant(first_label)) {
                return Ok(None);
            }
            let found = shortened(first_label);
            let advice = advice(first_label);
            return Err((0, RecordingFault::UnknownTime { found, advice }));
        };
        let mut stamps = Vec::with_capacity(self.labels.len());
        for (place, label) in self.labels.iter().enumerate() {
            let stamp = Stamp::parse(label).filter(|stamp| stamp.is_like(first));
            let stamp = stamp.ok_or_else(|| (place, unlike(label, first_label)))?;
            stamps.push(stamp);
        }
        if let Stamp::Number(_) = first {
            return self.numbered(&stamps, asked, assumed).map(Some);
        }
        let time = |stamp: &Stamp| match *stamp {
            Stamp::Epoch(time) | Stamp::Zoned(time) | Stamp::Local(time) => time,
            Stamp::Clock(time) | Stamp::Number(time) => time,
        };
        let mut times: Vec<i64> = stamps.iter().map(time).collect();
        if let Stamp::Clock(_) = first {
            self.count_days(&mut times);
        }
        Ok(Some(times))
    }

    /// Adds a day to times of day whenever the clock goes back. Rows may come newest first. In a list,
    /// whose lines may come in any order, the clock must go back once, and by more than half a day.
    fn count_days(&self, times: &mut [i64]) {
        let falls = |times: &[i64]| {
            let falls = times.windows(2).map(|pair| pair[0] - pair[1]);
            falls.filter(|fall| *fall > 0).collect::<Vec<i64>>()
        };
        let rises = times.windows(2).filter(|pair| pair[1] > pair[0]).count();
        let newest_first = falls(times).len() > rises;
        if newest_first {
            times.reverse();
        }
        let once = matches!(falls(times)[..], [fall] if fall > DAY / 2);
        if self.in_order || once {
            let (mut days, mut before) = (0, i64::MIN);
            for time in times.iter_mut() {
                days += i64::from(*time < before);
                before = *time;
                *time += days * DAY;
            }
        }
        if newest_first {
            times.reverse();
        }
    }

    /// The times of numbered rows. Without a unit, consecutive numbers are taken for rows. Others may
    /// count anything, unless it was said how long a row lasts: then that is their common step.
    fn numbered(
        &self,
        stamps: &[Stamp],
        asked: Option<i64>,
        assumed: &mut Vec<String>,
    ) -> Result<Vec<i64>, (usize, RecordingFault)> {
        const ONE: i64 = 1000;
        /// Larger numbers are days or minutes since some year.
        const MOST_NUMBERED: i64 = 10_000;
        let number = |stamp: &Stamp| match *stamp {
            Stamp::Number(number) => number,
            _ => 0,
        };
        let mut numbers: Vec<i64> = stamps.iter().map(number).collect();
        let (row, step) = match (self.unit.number, asked) {
            (Some(seconds), _) => ((1000.0 * seconds).round() as i64, ONE),
            (None, asked) => {
                let apart = |pair: &[i64]| (pair[1] - pair[0]).abs();
                let step = match numbers.windows(2).map(apart).fold(0, divisor) {
                    0 => ONE,
                    step => step,
                };
                let first = numbers.iter().min().copied().unwrap_or(0);
                if asked.is_none() && (step != ONE || first >= MOST_NUMBERED * ONE) {
                    let place = usize::from(self.labels.len() > 1);
                    let example = shortened(&self.labels[place]);
                    return Err((place, RecordingFault::NoUnit(example)));
                }
                if asked.is_none() {
                    assumed.push(format!(
                        "the times are numbers without a unit: each is assumed to be a row of {} s (--row-seconds)",
                        DEFAULT_ROW / 1000
                    ));
                }
                (asked.unwrap_or(DEFAULT_ROW), step)
            }
        };
        for number in &mut numbers {
            let time = i128::from(*number) * i128::from(row) / i128::from(step);
            *number = time.try_into().unwrap_or(i64::MAX);
        }
        Ok(numbers)
    }
}

fn unlike(label: &str, first: &str) -> RecordingFault {
    RecordingFault::Time {
        found: shortened(label),
        first: shortened(first),
    }
}
