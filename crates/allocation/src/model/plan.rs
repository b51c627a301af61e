//! The plan: what one interval decided, numbered and immutable.

use crate::amount::{amount, total};
use crate::hint::beside;
use crate::operation::Estimate;
use crate::tuning::share::Unknown;
use crate::{
    AgentRate, AgentState, Basis, Claim, Figures, FleetPlan, GroupName, OperationPlan, Policy,
    PollState, ServiceId, Steered, Timestamp, Whole, Window,
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
    /// The counts that are held apart in the windows that were read, the largest of each agent and service, sorted.
    pub claims: Vec<Claim>,
    /// What is served in place of what the plan decides; none if that is served.
    pub steered: Option<Steered>,
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
                default_probability: policy.initial(&Unknown::DEFAULT),
                ..FleetPlan::default()
            },
            ..Self::default()
        }
    }

    /// What the plan decides for operations of a service that it does not list.
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

    /// What the shares and the lower bound add up to, in traces per second: what would be kept if traffic were as
    /// forecast and SDKs kept what they are told. [`FleetPlan::expected_sampled`] is what is kept as it is.
    #[must_use]
    pub fn aimed_sampled(&self) -> f64 {
        total(self.operations.iter().map(|plan| plan.share)) + self.fleet.lower_bound_cost
    }

    /// The part of that which is kept.
    pub(crate) fn kept_part(&self) -> f64 {
        let part = self.fleet.expected_sampled / self.aimed_sampled();
        if part > 0.0 && part.is_finite() {
            part
        } else {
            1.0
        }
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

    /// Whether it is known how many requests of a service were sampled in the plan's window.
    #[must_use]
    pub fn sampled_known(&self, service: ServiceId) -> bool {
        let planned = self.service(service);
        planned.is_none_or(|of| of.sampled_known(self.window))
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
    /// How often its SDKs ask, and what that says of missing agents.
    pub polls: PollState,
    /// Up to when its requests were counted by each basis, in the order of [`Basis::ALL`]; none if never.
    pub bases: [Option<Timestamp>; Basis::ALL.len()],
    /// Counts by a basis of a worse rank than this one are left out; none while all are counted.
    pub basis: Option<Basis>,
}

impl ServicePlan {
    /// Whether counts by a basis count what a better one counts already.
    #[must_use]
    pub fn leaves_out(&self, basis: Basis) -> bool {
        self.basis
            .is_some_and(|counted| counted.rank() < basis.rank())
    }

    fn sampled_known(&self, window: Window) -> bool {
        let mut unknown = Basis::ALL.into_iter().filter(|basis| !basis.says_sampled());
        !unknown.any(|basis| {
            let until = self.bases[basis as usize];
            !self.leaves_out(basis) && until.is_some_and(|until| until > window.start)
        })
    }

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
            polls: PollState::default(),
            bases: [None; Basis::ALL.len()],
            basis: None,
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
