//! What the traffic of all operations does together.
//!
//! Day and night, a campaign, an outage upstream: much of what changes, changes everywhere. No
//! small operation's own count shows it in time, but all counts together do, and each estimate is
//! moved by it before its own count is looked at. All together also show where they are going:
//! one operation's trend drowns in its noise, the fleet's does not.

use super::estimate::{Outlook, STEP_DEVIATIONS};

/// How much the traffic scatters in common from window to window around its course.
const COMMON_NOISE: f64 = 0.03;

/// The steady gain for a fleet so large that only [`COMMON_NOISE`] blurs the common change.
const GAIN: f64 = 0.5;

/// How much the common course drifts from window to window, as a relative variance.
const DRIFT: f64 = COMMON_NOISE * COMMON_NOISE * GAIN * GAIN / (1.0 - GAIN);

/// How much of what is learned of the course goes into its trend: a trend is seen over some
/// twenty windows, as days and campaigns have them.
const TREND_GAIN: f64 = 0.1;

/// What is left of a trend from window to window without a sign of it: none goes on for ever.
const TREND_KEPT: f64 = 0.98;

/// No window shows more of a trend than this, lest a jump be taken for one.
const TREND_SEEN_MAX: f64 = 0.1;

/// No fleet is expected to grow or shrink by more in one window.
const TREND_MAX: f64 = 0.05;

/// How many windows after the one it was learned from a plan is used, on average: SDKs poll once
/// an interval, so a plan meets the second half of the next window and the first of the one after,
/// each later by the grace.
const AHEAD: f64 = 1.65;

/// Where the fleet's traffic is going.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(super) struct Trend(f64);

impl Trend {
    /// The relative change per window.
    pub(super) fn new(per_window: f64) -> Self {
        Self(if per_window.is_finite() {
            per_window.clamp(-TREND_MAX, TREND_MAX)
        } else {
            0.0
        })
    }

    pub(super) fn per_window(self) -> f64 {
        self.0
    }

    /// What rates are multiplied by from one window to the next.
    pub(super) fn step(self) -> f64 {
        self.0.exp()
    }

    /// What rates are multiplied by from a window to when its plan is used.
    pub(super) fn ahead(self) -> f64 {
        (AHEAD * self.0).exp()
    }
}

/// What every estimate is multiplied by beside the trend before it meets its own count, and the
/// trend after that.
///
/// Every count's ratio to what was expected weighs by the inverse of its variance; steps are left
/// out, and empty windows count as far as they are empty by chance.
///
/// # Source
/// The steady-state gain of the Kalman filter for a random walk with drift variance q seen
/// through noise of variance r: with s = q/r, K = (√(s² + 4s) − s)/2. The trend is Holt's, damped
/// (E. S. Gardner and E. McKenzie, «Forecasting trends in time series», Management Science 31,
/// 1985).
pub(super) fn common_change(outlooks: impl Iterator<Item = Outlook>, trend: Trend) -> (f64, Trend) {
    let mut sums = Sums::default();
    // In the order of the operations, so the same sums for the same inputs.
    outlooks
        .filter(|outlook| !outlook.step)
        .for_each(|outlook| sums.add(&outlook));
    let (counted, expected) = (sums.counted, sums.expected + sums.excess());
    let fading = TREND_KEPT * trend.0;
    if sums.expected <= 0.0 {
        return (1.0, Trend::new(fading));
    }
    let (ratio, sampling) = (counted / expected, 1.0 / sums.expected);
    let step = (sampling + (2.0 * COMMON_NOISE).powi(2)).sqrt() * STEP_DEVIATIONS;
    if (ratio - 1.0).abs() > step {
        return (ratio, Trend::new(fading));
    }
    let s = DRIFT / (sampling + COMMON_NOISE * COMMON_NOISE);
    let gain = f64::midpoint((s * s + 4.0 * s).sqrt(), -s);
    let seen = (ratio - 1.0).clamp(-TREND_SEEN_MAX, TREND_SEEN_MAX);
    let change = 1.0 + gain * (ratio - 1.0);
    (change, Trend::new(fading + TREND_GAIN * gain * seen))
}

/// Counts against what was expected, over operations.
#[derive(Debug, Default)]
struct Sums {
    /// Counts, each by what was expected.
    counted: f64,
    expected: f64,
    /// By how much the counts of a fleet at rest come out above.
    bias: f64,
    /// The squared deviations of the counts, and what the filters believe them to be.
    scatter: f64,
    scatter_believed: f64,
}

impl Sums {
    fn add(&mut self, outlook: &Outlook) {
        let weight = 1.0 / (outlook.noise() + outlook.variance);
        let ratio = outlook.counted / outlook.expected;
        let believed = weight * outlook.presence.present;
        self.counted += weight * ratio;
        self.expected += believed;
        // The weight falls with what is expected, so that too low an estimate counts for more
        // than one too high. At rest a filter scatters by half the variance it believes, which
        // allows for drift.
        let leaning = believed * (1.0 - weight / outlook.expected);
        self.bias += leaning * outlook.variance_before / 2.0;
        self.scatter += leaning * weight * (ratio - 1.0).powi(2);
        self.scatter_believed += leaning;
    }

    /// The bias, as far as the counts scatter as much as believed: counts that are always the
    /// same have none.
    fn excess(&self) -> f64 {
        if self.scatter < self.scatter_believed {
            self.bias * self.scatter / self.scatter_believed
        } else {
            self.bias
        }
    }
}
