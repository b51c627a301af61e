//! The smallest fleets and extreme values.

use proptest::prelude::*;
use weir::allocation::{
    AgentCount, AgentId, Binding, Bounds, Group, GroupName, Hold, Inputs, OperationCount,
    OperationId, OperationPlan, Plan, Policy, Priority, ServiceCount, ServiceId, ServicePolicy,
    Timestamp, Whole, Window, WindowCounts, next_plan,
};

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
    // A little less than 0.05: one count is an uncertain estimate, and 1/estimate is above 1/mean.
    assert!(operation.probability < 0.05 && operation.probability > 0.048);
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

#[test]
fn a_zero_budget_keeps_nothing() {
    let policy = policy(0.0);
    assert_eq!(Plan::genesis(&policy).fleet.default_probability, 0.0);
    let window = counts(0, vec![count(7, 60_000)], vec![agent(1, 60_000)]);
    let plan = next(&Plan::genesis(&policy), &policy, &window);
    assert_eq!(plan.operations[0].probability, 0.0);
    assert_eq!(plan.services[0].default_probability, 0.0);
    assert_eq!(plan.fleet.default_probability, 0.0);
}

#[test]
fn a_window_without_length_says_nothing() {
    let policy = policy(50.0);
    let window = counts(0, vec![count(7, 60_000)], vec![agent(1, 60_000)]);
    let plan = next(&Plan::genesis(&policy), &policy, &window);
    let mut empty = counts(1, vec![count(7, 10), count(8, 10)], vec![agent(1, 20)]);
    empty.window.end = empty.window.start;
    let after = next(&plan, &policy, &empty);
    assert_eq!(after.fleet.hold, Hold::Frozen);
    assert_eq!(after.operations.len(), 1);
    assert_eq!(
        after.operations[0].probability,
        plan.operations[0].probability
    );
    assert_eq!(after.fleet.observed_offered, 0.0);
}

#[test]
fn the_fleets_figures_stand_in_the_plan() {
    let policy = policy(50.0);
    let mut kept = count(7, 60_000);
    kept.sampled = 600;
    let window = counts(0, vec![kept], vec![agent(1, 60_000)]);
    let plan = next(&Plan::genesis(&policy), &policy, &window);
    let again = next(
        &plan,
        &policy,
        &counts(1, vec![kept], vec![agent(1, 60_000)]),
    );
    assert_eq!(again.number, 2);
    assert_eq!(again.configuration_revision, 1);
    assert_eq!(again.fleet.budget, 50.0);
    assert_eq!(again.fleet.observed_offered, 1_000.0);
    assert_eq!(again.fleet.observed_sampled, 10.0);
    assert_eq!(again.fleet.forecast_offered, 1_000.0);
    assert_eq!(again.fleet.offered, 1_000.0);
    assert_eq!(again.operations[0].window_sampled, 600);
    assert_eq!(again.agents[0].offered, 1_000.0);
}

/// Numbers of all kinds, often absurd ones.
fn number() -> impl Strategy<Value = f64> {
    prop_oneof![
        any::<f64>(),
        0.0..1.0f64,
        0.0..1e4f64,
        Just(f64::NAN),
        Just(f64::INFINITY),
        Just(-1.0),
        Just(0.0),
    ]
}

fn big() -> impl Strategy<Value = u64> {
    prop_oneof![any::<u64>(), 0..10_000u64, Just(u64::MAX), Just(0)]
}

fn bounds() -> impl Strategy<Value = Bounds> {
    let values = prop::array::uniform5(number());
    (values, any::<u8>(), prop::option::of(number())).prop_map(|(values, priority, pin)| {
        let [weight, floor, probability_min, cap, probability_max] = values;
        Bounds {
            weight,
            floor,
            probability_min,
            cap,
            probability_max,
            priority: Priority::new(priority),
            pin,
        }
    })
}

fn whole() -> impl Strategy<Value = Whole> {
    let asked = (number(), number()).prop_map(|(floor, cap)| Whole { floor, cap });
    prop_oneof![Just(Whole::default()), asked]
}

fn group_name(number: u8) -> GroupName {
    GroupName::parse(&format!("group-{number}")).expect("is a name")
}

fn service() -> impl Strategy<Value = ServicePolicy> {
    // One more than there are: a policy may have a group that no service uses.
    let group = prop::option::of((0..4u8).prop_map(group_name));
    (group, whole(), bounds()).prop_map(|(group, whole, each)| ServicePolicy { group, whole, each })
}

fn groups() -> impl Strategy<Value = Vec<Group>> {
    prop::collection::vec(whole(), 0..3).prop_map(|wholes| {
        let group = |(number, whole)| Group {
            name: group_name(number),
            whole,
        };
        (0..).zip(wholes).map(group).collect()
    })
}

fn any_policy() -> impl Strategy<Value = Policy> {
    let services = prop::collection::btree_map(0..6u32, service(), 0..4);
    let operations = prop::collection::btree_map(0..6u32, bounds(), 0..4);
    let numbers = prop::array::uniform7(number());
    (numbers, groups(), services, operations).prop_map(
        |(
            [budget, exponent, initial, reserve, floor, least, guaranteed],
            groups,
            services,
            operations,
        )| {
            Policy {
                weight_exponent: exponent,
                initial_probability: initial,
                unseen_reserve_max: reserve,
                floor,
                probability_min: least,
                lower_bound_reserve: guaranteed,
                groups,
                services: services
                    .into_iter()
                    .map(|(id, service)| (ServiceId(id), service))
                    .collect(),
                operations: operations
                    .into_iter()
                    .map(|(id, b)| (OperationId(id), b))
                    .collect(),
                ..policy(budget)
            }
        },
    )
}

/// Windows with operations with six ids, each in its own service or twice in one.
fn any_window() -> impl Strategy<Value = WindowCounts> {
    let operation = (0..6u32, big(), big()).prop_map(|(id, offered, sampled)| OperationCount {
        operation: OperationId(id),
        service: ServiceId(id / 3),
        overflow: id % 3 == 0,
        offered,
        sampled,
    });
    let agent = (0..4u64, big(), any::<i64>()).prop_map(|(id, offered, covered)| AgentCount {
        agent: AgentId(id),
        offered,
        covered_milliseconds: covered,
    });
    let service = (0..3u32, big()).prop_map(|(id, instance_milliseconds)| ServiceCount {
        service: ServiceId(id),
        instance_milliseconds,
    });
    let instant = || prop_oneof![any::<i64>(), 0..100_000i64];
    (
        (instant(), instant()),
        prop::collection::vec(operation, 0..10),
        prop::collection::vec(service, 0..4),
        prop::collection::vec(agent, 0..6),
    )
        .prop_map(
            |((start, end), operations, services, agents)| WindowCounts {
                window: Window {
                    start: Timestamp(start),
                    end: Timestamp(end),
                },
                operations,
                services,
                agents,
            },
        )
}

fn probabilities(plan: &Plan) -> Vec<f64> {
    let listed = plan.operations.iter().map(|plan| plan.probability);
    let defaults = plan.services.iter().map(|plan| plan.default_probability);
    let mut all: Vec<f64> = listed.chain(defaults).collect();
    all.push(plan.fleet.default_probability);
    all
}

/// The traces per second of the lower bound if every instance has enough requests of every
/// operation.
fn most_guaranteed(plan: &Plan) -> f64 {
    let named = plan.operations.iter().filter(|plan| !plan.overflow);
    let of_service = |id| plan.services.iter().find(|plan| plan.service == id);
    named
        .filter_map(|operation| of_service(operation.service))
        .map(|service| service.instances * service.lower_bound)
        .sum()
}

/// A named operation whose probability rose more than a hold, silence or doubling allows.
fn raised_too_far(parent: &Plan, plan: &Plan) -> Option<OperationId> {
    let raised = |new: &&OperationPlan| {
        let listed = parent.operations.iter();
        let old = listed.clone().find(|old| old.operation == new.operation);
        old.is_some_and(|old| {
            // An empty window of a rare operation is an ordinary count.
            let silent = new.window_offered == 0 && new.belief.presence < 0.5;
            let silent = silent || plan.fleet.hold != Hold::None;
            let most = match old.probability {
                served if silent => served,
                0.0..1e-9 => 0.5,
                served => 2.0 * served,
            };
            new.probability > most
        })
    };
    let named = plan.operations.iter();
    let mut named = named.filter(|new| !new.overflow && new.binding != Binding::Pin);
    named.find(raised).map(|new| new.operation)
}

/// The plan as text, with every digit; NaN equals itself there.
fn text(plan: &Plan) -> String {
    format!("{plan:?}")
}

proptest! {
    #[test]
    fn whatever_comes_probabilities_are_probabilities(
        policies in prop::collection::vec(any_policy(), 1..5),
        windows in prop::collection::vec(any_window(), 1..8),
    ) {
        let mut plan = Plan::genesis(&policies[0]);
        let mut before: Option<&WindowCounts> = None;
        for (index, window) in windows.iter().enumerate() {
            let policy = &policies[index % policies.len()];
            let inputs = Inputs { corrected: before, ..Inputs::new(1, window) };
            let parent = plan;
            plan = next_plan(&parent, policy, inputs);
            let changed = plan.fleet.budget != parent.fleet.budget;
            prop_assert!(changed || raised_too_far(&parent, &plan).is_none());
            prop_assert!(probabilities(&plan).iter().all(|p| (0.0..=1.0).contains(p)));
            prop_assert!(plan.operations.iter().all(|plan| plan.offered.is_finite() && plan.share.is_finite()));
            prop_assert!(plan.operations.is_sorted_by(|a, b| a.operation < b.operation));
            prop_assert!(plan.agents.is_sorted_by(|a, b| a.agent < b.agent));
            if plan.fleet.hold != Hold::Frozen || changed {
                let spent: f64 = plan.operations.iter().map(|plan| plan.share).sum();
                prop_assert!(spent <= plan.fleet.budget * (1.0 + 1e-9));
                prop_assert!(most_guaranteed(&plan) <= plan.fleet.budget * (1.0 + 1e-9));
                // If no probability stayed, what SDKs keep on their own is counted exactly.
                let all = plan.fleet.expected_sampled;
                prop_assert!(!parent.operations.is_empty() || all <= plan.fleet.budget * (1.0 + 1e-9));
            }
            prop_assert!(plan.fleet.lower_bound_cost <= most_guaranteed(&plan) * (1.0 + 1e-9));
            prop_assert!(plan.services.iter().all(|plan| plan.lower_bound >= 0.0 && plan.lower_bound.is_finite()));
            prop_assert!(plan.services.iter().all(|plan| plan.instances >= 0.0 && plan.instances.is_finite()));
            before = Some(window);
        }
    }

    #[test]
    fn unknown_names_alone_never_exceed_the_budget(
        windows in prop::collection::vec(
            prop::collection::vec((0..30u32, 0..100_000u64), 1..30), 1..8,
        ),
        budget in 0.0..1_000.0f64,
    ) {
        let policy = policy(budget);
        let mut plan = Plan::genesis(&policy);
        for (number, window) in windows.iter().enumerate() {
            let operations = window.iter().map(|(id, offered)| OperationCount {
                service: ServiceId(id / 10),
                overflow: id % 10 == 0,
                ..count(*id, *offered)
            });
            plan = next(&plan, &policy, &counts(number as i64, operations.collect(), vec![]));
            if plan.fleet.hold == Hold::Frozen || plan.operations.is_empty() {
                continue;
            }
            let highest = (budget / plan.fleet.offered).min(0.5) * (1.0 + 1e-9);
            for service in &plan.services {
                prop_assert!(service.default_probability <= highest);
            }
            prop_assert!(plan.fleet.default_probability <= highest);
            for entry in plan.operations.iter().filter(|plan| plan.overflow && plan.offered > 1e-4) {
                prop_assert_eq!(entry.probability, plan.default_probability(entry.service));
            }
        }
    }

    #[test]
    fn order_and_splitting_of_counts_do_not_matter(
        (window, shuffled) in any_window().prop_flat_map(|window| {
            let mut split = window.clone();
            split.operations = window.operations.iter().flat_map(|count| {
                let half = OperationCount { offered: count.offered / 2, sampled: count.sampled / 2, ..*count };
                let rest = OperationCount {
                    offered: count.offered - half.offered,
                    sampled: count.sampled - half.sampled,
                    ..*count
                };
                [half, rest]
            }).collect();
            split.services = window.services.iter().flat_map(|seen| {
                let half = ServiceCount { instance_milliseconds: seen.instance_milliseconds / 2, ..*seen };
                let rest = seen.instance_milliseconds - half.instance_milliseconds;
                [half, ServiceCount { instance_milliseconds: rest, ..*seen }]
            }).collect();
            let operations = Just(split.operations.clone()).prop_shuffle();
            let services = Just(split.services.clone()).prop_shuffle();
            let agents = Just(split.agents.clone()).prop_shuffle();
            let lists = (operations, services, agents);
            let shuffled = lists.prop_map(move |(operations, services, agents)| WindowCounts {
                operations, services, agents, ..split.clone()
            });
            (Just(window), shuffled)
        }),
        policy in any_policy(),
    ) {
        let genesis = Plan::genesis(&policy);
        let (plan, other) = (next(&genesis, &policy, &window), next(&genesis, &policy, &shuffled));
        prop_assert_eq!(text(&plan), text(&other));
        let mut later = window.clone();
        later.window.start.0 = window.window.end.0;
        later.window.end.0 = window.window.end.0.saturating_add(60_000);
        let mut later_shuffled = shuffled.clone();
        later_shuffled.window = later.window;
        let with = |corrected| Inputs { corrected: Some(corrected), ..Inputs::new(2, &later) };
        let plan = next_plan(&plan, &policy, with(&window));
        let inputs = Inputs { current: &later_shuffled, ..with(&shuffled) };
        prop_assert_eq!(text(&plan), text(&next_plan(&other, &policy, inputs)));
    }
}
