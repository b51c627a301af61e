//! Holds a count apart that is out of all proportion.
//!
//! Such a count would be believed for its service alone, but nothing says that it is traffic: not what
//! its agent has counted before, not the other agents of its service, not the whole fleet, not what was
//! sampled of it. Its service's window gives no evidence then. A claim that goes on is believed.

use std::cmp::Reverse;

use super::super::{Claim, Plan, ServiceId, WindowCounts};
use super::agents::Timeline;
use super::mass::Pair;
use crate::hint::Hint;
use crate::tuning::trust::Claims as Tuning;

/// Finds the claims of the windows: each with the place of its window.
pub(super) fn hold_apart(
    previous: &Plan,
    windows: &[WindowCounts],
    pairs: &mut Vec<Pair>,
    timelines: &mut [Timeline],
    tuning: &Tuning,
) -> Vec<(usize, Claim)> {
    if previous.fleet.offered <= 0.0 {
        return Vec::new();
    }
    let mut held = suspects(previous, windows, pairs, timelines, tuning);
    let services = Suspected::all(previous, windows.len(), pairs, &held);
    let hint = Hint::default();
    held.retain(|suspect| {
        let found = hint.find(&services, &suspect.service, |of| of.service);
        found
            .is_some_and(|at| services[at].is_claimed(suspect.window, &pairs[suspect.pair], tuning))
    });
    let mut claims = vec![false; timelines.len()];
    for newest in held.iter().filter(|of| of.window + 1 == windows.len()) {
        claims[pairs[newest.pair].timeline] = true;
    }
    for (timeline, claims) in timelines.iter_mut().zip(claims) {
        timeline.state.claims = match claims {
            true => timeline.state.claims.saturating_add(1),
            false if timeline.state.claims < tuning.believed_windows => 0,
            false => timeline.state.claims,
        };
    }
    let claims = held.iter().map(|suspect| {
        let pair = &pairs[suspect.pair];
        let claim = Claim {
            agent: pair.agent,
            service: suspect.service,
            offered: pair.counts[suspect.window].0,
        };
        (suspect.window, claim)
    });
    let mut claims: Vec<(usize, Claim)> = claims.collect();
    claims.sort_unstable();
    // Nobody weighs what it has only claimed.
    let mut claimed = vec![false; pairs.len()];
    for suspect in &held {
        claimed[suspect.pair] = !pairs[suspect.pair].settled;
    }
    let mut claimed = claimed.into_iter();
    pairs.retain(|_| claimed.next() != Some(true));
    claims
}

/// The largest claim of each agent and service, sorted. A claim of a window before the newest is one too: its report was
/// late, or no plan was made after its window.
pub(super) fn listed(held: Vec<(usize, Claim)>) -> Vec<Claim> {
    let mut claims: Vec<Claim> = held.into_iter().map(|(_, claim)| claim).collect();
    claims.sort_unstable_by_key(|claim| (claim.agent, claim.service, Reverse(claim.offered)));
    claims.dedup_by_key(|claim| (claim.agent, claim.service));
    claims
}

/// A count that is out of all proportion to what its agent has counted and to the fleet.
struct Suspect {
    /// The place of its window.
    window: usize,
    /// The place of its pair.
    pair: usize,
    service: ServiceId,
}

fn suspects(
    previous: &Plan,
    windows: &[WindowCounts],
    pairs: &[Pair],
    timelines: &[Timeline],
    tuning: &Tuning,
) -> Vec<Suspect> {
    let mut found = Vec::new();
    for (window, counts) in windows.iter().enumerate() {
        let seconds = counts.window.seconds();
        for (at, pair) in pairs.iter().enumerate() {
            let Some(service) = pair.service else {
                continue;
            };
            let offered = pair.offered(window);
            let usual = if pair.settled { pair.rate } else { 0.0 };
            let known = previous.fleet.offered.max(usual) * seconds;
            if offered > tuning.least
                && offered > tuning.proportion * known
                && timelines[pair.timeline].state.claims < tuning.believed_windows
            {
                found.push(Suspect {
                    window,
                    pair: at,
                    service,
                });
            }
        }
    }
    found
}

/// What speaks for the counts of a service.
struct Suspected {
    service: ServiceId,
    /// What all its agents counted, by window.
    offered: Vec<u128>,
    /// The lowest and the highest probability that it was served.
    served: (f64, f64),
}

impl Suspected {
    /// The services of some suspects, by id.
    fn all(previous: &Plan, windows: usize, pairs: &[Pair], suspects: &[Suspect]) -> Vec<Self> {
        let mut ids: Vec<ServiceId> = suspects.iter().map(|suspect| suspect.service).collect();
        if ids.is_empty() {
            return Vec::new();
        }
        ids.sort_unstable();
        ids.dedup();
        let new = |service| {
            let default = previous.served_default(service);
            Self {
                service,
                offered: vec![0; windows],
                served: (default, default),
            }
        };
        let mut all: Vec<Self> = ids.into_iter().map(new).collect();
        let hint = Hint::default();
        for pair in pairs {
            let found = pair
                .service
                .and_then(|service| hint.find(&all, &service, |of| of.service));
            if let Some(at) = found {
                for (sum, count) in all[at].offered.iter_mut().zip(&pair.counts) {
                    *sum += u128::from(count.0);
                }
            }
        }
        for (place, plan) in previous.operations.iter().enumerate() {
            if let Some(at) = hint.find(&all, &plan.service, |of| of.service) {
                let (least, most) = all[at].served;
                let served = previous.served(place);
                all[at].served = (least.min(served), most.max(served));
            }
        }
        all
    }

    /// Whether neither the other agents nor what was sampled speak for a count.
    fn is_claimed(&self, window: usize, pair: &Pair, tuning: &Tuning) -> bool {
        let (offered, sampled) = pair.counts[window];
        let others = self.offered[window].saturating_sub(u128::from(offered));
        offered as f64 > tuning.proportion * others as f64
            && !self.was_sampled(offered, sampled, tuning.sampled)
    }

    /// Whether as many were sampled as the probabilities of the service say.
    fn was_sampled(&self, offered: u64, sampled: u64, within: f64) -> bool {
        let (least, most) = self.served;
        let (offered, sampled) = (offered as f64, sampled as f64);
        sampled >= 1.0 && sampled >= offered * least / within && sampled <= offered * most * within
    }
}
