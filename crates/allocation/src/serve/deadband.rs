//! Keeps probabilities that are close enough to their targets.
//!
//! Estimates move a little with every window. Without a deadband every probability would move with them:
//! bodies to encode and send for changes that are pure noise. A probability stays while it is close to
//! its target and while all that stay together spend what their targets would: the remaining errors must
//! cancel out.

use crate::limits::{Limit, Rules};
use crate::sum::exact_sum;
use crate::{Binding, OperationPlan, ServiceId};

/// A candidate for staying.
struct Candidate {
    index: usize,
    /// The budget it shares: errors within one budget cancel out.
    pool: u32,
    /// The probability it was served, and its cost.
    probability: f64,
    share: f64,
    /// The probability it would be served, and its cost.
    target: f64,
    target_share: f64,
    /// How far past its target it may move, in either direction, in traces per second.
    reach: (f64, f64),
    /// The highest probability it may be served.
    most: f64,
}

impl Candidate {
    /// How much more staying costs than the target, in traces per second.
    fn excess(&self) -> f64 {
        self.share - self.target_share
    }

    /// Moves past its target by the traces per second still to be compensated, at most half of its band;
    /// returns the total it compensates. Where more may be spent, it stops short of its target if reaching
    /// it would spend more than is missing.
    fn move_past(&self, missing: f64, plan: &mut OperationPlan) -> f64 {
        let (down, up) = self.reach;
        let wanted = missing + self.excess();
        let past = if missing > 0.0 {
            wanted.min(up)
        } else {
            wanted.clamp(-down, up)
        };
        let factor = 1.0 + past / self.target_share;
        // Rounding could put the product just above the limit.
        plan.probability = (self.target * factor).min(self.most);
        plan.share = self.target_share * factor;
        self.excess() - past
    }
}

/// Undoes changes that are not worth it.
///
/// `operations` and `limits` have the same order, by operation; `pool` says which services share one
/// budget: the fleet's, or that of a floor or cap.
pub(crate) fn settle(
    rules: &Rules<'_>,
    limits: &[Limit],
    pool: impl Fn(ServiceId) -> u32,
    seconds: f64,
    operations: &mut [OperationPlan],
) {
    if !rules.from_before {
        return;
    }
    let mut staying = candidates(rules, limits, pool, seconds, operations);
    let order = |one: &Candidate, other: &Candidate| {
        let excess = other.excess().total_cmp(&one.excess());
        one.pool.cmp(&other.pool).then(excess)
    };
    staying.sort_by(order);
    let unspent_most = rules.tuning.serve.deadband.unspent_most;
    for pool in staying.chunk_by(|one, other| one.pool == other.pool) {
        let whole = if pool[0].pool == 0 {
            rules.budget
        } else {
            exact_sum(pool.iter().map(|candidate| candidate.target_share))
        };
        settle_pool(pool, unspent_most * whole, operations);
    }
}

/// Keeps the probabilities of one budget whose errors cancel out.
///
/// If they spend more than their targets together, the largest overspenders move, and past their targets
/// within their band, so that few move. If they spend less by more than `unspent_max`, the largest
/// underspenders move.
fn settle_pool(staying: &[Candidate], unspent_max: f64, operations: &mut [OperationPlan]) {
    let spent = exact_sum(staying.iter().map(|candidate| candidate.share));
    let wanted = exact_sum(staying.iter().map(|candidate| candidate.target_share));
    let mut excess = spent - wanted;
    let (mut first, mut end) = (0, staying.len());
    while first < end && excess > 0.0 {
        let candidate = &staying[first];
        excess -= candidate.move_past(-excess, &mut operations[candidate.index]);
        first += 1;
    }
    while end > first && excess < -unspent_max {
        end -= 1;
        let candidate = &staying[end];
        excess -= candidate.move_past(-excess, &mut operations[candidate.index]);
    }
    for candidate in &staying[first..end] {
        let plan = &mut operations[candidate.index];
        plan.probability = candidate.probability;
        plan.share = candidate.share;
        plan.binding = Binding::Deadband;
        plan.reason.bound = candidate.probability as f32;
    }
}

fn candidates(
    rules: &Rules<'_>,
    limits: &[Limit],
    pool: impl Fn(ServiceId) -> u32,
    seconds: f64,
    operations: &[OperationPlan],
) -> Vec<Candidate> {
    let tuning = &rules.tuning.serve.deadband;
    let (least, most) = (tuning.band, tuning.band_most);
    let deviations = tuning.deviations;
    let mut found = Vec::new();
    let held = rules.previous.held(operations).zip(limits).enumerate();
    for (index, ((plan, held), limit)) in held {
        let free = matches!(plan.binding, Binding::Level | Binding::Floor);
        let Some(held) = held.filter(|_| free && plan.probability > 0.0) else {
            continue;
        };
        let requests = plan.offered * seconds;
        let band = (deviations / requests.sqrt()).clamp(least, most);
        let moved = held.probability / plan.probability - 1.0;
        let share = held.probability * plan.offered;
        let fits = held.probability <= limit.probability_max && share >= limit.entry.floor;
        // As a factor, symmetric in both directions: otherwise cuts would be easier than raises.
        let factor = (1.0 + moved).max(1.0 / (1.0 + moved));
        if factor <= 1.0 + band && fits {
            found.push(Candidate {
                index,
                pool: pool(plan.service),
                probability: held.probability,
                share,
                target: plan.probability,
                target_share: plan.share,
                reach: reach(plan, limit, band),
                most: limit.probability_max,
            });
        }
    }
    found
}

/// Half of the band, as a factor, within the operation's limits.
fn reach(plan: &OperationPlan, limit: &Limit, band: f64) -> (f64, f64) {
    let half = plan.share * ((1.0 + band).sqrt() - 1.0);
    let down = (plan.share - limit.entry.floor).clamp(0.0, half);
    let up = plan.share * (limit.probability_max / plan.probability - 1.0);
    (down, up.clamp(0.0, half))
}
