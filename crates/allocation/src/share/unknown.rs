//! Computes what is served to names that no plan lists.

use crate::amount::probability;
use crate::hierarchy::Local;
use crate::limits::{Limit, Rules, weight};
use crate::priors::Priors;
use crate::tuning::share::Unknown as Tuning;
use crate::{Bounds, OperationPlan, ServiceId};

/// Below one in 10⁹ no fleet keeps a trace, so doubling from there would never recover.
const AS_GOOD_AS_ZERO: f64 = 1e-9;

/// The highest probability at which the budget holds if it is served to the whole fleet. It bounds every
/// default, because SDKs may ask under names that no plan lists.
pub(crate) fn unknown_max(budget: f64, offered: f64, tuning: &Tuning) -> f64 {
    if offered > 0.0 {
        (budget / offered).min(tuning.most)
    } else {
        tuning.most
    }
}

/// A probability raised by a factor; from zero, at least the value an unknown operation starts with.
pub(crate) fn raised(served: f64, start: f64, factor: f64) -> f64 {
    if served < AS_GOOD_AS_ZERO {
        start
    } else {
        factor * served
    }
}

/// Whether an overflow entry's own probability is its service's default.
pub(crate) fn rules_default(demand: f64, tuning: &Tuning) -> bool {
    demand >= tuning.overflow_demand
}

/// The probability of an operation of which only its service's bounds and a prior are known: what the
/// water level would give it.
pub(crate) fn at_level(level: f64, prior: f64, exponent: f64, bounds: &Bounds) -> f64 {
    let share = weight(prior, exponent, bounds.weight) * level;
    let wanted = (share / prior).min(bounds.cap / prior);
    probability(wanted, 0.0).min(bounds.probability_max)
}

/// The default probability of a service: like its overflow entry, else like its named operations.
pub(crate) struct Defaults<'a> {
    rules: &'a Rules<'a>,
    priors: Priors,
    ruling: Vec<(ServiceId, f64)>,
}

impl<'a> Defaults<'a> {
    /// `limits` and `operations` have the same order.
    pub(crate) fn of(
        rules: &'a Rules<'a>,
        priors: Priors,
        limits: &[Limit],
        operations: &[OperationPlan],
    ) -> Self {
        Self {
            rules,
            priors,
            ruling: ruling(limits, operations, &rules.tuning.share.unknown),
        }
    }

    /// What is served while no operation is known.
    pub(crate) fn initial(&self) -> f64 {
        self.rules.policy.initial(&self.rules.tuning.share.unknown)
    }

    /// What is served for operations of a service that no plan lists.
    pub(crate) fn of_service(&self, service: ServiceId, local: Local) -> f64 {
        if let Ok(index) = self.ruling.binary_search_by_key(&service, |(id, _)| *id) {
            return self.ruling[index].1;
        }
        let rules = self.rules;
        let (bounds, _) = rules.policy.service_bounds(service);
        let like_named = self.priors.of_service(service, None).map_or(1.0, |prior| {
            at_level(local.level, prior, rules.weight_exponent, &bounds)
        });
        let wanted = bounds.pin.unwrap_or(like_named);
        let (ceiling, _) = rules.ceiling(service, rules.from.default_probability(service));
        wanted.min(rules.unknown_max).min(ceiling)
    }
}

/// The probabilities that are the defaults of their services: those of overflow entries with
/// demand, and of operations that strategies do not list.
fn ruling(
    limits: &[Limit],
    operations: &[OperationPlan],
    tuning: &Tuning,
) -> Vec<(ServiceId, f64)> {
    let rules = |limit: &Limit, plan: &OperationPlan| {
        limit.is_default || plan.overflow && rules_default(plan.offered, tuning)
    };
    let mut ruling: Vec<_> = limits
        .iter()
        .zip(operations)
        .filter(|(limit, plan)| rules(limit, plan))
        .map(|(_, plan)| (plan.service, plan.probability))
        .collect();
    ruling.sort_unstable_by_key(|(service, _)| *service);
    ruling.dedup_by_key(|(service, _)| *service);
    ruling
}
