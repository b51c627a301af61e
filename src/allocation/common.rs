//! What the traffic of all operations does together.
//!
//! Day and night, a campaign, an outage upstream: much of what changes, changes everywhere. No
//! small operation's own count shows it in time, but all counts together do, and each estimate is
//! moved by it before its own count is looked at.

use super::estimate::{Outlook, STEP_DEVIATIONS};

/// How much the traffic scatters in common from window to window around its course.
const COMMON_NOISE: f64 = 0.03;

/// The steady gain for a fleet so large that only [`COMMON_NOISE`] blurs the common change.
const GAIN: f64 = 0.5;

/// How much the common course drifts from window to window, as a relative variance.
const DRIFT: f64 = COMMON_NOISE * COMMON_NOISE * GAIN * GAIN / (1.0 - GAIN);

/// What every estimate is multiplied by before it meets its own count.
///
/// Every count's ratio to what was expected weighs by the inverse of its variance; steps are left
/// out, and empty windows count as far as they are empty by chance.
///
/// # Source
/// The steady-state gain of the Kalman filter for a random walk with drift variance q seen
/// through noise of variance r: with s = q/r, K = (√(s² + 4s) − s)/2.
pub(super) fn common_change(outlooks: impl Iterator<Item = Outlook>) -> f64 {
    let (mut counted, mut expected) = (0.0, 0.0);
    // In the order of the operations, so the same sums for the same inputs.
    for outlook in outlooks.filter(|outlook| !outlook.step) {
        let weight = 1.0 / (outlook.noise() + outlook.variance);
        counted += weight * outlook.counted / outlook.expected;
        expected += weight * outlook.presence.present;
    }
    if expected <= 0.0 {
        return 1.0;
    }
    let (ratio, sampling) = (counted / expected, 1.0 / expected);
    let step = (sampling + (2.0 * COMMON_NOISE).powi(2)).sqrt() * STEP_DEVIATIONS;
    let gain = if (ratio - 1.0).abs() > step {
        1.0
    } else {
        let s = DRIFT / (sampling + COMMON_NOISE * COMMON_NOISE);
        f64::midpoint((s * s + 4.0 * s).sqrt(), -s)
    };
    1.0 + gain * (ratio - 1.0)
}
