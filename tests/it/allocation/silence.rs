//! Reports that do not arrive, arrive late, or stop for ever.

use weir::allocation::{Binding, Hold, Inputs, OperationId, Plan, next_plan};

use super::fleet::{Fleet, agent, count, counts, next, policy};

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

/// Checks that no operation is served more than before, nor any default.
fn assert_nothing_rose(before: &Plan, after: &Plan) {
    for old in &before.operations {
        let index = after
            .operations
            .binary_search_by_key(&old.operation, |plan| plan.operation)
            .expect("operations stay");
        assert!(after.operations[index].probability <= old.probability);
    }
    for old in &before.services {
        assert!(after.default_probability(old.service) <= old.default_probability);
    }
    assert!(after.fleet.default_probability <= before.fleet.default_probability);
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
    assert_eq!(fleet.plan.services, before.services);
    assert_eq!(fleet.plan.agents, before.agents);
    for (after, before) in fleet.plan.operations.iter().zip(&before.operations) {
        assert_eq!(after.offered, before.offered);
        assert_eq!(after.silent_windows, before.silent_windows);
        assert_eq!(after.binding, Binding::Hold);
    }
    let kept = fleet.pass();
    assert!((kept / BUDGET - 1.0).abs() < 0.1, "{kept}");
}

#[test]
fn counters_that_stop_while_their_agents_report_change_nothing() {
    let policy = policy(10.0);
    let first = counts(0, vec![count(1, 6_000)], vec![agent(1, 6_000)]);
    let plan = next(&Plan::genesis(&policy), &policy, &first);
    let after = next(&plan, &policy, &counts(1, vec![], vec![agent(1, 0)]));
    assert_eq!(after.fleet.hold, Hold::Frozen);
    assert_eq!(after.operations[0].offered, 100.0);
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
fn when_half_the_agents_are_silent_nothing_rises() {
    let mut fleet = settled(2);
    fleet.heard = 5;
    for _ in 0..6 {
        let before = fleet.plan.clone();
        let kept = fleet.pass();
        assert_nothing_rose(&before, &fleet.plan);
        assert!(kept < 1.1 * BUDGET, "{kept}");
    }
    assert_ne!(fleet.plan.fleet.hold, Hold::None);
    fleet.heard = 10;
    for _ in 0..5 {
        let kept = fleet.pass();
        assert!((kept / BUDGET - 1.0).abs() < 0.1, "{kept}");
    }
    assert_eq!(fleet.plan.fleet.hold, Hold::None);
}

#[test]
fn a_window_that_misses_reports_still_cuts_what_grew() {
    let mut fleet = settled(3);
    fleet.heard = 7;
    for source in &mut fleet.sources {
        source.rate *= 1.2;
    }
    fleet.pass();
    assert_eq!(fleet.plan.fleet.hold, Hold::CutsOnly);
    let kept = fleet.pass();
    assert!(kept < 1.12 * BUDGET, "{kept}");
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
    fleet.pass();
    assert_eq!(fleet.plan.fleet.completeness, 1.0);
    assert_eq!(fleet.plan.fleet.hold, Hold::None);
}

#[test]
fn a_fleet_that_shrank_for_good_recovers() {
    let mut fleet = settled(6);
    // Sixty per cent of the agents leave, and their traffic with them.
    for source in &mut fleet.sources {
        source.rate *= 0.4;
    }
    fleet.agents = 4;
    fleet.heard = 4;
    let mut kept = Vec::new();
    for _ in 0..20 {
        kept.push(fleet.pass());
        let figures = fleet.plan.fleet;
        let shared = BUDGET * figures.trim.factor;
        assert!(
            figures.expected_sampled <= shared * (1.0 + 1e-9),
            "{figures:?}"
        );
    }
    assert_eq!(fleet.plan.fleet.hold, Hold::None);
    assert_eq!(fleet.plan.agents.len(), 4);
    assert!(
        kept[15..]
            .iter()
            .all(|kept| (kept / BUDGET - 1.0).abs() < 0.1),
        "{kept:?}"
    );
    assert!(kept.iter().all(|kept| *kept < 1.1 * BUDGET), "{kept:?}");
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
fn an_agent_whose_last_report_is_late_is_not_missing() {
    let plan = half_heard(0.5);
    assert_eq!(plan.fleet.completeness, 1.0);
    assert_eq!(plan.fleet.covered, 0.75);
    assert_eq!(plan.fleet.hold, Hold::None);
    assert_eq!(plan.operations[0].offered, 100.0);
    assert_eq!(plan.agents[1].offered, 50.0);
}

#[test]
fn an_agent_that_covers_a_small_part_of_the_window_is_heard_in_part() {
    let plan = half_heard(0.05);
    assert_eq!(plan.fleet.completeness, 0.75);
    assert!((plan.fleet.covered - 0.525 / 0.75).abs() < 1e-12);
    assert_eq!(plan.fleet.hold, Hold::CutsOnly);
    assert!((plan.operations[0].offered - 100.0).abs() < 1e-9);
    assert_eq!(plan.agents[1].offered, 50.0);
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
    partial.agents.truncate(8);
    partial.operations.truncate(whole.operations.len() - 2);
    for count in &mut partial.operations {
        count.offered -= count.offered / 5;
    }
    let plan_in_time = next(&parent, &policy, &whole);
    let plan_partial = next(&parent, &policy, &partial);
    assert_eq!(plan_partial.fleet.hold, Hold::CutsOnly);
    fleet.plan = plan_in_time.clone();
    let (current, _) = fleet.counts();
    let inputs = Inputs {
        corrected: Some(&whole),
        ..Inputs::new(1, &current)
    };
    let in_time = next_plan(&plan_in_time, &policy, inputs);
    let late = next_plan(&plan_partial, &policy, inputs);
    assert_eq!(
        in_time,
        next(&plan_in_time, &policy, &current),
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
    let inputs = Inputs {
        corrected: Some(&corrected),
        ..Inputs::new(1, &current)
    };
    let plan = next_plan(&frozen, &policy, inputs);
    assert_eq!(plan.fleet.hold, Hold::None);
    let before = |place: usize| plan.operations[place].belief_before.unwrap();
    assert!(before(0).rate > 110.0);
    assert_eq!(plan.operations[1].operation, OperationId(2));
    assert!((before(1).rate - 1.0).abs() < 0.01);
}

#[test]
fn counts_of_another_window_correct_nothing() {
    let fleet = settled(8);
    let stray = counts(3, vec![count(101, 1)], vec![agent(0, 1)]);
    let current = counts(12, vec![count(101, 1_000_000)], vec![agent(0, 1_000_000)]);
    let inputs = Inputs {
        corrected: Some(&stray),
        ..Inputs::new(1, &current)
    };
    assert_eq!(
        next_plan(&fleet.plan, &fleet.policy, inputs),
        next(&fleet.plan, &fleet.policy, &current)
    );
}

/// A window in which an operation was first seen, and only partly reported, is corrected without
/// new reports: what was known stays known.
#[test]
fn a_correction_never_forgets_an_operation() {
    let policy = policy(50.0);
    let part = |offered| {
        let mut heard = counts(1, vec![count(1, offered)], vec![agent(1, offered)]);
        heard.agents[0].covered_milliseconds = heard.window.milliseconds() / 5;
        heard
    };
    let first = next(&Plan::genesis(&policy), &policy, &part(1000));
    assert_eq!(first.operations.len(), 1);
    let (corrected, silent) = (part(1100), counts(2, vec![], vec![]));
    let inputs = Inputs {
        corrected: Some(&corrected),
        ..Inputs::new(1, &silent)
    };
    let plan = next_plan(&first, &policy, inputs);
    assert_eq!(plan.operations.len(), 1, "{plan:?}");
    assert_eq!(
        plan.operations[0].probability,
        first.operations[0].probability
    );
}
