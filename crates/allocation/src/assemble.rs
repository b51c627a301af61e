//! Writes what was seen and decided into a plan.

use super::amount::amount;
use super::decide::Decision;
use super::seen::Seen;
use super::{Clock, Figures, FleetPlan, Inputs, Plan, Policy, Trim, Window, peaks};

/// What a plan decides.
pub(super) struct Decided {
    /// The offered rate that is planned for.
    pub offered: f64,
    pub trim: Trim,
    pub clock: Clock,
    pub decision: Decision,
    pub lower_bound: f64,
    pub lower_bound_cost: f64,
    pub figures: Figures,
    pub observed_offered: f64,
    pub observed_sampled: f64,
}

/// The plan after a window.
pub(super) fn assemble(
    previous: &Plan,
    policy: &Policy,
    inputs: &Inputs<'_>,
    seen: Seen<'_>,
    decided: Decided,
    window: Window,
) -> Plan {
    let fleet = fleet(previous, policy, inputs, &seen, &decided);
    let (decision, figures, trust) = (decided.decision, decided.figures, seen.trust);
    Plan {
        number: previous.number.saturating_add(1),
        term: inputs.term,
        configuration_revision: policy.revision,
        window,
        fleet,
        figures,
        groups: decision.groups,
        services: decision.services,
        operations: decision.operations,
        settled: trust.settled,
        agents: trust.agents,
        rates: trust.rates,
        claims: trust.claims,
        steered: None,
    }
}

fn fleet(
    previous: &Plan,
    policy: &Policy,
    inputs: &Inputs<'_>,
    seen: &Seen<'_>,
    decided: &Decided,
) -> FleetPlan {
    let (trust, state, decision) = (&seen.trust, &seen.state, &decided.decision);
    let offered = decided.offered;
    FleetPlan {
        budget: amount(policy.budget),
        cost_per_trace: policy.cost_per_trace,
        offered,
        expected_sampled: decision.expected_sampled(decided.lower_bound_cost),
        observed_offered: decided.observed_offered,
        observed_sampled: decided.observed_sampled,
        level: decision.level,
        completeness: trust.completeness * inputs.readable.clamp(0.0, 1.0),
        covered: trust.covered,
        hold: seen.hold,
        unseen_reserve: decision.unseen_reserve,
        unseen_sampled: state.fleet.unseen_sampled,
        unseen_before: state.before.unseen_sampled,
        peak: peaks::of_fleet(previous, offered, &inputs.tuning.share.peaks),
        polled: trust.polled,
        windows_read: u32::try_from(inputs.windows.len()).unwrap_or(u32::MAX),
        trend: state.fleet.trend.per_window(),
        trend_before: state.before.trend.per_window(),
        common: state.fleet.common,
        common_before: state.before.common,
        default_probability: decision.default_probability,
        missing: decision.missing,
        trim: decided.trim,
        clock: decided.clock,
        lower_bound: decided.lower_bound,
        lower_bound_cost: decided.lower_bound_cost,
        forecast_offered: state.forecast,
    }
}
