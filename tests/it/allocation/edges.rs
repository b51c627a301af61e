//! The smallest fleets and extreme values.

use proptest::prelude::*;
use weir::allocation::{
    Binding, Hold, Inputs, OperationCount, OperationId, OperationPlan, Plan, ServiceId, Timestamp,
    Window, WindowCounts, next_plan,
};

use super::anything::{any_policy, any_window, number, shuffled};
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
    assert_eq!(operation.probability, 0.05);
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
    assert_eq!(again.rates[0].rate, 1_000.0);
    assert_eq!(again.fleet.windows_read, 1);
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

/// A named operation whose probability rose more than a hold, silence or missing agents allow.
fn raised_too_far(parent: &Plan, plan: &Plan) -> Option<OperationId> {
    let raised = |new: &&OperationPlan| {
        let listed = parent.operations.iter();
        let old = listed.clone().find(|old| old.operation == new.operation);
        old.is_some_and(|old| {
            // An empty window of a rare operation is an ordinary count.
            let silent = new.window_offered == 0 && new.belief.presence < 0.5;
            let silent = silent || plan.fleet.hold != Hold::None;
            let heard = plan.service(new.service).map_or(1.0, |of| of.heard);
            let most = match old.probability {
                served if silent => served,
                // Single precision, at the edge of what counts as heard.
                _ if parent.operations.is_empty() || heard > 0.994_9 => 1.0,
                0.0..1e-9 => 0.5,
                served => served / (1.0 - f64::from(heard)) * 1.000_1,
            };
            new.probability > most
        })
    };
    let named = plan.operations.iter();
    let mut named = named.filter(|new| !new.overflow && new.binding != Binding::Pin);
    named.find(raised).map(|new| new.operation)
}

/// The parts that say how much of the traffic is known.
fn trusted(plan: &Plan) -> Vec<f64> {
    let of_services = plan.services.iter().flat_map(|of| {
        let parts = [of.heard, of.covered, of.agents_return, of.names_return];
        parts.map(f64::from)
    });
    let of_agents = plan.rates.iter().map(|of| f64::from(of.replaces));
    let fleet = [plan.fleet.completeness, plan.fleet.covered];
    of_services.chain(of_agents).chain(fleet).collect()
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
        read in 1..5usize,
        readable in prop_oneof![3 => Just(1.0), 1 => number()],
    ) {
        let mut plan = Plan::genesis(&policies[0]);
        for index in 0..windows.len() {
            let policy = &policies[index % policies.len()];
            let windows = &windows[(index + 1).saturating_sub(read)..=index];
            let inputs = Inputs { readable, ..Inputs::new(1, windows) };
            let parent = plan;
            plan = next_plan(&parent, policy, inputs);
            let changed = plan.fleet.budget != parent.fleet.budget;
            prop_assert!(changed || raised_too_far(&parent, &plan).is_none());
            prop_assert!(probabilities(&plan).iter().all(|p| (0.0..=1.0).contains(p)));
            prop_assert!(plan.operations.iter().all(|plan| plan.offered.is_finite() && plan.share.is_finite()));
            prop_assert!(plan.operations.is_sorted_by(|a, b| a.operation < b.operation));
            prop_assert!(plan.agents.is_sorted_by(|a, b| a.agent < b.agent));
            prop_assert!(plan.rates.is_sorted_by(|a, b| (a.agent, a.service) < (b.agent, b.service)));
            prop_assert!(plan.claims.is_sorted());
            prop_assert!(trusted(&plan).iter().all(|part| (0.0..=1.0).contains(part)), "{:?}", plan.services);
            prop_assert!(plan.rates.iter().all(|of| of.rate.is_finite() && of.rate > 0.0), "{:?}", plan.rates);
            prop_assert!(plan.agents.iter().all(|of| (0.0..=15.0).contains(&of.habit)), "{:?}", plan.agents);
            if plan.fleet.hold != Hold::Frozen || changed {
                let spent: f64 = plan.operations.iter().map(|plan| plan.share).sum();
                // A plan aims at more where less is kept than it says.
                let aimed = plan.fleet.budget * plan.fleet.trim.factor.max(1.0);
                prop_assert!(spent <= aimed * (1.0 + 1e-9), "{spent} of {aimed}");
                prop_assert!(most_guaranteed(&plan) <= plan.fleet.budget * (1.0 + 1e-9));
                // If no probability stayed, what SDKs keep on their own is counted exactly.
                let all = plan.fleet.expected_sampled;
                prop_assert!(!parent.operations.is_empty() || all <= plan.fleet.budget * (1.0 + 1e-9));
            }
            prop_assert!(plan.fleet.lower_bound_cost <= most_guaranteed(&plan) * (1.0 + 1e-9));
            prop_assert!(plan.services.iter().all(|plan| plan.lower_bound >= 0.0 && plan.lower_bound.is_finite()));
            prop_assert!(plan.services.iter().all(|plan| plan.instances >= 0.0 && plan.instances.is_finite()));
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
        (window, shuffled) in shuffled(),
        (second, second_shuffled) in shuffled(),
        policy in any_policy(),
    ) {
        let genesis = Plan::genesis(&policy);
        let (plan, other) = (next(&genesis, &policy, &window), next(&genesis, &policy, &shuffled));
        prop_assert_eq!(text(&plan), text(&other));
        let later = Window {
            start: window.window.end,
            end: Timestamp(window.window.end.0.saturating_add(60_000)),
        };
        let windows = [window, WindowCounts { window: later, ..second }];
        let plan = next_plan(&plan, &policy, Inputs::new(2, &windows));
        let windows = [shuffled, WindowCounts { window: later, ..second_shuffled }];
        let other = next_plan(&other, &policy, Inputs::new(2, &windows));
        prop_assert_eq!(text(&plan), text(&other));
    }
}
