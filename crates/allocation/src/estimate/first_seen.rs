//! The first estimate of an operation.

use crate::operation::{Estimate, Evidence, belief, first_variance};
use crate::presence::Presence;
use crate::priors::Priors;
use crate::rhythm::Rhythm;
use crate::{Belief, Binding, OperationCount, OperationPlan, Reason};

/// Starts an operation from its first count.
///
/// A small count says little, and the operation may have begun late in the window. So the median of
/// comparable operations is mixed in with the weight [`prior_count`](crate::tuning::estimate::Operation::prior_count): upwards at most as far as the count
/// allows, and never downwards, because the budget must hold for what was counted. `stays` is the probability that a
/// new name stays; none of a class of a known one.
pub(crate) fn first_seen(
    count: &OperationCount,
    priors: &Priors,
    evidence: Evidence<'_>,
    stays: Option<f64>,
) -> Estimate {
    let tuning = evidence.tuning;
    let counted = count.offered as f64;
    let exposure = evidence.exposure(count.service);
    let seen = counted / exposure;
    let prior = if count.overflow {
        None
    } else {
        let class = evidence.classes.get(&count.operation);
        priors.of_service(count.service, class.map(|entry| entry.class))
    };
    let most = (counted + tuning.operation.step_deviations * (counted + 1.0).sqrt()) / exposure;
    let prior = prior.map_or(seen, |prior| prior.clamp(seen, most));
    let weight = tuning.operation.prior_count;
    let rate = (counted * seen + weight * prior) / (counted + weight);
    let once = stays.is_some();
    let stays = stays.filter(|_| !count.overflow).unwrap_or(1.0);
    let presence = Presence::new(stays, &tuning.presence);
    let variance = first_variance(counted, tuning);
    let plan = OperationPlan {
        operation: count.operation,
        service: count.service,
        overflow: count.overflow,
        offered: 0.0,
        belief: Belief {
            once,
            ..belief(rate, variance, presence, Rhythm::NEW, 0.0)
        },
        belief_before: None,
        share: 0.0,
        probability: 0.0,
        turned: 0,
        binding: Binding::Level,
        reason: Reason::UNKNOWN,
        silent_windows: 0,
        silent_before: 0,
        window_offered: count.offered,
        window_sampled: count.sampled,
    };
    Estimate::new(plan, true)
}
