//! Previews another policy before anybody is served by it.

use crate::amount::amount;
use crate::decide::decide;
use crate::limits::Rules;
use crate::lower_bound::Guarantees;
use crate::state::State;
use crate::tuning::Tuning;
use crate::{Figures, FleetPlan, Hold, Plan, Policy, served};

/// The plan that `current` would settle at under another policy, if traffic stayed as it is.
///
/// Raises take effect at once, nothing is held, the deadband is off, and what is decided is served. What `current` observed of its
/// window is copied. The result is for display: it has the number of `current`, and no plan follows it.
#[must_use]
pub fn preview(current: &Plan, policy: &Policy) -> Plan {
    settled(current, policy, &Tuning::DEFAULT)
}

/// The same with other constants.
pub(crate) fn settled(current: &Plan, policy: &Policy, tuning: &Tuning) -> Plan {
    let state = State::after(current, &[], tuning);
    let offered = state.demand();
    let bound = Guarantees::settled(current, policy, &state.known, tuning);
    let rules = Rules::settled(policy, current, offered, bound.most(&state.known), tuning);
    let seconds = current.window.seconds();
    let unseen_sampled = state.fleet.unseen_sampled;
    let mut decision = decide(&rules, state.known, unseen_sampled, &bound, seconds);
    bound.note(&mut decision.services);
    let lower_bound_cost = bound.cost(&decision.operations);
    let changed = served::note(current, &mut decision.operations);
    let figures = Figures {
        due_sampled: current.figures.due_sampled,
        changed,
        ..Figures::of(&rules, &decision.operations, decision.level)
    };
    Plan {
        configuration_revision: policy.revision,
        fleet: FleetPlan {
            budget: amount(policy.budget),
            cost_per_trace: policy.cost_per_trace,
            offered,
            expected_sampled: decision.expected_sampled(lower_bound_cost),
            level: decision.level,
            hold: Hold::None,
            unseen_reserve: decision.unseen_reserve,
            default_probability: decision.default_probability,
            missing: decision.missing,
            lower_bound: bound.traces_per_second,
            lower_bound_cost,
            ..current.fleet
        },
        figures,
        groups: decision.groups,
        services: decision.services,
        operations: decision.operations,
        agents: current.agents.clone(),
        rates: current.rates.clone(),
        claims: current.claims.clone(),
        steered: None,
        ..*current
    }
}
