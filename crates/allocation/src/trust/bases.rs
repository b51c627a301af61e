//! By what the requests of each service are counted, and up to when.
//!
//! The same requests may be counted by agents, by metrics of SDKs and by a Collector. A plan says of each
//! service what is left out ([`ServicePlan::leaves_out`]), so that all replicas leave out the same.

use std::collections::HashMap;

use super::agents::UNPLACED;
use crate::tuning::trust::Bases as Tuning;
use crate::{
    AgentId, AgentReport, Basis, Plan, ServiceId, ServicePlan, Timestamp, Window, WindowCounts,
};

/// How many ranks there are.
const RANKS: usize = 3;

/// Writes into each service's plan up to when it was counted by which basis, and what is left out.
pub(crate) fn note(
    previous: &Plan,
    windows: &[WindowCounts],
    services: &mut [ServicePlan],
    tuning: &Tuning,
) {
    for plan in services.iter_mut() {
        let before = previous.service(plan.service);
        plan.bases = before.map_or([None; Basis::ALL.len()], |before| before.bases);
        plan.basis = before.and_then(|before| before.basis);
    }
    let Some(window) = windows.last().map(|counts| counts.window) else {
        return;
    };
    let (agents, counts) = heard(windows, window.end, services);
    let mut rates = vec![[0.0; RANKS]; services.len()];
    for rate in &previous.rates {
        let place = rate.service.and_then(|service| place(services, service));
        if let (Some(place), Some(basis)) = (place, agents.get(&rate.agent)) {
            rates[place][basis.rank()] += f64::from(rate.rate);
        }
    }
    for (at, plan) in services.iter_mut().enumerate() {
        let lately = lately(window, tuning);
        let heard = |basis: &Basis| plan.bases[*basis as usize].is_some_and(&lately);
        let heard: Vec<Basis> = Basis::ALL.into_iter().filter(heard).collect();
        // Usual rates of new agents begin alike, and counts come late: only where both say it.
        plan.basis = decide(plan.basis, &heard, [rates[at], counts[at]], tuning);
    }
}

/// Notes up to when each service was counted by which basis. Returns the basis of each agent, and what
/// each rank counted of each service.
fn heard(
    windows: &[WindowCounts],
    now: Timestamp,
    services: &mut [ServicePlan],
) -> (HashMap<AgentId, Basis>, Vec<[f64; RANKS]>) {
    let mut agents = HashMap::new();
    let mut sums = vec![[0.0; RANKS]; services.len()];
    for counts in windows {
        let reports = placed(counts);
        for count in &counts.agents {
            let (Some(service), Some((basis, until))) = (count.service, reports.get(&count.agent))
            else {
                continue;
            };
            if let Some(place) = place(services, service) {
                let newest = &mut services[place].bases[*basis as usize];
                *newest = (*newest).max(Some(*until).min(Some(now)));
                sums[place][basis.rank()] += count.offered as f64;
            }
        }
        agents.extend(
            reports
                .into_iter()
                .map(|(agent, (basis, _))| (agent, basis)),
        );
    }
    (agents, sums)
}

/// Whether a time is so near that a basis that was heard then still keeps worse ones out.
fn lately(window: Window, tuning: &Tuning) -> impl Fn(Timestamp) -> bool {
    let windows = tuning.held_windows * window.milliseconds() as f64;
    let held = windows.max(tuning.held_least * 1000.0) as i64;
    let end = window.end.0;
    let near = end.saturating_sub(held)..=end.saturating_add(held);
    move |until| near.contains(&until.0)
}

/// The basis from which on a service is counted. `heard` are those of now, the best first, and `amounts`
/// say in two ways what each rank counts.
fn decide(
    before: Option<Basis>,
    heard: &[Basis],
    amounts: [[f64; RANKS]; 2],
    tuning: &Tuning,
) -> Option<Basis> {
    let is_heard = |of: &Basis| heard.iter().any(|basis| basis.rank() == of.rank());
    let kept = before.filter(is_heard);
    let best = *heard.first()?;
    let counts_as_much = |amounts: [f64; RANKS]| {
        let (better, worse) = amounts.split_at(best.rank() + 1);
        let (better, worse): (f64, f64) = (better.iter().sum(), worse.iter().sum());
        worse > 0.0 && better >= tuning.replaces * worse
    };
    let is_better = kept.is_none_or(|kept| best.rank() < kept.rank());
    if is_better && amounts.into_iter().all(counts_as_much) {
        Some(best)
    } else {
        kept
    }
}

fn place(services: &[ServicePlan], service: ServiceId) -> Option<usize> {
    let found = services.binary_search_by_key(&service, |plan| plan.service);
    found.ok()
}

/// Of each service, the part of a window's requests of which nobody says whether they were sampled, in
/// (0, 1]; sorted. Services of which all is said are left out.
pub(crate) fn unsaid(counts: &WindowCounts) -> Vec<(ServiceId, f64)> {
    if counts
        .reports
        .iter()
        .all(|report| report.basis.says_sampled())
    {
        return Vec::new();
    }
    let reports = placed(counts);
    let mut sums: HashMap<ServiceId, (f64, f64)> = HashMap::new();
    for count in &counts.agents {
        let Some(service) = count.service else {
            continue;
        };
        let says = reports
            .get(&count.agent)
            .is_none_or(|(basis, _)| basis.says_sampled());
        let (unsaid, all) = sums.entry(service).or_default();
        let offered = count.offered as f64;
        *all += offered;
        *unsaid += if says { 0.0 } else { offered };
    }
    let parts = sums.into_iter().filter(|(_, (unsaid, _))| *unsaid > 0.0);
    let mut parts: Vec<_> = parts
        .map(|(of, (unsaid, all))| (of, unsaid / all))
        .collect();
    parts.sort_unstable_by_key(|(service, _)| *service);
    parts
}

/// The basis of each agent in a window, and up to when it has counted. The format of release 0.1.0 does
/// not say it.
fn placed(counts: &WindowCounts) -> HashMap<AgentId, (Basis, Timestamp)> {
    let mut newest: HashMap<AgentId, (Basis, Timestamp)> = HashMap::new();
    let placed = |report: &&AgentReport| report.sequence != UNPLACED;
    for report in counts.reports.iter().filter(placed) {
        let found = (report.basis, report.span.end);
        let held = newest.entry(report.agent).or_insert(found);
        // By the time first, so that the order of the reports does not matter.
        if (found.1, found.0) > (held.1, held.0) {
            *held = found;
        }
    }
    newest
}
