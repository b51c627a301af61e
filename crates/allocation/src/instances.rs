//! How many SDK instances each service has.
//!
//! Each report says how many instances it covers. The sum of instance-milliseconds divided by the
//! window's length is the mean number of instances, once all reports have arrived. When a window closes,
//! many are still on their way; when it is read again for the next plan, an interval later, nearly all
//! are there. So the previous window is the one that is counted, and the window that has just closed can
//! only show that there are more instances by now.
//!
//! Too few instances cost more than the operator reserved; too many cost only a part of the guarantee.
//! So estimates rise at once, fall slowly, and do not fall while reports are missing.

use super::completeness::Reading;
use super::solve::amount;
use super::sum::exact_sum;
use super::tally::SortedCounts;
use super::{AgentWeight, Hold, Inputs, Plan, ServiceId, WindowCounts};

/// How far one window lowers an estimate: to half in seven windows.
const FALL: f64 = 0.1;

/// The same for a service without reports: its instances may be idle as well as gone.
const FADE: f64 = 0.01;

/// More instances than any fleet has, so that no product of them leaves the range of `f64`.
const INSTANCES_MAX: f64 = 1e12;

/// A window is scaled up by a factor of ten at most, however little of it was heard.
const PART_MIN: f64 = 0.1;

/// What the windows show about the number of instances.
#[derive(Debug)]
pub(super) struct InstanceEvidence {
    /// What the closed window proves: the instances heard, unscaled.
    current: Vec<(ServiceId, f64)>,
    /// The newest complete window: the previous one, read again with all of its reports, or else the one
    /// that has just closed.
    counted: Vec<(ServiceId, f64)>,
    /// Whether every expected agent was heard in that window.
    whole: bool,
}

impl InstanceEvidence {
    /// Reads the windows that a plan is made from.
    pub(super) fn of(
        previous: &Plan,
        inputs: &Inputs<'_>,
        tally: &SortedCounts,
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
        match again.map(|counts| SortedCounts::of(&counts, &[])) {
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

    /// Every service's instances, based on the previous plan; by id.
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

/// The mean number of instances in a window of which a part was heard.
fn means(tally: &SortedCounts, part: f64) -> Vec<(ServiceId, f64)> {
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

/// The part of the expected agents, by weight, whose reports of the plan's window have arrived by now;
/// at least what it was when the plan was made.
fn heard(previous: &Plan, tally: &SortedCounts) -> f64 {
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

/// The part of a window that its heard agents cover, averaged over agents: the instances of a service do
/// not depend on when its agents report.
fn covered(tally: &SortedCounts) -> f64 {
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
