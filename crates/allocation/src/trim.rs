//! Corrects the remaining bias slowly.
//!
//! Demand is reported before sampling, so the budget holds by feed-forward alone. What remains is a bias
//! that no demand report shows: SDKs that round, that hold old rates for longer, that keep traces by
//! themselves. The sampled counts show it, window by window and blurred by chance. So it is smoothed,
//! followed slowly, bounded, and followed only while no change of all traffic explains it.

use super::completeness::Reading;
use super::tally::SortedCounts;
use super::{Hold, Plan};

/// How fast the sampled part of the budget is smoothed.
const SMOOTHING: f64 = 0.3;

/// The part of the relative error by which one window moves the factor: a bias is corrected in about half
/// an hour. Each window's scatter moves the factor too: with 0.1, a steady fleet that scatters by 3 % was
/// held 3 % worse than without a trim; with this value, 1 % worse.
const STEP: f64 = 0.03;

/// A window that sampled this many traces is blurred by 3 %, as much as traffic scatters in common anyhow. A
/// window that sampled fewer counts for less.
const TELLING: f64 = 1000.0;

/// The bounds of the factor. At a bound, SDKs do not apply what they are served.
const LEAST: f64 = 0.8;
const MOST: f64 = 1.25;

/// A change of all traffic beyond this, against the forecast, is a change of regime: that window and the
/// next ones say nothing about a bias. Smaller changes teach like any window: leaving them out left a bias
/// of 2 % in traffic that comes and goes every few windows.
const REGIME: f64 = 0.25;

/// If forecasts are often further off, only this many times their mean error is a change of regime.
const REGIME_DEVIATIONS: f64 = 3.0;

/// The number of windows to skip then: until SDKs have polled the answer to the change.
const REST_WINDOWS: u32 = 3;

/// A window that sampled more than this many times the budget, or less than its inverse, is cut to it.
/// Leaving such windows out would teach a fleet with bursts only what its calm windows keep, which is less
/// than the mean.
const OUTLYING: f64 = 2.0;

/// The factor on the budget before it is shared, and its state.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Trim {
    /// The factor.
    pub factor: f64,
    /// The smoothed part of the budget that was sampled in the windows it was learned from; 0 before the first.
    pub sampled: f64,
    /// Windows still to be skipped after a change of all traffic.
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
    /// Learns from a window that was sampled by `previous` and forecast to offer `forecast`; the budget from
    /// now on is `budget_now`.
    ///
    /// Late reports do not change what was learned: a window is scaled by the part that was reported.
    ///
    /// # Source
    /// An integral controller of the error, in the logarithm of the factor, with gain [`STEP`], less where few
    /// traces show the error. It does not use the logarithm of the error, which would leave a bias where errors
    /// are skewed. It freezes instead of resetting while reports are missing, so that a gap does not undo what
    /// was learned.
    pub(super) fn after(
        self,
        previous: &Plan,
        tally: &SortedCounts,
        reading: &Reading,
        forecast: f64,
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
        let part = reading.part_counted();
        let budget = previous.fleet.budget;
        if reading.hold != Hold::None || part <= 0.0 || forecast <= 0.0 {
            return this;
        }
        let moved = (tally.offered_per_second() / part / forecast - 1.0).abs();
        let regime = REGIME.max(REGIME_DEVIATIONS * previous.fleet.common.deviation());
        if moved > regime {
            return Self {
                rest_windows: REST_WINDOWS,
                ..this.unlearned()
            };
        }
        if this.rest_windows > 0 {
            return Self {
                rest_windows: this.rest_windows - 1,
                ..this.unlearned()
            };
        }
        let sampled = tally.per_second(tally.sampled) / part / budget;
        let sampled = sampled.clamp(1.0 / OUTLYING, OUTLYING);
        let binds = previous.fleet.level.is_finite() && previous.fleet.level > 0.0;
        if !binds {
            return this;
        }
        let smoothed = if this.sampled > 0.0 {
            this.sampled + SMOOTHING * (sampled - this.sampled)
        } else {
            sampled
        };
        let traces = tally.sampled;
        let step = STEP * traces / (traces + TELLING);
        Self {
            factor: (this.factor * (step * (1.0 - smoothed)).exp()).clamp(LEAST, MOST),
            sampled: smoothed,
            rest_windows: 0,
        }
    }

    /// Falls back to the default if the stored values are out of range, as in a damaged plan.
    fn tamed(self) -> Self {
        let sound =
            (LEAST..=MOST).contains(&self.factor) && (0.0..=OUTLYING).contains(&self.sampled);
        if sound { self } else { Self::default() }
    }

    /// A window that can teach nothing undoes a little of what others taught.
    ///
    /// Otherwise a fleet with bursts would be learned from in its calm windows alone, and those keep less than
    /// the mean.
    fn unlearned(self) -> Self {
        Self {
            factor: self.factor.powf(1.0 - STEP),
            ..self
        }
    }
}
