//! From a window to a plan, step by step.
//!
//! State, corrected by late reports → reading of the window → estimates → limits → solution →
//! probabilities → defaults. A frozen window ends after the reading: the plan before it stands.

use super::correct::State;
use super::deadband;
use super::defaults::{Priors, at_level, initial_probability, probability, rules_default};
use super::estimate::Estimate;
use super::limits::{Limit, Rules};
use super::solve::{Solution, amount, solve};
use super::sum::exact_sum;
use super::tally::Tally;
use super::{
    Binding, Figures, FleetPlan, Hold, Inputs, OVERFLOW_SERVICE, OperationPlan, Plan, Policy,
    ServiceId, ServicePlan, completeness,
};

/// Computes the plan that follows `previous`.
///
/// Any input gives a defined plan with every probability in [0, 1], and equal inputs in any
/// order give equal plans. Counts of an operation or agent that stand more than once add up.
#[must_use]
pub fn next_plan(previous: &Plan, policy: &Policy, inputs: Inputs<'_>) -> Plan {
    let mut retired = inputs.retired.to_vec();
    retired.sort_unstable();
    let before = State::corrected(previous, inputs.corrected, &retired);
    let (forecast, trend_before) = (before.demand(), before.trend.per_window());
    let common_before = before.common;
    let tally = Tally::of(inputs.current, &retired);
    let reading = completeness::read(&before.agents, &tally, forecast);
    let windows = windows_since(previous, &tally, inputs);
    let (state, reading) = before.advanced(&tally, reading, windows);
    let offered = state.demand();

    let trim =
        previous
            .fleet
            .trim
            .after(previous, &tally, &reading, forecast, amount(policy.budget));
    let rules = Rules::new(policy, previous, reading.hold, offered, trim);
    let decision = if reading.hold == Hold::Frozen {
        stand(previous, &state)
    } else {
        decide(&rules, &state, tally.seconds)
    };
    let seconds = tally.seconds;
    let figures = Figures::of(&rules, &decision.operations, decision.level, seconds);
    Plan {
        number: previous.number.saturating_add(1),
        epoch: inputs.epoch,
        configuration_revision: policy.revision,
        window: inputs.current.window,
        fleet: FleetPlan {
            budget: amount(policy.budget),
            offered,
            expected_sampled: exact_sum(decision.operations.iter().map(|plan| plan.share)),
            observed_offered: tally.offered_per_second(),
            observed_sampled: tally.per_second(tally.sampled),
            level: decision.level,
            completeness: reading.completeness,
            covered: reading.coverage,
            hold: reading.hold,
            unseen_reserve: decision.unseen_reserve,
            unseen_sampled: state.unseen_sampled,
            trend: state.trend.per_window(),
            trend_before,
            common: state.common,
            common_before,
            default_probability: decision.default_probability,
            missing: decision.missing,
            trim,
            forecast_offered: forecast,
        },
        figures,
        services: decision.services,
        operations: decision.operations,
        agents: state.agents,
    }
}

/// What a plan decides, as opposed to what it has seen.
struct Decision {
    level: f64,
    missing: f64,
    unseen_reserve: f64,
    default_probability: f64,
    services: Vec<ServicePlan>,
    operations: Vec<OperationPlan>,
}

/// Windows from the end of the previous plan's to the end of this one: 1 but after a gap.
fn windows_since(previous: &Plan, tally: &Tally, inputs: Inputs<'_>) -> f64 {
    let end = inputs.current.window.end.0;
    let between = end.saturating_sub(previous.window.end.0) as f64 / 1000.0;
    if previous.number == 0 || tally.seconds <= 0.0 {
        1.0
    } else {
        (between / tally.seconds).max(1.0)
    }
}

/// Leaves every probability as it was served.
fn stand(previous: &Plan, state: &State) -> Decision {
    let operations: Vec<OperationPlan> = with_listed(previous, &state.known)
        .map(|(estimate, listed)| {
            let unlisted = || previous.default_probability(estimate.service);
            let probability = listed.map_or_else(unlisted, |plan| plan.probability);
            let share = listed.map_or(probability * estimate.demand(), |plan| plan.share);
            plan_of(estimate, share, probability, Binding::Hold)
        })
        .collect();
    let services = services_of(&operations)
        .into_iter()
        .map(|service| ServicePlan {
            service,
            default_probability: previous.default_probability(service),
        })
        .collect();
    Decision {
        level: previous.fleet.level,
        missing: previous.fleet.missing,
        unseen_reserve: previous.fleet.unseen_reserve,
        default_probability: previous.fleet.default_probability,
        services,
        operations,
    }
}

/// Shares the budget anew.
fn decide(rules: &Rules<'_>, state: &State, seconds: f64) -> Decision {
    let limits: Vec<Limit> = with_listed(rules.previous, &state.known)
        .map(|(estimate, listed)| rules.limit(estimate, listed.map(|plan| plan.probability)))
        .collect();
    let unseen_reserve = unseen_reserve(rules, state);
    let shared = share(&state.known, &limits, rules.budget - unseen_reserve);
    let mut operations: Vec<OperationPlan> = state
        .known
        .iter()
        .zip(&limits)
        .zip(&shared.solution.shares)
        .map(|((estimate, limit), share)| settle(estimate, limit, *share, shared.pin_scale))
        .collect();
    deadband::settle(
        rules.previous,
        &limits,
        rules.budget,
        seconds,
        &mut operations,
    );
    let (services, default_probability) =
        default_probabilities(rules, state, shared.solution.level, &operations);
    Decision {
        level: shared.solution.level,
        missing: shared.missing,
        unseen_reserve,
        default_probability,
        services,
        operations,
    }
}

/// What is set aside for operations not seen yet: what they have been costing.
fn unseen_reserve(rules: &Rules<'_>, state: &State) -> f64 {
    let part = probability(rules.policy.unseen_reserve_max, 0.0);
    amount(state.unseen_sampled).min(part * rules.budget)
}

/// The budget, shared.
struct Shared {
    solution: Solution,
    /// What the pins had to be scaled by to fit the budget; 1 when they do.
    pin_scale: f64,
    /// Traces per second by which pins and floors exceed the budget.
    missing: f64,
}

/// Pays for the pins first, so that they are the last to be scaled down, and shares the rest.
fn share(estimates: &[Estimate], limits: &[Limit], budget: f64) -> Shared {
    let pins = estimates.iter().zip(limits);
    let pinned =
        exact_sum(pins.filter_map(|(estimate, limit)| Some(limit.pin? * estimate.demand())));
    let entries: Vec<_> = limits.iter().map(|limit| limit.entry).collect();
    let solution = solve(&entries, budget - pinned);
    let missing = solution.missing + (pinned - budget).max(0.0);
    Shared {
        solution,
        pin_scale: if pinned > budget {
            budget / pinned
        } else {
            1.0
        },
        missing,
    }
}

/// Turns a share into a probability and names what decided it.
fn settle(estimate: &Estimate, limit: &Limit, share: f64, pin_scale: f64) -> OperationPlan {
    if let Some(pin) = limit.pin {
        let probability = pin * pin_scale;
        return plan_of(
            estimate,
            probability * estimate.demand(),
            probability,
            Binding::Pin,
        );
    }
    let Limit { entry, .. } = limit;
    if share >= entry.cap {
        // Exactly the limit: the quotient could be off by its last bit, and a hold must not be.
        return plan_of(estimate, share, limit.probability_max, limit.reason);
    }
    let probability = unbiased(share / estimate.demand(), limit, estimate.inverse_excess());
    let binding = if share <= entry.floor {
        Binding::Floor
    } else {
        Binding::Level
    };
    plan_of(estimate, share, probability, binding)
}

/// Corrects the quotient of a share and an estimate for the scatter of the estimate.
///
/// Over many windows the mean of `1/estimate` lies above `1/mean`, and the budget would be
/// overspent by that. An operation near probability 1 has nothing to overspend, so there the
/// correction fades.
fn unbiased(quotient: f64, limit: &Limit, excess: f64) -> f64 {
    let quotient = quotient.min(limit.probability_max);
    let corrected = quotient / (1.0 + excess * (1.0 - quotient));
    corrected.max(limit.probability_min.min(quotient))
}

fn plan_of(estimate: &Estimate, share: f64, probability: f64, binding: Binding) -> OperationPlan {
    OperationPlan {
        operation: estimate.operation,
        service: estimate.service,
        overflow: estimate.overflow,
        offered: estimate.demand(),
        belief: estimate.belief,
        belief_before: estimate.before,
        share,
        probability,
        binding,
        silent_windows: estimate.silent_windows,
        window_offered: estimate.window_offered,
        window_sampled: estimate.window_sampled,
    }
}

/// The default probability of every service, and the fleet's.
fn default_probabilities(
    rules: &Rules<'_>,
    state: &State,
    level: f64,
    operations: &[OperationPlan],
) -> (Vec<ServicePlan>, f64) {
    if operations.is_empty() {
        return (Vec::new(), initial_probability(rules.policy));
    }
    let priors = Priors::of(&state.known);
    let ruling = ruling_overflows(&state.known, operations);
    let default = |service| {
        if let Ok(index) = ruling.binary_search_by_key(&service, |(id, _)| *id) {
            return ruling[index].1;
        }
        let bounds = rules.policy.service_bounds(service);
        let like_named = priors.of_service(service).map_or(1.0, |prior| {
            at_level(level, prior, rules.weight_exponent, &bounds)
        });
        let wanted = bounds.pin.unwrap_or(like_named);
        let (ceiling, _) = rules.ceiling(rules.previous.default_probability(service));
        wanted.min(rules.unknown_max).min(ceiling)
    };
    let services = services_of(operations)
        .into_iter()
        .map(|service| ServicePlan {
            service,
            default_probability: default(service),
        })
        .collect();
    (services, default(OVERFLOW_SERVICE))
}

/// The probabilities of overflow entries with demand, by service: they are the defaults.
fn ruling_overflows(estimates: &[Estimate], operations: &[OperationPlan]) -> Vec<(ServiceId, f64)> {
    let mut ruling: Vec<_> = estimates
        .iter()
        .zip(operations)
        .filter(|(estimate, _)| estimate.overflow && rules_default(estimate))
        .map(|(estimate, plan)| (estimate.service, plan.probability))
        .collect();
    ruling.sort_unstable_by_key(|(service, _)| *service);
    ruling.dedup_by_key(|(service, _)| *service);
    ruling
}

fn services_of(operations: &[OperationPlan]) -> Vec<ServiceId> {
    let mut services: Vec<_> = operations.iter().map(|plan| plan.service).collect();
    services.sort_unstable();
    services.dedup();
    services
}

/// The estimates, each with what the previous plan listed for it.
fn with_listed<'a>(
    previous: &'a Plan,
    estimates: &'a [Estimate],
) -> impl Iterator<Item = (&'a Estimate, Option<&'a OperationPlan>)> {
    let mut listed = previous.operations.iter().peekable();
    estimates.iter().map(move |estimate| {
        while listed
            .next_if(|plan| plan.operation < estimate.operation)
            .is_some()
        {}
        let plan = listed.next_if(|plan| plan.operation == estimate.operation);
        (estimate, plan)
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn elapsed_time_covers_a_gap_and_survives_a_window_out_of_order() {
        use crate::allocation::{Timestamp, Window, WindowCounts};
        let window = |start, end| Window {
            start: Timestamp(start),
            end: Timestamp(end),
        };
        let previous = Plan {
            number: 1,
            window: window(0, 60_000),
            ..Plan::default()
        };
        let elapsed = |start, end| {
            let current = WindowCounts {
                window: window(start, end),
                ..WindowCounts::default()
            };
            let inputs = Inputs::new(1, &current);
            windows_since(&previous, &Tally::of(&current, &[]), inputs)
        };
        assert_eq!(elapsed(60_000, 120_000), 1.0);
        assert_eq!(elapsed(600_000, 660_000), 10.0);
        assert_eq!(elapsed(0, 60_000), 1.0);
    }
}
