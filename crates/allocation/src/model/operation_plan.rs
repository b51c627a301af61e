//! What a plan believes of an operation, what it gives it, and why.

use crate::{OperationId, ServiceId};

/// A plan's figures for one operation.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct OperationPlan {
    /// Which operation.
    pub operation: OperationId,
    /// The service it belongs to.
    pub service: ServiceId,
    /// Whether it is its service's counted overflow entry; it is served as the default.
    pub overflow: bool,
    /// The offered rate that is planned for, in root requests per second: its rate while it has traffic,
    /// times the probability that it has any, extrapolated by the fleet's trend.
    pub offered: f64,
    /// What is believed of it with this window.
    pub belief: Belief,
    /// The belief before [`Plan::settled`](crate::Plan::settled), from which the next plan starts. None for an operation first seen
    /// since.
    pub belief_before: Option<Belief>,
    /// The traces per second the allocation gives it: its expected cost.
    pub share: f64,
    /// What the plan decides, in [0, 1]. [`Plan::served`](crate::Plan::served) is what its SDKs are told: this, unless
    /// operators keep it as it was.
    pub probability: f64,
    /// How far the plan moved the probability: the one served before over this one, as a logarithm. In sixteenths;
    /// see [`OperationPlan::probability_before`].
    pub turned: i8,
    /// What decided the share.
    pub binding: Binding,
    /// The numbers that led there.
    pub reason: Reason,
    /// Windows in a row, up to this one, in which it was not reported.
    pub silent_windows: u32,
    /// The same before [`Plan::settled`](crate::Plan::settled).
    pub silent_before: u32,
    /// Root requests counted in the window.
    pub window_offered: u64,
    /// Root requests of the window that were counted as sampled.
    /// [`Plan::sampled_known`](crate::Plan::sampled_known) says whether that is all of them.
    pub window_sampled: u64,
}

impl OperationPlan {
    /// Whether its service's strategy lists it; if not, it is served the service's default.
    #[must_use]
    pub fn is_listed(&self) -> bool {
        !self.overflow && !self.is_unlisted()
    }

    /// Whether its service's strategy leaves it out because it lists
    /// [`LISTED_MAX`](crate::LISTED_MAX) others: it is served the service's default.
    ///
    /// Only a default binds a named operation as a cap of the fleet's.
    #[must_use]
    pub fn is_unlisted(&self) -> bool {
        let reason = &self.reason;
        let capped = self.binding == Binding::Cap && reason.source == Source::Fleet;
        capped && !self.overflow && reason.bound < 1.0
    }

    /// Its floor in traces per second, if its floor binds it. It is at most the part of its rate that is planned for.
    #[must_use]
    pub fn floor_asked(&self) -> f64 {
        let rate = self.belief.rate;
        if rate > 0.0 {
            f64::from(self.reason.bound).min(rate) * self.offered / rate
        } else {
            0.0
        }
    }

    /// By how much it misses its floor, in traces per second.
    #[must_use]
    pub fn floor_missed(&self) -> f64 {
        if self.binding != Binding::Floor {
            return 0.0;
        }
        let floor = self.floor_asked();
        // The floor is rounded to single precision.
        match floor - self.share {
            missed if missed > 1e-6 * floor => missed,
            _ => 0.0,
        }
    }
}

/// What the windows so far say about an operation.
///
/// Rounded to single precision except for the rate: none of it is known to seven digits.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Belief {
    /// The offered rate while it has traffic, in root requests per second.
    pub rate: f64,
    /// The variance of the rate's estimate, relative to the rate's square.
    pub variance: f32,
    /// The probability that it had traffic in the window, in [0, 1]: 1 if it was reported.
    pub presence: f32,
    /// The probability that it has traffic in a window after one with traffic, in [0, 1].
    pub stay: f32,
    /// The probability that it has traffic in a window after one without, in [0, 1].
    pub wake: f32,
    /// The gap between two active windows, in windows; 0 while none has been seen.
    pub gap: u16,
    /// Windows since the last active one.
    pub since: u16,
    /// The belief that the operation keeps the gap, in [0, 1].
    pub regular: f32,
    /// Its highest recent rate, in root requests per second.
    pub peak: f32,
    /// Whether it has been seen in one window only. Of a class: whether its operation has, in any class.
    pub once: bool,
    /// Whether it fell by a step in the last window with a count: no raise follows from one window.
    pub fell: bool,
}

/// What decided an operation's share.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Binding {
    /// The water level: it gets the same as every comparable operation.
    Level,
    /// Its floor is above the level.
    Floor,
    /// Its cap is under the level.
    Cap,
    /// An operator fixed its probability.
    Pin,
    /// It keeps every trace: its whole demand is under the level.
    ProbabilityOne,
    /// It may rise only so far in one interval.
    RaiseLimit,
    /// What it was served before is as good as what it would be served now.
    Deadband,
    /// Its reports or all reports are missing, and silence raises nothing.
    Hold,
    /// Its traffic, its service's or the fleet's was much higher lately, and may come back at once.
    Peak,
}

/// The numbers behind an operation's probability, beside what decided it.
///
/// Rounded to single precision: they are for people, and no later plan reads them.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Reason {
    /// What bound it. For [`Binding::Level`] the level that it shares at, in
    /// traces per second and unit of weight; for [`Binding::Floor`] the floor,
    /// in traces per second; for everything else a probability.
    pub bound: f32,
    /// The owner of that setting or level.
    pub source: Source,
    /// The weight it shares with.
    pub weight: f32,
    /// What it would be served if only its level, floor and cap decided: no limit on raises, no
    /// hold, no deadband. In [0, 1].
    pub target: f32,
}

impl Reason {
    /// The reason of an operation about which nothing is known.
    pub const UNKNOWN: Self = Self {
        bound: 1.0,
        source: Source::Fleet,
        weight: 1.0,
        target: 1.0,
    };
}

/// The owner of a setting.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Source {
    /// The fleet's: everybody's.
    #[default]
    Fleet,
    /// Its group's.
    Group,
    /// Its service's.
    Service,
    /// Its own.
    Operation,
}
