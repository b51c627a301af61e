//! Shares a budget: pins first, then the water level.

use crate::hierarchy::Hierarchy;
use crate::limits::Limit;
use crate::lower_bound::Guarantees;
use crate::operation::Estimate;
use crate::solve::{Entry, Solution, solve, solve_nested};
use crate::sum::exact_sum;

/// The budget, shared.
pub(crate) struct SharedBudget {
    pub solution: Solution,
    /// What the pins had to be scaled by to fit the budget; 1 when they do.
    pub pin_scale: f64,
    /// Traces per second by which pins and floors exceed the budget.
    pub missing: f64,
}

/// Shares a budget from which the maximum cost of the lower bound has been deducted.
///
/// The part of the lower bound that the probabilities keep anyway is shared as well. Higher
/// probabilities keep more of it, so this never overspends.
pub(crate) fn share_beside(
    bound: &Guarantees,
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &[Limit],
    budget: f64,
) -> SharedBudget {
    let shared = share(hierarchy, estimates, limits, budget);
    let anyway = bound.kept_anyway(estimates, limits, &shared);
    if anyway > 0.0 {
        share(hierarchy, estimates, limits, budget + anyway)
    } else {
        shared
    }
}

/// Pays for the pins first, so that they are scaled down last, and shares the rest.
fn share(
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &[Limit],
    budget: f64,
) -> SharedBudget {
    let (defaults, pins) = (
        pinned(estimates, limits, true),
        pinned(estimates, limits, false),
    );
    let pinned = defaults + pins;
    let entries: Vec<Entry> = limits.iter().map(|limit| limit.entry).collect();
    let left = budget - pinned;
    let solution = if hierarchy.is_flat() {
        solve(&entries, left)
    } else {
        let home = |estimate: &Estimate| hierarchy.home(estimate.service);
        let homes: Vec<u32> = estimates.iter().map(home).collect();
        solve_nested(&entries, &homes, &hierarchy.nodes(estimates, limits), left)
    };
    let exceeding = pinned + floors(estimates, limits) - budget;
    let missing = solution.missing + (pinned - budget).max(0.0);
    SharedBudget {
        solution,
        pin_scale: if pinned > budget {
            (budget - defaults).max(0.0) / pins
        } else {
            1.0
        },
        missing: missing.max(exceeding),
    }
}

/// What is fixed as a service's default or by an operator, in traces per second.
fn pinned(estimates: &[Estimate], limits: &[Limit], defaults: bool) -> f64 {
    let pins = estimates.iter().zip(limits);
    let pins = pins.filter(|(_, limit)| limit.is_default == defaults);
    exact_sum(pins.filter_map(|(estimate, limit)| Some(limit.pin? * estimate.demand())))
}

/// The sum of the floors in traces per second, limited by demand and caps but not by the pace of raises.
fn floors(estimates: &[Estimate], limits: &[Limit]) -> f64 {
    let unpinned = estimates
        .iter()
        .zip(limits)
        .filter(|(_, limit)| limit.pin.is_none());
    let most = |estimate: &Estimate, limit: &Limit| limit.cap_probability * estimate.demand();
    exact_sum(unpinned.map(|(estimate, limit)| limit.entry.floor.min(most(estimate, limit))))
}
