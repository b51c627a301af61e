//! The classes of an operation: the floor and the cap that they share, and those of their classes.

use proptest::prelude::*;
use weir::allocation::nested::Node;
use weir::allocation::solve::{Entry, solve_nested};
use weir::allocation::{
    Binding, Bounds, Class, ClassEntry, OperationId, OperationPlan, Plan, Policy, ServiceId,
    ServicePolicy, SharedBounds, Source, Whole, preview,
};

use super::fleet::{agent, count, counts, next, policy};

const SHOP: ServiceId = ServiceId(1);

/// The entry of a class of one of the shop's operations.
fn entry(operation: u32, class: Class) -> OperationId {
    OperationId(1 + 4 * operation + class as u32)
}

/// The shop with this number of operations: errors are kept whole, and all of them have a cap together.
fn shop(budget: f64, operations: u32, errors: f64) -> Policy {
    let mut policy = policy(budget);
    let mut classes = [Whole::default(); Class::ALL.len()];
    classes[Class::Error as usize].cap = errors;
    let service = ServicePolicy {
        classes,
        ..ServicePolicy::default()
    };
    policy.services.insert(SHOP, service);
    for operation in 0..operations {
        for class in Class::ALL {
            let bounds = Bounds {
                probability_min: if class == Class::Error { 1.0 } else { 0.0 },
                ..Bounds::default()
            };
            let entry = entry(operation, class);
            policy.operations.insert(entry, bounds);
            let of = ClassEntry {
                service: SHOP,
                operation: OperationId(1 + 4 * operation),
                class,
            };
            policy.classes.insert(entry, of);
        }
    }
    policy
}

/// Gives an operation a floor and a cap, as its own settings do.
fn bounded(mut policy: Policy, operation: u32, floor: f64, cap: f64) -> Policy {
    let entries = Class::ALL.map(|class| entry(operation, class));
    for entry in entries {
        let bounds = policy.operations.get_mut(&entry).unwrap();
        (bounds.floor, bounds.cap) = (floor, cap);
    }
    let entries = entries.to_vec();
    policy.shared_bounds.push(SharedBounds {
        floor,
        cap,
        entries,
    });
    policy
}

fn capped(policy: Policy, operation: u32, cap: f64) -> Policy {
    bounded(policy, operation, 0.0, cap)
}

/// The plan of requests per second, by operation and class.
fn plan(policy: &Policy, offered: &[(u32, Class, u64)]) -> Plan {
    let operations = offered.iter();
    let operations = operations
        .map(|(operation, class, per_second)| count(entry(*operation, *class).0, 60 * per_second));
    let sum: u64 = offered
        .iter()
        .map(|(_, _, per_second)| 60 * per_second)
        .sum();
    let window = counts(0, operations.collect(), vec![agent(1, sum)]);
    next(&Plan::genesis(policy), policy, &window)
}

fn of(plan: &Plan, operation: u32, class: Class) -> OperationPlan {
    let id = entry(operation, class);
    *plan
        .operations
        .iter()
        .find(|of| of.operation == id)
        .unwrap()
}

fn share(plan: &Plan, operation: u32) -> f64 {
    let classes = Class::ALL.map(|class| entry(operation, class));
    let known = plan.operations.iter();
    let known = known.filter(|of| classes.contains(&of.operation));
    known.map(|of| of.share).sum()
}

fn close(a: f64, b: f64) -> bool {
    (a - b).abs() <= 1e-9 * b.abs()
}

const OFFERED: [(u32, Class, u64); 4] = [
    (0, Class::Error, 10),
    (0, Class::Rest, 1_000),
    (1, Class::Error, 1),
    (1, Class::Rest, 500),
];

#[test]
fn the_classes_of_an_operation_share_its_cap() {
    let policy = capped(shop(100.0, 2, 50.0), 0, 12.0);
    let first = plan(&policy, &OFFERED);
    assert!(close(share(&first, 0), 12.0), "{}", share(&first, 0));
    // Errors are kept whole, and the rest has what they leave; nobody else pays.
    assert_eq!(of(&first, 0, Class::Error).probability, 1.0);
    let rest = of(&first, 0, Class::Rest);
    assert!(close(rest.share, 2.0));
    assert_eq!(
        (rest.binding, rest.reason.source),
        (Binding::Cap, Source::Operation)
    );
    assert!(close(share(&first, 1), 88.0));
    // The preview says the same.
    let previewed = preview(&first, &policy);
    assert!(close(share(&previewed, 0), 12.0));
    assert_eq!(of(&previewed, 0, Class::Rest).binding, Binding::Cap);
}

#[test]
fn errors_beyond_the_cap_are_thinned_and_what_they_leave_of_their_class_goes_to_others() {
    let policy = capped(shop(100.0, 2, 8.0), 0, 5.0);
    let offered = [
        (0, Class::Error, 100),
        (0, Class::Rest, 1_000),
        (1, Class::Error, 3),
    ];
    let thinned = plan(&policy, &offered);
    assert!(share(&thinned, 0) <= 5.0 * (1.0 + 1e-9));
    assert!(of(&thinned, 0, Class::Error).probability <= 0.05);
    assert_eq!(of(&thinned, 1, Class::Error).probability, 1.0);
    // Where the cap of the class is the lower one, the rest of the operation has what it leaves.
    let policy = capped(shop(100.0, 2, 4.0), 0, 10.0);
    let by_class = plan(&policy, &offered);
    assert!(of(&by_class, 0, Class::Error).share <= 4.0);
    assert!(of(&by_class, 0, Class::Rest).share >= 6.0 * (1.0 - 1e-9));
    assert!(share(&by_class, 0) <= 10.0 * (1.0 + 1e-9));
}

#[test]
fn what_edges_held_to_the_cap_of_an_operation_was_not_due() {
    let policy = capped(shop(1_000.0, 2, f64::INFINITY), 0, 10.0);
    let window = |number, storm: u64| {
        let operations = [
            (0, Class::Error, 1),
            (0, Class::Rest, 100 * storm),
            (1, Class::Rest, 100),
        ];
        let counted = operations.map(|(operation, class, per_second)| {
            count(entry(operation, class).0, 60 * per_second)
        });
        let sum = 60 * (101 + 100 * storm);
        counts(number, counted.to_vec(), vec![agent(1, sum)])
    };
    let mut plan = Plan::genesis(&policy);
    for number in 0..3 {
        plan = next(&plan, &policy, &window(number, 1));
    }
    let shares = [share(&plan, 0), share(&plan, 1)];
    assert!(
        shares[0] <= 10.0 * (1.0 + 1e-9) && shares[1] > 90.0,
        "{shares:?}"
    );
    // A hundred times as many come as the plan has foreseen, and edges keep no more.
    let plan = next(&plan, &policy, &window(3, 100));
    let due = plan.figures.due_sampled;
    assert!((95.0..112.0).contains(&due), "{due}");
}

#[test]
fn a_fixed_probability_takes_precedence_over_the_cap() {
    let mut policy = capped(shop(100.0, 2, 50.0), 0, 12.0);
    for class in Class::ALL {
        policy.operations.get_mut(&entry(0, class)).unwrap().pin = Some(0.05);
    }
    let fixed = plan(&policy, &OFFERED);
    assert!(close(share(&fixed, 0), 0.05 * 1_010.0));
}

#[test]
fn the_classes_of_an_operation_share_its_floor() {
    let policy = bounded(shop(20.0, 2, 50.0), 0, 16.0, f64::INFINITY);
    let offered = [
        (0, Class::Slow, 100),
        (0, Class::Rest, 1_000),
        (1, Class::Slow, 500),
        (1, Class::Rest, 500),
    ];
    let first = plan(&policy, &offered);
    assert!(close(share(&first, 0), 16.0), "{}", share(&first, 0));
    assert_eq!(first.fleet.missing, 0.0);
    let rest = of(&first, 0, Class::Rest);
    assert!(close(rest.share, 8.0), "{rest:?}");
    assert_eq!(
        (rest.binding, rest.reason.source),
        (Binding::Floor, Source::Operation)
    );
    let previewed = preview(&first, &policy);
    assert!(close(share(&previewed, 0), 16.0));
    // A class that has less leaves more of it to the others.
    let offered = [
        (0, Class::Slow, 3),
        (0, Class::Rest, 1_000),
        (1, Class::Rest, 500),
    ];
    let first = plan(&policy, &offered);
    assert!(close(of(&first, 0, Class::Rest).share, 13.0), "{first:?}");
    // What is kept in any case counts.
    let offered = [
        (0, Class::Error, 9),
        (0, Class::Rest, 1_000),
        (1, Class::Rest, 500),
    ];
    let first = plan(&policy, &offered);
    assert_eq!(of(&first, 0, Class::Error).probability, 1.0);
    assert!(close(share(&first, 0), 16.0), "{first:?}");
}

#[test]
fn the_fleets_floor_is_shared_as_well() {
    let mut policy = bounded(shop(24.0, 2, 50.0), 0, 0.0, f64::INFINITY);
    policy.floor = 12.0;
    let offered = [
        (0, Class::Slow, 100),
        (0, Class::Rest, 1_000),
        (2, Class::Rest, 900),
    ];
    let first = plan(&policy, &offered);
    assert!(close(of(&first, 0, Class::Rest).share, 6.0), "{first:?}");
    assert_eq!(of(&first, 0, Class::Rest).reason.source, Source::Fleet);
}

#[test]
fn a_floor_that_the_cap_of_a_class_forbids_is_not_missing() {
    // Errors are kept whole, under the cap of their class.
    let policy = shop(50.0, 2, 8.0);
    let stormy = [(0, Class::Error, 100), (0, Class::Rest, 1_000)];
    let first = plan(&policy, &stormy);
    assert_eq!(first.fleet.missing, 0.0);
    assert!(close(of(&first, 0, Class::Error).share, 8.0), "{first:?}");
    // The other classes have what the cap leaves of an operation's floor.
    let policy = bounded(shop(30.0, 2, 4.0), 0, 20.0, f64::INFINITY);
    let stormy = [
        (0, Class::Error, 100),
        (0, Class::Rest, 1_000),
        (1, Class::Rest, 900),
    ];
    let first = plan(&policy, &stormy);
    assert!(close(of(&first, 0, Class::Error).share, 4.0), "{first:?}");
    assert!(close(of(&first, 0, Class::Rest).share, 16.0), "{first:?}");
    assert_eq!(first.fleet.missing, 0.0);
    // What really does not fit is missing.
    let policy = bounded(shop(15.0, 2, 4.0), 0, 20.0, f64::INFINITY);
    assert!(close(plan(&policy, &stormy).fleet.missing, 5.0));
}

fn any_offered() -> impl Strategy<Value = Vec<(u32, Class, u64)>> {
    let rates = prop::collection::vec(prop_oneof![Just(0), 1..20_u64, 100..50_000_u64], 12);
    rates.prop_map(|rates| {
        let all = (0..3).flat_map(|operation| Class::ALL.map(|class| (operation, class)));
        let all = all
            .zip(rates)
            .map(|((operation, class), rate)| (operation, class, rate));
        all.filter(|(_, _, rate)| *rate > 0).collect()
    })
}

/// What an entry of a plan shares as, where operations have nodes and classes have none.
fn shared_as(of: &OperationPlan, policy: &Policy) -> Entry {
    let presence = of.offered / of.belief.rate;
    let bounds = policy.operations[&of.operation];
    Entry {
        demand: of.offered,
        weight: presence * bounds.weight,
        floor: of.offered * bounds.probability_min,
        ..Entry::default()
    }
}

proptest! {
    /// Without caps of classes, operations are a tree, which the solver solves exactly.
    #[test]
    fn shared_bounds_are_those_of_a_node_for_each_operation(
        offered in any_offered(),
        bounds in prop::collection::vec((0.0..40.0_f64, 0.0..200.0_f64), 3),
        whole in prop::bool::ANY,
        budget in 1.0..500.0_f64,
    ) {
        let mut policy = shop(budget, 3, f64::INFINITY);
        let mut nodes = vec![Node::default()];
        for (operation, (floor, cap)) in (0..).zip(bounds) {
            policy = bounded(policy, operation, floor.min(cap), cap);
            nodes.push(Node { parent: 0, floor: floor.min(cap), cap });
        }
        if !whole {
            policy.operations.values_mut().for_each(|of| of.probability_min = 0.0);
        }
        let plan = preview(&plan(&policy, &offered), &policy);
        let known: Vec<&OperationPlan> = plan.operations.iter().collect();
        let presence = known.iter().map(|of| of.offered / of.belief.rate);
        prop_assert!(presence.clone().all(|part| (part - 1.0).abs() < 1e-6), "all are there");
        let entries: Vec<Entry> = known.iter().map(|of| shared_as(of, &policy)).collect();
        let homes: Vec<u32> = known.iter().map(|of| 1 + (of.operation.0 - 1) / 4).collect();
        let spent = known.iter().map(|of| of.share).sum();
        let solution = solve_nested(&entries, &homes, &nodes, spent);
        for (of, share) in known.iter().zip(solution.shares) {
            prop_assert!((of.share - share).abs() <= 1e-6 * (1.0 + share), "{of:?} is not {share}");
        }
    }

    /// Where all floors fit, none is missed, whatever the caps of classes leave; and none costs more than once.
    #[test]
    fn floors_are_met_where_classes_allow_it(
        offered in any_offered(),
        floors in prop::collection::vec(0.0..40.0_f64, 3),
        errors in 0.0..60.0_f64,
    ) {
        let mut policy = shop(200.0, 3, errors);
        for (operation, floor) in (0..).zip(&floors) {
            policy = bounded(policy, operation, *floor, f64::INFINITY);
        }
        let plan = preview(&plan(&policy, &offered), &policy);
        prop_assert!(plan.fleet.missing <= 1e-6, "{}", plan.fleet.missing);
        let of_class = |operation: u32, is_error: bool| -> f64 {
            let entries = Class::ALL.into_iter().filter(|class| (*class == Class::Error) == is_error);
            let ids: Vec<OperationId> = entries.map(|class| entry(operation, class)).collect();
            let known = plan.operations.iter().filter(|of| ids.contains(&of.operation));
            known.map(|of| of.offered).sum()
        };
        for (operation, floor) in (0..).zip(&floors) {
            let kept = share(&plan, operation);
            // Whatever the errors get, what the other classes have counts in full.
            let least = floor.min(of_class(operation, false));
            prop_assert!(kept >= least * (1.0 - 1e-6), "{kept} of {least}: {:?}", plan.operations);
        }
    }

    #[test]
    fn no_cap_is_exceeded_and_none_of_the_budget(
        offered in any_offered(),
        caps in prop::collection::vec(0.0..200.0_f64, 3),
        errors in 0.0..100.0_f64,
        floor in 0.0..20.0_f64,
        budget in 1.0..500.0_f64,
    ) {
        let mut policy = shop(budget, 3, errors);
        policy.floor = floor;
        for (operation, cap) in (0..).zip(&caps) {
            policy = capped(policy, operation, *cap);
        }
        for plan in [plan(&policy, &offered), preview(&plan(&policy, &offered), &policy)] {
            for (operation, cap) in (0..).zip(&caps) {
                prop_assert!(share(&plan, operation) <= cap * (1.0 + 1e-9), "{:?}", plan.operations);
            }
            let of_errors = (0..3).flat_map(|operation| {
                let id = entry(operation, Class::Error);
                plan.operations.iter().filter(move |of| of.operation == id)
            });
            prop_assert!(of_errors.map(|of| of.share).sum::<f64>() <= errors * (1.0 + 1e-9));
            let all: f64 = (0..3).map(|operation| share(&plan, operation)).sum();
            prop_assert!(all <= budget * (1.0 + 1e-9));
        }
    }
}
