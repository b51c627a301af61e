//! Computes the lower bound: what SDKs keep beside their probabilities, paid from the budget.
//!
//! Some SDKs (OpenTelemetry's for Go, Jaeger's own clients) keep a lower bound of traces per second for
//! every operation in every instance, so its cost grows with the number of instances. The operator
//! reserves a part of the budget for it, and the bound follows from the number of instances.
//!
//! What it adds at most is derived in docs/allocation.md, *Sharing*: an even split of the demand over the
//! instances costs the most, so the worst case is what is counted.

use crate::amount::{amount, total};
use crate::budget::SharedBudget;
use crate::instances::InstanceEvidence;
use crate::limits::Limit;
use crate::operation::Estimate;
use crate::trust::Trust;
use crate::tuning::Tuning;
use crate::tuning::share::{LowerBound, Unknown};
use crate::unknown::rules_default;
use crate::{Hold, OVERFLOW_SERVICE, OperationPlan, Plan, Policy, ServiceId, ServicePlan};

/// The guarantees of one plan.
#[derive(Debug)]
pub(crate) struct Guarantees {
    /// What an instance keeps of an operation, where a bound is served, in traces per second.
    pub traces_per_second: f64,
    /// Every service whose instances are known, by id.
    services: Vec<ServiceGuarantee>,
}

/// One service's part.
#[derive(Debug, Clone, Copy)]
struct ServiceGuarantee {
    service: ServiceId,
    /// Its estimated instances.
    instances: f64,
    /// What each of them is served.
    lower_bound: f64,
}

impl Guarantees {
    /// Follows the instances over a window and computes the bound that the reserve pays for.
    ///
    /// A frozen window changes nothing.
    pub(crate) fn after(
        previous: &Plan,
        policy: &Policy,
        seen: &InstanceEvidence,
        (trust, hold): (&Trust, Hold),
        known: &[Estimate],
        tuning: &Tuning,
    ) -> Self {
        let own = &tuning.share.lower_bound;
        if hold == Hold::Frozen {
            return Self::standing(previous);
        }
        let instances = seen.instances(previous, trust, tuning);
        let held = amount(previous.fleet.lower_bound);
        let unknown = &tuning.share.unknown;
        Self::of(policy, instances, known, unknown, |wanted| {
            next(held, wanted, hold, own)
        })
    }

    /// What a plan would settle at under another policy, with its known instances.
    pub(crate) fn settled(
        current: &Plan,
        policy: &Policy,
        known: &[Estimate],
        tuning: &Tuning,
    ) -> Self {
        let (own, unknown) = (&tuning.share.lower_bound, &tuning.share.unknown);
        let services = current.services.iter();
        let instances = services.map(|plan| (plan.service, plan.instances));
        Self::of(policy, instances.collect(), known, unknown, |wanted| {
            let held = amount(current.fleet.lower_bound);
            let held = if stays(held, wanted, own) { held } else { 0.0 };
            next(held, wanted, Hold::None, own)
        })
    }

    fn of(
        policy: &Policy,
        instances: Vec<(ServiceId, f64)>,
        known: &[Estimate],
        unknown: &Unknown,
        bound: impl FnOnce(f64) -> f64,
    ) -> Self {
        let services = instances.into_iter();
        let mut services: Vec<ServiceGuarantee> = services
            .map(|(service, instances)| ServiceGuarantee {
                service,
                instances,
                lower_bound: 0.0,
            })
            .collect();
        let reserve = amount(policy.lower_bound_reserve).min(amount(policy.budget));
        // Without a reserve, a million operations need not be counted.
        let times = if reserve > 0.0 {
            serve(&mut services, known, unknown)
        } else {
            0.0
        };
        let traces_per_second = bound(if times > 0.0 { reserve / times } else { 0.0 });
        for service in &mut services {
            service.lower_bound *= traces_per_second;
        }
        Self {
            traces_per_second,
            services,
        }
    }

    fn standing(previous: &Plan) -> Self {
        let services = previous.services.iter().map(|plan| ServiceGuarantee {
            service: plan.service,
            instances: plan.instances,
            lower_bound: plan.lower_bound,
        });
        Self {
            traces_per_second: previous.fleet.lower_bound,
            services: services.collect(),
        }
    }

    /// The most that the bound can keep, as if the probabilities kept nothing.
    pub(crate) fn most(&self, known: &[Estimate]) -> f64 {
        let each = |estimate: &Estimate| {
            self.of_operation(estimate.service, estimate.overflow, estimate.demand())
        };
        self.sum(known.iter().map(each))
    }

    /// The part of [`Guarantees::most`] that the probabilities keep anyway, in traces per second.
    pub(crate) fn kept_anyway(
        &self,
        known: &[Estimate],
        limits: &[Limit],
        shared: &SharedBudget,
    ) -> f64 {
        let each = |((estimate, limit), share): ((&Estimate, &Limit), &f64)| {
            let demand = estimate.demand();
            let pinned = limit.pin.map(|pin| pin * shared.pin_scale);
            let probability = pinned.unwrap_or(share / demand).clamp(0.0, 1.0);
            probability * self.of_operation(estimate.service, estimate.overflow, demand)
        };
        let shares = &shared.solution.shares;
        self.sum(known.iter().zip(limits).zip(shares).map(each))
    }

    /// What the bound keeps beside a plan's probabilities, in traces per second.
    pub(crate) fn cost(&self, operations: &[OperationPlan]) -> f64 {
        let each = |plan: &OperationPlan| {
            let missed = (1.0 - plan.share / plan.offered).clamp(0.0, 1.0);
            missed * self.of_operation(plan.service, plan.overflow, plan.offered)
        };
        self.sum(operations.iter().map(each))
    }

    /// Writes each service's instances and bound into the plan.
    pub(crate) fn note(&self, services: &mut [ServicePlan]) {
        for plan in services {
            if let Some(found) = self.of_service(plan.service) {
                plan.instances = found.instances;
                plan.lower_bound = found.lower_bound;
            }
        }
    }

    fn of_service(&self, service: ServiceId) -> Option<&ServiceGuarantee> {
        let at = place(&self.services, service)?;
        self.services.get(at)
    }

    /// The most that the bound keeps of an operation with this demand.
    fn of_operation(&self, service: ServiceId, overflow: bool, demand: f64) -> f64 {
        match self.of_service(service) {
            Some(found) if !overflow => (found.instances * found.lower_bound).min(demand),
            _ => 0.0,
        }
    }

    /// Sums over operations; skipped where nothing is guaranteed.
    fn sum(&self, terms: impl Iterator<Item = f64>) -> f64 {
        if self.traces_per_second > 0.0 {
            total(terms)
        } else {
            0.0
        }
    }
}

/// Marks the services that are served a bound with 1, and sums their instances times their named
/// operations: the most often that the bound is kept.
///
/// A service whose overflow entry has traffic is left out: SDKs apply the bound to every name, and the
/// number of names in that entry is unknown. A mean of less than one instance counts as one.
fn serve(services: &mut [ServiceGuarantee], known: &[Estimate], unknown: &Unknown) -> f64 {
    let mut named = vec![0_u64; services.len()];
    let mut unnamed = vec![false; services.len()];
    for estimate in known {
        match place(services, estimate.service) {
            Some(at) if !estimate.overflow => named[at] += 1,
            Some(at) => unnamed[at] |= rules_default(estimate.demand(), unknown),
            None => {}
        }
    }
    let counted = services.iter_mut().zip(named).zip(unnamed);
    total(counted.map(|((service, named), unnamed)| {
        if unnamed || service.service == OVERFLOW_SERVICE || service.instances <= 0.0 {
            return 0.0;
        }
        service.lower_bound = 1.0;
        service.instances.max(1.0) * named as f64
    }))
}

/// The bound after `held`, when `wanted` would spend the whole reserve.
fn next(held: f64, wanted: f64, hold: Hold, tuning: &LowerBound) -> f64 {
    if wanted < tuning.least {
        return 0.0;
    }
    if stays(held, wanted, tuning) || (held < wanted && hold != Hold::None) {
        return held;
    }
    let most = if held > 0.0 {
        held * tuning.raise
    } else {
        f64::INFINITY
    };
    let bound = two_digits((tuning.room * wanted).min(most));
    if bound < tuning.least { 0.0 } else { bound }
}

/// Whether a bound is within the reserve and spends enough of it.
fn stays(held: f64, wanted: f64, tuning: &LowerBound) -> bool {
    (tuning.held_from * wanted..=wanted).contains(&held)
}

/// Rounds down to two significant decimal digits, to a number that prints with exactly those.
fn two_digits(value: f64) -> f64 {
    let exponent = value.log10().floor() as i32 - 1;
    let power = 10_f64.powi(exponent.abs());
    // A number that already has two digits must not lose one to the division.
    let digits = |value: f64| (value * (1.0 + f64::EPSILON)).floor();
    if exponent < 0 {
        digits(value * power) / power
    } else {
        digits(value / power) * power
    }
}

fn place(services: &[ServiceGuarantee], service: ServiceId) -> Option<usize> {
    let found = services.binary_search_by_key(&service, |entry| entry.service);
    found.ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn next_bound(held: f64, wanted: f64, hold: Hold) -> f64 {
        next(held, wanted, hold, &LowerBound::DEFAULT)
    }

    #[test]
    fn two_digits_are_written_as_two_digits() {
        for (value, text) in [
            (0.000_251_9, "0.00025"),
            (0.25, "0.25"),
            (0.299_999, "0.29"),
            (1.0 / 86_400.0, "0.000011"),
            (9.99, "9.9"),
            (10.0, "10"),
            (123_456.0, "120000"),
            (1e9, "1000000000"),
        ] {
            let rounded = two_digits(value);
            assert_eq!(format!("{rounded}"), text);
            assert!(rounded <= value * (1.0 + 1e-15));
        }
    }

    #[test]
    fn a_bound_is_cut_at_once_held_while_it_fits_and_raised_in_steps() {
        assert_eq!(
            next_bound(0.0, 0.01, Hold::None),
            0.009,
            "with room to grow"
        );
        for wanted in [0.009, 0.01, 0.011] {
            assert_eq!(next_bound(0.009, wanted, Hold::None), 0.009, "{wanted}");
        }
        assert_eq!(next_bound(0.009, 0.008_9, Hold::None), 0.008);
        assert_eq!(
            next_bound(0.009, 0.001, Hold::None),
            0.000_9,
            "as far as it has to"
        );
        assert_eq!(next_bound(0.009, 1.0, Hold::None), 0.011);
        assert_eq!(next_bound(0.009, 1.0, Hold::CutsOnly), 0.009);
        assert_eq!(next_bound(0.0, 1.0, Hold::CutsOnly), 0.0);
        assert_eq!(next_bound(0.009, 0.001, Hold::CutsOnly), 0.000_9);
        assert_eq!(
            next_bound(0.009, 1e-6, Hold::None),
            0.0,
            "less than one a day"
        );
        assert_eq!(next_bound(0.009, 0.0, Hold::None), 0.0);
    }

    #[test]
    fn a_step_never_ends_below_what_would_be_held() {
        // Otherwise a steady fleet's bound would change with every plan.
        let mut wanted = 2e-5;
        while wanted < 1e6 {
            let bound = next_bound(0.0, wanted, Hold::None);
            assert!(
                bound >= LowerBound::DEFAULT.held_from * wanted,
                "{wanted}: {bound}"
            );
            assert_eq!(next_bound(bound, wanted, Hold::None), bound);
            wanted *= 1.003;
        }
    }
}
