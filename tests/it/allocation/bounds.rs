//! Floors, caps, pins, weights, and how far a probability may move.

use weir::allocation::{
    Binding, Bounds, Hold, OperationCount, OperationId, OperationPlan, Plan, Policy, ServiceId,
    preview,
};

use super::fleet::{again, agent, count, counts, next, policy};

/// The plan of three operations at 100, 10 and 1 requests a second.
fn three(policy: &Policy) -> Plan {
    let operations = vec![count(1, 6_000), count(2, 600), count(3, 60)];
    let window = counts(0, operations, vec![agent(1, 6_660)]);
    next(&Plan::genesis(policy), policy, &window)
}

fn with(bounds: Bounds) -> Policy {
    let mut policy = policy(6.0);
    policy.operations.insert(OperationId(1), bounds);
    policy
}

fn shares(plan: &Plan) -> Vec<f64> {
    plan.operations.iter().map(|plan| plan.share).collect()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

#[test]
fn without_bounds_everybody_rises_to_one_level() {
    let plan = three(&policy(6.0));
    assert_eq!(shares(&plan), [2.5, 2.5, 1.0]);
    assert_eq!(plan.operations[2].binding, Binding::ProbabilityOne);
    assert_eq!(plan.operations[2].probability, 1.0);
    assert_eq!(plan.fleet.level, 2.5);
}

#[test]
fn a_floor_is_kept_and_named() {
    let plan = three(&with(Bounds {
        floor: 4.0,
        ..Bounds::default()
    }));
    assert_eq!(shares(&plan), [4.0, 1.0, 1.0]);
    assert_eq!(plan.operations[0].binding, Binding::Floor);
    let by_probability = three(&with(Bounds {
        probability_min: 0.04,
        ..Bounds::default()
    }));
    assert!(by_probability.operations[0].probability >= 0.04);
    assert_eq!(by_probability.operations[0].binding, Binding::Floor);
}

#[test]
fn a_cap_is_kept_and_wins_over_a_floor() {
    let plan = three(&with(Bounds {
        cap: 0.5,
        floor: 4.0,
        ..Bounds::default()
    }));
    assert!(close(plan.operations[0].share, 0.5));
    assert_eq!(plan.operations[0].binding, Binding::Cap);
    assert!(close(plan.operations[1].share, 4.5));
    let by_probability = three(&with(Bounds {
        probability_max: 0.001,
        ..Bounds::default()
    }));
    assert_eq!(by_probability.operations[0].probability, 0.001);
}

#[test]
fn a_pin_comes_first_and_is_scaled_last() {
    let pinned = |pin| {
        three(&with(Bounds {
            pin: Some(pin),
            ..Bounds::default()
        }))
    };
    let fits = pinned(0.04);
    assert_eq!(fits.operations[0].probability, 0.04);
    assert_eq!(fits.operations[0].binding, Binding::Pin);
    assert!(close(fits.operations[1].share, 1.0));
    assert_eq!(fits.fleet.missing, 0.0);
    let exceeds = pinned(0.5);
    assert!(close(exceeds.operations[0].probability, 0.06));
    assert!(close(exceeds.fleet.missing, 44.0));
    assert_eq!(exceeds.operations[1].share, 0.0);
    assert!(exceeds.fleet.expected_sampled <= 6.0 * (1.0 + 1e-9));
}

/// A name that has just come keeps its part of all traffic, because it may never come again. One that operators ask for
/// does come again.
#[test]
fn what_is_asked_for_by_name_is_kept_from_its_first_plan_on() {
    let first = |policy: &Policy| {
        let before = vec![count(1, 6_000), count(2, 600), count(3, 60)];
        let before = counts(0, before, vec![agent(1, 6_660)]);
        let plan = next(&Plan::genesis(policy), policy, &before);
        let after = [before.operations.clone(), vec![count(4, 60)]].concat();
        let after = counts(1, after, vec![agent(1, 6_720)]);
        again(&plan, policy, &before, &after).operations[3]
    };
    let asked = |cap| {
        let mut policy = policy(6.0);
        let bounds = Bounds {
            probability_min: 1.0,
            cap,
            ..Bounds::default()
        };
        policy.operations.insert(OperationId(4), bounds);
        first(&policy)
    };
    assert!(first(&policy(6.0)).probability < 0.2);
    assert_eq!(asked(5.0).probability, 1.0);
    let capped = asked(0.25);
    assert!(capped.probability > 0.2 && capped.share <= 0.25 * (1.0 + 1e-9));
}

#[test]
fn floors_beyond_the_budget_are_scaled_and_what_is_missing_is_said() {
    let mut policy = policy(6.0);
    let floor = Bounds {
        floor: 9.0,
        ..Bounds::default()
    };
    policy.services.insert(ServiceId(1), floor.into());
    let plan = three(&policy);
    assert!(close(plan.fleet.missing, 13.0));
    assert!(close(plan.fleet.expected_sampled, 6.0));
    assert!(close(plan.operations[0].share, 9.0 * 6.0 / 19.0));
    assert_eq!(plan.fleet.level, 0.0);
    // What the cap of a whole service forbids is not missing from the budget.
    let service = policy.services.get_mut(&ServiceId(1)).unwrap();
    service.whole.cap = 4.0;
    let plan = three(&policy);
    assert_eq!(plan.fleet.missing, 0.0);
    assert!(close(plan.fleet.expected_sampled, 4.0));
}

#[test]
fn weights_and_their_exponent_shape_the_shares() {
    let plan = three(&with(Bounds {
        weight: 4.0,
        ..Bounds::default()
    }));
    assert!(close(
        plan.operations[0].share,
        4.0 * plan.operations[1].share
    ));
    let mut proportional = policy(6.0);
    proportional.weight_exponent = 1.0;
    let plan = three(&proportional);
    for OperationPlan { share, offered, .. } in &plan.operations {
        assert!(close(share / offered, 6.0 / 111.0));
    }
}

#[test]
fn an_operations_own_bounds_win_over_its_services() {
    let mut policy = with(Bounds {
        cap: 2.0,
        ..Bounds::default()
    });
    let service = Bounds {
        cap: 0.25,
        ..Bounds::default()
    };
    policy.services.insert(ServiceId(1), service.into());
    let plan = three(&policy);
    assert!(close(plan.operations[0].share, 2.0));
    assert!(close(plan.operations[1].share, 0.25));
    assert!(plan.services[0].default_probability <= 0.025);
}

#[test]
fn cuts_and_raises_come_at_once_as_far_as_a_return_can_be_afforded() {
    let mut policy = policy(6.0);
    let mut plan = three(&policy);
    let mut pass = |policy: &Policy, times: u64| {
        let before = plan.clone();
        let all = [6_000 * times, 600 * times, 60 * times];
        let operations = vec![count(1, all[0]), count(2, all[1]), count(3, all[2])];
        let agents = vec![agent(1, all.iter().sum())];
        let window = counts(before.number as i64, operations, agents);
        plan = next(&before, policy, &window);
        (before, plan.clone())
    };
    policy.budget = 0.06;
    let (_, cut) = pass(&policy, 1);
    assert_eq!(shares(&cut), [0.02, 0.02, 0.02]);
    policy.budget = 60.0;
    let (before, raised) = pass(&policy, 1);
    let wanted = preview(&before, &policy);
    for (raised, wanted) in raised.operations.iter().zip(&wanted.operations) {
        let part = raised.probability / wanted.probability;
        assert!((part - 1.0).abs() < 0.01, "{raised:?} {wanted:?}");
    }
    policy.budget = 6.0;
    pass(&policy, 10);
    // A fall that one window shows may be a gap: until the next one confirms it, nothing rises.
    let (before, fallen) = pass(&policy, 1);
    for (fallen, before) in fallen.operations.iter().zip(&before.operations) {
        assert_eq!(fallen.probability, before.probability, "{fallen:?}");
        assert_eq!(fallen.binding, Binding::Hold);
    }
    let (_, fallen) = pass(&policy, 1);
    let wanted = preview(&fallen, &policy);
    for (fallen, wanted) in fallen.operations.iter().zip(&wanted.operations) {
        let part = fallen.probability / wanted.probability;
        assert!((part - 1.0).abs() < 0.01, "{fallen:?} {wanted:?}");
    }
    // Traffic a hundred times as high was here for an hour. If it comes back, it may cost 15 budgets.
    let (low, _) = pass(&policy, 100);
    for _ in 0..59 {
        pass(&policy, 100);
    }
    let (high, _) = pass(&policy, 1);
    let (_, fallen) = pass(&policy, 1);
    let (high, budget) = (high.fleet.offered, policy.budget);
    assert!(high > 50.0 * low.fleet.offered);
    let cost = |plan: &OperationPlan| plan.probability * plan.offered;
    let spent: f64 = fallen.operations.iter().map(cost).sum();
    let back = spent * high / fallen.fleet.offered;
    assert!(back <= 15.0 * budget * 1.05, "{back}");
    assert!(back >= 15.0 * budget * 0.9, "{back}");
}

#[test]
fn what_a_raise_limit_holds_back_goes_to_others() {
    let policy = policy(10.0);
    let steady = |number| {
        let operations = vec![count(1, 6_000), count(2, 6_000), count(3, 6_000)];
        counts(number, operations, vec![agent(1, 9_000), agent(2, 9_000)])
    };
    let before = next(&Plan::genesis(&policy), &policy, &steady(0));
    let before = again(&before, &policy, &steady(0), &steady(1));
    // Half of the traffic is not heard, so twice as much may be there.
    let fallen = vec![count(1, 30), count(2, 3_000), count(3, 3_000)];
    let fallen = |number| counts(number, fallen.clone(), vec![agent(1, 6_030)]);
    let held = again(&before, &policy, &steady(1), &fallen(2));
    assert_eq!(held.operations[0].binding, Binding::Hold, "not confirmed");
    let plan = again(&held, &policy, &fallen(2), &fallen(3));
    assert_eq!(plan.services[0].heard, 0.5);
    assert_eq!(plan.operations[0].binding, Binding::RaiseLimit);
    assert_eq!(
        plan.operations[0].probability,
        2.0 * before.operations[0].probability
    );
    assert!(plan.operations[0].share < 0.11);
    assert!(close(
        plan.operations[1].share + plan.operations[2].share,
        10.0 - plan.operations[0].share
    ));
    assert_eq!(plan.fleet.hold, Hold::None);
}

#[test]
fn a_default_is_what_the_level_gives_the_median_within_the_fleets_mean() {
    let plan = three(&policy(6.0));
    // The median of 100, 10 and 1 would get 2.5 of 10; the whole fleet can be served 6 of 111.
    assert!(close(plan.services[0].default_probability, 6.0 / 111.0));
    let mut small = policy(6.0);
    small.budget = 0.3;
    let operations = (1..=20).map(|id| count(id, 600)).chain([count(21, 60)]);
    let window = counts(0, operations.collect(), vec![agent(1, 12_060)]);
    let plan = next(&Plan::genesis(&small), &small, &window);
    assert!(close(
        plan.services[0].default_probability,
        plan.fleet.level / 10.0
    ));
    assert_eq!(
        plan.default_probability(ServiceId(99)),
        plan.fleet.default_probability
    );
}

#[test]
fn pinning_a_service_does_not_keep_its_unknown_names_whole() {
    let mut policy = policy(6.0);
    let pin = Bounds {
        pin: Some(1.0),
        ..Bounds::default()
    };
    policy.services.insert(ServiceId(2), pin.into());
    let other = OperationCount {
        service: ServiceId(2),
        ..count(4, 30)
    };
    let overflow = OperationCount {
        service: ServiceId(2),
        overflow: true,
        ..count(5, 600)
    };
    let window = counts(0, vec![count(1, 6_000), other, overflow], vec![]);
    let plan = next(&Plan::genesis(&policy), &policy, &window);
    assert_eq!(plan.operations[1].probability, 1.0);
    let default = plan.default_probability(ServiceId(2));
    assert_eq!(plan.operations[2].probability, default);
    assert!(close(default, 6.0 / plan.fleet.offered));
}
