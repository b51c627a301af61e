//! Shares the budget: limits → solution → probabilities → deadband → defaults.

use crate::assign::assign;
use crate::budget::{SharedBudget, share_beside};
use crate::deadband;
use crate::hierarchy::{Hierarchy, Local};
use crate::limits::{Limit, Rules};
use crate::listing::Unlisted;
use crate::lower_bound::Guarantees;
use crate::solve::{Solution, amount, probability};
use crate::state::State;
use crate::unknown::{Defaults, initial_probability};
use crate::{Binding, GroupPlan, OVERFLOW_SERVICE, OperationPlan, ServicePlan, peaks};

/// What a plan decides, as opposed to what it has seen.
pub(crate) struct Decision {
    pub level: f64,
    pub missing: f64,
    pub unseen_reserve: f64,
    pub default_probability: f64,
    pub groups: Vec<GroupPlan>,
    pub services: Vec<ServicePlan>,
    pub operations: Vec<OperationPlan>,
}

/// Shares the budget again.
pub(crate) fn decide(
    rules: &Rules<'_>,
    state: &State,
    bound: &Guarantees,
    seconds: f64,
) -> Decision {
    let mut limits: Vec<Limit> = rules
        .from
        .listed(&state.known)
        .map(|(estimate, listed)| rules.limit(estimate, listed.map(|plan| plan.probability)))
        .collect();
    peaks::bound(rules, &state.known, &mut limits);
    let hierarchy = Hierarchy::of(rules.policy);
    let unseen_reserve = unseen_reserve(rules, state);
    let share = |limits: &[Limit]| {
        let budget = rules.budget - unseen_reserve;
        share_beside(bound, &hierarchy, &state.known, limits, budget)
    };
    let mut shared = share(&limits);
    let unlisted = Unlisted::among(rules.policy, &state.known);
    if !unlisted.is_empty() {
        let SharedBudget {
            solution,
            pin_scale,
            ..
        } = &shared;
        unlisted.serve_defaults(rules, &state.known, solution, *pin_scale, &mut limits);
        shared = share(&limits);
    }
    let mut locals = hierarchy.locals(&shared.solution.nodes, shared.solution.level);
    if rules.budget <= 0.0 {
        // The solver sees caps of 0, which a budget of 0 does not bind.
        shared.solution.level = 0.0;
        locals.iter_mut().for_each(|local| local.level = 0.0);
    }
    let binds = shared.solution.level.is_finite();
    let lifted = (!binds).then(|| lifted(&limits)).flatten();
    let free = lifted.map(|limits| {
        let Solution { nodes, level, .. } = share(&limits).solution;
        hierarchy.locals(&nodes, level)
    });
    let free = free.as_ref().unwrap_or(&locals);
    let free = |service| free[hierarchy.home(service) as usize];
    let local = |service| locals[hierarchy.home(service) as usize];
    let mut operations: Vec<OperationPlan> = state
        .known
        .iter()
        .zip(&limits)
        .zip(&shared.solution.shares)
        .map(|((estimate, limit), share)| {
            let levels = (local(estimate.service), free(estimate.service));
            assign(estimate, limit, *share, shared.pin_scale, levels)
        })
        .collect();
    let pool = |service| local(service).node;
    deadband::settle(rules, &limits, pool, seconds, &mut operations);
    let group = |service| hierarchy.group(hierarchy.home(service));
    let (services, default_probability) = if operations.is_empty() {
        let unknown = &rules.tuning.share.unknown;
        (Vec::new(), initial_probability(rules.policy, unknown))
    } else {
        let defaults = Defaults::of(rules, &state.known, &limits, &operations);
        let default = |service| defaults.of_service(service, local(service));
        let services = ServicePlan::all(&operations, |service| ServicePlan {
            service,
            default_probability: default(service),
            level: local(service).level,
            group: group(service),
            ..ServicePlan::default()
        });
        (services, default(OVERFLOW_SERVICE))
    };
    Decision {
        level: shared.solution.level,
        missing: shared.missing,
        unseen_reserve,
        default_probability,
        groups: groups(rules, &hierarchy, &shared.solution, &locals, &operations),
        services,
        operations,
    }
}

/// The limits without raise limits and holds; none if there are no such limits.
///
/// If the budget does not bind only because of them, the level is infinite, and does not show
/// which probabilities will be reached.
fn lifted(limits: &[Limit]) -> Option<Vec<Limit>> {
    let held = |limit: &Limit| {
        matches!(
            limit.binding,
            Binding::RaiseLimit | Binding::Hold | Binding::Peak
        )
    };
    if !limits.iter().any(held) {
        return None;
    }
    let lifted = limits.iter().map(|limit| {
        let mut lifted = *limit;
        lifted.entry.cap = limit.entry.demand * limit.cap_probability;
        lifted
    });
    Some(lifted.collect())
}

/// The reserve for operations not seen yet: what they have been costing.
fn unseen_reserve(rules: &Rules<'_>, state: &State) -> f64 {
    let part = probability(rules.policy.unseen_reserve_max, 0.0);
    amount(state.fleet.unseen_sampled).min(part * rules.budget)
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
    }
    plans
}
