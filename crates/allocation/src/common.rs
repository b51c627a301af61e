//! What the traffic of all operations does together.
//!
//! Day and night, a campaign, an outage upstream: much of what changes, changes everywhere. No
//! small operation's own count shows it in time, but all counts together do, and each estimate is
//! moved by it before its own count is looked at. All together also show where they are going:
//! one operation's trend drowns in its noise, the fleet's does not.
//!
//! Traffic at rest wants a slow follower, a campaign a fast one, a morning one that knows a slope.
//! None of them is chosen: several follow the common course side by side, and each is believed as
//! well as it has forecast of late.

use super::course::{AHEAD, COURSES, Course, PACES, Seen, TREND_MAX};
use super::estimate::Outlook;

/// The windows over which errors are remembered: enough to tell the paces apart, few enough to
/// notice within a quarter of an hour that traffic has begun to move. With 30 a ramp is followed by
/// 2 % worse and a fleet at rest by 1 % better.
const MEMORY: f64 = 20.0;

/// How much traffic is taken to scatter in common before any window has shown it, and the least
/// that a jump has to stand out from.
const COMMON_NOISE: f64 = 0.03;

/// The windows that [`COMMON_NOISE`] counts for, before any.
const PRIOR_WINDOWS: f64 = 5.0;

/// Beyond so many standard deviations a window is no noise but a jump: every course begins anew.
const JUMP_DEVIATIONS: f64 = 5.0;

/// No more than this part of how windows scatter is put down to the operations' own scatter: where
/// fleets scatter less than their operations are believed to, that belief is wrong.
const OWN_PART_MAX: f64 = 0.5;

/// No fleet's estimates are moved by more than this as a whole by what each follows, as a logarithm.
const OWN_MOST: f64 = 1.0;

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

/// What is known of the common course.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Common {
    /// How many windows the errors are remembered of.
    pub windows: f64,
    /// The mean variance of what the windows showed in common, as far as the operations' own
    /// scatter makes it.
    pub sampling: f64,
    /// The followers of the course, each at its own pace.
    pub courses: [Course; COURSES],
}

impl Default for Common {
    fn default() -> Self {
        let course = Course::new(COMMON_NOISE * COMMON_NOISE);
        Self {
            windows: PRIOR_WINDOWS,
            sampling: 0.0,
            courses: [course; COURSES],
        }
    }
}

/// What a window does to all operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(super) struct Shift {
    /// What every estimate is multiplied by.
    pub change: f64,
    /// What is expected of every count of this window alone: the change, and what of the window's
    /// deviation will not last.
    pub moment: f64,
    /// What the estimates' own gains would move all of them by on top of the change.
    pub own: f64,
}

impl Shift {
    /// One that lasts as a whole.
    fn for_good(change: f64) -> Self {
        Self {
            change,
            moment: change,
            own: 1.0,
        }
    }

    /// Upwards alone: what is missing of a window shows no fall.
    pub(super) fn upwards(self) -> Self {
        Self::for_good(self.change.max(1.0))
    }

    /// What a count of this window is multiplied by to be compared with those to come.
    pub(super) fn lasting(self) -> f64 {
        self.change / self.moment
    }
}

impl Common {
    /// Follows a window, of which the operations were expected as the trend says; gives what it does
    /// to all of them and the trend after it.
    ///
    /// Every count's ratio to what was expected weighs by the inverse of its variance; steps are
    /// left out, and empty windows count as far as they are empty by chance.
    ///
    /// # Source
    /// A multi-process model (M. West and J. Harrison, «Bayesian Forecasting and Dynamic Models»,
    /// 1997, chapter 12) whose past fades (A. E. Raftery, M. Kárný and P. Ettler, «Online prediction
    /// under model uncertainty via dynamic model averaging», Technometrics 52, 2010). Each course is
    /// a Kalman filter of a random walk; slopes are Holt's, damped (E. S. Gardner and E. McKenzie,
    /// «Forecasting trends in time series», Management Science 31, 1985).
    pub(super) fn after(
        self,
        outlooks: impl Iterator<Item = Outlook>,
        trend: Trend,
        windows: f64,
    ) -> (Self, Shift, Trend) {
        let this = self.tamed();
        let mut sums = Sums::default();
        // In the order of the operations, so the same sums for the same inputs.
        outlooks.for_each(|outlook| sums.add(&outlook));
        if sums.expected <= 0.0 {
            let (next, change, trend) = this.begun_anew(trend.per_window()).centred();
            return (next, Shift::for_good(change), trend);
        }
        let sampling = sums.sampling();
        let seen = sums.ratio() * trend.step();
        let forecast = this.forecast();
        let deviation = seen / forecast - 1.0;
        let least = COMMON_NOISE * COMMON_NOISE + sampling;
        let jump = JUMP_DEVIATIONS * this.error().max(least).sqrt();
        if deviation.abs() > jump && seen > 0.0 {
            let (next, change, trend) = this.begun_anew(seen.ln()).centred();
            return (next, Shift::for_good(change), trend);
        }
        let part = this.common_part(sampling);
        let (next, change, next_trend) = this.followed(seen, sampling, windows).centred();
        let moment = forecast * (1.0 + part * deviation);
        // What lasts is a part of the moment.
        let moment = if deviation > 0.0 {
            moment.max(change)
        } else {
            moment.min(change)
        };
        let own = sums.own(moment / trend.step());
        let shift = Shift {
            change,
            moment,
            own,
        };
        (next, shift, next_trend)
    }

    /// How far forecasts have been off of late, relative to what came.
    pub(super) fn deviation(&self) -> f64 {
        self.tamed().error().sqrt()
    }

    fn error(&self) -> f64 {
        let weights = self.weights();
        let courses = self.courses.iter().zip(&weights);
        courses.map(|(course, weight)| weight * course.error).sum()
    }

    /// What the next window is multiplied by, against what the estimates say.
    fn forecast(&self) -> f64 {
        let weights = self.weights();
        let courses = self.courses.iter().zip(&PACES).zip(&weights);
        let forecasts = courses.map(|((course, pace), weight)| weight * course.next(pace));
        forecasts.sum::<f64>().exp()
    }

    /// The part of a window's deviation that is common, as far as it is not the operations' own
    /// scatter: none for a window that says next to nothing.
    fn common_part(&self, sampling: f64) -> f64 {
        let error = self.error();
        let usual = if self.sampling > 0.0 {
            self.sampling
        } else {
            sampling
        };
        let common = error - usual.min(OWN_PART_MAX * error);
        let more = (sampling - usual).max(0.0);
        common / (error + more)
    }

    fn followed(mut self, seen: f64, sampling: f64, windows: f64) -> Self {
        self.windows = (self.windows * (1.0 - 1.0 / MEMORY) + 1.0).min(MEMORY);
        if self.sampling <= 0.0 {
            self.sampling = sampling;
        }
        let window = Seen {
            level: seen,
            more: sampling - self.sampling,
            since: windows,
            remembered: self.windows,
        };
        for (course, pace) in self.courses.iter_mut().zip(&PACES) {
            *course = course.followed(pace, &window);
        }
        // Not by more than twice at once: one window that says next to nothing is no rule.
        let sampling = sampling.min(2.0 * self.sampling);
        self.sampling += (sampling - self.sampling) / self.windows;
        self
    }

    /// Lets every course begin at a level that one window has shown.
    fn begun_anew(mut self, level: f64) -> Self {
        self.courses = self.courses.map(|course| course.begun_anew(level));
        self
    }

    /// How far each course is believed: by the likelihood of its errors where nothing is known of
    /// the noise, which for N errors is their mean square to the power of −N/2.
    fn weights(&self) -> [f64; COURSES] {
        let logarithms = self
            .courses
            .map(|course| -self.windows / 2.0 * course.error.ln());
        let best = logarithms.iter().copied().fold(f64::NEG_INFINITY, f64::max);
        let parts = logarithms.map(|logarithm| (logarithm - best).exp());
        let all: f64 = parts.iter().sum();
        parts.map(|part| part / all)
    }

    /// Moves the mean level into the change that estimates are multiplied by.
    fn centred(mut self) -> (Self, f64, Trend) {
        let weights = self.weights();
        let (mut level, mut slope) = (0.0, 0.0);
        for (course, weight) in self.courses.iter().zip(&weights) {
            level += weight * course.level;
            slope += weight * course.slope;
        }
        self.courses = self.courses.map(|course| course.against(level));
        (self, level.exp(), Trend::new(slope))
    }

    /// What is no such state, as a damaged plan may hold, is read as none.
    fn tamed(self) -> Self {
        let sound = (0.0..=MEMORY).contains(&self.windows)
            && (0.0..f64::INFINITY).contains(&self.sampling)
            && self.courses.iter().all(Course::is_sound);
        if sound { self } else { Self::default() }
    }
}

/// Counts against what was expected, over operations.
#[derive(Debug, Default)]
struct Sums {
    /// Counts, each by what was expected.
    counted: f64,
    expected: f64,
    /// The same, each by the gain of its own estimate too.
    counted_own: f64,
    expected_own: f64,
    /// And each by the square of it: counts squared, counts and what was expected.
    squares_own: [f64; 3],
    /// By how much the counts of a fleet at rest come out above.
    bias: f64,
    /// The squared deviations of the counts, and what the filters believe them to be.
    scatter: f64,
    scatter_believed: f64,
}

impl Sums {
    fn add(&mut self, outlook: &Outlook) {
        if outlook.step {
            return;
        }
        let weight = 1.0 / (outlook.noise() + outlook.variance);
        let ratio = outlook.counted / outlook.expected;
        let believed = weight * outlook.presence.present;
        self.counted += weight * ratio;
        self.expected += believed;
        let gain = outlook.gain();
        self.counted_own += weight * gain * ratio;
        self.expected_own += weight * gain;
        let squared = weight * gain * gain;
        self.squares_own[0] += squared * ratio * ratio;
        self.squares_own[1] += squared * ratio;
        self.squares_own[2] += squared;
        // The weight falls with what is expected, so that too low an estimate counts for more
        // than one too high. At rest a filter of gain K scatters by 1/(2−K) of the variance it
        // believes, which allows for drift.
        let leaning = believed * (1.0 - weight / outlook.expected);
        self.bias += leaning * outlook.variance_before / (2.0 - gain);
        self.scatter += leaning * weight * (ratio - 1.0).powi(2);
        self.scatter_believed += leaning;
    }

    fn ratio(&self) -> f64 {
        self.counted / (self.expected + self.excess())
    }

    /// What all estimates together are multiplied by when each follows its own count, against what
    /// a moment makes everybody expect: the mean logarithm, to its second order.
    fn own(&self, moment: f64) -> f64 {
        let first = self.counted_own / moment - self.expected_own;
        let [squares, products, weights] = self.squares_own;
        let second = squares / (moment * moment) - 2.0 * products / moment + weights;
        let mean = (first - second / 2.0) / self.expected;
        mean.clamp(-OWN_MOST, OWN_MOST).exp()
    }

    /// The variance of the ratio, as far as each operation's own scatter makes it.
    fn sampling(&self) -> f64 {
        1.0 / self.expected
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
