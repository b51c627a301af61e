//! Lets an operator's change take effect at once, whatever is reported.
//!
//! Raises are limited because counts may be missing. What an operator asks for needs no counts: it is
//! computed from what is believed. So limits start from what the previous plan would have served under
//! the policy of now, not from what it served.

use crate::amount::amount;
use crate::preview::settled;
use crate::state::State;
use crate::tuning::Tuning;
use crate::tuning::serve::Deadband;
use crate::{OperationPlan, Plan, Policy};

/// Two targets this close are equal: they are stored in single precision.
const ROUNDING: f64 = 1e-6;

/// The previous plan with each probability raised as far as the operators' change alone raises it; none if
/// they changed nothing.
///
/// This lowers nothing. The budget is shared again afterwards, and that lowers what it has to.
pub(crate) fn instructed(previous: &Plan, policy: &Policy, tuning: &Tuning) -> Option<Plan> {
    let budget = amount(policy.budget);
    let same = previous.configuration_revision == policy.revision
        && !policy.changed
        && previous.fleet.budget == budget;
    if previous.number == 0 || same {
        return None;
    }
    let settled = settled(previous, policy, tuning);
    let factor = factor(previous.fleet.budget, budget);
    let mut plan = previous.clone();
    for (service, settled) in plan.services.iter_mut().zip(&settled.services) {
        let (bounds, _) = policy.service_bounds(service.service);
        service.default_probability = raised_default(
            service.default_probability,
            settled.default_probability,
            if bounds.pin.is_some() {
                f64::INFINITY
            } else {
                factor
            },
        );
    }
    plan.fleet.default_probability = raised_default(
        plan.fleet.default_probability,
        settled.fleet.default_probability,
        factor,
    );
    let estimates = State::after(previous, &[], tuning).known;
    for (at, estimate) in estimates.iter().enumerate() {
        let target = settled.operations[at].probability;
        let raised = raised(&plan.operations[at], target, &tuning.serve.deadband);
        // Nothing is known of what is silent, so it gets no more than what is unknown.
        let most = if estimate.is_silent {
            plan.default_probability(estimate.service)
        } else {
            1.0
        };
        let served = &mut plan.operations[at].probability;
        *served = served.max(raised.min(most));
    }
    Some(plan)
}

/// The factor by which a change of the budget raises shares.
fn factor(before: f64, after: f64) -> f64 {
    if before > 0.0 {
        after / before
    } else if after > 0.0 {
        f64::INFINITY
    } else {
        1.0
    }
}

/// A default raised by a factor, no further than where it settles.
fn raised_default(served: f64, settled: f64, factor: f64) -> f64 {
    let raised = if factor.is_finite() {
        served * factor
    } else {
        settled
    };
    served.max(raised.min(settled))
}

/// A probability raised by as much as its target was.
///
/// If it was at its target (a deadband may have kept it close), it is now, too. If it was below, a hold or the limit on raises kept it there,
/// and goes on doing so.
fn raised(plan: &OperationPlan, target: f64, tuning: &Deadband) -> f64 {
    let (served, before) = (plan.probability, f64::from(plan.reason.target));
    if target <= before * (1.0 + ROUNDING) {
        served
    } else if served >= before * (1.0 - tuning.band) {
        target
    } else {
        (served * (target / before)).min(1.0)
    }
}
