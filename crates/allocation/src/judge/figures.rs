//! Computes a plan's quality figures. They are for people; no later plan reads them.

use crate::defaults::weight;
use crate::limits::Rules;
use crate::solve::{Entry, amount, solve};
use crate::sum::exact_sum;
use crate::{OperationPlan, Plan};

/// The period in which an operation should show a trace, in seconds.
///
/// # Source
/// Five minutes: what dashboards and alerts commonly look back over.
const COVERAGE_SECONDS: f64 = 300.0;

/// A probability that moved by less than this relative amount counts as unchanged.
const CHANGE: f64 = 0.01;

/// How well a plan serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Traces per second that the window would have kept if every SDK had applied the previous plan and its
    /// lower bound. The reported sampled rate divided by this is 1 when SDKs comply.
    pub due_sampled: f64,
    /// The part of the operations with traffic in the next five minutes that is expected to show at least one
    /// trace, in [0, 1]; 1 if there are none.
    pub coverage: f64,
    /// Jain's index of the shares, each divided by the share without floors, caps and pins: 1 when all are
    /// served alike, 1/n when one of n gets everything.
    ///
    /// # Source
    /// R. Jain, D. Chiu, W. Hawe, «A Quantitative Measure of Fairness and Discrimination», DEC
    /// Research Report TR-301 (1984).
    pub fairness: f64,
    /// The part of the operations listed in both this plan and the previous one whose probability moved by
    /// more than 1 %, in [0, 1].
    pub changed: f64,
}

impl Default for Figures {
    /// The figures of a plan without operations.
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
    /// Judges a plan's operations, sorted by id, for a window of this many seconds.
    pub(crate) fn of(
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

/// How a plan relates to the probabilities served before it.
struct Served {
    /// How many of the window's requests should have been kept.
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

/// Arrivals and sampling are independent, so the kept traces of an operation are a Poisson process with
/// the rate of its share.
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
        // Floors and pins took everything, so the level no longer shows what they took it from.
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
