//! Budgets inside the budget: what whole services and groups keep at least and at most.
//!
//! A node's entries share as everybody does until its own floor or cap binds; from there on its
//! level stays where it was, whatever the level above it does. So a node is nothing but two levels
//! between which its entries are kept, and an entry under it rises from what the first gives it to
//! what the second gives it. The nodes are turned into such floors and caps of their entries, from
//! the innermost outwards, by filling each with its own floor and cap; what is left is one plain
//! solution for all. Each takes time linear in its entries.

use super::solve::{Entry, Filled, Levels, Priority, Ramp, Solution, amount, fill};

/// A part of the fleet with a floor and a cap for all its entries together.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Node {
    /// The node it stands in, by its place, which is before its own. The first node is the fleet,
    /// which stands in none.
    pub parent: u32,
    /// At least so many traces per second, as far as its entries can use them; a cap below it wins.
    pub floor: f64,
    /// At most so many traces per second.
    pub cap: f64,
}

impl Default for Node {
    /// A node of the fleet that asks for nothing.
    fn default() -> Self {
        Self {
            parent: 0,
            floor: 0.0,
            cap: f64::INFINITY,
        }
    }
}

/// Shares a budget; see [`solve_nested`](super::solve::solve_nested).
pub(super) fn solve(entries: &[Entry], homes: &[u32], nodes: &[Node], budget: f64) -> Solution {
    let layout = Layout::of(homes, nodes);
    let priority = |place: usize| entries[layout.order[place] as usize].priority;
    let places = layout.order.iter();
    let mut ramps: Vec<Ramp> = places
        .map(|entry| Ramp::of(&entries[*entry as usize]))
        .collect();
    let mut levels = vec![Levels::default(); nodes.len()];
    // Those inside come behind, so from the last on.
    for (number, node) in nodes.iter().enumerate().rev() {
        let (start, end) = layout.spans[number];
        let own = |place: usize| priority(start + place);
        levels[number] = bound(node, &mut ramps[start..end], own);
    }
    let filled = fill(&ramps, budget, priority);
    let mut shares = vec![0.0; entries.len()];
    for (entry, share) in layout.order.iter().zip(filled.shares(&ramps)) {
        shares[*entry as usize] = share;
    }
    Solution {
        level: filled.level(),
        shares,
        missing: filled.missing(),
        nodes: levels,
    }
}

/// Turns a node's cap and floor into those of its entries.
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
            // The floors below it are more than its own.
            Filled::Floors { .. } => return levels,
        };
        for ramp in ramps {
            *ramp = ramp.between(levels.least, f64::INFINITY);
        }
    }
    levels
}

/// The entries in such an order that those of every node stand together.
struct Layout {
    /// The entries by place.
    order: Vec<u32>,
    /// The first place of each node and the one after its last.
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
        // A node's own entries come first, then those of the nodes inside it, one after the other.
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
