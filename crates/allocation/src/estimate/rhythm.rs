//! Predicts the next active window of an operation that fires every N windows.
//!
//! Timers fire by the clock, and a hundred that fire every five minutes fire together. If that is taken
//! for chance, each is expected in a fifth of the windows: every fifth window keeps too much, and the
//! others too little. An operation that has kept its gap is expected when it is due instead, weighted by
//! how well it has kept it.

use crate::Belief;
use crate::tuning::estimate::Rhythm as Tuning;

/// The shortest possible gap.
const SHORTEST: u16 = 2;

/// What is known of an operation's rhythm.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Rhythm {
    /// The gap between two active windows, in windows; 0 while none has been seen.
    pub gap: u16,
    /// Windows since the last active one. An operation may stay active for several windows.
    pub since: u16,
    /// The belief that it keeps the gap, in [0, 1].
    pub regular: f64,
}

impl Rhythm {
    /// The rhythm of an operation seen for the first time.
    pub(crate) const NEW: Self = Self {
        gap: 0,
        since: 0,
        regular: 0.0,
    };

    pub(crate) fn of(belief: &Belief) -> Self {
        let regular = f64::from(belief.regular);
        Self {
            gap: belief.gap,
            since: belief.since,
            regular: if (0.0..=1.0).contains(&regular) {
                regular
            } else {
                0.0
            },
        }
    }

    /// Whether it is due this many windows from now, if it keeps the gap.
    fn is_due(self, windows: u16) -> bool {
        self.gap >= SHORTEST && self.since.saturating_add(windows).is_multiple_of(self.gap)
    }

    /// Follows a window that ends this many windows after the previous one, with or without requests, after a
    /// silent or an active one.
    pub(crate) fn after(
        self,
        has_requests: bool,
        was_silent: bool,
        windows: f64,
        tuning: &Tuning,
    ) -> Self {
        // An out-of-range conversion saturates.
        let passed = windows as u16;
        let since = self.since.saturating_add(passed);
        let due = self.is_due(passed);
        let comes = has_requests && (was_silent || due);
        let regular = match (comes, due) {
            (true, true) => self.regular + tuning.believed * (1.0 - self.regular),
            (true, false) | (false, true) => self.regular * tuning.doubted,
            (false, false) => self.regular,
        };
        Self {
            gap: if comes && !due && regular < tuning.tried {
                since
            } else {
                self.gap
            },
            since: if comes { 0 } else { since },
            regular,
        }
    }

    /// After windows that show nothing: where it is now, and the probability that it has traffic there.
    pub(crate) fn carried(
        self,
        windows: f64,
        present: f64,
        stay: f64,
        by_chance: f64,
    ) -> (Self, f64) {
        // An out-of-range conversion saturates.
        let passed = windows as u16;
        let next = if self.is_due(passed) {
            1.0
        } else {
            present * stay
        };
        let part = if self.gap < SHORTEST {
            0.0
        } else {
            self.regular
        };
        let carried = Self {
            since: self.since.saturating_add(passed),
            ..self
        };
        (carried, by_chance + part * (next - by_chance))
    }

    /// The certainty that the next window lies within the gap.
    pub(crate) fn is_pausing(self) -> f64 {
        if self.gap >= SHORTEST && !self.is_due(1) {
            self.regular
        } else {
            0.0
        }
    }

    /// The probability that it has traffic when a plan made now is used: `by_chance` weighted by the doubt in
    /// the gap, else by whether it is due and for how long it stays active. `later` is the part of the use that
    /// falls into the window after the next.
    pub(crate) fn expected(self, present: f64, stay: f64, by_chance: f64, later: f64) -> f64 {
        if self.gap < SHORTEST {
            return by_chance;
        }
        let next = |present: f64, windows| {
            if self.is_due(windows) {
                1.0
            } else {
                present * stay
            }
        };
        let first = next(present, 1);
        let expected = (1.0 - later) * first + later * next(first, 2);
        by_chance + self.regular * (expected - by_chance)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const LATER: f64 = 0.65;

    /// The state after windows with (`x`) and without requests.
    fn after(windows: &str) -> Rhythm {
        let mut rhythm = Rhythm::NEW;
        let mut silent = false;
        for window in windows.chars() {
            rhythm = rhythm.after(window == 'x', silent, 1.0, &Tuning::DEFAULT);
            silent = window != 'x';
        }
        rhythm
    }

    #[test]
    fn one_that_comes_every_fifth_window_is_expected_when_it_is_due() {
        let mut windows = "x....".repeat(12);
        let mut expected = Vec::new();
        for window in "x....".chars() {
            windows.push(window);
            let present = f64::from(u8::from(window == 'x'));
            expected.push(after(&windows).expected(present, 0.0, 0.2, LATER));
        }
        for (place, planned) in [0.0, 0.0, 0.0, LATER, 1.0 - LATER].into_iter().enumerate() {
            assert!((expected[place] - planned).abs() < 0.05, "{expected:?}");
        }
    }

    #[test]
    fn one_that_stays_for_a_while_comes_when_it_begins() {
        for windows in ["xx...", "x....xx..."] {
            let rhythm = after(&windows.repeat(20));
            assert_eq!(rhythm.gap, 5, "{rhythm:?}");
            assert!(rhythm.regular > 0.9, "{rhythm:?}");
        }
    }

    #[test]
    fn one_that_comes_by_chance_keeps_no_gap_and_one_always_there_has_none() {
        let by_chance = "x..x.x....x.xx...x......x.x...x..xx.x.....x.x..x...xx....x..x";
        assert!(after(by_chance).regular < 0.4, "{:?}", after(by_chance));
        let rhythm = after(&"x".repeat(70_000));
        assert_eq!(rhythm.expected(1.0, 0.999, 0.999, LATER), 0.999);
        assert_eq!(rhythm.is_pausing(), 0.0);
    }

    #[test]
    fn one_that_stops_is_given_up_and_one_that_changes_its_gap_is_followed() {
        let stopped = after(&("x..".repeat(20) + &"...".repeat(10)));
        assert!(stopped.regular < 0.15, "{stopped:?}");
        let changed = after(&("x..".repeat(20) + &"x......".repeat(12)));
        assert_eq!(changed.gap, 7, "{changed:?}");
        assert!(changed.regular > 0.7, "{changed:?}");
    }

    #[test]
    fn a_belief_that_is_none_is_read_as_none() {
        for regular in [f32::NAN, f32::INFINITY, -1.0, 2.0] {
            let belief = Belief {
                regular,
                gap: u16::MAX,
                since: u16::MAX,
                ..Belief::default()
            };
            let rhythm = Rhythm::of(&belief);
            let rhythm = rhythm.after(false, true, f64::INFINITY, &Tuning::DEFAULT);
            assert_eq!(rhythm.expected(0.0, 0.5, 0.3, LATER), 0.3);
        }
    }
}
