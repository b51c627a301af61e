//! Solves budgets inside the budget: floors and caps of whole services and groups.
//!
//! The entries of a node share like all others until the node's own floor or cap binds. From there on
//! the node's level stays, whatever the level above does. So a node is two levels that confine its
//! entries, and an entry below it rises from what the first level gives it to what the second does. The
//! nodes are converted to floors and caps of their entries, from the innermost outwards, by filling each
//! node with its own floor and cap. One plain solution for all entries is left. Each step is linear in
//! the number of entries.

use crate::amount::{Priority, amount};
use crate::solve::{Entry, Filled, Levels, Ramp, Solution, fill};

/// A part of the fleet with one floor and one cap for all of its entries.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// The index of its parent node, which precedes it. The first node is the fleet, which has none.
    pub parent: u32,
    /// The floor in traces per second, limited by what its entries can use; a lower cap wins.
    pub floor: f64,
    /// The cap in traces per second.
    pub cap: f64,
}

impl Default for Node {
    /// A node without bounds.
    fn default() -> Self {
        Self {
            parent: 0,
            floor: 0.0,
            cap: f64::INFINITY,
        }
    }
}

/// Shares a budget; see [`solve_nested`](crate::solve::solve_nested).
pub(crate) fn solve(
    entry: impl Fn(usize) -> Entry,
    homes: &[u32],
    nodes: &[Node],
    budget: f64,
) -> Solution {
    let layout = Layout::of(homes, nodes);
    let priority = |place: usize| entry(layout.order[place] as usize).priority;
    let places = layout.order.iter();
    let mut ramps: Vec<Ramp> = places.map(|at| Ramp::of(&entry(*at as usize))).collect();
    let mut levels = vec![Levels::default(); nodes.len()];
    // Inner nodes follow their parents, so start at the last.
    for (number, node) in nodes.iter().enumerate().rev() {
        let (start, end) = layout.spans[number];
        let own = |place: usize| priority(start + place);
        levels[number] = bound(node, &mut ramps[start..end], own);
    }
    let filled = fill(&ramps, budget, priority);
    let mut shares = vec![0.0; homes.len()];
    for (at, share) in layout.order.iter().zip(filled.shares(&ramps)) {
        shares[*at as usize] = share;
    }
    Solution {
        level: filled.level(),
        shares,
        missing: filled.missing(),
        nodes: levels,
    }
}

/// Converts a node's cap and floor into those of its entries.
fn bound(node: &Node, ramps: &mut [Ramp], priority: impl Fn(usize) -> Priority) -> Levels {
    let mut levels = Levels::default();
    let cap = if node.cap.is_nan() {
        f64::INFINITY
    } else {
        amount(node.cap)
    };
    if node.cap.is_finite() {
        let filled = fill(ramps, cap, &priority);
        match &filled {
            Filled::Caps => {}
            Filled::Level(most) => {
                levels.most = *most;
                for ramp in &mut *ramps {
                    *ramp = ramp.between(0.0, *most);
                }
            }
            Filled::Floors { missing, .. } => {
                (levels.most, levels.missing) = (0.0, *missing);
                let shares = filled.shares(ramps);
                for (ramp, share) in ramps.iter_mut().zip(shares) {
                    *ramp = ramp.fixed(share);
                }
                return levels;
            }
        }
    }
    let floor = amount(node.floor).min(cap);
    if floor > 0.0 {
        levels.least = match fill(ramps, floor, priority) {
            Filled::Caps => levels.most,
            Filled::Level(least) => least,
            // The floors below it exceed its own.
            Filled::Floors { .. } => return levels,
        };
        for ramp in ramps {
            *ramp = ramp.between(levels.least, f64::INFINITY);
        }
    }
    levels
}

/// The entries, ordered so that those of one node are adjacent.
struct Layout {
    /// The entries by position.
    order: Vec<u32>,
    /// The first position of each node and the one after its last.
    spans: Vec<(usize, usize)>,
}

impl Layout {
    fn of(homes: &[u32], nodes: &[Node]) -> Self {
        let mut own = vec![0; nodes.len()];
        for home in homes {
            own[*home as usize] += 1;
        }
        let mut all = own.clone();
        for (number, node) in nodes.iter().enumerate().skip(1).rev() {
            assert!(
                (node.parent as usize) < number,
                "a node stands behind its parent"
            );
            all[node.parent as usize] += all[number];
        }
        // A node's own entries come first, then those of its inner nodes in turn.
        let mut spans = vec![(0, homes.len()); nodes.len()];
        let mut next = own.clone();
        for (number, node) in nodes.iter().enumerate().skip(1) {
            let start = next[node.parent as usize];
            next[node.parent as usize] += all[number];
            spans[number] = (start, start + all[number]);
            next[number] = start + own[number];
        }
        let mut places: Vec<usize> = spans.iter().map(|(start, _)| *start).collect();
        let mut order = vec![0; homes.len()];
        for (entry, home) in homes.iter().enumerate() {
            let place = &mut places[*home as usize];
            order[*place] = entry as u32;
            *place += 1;
        }
        Self { order, spans }
    }
}
