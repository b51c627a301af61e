//! Shares the budget: limits → solution → probabilities → deadband → defaults.

use crate::deadband;
use crate::defaults::{Priors, at_level, initial_probability, probability, rules_default};
use crate::hierarchy::{Hierarchy, Local};
use crate::limits::{Limit, Rules};
use crate::listing::Unlisted;
use crate::lower_bound::Guarantees;
use crate::next::{services_of, with_listed};
use crate::operation::Estimate;
use crate::solve::{Entry, Solution, amount, solve, solve_nested};
use crate::state::State;
use crate::sum::exact_sum;
use crate::tuning::share::Unknown;
use crate::{
    Binding, GroupPlan, OVERFLOW_SERVICE, OperationPlan, Reason, ServiceId, ServicePlan, Source,
    peaks,
};

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
    let mut limits: Vec<Limit> = with_listed(rules.from, &state.known)
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
            settle(rules, estimate, limit, *share, shared.pin_scale, levels)
        })
        .collect();
    let pool = |service| local(service).node;
    deadband::settle(rules, &limits, pool, seconds, &mut operations);
    let group = |service| hierarchy.group(hierarchy.home(service));
    let (services, default_probability) =
        default_probabilities(rules, state, &local, &group, &limits, &operations);
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

/// The budget, shared.
pub(crate) struct SharedBudget {
    pub solution: Solution,
    /// What the pins had to be scaled by to fit the budget; 1 when they do.
    pub pin_scale: f64,
    /// Traces per second by which pins and floors exceed the budget.
    missing: f64,
}

/// Shares a budget from which the maximum cost of the lower bound has been deducted.
///
/// The part of the lower bound that the probabilities keep anyway is shared as well. Higher
/// probabilities keep more of it, so this never overspends.
fn share_beside(
    bound: &Guarantees,
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &[Limit],
    budget: f64,
) -> SharedBudget {
    let shared = share(hierarchy, estimates, limits, budget);
    let anyway = bound.kept_anyway(estimates, limits, &shared);
    if anyway > 0.0 {
        share(hierarchy, estimates, limits, budget + anyway)
    } else {
        shared
    }
}

/// Pays for the pins first, so that they are scaled down last, and shares the rest.
fn share(
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &[Limit],
    budget: f64,
) -> SharedBudget {
    let (defaults, pins) = (
        pinned(estimates, limits, true),
        pinned(estimates, limits, false),
    );
    let pinned = defaults + pins;
    let entries: Vec<Entry> = limits.iter().map(|limit| limit.entry).collect();
    let left = budget - pinned;
    let solution = if hierarchy.is_flat() {
        solve(&entries, left)
    } else {
        let home = |estimate: &Estimate| hierarchy.home(estimate.service);
        let homes: Vec<u32> = estimates.iter().map(home).collect();
        solve_nested(&entries, &homes, &hierarchy.nodes(estimates, limits), left)
    };
    let exceeding = pinned + floors(estimates, limits) - budget;
    let missing = solution.missing + (pinned - budget).max(0.0);
    SharedBudget {
        solution,
        pin_scale: if pinned > budget {
            (budget - defaults).max(0.0) / pins
        } else {
            1.0
        },
        missing: missing.max(exceeding),
    }
}

/// What is fixed as a service's default or by an operator, in traces per second.
fn pinned(estimates: &[Estimate], limits: &[Limit], defaults: bool) -> f64 {
    let pins = estimates.iter().zip(limits);
    let pins = pins.filter(|(_, limit)| limit.is_default == defaults);
    exact_sum(pins.filter_map(|(estimate, limit)| Some(limit.pin? * estimate.demand())))
}

/// The sum of the floors in traces per second, limited by demand and caps but not by the pace of raises.
fn floors(estimates: &[Estimate], limits: &[Limit]) -> f64 {
    let unpinned = estimates
        .iter()
        .zip(limits)
        .filter(|(_, limit)| limit.pin.is_none());
    let most = |estimate: &Estimate, limit: &Limit| limit.cap_probability * estimate.demand();
    exact_sum(unpinned.map(|(estimate, limit)| limit.entry.floor.min(most(estimate, limit))))
}

/// Turns a share into a probability and names what decided it.
///
/// The levels are the one it shares at, and the one that it would share at if nothing were held back.
fn settle(
    rules: &Rules<'_>,
    estimate: &Estimate,
    limit: &Limit,
    share: f64,
    pin_scale: f64,
    (local, free): (Local, Local),
) -> OperationPlan {
    let Limit { entry, .. } = limit;
    let reason = |bound: f64, source, target: f64| Reason {
        bound: bound as f32,
        source,
        weight: (entry.weight / estimate.presence()) as f32,
        target: target as f32,
    };
    if let Some(default) = limit.pin.filter(|_| limit.is_default) {
        return by_default(estimate, default);
    }
    if let Some(pin) = limit.pin {
        let probability = pin * pin_scale;
        let share = probability * estimate.demand();
        let reason = reason(pin, limit.source, pin);
        return plan_of(estimate, share, probability, Binding::Pin, reason);
    }
    if share >= entry.cap {
        // Exactly the limit: rounding could be off by one bit, and a hold must not be.
        let most = limit.probability_max;
        let (source, target) = match limit.binding {
            Binding::Cap => (limit.source, most),
            Binding::RaiseLimit | Binding::Hold | Binding::Peak => {
                (Source::Fleet, without_ceiling(estimate, limit, free))
            }
            _ => (local.source, most),
        };
        return plan_of(
            estimate,
            share,
            most,
            limit.binding,
            reason(most, source, target),
        );
    }
    let excess = rules.tuning.estimate.operation.unbiased * estimate.inverse_excess();
    let probability = unbiased(share / estimate.demand(), limit, excess);
    let (binding, bound, source) = if share <= entry.floor && entry.floor > 0.0 {
        let floor = entry.floor / estimate.presence();
        (Binding::Floor, floor, limit.floor_source)
    } else {
        (Binding::Level, local.level, local.source)
    };
    plan_of(
        estimate,
        share,
        probability,
        binding,
        reason(bound, source, probability),
    )
}

/// What an operation gets that strategies do not list.
pub(crate) fn by_default(estimate: &Estimate, default: f64) -> OperationPlan {
    let reason = Reason {
        bound: default as f32,
        source: Source::Fleet,
        weight: 1.0,
        target: default as f32,
    };
    let share = default * estimate.demand();
    plan_of(estimate, share, default, Binding::Cap, reason)
}

/// The share by level, floor and caps alone, whatever was served before.
fn without_ceiling(estimate: &Estimate, limit: &Limit, local: Local) -> f64 {
    let Limit { entry, .. } = limit;
    let share = (entry.weight * local.level).max(entry.floor);
    probability(share / estimate.demand(), 1.0).min(limit.cap_probability)
}

/// Corrects a share divided by an estimate for the estimate's scatter.
///
/// Over many windows the mean of `1/estimate` exceeds `1/mean`, and the budget would be overspent by
/// that. An operation near probability 1 cannot overspend, so there the correction fades.
fn unbiased(quotient: f64, limit: &Limit, excess: f64) -> f64 {
    let quotient = quotient.min(limit.probability_max);
    let corrected = quotient / (1.0 + excess * (1.0 - quotient));
    corrected.max(limit.probability_min.min(quotient))
}

/// An operation's plan, as estimated and decided.
pub(crate) fn plan_of(
    estimate: &Estimate,
    share: f64,
    probability: f64,
    binding: Binding,
    reason: Reason,
) -> OperationPlan {
    OperationPlan {
        operation: estimate.operation,
        service: estimate.service,
        overflow: estimate.overflow,
        offered: estimate.demand(),
        belief: estimate.belief,
        belief_before: estimate.before,
        share,
        probability,
        turned: 0,
        binding,
        reason,
        silent_windows: estimate.silent_windows,
        silent_before: estimate.silent_before,
        window_offered: estimate.window_offered,
        window_sampled: estimate.window_sampled,
    }
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

/// The default probability of every service, and the fleet's.
fn default_probabilities(
    rules: &Rules<'_>,
    state: &State,
    local: &impl Fn(ServiceId) -> Local,
    group: &impl Fn(ServiceId) -> Option<usize>,
    limits: &[Limit],
    operations: &[OperationPlan],
) -> (Vec<ServicePlan>, f64) {
    let unknown = &rules.tuning.share.unknown;
    if operations.is_empty() {
        return (Vec::new(), initial_probability(rules.policy, unknown));
    }
    let priors = Priors::of(&state.known);
    let ruling = ruling(&state.known, limits, operations, unknown);
    let default = |service| {
        if let Ok(index) = ruling.binary_search_by_key(&service, |(id, _)| *id) {
            return ruling[index].1;
        }
        let (bounds, _) = rules.policy.service_bounds(service);
        let like_named = priors.of_service(service).map_or(1.0, |prior| {
            at_level(local(service).level, prior, rules.weight_exponent, &bounds)
        });
        let wanted = bounds.pin.unwrap_or(like_named);
        let (ceiling, _) = rules.ceiling(service, rules.from.default_probability(service));
        wanted.min(rules.unknown_max).min(ceiling)
    };
    let services = services_of(operations)
        .into_iter()
        .map(|service| ServicePlan {
            service,
            default_probability: default(service),
            level: local(service).level,
            group: group(service),
            ..ServicePlan::default()
        })
        .collect();
    (services, default(OVERFLOW_SERVICE))
}

/// The probabilities that are the defaults of their services: those of overflow entries with
/// demand, and of operations that strategies do not list.
fn ruling(
    estimates: &[Estimate],
    limits: &[Limit],
    operations: &[OperationPlan],
    tuning: &Unknown,
) -> Vec<(ServiceId, f64)> {
    let rules = |estimate: &Estimate, limit: &Limit| {
        limit.is_default || estimate.overflow && rules_default(estimate, tuning)
    };
    let mut ruling: Vec<_> = estimates
        .iter()
        .zip(limits)
        .zip(operations)
        .filter(|((estimate, limit), _)| rules(estimate, limit))
        .map(|((estimate, _), plan)| (estimate.service, plan.probability))
        .collect();
    ruling.sort_unstable_by_key(|(service, _)| *service);
    ruling.dedup_by_key(|(service, _)| *service);
    ruling
}
