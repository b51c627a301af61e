//! Corrects the remaining bias slowly.
//!
//! Demand is reported before sampling, so the budget holds by feed-forward alone. What remains is a bias
//! that no demand report shows: SDKs that round, that hold old rates for longer, that keep traces by
//! themselves, bursts that are longer than lulls are deep. The sampled counts show it, window by window and
//! blurred by chance. So it is smoothed, followed slowly and bounded, and a single window counts for no more
//! than traffic usually scatters.

use crate::tally::SortedCounts;
use crate::{Plan, peaks};

/// How fast the sampled part of the budget is smoothed.
const SMOOTHING: f64 = 0.3;

/// The part of the relative error by which one window moves the factor: a bias is corrected within an hour.
/// Each window's scatter moves the factor too, and a steady fleet that scatters by 3 % is held 1 % worse.
const STEP: f64 = 0.02;

/// A window that was to sample this many traces counts for half: chance blurs it by a fifth. With 1,000, fleets
/// with a request per operation and window stayed 20 % too low for hours.
const TELLING: f64 = 20.0;

/// A window that was to sample this many traces samples none by chance in less than one of 10,000.
const NONE_BY_CHANCE: f64 = 10.0;

/// The bounds of the factor. At a bound, SDKs do not apply what they are served.
const LEAST: f64 = 0.8;
const MOST: f64 = 1.25;

/// The number of windows to skip after a change of the budget: until SDKs have polled the answer to it.
const REST_WINDOWS: u32 = 3;

/// A window that sampled more than the budget by this many times the usual error of forecasts is cut to it, and
/// one that sampled less alike. So a step of all traffic teaches a steady fleet next to nothing, and a fleet
/// with bursts learns from its bursts. Leaving them out would teach it only what its calm windows keep, which
/// is less than the mean: traffic with heavy tails was kept 8 to 32 % too high.
const OUTLYING_DEVIATIONS: f64 = 6.0;

/// The bounds of that cut, as a part of the budget.
const OUTLYING_LEAST: f64 = 0.25;
const OUTLYING_MOST: f64 = 5.0;

/// A window of which less is in teaches nothing.
const COVERED: f64 = 0.3;

/// The factor on the budget before it is shared, and its state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trim {
    /// The factor.
    pub factor: f64,
    /// The smoothed part of the budget that was sampled in the windows it was learned from; 0 before the first.
    pub sampled: f64,
    /// Windows still to be skipped after a change of the budget.
    pub rest_windows: u32,
}

impl Default for Trim {
    fn default() -> Self {
        Self {
            factor: 1.0,
            sampled: 0.0,
            rest_windows: 0,
        }
    }
}

impl Trim {
    /// Learns from a window that was sampled by `previous`, and of which the counts of `part` are in; the budget
    /// from now on is `budget_now`.
    ///
    /// Late reports do not change what was learned: a window is scaled by the part that was reported.
    ///
    /// # Source
    /// An integral controller of the error, in the logarithm of the factor, with gain [`STEP`], less where few
    /// traces show the error. It does not use the logarithm of the error, which would leave a bias where errors
    /// are skewed. It freezes instead of resetting while reports are missing, so that a gap does not undo what
    /// was learned.
    pub(crate) fn after(
        self,
        previous: &Plan,
        tally: &SortedCounts,
        part: f64,
        budget_now: f64,
    ) -> Self {
        let this = self.tamed();
        if previous.number == 0 || budget_now != previous.fleet.budget {
            // What SDKs hold was decided for another budget, or guessed.
            return Self {
                rest_windows: REST_WINDOWS,
                ..this
            };
        }
        let budget = previous.fleet.budget;
        if part < COVERED {
            return this;
        }
        if this.rest_windows > 0 {
            return Self {
                rest_windows: this.rest_windows - 1,
                ..this
            };
        }
        let outlying = outlying(previous.fleet.common.deviation());
        let sampled = tally.per_second(tally.sampled) / part / budget;
        let sampled = sampled.clamp(1.0 / outlying, outlying);
        let binds = previous.fleet.level.is_finite()
            && previous.fleet.level > 0.0
            && !peaks::binds(previous);
        if !binds {
            return this;
        }
        // What was to be sampled, not what was: otherwise bursts would count for more than lulls.
        let traces = budget * tally.seconds * part;
        // Agents that report no sampled counts say nothing of a bias.
        let untold = this.sampled <= 0.0 || traces > NONE_BY_CHANCE;
        if tally.sampled <= 0.0 && untold {
            return this;
        }
        let smoothed = if this.sampled > 0.0 {
            this.sampled + SMOOTHING * (sampled - this.sampled)
        } else {
            sampled
        };
        let step = STEP * traces / (traces + TELLING);
        Self {
            factor: (this.factor * (step * (1.0 - smoothed)).exp()).clamp(LEAST, MOST),
            sampled: smoothed,
            rest_windows: 0,
        }
    }

    /// Falls back to the default if the stored values are out of range, as in a damaged plan.
    fn tamed(self) -> Self {
        let sound = (LEAST..=MOST).contains(&self.factor)
            && (0.0..=1.0 + OUTLYING_MOST).contains(&self.sampled);
        if sound { self } else { Self::default() }
    }
}

/// What a window may at most sample of the budget, and the inverse of what it must at least sample, to count in
/// full.
fn outlying(deviation: f64) -> f64 {
    1.0 + (OUTLYING_DEVIATIONS * deviation).clamp(OUTLYING_LEAST, OUTLYING_MOST)
}
