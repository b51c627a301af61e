//! How many SDK instances each service has.
//!
//! Reports say how many instances they are of. Summed as instance-milliseconds and divided by the
//! window's length, that is the mean number, as far as all reports have come. When a window closes,
//! many still have not; when it is read again for the next plan, an interval later, nearly all have.
//! So the window before is what is counted, and the one that has just closed can only show that
//! there are more by now.
//!
//! Too few instances cost more than the operator gave, too many only a part of what could be
//! guaranteed: the estimates rise at once and fall slowly, and not while reports are missing.

use super::completeness::Reading;
use super::solve::amount;
use super::sum::exact_sum;
use super::tally::Tally;
use super::{AgentWeight, Hold, Inputs, Plan, ServiceId, WindowCounts};

/// How far one window takes an estimate down: by half in seven windows.
const FALL: f64 = 0.1;

/// The same for a service that nobody reported: its instances may be idle as well as gone.
const FADE: f64 = 0.01;

/// More instances than any fleet has, so that no product of them leaves the range of `f64`.
const INSTANCES_MAX: f64 = 1e12;

/// However little of a window was heard, it is scaled up by ten times at most.
const PART_MIN: f64 = 0.1;

/// What the windows say of how many instances there are.
#[derive(Debug)]
pub(super) struct Seen {
    /// What the window that has just closed shows for certain: those heard, unscaled.
    current: Vec<(ServiceId, f64)>,
    /// What the last window that can be counted shows: the one before, read again, because by now
    /// all of its reports have come; else the one that has just closed.
    counted: Vec<(ServiceId, f64)>,
    /// Whether everybody was heard in that one.
    whole: bool,
}

impl Seen {
    /// Reads the windows that a plan is made from.
    pub(super) fn of(
        previous: &Plan,
        inputs: &Inputs<'_>,
        tally: &Tally,
        reading: &Reading,
    ) -> Self {
        let current = means(tally, 1.0);
        let again = inputs.corrected.filter(|counts| {
            counts.window == previous.window
                && previous.number > 0
                && previous.fleet.hold != Hold::Frozen
        });
        let again = again.map(|counts| WindowCounts {
            window: counts.window,
            operations: Vec::new(),
            services: counts.services.clone(),
            agents: counts.agents.clone(),
        });
        match again.map(|counts| Tally::of(&counts, &[])) {
            Some(before) if before.seconds > 0.0 => Self {
                current,
                counted: means(&before, heard(previous, &before) * covered(&before)),
                whole: previous.fleet.hold == Hold::None,
            },
            _ => Self {
                current,
                counted: means(tally, reading.completeness * covered(tally)),
                whole: true,
            },
        }
    }

    /// Every service's instances, after those of the plan before; by id.
    pub(super) fn instances(&self, previous: &Plan, hold: Hold) -> Vec<(ServiceId, f64)> {
        let may_fall = self.whole && hold == Hold::None;
        let ids = previous.services.iter().map(|plan| plan.service);
        let ids = ids.chain(self.counted.iter().map(|(service, _)| *service));
        let mut ids: Vec<_> = ids
            .chain(self.current.iter().map(|(service, _)| *service))
            .collect();
        ids.sort_unstable();
        ids.dedup();
        let mut held = previous.services.iter().peekable();
        let mut follow = |service| {
            while held.next_if(|plan| plan.service < service).is_some() {}
            let held = held.next_if(|plan| plan.service == service);
            let held = held.map_or(0.0, |plan| amount(plan.instances).min(INSTANCES_MAX));
            let counted = match lookup(&self.counted, service) {
                Some(counted) if counted >= held => counted,
                Some(counted) if may_fall => held + FALL * (counted - held),
                None if may_fall => held * (1.0 - FADE),
                _ => held,
            };
            let current = lookup(&self.current, service).unwrap_or(0.0);
            (service, counted.max(current))
        };
        ids.into_iter().map(&mut follow).collect()
    }
}

/// The mean number of instances in a window, of which a part was heard.
fn means(tally: &Tally, part: f64) -> Vec<(ServiceId, f64)> {
    let milliseconds = tally.milliseconds as f64 * part.clamp(PART_MIN, 1.0);
    let mean = |sum: u64| {
        if milliseconds > 0.0 {
            (sum as f64 / milliseconds).min(INSTANCES_MAX)
        } else {
            0.0
        }
    };
    let services = tally.services.iter();
    services
        .map(|seen| (seen.service, mean(seen.instance_milliseconds)))
        .collect()
}

/// The part of the agents that a plan expects, by their weights, whose reports of its window have
/// come by now; no less than when it was planned with.
fn heard(previous: &Plan, tally: &Tally) -> f64 {
    let came = |agent| {
        let found = tally
            .agents
            .binary_search_by_key(&agent, |count| count.agent);
        found.is_ok()
    };
    let weight = |agent: &AgentWeight| agent.offered.max(0.0);
    let agents = previous.agents.iter();
    let all = exact_sum(agents.clone().map(weight));
    let heard = exact_sum(agents.filter(|agent| came(agent.agent)).map(weight));
    let part = if all > 0.0 { heard / all } else { 1.0 };
    part.max(previous.fleet.completeness)
}

/// The part of a window that the agents heard in it cover, in the mean over agents: what a service
/// has of instances does not depend on when its agents report.
fn covered(tally: &Tally) -> f64 {
    if tally.agents.is_empty() || tally.milliseconds <= 0 {
        return 1.0;
    }
    let agents = tally.agents.iter();
    let covered =
        agents.map(|agent| i128::from(agent.covered_milliseconds.clamp(0, tally.milliseconds)));
    let whole = tally.milliseconds as f64 * tally.agents.len() as f64;
    covered.sum::<i128>() as f64 / whole
}

fn lookup(list: &[(ServiceId, f64)], service: ServiceId) -> Option<f64> {
    let at = list.binary_search_by_key(&service, |(id, _)| *id).ok()?;
    Some(list[at].1)
}
