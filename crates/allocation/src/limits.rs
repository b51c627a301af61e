//! Computes what one operation may get: the policy's bounds, the last probability, missing reports.

use super::defaults::{initial_probability, probability, raise_limit, unknown_max, weight};
use super::estimate::Estimate;
use super::solve::{Entry, amount};
use super::{Binding, Bounds, Hold, Plan, Policy, Source, Trim};

/// The rules that hold for every operation of one plan.
#[derive(Debug)]
pub(super) struct Rules<'a> {
    pub policy: &'a Policy,
    pub previous: &'a Plan,
    /// What raises start from: the previous plan, raised as far as operators' changes alone raise it.
    pub from: &'a Plan,
    pub hold: Hold,
    /// The budget that is shared, in traces per second: the fleet's budget, trimmed, minus the most that SDKs
    /// keep by themselves.
    pub budget: f64,
    pub weight_exponent: f64,
    /// The upper limit of every default probability.
    pub unknown_max: f64,
    /// The highest probability that may follow on 0 in one interval.
    start: f64,
    /// Whether previous probabilities count: they limit raises and stay when they are close enough.
    pub from_before: bool,
}

/// What one operation may get.
#[derive(Debug, Clone, Copy)]
pub(super) struct Limit {
    pub entry: Entry,
    /// The probability its bounds guarantee, limited by its share.
    pub probability_min: f64,
    /// The highest probability it may be served.
    pub probability_max: f64,
    /// What set [`Limit::probability_max`].
    pub binding: Binding,
    /// The owner of those bounds.
    pub source: Source,
    /// The owner of the floor.
    pub floor_source: Source,
    /// The highest probability that its caps allow, regardless of the previous probability.
    pub cap_probability: f64,
    /// The probability that is fixed: by an operator, or as a service's default.
    pub pin: Option<f64>,
    /// Whether [`Limit::pin`] is the service's default: SDKs do not find the operation listed.
    pub is_default: bool,
}

impl Limit {
    /// Fixes the operation at its service's default probability.
    pub(super) fn serve_default(&mut self, default: f64) {
        self.pin = Some(default);
        self.is_default = true;
        self.entry.demand = 0.0;
    }
}

impl<'a> Rules<'a> {
    pub(super) fn new(
        policy: &'a Policy,
        previous: &'a Plan,
        hold: Hold,
        demand: f64,
        trim: Trim,
        guaranteed: f64,
    ) -> Self {
        let budget = (amount(policy.budget) * trim.factor - guaranteed).max(0.0);
        let unknown_max = unknown_max(budget, demand);
        Self {
            policy,
            previous,
            from: previous,
            hold,
            budget,
            weight_exponent: probability(policy.weight_exponent, 0.0),
            unknown_max,
            start: initial_probability(policy).min(unknown_max),
            from_before: true,
        }
    }

    /// The same rules with raises that start from another plan than the previous one.
    pub(super) fn starting_from(self, from: &'a Plan) -> Self {
        Self { from, ..self }
    }

    /// The rules of a settled plan, regardless of previous probabilities.
    pub(super) fn settled(
        policy: &'a Policy,
        previous: &'a Plan,
        demand: f64,
        guaranteed: f64,
    ) -> Self {
        let trim = previous.fleet.trim;
        Self {
            from_before: false,
            ..Self::new(policy, previous, Hold::None, demand, trim, guaranteed)
        }
    }

    /// The highest probability that may follow on `served`. A plan without operations served a guess, which
    /// limits nothing.
    pub(super) fn ceiling(&self, served: f64) -> (f64, Binding) {
        if self.hold != Hold::None {
            (served, Binding::Hold)
        } else if self.previous.operations.is_empty() || !self.from_before {
            (1.0, Binding::ProbabilityOne)
        } else {
            (raise_limit(served, self.start), Binding::RaiseLimit)
        }
    }

    /// Finds an operation's limits; `served` is the probability the previous plan listed for it.
    pub(super) fn limit(&self, estimate: &Estimate, served: Option<f64>) -> Limit {
        let (bounds, source) = self.policy.bounds(estimate.service, estimate.operation);
        let (offered, planned) = (estimate.rate(), estimate.presence());
        let demand = estimate.demand();
        let most = self.most(estimate);
        let cap_probability = bounds.probability_max.min(bounds.cap / offered).min(most);
        let mut lowest = (1.0, Binding::ProbabilityOne);
        let mut lower = |probability: f64, binding| {
            if probability < lowest.0 {
                lowest = (probability, binding);
            }
        };
        lower(cap_probability, Binding::Cap);
        let (ceiling, binding) = self.ceiling_of(estimate, served);
        lower(ceiling, binding);
        let (probability_max, binding) = lowest;
        let pin = bounds.pin.map(|pin| pin.min(most));
        let (floor, floor_source) = self.floor(&bounds, source, offered);
        // The part that is planned for scales everything alike, so that the share over that part
        // is the probability of the whole.
        let entry = Entry {
            // What is pinned has been paid for before the rest is shared.
            demand: if pin.is_some() { 0.0 } else { demand },
            weight: planned * weight(offered, self.weight_exponent, bounds.weight),
            floor: planned * floor,
            cap: probability_max * demand,
            priority: bounds.priority,
        };
        Limit {
            entry,
            probability_min: bounds.probability_min,
            probability_max,
            binding,
            source: if most <= cap_probability && most < 1.0 {
                Source::Fleet
            } else {
                source
            },
            floor_source,
            cap_probability,
            pin,
            is_default: false,
        }
    }

    /// The most that any bound of an operator can ask for.
    fn most(&self, estimate: &Estimate) -> f64 {
        if estimate.overflow {
            self.unknown_max
        } else {
            1.0
        }
    }

    /// An operation's floor in traces per second, and whose it is.
    fn floor(&self, bounds: &Bounds, source: Source, offered: f64) -> (f64, Source) {
        let of = |floor: f64, fleets: f64| {
            let own = floor > amount(fleets);
            (floor, if own { source } else { Source::Fleet })
        };
        let (rate, rate_source) = of(bounds.floor, self.policy.floor);
        let (least, least_source) = of(bounds.probability_min, self.policy.probability_min);
        if least * offered > rate {
            (least * offered, least_source)
        } else {
            (rate, rate_source)
        }
    }

    fn ceiling_of(&self, estimate: &Estimate, served: Option<f64>) -> (f64, Binding) {
        // An overflow entry is served as its service's default, listed or not.
        let listed = if estimate.overflow { None } else { served };
        let unlisted = || self.from.default_probability(estimate.service);
        if estimate.is_silent() && self.from_before {
            return (listed.unwrap_or_else(unlisted), Binding::Hold);
        }
        match listed {
            Some(served) => self.ceiling(served),
            None if estimate.overflow || self.hold != Hold::None => self.ceiling(unlisted()),
            // Newly named: what it was served until now is the default, which says nothing of it.
            None => (1.0, Binding::ProbabilityOne),
        }
    }
}
