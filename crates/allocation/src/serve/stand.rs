//! Leaves every probability as it was served, while nobody is heard.

use crate::assign::by_default;
use crate::decide::Decision;
use crate::hint::beside;
use crate::listing::Unlisted;
use crate::operation::Estimate;
use crate::{Binding, OperationPlan, Plan, Policy, Reason, ServicePlan, Source};

/// What the previous plan decided, for what is known now.
pub(crate) fn stand(previous: &Plan, policy: &Policy, known: Vec<Estimate>) -> Decision {
    let left_out = Unlisted::among(policy, &known);
    let key = |estimate: &Estimate| estimate.operation;
    let (estimates, listed) = (known.into_iter(), &previous.operations);
    let operations: Vec<OperationPlan> = beside(estimates, key, listed, |of| of.operation)
        .enumerate()
        .map(|(at, (estimate, listed))| {
            let unlisted = || previous.default_probability(estimate.service);
            if left_out.holds(at) {
                return by_default(estimate, unlisted());
            }
            let probability = listed.map_or_else(unlisted, |plan| plan.probability);
            let share = listed.map_or(probability * estimate.demand(), |plan| plan.share);
            let held = listed.map_or(Reason::UNKNOWN, |plan| plan.reason);
            let reason = Reason {
                bound: probability as f32,
                source: Source::Fleet,
                target: listed.map_or(probability as f32, |plan| plan.reason.target),
                ..held
            };
            estimate.decided(share, probability, Binding::Hold, reason)
        })
        .collect();
    let services = ServicePlan::all(&operations, |service| ServicePlan {
        service,
        default_probability: previous.default_probability(service),
        level: previous.level(service),
        group: previous.service(service).and_then(|held| held.group),
        ..ServicePlan::default()
    });
    Decision {
        level: previous.fleet.level,
        missing: previous.fleet.missing,
        kept_part: previous.kept_part(),
        unseen_reserve: previous.fleet.unseen_reserve,
        default_probability: previous.fleet.default_probability,
        groups: previous.groups.clone(),
        services,
        operations,
    }
}
