//! Whether an operation has traffic at all, window by window.
//!
//! Many operations are on and off: a job that runs every five minutes, a page nobody opens at night, a
//! name that a deploy replaced. Each is modelled as a chain of two states, with one probability to stay on
//! and one to wake up, learned from its own windows. A window with requests shows the state. An empty
//! window shows it with the probability that it is not empty by chance.

use crate::Belief;
use crate::tuning::estimate::Presence as Tuning;

/// The least expected presence of an operation, however long it has been silent, so that share over
/// demand stays a probability.
const LEAST: f64 = 1e-9;

/// The state of an operation after a window, and how it changes.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Presence {
    /// The probability that it had traffic in the window.
    pub present: f64,
    /// The probability to have traffic in the next window after one with.
    pub stay: f64,
    /// The probability to have traffic in the next window after one without.
    pub wake: f64,
}

impl Presence {
    /// One that has just been seen for the first time, if it stays with this probability.
    pub(crate) fn new(stay: f64, tuning: &Tuning) -> Self {
        Self {
            present: 1.0,
            stay,
            wake: tuning.wake * stay,
        }
    }

    /// The same, if it stays with at most this probability.
    pub(crate) fn at_most(self, stay: f64) -> Self {
        Self {
            stay: self.stay.min(stay),
            ..self
        }
    }

    /// The same, present with this probability.
    pub(crate) fn present(self, present: f64) -> Self {
        Self {
            present: present.clamp(0.0, 1.0),
            ..self
        }
    }

    pub(crate) fn of(belief: &Belief) -> Self {
        Self {
            present: f64::from(belief.presence),
            stay: f64::from(belief.stay),
            wake: f64::from(belief.wake),
        }
    }

    /// The probability to have traffic in the next window.
    pub(crate) fn expected(self) -> f64 {
        let expected = self.present * self.stay + (1.0 - self.present) * self.wake;
        Self::tame(expected)
    }

    /// The probability to have traffic when a plan made now is used. `later` is the part of its use that falls into
    /// the window after the next.
    pub(crate) fn ahead(self, later: f64) -> f64 {
        let next = self.expected();
        let after = self.present(next).expected();
        (1.0 - later) * next + later * after
    }

    /// Cuts a probability to what a share can be divided by.
    pub(crate) fn tame(probability: f64) -> f64 {
        probability.clamp(LEAST, 1.0)
    }

    /// The probability to wake up after a window in which it woke up, and had been without traffic before, with these
    /// probabilities. Its inverse is the mean silence, and learns by wake-ups, however far apart they are: of
    /// something that comes every few hours, the last ten windows say nothing.
    ///
    /// # Source
    /// The mean of a hazard under a gamma prior, whose shape 1 / [`Tuning::waking`] is kept.
    fn woken(self, woke: f64, was_off: f64, tuning: &Tuning) -> f64 {
        let silence = 1.0 / self.wake.max(LEAST) + tuning.waking * was_off;
        ((1.0 + tuning.waking * woke) / silence).min(1.0)
    }

    /// Follows a window: one that would be empty with probability `empty` if the operation had traffic, or one
    /// with requests (`empty` absent).
    ///
    /// # Source
    /// The forward step of a hidden Markov model with two states, and its transitions followed
    /// by their posterior probabilities.
    pub(crate) fn after(self, empty: Option<f64>, tuning: &Tuning) -> Self {
        let stay = self.stay.min(tuning.stay_most);
        let (seen_on, seen_off) = empty.map_or((1.0, 0.0), |empty| (empty, 1.0));
        let on_on = self.present * stay * seen_on;
        let on_off = self.present * (1.0 - stay) * seen_off;
        let off_on = (1.0 - self.present) * self.wake.max(LEAST) * seen_on;
        let off_off = (1.0 - self.present) * (1.0 - self.wake) * seen_off;
        let all = on_on + on_off + off_on + off_off;
        if all <= 0.0 {
            return self;
        }
        let (was_on, was_off) = ((on_on + on_off) / all, (off_on + off_off) / all);
        Self {
            present: ((on_on + off_on) / all).clamp(0.0, 1.0),
            stay: self.stay + tuning.learning * (on_on / all - self.stay * was_on),
            wake: self.woken(off_on / all, was_off, tuning),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn after(windows: &[Option<f64>]) -> Presence {
        let next =
            |presence: Presence, window: &Option<f64>| presence.after(*window, &Tuning::DEFAULT);
        windows
            .iter()
            .fold(Presence::new(1.0, &Tuning::DEFAULT), next)
    }

    #[test]
    fn an_operation_without_a_gap_is_expected_for_certain() {
        assert_eq!(after(&[None; 50]).expected(), 1.0);
    }

    #[test]
    fn a_busy_operation_that_falls_silent_is_given_up_at_once() {
        let silent = after(&[None, None, None, Some(1e-9)]);
        assert!(silent.present < 1e-5, "{silent:?}");
        assert!(silent.expected() < 0.1, "{silent:?}");
    }

    #[test]
    fn a_rare_operation_is_given_up_when_chance_no_longer_explains_it() {
        let often_empty = Some(0.8);
        assert!(after(&[often_empty; 5]).present > 0.9);
        assert!(after(&[often_empty; 60]).present < 0.3);
    }

    #[test]
    fn one_that_comes_seldom_is_still_expected_after_a_silence_like_those_before() {
        let mut presence = Presence::new(1.0, &Tuning::DEFAULT);
        for window in 0..2000 {
            presence = presence.after((window % 100 != 0).then_some(1e-9), &Tuning::DEFAULT);
        }
        let expected = presence.expected();
        assert!((0.002..0.02).contains(&expected), "{expected}");
    }

    #[test]
    fn one_that_stays_on_for_some_windows_is_expected_as_often_as_it_is_on_when_a_plan_is_used() {
        let on = |window: u32| f64::from(u8::from(window % 50 < 5));
        let later = crate::Tuning::DEFAULT.estimate.operation.later();
        let mut presence = Presence::new(1.0, &Tuning::DEFAULT);
        let (mut expected, mut comes) = (0.0, 0.0);
        for window in 0..2000 {
            presence = presence.after((on(window) == 0.0).then_some(1e-9), &Tuning::DEFAULT);
            if window >= 1000 && on(window) == 0.0 {
                expected += presence.ahead(later);
                comes += (1.0 - later) * on(window + 1) + later * on(window + 2);
            }
        }
        let ratio = expected / comes;
        assert!((0.7..1.3).contains(&ratio), "{ratio}");
    }

    #[test]
    fn one_that_fires_every_fifth_window_is_expected_in_a_fifth() {
        let mut presence = Presence::new(1.0, &Tuning::DEFAULT);
        let (mut expected, mut windows) = (0.0, 0.0);
        for window in 0..500 {
            presence = presence.after((window % 5 != 0).then_some(1e-9), &Tuning::DEFAULT);
            if window >= 250 {
                expected += presence.expected();
                windows += 1.0;
            }
        }
        let mean = expected / windows;
        assert!((mean - 0.2).abs() < 0.02, "{mean}");
    }
}
