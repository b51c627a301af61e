//! Groups, and the numbers behind each operation's probability.

use weir::allocation::{
    Binding, Bounds, Group, GroupName, OperationCount, OperationId, Plan, Policy, Priority, Reason,
    ServiceId, ServicePolicy, Source, Whole, preview,
};

use super::fleet::{again, agent, count, counts, hear, next, policy};

const SHOP: ServiceId = ServiceId(1);
const BATCH: ServiceId = ServiceId(2);

/// Counts of a minute: of the shop, and of the batch service with ids from 100 on.
fn window(number: i64, shop: &[u64], batch: &[u64]) -> weir::allocation::WindowCounts {
    let mut operations: Vec<OperationCount> =
        (1..).zip(shop).map(|(id, n)| count(id, *n)).collect();
    operations.extend((100..).zip(batch).map(|(id, n)| OperationCount {
        service: BATCH,
        ..count(id, *n)
    }));
    let offered: u64 = operations.iter().map(|count| count.offered).sum();
    let agents = vec![agent(1, offered / 2), agent(2, offered - offered / 2)];
    counts(number, operations, agents)
}

/// The plans before and two windows after traffic fell to a tenth, with one of the two agents silent.
fn held_back(policy: &Policy) -> (Plan, Plan) {
    let busy = |number| window(number, &[600_000; 3], &[]);
    let first = next(&Plan::genesis(policy), policy, &busy(0));
    let before = again(&first, policy, &busy(0), &busy(1));
    let half = |number| {
        let mut half = window(number, &[30_000; 3], &[]);
        hear(&mut half, &[agent(1, 90_000)]);
        half
    };
    let fallen = again(&before, policy, &busy(1), &half(2));
    (before, again(&fallen, policy, &half(2), &half(3)))
}

fn first(policy: &Policy, shop: &[u64], batch: &[u64]) -> Plan {
    next(&Plan::genesis(policy), policy, &window(0, shop, batch))
}

/// A budget with a group around the batch service.
fn grouped(budget: f64, whole: Whole) -> Policy {
    let name = GroupName::parse("batch").expect("is a name");
    let mut policy = policy(budget);
    policy.groups.push(Group {
        name: name.clone(),
        whole,
    });
    let service = ServicePolicy {
        group: Some(name),
        ..ServicePolicy::default()
    };
    policy.services.insert(BATCH, service);
    policy
}

fn sampled(plan: &Plan, service: ServiceId) -> f64 {
    let of = plan.operations.iter().filter(|of| of.service == service);
    of.map(|of| of.share).sum()
}

fn reason(plan: &Plan, operation: u32) -> (Binding, Reason) {
    let of = plan.operations.iter();
    let found = of
        .clone()
        .find(|of| of.operation == OperationId(operation))
        .expect("is listed");
    (found.binding, found.reason)
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-6 * b.abs()
}

#[test]
fn a_groups_cap_holds_and_says_so() {
    let capped = Whole {
        cap: 1.0,
        ..Whole::default()
    };
    let plan = first(&grouped(10.0, capped), &[6_000, 6_000], &[6_000, 6_000]);
    assert!(close(sampled(&plan, BATCH), 1.0));
    assert!(close(sampled(&plan, SHOP), 9.0));
    let (binding, of_batch) = reason(&plan, 100);
    assert_eq!((binding, of_batch.source), (Binding::Level, Source::Group));
    assert!(close(f64::from(of_batch.bound), 0.5));
    assert_eq!(reason(&plan, 1).1.source, Source::Fleet);
    let group = &plan.groups[0];
    assert_eq!(group.name.as_str(), "batch");
    assert!(close(group.sampled, 1.0) && close(group.offered, 200.0));
    assert!(close(group.level, 0.5) && close(plan.fleet.level, 4.5));
    assert!(close(plan.level(BATCH), 0.5) && close(plan.level(SHOP), 4.5));
    let group = |service| plan.service(service).and_then(|of| of.group);
    assert_eq!((group(BATCH), group(SHOP)), (Some(0), None));
    // Unlisted operations get no more than listed ones.
    assert!(plan.default_probability(BATCH) <= 0.5 / 100.0);
}

#[test]
fn what_a_group_leaves_is_lent_and_comes_back_with_its_demand() {
    let guaranteed = Whole {
        floor: 6.0,
        ..Whole::default()
    };
    let policy = grouped(10.0, guaranteed);
    let busy = first(&policy, &[60_000; 6], &[60_000]);
    assert!(close(sampled(&busy, BATCH), 6.0));
    assert_eq!(reason(&busy, 100).1.source, Source::Group);
    let quiet = first(&policy, &[60_000; 6], &[60]);
    assert!(close(sampled(&quiet, BATCH), 1.0));
    assert!(close(sampled(&quiet, SHOP), 9.0));
    // Its probability never fell, so its share is back as soon as its demand is.
    let back = next(&quiet, &policy, &window(1, &[60_000; 6], &[60_000]));
    assert!(close(sampled(&back, BATCH), 6.0));
    assert!(close(sampled(&back, SHOP), 4.0));
}

#[test]
fn a_service_in_a_group_has_a_cap_of_its_own_and_pins_count() {
    let mut policy = grouped(10.0, Whole::default());
    policy.groups[0].whole.cap = 4.0;
    let service = policy.services.get_mut(&BATCH).expect("is there");
    service.whole.cap = 3.0;
    let pin = Bounds {
        pin: Some(0.02),
        ..Bounds::default()
    };
    policy.operations.insert(OperationId(100), pin);
    let plan = first(&policy, &[6_000], &[6_000, 6_000]);
    // The pin takes 2 of the service's 3.
    assert!(close(sampled(&plan, BATCH), 3.0));
    assert!(close(plan.operations[2].share, 1.0));
    let (binding, pinned) = reason(&plan, 100);
    assert_eq!((binding, pinned.source), (Binding::Pin, Source::Operation));
    assert!(close(f64::from(pinned.bound), 0.02));
    let (binding, other) = reason(&plan, 101);
    assert_eq!((binding, other.source), (Binding::Level, Source::Service));
}

#[test]
fn what_stays_for_its_closeness_keeps_the_groups_cap() {
    let capped = Whole {
        cap: 1.0,
        ..Whole::default()
    };
    let policy = grouped(10.0, capped);
    let mut plan = first(&policy, &[6_000; 40], &[6_000; 40]);
    for number in 1..20 {
        // A little more and a little less of each, by turns.
        let scattered = |seed: u64| -> Vec<u64> {
            (0..40_u64)
                .map(|id| 6_000 + (id * 7919 + seed * 104_729 + number as u64 * 15_485_863) % 900)
                .collect()
        };
        plan = next(
            &plan,
            &policy,
            &window(number, &scattered(1), &scattered(2)),
        );
        let stayed = plan.operations.iter();
        let stayed = stayed.filter(|of| of.service == BATCH && of.binding == Binding::Deadband);
        assert!(stayed.count() > 10);
        assert!(sampled(&plan, BATCH) <= 1.0 + 1e-9);
        assert!(sampled(&plan, BATCH) >= 0.99);
    }
}

#[test]
fn every_binding_names_its_number() {
    let mut policy = policy(6.0);
    policy.floor = 0.5;
    let bounds = [
        (
            1,
            Bounds {
                floor: 2.0,
                ..Bounds::default()
            },
        ),
        (
            2,
            Bounds {
                cap: 0.1,
                ..Bounds::default()
            },
        ),
        (
            3,
            Bounds {
                weight: 4.0,
                ..Bounds::default()
            },
        ),
    ];
    policy.operations = bounds
        .into_iter()
        .map(|(id, bounds)| (OperationId(id), bounds))
        .collect();
    let counts = [6_000, 6_000, 6_000, 6_000, 6];
    let plan = first(&policy, &counts, &[]);
    let said = |operation| {
        let (binding, reason) = reason(&plan, operation);
        (binding, reason.source, reason.bound)
    };
    assert_eq!(said(1), (Binding::Floor, Source::Operation, 2.0));
    assert_eq!(said(2), (Binding::Cap, Source::Operation, 0.001));
    let level = plan.fleet.level as f32;
    assert_eq!(said(3), (Binding::Level, Source::Fleet, level));
    assert_eq!(reason(&plan, 3).1.weight, 4.0);
    assert_eq!(said(4).0, Binding::Level);
    assert_eq!(said(5), (Binding::ProbabilityOne, Source::Fleet, 1.0));

    // A budget too small for the level to reach the fleet's floor.
    policy.budget = 3.7;
    let plan = first(&policy, &counts, &[]);
    let (binding, of) = reason(&plan, 4);
    assert_eq!((binding, of.source), (Binding::Floor, Source::Fleet));
    assert_eq!(of.bound, 0.5);
    assert!(close(f64::from(of.target), plan.operations[3].probability));
}

#[test]
fn what_is_held_back_says_where_it_goes() {
    let policy = policy(6.0);
    let (before, plan) = held_back(&policy);
    let (binding, of) = reason(&plan, 1);
    assert_eq!(binding, Binding::RaiseLimit);
    assert!(close(
        f64::from(of.bound),
        2.0 * before.operations[0].probability
    ));
    assert!(of.target > of.bound);
    // No agent reported: everything stays, including the reasons.
    let frozen = next(&plan, &policy, &super::fleet::counts(4, vec![], vec![]));
    let (binding, held) = reason(&frozen, 1);
    assert_eq!(binding, Binding::Hold);
    assert_eq!(held.target, of.target);
    assert!(close(f64::from(held.bound), plan.operations[0].probability));
}

#[test]
fn where_all_are_held_back_their_targets_are_what_the_budget_allows() {
    let policy = policy(6.0);
    let (_, plan) = held_back(&policy);
    assert_eq!(reason(&plan, 1).0, Binding::RaiseLimit);
    assert!(plan.fleet.level.is_infinite(), "all of them are held back");
    for number in 1..=3 {
        let target = f64::from(reason(&plan, number).1.target);
        assert!((target / 0.002 - 1.0).abs() < 0.05, "{target}");
    }
}

#[test]
fn a_preview_is_where_plans_settle() {
    let mut policy = policy(0.06);
    let counts = [60_000, 6_000, 600, 30];
    let mut plan = first(&policy, &counts, &[]);
    policy.budget = 6.0;
    policy.revision = 2;
    let pin = Bounds {
        pin: Some(0.1),
        ..Bounds::default()
    };
    policy.operations.insert(OperationId(3), pin);
    let seen = preview(&plan, &policy);
    assert_eq!((seen.number, seen.configuration_revision), (plan.number, 2));
    assert!(
        seen.operations
            .iter()
            .all(|of| of.binding != Binding::RaiseLimit)
    );
    for number in 1..12 {
        plan = next(&plan, &policy, &window(number, &counts, &[]));
    }
    let predicted = seen.fleet.expected_sampled;
    assert!((plan.fleet.expected_sampled / predicted - 1.0).abs() < 0.01);
    for (seen, settled) in seen.operations.iter().zip(&plan.operations) {
        let off = settled.probability / seen.probability - 1.0;
        assert!(off.abs() < 0.1, "{seen:?} {settled:?}");
    }
    assert_eq!(preview(&plan, &policy), preview(&plan, &policy));
}

#[test]
fn nothing_huge_falls_under_the_fleets_least_probability() {
    let mut policy = policy(10.0);
    policy.probability_min = 0.001;
    let plan = first(&policy, &[300_000, 6_000, 6_000], &[]);
    let (binding, of) = reason(&plan, 1);
    assert_eq!((binding, of.source), (Binding::Floor, Source::Fleet));
    assert!(plan.operations[0].probability >= 0.001);
    assert!(close(f64::from(of.bound), 5.0), "{of:?}");
}

#[test]
fn what_floors_miss_is_told_before_raises_have_come_there() {
    let mut policy = policy(6.0);
    policy.floor = 4.0;
    let (_, plan) = held_back(&policy);
    assert_eq!(reason(&plan, 1).0, Binding::RaiseLimit);
    assert!(close(plan.fleet.missing, 6.0), "{}", plan.fleet.missing);
}

#[test]
fn floors_go_by_priority_where_they_do_not_fit() {
    let mut policy = policy(6.0);
    for (id, priority) in [(1, 9), (2, 0), (3, 5)] {
        let bounds = Bounds {
            floor: 4.0,
            priority: Priority::new(priority),
            ..Bounds::default()
        };
        policy.operations.insert(OperationId(id), bounds);
    }
    let plan = first(&policy, &[6_000, 6_000, 6_000], &[]);
    let shares: Vec<f64> = plan.operations.iter().map(|of| of.share).collect();
    assert!(close(shares[0], 4.0) && shares[1] == 0.0 && close(shares[2], 2.0));
    assert!(close(plan.fleet.missing, 6.0));
    assert_eq!(reason(&plan, 2).0, Binding::Floor);
    assert_eq!(reason(&plan, 2).1.bound, 4.0);
}
