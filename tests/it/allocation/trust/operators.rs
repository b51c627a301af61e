//! Right at once: cold starts, operators' changes, and traffic that comes back.

use super::*;
use weir::allocation::{
    Bounds, Inputs, Policy, ServiceId, Timestamp, Window, WindowCounts, next_plan,
};
use weir::simulate::faults::{BudgetChange, Fade};
use weir::simulate::virtual_time::{AgentFaults, Loss, probabilities};

/// What a plan would keep of an interval's requests, in traces per second.
fn would_keep(run: &VirtualRun, plan: &Plan, interval: usize) -> f64 {
    let counts = run.schedule.counts(&run.traffic, interval);
    let served = probabilities(plan, &run.traffic);
    let kept = counts
        .iter()
        .zip(served)
        .map(|(&count, probability)| count as f64 * probability);
    kept.sum::<f64>() / 60.0
}

#[test]
fn the_second_plan_from_an_empty_database_keeps_the_budget() {
    for budget in [BUDGET, 0.1 * BUDGET, 20.0 * BUDGET] {
        let mut run = steady();
        run.policy = budget_alone(budget);
        let seen = Seen::of(&run);
        let kept = would_keep(&run, &seen.plans[1], 2);
        assert!((kept / budget - 1.0).abs() < 0.05, "{kept} of {budget}");
    }
}

fn changed(factor: f64, unheard: usize) -> VirtualRun {
    let mut run = steady();
    run.faults.budgets = vec![BudgetChange { factor, at: EVENT }];
    run.faults.agents = AgentFaults {
        losses: vec![Loss {
            intervals: EVENT - 5..EVENT + 10,
            agents: unheard,
            queued: false,
        }],
        ..AgentFaults::default()
    };
    run
}

#[test]
fn a_changed_budget_is_served_by_the_next_plan_heard_or_not() {
    for (factor, unheard) in [(10.0, 0), (0.1, 0), (0.1, AGENTS), (2.0, AGENTS), (0.1, 4)] {
        let run = changed(factor, unheard);
        let seen = Seen::of(&run);
        let kept = would_keep(&run, &seen.plans[EVENT], EVENT + 1);
        let wanted = factor * BUDGET;
        assert_eq!(seen.plans[EVENT].fleet.budget, wanted);
        let off = kept / wanted - 1.0;
        assert!(off.abs() < 0.10, "× {factor}, {unheard} unheard: {off}");
    }
}

#[test]
fn a_budget_of_nothing_and_pins_to_nothing_need_no_counts() {
    let run = changed(1.0, AGENTS);
    let seen = Seen::of(&run);
    let unheard = &seen.plans[EVENT];
    let nothing = budget_alone(0.0);
    let mut pinned = run.policy.clone();
    for service in 1..=SERVICES as u32 {
        let bounds = Bounds {
            pin: Some(0.0),
            ..Bounds::default()
        };
        pinned.services.insert(ServiceId(service), bounds.into());
    }
    let start = unheard.window.end;
    let end = Timestamp(start.0 + unheard.window.milliseconds());
    let silent = WindowCounts {
        window: Window { start, end },
        ..WindowCounts::default()
    };
    let changed = |policy: &Policy| {
        let policy = Policy {
            revision: policy.revision + 1,
            ..policy.clone()
        };
        next_plan(
            unheard,
            &policy,
            Inputs::new(1, std::slice::from_ref(&silent)),
        )
    };
    for policy in [&nothing, &pinned] {
        let plan = changed(policy);
        assert_eq!(would_keep(&run, &plan, EVENT + 1), 0.0);
        assert_eq!(plan.fleet.budget, policy.budget);
    }
}

fn fades(halves: usize, silent: usize, service: Option<&str>) -> VirtualRun {
    let mut run = steady();
    run.faults.fades = vec![Fade {
        fades: EVENT - halves..EVENT,
        silent,
        service: service.map(|name| ServiceName::parse(name).unwrap()),
    }];
    run
}

#[test]
fn traffic_that_comes_back_from_silence_costs_at_most_thirty_budgets() {
    for (halves, budget) in [(0, BUDGET), (10, BUDGET), (10, 0.1 * BUDGET)] {
        for sparse in [false, true] {
            let run = fades(halves, 10, None);
            let mut run = agents(run, |_, agent| agent.sparse = sparse);
            run.policy = budget_alone(budget);
            let seen = Seen::of(&run);
            let excess: f64 = seen.errors[EVENT + 10..]
                .iter()
                .map(|error| error.max(0.0))
                .sum();
            assert!(excess < 30.0, "{halves}, {budget}, {sparse}: {excess}");
            let mean = seen.mean(EVENT + 25);
            assert!(mean.abs() < 0.05, "{halves}, {budget}, {sparse}: {mean}");
        }
    }
}

#[test]
fn an_idle_service_is_right_two_plans_after_it_returns() {
    let run = fades(0, 15, Some("service-0"));
    let seen = Seen::of(&run);
    let back = EVENT + 15;
    let kept = would_keep(&run, &seen.plans[back + 1], back + 2);
    assert!((kept / BUDGET - 1.0).abs() < 0.05, "{kept}");
}
