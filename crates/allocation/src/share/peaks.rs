//! Bounds what a return of traffic may cost.
//!
//! When traffic fades, probabilities rise until everything is kept. If it then comes back at once, the
//! high probabilities meet the old traffic until SDKs have polled the next plan. So what may be spent is
//! bounded by the recent peak: of the fleet, of each service, and of each operation.

use crate::amount::amount;
use crate::hint::Hint;
use crate::limits::{Limit, Rules};
use crate::operation::Estimate;
use crate::solve::{Entry, solve};
use crate::tuning::share::Peaks as Tuning;
use crate::{Binding, OperationPlan, Plan, ServiceId, ServicePlan, peak};

/// The peak of a fleet or service after the window that follows a plan.
fn following(previous: &Plan, peak: f64, rate: f64, tuning: &Tuning) -> f64 {
    if previous.number < tuning.young_plans && peak > 0.0 {
        peak.min(rate)
    } else if previous.number < tuning.growing_plans {
        peak::risen(peak, rate, 1.0, tuning.rise_growing, tuning)
    } else {
        peak::after(peak, rate, 1.0, tuning)
    }
}

/// The part of the budget that may be spent, for the whole fleet, in traces per second.
pub(crate) fn affordable(budget: f64, demand: f64, peak: f64, tuning: &Tuning) -> f64 {
    if peak > demand && demand > 0.0 {
        budget.min(tuning.most * budget * (demand / peak))
    } else {
        budget
    }
}

/// Whether the peak bounds what a plan may spend.
pub(crate) fn binds(plan: &Plan, tuning: &Tuning) -> bool {
    tuning.most * plan.fleet.offered < plan.fleet.peak
}

/// Lowers the limits of operations and services that have faded.
///
/// `estimates` and `limits` have the same order.
pub(crate) fn bound(rules: &Rules<'_>, estimates: &[Estimate], limits: &mut [Limit]) {
    let most = rules.tuning.share.peaks.most;
    let budget = amount(rules.policy.budget);
    for (estimate, limit) in estimates.iter().zip(limits.iter_mut()) {
        let peak = f64::from(estimate.belief.peak);
        lower(limit, estimate.demand(), most * budget / peak);
    }
    let faded = faded(rules, estimates);
    for own in of_services(&faded, estimates).chunk_by(|one, other| one.0 == other.0) {
        let entries: Vec<Entry> = own.iter().map(|(_, at)| limits[*at].entry).collect();
        let shares = solve(&entries, faded[own[0].0].budget).shares;
        for ((_, at), share) in own.iter().zip(shares) {
            let demand = estimates[*at].demand();
            lower(&mut limits[*at], demand, share / demand);
        }
    }
}

/// Lowers a limit to a probability, but not under what an operator asks for.
fn lower(limit: &mut Limit, demand: f64, probability: f64) {
    let least = if demand > 0.0 {
        limit.entry.floor / demand
    } else {
        0.0
    };
    let probability = probability.max(least);
    if limit.pin.is_none() && probability < limit.probability_max {
        limit.probability_max = probability;
        limit.binding = Binding::Peak;
        limit.entry.cap = probability * demand;
    }
}

/// A service whose return would cost too much.
struct Faded {
    service: ServiceId,
    /// What it may spend, in traces per second.
    budget: f64,
}

/// The places of services and of their operations.
fn of_services(faded: &[Faded], estimates: &[Estimate]) -> Vec<(usize, usize)> {
    if faded.is_empty() {
        return Vec::new();
    }
    let hint = Hint::default();
    let places = estimates.iter().enumerate().filter_map(|(at, estimate)| {
        let service = hint.find(faded, &estimate.service, |faded| faded.service)?;
        Some((service, at))
    });
    let mut places: Vec<(usize, usize)> = places.collect();
    places.sort_unstable();
    places
}

/// The services whose return would cost too much, by id.
fn faded(rules: &Rules<'_>, estimates: &[Estimate]) -> Vec<Faded> {
    let budget = amount(rules.policy.budget);
    let most = rules.tuning.share.peaks.most;
    let known = &rules.previous.services;
    // Most fleets have none: the demands are summed only if the last plan's were far below a peak.
    let peaked = known.iter().filter(|plan| plan.peak > most * budget);
    let mut peaked: Vec<(ServiceId, f64, f64)> =
        peaked.map(|plan| (plan.service, plan.peak, 0.0)).collect();
    if peaked.is_empty() {
        return Vec::new();
    }
    let hint = Hint::default();
    for estimate in estimates {
        if let Some(at) = hint.find(&peaked, &estimate.service, |(id, ..)| *id) {
            peaked[at].2 += estimate.demand();
        }
    }
    peaked
        .into_iter()
        .filter(|(_, peak, demand)| most * demand < *peak)
        .map(|(service, peak, demand)| Faded {
            service,
            budget: most * budget * (demand / peak),
        })
        .collect()
}

/// Writes each service's peak into the plan.
pub(crate) fn note(
    previous: &Plan,
    operations: &[OperationPlan],
    services: &mut [ServicePlan],
    tuning: &Tuning,
) {
    let offered = |plan: &OperationPlan| (plan.service, plan.offered);
    let now = demands(services, operations.iter().map(offered));
    let held = |service| previous.service(service).map_or(0.0, |held| held.peak);
    let rises = services.iter().zip(&now);
    let rises = rises
        .filter(|(plan, now)| **now > held(plan.service))
        .count();
    // What one window shows is no peak.
    let before = if rises > 0 {
        demands(services, previous.operations.iter().map(offered))
    } else {
        now.clone()
    };
    for (plan, (now, before)) in services.iter_mut().zip(now.into_iter().zip(before)) {
        plan.peak = following(previous, held(plan.service), now.min(before), tuning);
    }
}

/// The sums by service, in the order of the services.
fn demands(services: &[ServicePlan], of: impl Iterator<Item = (ServiceId, f64)>) -> Vec<f64> {
    let mut sums = vec![0.0; services.len()];
    let hint = Hint::default();
    for (service, demand) in of {
        if let Some(at) = hint.find(services, &service, |plan| plan.service) {
            sums[at] += demand;
        }
    }
    sums
}

/// The fleet's peak after a window.
pub(crate) fn of_fleet(previous: &Plan, demand: f64, tuning: &Tuning) -> f64 {
    let rate = demand.min(previous.fleet.offered);
    following(previous, previous.fleet.peak, rate, tuning)
}
