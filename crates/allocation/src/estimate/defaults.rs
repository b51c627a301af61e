//! Computes what is served to unknown names: priors and default probabilities.

use crate::operation::Estimate;
use crate::tuning::share::Unknown as Tuning;
use crate::{Bounds, Policy, ServiceId};

/// Below one in 10⁹ no fleet keeps a trace, so doubling from there would never recover.
const AS_GOOD_AS_ZERO: f64 = 1e-9;

/// The median offered rates of named operations: the expectation for an operation not seen yet.
#[derive(Debug)]
pub(crate) struct Priors {
    services: Vec<(ServiceId, f64)>,
    fleet: Option<f64>,
}

impl Priors {
    /// Takes the medians; for an even number of operations the upper one, which serves less.
    pub(crate) fn of(estimates: &[Estimate]) -> Self {
        let mut rates: Vec<(ServiceId, f64)> = estimates
            .iter()
            .filter(|estimate| !estimate.overflow)
            .map(|estimate| (estimate.service, estimate.rate()))
            .collect();
        let fleet = median(&mut rates);
        rates.sort_unstable_by_key(|(service, _)| *service);
        let services = rates
            .chunk_by_mut(|a, b| a.0 == b.0)
            .filter_map(|group| Some((group.first()?.0, median(group)?)))
            .collect();
        Self { services, fleet }
    }

    /// The median of a service's named operations; of the fleet's where it has none.
    pub(crate) fn of_service(&self, service: ServiceId) -> Option<f64> {
        match self.services.binary_search_by_key(&service, |(id, _)| *id) {
            Ok(index) => Some(self.services[index].1),
            Err(_) => self.fleet,
        }
    }
}

fn median(rates: &mut [(ServiceId, f64)]) -> Option<f64> {
    let middle = rates.len() / 2;
    if rates.is_empty() {
        return None;
    }
    let (_, rate, _) = rates.select_nth_unstable_by(middle, |a, b| a.1.total_cmp(&b.1));
    Some(rate.1)
}

/// The highest probability at which the budget holds if it is served to the whole fleet. It bounds every
/// default, because SDKs may ask under names that no plan lists.
pub(crate) fn unknown_max(budget: f64, offered: f64, tuning: &Tuning) -> f64 {
    if offered > 0.0 {
        (budget / offered).min(tuning.most)
    } else {
        tuning.most
    }
}

/// The probability while nothing is known at all.
pub(crate) fn initial_probability(policy: &Policy, tuning: &Tuning) -> f64 {
    if policy.budget > 0.0 {
        probability(policy.initial_probability, 0.0).min(tuning.most)
    } else {
        0.0
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
pub(crate) fn rules_default(overflow: &Estimate, tuning: &Tuning) -> bool {
    overflow.demand() >= tuning.overflow_demand
}

/// The probability of an operation of which only its service's bounds and a prior are known: what the
/// water level would give it.
pub(crate) fn at_level(level: f64, prior: f64, exponent: f64, bounds: &Bounds) -> f64 {
    let share = weight(prior, exponent, bounds.weight) * level;
    let wanted = (share / prior).min(bounds.cap / prior);
    probability(wanted, 0.0).min(bounds.probability_max)
}

/// `weight · offered^exponent`.
pub(crate) fn weight(offered: f64, exponent: f64, weight: f64) -> f64 {
    // The most common exponents need no logarithm.
    if exponent > 0.0 && exponent < 1.0 {
        weight * offered.powf(exponent)
    } else if exponent >= 1.0 {
        weight * offered
    } else {
        weight
    }
}

/// Cuts a value to a probability; NaN becomes `otherwise`.
pub(crate) fn probability(value: f64, otherwise: f64) -> f64 {
    if value.is_nan() {
        otherwise
    } else {
        value.clamp(0.0, 1.0)
    }
}
