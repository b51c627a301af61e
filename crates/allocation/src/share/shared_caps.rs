//! Holds the caps that the classes of an operation share.
//!
//! The entries of a class are below a node of their own, and an operation has one entry in each class. No tree has both,
//! so the cap of an operation is split into caps of its entries before the budget is shared: as level, floors and
//! priorities share it, of what the caps of the classes leave. The parts are no more than the cap together, whatever the
//! level becomes.

use std::collections::{BTreeMap, BTreeSet};

use crate::amount::amount;
use crate::hierarchy::Hierarchy;
use crate::limits::Limit;
use crate::operation::Estimate;
use crate::solve::{Filled, Ramp, fill};
use crate::{Binding, Policy, SharedCap};

/// Lowers the limits of entries that share a cap.
///
/// `estimates` and `limits` have the same order, by operation.
pub(crate) fn hold(
    policy: &Policy,
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &mut [Limit],
) {
    if policy.shared_caps.is_empty() {
        return;
    }
    let known = policy.shared_caps.iter();
    let known: Vec<(f64, Vec<usize>)> = known
        .map(|shared| (amount(shared.cap), places(shared, estimates, limits)))
        .filter(|(_, places)| places.len() > 1)
        .collect();
    let within = within_classes(hierarchy, estimates, limits, &known);
    for (cap, places) in &known {
        if let Some(parts) = parts(*cap, places, limits, &within) {
            for (at, part) in places.iter().zip(parts) {
                lower(policy, &estimates[*at], &mut limits[*at], part);
            }
        }
    }
}

/// The places of the entries that share a cap: not of those that are fixed, whatever their cap.
fn places(shared: &SharedCap, estimates: &[Estimate], limits: &[Limit]) -> Vec<usize> {
    let place = |id| estimates.binary_search_by_key(id, |of| of.operation).ok();
    let found = shared.entries.iter().filter_map(place);
    found
        .filter(|at| limits[*at].pin.is_none() && estimates[*at].demand() > 0.0)
        .collect()
}

/// The most of each of these entries that the caps of their classes leave, by place.
fn within_classes(
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &[Limit],
    known: &[(f64, Vec<usize>)],
) -> BTreeMap<usize, f64> {
    let class = |at: usize| hierarchy.class_of(estimates[at].operation);
    let wanted: BTreeSet<usize> = known
        .iter()
        .flat_map(|(_, of)| of.iter().copied())
        .collect();
    let classes: BTreeSet<u32> = wanted.iter().filter_map(|at| class(*at)).collect();
    let mut entries: BTreeMap<u32, Vec<usize>> = BTreeMap::new();
    if !classes.is_empty() {
        for at in 0..estimates.len() {
            if let Some(node) = class(at).filter(|node| classes.contains(node)) {
                entries.entry(node).or_default().push(at);
            }
        }
    }
    let nodes = hierarchy.nodes(estimates, limits);
    let mut within = BTreeMap::new();
    for (node, places) in entries {
        let ramps: Vec<Ramp> = places.iter().map(|at| ramp(&limits[*at])).collect();
        let cap = amount(nodes[node as usize].cap);
        let shares = fill(&ramps, cap, |at| limits[places[at]].entry.priority).shares(&ramps);
        let shares = places.into_iter().zip(shares);
        within.extend(shares.filter(|(at, _)| wanted.contains(at)));
    }
    within
}

/// What each entry may have of a cap; none if they have no more in any case.
fn parts(
    cap: f64,
    places: &[usize],
    limits: &[Limit],
    within: &BTreeMap<usize, f64>,
) -> Option<Vec<f64>> {
    let priority = |at: usize| limits[places[at]].entry.priority;
    let all: Vec<Ramp> = places.iter().map(|at| ramp(&limits[*at])).collect();
    let most = |at: &usize| within.get(at).copied().unwrap_or(f64::INFINITY);
    let ramps = all.iter().zip(places);
    let ramps: Vec<Ramp> = ramps.map(|(ramp, at)| ramp.at_most(most(at))).collect();
    let filled = fill(&ramps, cap, priority);
    if !matches!(filled, Filled::Caps) {
        return Some(filled.shares(&ramps));
    }
    // Their classes may leave more of them than it seems, once others of the class meet caps of their own.
    let above = all.iter().zip(&ramps);
    let above: Vec<Ramp> = above
        .map(|(ramp, least)| ramp.at_least(least.cap))
        .collect();
    let filled = fill(&above, cap, priority);
    (!matches!(filled, Filled::Caps)).then(|| filled.shares(&above))
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
