//! Computes a plan's quality figures. They are for people; no later plan reads them.

use crate::OperationPlan;
use crate::amount::{amount, total};
use crate::limits::{Rules, weight};
use crate::solve::{Entry, solve};

/// The period in which an operation should show a trace, in seconds.
///
/// # Source
/// Five minutes: what dashboards and alerts commonly look back over.
const COVERAGE_SECONDS: f64 = 300.0;

/// How well a plan serves.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct Figures {
    /// Traces per second that the window would have kept if every SDK had applied the two plans before, as SDKs
    /// do that poll once an interval, and the lower bound. The reported sampled rate divided by this is 1 when
    /// SDKs comply.
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
    /// Judges a plan's operations, sorted by id, by themselves.
    pub(crate) fn of(rules: &Rules<'_>, operations: &[OperationPlan], level: f64) -> Self {
        Self {
            coverage: coverage(
                operations
                    .iter()
                    .map(|plan| (1.0, plan.offered, plan.share)),
            ),
            fairness: fairness(rules, operations, level),
            ..Self::default()
        }
    }
}

/// The coverage of operations, each with how many of its kind there are, what one of them is offered and what it keeps,
/// per second. [`Figures::coverage`] is that of a plan's.
///
/// Arrivals and sampling are independent, so the kept traces of an operation are a Poisson process with
/// the rate of its share.
#[must_use]
pub fn coverage(operations: impl Iterator<Item = (f64, f64, f64)> + Clone) -> f64 {
    let shows = |rate: f64| -(-rate * COVERAGE_SECONDS).exp_m1();
    let each = operations.clone();
    let traffic = total(each.map(|(count, offered, _)| count * shows(offered)));
    let kept = |(count, offered, share): (f64, f64, f64)| count * shows(share.min(offered));
    if traffic > 0.0 {
        (total(operations.map(kept)) / traffic).min(1.0)
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
    let sum = total(served().map(part));
    let squares = total(served().map(|plan| part(plan) * part(plan)));
    if squares > 0.0 {
        (sum * sum / (count * squares)).min(1.0)
    } else {
        1.0
    }
}
