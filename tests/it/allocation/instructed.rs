//! Changes by operators take effect in the next plan, whatever is reported.

use weir::allocation::{Bounds, Hold, OperationId, OperationPlan, Plan, ServiceId, preview};

use super::fleet::{Fleet, again, counts, next, policy};

const BUDGET: f64 = 500.0;

fn settled(budget: f64) -> Fleet {
    let mut fleet = Fleet::new(Fleet::zipf(1_000, 50_000.0), policy(budget), 1);
    for _ in 0..12 {
        fleet.pass();
    }
    fleet
}

/// Changes the budget in a new revision.
fn instruct(fleet: &mut Fleet, budget: f64) {
    fleet.policy.revision += 1;
    fleet.policy.budget = budget;
}

/// Plays a window without reports.
fn silence(fleet: &mut Fleet) {
    let silent = counts(fleet.plan.number as i64, vec![], vec![]);
    fleet.plan = next(&fleet.plan, &fleet.policy, &silent);
    assert_eq!(fleet.plan.fleet.hold, Hold::Frozen);
}

/// The traces per second that the plan expects.
fn keeps(plan: &Plan) -> f64 {
    let kept = plan.operations.iter();
    kept.map(|plan| plan.probability * plan.offered).sum()
}

fn served(plan: &Plan, operation: u32) -> f64 {
    let found = plan
        .operations
        .binary_search_by_key(&OperationId(operation), |plan| plan.operation);
    plan.operations[found.unwrap()].probability
}

#[test]
fn a_budget_cut_while_nobody_reports_is_served() {
    for budget in [100.0, 1.0, 0.0] {
        let mut fleet = settled(BUDGET);
        instruct(&mut fleet, budget);
        silence(&mut fleet);
        assert_eq!(fleet.plan.fleet.budget, budget);
        let kept = keeps(&fleet.plan);
        assert!(kept <= budget * 1.01, "{kept} of {budget}");
        assert!(kept >= budget * 0.8, "{kept} of {budget}");
        for service in &fleet.plan.services {
            let default = service.default_probability;
            assert!(default * 50_000.0 <= budget * 1.05, "{default}");
        }
        let before = fleet.plan.clone();
        silence(&mut fleet);
        let same = |(after, before): (&OperationPlan, &OperationPlan)| {
            (after.probability, after.operation) == (before.probability, before.operation)
        };
        let mut pairs = fleet.plan.operations.iter().zip(&before.operations);
        assert!(pairs.all(same), "nothing changes after it");
    }
}

#[test]
fn a_budget_raised_while_nobody_reports_is_served_to_what_is_believed() {
    for budget in [1_000.0, 5_000.0] {
        let mut fleet = settled(BUDGET);
        instruct(&mut fleet, budget);
        silence(&mut fleet);
        let kept = keeps(&fleet.plan);
        assert!((kept / budget - 1.0).abs() < 0.05, "{kept} of {budget}");
        let wanted = keeps(&preview(&fleet.plan, &fleet.policy));
        assert!(
            (kept / wanted - 1.0).abs() < 0.05,
            "{kept}, settled {wanted}"
        );
    }
}

#[test]
fn a_raise_by_ten_is_served_in_the_next_plan() {
    for (before, after) in [(50.0, 500.0), (500.0, 5_000.0), (0.0, 500.0)] {
        let mut fleet = settled(before);
        instruct(&mut fleet, after);
        fleet.pass();
        let kept = fleet.pass();
        assert!((kept / after - 1.0).abs() < 0.1, "{kept} of {after}");
    }
}

#[test]
fn pins_need_no_reports() {
    let mut fleet = settled(BUDGET);
    let busiest = OperationId(101);
    let pinned = |pin| Bounds {
        pin: Some(pin),
        ..Bounds::default()
    };
    let before = served(&fleet.plan, busiest.0);
    fleet.policy.revision += 1;
    fleet.policy.operations.insert(busiest, pinned(0.0));
    silence(&mut fleet);
    assert_eq!(served(&fleet.plan, busiest.0), 0.0);

    fleet.policy.revision += 1;
    fleet.policy.operations.clear();
    silence(&mut fleet);
    let released = served(&fleet.plan, busiest.0);
    assert!(
        (released / before - 1.0).abs() < 0.2,
        "{released}, {before} before"
    );

    fleet.policy.revision += 1;
    let all = pinned(0.0).into();
    fleet.policy.services.insert(ServiceId(3), all);
    silence(&mut fleet);
    let third = fleet.plan.operations.iter();
    let mut third = third.filter(|plan| plan.service == ServiceId(3));
    assert!(third.all(|plan| plan.probability == 0.0));
    assert_eq!(fleet.plan.default_probability(ServiceId(3)), 0.0);
}

#[test]
fn a_revision_that_changes_nothing_raises_nothing() {
    let mut fleet = settled(BUDGET);
    fleet.heard = 6;
    for _ in 0..4 {
        let (before, policy) = (fleet.plan.clone(), fleet.policy.clone());
        fleet.policy.revision += 1;
        let earlier = fleet.before.clone().expect("a window has passed");
        fleet.pass();
        let current = fleet.before.as_ref().expect("a window has passed");
        let unchanged = again(&before, &policy, &earlier, current);
        assert_eq!(fleet.plan.operations, unchanged.operations);
        assert!((fleet.plan.fleet.completeness - 0.6).abs() < 0.02);
    }
    for _ in 0..4 {
        let before = fleet.plan.clone();
        fleet.policy.revision += 1;
        silence(&mut fleet);
        for plan in &before.operations {
            assert!(served(&fleet.plan, plan.operation.0) <= plan.probability);
        }
    }
}

#[test]
fn what_is_silent_gets_no_more_than_what_is_unknown() {
    let mut fleet = settled(BUDGET);
    let silent = fleet.sources.pop().unwrap();
    let removed = fleet.sources.remove(0);
    for _ in 0..20 {
        fleet.pass();
    }
    for gone in [&silent, &removed] {
        let before = served(&fleet.plan, gone.operation.0);
        let mut other = settled(BUDGET);
        other.plan = fleet.plan.clone();
        instruct(&mut other, 50.0 * BUDGET);
        other.sources = fleet.sources.clone();
        other.pass();
        let after = served(&other.plan, gone.operation.0);
        let unknown = other.plan.default_probability(gone.service);
        assert!(after <= before.max(unknown), "{before} {after} {unknown}");
    }
}
