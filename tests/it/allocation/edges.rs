//! The smallest fleets and the worst values.

use weir::allocation::{Binding, Hold, OperationId, Plan};

use super::fleet::{agent, count, counts, next, policy};

#[test]
fn a_fleet_that_never_reported_is_served_the_initial_probability() {
    let policy = policy(50.0);
    let plan = next(&Plan::genesis(&policy), &policy, &counts(0, vec![], vec![]));
    assert_eq!(plan.number, 1);
    assert_eq!(plan.fleet.hold, Hold::None);
    assert_eq!(plan.fleet.completeness, 1.0);
    assert_eq!(plan.fleet.default_probability, 0.001);
    assert!(plan.operations.is_empty() && plan.services.is_empty());
}

#[test]
fn one_operation_gets_the_whole_budget() {
    let policy = policy(50.0);
    let window = counts(0, vec![count(7, 60_000)], vec![agent(1, 60_000)]);
    let plan = next(&Plan::genesis(&policy), &policy, &window);
    let operation = &plan.operations[0];
    assert_eq!(operation.operation, OperationId(7));
    assert_eq!(operation.offered, 1_000.0);
    assert_eq!(operation.share, 50.0);
    assert_eq!(operation.binding, Binding::Level);
    assert!((operation.probability / 0.05 - 1.0).abs() < 1e-4);
    assert_eq!(plan.fleet.expected_sampled, 50.0);
}

#[test]
fn a_budget_above_all_traffic_keeps_it_whole_but_nothing_unknown() {
    let policy = policy(5_000.0);
    let window = counts(0, vec![count(7, 60_000)], vec![agent(1, 60_000)]);
    let plan = next(&Plan::genesis(&policy), &policy, &window);
    assert_eq!(plan.operations[0].probability, 1.0);
    assert_eq!(plan.operations[0].binding, Binding::ProbabilityOne);
    assert_eq!(plan.fleet.level, f64::INFINITY);
    assert_eq!(plan.services[0].default_probability, 0.5);
    assert_eq!(plan.fleet.default_probability, 0.5);
}
