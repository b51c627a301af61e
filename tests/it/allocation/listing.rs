//! More operations in a service than its strategy lists: the plan must count what is served.

use weir::allocation::{
    Bounds, Hold, LISTED_MAX, OperationCount, OperationId, OperationPlan, Plan, Policy, ServiceId,
};

use super::fleet::{agent, count, counts, next, policy};

const UNLISTED: usize = 500;
const BUDGET: f64 = 2_000.0;

/// Ten operations with a thousand requests a second, and more with one a second than can be listed.
fn crowd() -> Vec<OperationCount> {
    let last = (LISTED_MAX + UNLISTED) as u32;
    let offered = |operation| if operation <= 10 { 60_000 } else { 60 };
    (1..=last).map(|id| count(id, offered(id))).collect()
}

/// The plan after this many windows of this traffic.
fn settled(policy: &Policy, operations: &[OperationCount], windows: i64) -> Plan {
    let offered = operations.iter().map(|count| count.offered).sum();
    (0..windows).fold(Plan::genesis(policy), |plan, number| {
        let window = counts(number, operations.to_vec(), vec![agent(1, offered)]);
        next(&plan, policy, &window)
    })
}

/// The probability that SDKs use: the listed one, else the default.
fn served(plan: &Plan, operation: &OperationPlan) -> f64 {
    if operation.is_listed() {
        operation.probability
    } else {
        plan.default_probability(operation.service)
    }
}

/// Traces per second that SDKs sample.
fn kept(plan: &Plan) -> f64 {
    let operations = plan.operations.iter();
    operations.map(|of| served(plan, of) * of.offered).sum()
}

fn unlisted(plan: &Plan) -> Vec<&OperationPlan> {
    let operations = plan.operations.iter();
    operations.filter(|of| !of.is_listed()).collect()
}

#[test]
fn what_is_not_listed_is_allotted_the_default() {
    let plan = settled(&policy(BUDGET), &crowd(), 3);
    let left_out = unlisted(&plan);
    assert_eq!(left_out.len(), UNLISTED);
    for operation in left_out {
        assert_eq!(
            operation.probability,
            plan.default_probability(ServiceId(1))
        );
        let share = operation.probability * operation.offered;
        assert_eq!(operation.share, share);
        assert!(operation.offered < 10.0, "the busiest are listed");
    }
    let kept = kept(&plan);
    let expected = plan.fleet.expected_sampled;
    assert!((kept / expected - 1.0).abs() < 0.01, "{kept} of {expected}");
    assert!((kept / BUDGET - 1.0).abs() < 0.06, "{kept} of {BUDGET}");
}

#[test]
fn where_everything_fits_everything_is_listed() {
    let plan = settled(&policy(BUDGET), &crowd()[..LISTED_MAX], 2);
    assert_eq!(unlisted(&plan).len(), 0);
}

#[test]
fn an_operation_that_an_operator_bounds_is_listed() {
    let quiet = OperationId((LISTED_MAX + UNLISTED) as u32);
    let mut policy = policy(BUDGET);
    let pin = Bounds {
        pin: Some(0.75),
        ..Bounds::default()
    };
    policy.operations.insert(quiet, pin);
    let plan = settled(&policy, &crowd(), 2);
    assert_eq!(unlisted(&plan).len(), UNLISTED);
    let pinned = plan.operations.last().unwrap();
    assert_eq!(pinned.operation, quiet);
    assert!(pinned.is_listed());
    assert_eq!(pinned.probability, 0.75);
}

#[test]
fn an_overflow_entry_and_unlisted_operations_share_one_default() {
    let mut operations = crowd();
    let overflow = OperationId(100_000);
    operations.push(OperationCount {
        operation: overflow,
        overflow: true,
        ..count(0, 60_000)
    });
    let plan = settled(&policy(BUDGET), &operations, 3);
    let default = plan.default_probability(ServiceId(1));
    let entry = plan.operations.last().unwrap();
    assert_eq!((entry.operation, entry.probability), (overflow, default));
    assert!(unlisted(&plan).iter().all(|of| of.probability == default));
    let kept = kept(&plan);
    let expected = plan.fleet.expected_sampled;
    assert!((kept / expected - 1.0).abs() < 0.01, "{kept} of {expected}");
}

#[test]
fn pins_that_exceed_the_budget_leave_a_default_that_is_served() {
    let mut policy = policy(BUDGET);
    let pin = Bounds {
        pin: Some(1.0),
        ..Bounds::default()
    };
    policy.services.insert(ServiceId(1), pin.into());
    let plan = settled(&policy, &crowd(), 3);
    let default = plan.default_probability(ServiceId(1));
    assert!(unlisted(&plan).iter().all(|of| of.probability == default));
    let kept = kept(&plan);
    assert!(kept <= BUDGET * 1.001, "{kept} of {BUDGET}");
}

#[test]
fn a_frozen_plan_serves_those_left_out_the_default_of_before() {
    let policy = policy(BUDGET);
    let before = settled(&policy, &crowd()[..LISTED_MAX], 2);
    let default = before.default_probability(ServiceId(1));
    let offered = crowd().iter().map(|count| count.offered).sum();
    let known = counts(2, crowd(), vec![agent(1, offered)]);
    let heard = next(&before, &policy, &known);
    // No agent reports.
    let frozen = next(&heard, &policy, &counts(3, vec![], vec![]));
    assert_eq!(frozen.fleet.hold, Hold::Frozen);
    assert!(default > 0.0);
    let held = heard.default_probability(ServiceId(1));
    for operation in unlisted(&frozen) {
        assert_eq!(served(&frozen, operation), held);
        assert_eq!(operation.probability, held);
    }
    assert_eq!(unlisted(&frozen).len(), UNLISTED);
}
