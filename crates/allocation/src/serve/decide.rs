//! Shares the budget: limits → solution → probabilities → deadband → defaults.

use crate::amount::{amount, probability, total};
use crate::assign::assign;
use crate::budget::{SharedBudget, share_beside};
use crate::deadband;
use crate::hierarchy::{Hierarchy, Local};
use crate::limits::{Limit, Rules};
use crate::listing::Unlisted;
use crate::lower_bound::Guarantees;
use crate::operation::Estimate;
use crate::priors::Priors;
use crate::solve::{Entry, Solution};
use crate::unknown::Defaults;
use crate::{GroupPlan, OVERFLOW_SERVICE, OperationPlan, ServicePlan, peaks, shared_bounds};

/// What a plan decides, as opposed to what it has seen.
pub(crate) struct Decision {
    pub level: f64,
    pub missing: f64,
    /// The part of the shares that is kept in the end.
    pub kept_part: f64,
    pub unseen_reserve: f64,
    pub default_probability: f64,
    pub groups: Vec<GroupPlan>,
    pub services: Vec<ServicePlan>,
    pub operations: Vec<OperationPlan>,
}

/// Shares the budget again. `unseen_sampled` is what operations not seen yet have been costing, in traces per
/// second.
pub(crate) fn decide(
    rules: &Rules<'_>,
    known: Vec<Estimate>,
    unseen_sampled: f64,
    bound: &Guarantees,
    seconds: f64,
) -> Decision {
    let mut limits: Vec<Limit> = rules
        .from
        .listed(&known)
        .map(|(estimate, listed)| rules.limit(estimate, listed.map(|plan| plan.probability)))
        .collect();
    let hierarchy = Hierarchy::of(rules.policy);
    shared_bounds::hold(rules, &hierarchy, &known, &mut limits);
    peaks::bound(rules, &known, &mut limits);
    let unseen_reserve = unseen_reserve(rules, unseen_sampled);
    let share = |limits: &[Limit], entry: fn(&Limit) -> Entry| {
        let budget = rules.budget - unseen_reserve;
        share_beside(bound, &hierarchy, &known, limits, entry, budget)
    };
    let mut shared = share(&limits, limited);
    let unlisted = Unlisted::among(rules.policy, &known);
    if !unlisted.is_empty() {
        let SharedBudget {
            solution,
            pin_scale,
            ..
        } = &shared;
        unlisted.serve_defaults(rules, &known, solution, *pin_scale, &mut limits);
        shared = share(&limits, limited);
    }
    let mut locals = hierarchy.locals(&shared.solution.nodes, shared.solution.level);
    if rules.budget <= 0.0 {
        // The solver sees caps of 0, which a budget of 0 does not bind.
        shared.solution.level = 0.0;
        locals.iter_mut().for_each(|local| local.level = 0.0);
    }
    let binds = shared.solution.level.is_finite();
    // If the budget does not bind only because raises are limited or held, the level is infinite,
    // and does not show which probabilities will be reached.
    let free = (!binds && limits.iter().any(Limit::is_held)).then(|| {
        let Solution { nodes, level, .. } = share(&limits, Limit::lifted).solution;
        hierarchy.locals(&nodes, level)
    });
    let free = free.as_ref().unwrap_or(&locals);
    let home = |service, operation| hierarchy.home_of(service, operation) as usize;
    let free = |service, operation| free[home(service, operation)];
    let local = |service, operation| locals[home(service, operation)];
    let priors = Priors::of(&known, &rules.policy.classes);
    // The estimates become the plan's operations in place.
    let mut operations: Vec<OperationPlan> = known
        .into_iter()
        .zip(&limits)
        .zip(&shared.solution.shares)
        .map(|((estimate, limit), share)| {
            let (service, operation) = (estimate.service, estimate.operation);
            let levels = (local(service, operation), free(service, operation));
            assign(estimate, limit, *share, shared.pin_scale, levels)
        })
        .collect();
    operations.shrink_to_fit();
    let pool = |plan: &OperationPlan| local(plan.service, plan.operation).node;
    deadband::settle(rules, &limits, pool, seconds, &mut operations);
    let defaults = Defaults::of(rules, priors, &limits, &operations);
    let (services, default_probability) = services(&defaults, &hierarchy, &locals, &operations);
    Decision {
        level: shared.solution.level,
        missing: shared.missing,
        kept_part: rules.kept_part,
        unseen_reserve,
        default_probability,
        groups: groups(rules, &hierarchy, &shared.solution, &locals, &operations),
        services,
        operations,
    }
}

/// The services of the operations, and the default probability of services that are not among them.
fn services(
    defaults: &Defaults<'_>,
    hierarchy: &Hierarchy,
    locals: &[Local],
    operations: &[OperationPlan],
) -> (Vec<ServicePlan>, f64) {
    if operations.is_empty() {
        return (Vec::new(), defaults.initial());
    }
    let local = |service| locals[hierarchy.home(service) as usize];
    let default = |service| defaults.of_service(service, local(service));
    let services = ServicePlan::all(operations, |service| ServicePlan {
        service,
        default_probability: default(service),
        level: local(service).level,
        group: hierarchy.group(hierarchy.home(service)),
        ..ServicePlan::default()
    });
    (services, default(OVERFLOW_SERVICE))
}

impl Decision {
    /// The sampled rate that is expected, in traces per second; the lower bound adds as much to the shares.
    pub(crate) fn expected_sampled(&self, lower_bound_cost: f64) -> f64 {
        let shares = total(self.operations.iter().map(|plan| plan.share));
        (shares + lower_bound_cost) * self.kept_part
    }
}

/// What an operation shares as.
fn limited(limit: &Limit) -> Entry {
    limit.entry
}

/// The reserve for operations not seen yet: what they have been costing.
fn unseen_reserve(rules: &Rules<'_>, unseen_sampled: f64) -> f64 {
    let part = probability(rules.policy.unseen_reserve_max, 0.0);
    amount(unseen_sampled).min(part * rules.budget)
}

/// The figures of every group.
fn groups(
    rules: &Rules<'_>,
    hierarchy: &Hierarchy,
    solution: &Solution,
    locals: &[Local],
    operations: &[OperationPlan],
) -> Vec<GroupPlan> {
    let groups = rules.policy.groups.iter().enumerate();
    let mut plans: Vec<GroupPlan> = groups
        .map(|(place, group)| GroupPlan {
            name: group.name.clone(),
            whole: group.whole,
            offered: 0.0,
            sampled: 0.0,
            level: locals[place + 1].level,
            missing: solution.nodes.get(place + 1).map_or(0.0, |own| own.missing),
        })
        .collect();
    if !plans.is_empty() {
        // In the order of the operations: equal inputs give equal sums.
        for plan in operations {
            if let Some(group) = hierarchy.group(hierarchy.home(plan.service)) {
                plans[group].offered += plan.offered;
                plans[group].sampled += plan.share;
            }
        }
        for plan in &mut plans {
            plan.sampled *= rules.kept_part;
        }
    }
    plans
}
