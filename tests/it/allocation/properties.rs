//! Properties of every plan, for any fleet, with any bounds that operators may set.

use proptest::prelude::*;
use weir::allocation::{Bounds, Hold, OperationCount, OperationId, Plan, Policy, WindowCounts};

use super::fleet::{agent, count, counts, next, policy};

/// The relative error that rounding may cause.
const ROUNDING: f64 = 1e-9;

/// An operation's requests in a window, from very few to very many.
fn requests() -> impl Strategy<Value = u64> {
    (0.0..7.0f64).prop_map(|x| 10f64.powf(x) as u64)
}

/// The requests of every operation, the ids from 1 on.
fn fleet() -> impl Strategy<Value = Vec<u64>> {
    prop::collection::vec(requests(), 1..25)
}

fn budget() -> impl Strategy<Value = f64> {
    (-1.0..4.0f64).prop_map(|x| 10f64.powf(x))
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let amount = |lowest: f64| (lowest..2.0f64).prop_map(|x| 10f64.powf(x));
    let cap = prop_oneof![2 => Just(f64::INFINITY), 1 => amount(-3.0)];
    let floor = prop_oneof![2 => Just(0.0), 1 => amount(-4.0)];
    (amount(-2.0), floor, cap, 0.0..0.01f64, 0.05..1.0f64).prop_map(
        |(weight, floor, cap, probability_min, probability_max)| Bounds {
            weight,
            floor,
            probability_min,
            cap,
            probability_max,
            ..Bounds::default()
        },
    )
}

/// A policy that bounds some of the operations.
fn bounded() -> impl Strategy<Value = Policy> {
    let some = prop::collection::btree_map(1..25u32, bounds(), 0..6);
    (budget(), some).prop_map(|(budget, some)| Policy {
        operations: some
            .into_iter()
            .map(|(id, bounds)| (OperationId(id), bounds))
            .collect(),
        ..policy(budget)
    })
}

fn window(number: i64, requests: &[u64]) -> WindowCounts {
    let operations = (1..)
        .zip(requests)
        .map(|(id, offered)| count(id, *offered))
        .collect();
    counts(number, operations, vec![agent(1, requests.iter().sum())])
}

/// The first plan of a fleet. Nothing was served before, so nothing is limited or left unchanged.
fn first(requests: &[u64], policy: &Policy) -> Plan {
    next(&Plan::genesis(policy), policy, &window(0, requests))
}

/// The expected cost of a plan: its probabilities times the expected traffic.
fn cost(plan: &Plan) -> f64 {
    let operations = plan.operations.iter();
    operations.map(|plan| plan.probability * plan.offered).sum()
}

/// Each operation's probability in both plans, where both have one.
fn both(a: &Plan, b: &Plan) -> Vec<(OperationId, f64, f64)> {
    let in_b = |id: OperationId| {
        let found = b
            .operations
            .binary_search_by_key(&id, |plan| plan.operation)
            .ok()?;
        Some(b.operations[found].probability)
    };
    let pairs = a.operations.iter();
    pairs
        .filter_map(|plan| Some((plan.operation, plan.probability, in_b(plan.operation)?)))
        .collect()
}

proptest! {
    /// The traffic scatters, so that some probabilities move and others stay.
    #[test]
    fn no_plan_is_to_cost_more_than_the_budget_as_it_was_trimmed(
        base in fleet(),
        factors in prop::collection::vec(prop::collection::vec(0.5..2.0f64, 25), 1..12),
        policy in bounded(),
    ) {
        let mut plan = Plan::genesis(&policy);
        for (number, factors) in factors.iter().enumerate() {
            let scattered = base.iter().zip(factors);
            let scattered = scattered.map(|(requests, factor)| (*requests as f64 * factor) as u64);
            let scattered: Vec<u64> = scattered.collect();
            let mut counted = window(number as i64, &scattered);
            for count in &mut counted.operations {
                count.sampled = (served(&plan, count) * count.offered as f64) as u64;
            }
            plan = next(&plan, &policy, &counted);
            if plan.fleet.hold == Hold::Frozen {
                continue;
            }
            let most = plan.fleet.budget * plan.fleet.trim.factor * (1.0 + ROUNDING);
            prop_assert!(cost(&plan) <= most, "{} of {most}", cost(&plan));
            prop_assert!(plan.aimed_sampled() <= most, "{} of {most}", plan.aimed_sampled());
        }
    }

    #[test]
    fn a_first_plan_spends_what_can_be_spent(base in fleet(), budget in budget()) {
        let plan = first(&base, &policy(budget));
        let wanted = budget.min(plan.fleet.offered);
        let spent = plan.fleet.expected_sampled;
        prop_assert!((spent - wanted).abs() <= ROUNDING * wanted, "{spent} of {wanted}");
    }

    #[test]
    fn more_demand_of_one_raises_no_probability_of_another_named(
        base in fleet(), policy in bounded(), which: prop::sample::Index, factor in 2..1_000u64,
    ) {
        let mut grown = base.clone();
        let which = which.index(base.len());
        grown[which] *= factor;
        let (before, after) = (first(&base, &policy), first(&grown, &policy));
        for (operation, before, after) in both(&before, &after) {
            if operation.0 as usize != which + 1 {
                prop_assert!(after <= before * (1.0 + ROUNDING), "{operation:?}: {before} {after}");
            }
        }
    }

    #[test]
    fn more_weight_of_one_never_lowers_it(
        base in fleet(), policy in bounded(), which: prop::sample::Index, factor in 1.0..100.0f64,
    ) {
        let id = OperationId(1 + which.index(base.len()) as u32);
        let mut heavier = policy.clone();
        heavier.operations.entry(id).or_default().weight *= factor;
        for (operation, before, after) in both(&first(&base, &policy), &first(&base, &heavier)) {
            if operation == id {
                prop_assert!(after >= before * (1.0 - ROUNDING), "{before} {after}");
            }
        }
    }

    #[test]
    fn more_budget_lowers_nobody(base in fleet(), policy in bounded(), factor in 1.0..100.0f64) {
        let richer = Policy { budget: policy.budget * factor, ..policy.clone() };
        let (before, after) = (first(&base, &policy), first(&base, &richer));
        for (operation, before, after) in both(&before, &after) {
            prop_assert!(after >= before * (1.0 - ROUNDING), "{operation:?}: {before} {after}");
        }
        let defaults = (before.fleet.default_probability, after.fleet.default_probability);
        prop_assert!(defaults.1 >= defaults.0 * (1.0 - ROUNDING), "{defaults:?}");
    }

    #[test]
    fn what_one_does_not_use_goes_to_the_others_whole(
        base in fleet(), policy in bounded(), which: prop::sample::Index,
    ) {
        let mut idle = base.clone();
        idle[which.index(base.len())] = 0;
        let plan = first(&idle, &policy);
        let most = |plan: &weir::allocation::OperationPlan| {
            let bounds = policy.operations.get(&plan.operation).copied().unwrap_or_default();
            bounds.cap.min(plan.offered * bounds.probability_max)
        };
        let wanted = policy.budget.min(plan.operations.iter().map(most).sum());
        let spent = plan.fleet.expected_sampled;
        prop_assert!((spent - wanted).abs() <= ROUNDING * wanted, "{spent} of {wanted}");
    }

    /// Earlier decisions leave no trace, except what a deadband may leave unchanged.
    #[test]
    fn a_bound_that_is_lifted_again_restores_what_was(
        base in prop::collection::vec(1_000..1_000_000u64, 2..12),
        budget in 1.0..100.0f64,
        bounds in bounds(),
        which: prop::sample::Index,
        windows in 1..6usize,
    ) {
        let plain = policy(budget);
        let mut bound = plain.clone();
        bound.operations.insert(OperationId(1 + which.index(base.len()) as u32), bounds);
        let played = |policies: &[&Policy]| {
            let mut plan = Plan::genesis(&plain);
            for policy in policies {
                let counted = window(plan.number as i64, &base);
                plan = next(&plan, policy, &counted);
            }
            plan
        };
        let meanwhile = |policy| [vec![&plain; 5], vec![policy; windows], vec![&plain; 30]].concat();
        let (never, lifted) = (played(&meanwhile(&plain)), played(&meanwhile(&bound)));
        for (operation, never, lifted) in both(&never, &lifted) {
            let off = (lifted / never).max(never / lifted);
            prop_assert!(off <= 1.15 * 1.15, "{operation:?}: {never} {lifted}");
        }
        let spent = lifted.aimed_sampled() / (budget * lifted.fleet.trim.factor).min(lifted.fleet.offered);
        prop_assert!((0.99..=1.0 + ROUNDING).contains(&spent), "{spent}");
    }
}

/// The probability that an operation was served so far.
fn served(plan: &Plan, count: &OperationCount) -> f64 {
    let found = plan
        .operations
        .binary_search_by_key(&count.operation, |plan| plan.operation);
    found.map_or_else(
        |_| plan.default_probability(count.service),
        |found| plan.operations[found].probability,
    )
}
