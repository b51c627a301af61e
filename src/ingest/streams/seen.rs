//! Which root spans of a source were counted.
//!
//! A span is known by a digest of its id, whatever body it comes in: a Collector may join the spans of
//! several exports, or send some of them again with others. Spans are remembered for some minutes. One that
//! is older than what was forgotten may have been counted, so it is refused.

use super::said::Reason;

/// Spans of one source that are remembered: as many as a Collector sends in one body by default.
pub const SPANS: usize = 8192;

/// How long spans are remembered, in nanoseconds: twice as long as a Collector sends a body again by default.
const REMEMBERED_NS: u64 = 600 * 1_000_000_000;

/// Spans are forgotten by slots: those of half a minute, and not too many.
const SLOT_NS: u64 = 30 * 1_000_000_000;
const SLOT_SPANS: usize = SPANS / 8;

/// Two different spans have the same digest of 40 bits once in a hundred million, if all are remembered that
/// may be. One of the two is not counted.
const DIGEST_BITS: u32 = 40;

/// The spans that were counted.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Seen {
    /// The oldest first.
    pub slots: Vec<Slot>,
    /// The newest time that was forgotten.
    pub forgotten_ns: u64,
}

/// Spans that arrived one after the other.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Slot {
    /// When the first one arrived.
    pub heard_ns: u64,
    /// The newest end of one.
    pub until_ns: u64,
    /// Their digests, sorted.
    pub digests: Vec<u64>,
}

impl Seen {
    /// Nothing is known of the spans that ended before.
    pub fn lost(now_ns: u64) -> Self {
        Self {
            slots: Vec::new(),
            forgotten_ns: now_ns,
        }
    }

    /// Notes a span that ended at this time. Returns whether it is new.
    ///
    /// # Errors
    /// If nobody knows whether it was counted.
    pub fn note(&mut self, series: u64, time_ns: u64, now_ns: u64) -> Result<bool, Reason> {
        let digest = series >> (u64::BITS - DIGEST_BITS);
        let found = |slot: &Slot| slot.digests.binary_search(&digest).is_ok();
        if self.slots.iter().any(found) {
            return Ok(false);
        }
        self.forget(now_ns);
        if time_ns <= self.forgotten_ns {
            return Err(Reason::Forgotten);
        }
        let slot = self.newest(now_ns);
        let place = slot.digests.partition_point(|held| *held < digest);
        slot.digests.insert(place, digest);
        // One of a clock that is ahead does not outlaw those that come.
        slot.until_ns = slot.until_ns.max(time_ns.min(now_ns));
        Ok(true)
    }

    /// How many are remembered.
    pub fn count(&self) -> usize {
        self.slots.iter().map(|slot| slot.digests.len()).sum()
    }

    fn newest(&mut self, now_ns: u64) -> &mut Slot {
        let fits = self.slots.last().is_some_and(|slot| {
            let age_ns = now_ns.saturating_sub(slot.heard_ns);
            age_ns < SLOT_NS && slot.digests.len() < SLOT_SPANS
        });
        if !fits {
            self.slots.push(Slot {
                heard_ns: now_ns,
                ..Slot::default()
            });
        }
        self.slots.last_mut().expect("there is one")
    }

    /// Forgets those that are too old or too many.
    fn forget(&mut self, now_ns: u64) {
        let is_old = |slot: &Slot| now_ns.saturating_sub(slot.heard_ns) > REMEMBERED_NS;
        while self.slots.first().is_some_and(is_old) || self.count() >= SPANS {
            let slot = self.slots.remove(0);
            self.forgotten_ns = self.forgotten_ns.max(slot.until_ns);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const SECOND: u64 = 1_000_000_000;

    /// Evenly distributed, as digests are.
    fn series(number: u64) -> u64 {
        super::super::phase(number, 3)
    }

    #[test]
    fn a_span_is_known_while_it_is_remembered_and_refused_afterwards() {
        let mut seen = Seen::default();
        let mut note = |number: u64, ended: u64, now: u64| {
            let noted = seen.note(series(number), ended * SECOND, now * SECOND);
            (noted, seen.count())
        };
        assert_eq!(note(1, 1000, 1005), (Ok(true), 1));
        assert_eq!(note(1, 1000, 1006), (Ok(false), 1));
        assert_eq!(note(2, 1500, 1500), (Ok(true), 2));
        // Overtaken by the one before.
        assert_eq!(note(3, 990, 1501), (Ok(true), 3));
        assert_eq!(note(4, 1606, 1606), (Ok(true), 3));
        assert_eq!(note(1, 1000, 1607), (Err(Reason::Forgotten), 3));
        assert_eq!(note(5, 1001, 1607), (Ok(true), 4));
    }

    #[test]
    fn a_clock_that_is_ahead_outlaws_nothing() {
        let mut seen = Seen::default();
        assert_eq!(
            seen.note(series(1), 9_000 * SECOND, 1000 * SECOND),
            Ok(true)
        );
        assert_eq!(seen.note(series(2), 1700 * SECOND, 1700 * SECOND), Ok(true));
        assert_eq!(seen.note(series(3), 1701 * SECOND, 1701 * SECOND), Ok(true));
    }

    #[test]
    fn spans_are_bounded_and_the_oldest_go_first() {
        let mut seen = Seen::default();
        let now = 2000 * SECOND;
        for number in 0..3 * SPANS as u64 {
            assert_eq!(
                seen.note(series(number), 1000 * SECOND + number, now),
                Ok(true)
            );
            assert!(seen.count() <= SPANS);
        }
        let newest = 3 * SPANS as u64 - 1;
        assert_eq!(
            seen.note(series(newest), 1000 * SECOND + newest, now),
            Ok(false)
        );
        assert_eq!(
            seen.note(series(0), 1000 * SECOND, now),
            Err(Reason::Forgotten)
        );
    }
}
