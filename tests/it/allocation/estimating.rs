//! One operation's estimate, window by window.

use weir::allocation::{
    Inputs, OperationId, OperationPlan, Plan, Policy, ServiceId, Timestamp, Window, WindowCounts,
    next_plan,
};

use super::fleet::{agent, count, counts, next, policy};

/// A fleet of one agent whose other operation, number 1, keeps counting 6,000 a minute.
struct Pair {
    policy: Policy,
    plan: Plan,
}

impl Pair {
    /// Starts with operation 2 at this count per minute.
    fn starting_at(offered: u64) -> Self {
        let policy = policy(10.0);
        let plan = Plan::genesis(&policy);
        let mut pair = Self { policy, plan };
        pair.pass(offered);
        pair
    }

    fn pass(&mut self, offered: u64) -> OperationPlan {
        let operations = vec![count(1, 6_000), count(2, offered)];
        let window = counts(
            self.plan.number as i64,
            operations,
            vec![agent(1, 6_000 + offered)],
        );
        self.plan = next(&self.plan, &self.policy, &window);
        self.plan.operations[1]
    }
}

fn per_minute(plan: OperationPlan) -> f64 {
    plan.offered * 60.0
}

#[test]
fn large_counts_move_an_estimate_halfway_and_small_ones_hardly() {
    let large = per_minute(Pair::starting_at(1_000_000).pass(1_200_000));
    assert!((large - 1_100_000.0).abs() < 1_000.0, "{large}");
    let small = per_minute(Pair::starting_at(3).pass(5));
    assert!(
        (small - 3.0) / 2.0 > 0.05 && (small - 3.0) / 2.0 < 0.2,
        "{small}"
    );
    let between = per_minute(Pair::starting_at(100).pass(120));
    assert!(
        (between - 100.0) / 20.0 > 0.3 && (between - 100.0) / 20.0 < 0.5,
        "{between}"
    );
}

#[test]
fn a_step_is_followed_at_once_both_ways_and_noise_is_not() {
    let up = per_minute(Pair::starting_at(1_000).pass(3_000));
    assert!((up - 3_000.0).abs() < 1e-6, "{up}");
    let down = per_minute(Pair::starting_at(3_000).pass(1_000));
    assert!((down - 1_000.0).abs() < 1e-6, "{down}");
    let noise = per_minute(Pair::starting_at(1_000).pass(1_500));
    assert!(noise < 1_300.0, "{noise}");
}

#[test]
fn one_request_of_a_rare_operation_is_no_step() {
    let mut pair = Pair::starting_at(1);
    for _ in 0..60 {
        pair.pass(0);
    }
    let before = per_minute(pair.plan.operations[1]);
    let after = per_minute(pair.pass(1));
    assert!(before < 0.05 && after < 0.12, "{before} {after}");
}

#[test]
fn rare_operations_are_estimated_without_bias() {
    let mut pair = Pair::starting_at(1);
    let mut sum = 0.0;
    for window in 0..600 {
        let plan = pair.pass(u64::from(window % 5 == 0));
        if window >= 100 {
            sum += per_minute(plan);
        }
    }
    let mean = sum / 500.0;
    assert!((mean - 0.2).abs() < 0.01, "{mean}");
}

#[test]
fn a_silent_operation_keeps_its_probability_and_halves_in_ten_minutes() {
    let mut pair = Pair::starting_at(600);
    let before = pair.pass(600);
    let mut plan = before;
    for silent in 1..=10 {
        plan = pair.pass(0);
        assert_eq!(plan.silent_windows, silent);
        assert_eq!(plan.probability, before.probability);
    }
    assert!((plan.offered / before.offered - 0.5).abs() < 1e-9);
    assert!(
        plan.share < 0.001 * before.share,
        "its share went to the other"
    );
    assert!((pair.plan.operations[0].share - 10.0).abs() < 0.01);
    let back = pair.pass(600);
    assert_eq!(back.silent_windows, 0);
    assert!((per_minute(back) - 500.0).abs() < 100.0);
    assert!(back.probability <= 2.0 * before.probability);
}

#[test]
fn decay_goes_by_the_time_that_passed() {
    let pair = Pair::starting_at(600);
    let after = |milliseconds: i64| {
        let end = pair.plan.window.end.0 + milliseconds;
        let window = WindowCounts {
            window: Window {
                start: Timestamp(end - 1_000),
                end: Timestamp(end),
            },
            operations: vec![count(1, 100)],
            agents: vec![],
        };
        next_plan(&pair.plan, &pair.policy, Inputs::new(1, &window)).operations[1].offered
    };
    assert!((after(600_000) - 5.0).abs() < 1e-9);
    assert!((after(1_200_000) - 2.5).abs() < 1e-9);
    assert!((after(1_000) - 10.0).abs() < 0.02);
}

#[test]
fn a_new_operation_starts_from_its_count() {
    let mut pair = Pair::starting_at(6_000);
    let window = |operation, offered| {
        counts(
            1,
            vec![count(1, 6_000), count(2, 6_000), count(operation, offered)],
            vec![agent(1, 12_000)],
        )
    };
    let many = next(&pair.plan, &pair.policy, &window(3, 30_000)).operations[2];
    assert!((many.offered / 500.0 - 1.0).abs() < 0.01);
    assert!(many.offered_before < 0.0);
    assert_eq!(
        many.binding,
        weir::allocation::Binding::Level,
        "no raise limit for the new"
    );
    let few = next(&pair.plan, &pair.policy, &window(3, 1)).operations[2];
    assert!(few.offered > 1.0 / 60.0, "others like it have more");
    assert!(
        few.offered < 7.0 / 60.0,
        "but one request cannot mean that many"
    );
    pair.policy.budget = 1.0;
}

#[test]
fn retired_operations_leave_the_plan() {
    let pair = Pair::starting_at(600);
    let retired = [OperationId(2)];
    let window = counts(1, vec![count(1, 6_000), count(2, 1)], vec![agent(1, 6_001)]);
    let inputs = Inputs {
        retired: &retired,
        corrected: Some(&window),
        ..Inputs::new(1, &window)
    };
    let plan = next_plan(&pair.plan, &pair.policy, inputs);
    assert_eq!(plan.operations.len(), 1);
    let silence = counts(2, vec![], vec![]);
    let inputs = Inputs {
        retired: &[OperationId(1)],
        ..Inputs::new(1, &silence)
    };
    let plan = next_plan(&plan, &pair.policy, inputs);
    assert!(plan.operations.is_empty() && plan.services.is_empty());
    assert_eq!(
        plan.default_probability(ServiceId(1)),
        plan.fleet.default_probability
    );
}
