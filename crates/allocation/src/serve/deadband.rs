//! Keeps probabilities that are close enough to their targets.
//!
//! Estimates move a little with every window. Without a deadband every probability would move with them:
//! bodies to encode and send for changes that are pure noise. A probability stays while it is close to
//! its target and while all that stay together spend what their targets would: the remaining errors must
//! cancel out.

use crate::amount::total;
use crate::limits::{Limit, Rules};
use crate::tuning::serve::Deadband as Tuning;
use crate::{Binding, OperationPlan};

/// A candidate for staying. Small, because nearly all operations of a fleet are.
struct Candidate {
    index: u32,
    /// The budget it shares: errors within one budget cancel out.
    pool: u32,
    /// The probability it was served.
    probability: f64,
    /// How much more staying costs than the target, in traces per second.
    excess: f64,
}

/// What candidates are compared with.
struct Deadband<'a> {
    tuning: &'a Tuning,
    /// In the order of the operations.
    limits: &'a [Limit],
    /// The window's length.
    seconds: f64,
}

/// Undoes changes that are not worth it.
///
/// `operations` and `limits` have the same order, by operation; `pool` says which operations share one
/// budget: the fleet's, or that of a floor or cap.
pub(crate) fn settle(
    rules: &Rules<'_>,
    limits: &[Limit],
    pool: impl Fn(&OperationPlan) -> u32,
    seconds: f64,
    operations: &mut [OperationPlan],
) {
    if !rules.from_before {
        return;
    }
    let deadband = Deadband {
        tuning: &rules.tuning.serve.deadband,
        limits,
        seconds,
    };
    let mut staying = deadband.candidates(rules, pool, operations);
    staying.sort_unstable_by_key(|candidate| (candidate.pool, candidate.index));
    for pool in staying.chunk_by_mut(|one, other| one.pool == other.pool) {
        let budget = (pool[0].pool == 0).then_some(rules.budget);
        deadband.settle_pool(pool, budget, operations);
    }
}

impl Deadband<'_> {
    /// Keeps the probabilities of one budget whose errors cancel out. Without a budget in traces per
    /// second, it is what the targets spend.
    ///
    /// If they spend more than their targets together, the largest overspenders move, and past their targets
    /// within their band, so that few move. If they spend less by more than a part of the budget, the largest
    /// underspenders move.
    fn settle_pool(
        &self,
        staying: &mut [Candidate],
        budget: Option<f64>,
        operations: &mut [OperationPlan],
    ) {
        let plan = |candidate: &Candidate| &operations[candidate.index as usize];
        let share = |candidate: &Candidate| candidate.probability * plan(candidate).offered;
        let spent = total(staying.iter().map(share));
        let wanted = total(staying.iter().map(|candidate| plan(candidate).share));
        let unspent_max = self.tuning.unspent_most * budget.unwrap_or(wanted);
        staying.sort_unstable_by(|one, other| {
            let excess = other.excess.total_cmp(&one.excess);
            excess.then(one.index.cmp(&other.index))
        });
        let mut excess = spent - wanted;
        let (mut first, mut end) = (0, staying.len());
        while first < end && excess > 0.0 {
            excess -= self.move_past(&staying[first], -excess, operations);
            first += 1;
        }
        while end > first && excess < -unspent_max {
            end -= 1;
            excess -= self.move_past(&staying[end], -excess, operations);
        }
        for candidate in &staying[first..end] {
            let plan = &mut operations[candidate.index as usize];
            plan.share = candidate.probability * plan.offered;
            plan.probability = candidate.probability;
            plan.binding = Binding::Deadband;
            plan.reason.bound = candidate.probability as f32;
        }
    }

    /// Moves a candidate past its target by the traces per second still to be compensated, at most half of its
    /// band; returns the total it compensates. Where more may be spent, it stops short of its target if reaching
    /// it would spend more than is missing.
    fn move_past(
        &self,
        candidate: &Candidate,
        missing: f64,
        operations: &mut [OperationPlan],
    ) -> f64 {
        let index = candidate.index as usize;
        let (plan, limit) = (&mut operations[index], &self.limits[index]);
        let (down, up) = reach(plan, limit, self.band(plan));
        let wanted = missing + candidate.excess;
        let past = if missing > 0.0 {
            wanted.min(up)
        } else {
            wanted.clamp(-down, up)
        };
        let factor = 1.0 + past / plan.share;
        // Rounding could put the product just above the limit.
        plan.probability = (plan.probability * factor).min(limit.probability_max);
        plan.share *= factor;
        candidate.excess - past
    }

    /// How far an operation may be off its target: by the scatter of its count, relative to the target.
    fn band(&self, plan: &OperationPlan) -> f64 {
        let requests = plan.offered * self.seconds;
        let band = self.tuning.deviations / requests.sqrt();
        band.clamp(self.tuning.band, self.tuning.band_most)
    }

    /// The operations that are close to their targets, in their order.
    fn candidates(
        &self,
        rules: &Rules<'_>,
        pool: impl Fn(&OperationPlan) -> u32,
        operations: &[OperationPlan],
    ) -> Vec<Candidate> {
        // Nearly all of them.
        let mut found = Vec::with_capacity(operations.len());
        let held = rules.previous.held(operations).zip(self.limits).enumerate();
        for (index, ((plan, held), limit)) in held {
            let free = matches!(plan.binding, Binding::Level | Binding::Floor);
            let Some(held) = held.filter(|_| free && plan.probability > 0.0) else {
                continue;
            };
            let moved = held.probability / plan.probability - 1.0;
            let share = held.probability * plan.offered;
            let fits = held.probability <= limit.probability_max && share >= limit.entry.floor;
            // As a factor, symmetric in both directions: otherwise cuts would be easier than raises.
            let factor = (1.0 + moved).max(1.0 / (1.0 + moved));
            if fits && factor <= 1.0 + self.band(plan) {
                found.push(Candidate {
                    index: index as u32,
                    pool: pool(plan),
                    probability: held.probability,
                    excess: share - plan.share,
                });
            }
        }
        found
    }
}

/// Half of the band, as a factor, within the operation's limits.
fn reach(plan: &OperationPlan, limit: &Limit, band: f64) -> (f64, f64) {
    let half = plan.share * ((1.0 + band).sqrt() - 1.0);
    let down = (plan.share - limit.entry.floor).clamp(0.0, half);
    let up = plan.share * (limit.probability_max / plan.probability - 1.0);
    (down, up.clamp(0.0, half))
}
