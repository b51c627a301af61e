//! What SDKs held while a window's requests came in.
//!
//! SDKs poll once an interval. So while a window lasts, some hold the plan made at its start, and the rest the
//! one before. A plan keeps how far it moved each probability, so that the next plan knows both.

use std::collections::BTreeMap;

use crate::amount::{amount, total};
use crate::hint::beside;
use crate::tally::SortedCounts;
use crate::trust::bases::{Parts, Unsaid};
use crate::{Class, OperationId, OperationPlan, Plan, Policy, ServiceId, held_between_plans};

/// A move of a probability is kept in parts of a natural logarithm: to 3 %.
const PARTS: f64 = 16.0;

/// A probability that moved by less than this relative amount counts as unchanged.
const CHANGE: f64 = 0.01;

impl OperationPlan {
    /// What its SDKs were told by the plan before, in [0, 1], to 3 %.
    #[must_use]
    pub fn probability_before(&self) -> f64 {
        if self.turned == 0 {
            return self.probability;
        }
        (self.probability * (f64::from(self.turned) / PARTS).exp()).min(1.0)
    }
}

/// What a window would have kept of its counts, in traces.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Due {
    /// By the plans that its SDKs held.
    pub held: f64,
    /// By the newest plan alone.
    pub newest: f64,
    /// The part of `held` of which it is known what was sampled, in [0, 1].
    pub known: f64,
    /// The part of `held` of which reports say what was sampled independently of what was offered, in [0, 1].
    pub shown: f64,
    /// What was counted as sampled of the rest, in traces.
    pub sampled_of_rest: f64,
}

impl Due {
    /// The part `later` of a plan's use falls into the window after the next.
    pub(crate) fn of(
        (previous, policy): (&Plan, &Policy),
        tally: &SortedCounts<'_>,
        later: f64,
        unsaid: &Unsaid,
    ) -> Self {
        let counts = tally.operations.iter();
        let listed = &previous.operations;
        let mut both: Vec<(f64, f64)> =
            beside(counts, |count| count.operation, listed, |of| of.operation)
                .map(|(count, held)| {
                    let (newest, before) = held.map_or_else(
                        || {
                            let default = previous.served_default(count.service);
                            (default, default)
                        },
                        |held| told(previous, held),
                    );
                    let offered = count.offered as f64;
                    (newest * offered, before * offered)
                })
                .collect();
        hold_operations(policy, tally, &mut both);
        hold_classes(previous, policy, tally, &mut both);
        let newest = total(both.iter().map(|(newest, _)| *newest));
        let before = total(both.iter().map(|(_, before)| *before));
        let mix = |newest: f64, before: f64| (1.0 - later) * newest + later * before;
        let held = mix(newest, before);
        let all_but = |parts: &Parts| {
            if parts.is_empty() || held <= 0.0 {
                return 1.0;
            }
            let services = tally.operations.iter().map(|count| count.service);
            let operations = both.iter().zip(services);
            let without =
                operations.map(|((newest, before), of)| parts.of(of) * mix(*newest, *before));
            (1.0 - total(without) / held).clamp(0.0, 1.0)
        };
        Self {
            held,
            newest,
            known: all_but(&unsaid.unknown),
            shown: all_but(&unsaid.unshown),
            sampled_of_rest: unsaid.sampled,
        }
    }

    /// The same where SDKs held probabilities that had been multiplied by this factor.
    pub(crate) fn cut(self, factor: f64) -> Self {
        Self {
            held: self.held * factor,
            newest: self.newest * factor,
            ..self
        }
    }
}

/// Lowers what is due of operations to the caps to which edges have held all of their classes together between two plans.
/// Errors and tagged requests come first, and the others have what they leave.
fn hold_operations(policy: &Policy, tally: &SortedCounts<'_>, both: &mut [(f64, f64)]) {
    let is_pinned = |entry: &OperationId| {
        let bounds = policy.operations.get(entry);
        bounds.is_some_and(|bounds| bounds.pin.is_some())
    };
    let capped = policy.shared_bounds.iter();
    for shared in capped.filter(|shared| shared.cap.is_finite()) {
        let most = amount(shared.cap) * tally.seconds;
        let entries = shared.entries.iter().filter(|entry| !is_pinned(entry));
        let counted = entries.filter_map(|entry| {
            let counts = &tally.operations;
            let place = counts.binary_search_by_key(entry, |count| count.operation);
            Some((place.ok()?, policy.classes.get(entry)?.class))
        });
        let (first, others): (Vec<_>, Vec<_>) =
            counted.partition(|(_, class)| matches!(class, Class::Error | Class::Tagged));
        let mut left = (most, most);
        for places in [first, others] {
            let due = places.iter().map(|(place, _)| both[*place]);
            let due = due.fold((0.0, 0.0), |sum: (f64, f64), due| {
                (sum.0 + due.0, sum.1 + due.1)
            });
            let part = |due: f64, left: f64| if due > left { left / due } else { 1.0 };
            for (place, _) in places {
                both[place].0 *= part(due.0, left.0);
                both[place].1 *= part(due.1, left.1);
            }
            left = ((left.0 - due.0).max(0.0), (left.1 - due.1).max(0.0));
        }
    }
}

/// Lowers what is due of the classes that edges have held between two plans: `both` has what the newest plan would keep
/// of each count, and the one before.
fn hold_classes(
    previous: &Plan,
    policy: &Policy,
    tally: &SortedCounts<'_>,
    both: &mut [(f64, f64)],
) {
    if policy.classes.is_empty() {
        return;
    }
    #[derive(Default)]
    struct Held {
        cap: f64,
        share: f64,
        due: (f64, f64),
    }
    let mut classes: BTreeMap<(ServiceId, Class), Held> = BTreeMap::new();
    for (operation, entry) in &policy.classes {
        let of = classes.entry((entry.service, entry.class)).or_default();
        of.cap = policy.class_cap(entry);
        let planned = previous
            .operations
            .binary_search_by_key(operation, |plan| plan.operation);
        of.share += planned.map_or(0.0, |place| previous.operations[place].share);
    }
    let entry = |place: usize| policy.classes.get(&tally.operations[place].operation);
    for (place, (newest, before)) in both.iter().enumerate() {
        let of = entry(place).and_then(|entry| classes.get_mut(&(entry.service, entry.class)));
        if let Some(of) = of {
            of.due.0 += newest;
            of.due.1 += before;
        }
    }
    for (place, (newest, before)) in both.iter_mut().enumerate() {
        let of = entry(place).and_then(|entry| classes.get(&(entry.service, entry.class)));
        let Some(of) = of else { continue };
        let most = held_between_plans(of.cap, of.share, policy.budget) * tally.seconds;
        let part = |due: f64| if due > most { most / due } else { 1.0 };
        *newest *= part(of.due.0);
        *before *= part(of.due.1);
    }
}

/// What the SDKs of an operation were told by a plan, and by the one before.
fn told(previous: &Plan, held: &OperationPlan) -> (f64, f64) {
    let kept = previous
        .steered
        .as_ref()
        .and_then(|_| previous.served_of(held.operation));
    match kept {
        // The plan before served the same, unless it was the last that was served itself.
        Some(kept) => (kept, kept),
        None => (held.probability, held.probability_before()),
    }
}

/// Notes how far each probability moved from the one that the previous plan served. Returns the part that moved by
/// more than 1 %, of the operations that both plans list.
pub(crate) fn note(previous: &Plan, operations: &mut [OperationPlan]) -> f64 {
    let (mut both, mut changed) = (0_u64, 0_u64);
    let listed = &previous.operations;
    let plans = operations.iter_mut();
    for (plan, held) in beside(plans, |plan| plan.operation, listed, |of| of.operation) {
        let before = match held {
            Some(held) => {
                both += 1;
                changed += u64::from(differs(held.probability, plan.probability));
                held.probability
            }
            None => previous.default_probability(plan.service),
        };
        plan.turned = turned(before, plan.probability);
    }
    changed as f64 / both.max(1) as f64
}

/// How far a probability moved; 0 where it moved from or to nothing.
fn turned(before: f64, after: f64) -> i8 {
    if before == after || before <= 0.0 || after <= 0.0 {
        return 0;
    }
    let parts = (PARTS * (before / after).ln()).round();
    parts.clamp(f64::from(i8::MIN), f64::from(i8::MAX)) as i8
}

fn differs(before: f64, after: f64) -> bool {
    (after - before).abs() > CHANGE * before.max(after)
}
