//! What the windows say: which counts are believed, and how much traffic they show.

use super::amount::total;
use super::state::State;
use super::tally::SortedCounts;
use super::trust::{self, Trust};
use super::{Hold, Inputs, Plan, Policy};

/// What is known after the windows.
pub(super) struct Seen<'a> {
    /// The counts of each window.
    pub tallies: Vec<SortedCounts<'a>>,
    /// Which of them are believed.
    pub trust: Trust,
    /// How much traffic they show.
    pub state: State,
    /// What the plan may do with them.
    pub hold: Hold,
    /// The part of what the previous plan was to keep whose counts are in.
    pub part_sampled: f64,
}

impl<'a> Seen<'a> {
    /// Reads the windows from what a plan knew; `inputs.retired` is sorted.
    pub(super) fn read(previous: &Plan, policy: &Policy, inputs: &Inputs<'a>) -> Self {
        let sorted = |counts| SortedCounts::of(counts, inputs.retired);
        let tallies: Vec<SortedCounts<'a>> = inputs.windows.iter().map(sorted).collect();
        let trust = trust::read(previous, inputs.windows, &inputs.tuning.trust);
        let trust = trust.readable(inputs.readable);
        Self {
            state: State::read(previous, &policy.classes, inputs, &tallies, &trust),
            hold: hold(inputs, &trust),
            part_sampled: part_sampled(previous, &trust, inputs),
            tallies,
            trust,
        }
    }
}

/// What a plan may do with its windows.
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
    let all = total(previous.operations.iter().map(|plan| plan.share));
    let shares = previous.operations.iter();
    let counted = total(shares.map(|plan| plan.share * exposure(plan.service)));
    if all > 0.0 { counted / all } else { 0.0 }
}
