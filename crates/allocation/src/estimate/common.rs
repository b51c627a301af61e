//! Estimates the change that all operations have in common.
//!
//! Day and night, a campaign, an outage upstream: most changes happen everywhere at once. The counts of
//! one small operation are too noisy to show such a change in time, but all counts together do, so every
//! estimate is moved by the common change before its own count is looked at. The total also shows a
//! trend that would drown in the noise of a single operation.
//!
//! A steady fleet needs a slow follower, a campaign a fast one, a morning ramp one with a slope. None is
//! chosen: several followers run side by side, each weighted by how well it has forecast recently.

use crate::course::{Course, CourseEvidence};
use crate::outlook::Outlook;
use crate::tuning::Estimate as Tuning;
use crate::tuning::estimate::COURSES;

/// The trend of the fleet's traffic.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub(crate) struct Trend(f64);

impl Trend {
    /// The relative change per window.
    pub(crate) fn new(per_window: f64, tuning: &Tuning) -> Self {
        let most = tuning.common.trend_most;
        Self(if per_window.is_finite() {
            per_window.clamp(-most, most)
        } else {
            0.0
        })
    }

    pub(crate) fn per_window(self) -> f64 {
        self.0
    }

    /// What rates are multiplied by from one window to the next.
    pub(crate) fn step(self) -> f64 {
        self.0.exp()
    }

    /// What rates are multiplied by from a window to when its plan is used.
    pub(crate) fn ahead(self, tuning: &Tuning) -> f64 {
        (tuning.operation.ahead * self.0).exp()
    }
}

/// What is known of the common course of all operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Common {
    /// How many windows the errors are remembered of.
    pub windows: f64,
    /// The mean variance of the windows' common deviation that the operations' own noise explains.
    pub sampling: f64,
    /// The followers of the course, each at its own pace.
    pub courses: [Course; COURSES],
}

impl Default for Common {
    fn default() -> Self {
        Self::new(&Tuning::DEFAULT)
    }
}

impl Common {
    /// A course of which nothing is known.
    fn new(tuning: &Tuning) -> Self {
        let noise = tuning.common.noise;
        let course = Course::new(noise * noise);
        Self {
            windows: tuning.common.prior_windows,
            sampling: 0.0,
            courses: [course; COURSES],
        }
    }
}

/// What one window does to all operations.
#[derive(Debug, Clone, Copy, PartialEq)]
pub(crate) struct Shift {
    /// What the rate of every operation that has traffic is multiplied by.
    pub change: f64,
    /// What the estimates' own gains would add to the change, for all of them together.
    own: f64,
}

impl Shift {
    /// A change that no estimate's own gain adds to.
    fn alone(change: f64) -> Self {
        Self { change, own: 1.0 }
    }

    /// What an estimate is multiplied by if its operation had traffic with this probability, but no requests to
    /// show it. What has no traffic shows nothing of what the others do, so its estimate stays where it was seen
    /// last: an error of a thousandth a window would grow to a factor of four in a day of silence.
    pub(crate) fn of(self, present: f64) -> f64 {
        self.change.powf(present)
    }

    /// What the gain of such an estimate adds to the change. One that does not move adds nothing.
    pub(crate) fn own(self, present: f64) -> f64 {
        self.own.powf(present)
    }
}

impl Common {
    /// Follows a window whose operations were expected as the trend says; returns its effect on all of
    /// them and the trend after it.
    ///
    /// Each count's ratio to its expectation is weighted by the inverse of its variance. What they all scatter
    /// together is added as `scatter`. Steps are left out. Empty windows count with the probability that they are
    /// empty by chance.
    ///
    /// # Source
    /// docs/allocation.md, *The common course*: dynamic model averaging of Kalman filters with damped slopes.
    pub(crate) fn after(
        self,
        outlooks: impl Iterator<Item = Outlook>,
        trend: Trend,
        windows: f64,
        scatter: f64,
        tuning: &Tuning,
    ) -> (Self, Shift, Trend) {
        let this = self.tamed(tuning);
        let mut sums = CommonSums::default();
        // In the order of the operations: equal inputs give equal sums.
        outlooks.for_each(|outlook| sums.add(&outlook));
        // Without any count although many are due, each operation shows by itself that it is silent.
        let silent = sums.counted <= 0.0 && sums.requests >= tuning.common.empty_by_chance;
        if sums.expected <= 0.0 || silent {
            let (next, change, trend) = this.carried(windows, tuning).centred(tuning);
            return (next, Shift::alone(change), trend);
        }
        let sampling = sums.sampling() + scatter;
        let seen = sums.ratio() * trend.step();
        let forecast = this.forecast(tuning);
        let deviation = seen / forecast - 1.0;
        let least = tuning.common.noise * tuning.common.noise + sampling;
        let jump = tuning.common.jump_deviations * this.error(tuning).max(least).sqrt();
        if deviation.abs() > jump && seen > 0.0 {
            let (next, change, trend) = this.jumped(seen, tuning).centred(tuning);
            return (next, Shift::alone(change), trend);
        }
        let (next, change, next_trend) = this
            .followed(seen, sampling, windows, tuning)
            .centred(tuning);
        let own = sums.own(change / trend.step(), tuning);
        (next, Shift { change, own }, next_trend)
    }

    /// The recent error of forecasts, relative to what was counted.
    pub(crate) fn deviation(&self, tuning: &Tuning) -> f64 {
        self.tamed(tuning).error(tuning).sqrt()
    }

    fn error(&self, tuning: &Tuning) -> f64 {
        let weights = self.weights(tuning);
        let courses = self.courses.iter().zip(&weights);
        courses.map(|(course, weight)| weight * course.error).sum()
    }

    /// The factor from the estimates to the next window.
    fn forecast(&self, tuning: &Tuning) -> f64 {
        let weights = self.weights(tuning);
        let courses = self.courses.iter().zip(tuning.common.paces).zip(&weights);
        let forecasts = courses.map(|((course, pace), weight)| weight * course.next(pace));
        forecasts.sum::<f64>().exp()
    }

    fn followed(mut self, seen: f64, sampling: f64, windows: f64, tuning: &Tuning) -> Self {
        self.windows = self.remembered(tuning);
        if self.sampling <= 0.0 {
            self.sampling = sampling;
        }
        let window = CourseEvidence {
            level: seen,
            more: sampling - self.sampling,
            since: windows,
            remembered: self.windows,
        };
        for (course, pace) in self.courses.iter_mut().zip(tuning.common.paces) {
            *course = course.followed(pace, &window, tuning);
        }
        // At most by a factor of two at once: one window with few counts is no evidence.
        let sampling = sampling.min(2.0 * self.sampling);
        self.sampling += (sampling - self.sampling) / self.windows;
        self
    }

    /// Goes on as forecast over windows that show nothing.
    fn carried(mut self, windows: f64, tuning: &Tuning) -> Self {
        for (course, pace) in self.courses.iter_mut().zip(tuning.common.paces) {
            *course = course.carried(pace, windows);
        }
        self
    }

    /// Restarts every follower at the level of one window, which no noise explains.
    ///
    /// The jump counts as an error like any other. So where traffic jumps often, a jump soon is noise.
    fn jumped(mut self, seen: f64, tuning: &Tuning) -> Self {
        self.windows = self.remembered(tuning);
        for (course, pace) in self.courses.iter_mut().zip(tuning.common.paces) {
            *course = course.missed(pace, seen, self.windows, tuning);
        }
        self.begun_anew(seen.ln())
    }

    /// Restarts every follower at the level of one window.
    fn begun_anew(mut self, level: f64) -> Self {
        self.courses = self.courses.map(|course| course.begun_anew(level));
        self
    }

    /// How many windows are remembered after one more.
    fn remembered(&self, tuning: &Tuning) -> f64 {
        let memory = tuning.common.memory;
        (self.windows * (1.0 - 1.0 / memory) + 1.0).min(memory)
    }

    /// The weight of each follower: the likelihood of its errors under an unknown noise level, which for N
    /// errors is their mean square to the power of −N/2.
    fn weights(&self, tuning: &Tuning) -> [f64; COURSES] {
        let mut logarithms = [f64::NEG_INFINITY; COURSES];
        let followers = self.courses.iter().zip(tuning.common.paces);
        for (logarithm, (course, _)) in logarithms.iter_mut().zip(followers) {
            *logarithm = -self.windows / 2.0 * course.error.ln();
        }
        let best = logarithms.iter().copied().fold(f64::MIN, f64::max);
        let parts = logarithms.map(|logarithm| (logarithm - best).exp());
        let all: f64 = parts.iter().sum();
        // Without any follower, nothing is in common.
        parts.map(|part| part / all.max(f64::MIN_POSITIVE))
    }

    /// Moves the mean level into the change that estimates are multiplied by.
    fn centred(mut self, tuning: &Tuning) -> (Self, f64, Trend) {
        let weights = self.weights(tuning);
        let (mut level, mut slope) = (0.0, 0.0);
        for (course, weight) in self.courses.iter().zip(&weights) {
            level += weight * course.level;
            slope += weight * course.slope;
        }
        self.courses = self.courses.map(|course| course.against(level));
        (self, level.exp(), Trend::new(slope, tuning))
    }

    /// Falls back to the default if the stored values are out of range, as in a damaged plan.
    fn tamed(self, tuning: &Tuning) -> Self {
        let sound = (0.0..=tuning.common.memory).contains(&self.windows)
            && (0.0..f64::INFINITY).contains(&self.sampling)
            && self.courses.iter().all(|course| course.is_sound(tuning));
        if sound { self } else { Self::new(tuning) }
    }
}

/// Sums of counts against expectations, over operations.
#[derive(Debug, Default)]
struct CommonSums {
    /// The root requests expected.
    requests: f64,
    /// Counts weighted by their expectations.
    counted: f64,
    expected: f64,
    /// The same, weighted by each estimate's gain as well.
    counted_own: f64,
    expected_own: f64,
    /// Weighted by the square of it: squared counts, counts, and expectations.
    squares_own: [f64; 3],
}

impl CommonSums {
    fn add(&mut self, outlook: &Outlook) {
        if outlook.step {
            return;
        }
        self.requests += outlook.expected;
        let weight = 1.0 / (outlook.noise + outlook.variance);
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
    }

    fn ratio(&self) -> f64 {
        self.counted / self.expected
    }

    /// The factor on all estimates together when each follows its own count, relative to the change of
    /// all: the mean logarithm, to second order.
    fn own(&self, change: f64, tuning: &Tuning) -> f64 {
        let most = tuning.common.own_most;
        let first = self.counted_own / change - self.expected_own;
        let [squares, products, weights] = self.squares_own;
        let second = squares / (change * change) - 2.0 * products / change + weights;
        let mean = (first - second / 2.0) / self.expected;
        mean.clamp(-most, most).exp()
    }

    /// The part of the ratio's variance that the operations' own noise explains.
    fn sampling(&self) -> f64 {
        1.0 / self.expected
    }
}
