//! The recent peak of a rate.

use crate::amount::amount;
use crate::tuning::share::Peaks as Tuning;

/// The peak of a rate after a window.
pub(crate) fn after(peak: f64, rate: f64, windows: f64, tuning: &Tuning) -> f64 {
    risen(peak, rate, windows, tuning.rise, tuning)
}

pub(crate) fn risen(peak: f64, rate: f64, windows: f64, rise: f64, tuning: &Tuning) -> f64 {
    let peak = amount(peak);
    let most = if peak > 0.0 { rise * peak } else { rate };
    let kept = if rate > tuning.hardly * peak {
        tuning.kept.powf(windows)
    } else {
        1.0
    };
    (kept * peak).max(rate.min(most))
}
