//! Weighted max-min fairness with floors and caps, solved exactly.
//!
//! The budget rises like water: every share is `clamp(weight · level, floor, cap)`, and the level
//! is the one at which the shares spend the budget. The sum of the shares is a piecewise linear,
//! never falling function of the level, so the level lies between two neighbouring breakpoints
//! and follows from one division. The breakpoints are searched by their median, which halves what
//! is undecided each time: linear time, no sorting.
//!
//! [`nested`](crate::nested) adds the budgets of whole services and groups.

use crate::amount::{LARGEST, SMALLEST, amount};
use crate::level::find_level;
use crate::nested::{self, Node};

pub use crate::amount::Priority;

/// An entry that shares the budget.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Entry {
    /// The offered rate, in root requests per second: no share is larger.
    pub demand: f64,
    /// Its weight; above 0, otherwise 1 is used.
    pub weight: f64,
    /// Its floor in traces per second, limited by its demand and its cap.
    pub floor: f64,
    /// Its cap in traces per second; it wins over the floor.
    pub cap: f64,
    /// The priority of its floor.
    pub priority: Priority,
}

impl Default for Entry {
    /// An entry that asks for nothing.
    fn default() -> Self {
        Self {
            demand: 0.0,
            weight: 1.0,
            floor: 0.0,
            cap: f64::INFINITY,
            priority: Priority::default(),
        }
    }
}

/// The result of sharing a budget.
#[derive(Debug, Clone, PartialEq)]
pub struct Solution {
    /// The share per unit of weight of every entry bound by neither floor nor cap, in traces per second;
    /// infinite if all are at the cap, 0 if the floors alone exceed the budget.
    pub level: f64,
    /// The shares in traces per second, in the order of the entries.
    pub shares: Vec<f64>,
    /// Traces per second by which the floors exceed the budget; 0 when they fit.
    pub missing: f64,
    /// How each node's own floor and cap moved its level, in the order of the nodes.
    pub nodes: Vec<Levels>,
}

/// The levels that confine the entries of a node, whatever the level above it.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Levels {
    /// The level under which its floor keeps it from falling; 0 without one.
    pub least: f64,
    /// The level above which its cap keeps it from rising; infinite without one.
    pub most: f64,
    /// Traces per second by which the floors below it exceed its cap; 0 when they fit.
    pub missing: f64,
}

impl Default for Levels {
    fn default() -> Self {
        Self {
            least: 0.0,
            most: f64::INFINITY,
            missing: 0.0,
        }
    }
}

/// Shares a budget of traces per second over the entries.
///
/// Floors that do not fit are scaled down by priority, the lowest first, in proportion within one
/// priority; the budget is never exceeded. Values out of range are replaced: NaN and negative amounts by
/// 0, a NaN cap by no cap.
///
/// # Units
/// `budget` in traces per second.
///
/// # Source
/// Max-min fairness by progressive filling; the search of breakpoints by medians follows
/// K. C. Kiwiel, «Breakpoint searching algorithms for the continuous quadratic knapsack
/// problem», Mathematical Programming 112 (2008).
#[must_use]
pub fn solve(entries: &[Entry], budget: f64) -> Solution {
    solve_each(entries.len(), |at| entries[at], budget)
}

/// The same for a number of entries that are not in a list.
pub(crate) fn solve_each(count: usize, entry: impl Fn(usize) -> Entry, budget: f64) -> Solution {
    let ramps: Vec<Ramp> = (0..count).map(|at| Ramp::of(&entry(at))).collect();
    let filled = fill(&ramps, amount(budget), |at| entry(at).priority);
    Solution {
        level: filled.level(),
        shares: filled.shares(&ramps),
        missing: filled.missing(),
        nodes: Vec::new(),
    }
}

/// Shares a budget over entries under nodes with floors and caps of their own: `homes` holds the node of
/// each entry; the first node is the fleet.
///
/// A node's share is what its entries would get, clamped to its own floor and cap. Where that binds, its
/// entries share the floor or cap like a budget of their own. A floor is limited by what can be used, so
/// unused share goes to the others and comes back with demand. A cap wins over floors below it; floors that
/// exceed it are scaled down by priority.
///
/// # Panics
/// If a home is not a node, or a node does not follow its parent.
#[must_use]
pub fn solve_nested(entries: &[Entry], homes: &[u32], nodes: &[Node], budget: f64) -> Solution {
    nested::solve(|at| entries[at], homes, nodes, amount(budget))
}

/// An entry's share as a function of the level: flat, rising by its weight, flat.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Ramp {
    pub weight: f64,
    pub floor: f64,
    pub cap: f64,
}

impl Ramp {
    pub(crate) fn of(entry: &Entry) -> Self {
        let weight = if entry.weight > 0.0 {
            entry.weight.clamp(SMALLEST, LARGEST)
        } else {
            1.0
        };
        let demand = amount(entry.demand);
        let cap = if entry.cap.is_nan() {
            demand
        } else {
            amount(entry.cap).min(demand)
        };
        Self {
            weight,
            floor: amount(entry.floor).min(cap),
            cap,
        }
    }

    /// The level from which the share rises above the floor.
    pub(crate) fn start(&self) -> f64 {
        self.floor / self.weight
    }

    /// The level at which it reaches the cap.
    pub(crate) fn stop(&self) -> f64 {
        self.cap / self.weight
    }

    pub(crate) fn at(&self, level: f64) -> f64 {
        (self.weight * level).max(self.floor).min(self.cap)
    }

    /// The same with its share kept between two levels.
    pub(crate) fn between(&self, least: f64, most: f64) -> Self {
        Self {
            floor: self.at(least),
            cap: self.at(most),
            ..*self
        }
    }

    /// The same with no more than this share.
    pub(crate) fn at_most(&self, share: f64) -> Self {
        let cap = self.cap.min(share);
        Self {
            floor: self.floor.min(cap),
            cap,
            ..*self
        }
    }

    /// The same with no less than this share, which is not above its cap.
    pub(crate) fn at_least(&self, share: f64) -> Self {
        Self {
            floor: self.floor.max(share).min(self.cap),
            ..*self
        }
    }

    /// A ramp that has this share at any level.
    pub(crate) fn fixed(&self, share: f64) -> Self {
        Self {
            floor: share,
            cap: share,
            ..*self
        }
    }
}

/// The outcome of spending a budget on ramps.
#[derive(Debug)]
pub(crate) enum Filled {
    /// All ramps are at the cap: the budget does not bind.
    Caps,
    /// The level that spends the budget.
    Level(f64),
    /// The floors do not fit: the part each gets, in the ramps' order, and the excess over the budget in
    /// traces per second.
    Floors { parts: Vec<f64>, missing: f64 },
}

impl Filled {
    pub(crate) fn level(&self) -> f64 {
        match self {
            Self::Caps => f64::INFINITY,
            Self::Level(level) => *level,
            Self::Floors { .. } => 0.0,
        }
    }

    pub(crate) fn missing(&self) -> f64 {
        match self {
            Self::Caps | Self::Level(_) => 0.0,
            Self::Floors { missing, .. } => *missing,
        }
    }

    /// The shares, in the ramps' order.
    pub(crate) fn shares(&self, ramps: &[Ramp]) -> Vec<f64> {
        match self {
            Self::Caps => ramps.iter().map(|ramp| ramp.cap).collect(),
            Self::Level(level) => ramps.iter().map(|ramp| ramp.at(*level)).collect(),
            Self::Floors { parts, .. } => {
                let pairs = ramps.iter().zip(parts);
                pairs.map(|(ramp, part)| ramp.floor * part).collect()
            }
        }
    }
}

/// Spends a budget on ramps; `priority` gives the priority of a floor by position.
pub(crate) fn fill(ramps: &[Ramp], budget: f64, priority: impl Fn(usize) -> Priority) -> Filled {
    if budget <= 0.0 {
        return if ramps.iter().all(|ramp| ramp.cap <= 0.0) {
            Filled::Caps
        } else if ramps.iter().all(|ramp| ramp.floor <= 0.0) {
            Filled::Level(0.0)
        } else {
            scaled_floors(ramps, budget, priority)
        };
    }
    let sum = |of: fn(&Ramp) -> f64| ramps.iter().map(of).sum::<f64>();
    if sum(|ramp| ramp.cap) <= budget {
        Filled::Caps
    } else if sum(|ramp| ramp.floor) > budget {
        scaled_floors(ramps, budget, priority)
    } else {
        Filled::Level(find_level(ramps, budget))
    }
}

/// Scales down floors that do not fit: whole priorities from the lowest, the last of them in proportion.
fn scaled_floors(ramps: &[Ramp], budget: f64, priority: impl Fn(usize) -> Priority) -> Filled {
    let place = |at| usize::from(priority(at).number());
    let mut sums = [0.0; Priority::COUNT];
    for (at, ramp) in ramps.iter().enumerate() {
        sums[place(at)] += ramp.floor;
    }
    let mut left = budget;
    let mut parts = [0.0; Priority::COUNT];
    for (part, &wanted) in parts.iter_mut().zip(&sums).rev() {
        if wanted > left {
            *part = left / wanted;
            break;
        }
        *part = 1.0;
        left -= wanted;
    }
    Filled::Floors {
        parts: (0..ramps.len()).map(|at| parts[place(at)]).collect(),
        missing: (sums.iter().sum::<f64>() - budget).max(0.0),
    }
}
