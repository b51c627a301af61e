//! How well a plan serves: figures for people, which no later plan reads.

use super::defaults::weight;
use super::limits::Rules;
use super::solve::{Entry, amount, solve};
use super::sum::exact_sum;
use super::{OperationPlan, Plan};

/// The span in which an operation should show a trace, in seconds.
///
/// # Source
/// Five minutes: what dashboards and alerts commonly look back over.
const COVERAGE_SECONDS: f64 = 300.0;

/// A probability that moved by less than this part of itself counts as unchanged.
const CHANGE: f64 = 0.01;

/// How well a plan serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// The sampled rate at which the window's requests would have been kept, had every SDK applied
    /// the plan before, its lower bound too: in traces per second. The rate that was reported, over this one, says
    /// whether what is served is applied.
    pub due_sampled: f64,
    /// Of the operations that will have traffic in five minutes, the part expected to show at
    /// least one trace, in [0, 1]; 1 when none will.
    pub coverage: f64,
    /// Jain's index of the shares, each over what filling without floors, caps and pins would
    /// give: 1 when all are served alike, 1/n when one of n gets everything.
    ///
    /// # Source
    /// R. Jain, D. Chiu, W. Hawe, «A Quantitative Measure of Fairness and Discrimination», DEC
    /// Research Report TR-301 (1984).
    pub fairness: f64,
    /// Of the operations that this plan and the one before list, the part whose probability moved
    /// by more than 1 %, in [0, 1].
    pub changed: f64,
}

impl Default for Figures {
    /// Those of a plan that knows no operation.
    fn default() -> Self {
        Self {
            due_sampled: 0.0,
            coverage: 1.0,
            fairness: 1.0,
            changed: 0.0,
        }
    }
}

impl Figures {
    /// Judges a plan's operations, sorted by id, that answer a window of so many seconds.
    pub(super) fn of(
        rules: &Rules<'_>,
        operations: &[OperationPlan],
        level: f64,
        seconds: f64,
    ) -> Self {
        let served = Served::between(rules.previous, operations);
        Self {
            due_sampled: if seconds > 0.0 {
                served.due / seconds
            } else {
                0.0
            },
            coverage: coverage(operations),
            fairness: fairness(rules, operations, level),
            changed: served.changed,
        }
    }
}

/// What a plan does with the probabilities that were served before it.
struct Served {
    /// How many of the window's requests were to be kept.
    due: f64,
    /// The part of the probabilities that changed.
    changed: f64,
}

impl Served {
    fn between(previous: &Plan, operations: &[OperationPlan]) -> Self {
        let mut listed = previous.operations.iter().peekable();
        let (mut both, mut changed) = (0_u64, 0_u64);
        let due = exact_sum(operations.iter().map(|plan| {
            while listed
                .next_if(|held| held.operation < plan.operation)
                .is_some()
            {}
            let held = listed.next_if(|held| held.operation == plan.operation);
            let served = match held {
                Some(held) => {
                    both += 1;
                    changed += u64::from(differs(held.probability, plan.probability));
                    held.probability
                }
                None => previous.default_probability(plan.service),
            };
            served * plan.window_offered as f64
        }));
        Self {
            due,
            changed: changed as f64 / both.max(1) as f64,
        }
    }
}

fn differs(before: f64, after: f64) -> bool {
    (after - before).abs() > CHANGE * before.max(after)
}

/// Arrivals and sampling are independent of each other, so what is kept of an operation is a
/// Poisson process of its share.
fn coverage(operations: &[OperationPlan]) -> f64 {
    let shows = |rate: f64| -(-rate * COVERAGE_SECONDS).exp_m1();
    let traffic = exact_sum(operations.iter().map(|plan| shows(plan.offered)));
    let kept = |plan: &OperationPlan| shows(plan.share.min(plan.offered));
    if traffic > 0.0 {
        (exact_sum(operations.iter().map(kept)) / traffic).min(1.0)
    } else {
        1.0
    }
}

fn fairness(rules: &Rules<'_>, operations: &[OperationPlan], level: f64) -> f64 {
    let entry = |plan: &OperationPlan| {
        let (bounds, _) = rules.policy.bounds(plan.service, plan.operation);
        let rate = amount(plan.belief.rate);
        let planned = if rate > 0.0 { plan.offered / rate } else { 1.0 };
        Entry {
            demand: plan.offered,
            weight: planned * weight(rate, rules.weight_exponent, bounds.weight),
            ..Entry::default()
        }
    };
    let level = if level > 0.0 {
        level
    } else {
        // Floors and pins took everything: what they took it from is not in the level any more.
        let entries: Vec<_> = operations.iter().map(entry).collect();
        solve(&entries, rules.budget).level
    };
    let part = |plan: &OperationPlan| {
        let entry = entry(plan);
        let fair = entry.demand.min(entry.weight * level);
        if fair > 0.0 { plan.share / fair } else { 0.0 }
    };
    let served = || operations.iter().filter(|plan| plan.offered > 0.0);
    let count = served().count() as f64;
    let sum = exact_sum(served().map(part));
    let squares = exact_sum(served().map(|plan| part(plan) * part(plan)));
    if squares > 0.0 {
        (sum * sum / (count * squares)).min(1.0)
    } else {
        1.0
    }
}
