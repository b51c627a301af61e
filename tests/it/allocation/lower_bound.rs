//! The lower bound that SDKs apply on their own: its cost, and when it is served.

use weir::allocation::{
    Hold, OVERFLOW_OPERATION, OVERFLOW_SERVICE, OperationCount, Plan, Policy, ServiceCount,
    ServiceId, WindowCounts, preview,
};

use super::fleet::{Heard, again, agent, count, counts, next, policy};
use super::guaranteed::{Fleet, Kept, Sdks, Split, seen};

const BUDGET: f64 = 500.0;
const RESERVE: f64 = 100.0;

fn reserving(reserve: f64, budget: f64) -> Policy {
    Policy {
        lower_bound_reserve: reserve,
        ..policy(budget)
    }
}

/// A thousand instances that serve 200 operations each: 20,000 requests a second by Zipf's law.
fn shop(sdks: Sdks) -> Fleet {
    let weight = |rank: u32| f64::from(rank).powf(-1.2);
    let total: f64 = (1..=200).map(weight).sum();
    let rates = (1..=200).map(|rank| 20_000.0 * weight(rank) / total);
    Fleet::new(1000, rates.collect(), reserving(RESERVE, BUDGET), sdks)
}

/// The mean of the sampled traces, after some windows to settle.
fn settled(fleet: &mut Fleet) -> Kept {
    const WINDOWS: u32 = 12;
    for _ in 0..8 {
        fleet.pass();
    }
    let (mut sampled, mut guaranteed) = (0.0, 0.0);
    for _ in 0..WINDOWS {
        let kept = fleet.pass();
        sampled += kept.sampled / f64::from(WINDOWS);
        guaranteed += kept.guaranteed / f64::from(WINDOWS);
    }
    Kept {
        sampled,
        guaranteed,
    }
}

/// A hundredth of the instances take half of the traffic; which ones differs between operations.
fn skewed(operation: usize, instance: usize, instances: usize) -> f64 {
    let busy = instances / 100;
    if (instance + operation * 37) % instances < busy {
        0.5 / busy as f64
    } else {
        0.5 / (instances - busy) as f64
    }
}

/// Each operation is served by one instance only.
fn apart(operation: usize, instance: usize, instances: usize) -> f64 {
    f64::from(u8::from(instance == operation * 37 % instances))
}

#[test]
fn a_thousand_instances_with_a_lower_bound_keep_the_budget() {
    let even = |_, _, instances| 1.0 / instances as f64;
    let splits: [(&str, Split); 2] = [("even", even), ("skewed", skewed)];
    for (name, split) in splits {
        let mut fleet = shop(Sdks::ApplyIt);
        fleet.split = split;
        let kept = settled(&mut fleet);
        let figures = fleet.plan.fleet;
        assert!(kept.all() <= 1.05 * BUDGET, "{name}: {kept:?}");
        assert!(kept.all() >= 0.95 * BUDGET, "{name}: {kept:?}");
        assert!(kept.guaranteed > 0.2 * RESERVE, "{name}: {kept:?}");
        assert!(
            kept.guaranteed <= 1.02 * figures.lower_bound_cost,
            "{name}: {kept:?}"
        );
        assert!(figures.lower_bound_cost <= RESERVE, "{name}");
        assert!(figures.lower_bound * 1000.0 * 200.0 <= RESERVE, "{name}");
        assert!(
            figures.lower_bound * 1000.0 * 200.0 >= 0.8 * RESERVE,
            "{name}"
        );
    }
}

/// If the bound keeps less than it could, the budget is not exceeded, and the trim makes up for a
/// part of what is missing.
#[test]
fn what_the_bound_does_not_keep_is_not_kept_twice() {
    let mut ignored = shop(Sdks::IgnoreIt);
    let mut unused = shop(Sdks::ApplyIt);
    unused.split = apart;
    for fleet in [&mut ignored, &mut unused] {
        let kept = settled(fleet);
        assert!(kept.guaranteed < 0.01 * RESERVE, "{kept:?}");
        assert!(kept.all() <= 1.02 * BUDGET, "{kept:?}");
        assert!(kept.all() >= BUDGET - RESERVE, "{kept:?}");
    }
}

/// A minute in which one agent saw this many instances of service 1, with two busy operations.
fn minute(number: i64, instances: u64) -> WindowCounts {
    WindowCounts {
        services: vec![seen(instances)],
        ..counts(
            number,
            vec![count(1, 60_000), count(2, 60_000)],
            vec![agent(1, 120_000)],
        )
    }
}

/// The plan after minutes with these numbers of instances, each read again for the next plan.
fn after(policy: &Policy, minutes: &[u64]) -> Plan {
    let mut plan = Plan::genesis(policy);
    let mut before: Option<WindowCounts> = None;
    for (number, instances) in minutes.iter().enumerate() {
        let window = minute(number as i64, *instances);
        plan = match before.take() {
            Some(before) => again(&plan, policy, &before, &window),
            None => next(&plan, policy, &window),
        };
        before = Some(window);
    }
    plan
}

#[test]
fn the_reserve_is_shared_over_instances_and_operations() {
    let plan = after(&reserving(10.0, 100.0), &[50]);
    let service = plan.services[0];
    assert_eq!(service.instances, 50.0);
    // A tenth of the reserve is left for future instances: 9 over 50 instances of 2 operations.
    assert_eq!((plan.fleet.lower_bound, service.lower_bound), (0.09, 0.09));
    // Of 1,000 requests a second, about 45 are sampled anyway. Nothing has to pay for those twice.
    let cost: f64 = plan
        .operations
        .iter()
        .map(|operation| (1.0 - operation.share / operation.offered) * 4.5)
        .sum();
    assert!((plan.fleet.lower_bound_cost - cost).abs() < 1e-9);
    let spent = plan.operations.iter().map(|plan| plan.share).sum::<f64>() + cost;
    assert!((99.9..=100.0).contains(&spent), "{spent}");
    assert_eq!(plan.fleet.expected_sampled, spent);
    let plan = after(&policy(100.0), &[50]);
    assert_eq!(
        (plan.fleet.lower_bound, plan.fleet.lower_bound_cost),
        (0.0, 0.0)
    );
    assert_eq!(
        plan.services[0].instances, 50.0,
        "known before anybody asks"
    );
}

#[test]
fn an_operation_that_is_kept_whole_costs_nothing_more() {
    let rare = WindowCounts {
        services: vec![seen(50)],
        ..counts(
            0,
            vec![count(1, 60_000), count(2, 600)],
            vec![agent(1, 60_600)],
        )
    };
    let policy = reserving(10.0, 100.0);
    let plan = next(&Plan::genesis(&policy), &policy, &rare);
    assert_eq!(plan.operations[1].probability, 1.0);
    let busy = plan.operations[0].share / 1000.0;
    assert!((plan.fleet.lower_bound_cost - 4.5 * (1.0 - busy)).abs() < 1e-9);
    let spent = plan.fleet.expected_sampled;
    assert!(
        (99.9..=100.0).contains(&spent),
        "the rest is shared: {spent}"
    );
}

#[test]
fn more_instances_cut_the_bound_at_once_and_fewer_raise_it_slowly() {
    let policy = reserving(10.0, 100.0);
    assert_eq!(
        after(&policy, &[50, 50, 52, 48, 51]).fleet.lower_bound,
        0.09
    );
    let cut = after(&policy, &[50, 50, 200]);
    assert_eq!(cut.services[0].instances, 200.0);
    assert_eq!(cut.fleet.lower_bound, 0.022);
    let mut minutes = vec![200];
    let mut before = after(&policy, &minutes);
    for _ in 0..40 {
        minutes.push(50);
        let plan = after(&policy, &minutes);
        assert!(plan.fleet.lower_bound <= 1.25 * before.fleet.lower_bound);
        assert!(plan.services[0].instances <= before.services[0].instances);
        assert!(plan.services[0].instances >= 50.0);
        before = plan;
    }
    assert!(
        before.fleet.lower_bound >= 0.08,
        "{}",
        before.fleet.lower_bound
    );
}

#[test]
fn instances_are_counted_when_their_reports_have_come_and_only_once() {
    let policy = reserving(10.0, 100.0);
    // Of two agents with 30 instances each, one reported only half of the minute in time.
    let operations = vec![count(1, 60_000), count(2, 60_000)];
    let half = Heard {
        covered_milliseconds: 30_000,
        ..agent(2, 30_000)
    };
    let of = |instance_milliseconds| ServiceCount {
        service: ServiceId(1),
        instance_milliseconds,
    };
    let early = WindowCounts {
        services: vec![of(30 * 60_000), of(30 * 30_000)],
        ..counts(0, operations.clone(), vec![agent(1, 60_000), half])
    };
    let plan = next(&Plan::genesis(&policy), &policy, &early);
    assert_eq!(
        plan.services[0].instances, 60.0,
        "scaled by what was covered"
    );
    let whole = WindowCounts {
        services: vec![of(60 * 60_000)],
        ..counts(0, operations, vec![agent(1, 60_000), agent(2, 60_000)])
    };
    let second = WindowCounts {
        window: super::fleet::window(1),
        ..early
    };
    let plan = again(&plan, &policy, &whole, &second);
    assert_eq!(plan.services[0].instances, 60.0);
}

#[test]
fn what_goes_quiet_raises_nothing() {
    let policy = reserving(10.0, 100.0);
    let agents = |ids: std::ops::Range<u64>| ids.map(|id| agent(id, 30_000)).collect::<Vec<_>>();
    let window = |number, part: u64| WindowCounts {
        services: vec![seen(20 * part)],
        ..counts(number, vec![count(1, 30_000 * part)], agents(0..part))
    };
    let mut plan = Plan::genesis(&policy);
    for number in 0..3 {
        plan = next(&plan, &policy, &window(number, 4));
    }
    let (instances, bound) = (plan.services[0].instances, plan.fleet.lower_bound);
    assert_eq!((instances, bound), (80.0, 0.11));
    for (number, heard, hold) in [(3, 3, Hold::None), (4, 1, Hold::None), (5, 0, Hold::Frozen)] {
        let heard_before = if number == 5 { 1 } else { 7 - number as u64 };
        let (before, current) = (window(number - 1, heard_before), window(number, heard));
        plan = again(&plan, &policy, &before, &current);
        assert_eq!(plan.fleet.hold, hold);
        assert_eq!(plan.services[0].instances, instances);
        assert_eq!(plan.services[0].lower_bound, bound);
        assert_eq!(plan.fleet.lower_bound, bound);
    }
}

#[test]
fn a_service_that_is_not_reported_is_forgotten_slowly() {
    let policy = reserving(10.0, 100.0);
    let mut plan = after(&policy, &[50]);
    let idle = WindowCounts {
        services: vec![],
        ..minute(1, 0)
    };
    plan = next(&plan, &policy, &idle);
    assert_eq!(plan.services[0].instances, 49.5);
    assert_eq!(plan.fleet.lower_bound, 0.09);
}

#[test]
fn where_nobody_can_tell_the_cost_nothing_is_guaranteed() {
    let policy = reserving(10.0, 100.0);
    let of = |service, operation, overflow| OperationCount {
        service: ServiceId(service),
        overflow,
        ..count(operation, 60_000)
    };
    let strangers = OperationCount {
        operation: OVERFLOW_OPERATION,
        service: OVERFLOW_SERVICE,
        overflow: true,
        ..count(0, 60_000)
    };
    let instances = |service, instances| ServiceCount {
        service: ServiceId(service),
        ..seen(instances)
    };
    // The first says how many instances it has, the second does not, the third has names that did
    // not fit.
    let window = WindowCounts {
        services: vec![instances(0, 7), instances(1, 50), instances(3, 50)],
        ..counts(
            0,
            vec![
                strangers,
                of(1, 10, false),
                of(1, 11, false),
                of(2, 20, false),
                of(3, 30, false),
                of(3, 31, true),
            ],
            vec![agent(1, 360_000)],
        )
    };
    let plan = next(&Plan::genesis(&policy), &policy, &window);
    let served: Vec<_> = plan
        .services
        .iter()
        .map(|service| (service.service.0, service.instances, service.lower_bound))
        .collect();
    assert_eq!(
        served,
        [
            (0, 7.0, 0.0),
            (1, 50.0, 0.09),
            (2, 0.0, 0.0),
            (3, 50.0, 0.0)
        ]
    );
}

#[test]
fn a_preview_shows_what_would_be_guaranteed() {
    let before = after(&policy(100.0), &[50, 50]);
    assert_eq!(before.fleet.lower_bound, 0.0);
    let asked = reserving(10.0, 100.0);
    let seen = preview(&before, &asked);
    assert_eq!(
        (seen.services[0].instances, seen.services[0].lower_bound),
        (50.0, 0.09)
    );
    assert!((seen.fleet.lower_bound_cost / 8.55 - 1.0).abs() < 0.01);
    let spent = seen.fleet.expected_sampled;
    assert!((99.9..=100.0 + 1e-9).contains(&spent), "{spent}");
    // A bound that fits stays, and a reserve that is withdrawn applies at once.
    assert_eq!(
        preview(&seen, &reserving(11.0, 100.0)).fleet.lower_bound,
        0.09
    );
    let without = preview(&seen, &policy(100.0)).fleet;
    assert_eq!((without.lower_bound, without.lower_bound_cost), (0.0, 0.0));
}

#[test]
fn a_reserve_above_the_budget_is_the_budget() {
    let plan = after(&reserving(1e9, 100.0), &[50, 50]);
    assert_eq!(plan.fleet.lower_bound, 0.9);
    assert!(plan.fleet.lower_bound_cost <= 100.0);
    assert!(plan.fleet.expected_sampled <= 100.0 * (1.0 + 1e-9));
    assert!(plan.fleet.expected_sampled >= 99.0);
}

#[test]
fn so_many_instances_that_each_would_keep_next_to_nothing_are_guaranteed_nothing() {
    let plan = after(&reserving(10.0, 100.0), &[1_000_000]);
    assert_eq!(plan.services[0].instances, 1_000_000.0);
    assert_eq!(
        (plan.fleet.lower_bound, plan.fleet.lower_bound_cost),
        (0.0, 0.0)
    );
    assert!(plan.fleet.expected_sampled > 99.9);
    // Sums that saturate are huge, but nothing worse.
    let policy = reserving(10.0, 100.0);
    let absurd = WindowCounts {
        services: vec![
            ServiceCount {
                instance_milliseconds: u64::MAX,
                ..seen(0)
            };
            3
        ],
        ..minute(0, 0)
    };
    let plan = next(&Plan::genesis(&policy), &policy, &absurd);
    assert!(plan.services[0].instances <= 1e15 && plan.fleet.lower_bound == 0.0);
}
