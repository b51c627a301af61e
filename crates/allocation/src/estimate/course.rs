//! Follows the common course of all operations at one pace.
//!
//! Levels are logarithms relative to the sum of the estimates, so an operation that appears or
//! disappears does not move them. Read [`PACES`](crate::tuning::estimate::PACES) first; [`Common`](crate::Common) mixes the followers.

use crate::tuning::Estimate as Tuning;
use crate::tuning::estimate::Pace;

/// The bounds of mean squared errors, so that no follower gets all the weight or none.
const ERROR_LEAST: f64 = 1e-8;
const ERROR_MOST: f64 = 10.0;

/// The variance of a level after a gap, in variances of the noise, is at most this.
const VARIANCE_MOST: f64 = 1e3;

/// A level falls by at most this part of itself in one window.
const FALL_MOST: f64 = 0.999;

/// A level stays within this distance of the estimates, as a logarithm.
const LEVEL_MOST: f64 = 10.0;

/// One follower of the common course.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Its level, as a logarithm relative to the estimates.
    pub level: f64,
    /// The change of the level per window.
    pub slope: f64,
    /// The level's variance, in variances of the noise.
    pub variance: f64,
    /// The level forecast one window ago for the next window, as a logarithm like the level.
    pub later: f64,
    /// The mean squared error of its forecasts, relative to what was counted.
    pub error: f64,
}

/// What a window shows of the common course.
pub(crate) struct CourseEvidence {
    /// The level relative to the estimates.
    pub level: f64,
    /// How much its variance exceeds the usual, because of the operations' own noise.
    pub more: f64,
    /// Windows since the previous window.
    pub since: f64,
    /// The number of windows whose errors are remembered, including this one.
    pub remembered: f64,
}

impl Course {
    /// A follower that agrees with the estimates, because nothing else is known.
    pub(crate) fn new(error: f64) -> Self {
        Self {
            level: 0.0,
            slope: 0.0,
            variance: 1.0,
            later: 0.0,
            error,
        }
    }

    /// Restarts at the level of one window; half of the slope may remain.
    pub(crate) fn begun_anew(self, level: f64) -> Self {
        Self {
            level,
            slope: self.slope / 2.0,
            variance: 1.0,
            later: level,
            ..self
        }
    }

    /// The same level after the estimates have moved by this much, as a logarithm.
    pub(crate) fn against(self, level: f64) -> Self {
        Self {
            level: (self.level - level).clamp(-LEVEL_MOST, LEVEL_MOST),
            later: (self.later - level).clamp(-LEVEL_MOST, LEVEL_MOST),
            ..self
        }
    }

    /// The level forecast for the next window, as a logarithm.
    pub(crate) fn next(&self, pace: &Pace) -> f64 {
        self.level + pace.kept * self.slope
    }

    /// Goes on as forecast over windows that show nothing.
    pub(crate) fn carried(&self, pace: &Pace, windows: f64) -> Self {
        let next = self.next(pace);
        let slope = pace.kept * self.slope;
        Self {
            level: next.clamp(-LEVEL_MOST, LEVEL_MOST),
            slope,
            variance: (self.variance + pace.drift() * windows).min(VARIANCE_MOST),
            later: next + pace.kept * slope,
            ..*self
        }
    }

    /// Follows a window. The follower is judged by the windows that its plans are used in. Its errors give
    /// the noise level; the gain needs only how much the noise exceeds the usual.
    pub(crate) fn followed(&self, pace: &Pace, seen: &CourseEvidence, tuning: &Tuning) -> Self {
        let next = self.next(pace);
        let worth = self.error / (self.error + seen.more).max(self.error / 2.0);
        let missed = self.off(pace, seen.level, tuning).powi(2) * worth;
        let drifted = (self.variance + pace.drift() * seen.since).min(VARIANCE_MOST);
        let gain = (drifted / (drifted + 1.0) * worth).min(1.0);
        // A window without any count shows a fall, but not a permanent fall to zero.
        let learned = (gain * (seen.level / next.exp() - 1.0))
            .max(-FALL_MOST)
            .ln_1p();
        let slope = pace.kept * self.slope + pace.slope_gain * learned;
        let slope = slope.clamp(-tuning.common.trend_most, tuning.common.trend_most);
        Self {
            level: next + learned,
            slope,
            variance: (1.0 - gain) * drifted,
            later: next + learned + pace.kept * (1.0 + pace.kept) * slope,
            error: self.remembering(missed, seen.remembered, tuning),
        }
    }

    /// Remembers how far a window at this level was off, without following it.
    pub(crate) fn missed(&self, pace: &Pace, level: f64, remembered: f64, tuning: &Tuning) -> Self {
        Self {
            error: self.remembering(self.off(pace, level, tuning).powi(2), remembered, tuning),
            ..*self
        }
    }

    /// How far a level is off what plans used in its window had forecast, relative to the forecast.
    fn off(&self, pace: &Pace, level: f64, tuning: &Tuning) -> f64 {
        let later = tuning.operation.later();
        let off = |forecast: f64| level / forecast.exp() - 1.0;
        (1.0 - later) * off(self.next(pace)) + later * off(self.later)
    }

    /// The mean squared error after one more squared error; `remembered` is the length of the memory.
    fn remembering(&self, squared: f64, remembered: f64, tuning: &Tuning) -> f64 {
        let squared = squared.min(tuning.common.error_deviations.powi(2) * self.error);
        (self.error + (squared - self.error) / remembered).clamp(ERROR_LEAST, ERROR_MOST)
    }

    pub(crate) fn is_sound(&self, tuning: &Tuning) -> bool {
        let trend_most = tuning.common.trend_most;
        let levels = -LEVEL_MOST..=LEVEL_MOST;
        levels.contains(&self.level)
            && levels.contains(&self.later)
            && (-trend_most..=trend_most).contains(&self.slope)
            && (0.0..=VARIANCE_MOST).contains(&self.variance)
            && (ERROR_LEAST..=ERROR_MOST).contains(&self.error)
    }
}
