//! Properties of every solution.

use proptest::prelude::*;
use weir::allocation::solve::{Entry, solve};

/// The relative error that rounding may cause.
const ROUNDING: f64 = 1e-12;

fn entry() -> impl Strategy<Value = Entry> {
    let rate = || prop_oneof![1 => Just(0.0), 6 => (-3.0..4.0f64).prop_map(|x| 10f64.powf(x))];
    let cap = prop_oneof![3 => Just(f64::INFINITY), 1 => rate()];
    let floor = prop_oneof![3 => Just(0.0), 1 => (-4.0..0.0f64).prop_map(|x| 10f64.powf(x))];
    (rate(), 0.01..100.0f64, floor, cap).prop_map(|(demand, weight, floor, cap)| Entry {
        demand,
        weight,
        floor,
        cap,
        ..Entry::default()
    })
}

fn entries() -> impl Strategy<Value = Vec<Entry>> {
    prop::collection::vec(entry(), 1..40)
}

fn budget() -> impl Strategy<Value = f64> {
    prop_oneof![1 => Just(0.0), 9 => (-2.0..5.0f64).prop_map(|x| 10f64.powf(x))]
}

fn limits(entry: &Entry) -> (f64, f64) {
    let cap = entry.cap.min(entry.demand);
    (entry.floor.min(cap), cap)
}

fn total(shares: &[f64]) -> f64 {
    shares.iter().sum()
}

fn floors(entries: &[Entry]) -> f64 {
    entries.iter().map(|entry| limits(entry).0).sum()
}

fn caps(entries: &[Entry]) -> f64 {
    entries.iter().map(|entry| limits(entry).1).sum()
}

/// Finds the shares by bisection of the level.
fn by_bisection(entries: &[Entry], budget: f64) -> Vec<f64> {
    let at = |level: f64| -> Vec<f64> {
        entries
            .iter()
            .map(|entry| {
                let (floor, cap) = limits(entry);
                (entry.weight * level).clamp(floor, cap)
            })
            .collect()
    };
    let (mut low, mut high) = (0.0, 1e9);
    for _ in 0..200 {
        let middle = f64::midpoint(low, high);
        if total(&at(middle)) <= budget {
            low = middle;
        } else {
            high = middle;
        }
    }
    at(low)
}

proptest! {
    #[test]
    fn the_budget_is_spent_whole_and_never_exceeded(entries in entries(), budget in budget()) {
        let solution = solve(&entries, budget);
        let spent = total(&solution.shares);
        let wanted = budget.min(caps(&entries));
        prop_assert!(spent <= budget * (1.0 + 1e-9));
        prop_assert!((spent - wanted).abs() <= wanted * ROUNDING);
        prop_assert!((solution.missing - (floors(&entries) - budget).max(0.0)).abs() <= 1e-9);
    }

    #[test]
    fn nobody_leaves_the_bounds(entries in entries(), budget in budget()) {
        let solution = solve(&entries, budget);
        for (entry, share) in entries.iter().zip(&solution.shares) {
            let (floor, cap) = limits(entry);
            prop_assert!(*share <= cap && *share >= 0.0);
            prop_assert!(*share >= floor || solution.missing > 0.0);
        }
    }

    #[test]
    fn it_equals_a_search_by_bisection(entries in entries(), budget in budget()) {
        prop_assume!(floors(&entries) <= budget);
        let solution = solve(&entries, budget);
        for (share, reference) in solution.shares.iter().zip(by_bisection(&entries, budget)) {
            prop_assert!((share - reference).abs() <= 1e-9 * reference.max(1e-6), "{share} {reference}");
        }
    }

    #[test]
    fn more_demand_of_one_raises_no_probability_of_another(
        entries in entries(), budget in budget(), which: prop::sample::Index, factor in 1.0..100.0f64,
    ) {
        let which = which.index(entries.len());
        let before = solve(&entries, budget);
        let mut grown = entries.clone();
        grown[which].demand *= factor;
        let after = solve(&grown, budget);
        for other in (0..entries.len()).filter(|other| *other != which) {
            prop_assert!(after.shares[other] <= before.shares[other] * (1.0 + ROUNDING));
        }
    }

    #[test]
    fn more_weight_never_lowers_the_own_share(
        entries in entries(), budget in budget(), which: prop::sample::Index, factor in 1.0..100.0f64,
    ) {
        let which = which.index(entries.len());
        let before = solve(&entries, budget);
        let mut heavier = entries.clone();
        heavier[which].weight *= factor;
        let after = solve(&heavier, budget);
        prop_assert!(after.shares[which] >= before.shares[which] * (1.0 - ROUNDING));
    }

    #[test]
    fn more_budget_lowers_nobody(entries in entries(), budget in budget(), factor in 1.0..100.0f64) {
        let before = solve(&entries, budget);
        let after = solve(&entries, budget * factor);
        for (before, after) in before.shares.iter().zip(&after.shares) {
            prop_assert!(*after >= before * (1.0 - ROUNDING));
        }
    }

    #[test]
    fn what_one_does_not_use_goes_to_the_others_whole(
        entries in entries(), budget in budget(), which: prop::sample::Index,
    ) {
        let mut idle = entries;
        let which = which.index(idle.len());
        idle[which].demand = 0.0;
        let solution = solve(&idle, budget);
        let spent = total(&solution.shares);
        prop_assert_eq!(solution.shares[which], 0.0);
        let wanted = budget.min(caps(&idle));
        prop_assert!((spent - wanted).abs() <= wanted * ROUNDING);
    }

    #[test]
    fn the_order_changes_no_more_than_rounding_does(
        (entries, shuffled) in entries().prop_flat_map(|entries| {
            let order: Vec<usize> = (0..entries.len()).collect();
            (Just(entries), Just(order).prop_shuffle())
        }),
        budget in budget(),
    ) {
        let solution = solve(&entries, budget);
        let other: Vec<Entry> = shuffled.iter().map(|index| entries[*index]).collect();
        let other = solve(&other, budget);
        for (index, share) in shuffled.iter().zip(&other.shares) {
            let before = solution.shares[*index];
            prop_assert!((share - before).abs() <= ROUNDING * before, "{share} {before}");
        }
    }

    #[test]
    fn any_values_give_amounts(
        values in prop::collection::vec([any::<f64>(), any::<f64>(), any::<f64>(), any::<f64>()], 0..20),
        budget: f64,
    ) {
        let entries: Vec<Entry> = values
            .into_iter()
            .map(|[demand, weight, floor, cap]| Entry { demand, weight, floor, cap, ..Entry::default() })
            .collect();
        let solution = solve(&entries, budget);
        let wanted = if budget.is_nan() { 0.0 } else { budget.clamp(0.0, 1e200) };
        prop_assert!(solution.level >= 0.0 && solution.missing >= 0.0);
        prop_assert!(solution.shares.iter().all(|share| share.is_finite() && *share >= 0.0));
        prop_assert!(total(&solution.shares) <= wanted * (1.0 + 1e-9));
    }
}

fn plain(demand: f64) -> Entry {
    Entry {
        demand,
        ..Entry::default()
    }
}

#[test]
fn equal_weights_fill_to_one_level() {
    let solution = solve(&[plain(1.0), plain(10.0), plain(100.0)], 21.0);
    assert_eq!(solution.level, 10.0);
    assert_eq!(solution.shares, [1.0, 10.0, 10.0]);
}

#[test]
fn without_binding_budget_everybody_is_at_the_cap() {
    let capped = Entry {
        cap: 2.0,
        ..plain(5.0)
    };
    let solution = solve(&[plain(3.0), capped], 5.0);
    assert_eq!(solution.level, f64::INFINITY);
    assert_eq!(solution.shares, [3.0, 2.0]);
}

#[test]
fn floors_that_do_not_fit_shrink_alike_and_are_reported() {
    let floor = |floor| Entry {
        floor,
        ..plain(100.0)
    };
    let solution = solve(&[floor(30.0), floor(60.0), plain(50.0)], 60.0);
    assert_eq!(solution.shares, [20.0, 40.0, 0.0]);
    assert_eq!(solution.missing, 30.0);
    assert_eq!(solution.level, 0.0);
}

#[test]
fn a_cap_under_the_floor_wins() {
    let entry = Entry {
        floor: 5.0,
        cap: 2.0,
        ..plain(10.0)
    };
    assert_eq!(solve(&[entry, plain(10.0)], 4.0).shares, [2.0, 2.0]);
}

#[test]
fn a_hundred_thousand_entries_spend_the_budget_to_the_last_bits() {
    let entries: Vec<Entry> = (1..=100_000)
        .map(|rank| {
            let demand = 1e5 / f64::from(rank).powf(1.6);
            Entry {
                weight: 1.0 + f64::from(rank % 7),
                floor: f64::from(rank % 3) * 1e-5,
                ..plain(demand)
            }
        })
        .collect();
    let solution = solve(&entries, 500.0);
    let mut shares = solution.shares;
    shares.sort_by(f64::total_cmp);
    assert!((total(&shares) / 500.0 - 1.0).abs() < 1e-12);
}
