//! What each agent usually reports of each service.

use super::super::{AgentId, AgentRate, Plan, ServiceId, WindowCounts};
use super::agents::{Timeline, place};
use crate::tuning::trust::Usual as Tuning;

/// An agent and a service of which it reports.
#[derive(Debug, Clone)]
pub(super) struct Pair {
    pub agent: AgentId,
    pub service: Option<ServiceId>,
    /// The place of the agent's timeline.
    pub timeline: usize,
    /// What it is expected to report, in root requests per second.
    pub mass: f64,
    /// The usual rate to be stored; 0 for what is forgotten.
    pub rate: f64,
    /// The part of it that replaced agents which ended, in [0, 1].
    pub replaces: f64,
    /// Whether it is known from before the windows that are read.
    pub settled: bool,
    /// Whether nothing more is expected of it: what it counted before it fell silent has been replaced, has
    /// moved, was held apart, or is forgotten. Its counts are judged like all others.
    pub is_gone: bool,
    /// Its counts by window: offered and sampled.
    pub counts: Vec<(u64, u64)>,
}

impl Pair {
    pub(super) fn offered(&self, window: usize) -> f64 {
        self.counts.get(window).map_or(0.0, |count| count.0 as f64)
    }

    /// Follows a window that has settled.
    pub(super) fn follow(&mut self, window: usize, covered: f64, seconds: f64, tuning: &Tuning) {
        if covered <= 0.0 || seconds <= 0.0 || !self.settled {
            return;
        }
        let counted = self.offered(window) / (seconds * covered);
        // A part of a window says as much less.
        let next = self.rate + tuning.gain * covered * (counted - self.rate);
        self.rate = if self.rate > 0.0 {
            next.min(tuning.rise * self.rate)
        } else {
            next
        };
    }
}

/// All pairs that are known or counted, by agent and service.
pub(super) fn pairs(
    previous: &Plan,
    windows: &[WindowCounts],
    timelines: &[Timeline],
) -> Vec<Pair> {
    let counted = counted(windows);
    let stored = stored(previous, &counted);
    let mut known = stored.iter().peekable();
    let mut pairs: Vec<Pair> = Vec::with_capacity(stored.len());
    let mut add = |agent, service, counts: Vec<(u64, u64)>, rate: Option<&AgentRate>| {
        // Every agent counted has a report.
        if let Some(timeline) = place(timelines, agent) {
            pairs.extend(pair(
                previous,
                windows,
                &timelines[timeline],
                timeline,
                (agent, service),
                counts,
                rate,
            ));
        }
    };
    for own in counted.chunk_by(|one, other| (one.0, one.1) == (other.0, other.1)) {
        let (agent, service, ..) = own[0];
        while let Some(rate) = known.next_if(|rate| (rate.agent, rate.service) < (agent, service)) {
            add(rate.agent, rate.service, Vec::new(), Some(rate));
        }
        let rate = known.next_if(|rate| (rate.agent, rate.service) == (agent, service));
        let mut counts = vec![(0_u64, 0_u64); windows.len()];
        for (.., window, offered, sampled) in own {
            counts[*window].0 = counts[*window].0.saturating_add(*offered);
            counts[*window].1 = counts[*window].1.saturating_add(*sampled);
        }
        add(agent, service, counts, rate);
    }
    for rate in known {
        add(rate.agent, rate.service, Vec::new(), Some(rate));
    }
    pairs
}

/// Agent, service, place of the window, offered, sampled.
type Counted = (AgentId, Option<ServiceId>, usize, u64, u64);

/// The agents' counts of all windows, sorted. If those of some do not say of which service they are,
/// nobody's do.
fn counted(windows: &[WindowCounts]) -> Vec<Counted> {
    let whole = windows
        .iter()
        .any(|counts| counts.agents.iter().any(|count| count.service.is_none()));
    let mut counted = Vec::new();
    for (window, counts) in windows.iter().enumerate() {
        counted.extend(counts.agents.iter().map(|count| {
            let service = count.service.filter(|_| !whole);
            (count.agent, service, window, count.offered, count.sampled)
        }));
    }
    // Each window's counts are sorted: a stable sort merges them.
    counted.sort();
    counted
}

/// The stored rates, in the form of the counts: with services or without.
fn stored(previous: &Plan, counted: &[Counted]) -> Vec<AgentRate> {
    let Some(whole) = counted.first().map(|count| count.1.is_none()) else {
        return previous.rates.clone();
    };
    let rates = previous.rates.iter().copied();
    if !whole {
        return rates.filter(|rate| rate.service.is_some()).collect();
    }
    let mut summed: Vec<AgentRate> = Vec::new();
    for rate in rates {
        match summed.last_mut().filter(|sum| sum.agent == rate.agent) {
            Some(sum) => sum.rate += rate.rate,
            None => summed.push(AgentRate {
                service: None,
                ..rate
            }),
        }
    }
    summed
}

fn pair(
    previous: &Plan,
    windows: &[WindowCounts],
    timeline: &Timeline,
    at: usize,
    (agent, service): (AgentId, Option<ServiceId>),
    counts: Vec<(u64, u64)>,
    rate: Option<&AgentRate>,
) -> Option<Pair> {
    let offered: f64 = counts.iter().map(|count| count.0 as f64).sum();
    let covered: f64 = timeline
        .covered
        .iter()
        .zip(windows)
        .map(|(part, counts)| part * counts.window.seconds())
        .sum();
    let seen = if covered > 0.0 {
        offered / covered
    } else {
        0.0
    };
    // The rate of an agent that began within the windows that are read is computed again.
    let began = timeline.state.since >= previous.settled;
    let settled = rate.is_some() && !began;
    let usual = match rate {
        Some(rate) if settled => f64::from(rate.rate).max(0.0),
        _ => seen,
    };
    (usual > 0.0 && usual.is_finite()).then_some(Pair {
        agent,
        service,
        timeline: at,
        mass: usual,
        rate: usual,
        replaces: rate.map_or(0.0, |rate| f64::from(rate.replaces).clamp(0.0, 1.0)),
        settled,
        is_gone: rate.is_none() && timeline.is_missing(),
        counts,
    })
}
