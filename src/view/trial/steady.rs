//! Plays sums of history under another budget: each step as traffic that has been steady for long.
//!
//! What is kept is what the plan settles at, so neither leaps within a step nor the way from one step to the next are in
//! it. Operations have the parts of their services that they have now.

use std::collections::HashMap;

use super::Tried;
use super::mix::Mix;
use crate::allocation::{
    OperationId, OperationPlan, Plan, Policy, Serving, Timestamp, Window, coverage, preview,
};

/// A budget that is tried on steps.
pub struct Steady {
    policy: Policy,
    members: HashMap<OperationId, f64>,
    tried: Tried,
}

/// A step of history.
#[derive(Debug, Clone, Copy)]
pub struct PlayedStep<'s> {
    /// When it begins.
    pub start: Timestamp,
    /// How much of it was counted, in milliseconds.
    pub milliseconds: i64,
    /// What was offered in it, in root requests per second.
    pub offered: f64,
    /// Its operations, as the mix of all budgets has them.
    pub operations: &'s [OperationPlan],
}

impl Steady {
    /// Tries a budget under this policy, of operations in these parts of their services.
    #[must_use]
    pub fn new(policy: Policy, budget: f64, mix: &Mix) -> Self {
        let mut policy = mix.under(policy);
        policy.budget = budget;
        policy.serving = Serving::Plan;
        Self {
            policy,
            members: mix.members(),
            tried: Tried::default(),
        }
    }

    /// What it came to so far.
    #[must_use]
    pub fn tried(&self) -> Tried {
        self.tried
    }

    /// Plays a step.
    pub fn play(&mut self, step: PlayedStep<'_>) {
        let window = Window {
            start: step.start,
            end: Timestamp(step.start.0.saturating_add(step.milliseconds)),
        };
        let counted = Plan {
            window,
            operations: step.operations.to_vec(),
            ..Plan::genesis(&self.policy)
        };
        let plan = preview(&counted, &self.policy);
        let seconds = window.seconds();
        let each = plan.operations.iter().map(|of| {
            let members = self.members.get(&of.operation).copied().unwrap_or(1.0);
            (members, of.offered / members, of.share / members)
        });
        let kept = plan.fleet.expected_sampled.min(step.offered);
        self.tried.note(
            (step.start, seconds),
            (step.offered * seconds, kept * seconds),
            (coverage(each), !plan.fleet.level.is_finite()),
        );
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::{
        AgentCount, AgentId, AgentReport, Basis, Bounds, Inputs, OperationCount, ServiceId,
        WindowCounts, next_plan,
    };

    const SERVICES: u32 = 20;
    const OPERATIONS: u32 = 30;

    /// A plan of services whose operations differ by four powers of ten, and the places of the services.
    fn fleet() -> (Plan, HashMap<ServiceId, usize>, Vec<f64>) {
        let policy = Policy::of_budget(50.0);
        let window = |at: i64| Window {
            start: Timestamp(at * 60_000),
            end: Timestamp((at + 1) * 60_000),
        };
        let operations: Vec<OperationCount> = (0..SERVICES * OPERATIONS)
            .map(|number| OperationCount {
                operation: OperationId(number + 1),
                service: ServiceId(number / OPERATIONS + 1),
                overflow: false,
                offered: 6 * 10_u64.pow(number % 5),
                sampled: 0,
            })
            .collect();
        let mut plan = Plan::genesis(&policy);
        for at in 0..5 {
            let counts = WindowCounts {
                window: window(at),
                agents: (1..=SERVICES)
                    .map(|service| AgentCount {
                        agent: AgentId(1),
                        service: Some(ServiceId(service)),
                        offered: 6 * 11_111 * u64::from(OPERATIONS / 5),
                        sampled: 0,
                    })
                    .collect(),
                reports: vec![AgentReport {
                    agent: AgentId(1),
                    epoch: 1,
                    sequence: at as u64,
                    span: window(at),
                    last: false,
                    basis: Basis::Reports,
                }],
                operations: operations.clone(),
                ..WindowCounts::default()
            };
            plan = next_plan(&plan, &policy, Inputs::new(1, &[counts]));
        }
        let places = (1..=SERVICES).map(|of| (ServiceId(of), of as usize));
        let rate = 1111.1 * f64::from(OPERATIONS / 5);
        let rates = std::iter::once(0.0).chain((0..SERVICES).map(|_| rate));
        (plan, places.collect(), rates.collect())
    }

    fn tried(policy: &Policy, budget: f64, entries: usize, factors: &[f64]) -> (Tried, Mix) {
        let (plan, places, rates) = fleet();
        let mix = Mix::of(&plan, policy, (&places, &rates), entries);
        let mut steady = Steady::new(policy.clone(), budget, &mix);
        for (at, factor) in factors.iter().enumerate() {
            let services: Vec<f64> = rates.iter().map(|rate| rate * factor).collect();
            steady.play(PlayedStep {
                start: Timestamp(at as i64 * 600_000),
                milliseconds: 600_000,
                offered: services.iter().sum(),
                operations: &mix.operations(&services),
            });
        }
        (steady.tried(), mix)
    }

    #[test]
    fn a_step_keeps_the_budget_or_everything() {
        let policy = Policy::of_budget(50.0);
        let (of, mix) = tried(&policy, 50.0, 10_000, &[1.0, 0.00001, 1.0]);
        assert_eq!((mix.alone(), mix.together()), (600, 0));
        assert_eq!((of.windows, of.seconds), (3, 1800.0));
        let all = 1111.1 * 6.0 * 20.0;
        assert!((of.offered - (2.00001 * all) * 600.0).abs() < 1.0, "{of:?}");
        let kept = 600.0 * (100.0 + 0.00001 * all);
        assert!((of.kept / kept - 1.0).abs() < 0.001, "{of:?}");
        assert_eq!(of.unbound_seconds, 600.0, "{of:?}");
        assert!((of.worst_per_second - 50.0).abs() < 0.01, "{of:?}");
    }

    #[test]
    fn small_operations_that_are_taken_together_come_to_the_same() {
        let mut policy = Policy::of_budget(50.0);
        // A floor of a service and a pin: what is bound is not lost among the others.
        let of_service = policy.services.entry(ServiceId(3)).or_default();
        of_service.whole.floor = 20.0;
        let pinned = Bounds {
            pin: Some(1.0),
            ..Bounds::default()
        };
        policy.operations.insert(OperationId(3), pinned);
        for budget in [5.0, 50.0, 500.0, 200_000.0] {
            let (alone, _) = tried(&policy, budget, 10_000, &[1.0, 0.5]);
            let (joined, mix) = tried(&policy, budget, 100, &[1.0, 0.5]);
            assert!(mix.entries() <= 100, "{}", mix.entries());
            assert_eq!((mix.alone(), mix.together()), (50, 550));
            assert!(mix.together_ratio() > 0.0 && mix.together_ratio() < 1.0);
            let near = |one: f64, other: f64| (one - other).abs() <= 0.02 * one.abs().max(0.01);
            assert!(near(alone.kept, joined.kept), "{alone:?} {joined:?}");
            assert!(
                near(alone.coverage(), joined.coverage()),
                "{budget}: {alone:?} {joined:?}"
            );
            assert_eq!(alone.unbound_seconds, joined.unbound_seconds);
        }
    }

    #[test]
    fn what_nobody_knows_any_more_is_one_operation() {
        let (plan, places, mut rates) = fleet();
        rates[0] = rates[1] * 20.0;
        let policy = Policy::of_budget(50.0);
        let mix = Mix::of(&plan, &policy, (&places, &rates), 10_000);
        assert_eq!(mix.alone(), 601);
        assert!((mix.other_ratio() - 0.5).abs() < 1e-9);
        let nothing = Mix::of(&Plan::default(), &policy, (&HashMap::new(), &[0.0]), 9);
        assert_eq!((nothing.alone(), nothing.other_ratio()), (0, 0.0));
    }
}
