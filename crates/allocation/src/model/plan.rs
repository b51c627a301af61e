//! The plan: what one interval decided, numbered and immutable.

use crate::hint::beside;
use crate::operation::Estimate;
use crate::solve::amount;
use crate::tuning::share::Unknown;
use crate::unknown::initial_probability;
use crate::{
    AgentRate, AgentState, Claim, Clock, Common, Figures, GroupName, OperationId, Policy, Reason,
    ServiceId, Source, Timestamp, Trim, Whole, Window,
};

/// One interval's decision for the whole fleet.
///
/// A pure function of the windows read, the policy and the plan before it; lists are sorted by
/// their ids, so the same inputs in any order give the same bytes.
#[derive(Debug, Clone, PartialEq, Default)]
pub struct Plan {
    /// One more than the parent's; 0 is the genesis plan, which knows no operation.
    pub number: u64,
    /// The term of the leader that computed it.
    pub term: u64,
    /// The configuration revision it was computed from.
    pub configuration_revision: u64,
    /// The window whose counts it answers.
    pub window: Window,
    /// The figures that hold for the fleet as a whole.
    pub fleet: FleetPlan,
    /// How well it serves.
    pub figures: Figures,
    /// The groups that the policy names, sorted by name.
    pub groups: Vec<GroupPlan>,
    /// Every known service, sorted by id.
    pub services: Vec<ServicePlan>,
    /// Every known operation, overflow entries too, sorted by id.
    pub operations: Vec<OperationPlan>,
    /// The start of the first window that may still change: what was known before it is in
    /// [`OperationPlan::belief_before`], and the next plan reads all windows from it on.
    pub settled: Timestamp,
    /// Every agent known, sorted by id.
    pub agents: Vec<AgentState>,
    /// What they usually report, sorted by agent and service.
    pub rates: Vec<AgentRate>,
    /// The counts that are held apart, sorted.
    pub claims: Vec<Claim>,
}

impl Plan {
    /// The plan before the first: it knows no operation and serves the initial probability.
    #[must_use]
    pub fn genesis(policy: &Policy) -> Self {
        Self {
            configuration_revision: policy.revision,
            fleet: FleetPlan {
                budget: amount(policy.budget),
                level: f64::INFINITY,
                completeness: 1.0,
                covered: 1.0,
                default_probability: initial_probability(policy, &Unknown::DEFAULT),
                ..FleetPlan::default()
            },
            ..Self::default()
        }
    }

    /// What is served for operations of a service that the plan does not list.
    #[must_use]
    pub fn default_probability(&self, service: ServiceId) -> f64 {
        self.service(service)
            .map_or(self.fleet.default_probability, |plan| {
                plan.default_probability
            })
    }

    /// The level at which a service's operations share.
    #[must_use]
    pub fn level(&self, service: ServiceId) -> f64 {
        self.service(service)
            .map_or(self.fleet.level, |plan| plan.level)
    }

    /// The estimates (sorted by operation), each with what this plan lists for it.
    pub(crate) fn listed<'a>(
        &'a self,
        estimates: &'a [Estimate],
    ) -> impl Iterator<Item = (&'a Estimate, Option<&'a OperationPlan>)> {
        let key = |estimate: &&Estimate| estimate.operation;
        beside(estimates.iter(), key, &self.operations, |plan| {
            plan.operation
        })
    }

    /// Another plan's operations, each with what this plan lists for it.
    pub(crate) fn held<'a>(
        &'a self,
        operations: &'a [OperationPlan],
    ) -> impl Iterator<Item = (&'a OperationPlan, Option<&'a OperationPlan>)> {
        let key = |plan: &&OperationPlan| plan.operation;
        beside(operations.iter(), key, &self.operations, |plan| {
            plan.operation
        })
    }

    /// The figures of one service; none if the plan does not know it.
    #[must_use]
    pub fn service(&self, service: ServiceId) -> Option<&ServicePlan> {
        let found = self
            .services
            .binary_search_by_key(&service, |plan| plan.service);
        Some(&self.services[found.ok()?])
    }
}

/// A plan's figures for the fleet as a whole.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct FleetPlan {
    /// The wanted sampled rate, in traces per second.
    pub budget: f64,
    /// The offered rate that is planned for, in root requests per second: the sum of the operations'
    /// estimates, without what is no longer reported.
    pub offered: f64,
    /// The sampled rate this plan expects, in traces per second.
    pub expected_sampled: f64,
    /// The offered rate that the window itself showed, in root requests per second, unscaled.
    pub observed_offered: f64,
    /// The sampled rate that the window itself showed, in traces per second, unscaled.
    pub observed_sampled: f64,
    /// The water level: the share of everything bound by nothing else, per unit of weight;
    /// infinite when the budget does not bind.
    pub level: f64,
    /// The part of the fleet's usual traffic whose agents are not later than usual, in [0, 1].
    pub completeness: f64,
    /// The part of the window, by the fleet's usual traffic, that was in when it was read, in [0, 1];
    /// the rest comes late. Counts are scaled by it.
    pub covered: f64,
    /// Whether the window could be trusted.
    pub hold: Hold,
    /// Traces per second set aside for operations not seen yet.
    pub unseen_reserve: f64,
    /// Smoothed sampled rate of traffic that was new in its window, in traces per second.
    pub unseen_sampled: f64,
    /// The same before [`Plan::settled`].
    pub unseen_before: f64,
    /// The highest recent offered rate, in root requests per second.
    pub peak: f64,
    /// How many windows the plan was made from: one more than its agents are usually late.
    pub windows_read: u32,
    /// The probability for services nobody has reported.
    pub default_probability: f64,
    /// Traces per second by which floors and pins exceed the budget; 0 when they fit.
    pub missing: f64,
    /// The common trend of all traffic after this window: its relative change per window.
    pub trend: f64,
    /// The trend before [`Plan::settled`].
    pub trend_before: f64,
    /// The common course of all traffic after this window.
    pub common: Common,
    /// The same before [`Plan::settled`].
    pub common_before: Common,
    /// What the budget was multiplied by before it was shared.
    pub trim: Trim,
    /// What repeats every hour: the budget is divided by what is expected of the time when the plan is used.
    pub clock: Clock,
    /// What every SDK instance keeps of each operation at least, where the plan says so, in traces per second:
    /// [`ServicePlan::lower_bound`].
    pub lower_bound: f64,
    /// The sampled rate that the lower bound is expected to add to what the probabilities keep, in
    /// traces per second, if every SDK applies it: the most that it can add.
    pub lower_bound_cost: f64,
    /// The forecast against which a change of regime was judged: the smoothed offered rate
    /// before this window, in root requests per second.
    pub forecast_offered: f64,
}

impl FleetPlan {
    /// The relative excess of what the window kept over what was wanted: the budget, or all traffic where
    /// that is less; negative when too little was kept. Unreported traffic is assumed to be like the reported.
    #[must_use]
    pub fn tracking_error(&self) -> f64 {
        let wanted = (self.budget * self.covered).min(self.observed_offered);
        if wanted > 0.0 {
            (self.observed_sampled - wanted) / wanted
        } else {
            0.0
        }
    }
}

/// What the plan may do with its window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, PartialOrd, Ord, Hash)]
pub enum Hold {
    /// Probabilities may fall and rise. How far a service's may rise depends on which of its agents are
    /// heard: [`ServicePlan::heard`].
    #[default]
    None,
    /// Some counts could not be read, and nobody knows whose: probabilities may fall, none rises.
    CutsOnly,
    /// No agent is heard: every probability stays, unless operators change the policy.
    Frozen,
}

/// How many windows back counts of new agents are told apart by their age.
pub const AGES: usize = 4;

/// A plan's figures for one service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct ServicePlan {
    /// Which service.
    pub service: ServiceId,
    /// The probability for operations of it that the plan does not list.
    pub default_probability: f64,
    /// The level its operations share at: the fleet's, unless a floor or cap of its own or of its group binds.
    pub level: f64,
    /// Its SDK instances. The estimate rises with the reports at once and falls slowly; 0 before the first
    /// report.
    pub instances: f64,
    /// What each instance keeps of every operation at least, in traces per second: the fleet's lower bound, or
    /// 0 where its cost is unknown.
    pub lower_bound: f64,
    /// The group it belongs to, as an index into [`Plan::groups`].
    pub group: Option<usize>,
    /// The part of its traffic, by what its agents usually report, whose agents are not later than
    /// usual, in [0, 1].
    pub heard: f32,
    /// The part of its traffic in the plan's window that had been reported, in [0, 1].
    pub covered: f32,
    /// The part of its new agents, by traffic, that report a second time.
    pub agents_return: f32,
    /// What agents counted that had not reported before, by the age of the window in windows, smoothed; in root
    /// requests per second.
    pub new_agents: [f32; AGES],
    /// The part of its new operations that are seen a second time.
    pub names_return: f32,
    /// The same before [`Plan::settled`].
    pub names_return_before: f32,
    /// Its highest recent offered rate, in root requests per second.
    pub peak: f64,
}

impl ServicePlan {
    /// The plans of all services that have operations, sorted.
    pub(crate) fn all(
        operations: &[OperationPlan],
        plan: impl FnMut(ServiceId) -> Self,
    ) -> Vec<Self> {
        let mut services: Vec<_> = operations.iter().map(|plan| plan.service).collect();
        services.sort_unstable();
        services.dedup();
        services.into_iter().map(plan).collect()
    }
}

impl Default for ServicePlan {
    /// A service of which nothing is known.
    fn default() -> Self {
        Self {
            service: ServiceId(0),
            default_probability: 0.0,
            level: 0.0,
            instances: 0.0,
            lower_bound: 0.0,
            group: None,
            heard: 1.0,
            covered: 1.0,
            agents_return: 1.0,
            new_agents: [0.0; AGES],
            names_return: 1.0,
            names_return_before: 1.0,
            peak: 0.0,
        }
    }
}

/// A plan's figures for one group of services.
#[derive(Debug, Clone, PartialEq)]
pub struct GroupPlan {
    /// Which group.
    pub name: GroupName,
    /// Its floor and cap, as the policy had them.
    pub whole: Whole,
    /// The offered rate that its operations are planned for, in root requests per second.
    pub offered: f64,
    /// What they are expected to keep, in traces per second.
    pub sampled: f64,
    /// The level at which its operations share.
    pub level: f64,
    /// Traces per second by which floors inside it exceed its cap; 0 when they fit.
    pub missing: f64,
}

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
    /// The belief before [`Plan::settled`], from which the next plan starts. None for an operation first seen
    /// since.
    pub belief_before: Option<Belief>,
    /// The traces per second the allocation gives it: its expected cost.
    pub share: f64,
    /// What its SDKs are told, in [0, 1].
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
    /// The same before [`Plan::settled`].
    pub silent_before: u32,
    /// Root requests counted in the window.
    pub window_offered: u64,
    /// Root requests kept in the window.
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
    /// Whether it has been seen in one window only.
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

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_error_is_judged_by_what_could_be_kept() {
        let error = |budget, observed_offered, observed_sampled| {
            let fleet = FleetPlan {
                budget,
                observed_offered,
                observed_sampled,
                completeness: 1.0,
                covered: 0.4,
                ..FleetPlan::default()
            };
            fleet.tracking_error()
        };
        assert_eq!(error(50.0, 1000.0, 22.0), 0.1, "of the 20 to be seen");
        assert_eq!(error(50.0, 10.0, 10.0), 0.0, "all there was is kept");
        assert_eq!(error(50.0, 10.0, 5.0), -0.5);
        assert_eq!(error(0.0, 1000.0, 0.0), 0.0);
        assert_eq!(error(50.0, 0.0, 0.0), 0.0);
    }
}
