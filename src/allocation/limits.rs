//! What one operation may get: the policy's bounds, the last probability served, what is missing.

use super::defaults::{initial_probability, probability, raise_limit, unknown_max, weight};
use super::estimate::Estimate;
use super::solve::{Entry, amount};
use super::{Binding, Hold, Plan, Policy, Trim};

/// What holds for every operation of one plan.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub policy: &'a Policy,
    pub previous: &'a Plan,
    pub hold: Hold,
    /// What is shared: the wanted sampled rate of the fleet, trimmed, in traces per second.
    pub budget: f64,
    pub weight_exponent: f64,
    /// What no default exceeds.
    pub unknown_max: f64,
    /// What a probability may become in one interval from nothing.
    start: f64,
}

/// What one operation may get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub entry: Entry,
    /// The probability it is guaranteed as far as its share goes.
    pub probability_min: f64,
    /// The highest probability it may be served.
    pub probability_max: f64,
    /// What set [`Limit::probability_max`].
    pub reason: Binding,
    /// The probability an operator fixed.
    pub pin: Option<f64>,
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        previous: &'a Plan,
        hold: Hold,
        demand: f64,
        trim: Trim,
    ) -> Self {
        let budget = amount(policy.budget) * trim.factor;
        let unknown_max = unknown_max(budget, demand);
        Self {
            policy,
            previous,
            hold,
            budget,
            weight_exponent: probability(policy.weight_exponent, 0.0),
            unknown_max,
            start: initial_probability(policy).min(unknown_max),
        }
    }

    /// The most that may be served for what was served at `served` before. A plan that knew
    /// nothing served a guess, which limits nothing.
    pub(super) fn ceiling(&self, served: f64) -> (f64, Binding) {
        if self.hold == Hold::CutsOnly {
            (served, Binding::Hold)
        } else if self.previous.operations.is_empty() {
            (1.0, Binding::ProbabilityOne)
        } else {
            (raise_limit(served, self.start), Binding::RaiseLimit)
        }
    }

    /// Finds an operation's limits; `served` is the probability the previous plan listed for it.
    pub(super) fn limit(&self, estimate: &Estimate, served: Option<f64>) -> Limit {
        let bounds = self.policy.bounds(estimate.service, estimate.operation);
        let (offered, planned) = (estimate.rate(), estimate.presence());
        let demand = estimate.demand();
        let mut lowest = (1.0, Binding::ProbabilityOne);
        let mut lower = |probability: f64, reason| {
            if probability < lowest.0 {
                lowest = (probability, reason);
            }
        };
        lower(bounds.probability_max, Binding::Cap);
        lower(bounds.cap / offered, Binding::Cap);
        if estimate.overflow {
            lower(self.unknown_max, Binding::Cap);
        }
        let (ceiling, reason) = self.ceiling_of(estimate, served);
        lower(ceiling, reason);
        let (probability_max, reason) = lowest;
        let pin = bounds.pin.map(|pin| {
            let most = if estimate.overflow {
                self.unknown_max
            } else {
                1.0
            };
            pin.min(most)
        });
        // The part that is planned for scales everything alike, so that the share over that part
        // is the probability of the whole.
        let floor = bounds.floor.max(bounds.probability_min * offered);
        let entry = Entry {
            // What is pinned has been paid for before the rest is shared.
            demand: if pin.is_some() { 0.0 } else { demand },
            weight: planned * weight(offered, self.weight_exponent, bounds.weight),
            floor: planned * floor,
            cap: probability_max * demand,
        };
        Limit {
            entry,
            probability_min: bounds.probability_min,
            probability_max,
            reason,
            pin,
        }
    }

    fn ceiling_of(&self, estimate: &Estimate, served: Option<f64>) -> (f64, Binding) {
        // An overflow entry is served as its service's default, listed or not.
        let listed = if estimate.overflow { None } else { served };
        let unlisted = || self.previous.default_probability(estimate.service);
        if estimate.is_silent() {
            return (listed.unwrap_or_else(unlisted), Binding::Hold);
        }
        match listed {
            Some(served) => self.ceiling(served),
            None if estimate.overflow || self.hold == Hold::CutsOnly => self.ceiling(unlisted()),
            // Newly named: what it was served until now is the default, which says nothing of it.
            None => (1.0, Binding::ProbabilityOne),
        }
    }
}
