//! From a window to a plan, step by step.
//!
//! State, corrected by late reports → reading of the window → estimates → limits → solution →
//! probabilities → defaults. A frozen window ends after the reading: the plan before it stands, unless
//! operators changed the policy.

use super::correct::State;
use super::decide::{Decision, by_default, decide, plan_of};
use super::estimate::Estimate;
use super::instances::InstanceEvidence;
use super::instructed::instructed;
use super::limits::Rules;
use super::listing::Unlisted;
use super::lower_bound::Guarantees;
use super::solve::amount;
use super::sum::exact_sum;
use super::tally::SortedCounts;
use super::{
    Binding, Figures, FleetPlan, Hold, Inputs, OperationPlan, Plan, Policy, Reason, ServiceId,
    ServicePlan, Source, completeness, interval,
};

/// Computes the plan that follows `previous`.
///
/// Any input yields a defined plan with every probability in [0, 1], and equal inputs in any order yield
/// equal plans. Repeated counts of one operation or agent add up.
#[must_use]
pub fn next_plan(previous: &Plan, policy: &Policy, inputs: Inputs<'_>) -> Plan {
    let converted = interval::converted(previous, inputs.current.window);
    let previous = converted.as_ref().unwrap_or(previous);
    let mut retired = inputs.retired.to_vec();
    retired.sort_unstable();
    let before = State::corrected(previous, inputs.corrected, &retired);
    let (forecast, trend_before) = (before.demand(), before.trend.per_window());
    let common_before = before.common;
    let tally = SortedCounts::of(inputs.current, &retired);
    let reading = completeness::read(&before.agents, &tally, forecast, inputs.readable);
    let seen = InstanceEvidence::of(previous, &inputs, &tally, &reading);
    let windows = windows_since(previous, &tally, inputs);
    let (state, reading) = before.advanced(&tally, reading, windows);
    let offered = state.demand();

    let trim =
        previous
            .fleet
            .trim
            .after(previous, &tally, &reading, forecast, amount(policy.budget));
    let instructed = instructed(previous, policy);
    let stands = reading.hold == Hold::Frozen && instructed.is_none();
    let bound = if reading.hold == Hold::Frozen && !stands {
        Guarantees::settled(previous, policy, &state.known)
    } else {
        Guarantees::after(previous, policy, &seen, reading.hold, &state.known)
    };
    let most = bound.most(&state.known);
    let from = instructed.as_ref().unwrap_or(previous);
    let rules = Rules::new(policy, previous, reading.hold, offered, trim, most).starting_from(from);
    let mut decision = if stands {
        stand(previous, policy, &state)
    } else {
        decide(&rules, &state, &bound, tally.seconds)
    };
    bound.note(&mut decision.services);
    let lower_bound_cost = bound.cost(&decision.operations);
    let seconds = tally.seconds;
    let mut figures = Figures::of(&rules, &decision.operations, decision.level, seconds);
    figures.due_sampled += previous.fleet.lower_bound_cost * reading.part_counted();
    Plan {
        number: previous.number.saturating_add(1),
        term: inputs.term,
        configuration_revision: policy.revision,
        window: inputs.current.window,
        fleet: FleetPlan {
            budget: amount(policy.budget),
            offered,
            expected_sampled: exact_sum(decision.operations.iter().map(|plan| plan.share))
                + lower_bound_cost,
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
            lower_bound: bound.traces_per_second,
            lower_bound_cost,
            forecast_offered: forecast,
        },
        figures,
        groups: decision.groups,
        services: decision.services,
        operations: decision.operations,
        agents: state.agents,
    }
}

/// Windows from the end of the previous plan to the end of this one: 1, more after a gap.
fn windows_since(previous: &Plan, tally: &SortedCounts, inputs: Inputs<'_>) -> f64 {
    let end = inputs.current.window.end.0;
    let between = end.saturating_sub(previous.window.end.0) as f64 / 1000.0;
    if previous.number == 0 || tally.seconds <= 0.0 {
        1.0
    } else {
        (between / tally.seconds).max(1.0)
    }
}

/// Leaves every probability as it was served.
fn stand(previous: &Plan, policy: &Policy, state: &State) -> Decision {
    let left_out = Unlisted::among(policy, &state.known);
    let operations: Vec<OperationPlan> = with_listed(previous, &state.known)
        .enumerate()
        .map(|(at, (estimate, listed))| {
            let unlisted = || previous.default_probability(estimate.service);
            if left_out.holds(at) {
                return by_default(estimate, unlisted());
            }
            let probability = listed.map_or_else(unlisted, |plan| plan.probability);
            let share = listed.map_or(probability * estimate.demand(), |plan| plan.share);
            let held = listed.map_or(Reason::UNKNOWN, |plan| plan.reason);
            let reason = Reason {
                bound: probability as f32,
                source: Source::Fleet,
                target: listed.map_or(probability as f32, |plan| plan.reason.target),
                ..held
            };
            plan_of(estimate, share, probability, Binding::Hold, reason)
        })
        .collect();
    let services = services_of(&operations)
        .into_iter()
        .map(|service| ServicePlan {
            service,
            default_probability: previous.default_probability(service),
            level: previous.level(service),
            group: previous.service(service).and_then(|held| held.group),
            ..ServicePlan::default()
        })
        .collect();
    Decision {
        level: previous.fleet.level,
        missing: previous.fleet.missing,
        unseen_reserve: previous.fleet.unseen_reserve,
        default_probability: previous.fleet.default_probability,
        groups: previous.groups.clone(),
        services,
        operations,
    }
}

/// The services of operations, sorted.
pub(super) fn services_of(operations: &[OperationPlan]) -> Vec<ServiceId> {
    let mut services: Vec<_> = operations.iter().map(|plan| plan.service).collect();
    services.sort_unstable();
    services.dedup();
    services
}

/// The estimates, each with what the previous plan listed for it.
pub(super) fn with_listed<'a>(
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
        use crate::{Timestamp, Window, WindowCounts};
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
            windows_since(&previous, &SortedCounts::of(&current, &[]), inputs)
        };
        assert_eq!(elapsed(60_000, 120_000), 1.0);
        assert_eq!(elapsed(600_000, 660_000), 10.0);
        assert_eq!(elapsed(0, 60_000), 1.0);
    }
}
