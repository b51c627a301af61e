//! Properties of budgets inside the budget, and of floors by priority.

mod examples;

use proptest::prelude::*;
use weir::allocation::nested::Node;
use weir::allocation::solve::{Entry, Priority, Solution, solve, solve_nested};

/// The relative error that rounding may cause.
const ROUNDING: f64 = 1e-9;

/// Entries, their homes and the nodes: the fleet, groups, and services in the fleet or in them.
#[derive(Debug, Clone)]
struct Fleet {
    entries: Vec<Entry>,
    homes: Vec<u32>,
    nodes: Vec<Node>,
}

const GROUPS: u32 = 2;
const SERVICES: u32 = 3;

fn equal(one: f64, other: f64) -> bool {
    one == other || (one - other).abs() <= ROUNDING * one.max(other)
}

impl Fleet {
    fn solve(&self, budget: f64) -> Solution {
        solve_nested(&self.entries, &self.homes, &self.nodes, budget)
    }

    /// The entries of a node and of those inside it.
    fn below(&self, node: u32) -> Vec<usize> {
        let inside = |home: u32| {
            let mut at = home;
            while at != node && at != 0 {
                at = self.nodes[at as usize].parent;
            }
            at == node
        };
        (0..self.entries.len())
            .filter(|entry| inside(self.homes[*entry]))
            .collect()
    }

    /// The same without floors if they do not fit.
    fn fitted(mut self, budget: f64) -> Self {
        if !fits(&self.solve(budget)) {
            for entry in &mut self.entries {
                entry.floor = 0.0;
            }
            for node in &mut self.nodes {
                node.floor = 0.0;
            }
        }
        self
    }

    /// The shares of a node's entries at a level, found by bisection, if all floors fit.
    fn by_bisection(&self, node: u32, level: f64) -> Vec<(usize, f64)> {
        let at = |level| self.children_at(node, level);
        let Node { floor, cap, .. } = self.nodes[node as usize];
        let own = at(level);
        let floor = floor.min(cap).min(sum(&at(HIGHEST)));
        let wanted = sum(&own).clamp(floor, cap);
        if wanted == sum(&own) {
            return own;
        }
        at_total(&at, wanted)
    }

    /// The shares of the node's own entries and inner nodes at a level.
    fn children_at(&self, node: u32, level: f64) -> Vec<(usize, f64)> {
        let mut shares = Vec::new();
        for (entry, of) in self.entries.iter().enumerate() {
            if self.homes[entry] == node {
                let (floor, cap) = limits(of);
                shares.push((entry, (of.weight * level).clamp(floor, cap)));
            }
        }
        for inner in (node + 1)..self.nodes.len() as u32 {
            if self.nodes[inner as usize].parent == node {
                shares.extend(self.by_bisection(inner, level));
            }
        }
        shares
    }
}

/// At this level, every entry is at its cap.
const HIGHEST: f64 = 1e5;

fn sum(shares: &[(usize, f64)]) -> f64 {
    shares.iter().map(|(_, share)| share).sum()
}

fn at_total(at: &dyn Fn(f64) -> Vec<(usize, f64)>, wanted: f64) -> Vec<(usize, f64)> {
    let (mut low, mut high) = (0.0, HIGHEST);
    for _ in 0..50 {
        let middle = f64::midpoint(low, high);
        if sum(&at(middle)) <= wanted {
            low = middle;
        } else {
            high = middle;
        }
    }
    at(low)
}

fn limits(entry: &Entry) -> (f64, f64) {
    let cap = entry.cap.min(entry.demand);
    (entry.floor.min(cap), cap)
}

fn total<'a>(shares: impl IntoIterator<Item = &'a f64>) -> f64 {
    shares.into_iter().sum()
}

fn amounts(low: f64, high: f64) -> impl Strategy<Value = f64> {
    (low..high).prop_map(|power| 10f64.powf(power))
}

fn entry() -> impl Strategy<Value = Entry> {
    let cap = prop_oneof![3 => Just(f64::INFINITY), 1 => amounts(-2.0, 2.0)];
    let floor = prop_oneof![3 => Just(0.0), 1 => amounts(-3.0, 0.0)];
    (amounts(-2.0, 3.0), 0.1..10.0f64, floor, cap, 0..12u8).prop_map(
        |(demand, weight, floor, cap, priority)| Entry {
            demand,
            weight,
            floor,
            cap,
            priority: Priority::new(priority),
        },
    )
}

fn node(parent: impl Strategy<Value = u32>) -> impl Strategy<Value = Node> {
    let cap = prop_oneof![1 => Just(f64::INFINITY), 1 => amounts(0.0, 3.0)];
    let floor = prop_oneof![1 => Just(0.0), 1 => amounts(-1.0, 2.0)];
    (parent, floor, cap).prop_map(|(parent, floor, cap)| Node { parent, floor, cap })
}

fn fleet(most: usize) -> impl Strategy<Value = Fleet> {
    let entries = prop::collection::vec((entry(), 0..=(GROUPS + SERVICES)), 1..most);
    let groups = prop::collection::vec(node(Just(0)), GROUPS as usize);
    let services = prop::collection::vec(node(0..=GROUPS), SERVICES as usize);
    (entries, groups, services).prop_map(|(entries, groups, services)| {
        let (entries, homes) = entries.into_iter().unzip();
        let nodes = [vec![Node::default()], groups, services].concat();
        Fleet {
            entries,
            homes,
            nodes,
        }
    })
}

fn budget() -> impl Strategy<Value = f64> {
    prop_oneof![1 => Just(0.0), 9 => amounts(-1.0, 4.0)]
}

/// Whether all floors fit, everywhere.
fn fits(solution: &Solution) -> bool {
    solution.missing == 0.0 && solution.nodes.iter().all(|levels| levels.missing == 0.0)
}

/// Whether one share is at most another, except for rounding.
fn at_most(share: f64, other: f64) -> bool {
    share <= other * (1.0 + ROUNDING) + 1e-12
}

proptest! {
    // Bisection inside bisection inside bisection takes time.
    #![proptest_config(ProptestConfig::with_cases(48))]

    #[test]
    fn it_equals_a_search_by_bisection(fleet in fleet(12), budget in budget()) {
        let fleet = fleet.fitted(budget);
        let solution = fleet.solve(budget);
        let at = |level| fleet.by_bisection(0, level);
        for (entry, reference) in at_total(&at, budget) {
            let share = solution.shares[entry];
            prop_assert!((share - reference).abs() <= 1e-6 * reference.max(1e-2), "{share} {reference}");
        }
    }
}

proptest! {
    #[test]
    fn nobody_leaves_the_bounds_and_no_node_its_own(fleet in fleet(30), budget in budget()) {
        let solution = fleet.solve(budget);
        prop_assert!(at_most(total(&solution.shares), budget));
        for (entry, share) in fleet.entries.iter().zip(&solution.shares) {
            prop_assert!((0.0..=limits(entry).1).contains(share));
        }
        for (number, node) in fleet.nodes.iter().enumerate() {
            let below = fleet.below(number as u32);
            let spent = total(below.iter().map(|entry| &solution.shares[*entry]));
            prop_assert!(at_most(spent, node.cap), "{spent} of {}", node.cap);
        }
    }

    #[test]
    fn a_floor_is_kept_as_far_as_it_can_be_used(fleet in fleet(30), budget in budget()) {
        let mut fleet = fleet;
        // One group with a floor, and nothing else in its way.
        fleet.nodes[1] = Node { floor: 0.5 * budget, ..Node::default() };
        for node in &mut fleet.nodes[2..] {
            (node.floor, node.cap) = (0.0, f64::INFINITY);
        }
        for entry in &mut fleet.entries {
            entry.floor = 0.0;
        }
        let solution = fleet.solve(budget);
        let below = fleet.below(1);
        let usable = total(&below.iter().map(|entry| limits(&fleet.entries[*entry]).1).collect::<Vec<_>>());
        let spent = total(below.iter().map(|entry| &solution.shares[*entry]));
        prop_assert!(at_most((0.5 * budget).min(usable), spent), "{spent} of {usable}");
    }

    #[test]
    fn what_nobody_is_kept_from_is_spent_whole(fleet in fleet(30), budget in budget()) {
        let mut fleet = fleet;
        for node in &mut fleet.nodes {
            node.cap = f64::INFINITY;
        }
        let solution = fleet.solve(budget);
        let usable: f64 = fleet.entries.iter().map(|entry| limits(entry).1).sum();
        prop_assert!(at_most(budget.min(usable), total(&solution.shares)));
    }

    #[test]
    fn more_demand_of_one_raises_no_other(
        fleet in fleet(30), budget in budget(), which: prop::sample::Index, factor in 1.0..100.0f64,
    ) {
        let mut fleet = fleet;
        if !fits(&fleet.solve(budget)) {
            // A node's floor has the priorities of the entries that use it. If floors do not fit,
            // an entry of low priority that uses more of it gives room to the floors of others.
            for entry in &mut fleet.entries {
                entry.priority = Priority::default();
            }
        }
        let which = which.index(fleet.entries.len());
        let before = fleet.solve(budget);
        let mut grown = fleet.clone();
        grown.entries[which].demand *= factor;
        let after = grown.solve(budget);
        prop_assume!(fits(&after) || !fits(&before));
        for other in (0..fleet.entries.len()).filter(|other| *other != which) {
            prop_assert!(
                at_most(after.shares[other], before.shares[other]),
                "{other}: {} after {}", after.shares[other], before.shares[other],
            );
        }
    }

    #[test]
    fn more_weight_never_lowers_the_own_share(
        fleet in fleet(30), budget in budget(), which: prop::sample::Index, factor in 1.0..100.0f64,
    ) {
        let which = which.index(fleet.entries.len());
        let before = fleet.solve(budget);
        let mut heavier = fleet;
        heavier.entries[which].weight *= factor;
        let after = heavier.solve(budget);
        prop_assert!(at_most(before.shares[which], after.shares[which]));
    }

    #[test]
    fn more_budget_lowers_nobody(fleet in fleet(30), budget in budget(), factor in 1.0..100.0f64) {
        let (before, after) = (fleet.solve(budget), fleet.solve(budget * factor));
        for (before, after) in before.shares.iter().zip(&after.shares) {
            prop_assert!(at_most(*before, *after), "{before} {after}");
        }
    }

    #[test]
    fn the_order_changes_no_more_than_rounding_does(
        (fleet, order) in fleet(30).prop_flat_map(|fleet| {
            let order: Vec<usize> = (0..fleet.entries.len()).collect();
            (Just(fleet), Just(order).prop_shuffle())
        }),
        budget in budget(),
    ) {
        let solution = fleet.solve(budget);
        let shuffled = Fleet {
            entries: order.iter().map(|entry| fleet.entries[*entry]).collect(),
            homes: order.iter().map(|entry| fleet.homes[*entry]).collect(),
            nodes: fleet.nodes.clone(),
        };
        let other = shuffled.solve(budget);
        for (place, entry) in order.into_iter().enumerate() {
            prop_assert!(equal(other.shares[place], solution.shares[entry]));
        }
    }

    #[test]
    fn nodes_that_ask_for_nothing_change_nothing(fleet in fleet(30), budget in budget()) {
        let mut plain = fleet;
        for node in &mut plain.nodes {
            (node.floor, node.cap) = (0.0, f64::INFINITY);
        }
        let (nested, flat) = (plain.solve(budget), solve(&plain.entries, budget));
        for (nested, flat) in nested.shares.into_iter().zip(flat.shares) {
            prop_assert!(equal(nested, flat), "{nested} {flat}");
        }
    }

    #[test]
    fn a_bound_that_goes_brings_the_former_solution_back(
        fleet in fleet(30), budget in budget(), cap in amounts(-1.0, 2.0),
    ) {
        let before = fleet.solve(budget);
        let mut overridden = fleet.clone();
        overridden.nodes[1].cap = cap;
        overridden.entries[0].floor = cap;
        prop_assert!(overridden.solve(budget).shares.iter().all(|share| share.is_finite()));
        prop_assert_eq!(fleet.solve(budget), before);
    }

    #[test]
    fn any_values_give_amounts(
        values in prop::collection::vec(([any::<f64>(), any::<f64>(), any::<f64>(), any::<f64>()], 0..4u32), 0..20),
        nodes in prop::collection::vec([any::<f64>(), any::<f64>()], 3),
        budget: f64,
    ) {
        let entry = |[demand, weight, floor, cap]: [f64; 4]| Entry {
            demand,
            weight,
            floor,
            cap,
            ..Entry::default()
        };
        let (entries, homes): (Vec<Entry>, Vec<u32>) =
            values.into_iter().map(|(values, home)| (entry(values), home)).unzip();
        let mut places = vec![Node::default()];
        for ([floor, cap], parent) in nodes.into_iter().zip([0, 1, 2]) {
            places.push(Node { parent, floor, cap });
        }
        let solution = solve_nested(&entries, &homes, &places, budget);
        let wanted = if budget.is_nan() { 0.0 } else { budget.clamp(0.0, 1e200) };
        prop_assert!(solution.shares.iter().all(|share| share.is_finite() && *share >= 0.0));
        prop_assert!(total(&solution.shares) <= wanted * (1.0 + 1e-9));
    }
}
