//! From windows to a plan, step by step.
//!
//! Trust in the windows' counts → state after them → limits → solution → probabilities → defaults. If no
//! agent is heard, the probabilities of the plan before stand, unless operators changed the policy.

use super::decide::{Decision, by_default, decide, plan_of};
use super::defaults::probability;
use super::instances::InstanceEvidence;
use super::instructed::instructed;
use super::limits::Rules;
use super::listing::Unlisted;
use super::lower_bound::Guarantees;
use super::operation::Estimate;
use super::served::{self, Due};
use super::solve::amount;
use super::state::State;
use super::sum::exact_sum;
use super::tally::SortedCounts;
use super::trim::Kept;
use super::trust::{self, Trust};
use super::{
    Binding, Figures, FleetPlan, Hold, Inputs, OperationPlan, Plan, Policy, Reason, ServiceId,
    ServicePlan, Source, Window, interval, peaks,
};

/// Computes the plan that follows `previous`.
///
/// Any input yields a defined plan with every probability in [0, 1], and equal inputs in any order yield
/// equal plans. Repeated counts of one operation or agent add up.
#[must_use]
pub fn next_plan(previous: &Plan, policy: &Policy, inputs: Inputs<'_>) -> Plan {
    let window = inputs
        .windows
        .last()
        .map_or(previous.window, |counts| counts.window);
    let converted = interval::converted(previous, window);
    let previous = converted.as_ref().unwrap_or(previous);
    let mut retired = inputs.retired.to_vec();
    retired.sort_unstable();
    let inputs = Inputs {
        retired: &retired,
        readable: probability(inputs.readable, 0.0),
        ..inputs
    };
    let sorted = |counts| SortedCounts::of(counts, &retired);
    let tallies: Vec<SortedCounts> = inputs.windows.iter().map(sorted).collect();
    let trust =
        trust::read(previous, inputs.windows, &inputs.tuning.trust).readable(inputs.readable);
    let state = State::read(previous, &inputs, &tallies, &trust);
    planned(
        previous,
        policy,
        &inputs,
        &Read {
            window,
            tallies,
            trust,
            state,
        },
    )
}

/// What the windows say.
struct Read {
    window: Window,
    tallies: Vec<SortedCounts>,
    trust: Trust,
    state: State,
}

/// Decides by what is known, and writes everything down.
fn planned(previous: &Plan, policy: &Policy, inputs: &Inputs<'_>, read: &Read) -> Plan {
    let Read {
        window,
        tallies,
        trust,
        state,
    } = read;
    let empty = SortedCounts::of(&Default::default(), &[]);
    let tally = tallies.last().unwrap_or(&empty);
    let tuning = inputs.tuning;
    let (offered, hold) = (state.demand(), hold(inputs, trust));
    let budget = amount(policy.budget);
    let part = part_sampled(previous, trust, inputs);
    let later = tuning.estimate.operation.later();
    let due = Due::of(previous, tally, later);
    let kept = Kept {
        tally,
        due,
        lower_bound: previous.fleet.lower_bound_cost * tally.seconds * trust.covered,
        part,
        claimed: !trust.claims.is_empty(),
    };
    let trim = previous.fleet.trim.after(previous, kept, budget, tuning);
    let instructed = instructed(previous, policy, tuning);
    let stands = hold == Hold::Frozen && instructed.is_none();
    let bound = if hold == Hold::Frozen && !stands {
        Guarantees::settled(previous, policy, &state.known, tuning)
    } else {
        let seen = InstanceEvidence::of(tallies, trust, tuning);
        Guarantees::after(previous, policy, &seen, (trust, hold), &state.known, tuning)
    };
    let most = bound.most(&state.known);
    let from = instructed.as_ref().unwrap_or(previous);
    let factor = trim.factor
        * previous
            .fleet
            .clock
            .factor(*window, later, &tuning.serve.clock);
    let rules = Rules::new(policy, previous, hold, offered, factor, most, tuning).raising(
        from,
        trust,
        &state.fleet.names_return,
    );
    let mut decision = if stands {
        stand(previous, policy, state)
    } else {
        decide(&rules, state, &bound, tally.seconds)
    };
    bound.note(&mut decision.services);
    trust.note(&mut decision.services);
    state.note(&mut decision.services);
    let peaks = &tuning.share.peaks;
    peaks::note(previous, &state.known, &mut decision.services, peaks);
    let lower_bound_cost = bound.cost(&decision.operations);
    let changed = served::note(previous, &mut decision.operations);
    let clock = previous.fleet.clock.after(
        previous,
        *window,
        tally.per_second(due.newest),
        part,
        &tuning.serve.clock,
    );
    let figures = Figures {
        due_sampled: tally.per_second(due.held) + previous.fleet.lower_bound_cost * trust.covered,
        changed,
        ..Figures::of(&rules, &decision.operations, decision.level)
    };
    Plan {
        number: previous.number.saturating_add(1),
        term: inputs.term,
        configuration_revision: policy.revision,
        window: *window,
        fleet: FleetPlan {
            budget,
            offered,
            expected_sampled: exact_sum(decision.operations.iter().map(|plan| plan.share))
                + lower_bound_cost,
            observed_offered: tally.offered_per_second(),
            observed_sampled: tally.per_second(tally.sampled),
            level: decision.level,
            completeness: trust.completeness * inputs.readable.clamp(0.0, 1.0),
            covered: trust.covered,
            hold,
            unseen_reserve: decision.unseen_reserve,
            unseen_sampled: state.fleet.unseen_sampled,
            unseen_before: state.before.unseen_sampled,
            peak: peaks::of_fleet(previous, offered, peaks),
            windows_read: u32::try_from(inputs.windows.len()).unwrap_or(u32::MAX),
            trend: state.fleet.trend.per_window(),
            trend_before: state.before.trend.per_window(),
            common: state.fleet.common,
            common_before: state.before.common,
            default_probability: decision.default_probability,
            missing: decision.missing,
            trim,
            clock,
            lower_bound: bound.traces_per_second,
            lower_bound_cost,
            forecast_offered: state.forecast,
        },
        figures,
        groups: decision.groups,
        services: decision.services,
        operations: decision.operations,
        settled: trust.settled,
        agents: trust.agents.clone(),
        rates: trust.rates.clone(),
        claims: trust.claims.clone(),
    }
}

/// The part of what the previous plan was to keep whose counts are in; 0 while agents are missing.
fn part_sampled(previous: &Plan, trust: &Trust, inputs: &Inputs<'_>) -> f64 {
    if trust.completeness < inputs.tuning.trust.agents.heard {
        return 0.0;
    }
    let newest = inputs.windows.len().saturating_sub(1);
    let exposure = |service| trust.exposure(service, newest);
    let parts = previous.services.iter().map(|plan| exposure(plan.service));
    let (least, most) = parts.fold((1.0, 0.0), |(least, most): (f64, f64), part| {
        (least.min(part), most.max(part))
    });
    if least >= most {
        return trust.covered;
    }
    let all = exact_sum(previous.operations.iter().map(|plan| plan.share));
    let shares = previous.operations.iter();
    let counted = exact_sum(shares.map(|plan| plan.share * exposure(plan.service)));
    if all > 0.0 { counted / all } else { 0.0 }
}

/// What the plan may do with its windows.
fn hold(inputs: &Inputs<'_>, trust: &Trust) -> Hold {
    let (readable, nobody) = (inputs.readable, inputs.tuning.trust.agents.nobody);
    if trust.completeness <= nobody || readable <= nobody {
        Hold::Frozen
    } else if readable < 1.0 {
        Hold::CutsOnly
    } else {
        Hold::None
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
