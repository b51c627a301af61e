//! One operation's estimate, window by window.

use rand::SeedableRng;
use rand::rngs::StdRng;
use rand_distr::{Distribution, Poisson};
use weir::allocation::{
    Binding, Inputs, OperationId, OperationPlan, Plan, Policy, ServiceId, Timestamp, Window,
    WindowCounts, next_plan,
};

use super::fleet::{agent, count, counts, next, policy};

/// A fleet of one agent. Its other operations, number 1 and from 3 on, always count 6,000 a minute
/// each.
struct Pair {
    policy: Policy,
    plan: Plan,
    others: u32,
}

impl Pair {
    /// Starts with operation 2 at this count per minute.
    fn starting_at(offered: u64) -> Self {
        Self::among(1, offered)
    }

    /// The same with this many other operations, so that nothing that operation 2 does looks
    /// common.
    fn among(others: u32, offered: u64) -> Self {
        let policy = policy(10.0);
        let plan = Plan::genesis(&policy);
        let mut pair = Self {
            policy,
            plan,
            others,
        };
        pair.pass(offered);
        pair
    }

    fn pass(&mut self, offered: u64) -> OperationPlan {
        let mut operations = vec![count(1, 6_000), count(2, offered)];
        operations.extend((1..self.others).map(|other| count(2 + other, 6_000)));
        let all = 6_000 * u64::from(self.others) + offered;
        let window = counts(self.plan.number as i64, operations, vec![agent(1, all)]);
        self.plan = next(&self.plan, &self.policy, &window);
        self.plan.operations[1]
    }
}

fn per_minute(plan: OperationPlan) -> f64 {
    plan.offered * 60.0
}

/// The part of a change from `from` to `to` per minute that the first window takes in, after a
/// number of windows.
fn taken_in(from: u64, to: u64, windows: usize) -> f64 {
    let mut pair = Pair::among(50, from);
    for _ in 1..windows {
        pair.pass(from);
    }
    let from = per_minute(pair.plan.operations[1]);
    (per_minute(pair.pass(to)) - from) / (to as f64 - from)
}

#[test]
fn large_counts_move_an_estimate_fast_and_small_ones_hardly() {
    let large = taken_in(1_000_000, 1_200_000, 40);
    assert!(large > 0.3 && large < 0.5, "{large}");
    let between = taken_in(100, 120, 40);
    assert!(between > 0.2 && between < 0.4, "{between}");
    let small = taken_in(3, 5, 40);
    assert!(small > 0.03 && small < 0.2, "{small}");
}

#[test]
fn a_new_estimate_is_the_mean_of_its_counts_before_it_settles() {
    for (windows, part) in [(1, 0.5), (2, 1.0 / 3.0), (4, 0.2)] {
        let taken_in = taken_in(10, 12, windows);
        assert!((taken_in - part).abs() < 0.12, "{windows}: {taken_in}");
    }
    assert!(taken_in(10, 12, 1) > taken_in(10, 12, 4));
}

#[test]
fn how_fast_an_estimate_learns_does_not_depend_on_how_long_a_window_is() {
    let after = |milliseconds: i64| {
        let policy = policy(10.0);
        let mut plan = Plan::genesis(&policy);
        for number in 0..12 {
            let offered = if number < 6 { 40 } else { 60 };
            let window = WindowCounts {
                window: Window {
                    start: Timestamp(number * milliseconds),
                    end: Timestamp((number + 1) * milliseconds),
                },
                operations: vec![count(1, offered)],
                ..WindowCounts::default()
            };
            plan = next(&plan, &policy, &window);
        }
        plan.operations[0].offered * milliseconds as f64
    };
    assert!((after(2_000) / after(60_000) - 1.0).abs() < 1e-9);
}

#[test]
fn a_step_is_followed_at_once_both_ways_and_noise_is_not() {
    let starting_at = |offered| Pair::among(50, offered);
    let up = per_minute(starting_at(1_000).pass(3_000));
    assert!((up - 3_000.0).abs() < 1e-6, "{up}");
    let down = per_minute(starting_at(3_000).pass(1_000));
    assert!((down - 1_000.0).abs() < 1e-6, "{down}");
    let noise = per_minute(starting_at(1_000).pass(1_500));
    assert!(noise < 1_300.0, "{noise}");
}

#[test]
fn one_request_of_a_rare_operation_is_no_step() {
    let mut pair = Pair::starting_at(1);
    pair.pass(1);
    for _ in 0..60 {
        pair.pass(0);
    }
    let before = per_minute(pair.plan.operations[1]);
    let after = per_minute(pair.pass(1));
    // A step would take it for one a minute.
    assert!(before < 0.05 && after < 0.25, "{before} {after}");
}

#[test]
fn rare_operations_are_estimated_with_little_bias() {
    let mut random = StdRng::seed_from_u64(1);
    let counts = Poisson::new(0.2).unwrap();
    let mut pair = Pair::starting_at(1);
    let (mut estimated, mut counted) = (0.0, 0);
    for window in 0..3_000 {
        let offered = counts.sample(&mut random) as u64;
        if window >= 100 {
            estimated += per_minute(pair.plan.operations[1]);
            counted += offered;
        }
        pair.pass(offered);
    }
    let ratio = estimated / counted as f64;
    // Some of the silence between requests is mistaken for a pause.
    assert!((ratio - 1.0).abs() < 0.06, "{ratio}");
}

#[test]
fn a_silent_operation_keeps_its_probability_and_gives_its_share_up() {
    let mut pair = Pair::starting_at(600);
    let before = pair.pass(600);
    let mut plan = before;
    for silent in 1..=10 {
        plan = pair.pass(0);
        assert_eq!(plan.silent_windows, silent);
        assert_eq!(plan.probability, before.probability);
        assert!(plan.share < 0.1 * before.share, "window {silent}");
        assert!((plan.belief.rate / before.belief.rate - 1.0).abs() < 0.01);
        let other = pair.plan.operations[0];
        // The deadband leaves up to three thousandths unspent.
        let spent = (other.share + plan.share) / (10.0 * pair.plan.fleet.trim.factor);
        assert!((0.997..=1.0 + 1e-9).contains(&spent), "{spent}");
    }
    assert!(plan.share < 0.03 * before.share);
    let back = pair.pass(600);
    assert_eq!(back.silent_windows, 0);
    assert!((per_minute(back) - 600.0).abs() < 150.0);
    assert!((back.probability / before.probability - 1.0).abs() < 0.25);
}

#[test]
fn an_operation_that_fires_now_and_then_is_expected_as_often_as_it_does() {
    let mut pair = Pair::starting_at(600);
    let (mut expected, mut windows) = (0.0, 0.0);
    for window in 1..400 {
        let plan = pair.pass(if window % 5 == 0 { 600 } else { 0 });
        if window >= 200 {
            expected += per_minute(plan);
            windows += 1.0;
        }
    }
    assert!((expected / windows / 120.0 - 1.0).abs() < 0.1, "{expected}");
    let plan = pair.pass(600);
    assert!((plan.belief.rate - 10.0).abs() < 0.2, "{plan:?}");
}

#[test]
fn after_a_gap_an_estimate_is_worth_less() {
    let pair = Pair::starting_at(600);
    let taken_in = |milliseconds: i64| {
        let end = pair.plan.window.end.0 + milliseconds;
        let window = WindowCounts {
            window: Window {
                start: Timestamp(end - 60_000),
                end: Timestamp(end),
            },
            operations: vec![count(1, 6_000), count(2, 700)],
            ..WindowCounts::default()
        };
        let plan = next(&pair.plan, &pair.policy, &window);
        (per_minute(plan.operations[1]) - 600.0) / 100.0
    };
    assert!(taken_in(60_000) < 0.75);
    assert!(taken_in(6_000_000) > 0.8);
}

#[test]
fn what_all_operations_do_together_is_followed_before_what_each_does() {
    let policy = policy(10.0);
    let window = |number: i64, offered: u64| {
        let operations = (1..=400).map(|id| count(id, offered)).collect();
        counts(number, operations, vec![agent(1, 400 * offered)])
    };
    let mut plan = Plan::genesis(&policy);
    for number in 0..40 {
        plan = next(&plan, &policy, &window(number, 10));
    }
    let doubled = next(&plan, &policy, &window(40, 20));
    for operation in &doubled.operations {
        assert!((per_minute(*operation) / 20.0 - 1.0).abs() < 0.01);
    }
    let mut alone = window(40, 10);
    alone.operations[0].offered = 20;
    let alone = next(&plan, &policy, &alone);
    assert!(per_minute(alone.operations[0]) < 14.0, "{alone:?}");
    assert!((per_minute(alone.operations[1]) / 10.0 - 1.0).abs() < 0.01);
}

#[test]
fn a_new_operation_starts_from_its_count() {
    let mut pair = Pair::starting_at(6_000);
    let window = |number, operation, offered| {
        counts(
            number,
            vec![count(1, 6_000), count(2, 6_000), count(operation, offered)],
            vec![agent(1, 12_000)],
        )
    };
    let many = next(&pair.plan, &pair.policy, &window(1, 3, 30_000)).operations[2];
    assert!((many.offered / 500.0 - 1.0).abs() < 0.01);
    assert_eq!(many.belief_before, None);
    assert_eq!(many.binding, Binding::Level, "its share is its part");
    let with_few = next(&pair.plan, &pair.policy, &window(1, 3, 1));
    let few = with_few.operations[2];
    // It may never come again, so it gets no more than its part of all traffic.
    assert_eq!(few.binding, Binding::RaiseLimit);
    let part = with_few.fleet.budget * with_few.fleet.trim.factor / with_few.fleet.offered;
    assert!((few.probability / part - 1.0).abs() < 1e-9, "{few:?}");
    let later = next(&with_few, &pair.policy, &window(2, 3, 3));
    assert_eq!(later.operations[2].probability, 1.0, "it came again");
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
    let before = WindowCounts {
        window: super::fleet::window(0),
        ..window.clone()
    };
    let windows = [before, window];
    let inputs = Inputs {
        retired: &retired,
        ..Inputs::new(1, &windows)
    };
    let plan = next_plan(&pair.plan, &pair.policy, inputs);
    assert_eq!(plan.operations.len(), 1);
    let silence = [counts(2, vec![], vec![])];
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

#[test]
fn where_the_whole_fleet_goes_is_planned_for() {
    let policy = policy(10.0);
    let mut plan = Plan::genesis(&policy);
    let mut offered = 1_000.0;
    let mut pass = |plan: &Plan, growth: f64| {
        offered *= growth;
        let number = plan.number as i64;
        let operations = (1..=100).map(|id| count(id, offered as u64)).collect();
        let window = counts(number, operations, vec![agent(1, 100 * offered as u64)]);
        (next(plan, &policy, &window), offered)
    };
    for growth in [1.0; 20].into_iter().chain([1.03; 25]) {
        (plan, _) = pass(&plan, growth);
    }
    assert!((plan.fleet.trend - 0.03).abs() < 0.01, "{:?}", plan.fleet);
    let (now, offered) = pass(&plan, 1.03);
    let ahead = per_minute(now.operations[0]) / offered;
    assert!(ahead > 1.03 && ahead < 1.07, "{ahead}");
    // It ends, and the part that was expected to go on is given back.
    plan = now;
    for _ in 0..40 {
        (plan, _) = pass(&plan, 1.0);
    }
    let (plan, offered) = pass(&plan, 1.0);
    let off = per_minute(plan.operations[0]) / offered - 1.0;
    assert!(off.abs() < 0.02, "{off}");
}
