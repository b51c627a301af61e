//! Turns shares into probabilities, and names what decided them.

use crate::amount::{amount, probability};
use crate::hierarchy::Local;
use crate::limits::Limit;
use crate::operation::Estimate;
use crate::{Binding, OperationPlan, Reason, Source};

/// Turns a share into a probability and names what decided it.
///
/// The levels are the one it shares at, and the one that it would share at if nothing were held back.
pub(crate) fn assign(
    estimate: Estimate,
    limit: &Limit,
    share: f64,
    pin_scale: f64,
    (local, free): (Local, Local),
) -> OperationPlan {
    let Limit { entry, .. } = limit;
    let reason = |bound: f64, source, target: f64| Reason {
        bound: bound as f32,
        source,
        weight: (entry.weight / estimate.presence()) as f32,
        target: target as f32,
    };
    if let Some(default) = limit.pin.filter(|_| limit.is_default) {
        return by_default(estimate, default);
    }
    if let Some(pin) = limit.pin {
        let probability = pin * pin_scale;
        let share = amount(probability * estimate.demand());
        let reason = reason(pin, limit.source, pin);
        return estimate.decided(share, probability, Binding::Pin, reason);
    }
    if share >= entry.cap {
        // Exactly the limit: rounding could be off by one bit, and a hold must not be.
        let most = limit.probability_max;
        let (source, target) = match limit.binding {
            Binding::Cap => (limit.source, most),
            Binding::RaiseLimit | Binding::Hold | Binding::Peak => {
                (Source::Fleet, without_ceiling(&estimate, limit, free))
            }
            _ => (local.source, most),
        };
        return estimate.decided(share, most, limit.binding, reason(most, source, target));
    }
    let probability = (share / estimate.demand()).min(limit.probability_max);
    let (binding, bound, source) = if share <= entry.floor && entry.floor > 0.0 {
        let floor = entry.floor / estimate.presence();
        (Binding::Floor, floor, limit.floor_source)
    } else {
        (Binding::Level, local.level, local.source)
    };
    estimate.decided(
        share,
        probability,
        binding,
        reason(bound, source, probability),
    )
}

/// What an operation gets that strategies do not list.
pub(crate) fn by_default(estimate: Estimate, default: f64) -> OperationPlan {
    let reason = Reason {
        bound: default as f32,
        source: Source::Fleet,
        weight: 1.0,
        target: default as f32,
    };
    let share = amount(default * estimate.demand());
    estimate.decided(share, default, Binding::Cap, reason)
}

/// The share by level, floor and caps alone, whatever was served before.
fn without_ceiling(estimate: &Estimate, limit: &Limit, local: Local) -> f64 {
    let Limit { entry, .. } = limit;
    let share = (entry.weight * local.level).max(entry.floor);
    probability(share / estimate.demand(), 1.0).min(limit.cap_probability)
}
