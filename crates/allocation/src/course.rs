//! One way to follow what the traffic of all operations does together: at its own pace.
//!
//! Levels are logarithms against what the estimates say together, so an operation that comes or
//! goes moves none of them. Read [`PACES`] first; [`Common`](super::Common) mixes the courses.

/// How many courses are followed.
pub const COURSES: usize = 7;

/// The ways in which the common course is followed.
///
/// Chosen on made-up fleets at rest, in waves, on ramps and after steps, and on the first halves of
/// recordings (requests of a public site per minute, posts that name a company per five minutes,
/// invocations of functions per minute), by adding whatever lowered the mean error of what is served
/// most. From five on the gain is small, after seven there is none; the second halves agree.
pub(super) const PACES: [Pace; COURSES] = [
    pace(0.05, 0.0, 1.0),
    pace(0.2, 0.0, 1.0),
    pace(0.4, 0.0, 1.0),
    pace(0.75, 0.0, 1.0),
    pace(0.2, 0.22, 1.0),
    pace(0.45, 0.29, 0.98),
    pace(0.9, 0.41, 0.9),
];

/// How fast a course follows.
pub(super) struct Pace {
    /// The part of a window's deviation that its level takes up, once it has settled.
    gain: f64,
    /// How much of what its level takes up its slope takes up: 0 for a level alone.
    slope_gain: f64,
    /// What is left of its slope from window to window.
    kept: f64,
}

const fn pace(gain: f64, slope_gain: f64, kept: f64) -> Pace {
    Pace {
        gain,
        slope_gain,
        kept,
    }
}

impl Pace {
    /// How much the level drifts from window to window, as a part of the noise's variance: the
    /// drift at which the steady gain of a random walk's filter is this one's.
    fn drift(&self) -> f64 {
        self.gain * self.gain / (1.0 - self.gain)
    }
}

/// No error counts for more than one of so many standard deviations, or one burst would be all that
/// is remembered.
const ERROR_DEVIATIONS: f64 = 4.0;

/// What mean squared errors are kept between, so that no course counts for all or for nothing.
const ERROR_LEAST: f64 = 1e-8;
const ERROR_MOST: f64 = 10.0;

/// After a gap of whatever length a level is known no worse than this, in variances of the noise.
const VARIANCE_MOST: f64 = 1e3;

/// No level falls by more than this part of it in one window.
const FALL_MOST: f64 = 0.999;

/// No level is further from what the estimates say than this, as a logarithm.
const LEVEL_MOST: f64 = 10.0;

/// No fleet is expected to grow or shrink by more in one window.
pub(super) const TREND_MAX: f64 = 0.05;

/// How many windows after the one it was learned from a plan is used, on average: SDKs poll once
/// an interval, so a plan meets the second half of the next window and the first of the one after,
/// each later by the grace.
pub(super) const AHEAD: f64 = 1.65;

/// The part of a plan's use that falls into the window after the next.
pub(super) const LATER: f64 = AHEAD - 1.0;

/// One follower of the common course.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Course {
    /// Its level, as a logarithm against what the estimates say.
    pub level: f64,
    /// The change of the level per window.
    pub slope: f64,
    /// The level's variance, in variances of the noise.
    pub variance: f64,
    /// The level that was forecast for the next window a window ago, as a logarithm like the level.
    pub later: f64,
    /// The mean squared error of what it forecast, relative to what came.
    pub error: f64,
}

/// What a window shows of the common course.
pub(super) struct Seen {
    /// The level, against what the estimates say.
    pub level: f64,
    /// By how much its variance is above the usual, through the operations' own scatter.
    pub more: f64,
    /// Windows since the window before.
    pub since: f64,
    /// The windows that errors are remembered of, this one too.
    pub remembered: f64,
}

impl Course {
    /// One that says what the estimates say, as nobody knows better.
    pub(super) fn new(error: f64) -> Self {
        Self {
            level: 0.0,
            slope: 0.0,
            variance: 1.0,
            later: 0.0,
            error,
        }
    }

    /// Begins at a level that one window has shown; half of the slope may go on.
    pub(super) fn begun_anew(self, level: f64) -> Self {
        Self {
            level,
            slope: self.slope / 2.0,
            variance: 1.0,
            later: level,
            ..self
        }
    }

    /// The same against estimates that have moved by so much, as a logarithm.
    pub(super) fn against(self, level: f64) -> Self {
        Self {
            level: (self.level - level).clamp(-LEVEL_MOST, LEVEL_MOST),
            later: (self.later - level).clamp(-LEVEL_MOST, LEVEL_MOST),
            ..self
        }
    }

    /// The level forecast for the next window, as a logarithm.
    pub(super) fn next(&self, pace: &Pace) -> f64 {
        self.level + pace.kept * self.slope
    }

    /// Follows what a window shows. It is judged by the windows that plans are used in, and its
    /// errors say how much noise there is: a gain needs to know only how much more than usual.
    pub(super) fn followed(&self, pace: &Pace, seen: &Seen) -> Self {
        let next = self.next(pace);
        let off = |forecast: f64| seen.level / forecast.exp() - 1.0;
        let missed = (1.0 - LATER) * off(next) + LATER * off(self.later);
        let worth = self.error / (self.error + seen.more).max(self.error / 2.0);
        let missed = (missed * missed * worth).min(ERROR_DEVIATIONS.powi(2) * self.error);
        let error = self.error + (missed - self.error) / seen.remembered;
        let drifted = (self.variance + pace.drift() * seen.since).min(VARIANCE_MOST);
        let gain = (drifted / (drifted + 1.0) * worth).min(1.0);
        // A window in which nothing came shows a fall, but not to nothing for good.
        let learned = (gain * off(next)).max(-FALL_MOST).ln_1p();
        let slope = pace.kept * self.slope + pace.slope_gain * learned;
        let slope = slope.clamp(-TREND_MAX, TREND_MAX);
        Self {
            level: next + learned,
            slope,
            variance: (1.0 - gain) * drifted,
            later: next + learned + pace.kept * (1.0 + pace.kept) * slope,
            error: error.clamp(ERROR_LEAST, ERROR_MOST),
        }
    }

    pub(super) fn is_sound(&self) -> bool {
        let levels = -LEVEL_MOST..=LEVEL_MOST;
        levels.contains(&self.level)
            && levels.contains(&self.later)
            && (-TREND_MAX..=TREND_MAX).contains(&self.slope)
            && (0.0..=VARIANCE_MOST).contains(&self.variance)
            && (ERROR_LEAST..=ERROR_MOST).contains(&self.error)
    }
}
