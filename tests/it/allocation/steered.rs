//! What is served in place of what plans decide: freezes, observing, and cuts.

use proptest::prelude::*;
use weir::allocation::{Bounds, Inputs, OperationId, Plan, Policy, Serving, next_plan};

use super::anything::{any_policy, any_window};
use super::fleet::{agent, count, counts, next, policy};

fn serving(policy: &Policy, serving: Serving) -> Policy {
    Policy {
        serving,
        ..policy.clone()
    }
}

/// A plan for two operations with the same traffic, and the counts of the window after it, in which one of them
/// has four times as much.
fn planned(policy: &Policy) -> (Plan, [weir::allocation::WindowCounts; 2]) {
    let even = |number| {
        let operations = vec![count(1, 60_000), count(2, 60_000)];
        counts(number, operations, vec![agent(1, 120_000)])
    };
    let uneven = |number| {
        let operations = vec![count(1, 240_000), count(2, 60_000), count(3, 60_000)];
        counts(number, operations, vec![agent(1, 360_000)])
    };
    let plan = next(&Plan::genesis(policy), policy, &even(0));
    (next(&plan, policy, &even(1)), [uneven(2), uneven(3)])
}

fn told(plan: &Plan) -> Vec<f64> {
    (0..plan.operations.len())
        .map(|place| plan.served(place))
        .collect()
}

/// The decisions, without what is served in their place.
fn decided(plan: &Plan) -> Vec<(OperationId, f64)> {
    let operations = plan.operations.iter();
    operations
        .map(|plan| (plan.operation, plan.probability))
        .collect()
}

#[test]
fn a_freeze_keeps_what_is_served_and_ends_in_full() {
    let free = policy(100.0);
    let frozen = serving(&free, Serving::Freeze);
    let (before, [first, second]) = planned(&free);
    let kept = next(&before, &frozen, &first);
    assert_eq!(kept.serving(), Serving::Freeze);
    let since = kept.steered.as_ref().unwrap().since;
    assert_eq!(since, first.window.end);
    // The third operation is new: its SDKs are served the default of its service, as before.
    let default = before.services[0].default_probability;
    let expected = [told(&before), vec![default]].concat();
    let close = |told: &[f64], expected: &[f64]| {
        let both = told.iter().zip(expected);
        told.len() == expected.len()
            && both
                .clone()
                .all(|(told, expected)| (told - expected).abs() <= 1e-7 * expected)
    };
    assert!(
        close(&told(&kept), &expected),
        "{:?} {expected:?}",
        told(&kept)
    );
    let unfrozen = next(&before, &free, &first);
    assert_eq!(
        decided(&kept),
        decided(&unfrozen),
        "it is decided as without a freeze"
    );
    assert_ne!(told(&unfrozen)[0], told(&kept)[0]);

    let later = next(&kept, &frozen, &second);
    assert_eq!(told(&later), told(&kept));
    assert_eq!(later.steered.as_ref().unwrap().since, since);

    let ended = next(&kept, &free, &second);
    assert_eq!(ended.serving(), Serving::Plan);
    assert_eq!(
        told(&ended),
        told(&next(&unfrozen, &free, &second)),
        "in full"
    );
}

#[test]
fn operators_cut_what_is_frozen_and_raise_nothing() {
    let free = policy(100.0);
    let (before, [first, second]) = planned(&free);
    let with = |bounds: Bounds| {
        let mut frozen = serving(&free, Serving::Freeze);
        frozen.revision = 2;
        frozen.operations.insert(OperationId(1), bounds);
        frozen
    };
    let pin = |pin| Bounds {
        pin: Some(pin),
        ..Bounds::default()
    };
    let excluded = next(&before, &with(pin(0.0)), &first);
    assert_eq!(told(&excluded)[0], 0.0);
    assert_eq!(told(&excluded)[1], f64::from(before.served(1) as f32));
    let raised = next(&before, &with(pin(1.0)), &first);
    assert_eq!(told(&raised)[0], f64::from(before.served(0) as f32));
    let capped = Bounds {
        probability_max: 0.001,
        ..Bounds::default()
    };
    let capped = next(&before, &with(capped), &first);
    assert_eq!(told(&capped)[0], f64::from(0.001_f32));
    // What ran out restores what was frozen.
    let restored = next(&excluded, &serving(&free, Serving::Freeze), &second);
    assert_eq!(told(&restored)[0], f64::from(before.served(0) as f32));
}

#[test]
fn observing_serves_the_initial_probability_and_decides_as_ever() {
    let free = policy(100.0);
    let observed = serving(&free, Serving::Observe);
    let (_, [first, second]) = planned(&free);
    let play = |policy: &Policy| next(&Plan::genesis(policy), policy, &first);
    let (seen, served) = (play(&observed), play(&free));
    assert_eq!(decided(&seen), decided(&served));
    let initial = f64::from(0.001_f32);
    assert_eq!(told(&seen), vec![initial; 3]);
    assert_eq!(seen.served_default(seen.services[0].service), initial);
    assert_eq!(seen.served_fleet_default(), initial);
    assert!((seen.served_sampled() - 0.001 * seen.fleet.offered).abs() < 1e-3);
    assert!(
        seen.fleet.expected_sampled > 99.0,
        "what it would keep is shown"
    );
    // What SDKs keep meanwhile teaches nothing.
    let mut sampling_all = second.clone();
    for operation in &mut sampling_all.operations {
        operation.sampled = operation.offered;
    }
    let seen = next(&seen, &observed, &sampling_all);
    assert_eq!(seen.fleet.trim.compliance, 1.0);
    let left = next(&seen, &free, &second);
    assert_eq!(told(&left).len(), 3);
    assert_eq!(left.fleet.expected_sampled, left.served_sampled());
    assert!(
        left.fleet.expected_sampled > 90.0,
        "it is taken over in full"
    );
}

#[test]
fn a_cut_is_not_taken_for_sdks_that_do_not_comply() {
    let free = policy(100.0);
    let (mut plan, _) = planned(&free);
    let window = |number: i64, sampled: u64| {
        let mut operations = vec![count(1, 60_000), count(2, 60_000)];
        for operation in &mut operations {
            operation.sampled = sampled;
        }
        counts(number, operations, vec![agent(1, 120_000)])
    };
    for number in 2..12 {
        plan = next(&plan, &free, &window(number, 3000));
    }
    let complied = plan.fleet.trim.compliance;
    let cut = window(12, 300);
    let inputs = Inputs {
        cut: 0.1,
        ..Inputs::new(1, std::slice::from_ref(&cut))
    };
    let told_of = next_plan(&plan, &free, inputs);
    assert_eq!(told_of.fleet.trim, plan.fleet.trim);
    let due = told_of.figures.due_sampled;
    assert!((due - 10.0).abs() < 1.0, "{due} traces/s were due");
    let untold = next(&plan, &free, &cut);
    assert!(untold.fleet.trim.compliance < complied);
}

proptest! {
    /// Whatever is asked for, nobody is told more than what is kept and what operators allow, and the decisions are
    /// those without it. But a claim is believed if as many were sampled as SDKs were told to, so what is told decides
    /// which claims are held apart.
    #[test]
    fn nothing_is_raised(
        policy in any_policy(),
        windows in prop::collection::vec((any_window(), 0..3u8), 1..5),
    ) {
        let mut plan = Plan::genesis(&policy);
        let mut free = plan.clone();
        let mut held = false;
        for (counts, which) in &windows {
            let asked = [Serving::Plan, Serving::Freeze, Serving::Observe][usize::from(*which)];
            let next = next(&plan, &serving(&policy, asked), counts);
            free = super::fleet::next(&free, &policy, counts);
            prop_assert_eq!(next.serving(), asked);
            for (place, operation) in next.operations.iter().enumerate() {
                let told = next.served(place);
                prop_assert!((0.0..=1.0).contains(&told));
                let before = plan.served_of(operation.operation);
                let before = before.unwrap_or_else(|| plan.served_default(operation.service));
                let was_frozen = plan.serving() == Serving::Freeze;
                if asked == Serving::Freeze && !was_frozen {
                    prop_assert!(told <= f64::from(before as f32), "{} {}", told, before);
                }
            }
            plan = next;
            held |= !plan.claims.is_empty() || !free.claims.is_empty();
            let listed = |plan: &Plan| -> Vec<_> {
                plan.operations.iter().map(|of| of.operation).collect()
            };
            prop_assert!(held || listed(&plan) == listed(&free));
        }
    }
}
