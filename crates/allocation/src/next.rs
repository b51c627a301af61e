//! The door: from windows to a plan, step by step.
//!
//! 1. [`Seen`] reads the windows: which counts are believed (`trust/`), how much traffic they show (`estimate/`).
//! 2. [`Trim`](super::Trim) and [`Clock`](super::Clock) correct the budget; [`instructed`] takes over what operators
//!    changed.
//! 3. [`Guarantees`] sets aside what SDKs keep by themselves, [`Rules`] bounds each operation, and [`decide`] shares
//!    the budget (`share/`). If nobody is heard and nothing was changed, [`stand`] leaves all as it was.
//! 4. [`assemble`] writes everything into the plan, and [`steered`] what is served in place of it, if anything is.
//!
//! docs/allocation.md has the mathematics, [`Tuning`](super::Tuning) every constant.

use std::mem;

use super::amount::{amount, probability};
use super::assemble::{Decided, assemble};
use super::decide::decide;
use super::instances::InstanceEvidence;
use super::instructed::instructed;
use super::limits::Rules;
use super::lower_bound::Guarantees;
use super::operation::Estimate;
use super::seen::Seen;
use super::served::{self, Due};
use super::stand::stand;
use super::state;
use super::steer::steered;
use super::tally::SortedCounts;
use super::trim::Kept;
use super::trust::bases::{self, Unsaid};
use super::{Figures, Hold, Inputs, Plan, Policy, Window, WindowCounts, interval, peaks};

/// Computes the plan that follows `previous`.
///
/// Any input yields a defined plan with every probability in [0, 1], and equal inputs in any order yield
/// equal plans. Repeated counts of one operation or agent add up.
#[must_use]
pub fn next_plan(previous: &Plan, policy: &Policy, inputs: Inputs<'_>) -> Plan {
    let newest = inputs.windows.last().map(|counts| counts.window);
    let window = newest.unwrap_or(previous.window);
    let converted = interval::converted(previous, window);
    let previous = converted.as_ref().unwrap_or(previous);
    let mut retired = inputs.retired.to_vec();
    retired.sort_unstable();
    let inputs = Inputs {
        retired: &retired,
        readable: probability(inputs.readable, 0.0),
        cut: probability(inputs.cut, 1.0),
        ..inputs
    };
    let mut seen = Seen::read(previous, policy, &inputs);
    let known = mem::take(&mut seen.state.known);
    let decided = decided(previous, policy, &inputs, &seen, known, window);
    let mut plan = assemble(previous, policy, &inputs, seen, decided, window);
    plan.steered = steered(previous, policy, &plan, &inputs.tuning.share.unknown);
    plan
}

/// Decides by what is known of each operation.
fn decided(
    previous: &Plan,
    policy: &Policy,
    inputs: &Inputs<'_>,
    seen: &Seen<'_>,
    known: Vec<Estimate>,
    window: Window,
) -> Decided {
    let (trust, state, tuning) = (&seen.trust, &seen.state, inputs.tuning);
    let (budget, part) = (amount(policy.budget), seen.part_sampled);
    let nothing = WindowCounts::default();
    let empty = SortedCounts::of(&nothing, &[]);
    let tally = seen.tallies.last().unwrap_or(&empty);
    let before = &previous.fleet;
    let later = tuning.estimate.operation.later();
    let newest = inputs.windows.last();
    let unsaid = newest.map_or_else(Unsaid::default, Unsaid::of);
    let due = Due::of((previous, policy), tally, later, &unsaid).cut(inputs.cut);
    // What SDKs held says nothing of how well plans foresee and are applied.
    let is_steered = previous.steered.is_some() || inputs.cut < 1.0;
    let lower_bound_cost = previous.served_lower_bound_cost() * inputs.cut;
    let kept = Kept {
        tally,
        due,
        lower_bound: lower_bound_cost * tally.seconds * trust.covered,
        part,
        claimed: trust.claimed,
        steered: is_steered,
        turned: previous.serving() != policy.serving,
    };
    let trim = before.trim.after(previous, kept, budget, tuning);
    let clock = before.clock.factor(window, later, &tuning.serve.clock);

    let offered = state::demand(&known);
    let instructed = instructed(previous, policy, tuning);
    let stands = seen.hold == Hold::Frozen && instructed.is_none();
    let bound = guarantees(previous, policy, inputs, (seen, &known), stands);
    let rules = Rules::new(
        policy,
        previous,
        seen.hold,
        offered,
        trim.correction(clock, &tuning.serve.trim),
        bound.most(&known),
        tuning,
    );
    let from = instructed.as_ref().unwrap_or(previous);
    let rules = rules.raising(from, trust, &state.fleet.names_return);
    let mut decision = if stands {
        stand(previous, policy, known)
    } else {
        let unseen_sampled = state.fleet.unseen_sampled;
        decide(&rules, known, unseen_sampled, &bound, tally.seconds)
    };

    bound.note(&mut decision.services);
    trust.note(&mut decision.services);
    let constants = &tuning.trust.bases;
    bases::note(previous, inputs.windows, &mut decision.services, constants);
    state.note(&mut decision.services);
    peaks::note(
        previous,
        &decision.operations,
        &mut decision.services,
        &tuning.share.peaks,
    );
    let changed = served::note(previous, &mut decision.operations);
    let newest = tally.per_second(due.newest);
    let clock = &before.clock;
    let part = if is_steered { 0.0 } else { part };
    Decided {
        offered,
        lower_bound: bound.traces_per_second,
        lower_bound_cost: bound.cost(&decision.operations),
        clock: clock.after(previous, window, newest, part, &tuning.serve.clock),
        observed_offered: tally.offered_per_second(),
        observed_sampled: tally.per_second(tally.sampled + due.held * (1.0 - due.known)),
        trim,
        figures: Figures {
            due_sampled: tally.per_second(due.held) + lower_bound_cost * trust.covered,
            changed,
            ..Figures::of(&rules, &decision.operations, decision.level)
        },
        decision,
    }
}

/// What SDKs keep by themselves. While nobody is heard, only operators change it.
fn guarantees(
    previous: &Plan,
    policy: &Policy,
    inputs: &Inputs<'_>,
    (seen, known): (&Seen<'_>, &[Estimate]),
    stands: bool,
) -> Guarantees {
    let tuning = inputs.tuning;
    if seen.hold == Hold::Frozen && !stands {
        return Guarantees::settled(previous, policy, known, tuning);
    }
    let instances = InstanceEvidence::of(&seen.tallies, &seen.trust, tuning);
    let trusted = (&seen.trust, seen.hold);
    Guarantees::after(previous, policy, &instances, trusted, known, tuning)
}
