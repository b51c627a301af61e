//! Corrects the remaining bias slowly.
//!
//! Demand is reported before sampling, so the budget holds by feed-forward alone. What remains is a bias
//! that no demand report shows: SDKs that round, that hold old rates for longer, that keep traces by
//! themselves, bursts that are longer than lulls are deep. The sampled counts show it, window by window and
//! blurred by chance. So it is smoothed, followed slowly and bounded, and a single window counts for no more
//! than traffic usually scatters.

use crate::tally::SortedCounts;
use crate::tuning::{Tuning, serve};
use crate::{Plan, peaks};

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
    /// An integral controller of the error, in the logarithm of the factor, with gain [`step`](serve::Trim::step), less where few
    /// traces show the error. It does not use the logarithm of the error, which would leave a bias where errors
    /// are skewed. It freezes instead of resetting while reports are missing, so that a gap does not undo what
    /// was learned.
    pub(crate) fn after(
        self,
        previous: &Plan,
        tally: &SortedCounts,
        part: f64,
        budget_now: f64,
        all: &Tuning,
    ) -> Self {
        let tuning = &all.serve.trim;
        let this = self.tamed(tuning);
        if previous.number == 0 || budget_now != previous.fleet.budget {
            // What SDKs hold was decided for another budget, or guessed.
            return Self {
                rest_windows: tuning.rest_windows,
                ..this
            };
        }
        let budget = previous.fleet.budget;
        if part < tuning.covered {
            return this;
        }
        if this.rest_windows > 0 {
            return Self {
                rest_windows: this.rest_windows - 1,
                ..this
            };
        }
        let outlying = outlying(previous.fleet.common.deviation(&all.estimate), tuning);
        let sampled = tally.per_second(tally.sampled) / part / budget;
        let sampled = sampled.clamp(1.0 / outlying, outlying);
        let binds = previous.fleet.level.is_finite()
            && previous.fleet.level > 0.0
            && !peaks::binds(previous, &all.share.peaks);
        if !binds {
            return this;
        }
        // What was to be sampled, not what was: otherwise bursts would count for more than lulls.
        let traces = budget * tally.seconds * part;
        // Agents that report no sampled counts say nothing of a bias.
        let untold = this.sampled <= 0.0 || traces > tuning.none_by_chance;
        if tally.sampled <= 0.0 && untold {
            return this;
        }
        let smoothed = if this.sampled > 0.0 {
            this.sampled + tuning.smoothing * (sampled - this.sampled)
        } else {
            sampled
        };
        let step = tuning.step * traces / (traces + tuning.telling);
        Self {
            factor: (this.factor * (step * (1.0 - smoothed)).exp())
                .clamp(tuning.least, tuning.most),
            sampled: smoothed,
            rest_windows: 0,
        }
    }

    /// Falls back to the default if the stored values are out of range, as in a damaged plan.
    fn tamed(self, tuning: &serve::Trim) -> Self {
        let sound = (tuning.least..=tuning.most).contains(&self.factor)
            && (0.0..=1.0 + tuning.outlying_most).contains(&self.sampled);
        if sound { self } else { Self::default() }
    }
}

/// What a window may at most sample of the budget, and the inverse of what it must at least sample, to count in
/// full.
fn outlying(deviation: f64, tuning: &serve::Trim) -> f64 {
    let cut = tuning.outlying_deviations * deviation;
    1.0 + cut.clamp(tuning.outlying_least, tuning.outlying_most)
}
