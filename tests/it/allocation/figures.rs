//! How a plan rates itself: what was due, coverage, fairness, what changed.

use weir::allocation::{OperationId, Plan, Policy, WindowCounts};

use super::fleet::{agent, count, counts, next, policy};

/// A window in which one agent reported everything.
fn reported(number: i64, window: &[(u32, u64)]) -> WindowCounts {
    let operations = window.iter().map(|&(id, offered)| count(id, offered));
    let offered = window.iter().map(|(_, offered)| offered).sum();
    counts(number, operations.collect(), vec![agent(1, offered)])
}

/// Plans of windows with these counts, one after the other.
fn plans(policy: &Policy, windows: &[&[(u32, u64)]]) -> Plan {
    let mut plan = Plan::genesis(policy);
    for (at, window) in windows.iter().enumerate() {
        plan = next(&plan, policy, &reported(at as i64, window));
    }
    plan
}

#[test]
fn a_plan_that_knows_nothing_is_perfect() {
    let figures = plans(&policy(10.0), &[&[]]).figures;
    assert_eq!(
        (
            figures.coverage,
            figures.fairness,
            figures.changed,
            figures.due_sampled
        ),
        (1.0, 1.0, 0.0, 0.0)
    );
}

#[test]
fn what_was_due_is_what_the_probabilities_before_would_have_kept() {
    let policy = policy(10.0);
    let window: &[(u32, u64)] = &[(1, 60_000), (2, 6_000)];
    let before = plans(&policy, &[window, window]);
    let after = plans(&policy, &[window, window, window]);
    let due: f64 = before
        .operations
        .iter()
        .map(|plan| plan.probability * plan.window_offered as f64 / 60.0)
        .sum();
    assert!((after.figures.due_sampled / due - 1.0).abs() < 1e-12);
    assert!((due / 10.0 - 1.0).abs() < 0.05, "about the budget: {due}");
}

/// SDKs poll once an interval: most of a window's requests meet the plan before the newest.
#[test]
fn what_was_due_follows_the_two_plans_that_sdks_held() {
    let policy = policy(10.0);
    let low: &[(u32, u64)] = &[(1, 6_000)];
    let high: &[(u32, u64)] = &[(1, 60_000)];
    let first = plans(&policy, &[low, low]);
    let second = plans(&policy, &[low, low, high]);
    let third = plans(&policy, &[low, low, high, high]);
    let (old, new) = (
        first.operations[0].probability,
        second.operations[0].probability,
    );
    assert!(new < old / 2.0, "{old} {new}");
    let told = second.operations[0].probability_before();
    assert!((told / old - 1.0).abs() < 0.04, "{told} for {old}");
    let due = third.figures.due_sampled / 1_000.0;
    let held = 0.35 * new + 0.65 * told;
    assert!((due / held - 1.0).abs() < 1e-9, "{due} {held}");
}

#[test]
fn coverage_counts_what_can_be_covered() {
    // Two traces per second over a hundred equal operations: 0.02 each, 6 in five minutes.
    let many: Vec<(u32, u64)> = (1..=100).map(|id| (id, 6_000)).collect();
    let covered = plans(&policy(2.0), &[&many, &many]).figures.coverage;
    assert!(
        (covered - (1.0 - (-6.0_f64).exp())).abs() < 0.01,
        "{covered}"
    );
    let sparse = plans(&policy(0.1), &[&many, &many]).figures.coverage;
    assert!((0.2..0.3).contains(&sparse), "{sparse}");
    let whole = plans(&policy(1e6), &[&many, &many, &many]).figures.coverage;
    assert!(whole > 0.999, "{whole}");
}

#[test]
fn coverage_asked_for_is_a_floor_as_far_as_the_budget_goes() {
    // 95 % in five minutes for every operation: a hundredth of a trace per second.
    let floor = 20.0_f64.ln() / 300.0;
    let asked = |budget| Policy {
        floor,
        weight_exponent: 1.0,
        ..policy(budget)
    };
    let mut fleet: Vec<(u32, u64)> = (1..=99).map(|id| (id, 60)).collect();
    fleet.push((100, 60_000_000));
    let windows: [&[(u32, u64)]; 3] = [&fleet, &fleet, &fleet];
    let plan = plans(&asked(2.0), &windows);
    assert_eq!(plan.fleet.missing, 0.0);
    let share = |id| {
        let mut operations = plan.operations.iter();
        let found = operations.find(|plan| plan.operation == OperationId(id));
        found.unwrap().share
    };
    for id in 1..=99 {
        assert!((share(id) / floor - 1.0).abs() < 0.001, "{}", share(id));
    }
    assert!((share(100) / (2.0 - 99.0 * floor) - 1.0).abs() < 0.01);
    assert!(plan.figures.coverage > 0.94, "{}", plan.figures.coverage);
    assert!(
        plan.figures.fairness < 0.995,
        "not alike: {}",
        plan.figures.fairness
    );

    let short = plans(&asked(0.5), &windows);
    assert!((short.fleet.missing - (100.0 * floor - 0.5)).abs() < 0.03);
    assert!(short.fleet.expected_sampled <= 0.5 * (1.0 + 1e-9));
}

#[test]
fn equal_filling_is_fair_and_a_changed_budget_changes_what_it_binds() {
    let fleet: &[(u32, u64)] = &[(1, 60_000), (2, 6_000), (3, 60)];
    let ten = policy(10.0);
    let plan = plans(&ten, &[fleet, fleet, fleet]);
    assert!(plan.figures.fairness > 0.999, "{}", plan.figures.fairness);
    let halved = next(&plan, &policy(5.0), &reported(3, fleet));
    // The third keeps all of its traces before and after.
    assert!((halved.figures.changed - 2.0 / 3.0).abs() < 1e-12);
}
