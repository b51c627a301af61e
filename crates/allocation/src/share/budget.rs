//! Shares a budget: pins first, then the water level.

use crate::amount::amount;
use crate::hierarchy::Hierarchy;
use crate::limits::Limit;
use crate::lower_bound::Guarantees;
use crate::nested;
use crate::operation::Estimate;
use crate::solve::{Entry, Solution, solve_each};

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
/// probabilities keep more of it, so this never overspends. `entry` says as what each operation shares.
pub(crate) fn share_beside(
    bound: &Guarantees,
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &[Limit],
    entry: fn(&Limit) -> Entry,
    budget: f64,
) -> SharedBudget {
    let fixed = Fixed::of(hierarchy, estimates, limits);
    let share = |budget: f64| {
        let left = budget - fixed.pinned();
        fixed.beside(budget, solution(hierarchy, estimates, limits, entry, left))
    };
    let shared = share(budget);
    let anyway = bound.kept_anyway(estimates, limits, &shared);
    if anyway > 0.0 {
        share(budget + anyway)
    } else {
        shared
    }
}

/// Shares what pins leave.
fn solution(
    hierarchy: &Hierarchy,
    estimates: &[Estimate],
    limits: &[Limit],
    entry: fn(&Limit) -> Entry,
    left: f64,
) -> Solution {
    let entry = |at: usize| entry(&limits[at]);
    if hierarchy.is_flat() {
        return solve_each(limits.len(), entry, left);
    }
    let home = |estimate: &Estimate| hierarchy.home_of(estimate.service, estimate.operation);
    let homes: Vec<u32> = estimates.iter().map(home).collect();
    let nodes = hierarchy.nodes(estimates, limits);
    nested::solve(entry, &homes, &nodes, amount(left))
}

/// What operations get whatever the budget, in traces per second.
struct Fixed {
    /// What is fixed as a service's default.
    defaults: f64,
    /// What an operator fixed.
    pins: f64,
    /// The floors of the others, limited by demand and caps, also those of groups and services, but not by the pace of
    /// raises.
    floors: f64,
}

impl Fixed {
    fn of(hierarchy: &Hierarchy, estimates: &[Estimate], limits: &[Limit]) -> Self {
        let [mut defaults, mut pins] = [0.0; 2];
        let mut floors = hierarchy.sums();
        for (estimate, limit) in estimates.iter().zip(limits) {
            let demand = estimate.demand();
            match limit.pin {
                Some(default) if limit.is_default => defaults += amount(default * demand),
                Some(pin) => pins += amount(pin * demand),
                None => {
                    let node = hierarchy.home_of(estimate.service, estimate.operation);
                    let floor = limit.entry.floor.min(limit.cap_probability * demand);
                    floors[node as usize] += amount(floor);
                }
            }
        }
        Self {
            defaults,
            pins,
            floors: hierarchy.within_caps(floors, &hierarchy.nodes(estimates, limits)),
        }
    }

    fn pinned(&self) -> f64 {
        self.defaults + self.pins
    }

    /// Pays for the pins first, so that they are scaled down last. The solution shares the rest.
    fn beside(&self, budget: f64, solution: Solution) -> SharedBudget {
        let pinned = self.pinned();
        let exceeding = pinned + self.floors - budget;
        let missing = solution.missing + (pinned - budget).max(0.0);
        SharedBudget {
            solution,
            pin_scale: if pinned > budget {
                (budget - self.defaults).max(0.0) / self.pins
            } else {
                1.0
            },
            missing: missing.max(exceeding),
        }
    }
}
