//! Computes what one operation may get: the policy's bounds, the last probability, missing reports.

use crate::amount::{amount, probability};
use crate::names_return::NamesReturn;
use crate::operation::Estimate;
use crate::solve::Entry;
use crate::trim::Correction;
use crate::trust::Trust;
use crate::tuning::{Share, Tuning};
use crate::unknown::{raised, unknown_max};
use crate::{Binding, Bounds, Hold, Plan, Policy, ServiceId, Source, peaks};

/// The rules that hold for every operation of one plan.
#[derive(Debug)]
pub(crate) struct Rules<'a> {
    pub tuning: &'a Tuning,
    pub policy: &'a Policy,
    pub previous: &'a Plan,
    /// What raises start from: the previous plan, raised as far as operators' changes alone raise it.
    pub from: &'a Plan,
    pub hold: Hold,
    pub trust: Option<&'a Trust>,
    pub names_return: Option<&'a NamesReturn>,
    /// The budget that is shared, in traces per second: the fleet's budget, trimmed, minus the most that SDKs
    /// keep by themselves.
    pub budget: f64,
    /// The part of the shares that is kept in the end.
    pub kept_part: f64,
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
pub(crate) struct Limit {
    pub entry: Entry,
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
    /// Whether it may be served less than its caps allow, because of what it was served before.
    pub(crate) fn is_held(&self) -> bool {
        matches!(
            self.binding,
            Binding::RaiseLimit | Binding::Hold | Binding::Peak
        )
    }

    /// What it shares as without limits on raises and holds.
    pub(crate) fn lifted(&self) -> Entry {
        Entry {
            cap: self.entry.demand * self.cap_probability,
            ..self.entry
        }
    }

    /// Fixes the operation at its service's default probability.
    pub(crate) fn serve_default(&mut self, default: f64) {
        self.pin = Some(default);
        self.is_default = true;
        self.entry.demand = 0.0;
    }
}

impl<'a> Rules<'a> {
    pub(crate) fn new(
        policy: &'a Policy,
        previous: &'a Plan,
        hold: Hold,
        demand: f64,
        correction: Correction,
        guaranteed: f64,
        tuning: &'a Tuning,
    ) -> Self {
        let Share { unknown, peaks, .. } = &tuning.share;
        let budget = (amount(policy.budget) * correction.factor - guaranteed).max(0.0);
        let peak = peaks::of_fleet(previous, demand, peaks);
        let budget = peaks::affordable(budget, demand, peak, peaks);
        // A correction upwards is learned from known names, and says nothing of unknown ones.
        let uncorrected = (amount(policy.budget) - guaranteed).max(0.0);
        let unknown_max = unknown_max(budget.min(uncorrected), demand, unknown);
        Self {
            tuning,
            policy,
            previous,
            from: previous,
            hold,
            trust: None,
            names_return: None,
            budget,
            kept_part: correction.kept_part,
            weight_exponent: probability(policy.weight_exponent, 0.0),
            unknown_max,
            start: policy.initial(unknown).min(unknown_max),
            from_before: true,
        }
    }

    /// The same rules with raises that start from another plan than the previous one, and as far as the counts
    /// may be believed.
    pub(crate) fn raising(
        self,
        from: &'a Plan,
        trust: &'a Trust,
        names_return: &'a NamesReturn,
    ) -> Self {
        Self {
            from,
            trust: Some(trust),
            names_return: Some(names_return),
            ..self
        }
    }

    /// The rules of a settled plan, regardless of previous probabilities.
    pub(crate) fn settled(
        policy: &'a Policy,
        previous: &'a Plan,
        demand: f64,
        guaranteed: f64,
        tuning: &'a Tuning,
    ) -> Self {
        let (hold, correction) = (
            Hold::None,
            previous.fleet.trim.correction(1.0, &tuning.serve.trim),
        );
        let settled = Self::new(
            policy, previous, hold, demand, correction, guaranteed, tuning,
        );
        Self {
            from_before: false,
            ..settled
        }
    }

    /// The highest probability of a service's operation that may follow on `served`. A plan without operations
    /// served a guess, which limits nothing.
    ///
    /// If a part of the service is missing, at least that part of its traffic may go on. So nothing justifies
    /// a raise by more than the inverse of that part.
    pub(crate) fn ceiling(&self, service: ServiceId, served: f64) -> (f64, Binding) {
        if self.hold != Hold::None {
            return (served, Binding::Hold);
        }
        let free = (1.0, Binding::ProbabilityOne);
        if self.previous.operations.is_empty() || !self.from_before {
            return free;
        }
        let heard = self.trust.map_or(1.0, |trust| trust.heard(service));
        let all = self.tuning.trust.agents.heard;
        if heard >= all {
            return free;
        }
        let missing = 1.0 - heard;
        if missing >= all {
            (served, Binding::Hold)
        } else {
            (
                raised(served, self.start, 1.0 / missing),
                Binding::RaiseLimit,
            )
        }
    }

    /// Finds an operation's limits; `served` is the probability the previous plan listed for it.
    pub(crate) fn limit(&self, estimate: &Estimate, served: Option<f64>) -> Limit {
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
        if self.may_be_gone(estimate) {
            // What operators ask for by name does come again.
            let asked = match source {
                Source::Operation => bounds.probability_min,
                Source::Fleet | Source::Group | Source::Service => 0.0,
            };
            lower(self.unknown_max.max(asked), Binding::RaiseLimit);
        }
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

    /// Whether a name may never come again: it has just come, or those of its service seldom do. Then it keeps
    /// no more than its part of all traffic.
    fn may_be_gone(&self, estimate: &Estimate) -> bool {
        let seldom = || {
            let found = self
                .names_return
                .map(|names| names.of_service(estimate.service));
            found.is_some_and(|part| part < self.tuning.estimate.names.seldom)
        };
        let begun = self.from_before && !self.previous.operations.is_empty();
        begun && estimate.belief.once && (estimate.is_new || seldom())
    }

    /// An operation's floor in traces per second, and whose it is.
    fn floor(&self, bounds: &Bounds, source: Source, offered: f64) -> (f64, Source) {
        let least = self.least(bounds, source, offered);
        if least.0 > bounds.floor {
            least
        } else {
            (bounds.floor, self.rate_owner(bounds, source))
        }
    }

    /// What its lowest probability is in traces per second, and whose that is.
    fn least(&self, bounds: &Bounds, source: Source, offered: f64) -> (f64, Source) {
        let least = bounds.probability_min;
        let owner = owner(least, self.policy.probability_min, source);
        (least * offered, owner)
    }

    /// Whose the floor in traces per second is.
    fn rate_owner(&self, bounds: &Bounds, source: Source) -> Source {
        owner(bounds.floor, self.policy.floor, source)
    }

    /// The floor of an entry that shares the one in traces per second: by its lowest probability alone.
    pub(crate) fn own_floor(&self, estimate: &Estimate) -> (f64, Source) {
        let (bounds, source) = self.policy.bounds(estimate.service, estimate.operation);
        let (least, owner) = self.least(&bounds, source, estimate.rate());
        (estimate.presence() * least, owner)
    }

    /// Whose the floor is that it shares.
    pub(crate) fn floor_owner(&self, estimate: &Estimate) -> Source {
        let (bounds, source) = self.policy.bounds(estimate.service, estimate.operation);
        self.rate_owner(&bounds, source)
    }

    fn ceiling_of(&self, estimate: &Estimate, served: Option<f64>) -> (f64, Binding) {
        // An overflow entry is served as its service's default, listed or not.
        let listed = if estimate.overflow { None } else { served };
        let unlisted = || self.from.default_probability(estimate.service);
        if estimate.is_silent && self.from_before {
            return (listed.unwrap_or_else(unlisted), Binding::Hold);
        }
        match listed {
            // One window is not enough to raise by what fell in it: reports across its end, a gap between two
            // bursts.
            Some(served) if self.from_before && estimate.belief.fell => (
                self.ceiling(estimate.service, served).0.min(served),
                Binding::Hold,
            ),
            Some(served) => self.ceiling(estimate.service, served),
            None if estimate.overflow || self.hold != Hold::None => {
                self.ceiling(estimate.service, unlisted())
            }
            // Newly named: what it was served until now is the default, which says nothing of it.
            None => (1.0, Binding::ProbabilityOne),
        }
    }
}

/// Whose a bound is: the fleet's, unless the one of the operation is higher.
fn owner(bound: f64, fleets: f64, source: Source) -> Source {
    if bound > amount(fleets) {
        source
    } else {
        Source::Fleet
    }
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
