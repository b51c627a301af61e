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

use crate::amount::amount;
use crate::hint::beside;
use crate::tally::SortedCounts;
use crate::trust::Trust;
use crate::tuning::Tuning;
use crate::tuning::share::Instances;
use crate::{Plan, ServiceId, ServicePlan};

/// More instances than any fleet has, so that no product of them leaves the range of `f64`.
const INSTANCES_MAX: f64 = 1e12;

/// What the windows show about the number of instances.
#[derive(Debug)]
pub(crate) struct InstanceEvidence {
    /// What the closed window proves: the instances heard, unscaled.
    current: Vec<(ServiceId, f64)>,
    /// Those of the newest window that is (nearly) whole, and whether every agent of the service is heard.
    counted: Vec<(ServiceId, f64, bool)>,
}

impl InstanceEvidence {
    /// Reads the windows that a plan is made from.
    pub(crate) fn of(tallies: &[SortedCounts<'_>], trust: &Trust, tuning: &Tuning) -> Self {
        let Some(newest) = tallies.last() else {
            return Self {
                current: Vec::new(),
                counted: Vec::new(),
            };
        };
        // A window that is read again is whole; the one that has just closed seldom is.
        let again = tallies.len().saturating_sub(2);
        let mut services: Vec<ServiceId> = tallies
            .iter()
            .flat_map(|tally| tally.services.iter().map(|seen| seen.service))
            .collect();
        services.sort_unstable();
        services.dedup();
        let (own, all) = (&tuning.share.instances, tuning.trust.agents.heard);
        let counted = services.into_iter().map(|service| {
            let whole = |window: &usize| trust.exposure(service, *window) >= own.whole;
            let window = (0..=again).rev().find(whole).unwrap_or(again);
            let part = trust.exposure(service, window);
            let heard = part >= own.whole && trust.heard(service) >= all;
            (
                service,
                mean(&tallies[window], service, part.max(own.part_least)),
                heard,
            )
        });
        Self {
            counted: counted.collect(),
            current: newest
                .services
                .iter()
                .map(|seen| (seen.service, mean(newest, seen.service, 1.0)))
                .collect(),
        }
    }

    /// Every service's instances, based on the previous plan; by id.
    pub(crate) fn instances(
        &self,
        previous: &Plan,
        trust: &Trust,
        tuning: &Tuning,
    ) -> Vec<(ServiceId, f64)> {
        let Instances { fall, fade, .. } = tuning.share.instances;
        let ids = previous.services.iter().map(|plan| plan.service);
        let ids = ids.chain(self.counted.iter().map(|(service, ..)| *service));
        let mut ids: Vec<_> = ids.collect();
        ids.sort_unstable();
        ids.dedup();
        let follow = |(service, held): (ServiceId, Option<&ServicePlan>)| {
            let held = held.map_or(0.0, |plan| amount(plan.instances).min(INSTANCES_MAX));
            let found = self.counted.binary_search_by_key(&service, |(id, ..)| *id);
            let counted = match found.ok().map(|at| self.counted[at]) {
                Some((_, counted, _)) if counted >= held => counted,
                Some((_, counted, true)) => held + fall * (counted - held),
                None if trust.heard(service) >= tuning.trust.agents.heard => held * (1.0 - fade),
                _ => held,
            };
            let current = lookup(&self.current, service).unwrap_or(0.0);
            (service, counted.max(current))
        };
        let held = beside(
            ids.into_iter(),
            |id| *id,
            &previous.services,
            |plan| plan.service,
        );
        held.map(follow).collect()
    }
}

/// The mean number of a service's instances in a window of which a part is in.
fn mean(tally: &SortedCounts<'_>, service: ServiceId, part: f64) -> f64 {
    let milliseconds = tally.milliseconds as f64 * part.min(1.0);
    let found = tally
        .services
        .binary_search_by_key(&service, |seen| seen.service);
    match found {
        Ok(at) if milliseconds > 0.0 => {
            let sum = tally.services[at].instance_milliseconds;
            (sum as f64 / milliseconds).min(INSTANCES_MAX)
        }
        _ => 0.0,
    }
}

fn lookup(list: &[(ServiceId, f64)], service: ServiceId) -> Option<f64> {
    let at = list.binary_search_by_key(&service, |(id, _)| *id).ok()?;
    Some(list[at].1)
}
