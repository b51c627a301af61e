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
const RANKS: usize = 4;

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

/// What a window's counts do not say of what was sampled.
#[derive(Debug, Default)]
pub(crate) struct Unsaid {
    /// Of each service, the part of its requests of which nobody says how many were sampled, in (0, 1].
    pub unknown: Parts,
    /// The part of which nobody says so independently of what was offered, in (0, 1].
    pub unshown: Parts,
    /// Of these, the requests that were sampled.
    pub sampled: f64,
}

/// Parts of services, sorted. Services of which there is no part are left out.
#[derive(Debug, Default)]
pub(crate) struct Parts(Vec<(ServiceId, f64)>);

impl Parts {
    /// The part of a service.
    pub fn of(&self, service: ServiceId) -> f64 {
        let found = self.0.binary_search_by_key(&service, |of| of.0);
        found.map_or(0.0, |place| self.0[place].1)
    }

    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    fn services(self) -> Vec<ServiceId> {
        self.0.into_iter().map(|(service, _)| service).collect()
    }
}

/// The requests of a service: all of them, and those of which something is not said.
#[derive(Debug, Clone, Copy, Default)]
struct Requests {
    all: f64,
    unknown: f64,
    unshown: f64,
}

impl Unsaid {
    /// Reads it from a window.
    pub fn of(counts: &WindowCounts) -> Self {
        if counts
            .reports
            .iter()
            .all(|report| report.basis.shows_compliance())
        {
            return Self::default();
        }
        let reports = placed(counts);
        let mut sums: HashMap<ServiceId, Requests> = HashMap::new();
        let mut sampled = 0_u128;
        for count in &counts.agents {
            let Some(service) = count.service else {
                continue;
            };
            let basis = reports.get(&count.agent).map_or(Basis::Reports, |of| of.0);
            let offered = count.offered as f64;
            let sum = sums.entry(service).or_default();
            sum.all += offered;
            if !basis.says_sampled() {
                sum.unknown += offered;
            }
            if !basis.shows_compliance() {
                sum.unshown += offered;
                sampled += u128::from(count.sampled);
            }
        }
        let parts = |part: fn(&Requests) -> f64| {
            let sums = sums.iter().filter(|(_, sum)| part(sum) > 0.0);
            let mut parts: Vec<_> = sums.map(|(of, sum)| (*of, part(sum) / sum.all)).collect();
            parts.sort_unstable_by_key(|(service, _)| *service);
            Parts(parts)
        };
        Self {
            unknown: parts(|sum| sum.unknown),
            unshown: parts(|sum| sum.unshown),
            sampled: sampled as f64,
        }
    }
}

/// The services of which a window does not say how many requests were sampled, sorted.
#[must_use]
pub fn sampled_unknown(counts: &WindowCounts) -> Vec<ServiceId> {
    Unsaid::of(counts).unknown.services()
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
