//! Reports that do not arrive, arrive late, or stop for ever.

use weir::allocation::{Binding, Hold, OperationId, Plan};

use super::fleet::{Fleet, again, agent, count, counts, hear, next, policy};

const BUDGET: f64 = 500.0;

fn settled(seed: u64) -> Fleet {
    let mut fleet = Fleet::new(Fleet::zipf(1_000, 50_000.0), policy(BUDGET), seed);
    for _ in 0..12 {
        fleet.pass();
    }
    fleet
}

fn probabilities(plan: &Plan) -> Vec<(OperationId, f64)> {
    plan.operations
        .iter()
        .map(|plan| (plan.operation, plan.probability))
        .collect()
}

/// Checks that no operation is served more than this many times what it was before.
fn assert_none_rose_by_more(before: &Plan, after: &Plan, most: f64) {
    for old in &before.operations {
        let index = after
            .operations
            .binary_search_by_key(&old.operation, |plan| plan.operation)
            .expect("operations stay");
        let new = &after.operations[index];
        assert!(new.probability <= most * old.probability, "{old:?} {new:?}");
    }
}

#[test]
fn when_all_agents_are_silent_nothing_changes() {
    let mut fleet = settled(1);
    let before = fleet.plan.clone();
    for number in 0..30 {
        let silence = counts(12 + number, vec![], vec![]);
        fleet.plan = next(&fleet.plan, &fleet.policy, &silence);
        assert_eq!(fleet.plan.fleet.hold, Hold::Frozen);
        assert_eq!(fleet.plan.fleet.completeness, 0.0);
    }
    assert_eq!(probabilities(&fleet.plan), probabilities(&before));
    for (after, before) in fleet.plan.services.iter().zip(&before.services) {
        assert_eq!(after.default_probability, before.default_probability);
        assert_eq!((after.level, after.heard), (before.level, 0.0));
    }
    for (after, before) in fleet.plan.agents.iter().zip(&before.agents) {
        assert_eq!(after.heard_until, before.heard_until);
        assert_eq!((before.missing_windows, after.missing_windows), (0, 30));
    }
    // What is believed goes on as the fleet went.
    let carried = fleet.plan.fleet.offered / before.fleet.offered;
    assert!((carried - 1.0).abs() < 0.02, "{carried}");
    for (after, before) in fleet.plan.operations.iter().zip(&before.operations) {
        let off = after.offered / before.offered / carried - 1.0;
        assert!(off.abs() < 0.05, "{before:?} {after:?}");
        assert_eq!(after.silent_windows, before.silent_windows);
        assert_eq!(after.binding, Binding::Hold);
    }
    let kept = fleet.pass();
    assert!((kept / BUDGET - 1.0).abs() < 0.1, "{kept}");
}

#[test]
fn counters_that_stop_while_their_agents_report_are_silent_and_raise_nothing() {
    let policy = policy(10.0);
    let first = counts(0, vec![count(1, 6_000)], vec![agent(1, 6_000)]);
    let plan = next(&Plan::genesis(&policy), &policy, &first);
    let after = next(&plan, &policy, &counts(1, vec![], vec![agent(1, 0)]));
    assert_eq!(after.fleet.hold, Hold::None);
    let (before, silent) = (plan.operations[0], after.operations[0]);
    assert_eq!((silent.silent_windows, silent.binding), (1, Binding::Hold));
    assert_eq!(silent.probability, before.probability);
    assert!(silent.offered < 0.1 * before.offered, "{silent:?}");
}

#[test]
fn an_empty_window_of_a_fleet_with_hardly_any_traffic_is_just_quiet() {
    let policy = policy(10.0);
    let first = counts(0, vec![count(1, 1)], vec![agent(1, 1)]);
    let plan = next(&Plan::genesis(&policy), &policy, &first);
    let after = next(&plan, &policy, &counts(1, vec![], vec![agent(1, 0)]));
    assert_eq!(after.fleet.hold, Hold::None);
    assert_eq!(after.operations[0].silent_windows, 1);
}

#[test]
fn when_half_the_agents_are_silent_the_budget_is_kept_and_nothing_more_than_doubles() {
    let mut fleet = settled(2);
    fleet.heard = 5;
    for _ in 0..6 {
        let before = fleet.plan.clone();
        let kept = fleet.pass();
        assert_none_rose_by_more(&before, &fleet.plan, 2.01);
        assert!((kept / BUDGET - 1.0).abs() < 0.1, "{kept}");
        let figures = fleet.plan.fleet;
        assert!((figures.completeness - 0.5).abs() < 0.02, "{figures:?}");
        assert_eq!(figures.hold, Hold::None);
    }
    fleet.heard = 10;
    for _ in 0..5 {
        let kept = fleet.pass();
        assert!((kept / BUDGET - 1.0).abs() < 0.1, "{kept}");
    }
    assert_eq!(fleet.plan.fleet.completeness, 1.0);
}

#[test]
fn a_window_that_misses_reports_still_cuts_what_grew() {
    let mut fleet = settled(3);
    fleet.heard = 7;
    for source in &mut fleet.sources {
        source.rate *= 1.2;
    }
    fleet.pass();
    let figures = fleet.plan.fleet;
    assert!((figures.completeness - 0.7).abs() < 0.02, "{figures:?}");
    let kept = fleet.pass();
    assert!((kept / BUDGET - 1.0).abs() < 0.12, "{kept}");
}

#[test]
fn an_agent_of_twenty_is_made_up_for_by_scaling() {
    let mut fleet = settled(4);
    fleet.agents = 20;
    fleet.heard = 20;
    for _ in 0..12 {
        fleet.pass();
    }
    let before = fleet.plan.fleet.offered;
    fleet.heard = 19;
    fleet.pass();
    let figures = fleet.plan.fleet;
    assert!((figures.completeness - 0.95).abs() < 0.01);
    assert_eq!(figures.hold, Hold::None);
    assert!((figures.offered / before - 1.0).abs() < 0.01);
}

#[test]
fn agents_whose_traffic_moved_to_others_are_not_missed() {
    let mut fleet = settled(5);
    fleet.agents = 6;
    fleet.heard = 6;
    // One window may be chance.
    fleet.pass();
    fleet.pass();
    assert_eq!(fleet.plan.fleet.completeness, 1.0);
    assert_eq!(fleet.plan.fleet.hold, Hold::None);
}

#[test]
fn a_fleet_that_shrank_without_a_word_keeps_what_the_missing_may_still_count() {
    let mut fleet = settled(6);
    // Sixty per cent of the agents leave, and their traffic with them.
    for source in &mut fleet.sources {
        source.rate *= 0.4;
    }
    fleet.agents = 4;
    fleet.heard = 4;
    for _ in 0..20 {
        let before = fleet.plan.clone();
        let kept = fleet.pass();
        assert!((kept / BUDGET / 0.4 - 1.0).abs() < 0.1, "{kept}");
        assert_none_rose_by_more(&before, &fleet.plan, 1.0 / 0.59);
        let figures = fleet.plan.fleet;
        let shared = BUDGET * figures.trim.factor;
        assert!(
            fleet.plan.aimed_sampled() <= shared * (1.0 + 1e-9),
            "{figures:?}"
        );
    }
    let figures = fleet.plan.fleet;
    assert!((figures.completeness - 0.4).abs() < 0.02, "{figures:?}");
    assert_eq!(fleet.plan.agents.len(), 10);
}

/// The plan of a fleet of two equal agents. The second covers only a part of the second window.
fn half_heard(covered: f64) -> Plan {
    let policy = policy(10.0);
    let operations = |offered| vec![count(1, offered)];
    let first = counts(0, operations(6_000), vec![agent(1, 3_000), agent(2, 3_000)]);
    let plan = next(&Plan::genesis(&policy), &policy, &first);
    let heard = (3_000.0 * covered) as u64;
    let mut partly = agent(2, heard);
    partly.covered_milliseconds = (partly.covered_milliseconds as f64 * covered) as i64;
    let second = counts(1, operations(3_000 + heard), vec![agent(1, 3_000), partly]);
    next(&plan, &policy, &second)
}

#[test]
fn an_agent_whose_last_report_is_a_little_late_is_not_missing() {
    let plan = half_heard(0.8);
    assert_eq!(plan.fleet.completeness, 1.0);
    assert!((plan.fleet.covered - 0.9).abs() < 1e-9);
    assert_eq!(plan.services[0].heard, 1.0);
    assert!((plan.operations[0].offered - 100.0).abs() < 1e-9);
    assert_eq!(plan.rates[1].rate, 50.0);
}

#[test]
fn an_agent_that_covers_a_small_part_of_the_window_is_heard_in_part() {
    let plan = half_heard(0.05);
    assert_eq!(
        plan.fleet.completeness, 0.5,
        "the rest of its counts is missing"
    );
    assert!((plan.fleet.covered - 0.525).abs() < 1e-9);
    assert_eq!(plan.fleet.hold, Hold::None);
    assert!((plan.operations[0].offered - 100.0).abs() < 1e-9);
    assert_eq!(plan.rates[1].rate, 50.0);
}

#[test]
fn reports_that_are_always_late_hold_nothing() {
    let policy = policy(10.0);
    let mut plan = Plan::genesis(&policy);
    let late = |id, offered| {
        let mut late = agent(id, offered);
        late.covered_milliseconds = late.covered_milliseconds * 4 / 5;
        late
    };
    let in_time = |number: i64, offered: u64| {
        let heard = offered * 4 / 5;
        let agents = vec![late(1, heard / 2), late(2, heard / 2)];
        counts(number, vec![count(1, heard)], agents)
    };
    for number in 0..24 {
        // The traffic falls by half in between, and the probabilities follow upwards.
        let offered = if number < 6 { 6_000 } else { 3_000 };
        plan = next(&plan, &policy, &in_time(number, offered));
        assert_eq!(plan.fleet.hold, Hold::None, "window {number}");
        assert_eq!(plan.fleet.completeness, 1.0);
        assert!((plan.fleet.covered - 0.8).abs() < 1e-9);
    }
    assert!((plan.operations[0].offered / 50.0 - 1.0).abs() < 0.02);
    assert!((plan.operations[0].probability / 0.2 - 1.0).abs() < 0.02);
}

#[test]
fn a_late_report_corrects_as_if_it_had_come_in_time() {
    let mut fleet = settled(7);
    let (policy, parent) = (fleet.policy.clone(), fleet.plan.clone());
    let (whole, _) = fleet.counts();
    // The reports of the last two agents come late, with two operations that no other agent saw.
    let mut partial = whole.clone();
    hear(
        &mut partial,
        &[0, 1, 2, 3, 4, 5, 6, 7].map(|id| agent(id, whole.agents[0].offered)),
    );
    partial.operations.truncate(whole.operations.len() - 2);
    for count in &mut partial.operations {
        count.offered -= count.offered / 5;
    }
    let plan_in_time = next(&parent, &policy, &whole);
    let plan_partial = next(&parent, &policy, &partial);
    assert!((plan_partial.fleet.completeness - 0.8).abs() < 1e-3);
    fleet.plan = plan_in_time.clone();
    let (current, _) = fleet.counts();
    let in_time = again(&plan_in_time, &policy, &whole, &current);
    let late = again(&plan_partial, &policy, &whole, &current);
    let once = next(&plan_in_time, &policy, &current);
    assert_eq!(
        in_time.operations, once.operations,
        "nothing new changes nothing"
    );
    assert_eq!(late.agents.len(), in_time.agents.len());
    assert_eq!(late.fleet.offered, in_time.fleet.offered);
    assert_eq!(late.fleet.forecast_offered, in_time.fleet.forecast_offered);
    assert!((late.fleet.unseen_sampled - in_time.fleet.unseen_sampled).abs() < 1e-9);
    assert_eq!(late.operations.len(), in_time.operations.len());
    for (late, in_time) in late.operations.iter().zip(&in_time.operations) {
        assert_eq!(late.operation, in_time.operation);
        assert_eq!(late.offered, in_time.offered);
        assert_eq!(late.belief, in_time.belief);
        assert_eq!(late.belief_before, in_time.belief_before);
        assert_eq!(late.silent_windows, in_time.silent_windows);
    }
}

#[test]
fn a_frozen_window_that_fills_up_late_counts_after_all() {
    let policy = policy(10.0);
    let all = || vec![agent(1, 3_000), agent(2, 3_000)];
    let plan = next(
        &Plan::genesis(&policy),
        &policy,
        &counts(0, vec![count(1, 6_000)], all()),
    );
    let frozen = next(&plan, &policy, &counts(1, vec![], vec![]));
    let corrected = counts(1, vec![count(1, 9_000), count(2, 60)], all());
    let current = counts(2, vec![count(1, 6_000), count(2, 60)], all());
    let plan = again(&frozen, &policy, &corrected, &current);
    assert_eq!(plan.fleet.hold, Hold::None);
    let before = |place: usize| plan.operations[place].belief_before.unwrap();
    assert!(before(0).rate > 110.0);
    assert_eq!(plan.operations[1].operation, OperationId(2));
    assert!((before(1).rate - 1.0).abs() < 0.01);
}

/// A window in which an operation was first seen, and only partly reported, is read again without
/// new reports: what was known stays known.
#[test]
fn reading_a_window_again_never_forgets_an_operation() {
    let policy = policy(50.0);
    let part = |offered| {
        let mut heard = agent(1, offered);
        heard.covered_milliseconds /= 5;
        counts(1, vec![count(1, offered)], vec![heard])
    };
    let first = next(&Plan::genesis(&policy), &policy, &part(1000));
    assert_eq!(first.operations.len(), 1);
    let (corrected, silent) = (part(1100), counts(2, vec![], vec![]));
    let plan = again(&first, &policy, &corrected, &silent);
    assert_eq!(plan.operations.len(), 1, "{plan:?}");
    assert_eq!(
        plan.operations[0].probability,
        first.operations[0].probability
    );
}
