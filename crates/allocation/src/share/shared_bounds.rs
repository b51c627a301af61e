//! Holds the floors and caps that the classes of an operation share.
//!
//! The entries of a class are below a node of their own, and an operation has one entry in each class. No tree has both,
//! so the floor and the cap of an operation are split into those of its entries before the budget is shared: at the level
//! at which the entries have the floor, or the cap, together, of what the caps of the classes leave. Where no class has a
//! cap, this gives each entry what a node for the operation would.

use std::collections::{BTreeMap, BTreeSet};

use crate::amount::amount;
use crate::hierarchy::Hierarchy;
use crate::limits::{Limit, Rules};
use crate::operation::Estimate;
use crate::solve::{Entry, Filled, Ramp, fill};
use crate::{Binding, Policy, SharedBounds, Source};

/// What the entries of one operation share, in traces per second, and their places.
struct Together {
    floor: f64,
    cap: f64,
    places: Vec<usize>,
}

/// The most of each entry that the cap of its class leaves, by place.
type Within = BTreeMap<usize, f64>;

/// Splits the floors and caps that entries share.
///
/// `estimates` and `limits` have the same order, by operation.
pub(crate) fn hold(
    rules: &Rules<'_>,
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &mut [Limit],
) {
    let policy = rules.policy;
    if policy.classes.is_empty() {
        return;
    }
    let known = policy.shared_bounds.iter();
    let known: Vec<Together> = known
        .filter(|shared| shared.floor.max(policy.floor) > 0.0 || shared.cap < f64::INFINITY)
        .map(|shared| Together::of(policy, shared, estimates, limits))
        .filter(|shared| shared.places.len() > 1)
        .collect();
    // What a class leaves depends on the floors of all of its entries.
    for shared in &known {
        raise(rules, shared, estimates, limits, &Within::new());
    }
    let within = within_classes(hierarchy, estimates, limits, &known);
    for shared in &known {
        raise(rules, shared, estimates, limits, &within);
    }
    for shared in &known {
        if let Some(parts) = caps(shared, limits, &within) {
            for (at, part) in shared.places.iter().zip(parts) {
                lower(policy, &estimates[*at], &mut limits[*at], part);
            }
        }
    }
}

impl Together {
    /// Without the entries that are fixed, whatever their bounds.
    fn of(
        policy: &Policy,
        shared: &SharedBounds,
        estimates: &[Estimate],
        limits: &[Limit],
    ) -> Self {
        let place = |id| estimates.binary_search_by_key(id, |of| of.operation).ok();
        let found = shared.entries.iter().filter_map(place);
        let places: Vec<usize> = found
            .filter(|at| limits[*at].pin.is_none() && estimates[*at].demand() > 0.0)
            .collect();
        let presence = places.iter().map(|at| estimates[*at].presence());
        let cap = amount(shared.cap);
        let floor = amount(shared.floor).max(amount(policy.floor));
        Self {
            floor: (presence.fold(0.0, f64::max) * floor).min(cap),
            cap,
            places,
        }
    }
}

/// Gives each entry its part of a floor, and no less than its own lowest probability.
fn raise(
    rules: &Rules<'_>,
    shared: &Together,
    estimates: &[Estimate],
    limits: &mut [Limit],
    within: &Within,
) {
    if shared.floor <= 0.0 {
        return;
    }
    let places = shared.places.iter();
    let own = places.map(|at| rules.own_floor(&estimates[*at]));
    let own: Vec<_> = own.collect();
    let of_own = own.iter().zip(&shared.places);
    let of_own = of_own.map(|((floor, _), at)| Entry {
        floor: *floor,
        ..limits[*at].lifted()
    });
    let ramps: Vec<Ramp> = of_own.map(|entry| Ramp::of(&entry)).collect();
    let (filled, ramps) = split(shared.floor, &shared.places, ramps, limits, within);
    let floors: Vec<f64> = match filled {
        Filled::Floors { .. } => ramps.iter().map(|ramp| ramp.floor).collect(),
        Filled::Caps | Filled::Level(_) => filled.shares(&ramps),
    };
    for ((at, floor), (own, source)) in shared.places.iter().zip(floors).zip(own) {
        let limit = &mut limits[*at];
        limit.entry.floor = floor;
        limit.floor_source = if floor > own {
            rules.floor_owner(&estimates[*at])
        } else if floor < own {
            Source::Service
        } else {
            source
        };
    }
}

/// Cuts floors that the caps of their classes forbid, and says the most of each of these entries that the caps leave.
fn within_classes(
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &mut [Limit],
    known: &[Together],
) -> Within {
    let nodes = hierarchy.nodes(estimates, limits);
    let mut entries: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    for (at, estimate) in estimates.iter().enumerate() {
        let node = hierarchy.class_of(estimate.operation);
        if let Some(node) = node.filter(|node| nodes[*node as usize].cap < f64::INFINITY) {
            entries.entry(node).or_default().push(at);
        }
    }
    let wanted: BTreeSet<usize> = known
        .iter()
        .flat_map(|shared| shared.places.iter().copied())
        .collect();
    let mut within = Within::new();
    for (node, places) in entries {
        let ramps: Vec<Ramp> = places.iter().map(|at| ramp(&limits[*at])).collect();
        let cap = amount(nodes[node as usize].cap);
        let filled = fill(&ramps, cap, |at| limits[places[at]].entry.priority);
        for (at, share) in places.into_iter().zip(filled.shares(&ramps)) {
            if matches!(filled, Filled::Floors { .. }) && share < limits[at].entry.floor {
                limits[at].entry.floor = share;
                limits[at].floor_source = Source::Service;
            }
            if wanted.contains(&at) {
                within.insert(at, share);
            }
        }
    }
    within
}

/// What each entry may have of a cap; none if they have no more in any case.
fn caps(shared: &Together, limits: &[Limit], within: &Within) -> Option<Vec<f64>> {
    let ramps = shared.places.iter().map(|at| ramp(&limits[*at]));
    let (filled, ramps) = split(shared.cap, &shared.places, ramps.collect(), limits, within);
    (!matches!(filled, Filled::Caps)).then(|| filled.shares(&ramps))
}

/// Fills entries, of what their classes leave, with what they have together.
fn split(
    together: f64,
    places: &[usize],
    ramps: Vec<Ramp>,
    limits: &[Limit],
    within: &Within,
) -> (Filled, Vec<Ramp>) {
    let priority = |at: usize| limits[places[at]].entry.priority;
    let most = |at: &usize| within.get(at).copied().unwrap_or(f64::INFINITY);
    let left = ramps.iter().zip(places);
    let left: Vec<Ramp> = left.map(|(ramp, at)| ramp.at_most(most(at))).collect();
    let filled = fill(&left, together, priority);
    if !matches!(filled, Filled::Caps) {
        return (filled, left);
    }
    // Their classes may leave more of them than it seems, once others of the class meet caps of their own.
    let above = ramps.iter().zip(&left);
    let above: Vec<Ramp> = above
        .map(|(ramp, least)| ramp.at_least(least.cap))
        .collect();
    (fill(&above, together, priority), above)
}

/// What an entry shares as, whatever it was served before.
fn ramp(limit: &Limit) -> Ramp {
    Ramp::of(&limit.lifted())
}

fn lower(policy: &Policy, estimate: &Estimate, limit: &mut Limit, part: f64) {
    let probability = part / estimate.demand();
    limit.cap_probability = limit.cap_probability.min(probability);
    if probability < limit.probability_max {
        limit.probability_max = probability;
        limit.binding = Binding::Cap;
        limit.source = policy.bounds(estimate.service, estimate.operation).1;
        limit.entry.cap = probability * limit.entry.demand;
    }
}
