//! Which values of a source's delta streams were counted.
//!
//! A delta counts from the value before, so its start is another one each time, and a stream is known by
//! its series alone. One collection of an SDK gives all streams the same time. So times are remembered
//! once for the source, and of each series in which of them it was.

use super::said::Reason;
use super::sorted::Sorted;
use super::state::STREAMS;

/// The times that are remembered: one bit of a series' set each.
pub const TIMES: usize = u64::BITS as usize;

/// What was counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Deltas {
    /// Times of values, in the order in which they arrived.
    pub times: Vec<u64>,
    /// Of each series, in which of the times it was: bit `i` is `times[i]`.
    pub series: Sorted<u64, u64>,
    /// The newest time that was forgotten.
    pub forgotten_ns: u64,
}

impl Deltas {
    /// Nothing is known of the values of before.
    pub fn lost(now_ns: u64) -> Self {
        Self {
            forgotten_ns: now_ns,
            ..Self::default()
        }
    }

    /// Notes a value. Returns whether it is new.
    ///
    /// # Errors
    /// If nobody knows whether it was counted.
    pub fn note(&mut self, series: u64, time_ns: u64, now_ns: u64) -> Result<bool, Reason> {
        let bit = match self.times.iter().position(|known| *known == time_ns) {
            Some(bit) => bit,
            None if time_ns <= self.forgotten_ns => return Err(Reason::Forgotten),
            None => self.remember(time_ns, now_ns),
        };
        let mask = 1 << bit;
        if let Some(seen) = self.series.get_mut(series) {
            let is_new = *seen & mask == 0;
            *seen |= mask;
            return Ok(is_new);
        }
        let mut mask = mask;
        while self.series.len() >= STREAMS {
            if mask == 1 {
                return Err(Reason::TooMany);
            }
            self.forget_oldest(now_ns);
            mask >>= 1;
        }
        self.series.insert(series, mask);
        Ok(true)
    }

    /// The newest time before another one.
    pub fn time_before(&self, time_ns: u64) -> Option<u64> {
        let earlier = self.times.iter().filter(|known| **known < time_ns);
        earlier.max().copied()
    }

    fn remember(&mut self, time_ns: u64, now_ns: u64) -> usize {
        if self.times.len() >= TIMES {
            self.forget_oldest(now_ns);
        }
        self.times.push(time_ns);
        self.times.len() - 1
    }

    /// Forgets the time that arrived first. One of a clock that was ahead does not outlaw those that come.
    pub fn forget_oldest(&mut self, now_ns: u64) {
        if self.times.is_empty() {
            return;
        }
        let time_ns = self.times.remove(0).min(now_ns);
        self.forgotten_ns = self.forgotten_ns.max(time_ns);
        self.series.retain(|_, mask| {
            *mask >>= 1;
            *mask != 0
        });
    }
}
