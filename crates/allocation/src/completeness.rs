//! Judges how much of a window was reported, and what the window may be used for.
//!
//! Two separate questions. *Completeness*: which of the expected agents were heard at all? It decides
//! whether the window can be trusted, because nobody knows what the others saw. *Coverage*: how much of
//! the window do the reports of the heard agents cover? The last report of a window often arrives after
//! the grace. Then no agent is missing, and the counts are scaled up.
//!
//! An agent that reported before is expected to report again, weighted by its traffic. A missing agent
//! is either silent (its traffic goes on unseen) or gone (its traffic ended or moved to others). The
//! fleet's total tells the two apart, because it stays the same when traffic moves. Time tells them
//! apart as well: the longer an agent is silent, the less it is expected.

use super::tally::SortedCounts;
use super::{AgentCount, AgentWeight, Hold};

/// An agent counts as heard in full if its reports cover at least this part of the window. An agent
/// whose reports are as long as the window is half a window late on average; an agent that died in
/// the window is missed from the next window on. Below this, the agent counts in proportion.
const HEARD: f64 = 0.1;

/// From this completeness on, counts are scaled by its inverse and trusted.
const TRUSTED: f64 = 0.9;

/// Under this completeness the window says too little even to cut by.
const USABLE: f64 = 0.5;

/// How fast an agent's weight follows its traffic. The weight only apportions trust, so it averages
/// over about three windows: neither a burst nor a lull of one window decides.
const WEIGHT_GAIN: f64 = 0.3;

/// How many silent windows an agent keeps its whole weight. Most outages (a restart, a network
/// partition, a collector's deploy) are shorter. Fading earlier would take the heard part for the whole
/// fleet and raise its probabilities while half of it is unheard.
const PATIENT_WINDOWS: u32 = 5;

/// After its patience an agent's weight halves with every silent window. 2⁻⁷ is the first power of two
/// below one in a hundred; from there on the agent is no longer expected.
const FADING_WINDOWS: u32 = 7;

/// A window is empty by chance less than once in a hundred when it is expected to hold at least
/// ln 100 root requests.
const EMPTY_BY_CHANCE: f64 = 4.6;

/// What a window is worth.
#[derive(Debug)]
pub(super) struct Reading {
    /// The weight of the agents heard, divided by the weight of all expected agents, in [0, 1].
    pub completeness: f64,
    /// The part of the window that the reports of the agents heard cover, in [0, 1].
    pub coverage: f64,
    /// What the window may be used for.
    pub hold: Hold,
    /// Whom the next window expects.
    pub agents: Vec<AgentWeight>,
}

impl Reading {
    /// The part of the fleet's traffic in the window that its counts hold.
    pub(super) fn part_counted(&self) -> f64 {
        self.completeness * self.coverage
    }
}

/// Judges a window by the agents expected in it and the offered rate forecast for it.
///
/// `readable` is the part of the window's counts that could be read. What could not is missing like
/// the counts of agents that were not heard, and nothing is raised without it.
pub(super) fn read(
    expected: &[AgentWeight],
    tally: &SortedCounts,
    forecast: f64,
    readable: f64,
) -> Reading {
    if tally.seconds <= 0.0 || nothing_came(expected, tally, forecast) {
        // Nobody at all was heard: the path to this server failed, not the agents, so no agent fades.
        return Reading {
            completeness: 0.0,
            coverage: 0.0,
            hold: Hold::Frozen,
            agents: expected.to_vec(),
        };
    }
    let (weights, agents) = meet(expected, tally);
    let (completeness, coverage) = (weights.completeness(), weights.coverage());
    let completeness = if has_moved(completeness, coverage, tally, forecast) {
        1.0
    } else {
        completeness
    };
    let completeness = completeness * readable.clamp(0.0, 1.0);
    let doubt = if readable < 1.0 {
        Hold::CutsOnly
    } else {
        Hold::None
    };
    Reading {
        completeness,
        coverage,
        hold: hold(completeness).max(doubt),
        agents,
    }
}

/// The weights that agents had before a window changed them to these.
///
/// Agents heard in the window keep their weight: the window's counts are not kept, and one window
/// hardly moves a weight.
pub(super) fn rewind(agents: &[AgentWeight], completeness: f64) -> Vec<AgentWeight> {
    let faded = completeness > 0.0;
    let mut before = agents.to_vec();
    for agent in &mut before {
        if faded && agent.silent_windows > 0 {
            if agent.silent_windows > PATIENT_WINDOWS {
                agent.offered *= 2.0;
            }
            agent.silent_windows -= 1;
        }
    }
    before
}

fn hold(completeness: f64) -> Hold {
    if completeness >= TRUSTED {
        Hold::None
    } else if completeness >= USABLE {
        Hold::CutsOnly
    } else {
        Hold::Frozen
    }
}

/// Whether a window without any count cannot be explained as a quiet window.
fn nothing_came(expected: &[AgentWeight], tally: &SortedCounts, forecast: f64) -> bool {
    if !tally.operations.is_empty() {
        return false;
    }
    let known = !expected.is_empty() || forecast > 0.0;
    known && (tally.agents.is_empty() || forecast * tally.seconds >= EMPTY_BY_CHANCE)
}

/// Whether the traffic of the missing agents arrived through other agents.
///
/// If it did, the total stayed at the forecast; if not, the total fell to the part that was heard (both
/// scaled by coverage). The total counts as unchanged when it is nearer to the forecast and at least
/// nine tenths of it.
fn has_moved(heard: f64, coverage: f64, tally: &SortedCounts, forecast: f64) -> bool {
    let least = f64::midpoint(1.0, heard).max(TRUSTED);
    forecast > 0.0 && tally.offered_per_second() >= least * forecast * coverage
}

/// The weights of agents, by what was heard of them.
#[derive(Debug, Clone, Copy, Default)]
struct Weights {
    /// Of all that were expected.
    expected: f64,
    /// As far as they count as heard.
    heard: f64,
    /// As far as their reports cover the window.
    covered: f64,
}

impl Weights {
    fn add(&mut self, weight: f64, part: f64) {
        self.expected += weight;
        self.heard += weight * (part / HEARD).min(1.0);
        self.covered += weight * part;
    }

    /// The part of the weight expected that was heard; all of nothing.
    fn completeness(&self) -> f64 {
        part_of(self.heard, self.expected)
    }

    /// The part of the window that those heard cover; all of it for nobody.
    fn coverage(&self) -> f64 {
        part_of(self.covered, self.heard)
    }
}

fn part_of(part: f64, whole: f64) -> f64 {
    if whole > 0.0 {
        (part / whole).min(1.0)
    } else {
        1.0
    }
}

/// Merges expected and heard agents; returns what was heard and the weights from now on.
///
/// If nobody was expected yet, the heard agents are assumed to have been there for the whole window.
fn meet(expected: &[AgentWeight], tally: &SortedCounts) -> (Weights, Vec<AgentWeight>) {
    let mut agents = Vec::with_capacity(expected.len().max(tally.agents.len()));
    let (mut known, mut new) = (Weights::default(), Weights::default());
    let mut add_new = |agents: &mut Vec<AgentWeight>, count: &AgentCount| {
        let newcomer = newcomer(count, tally);
        agents.extend(newcomer);
        if let Some(agent) = newcomer {
            new.add(agent.offered, part_covered(count, tally));
        }
    };
    let mut counts = tally.agents.iter().peekable();
    for agent in expected {
        while let Some(count) = counts.next_if(|count| count.agent < agent.agent) {
            add_new(&mut agents, count);
        }
        let count = counts.next_if(|count| count.agent == agent.agent);
        let part = count.map_or(0.0, |count| part_covered(count, tally));
        known.add(agent.offered.max(0.0), part);
        match count {
            Some(count) if part > 0.0 => agents.push(follow(agent, count, tally, part)),
            _ => agents.extend(fade(agent)),
        }
    }
    counts.for_each(|count| add_new(&mut agents, count));
    if known.expected > 0.0 {
        return (known, agents);
    }
    // Nobody can be missing where nobody was expected.
    new.heard = new.expected;
    (new, agents)
}

fn part_covered(count: &AgentCount, tally: &SortedCounts) -> f64 {
    (count.covered_milliseconds as f64 / tally.milliseconds as f64).clamp(0.0, 1.0)
}

/// An agent's rate over the part of the window that its reports cover.
fn rate(count: &AgentCount, tally: &SortedCounts, part: f64) -> f64 {
    count.offered as f64 / (tally.seconds * part)
}

fn newcomer(count: &AgentCount, tally: &SortedCounts) -> Option<AgentWeight> {
    let part = part_covered(count, tally);
    (part > 0.0).then(|| AgentWeight {
        agent: count.agent,
        offered: rate(count, tally, part),
        silent_windows: 0,
    })
}

fn follow(agent: &AgentWeight, count: &AgentCount, tally: &SortedCounts, part: f64) -> AgentWeight {
    let before = agent.offered.max(0.0);
    AgentWeight {
        agent: agent.agent,
        offered: before + WEIGHT_GAIN * (rate(count, tally, part) - before),
        silent_windows: 0,
    }
}

fn fade(agent: &AgentWeight) -> Option<AgentWeight> {
    let silent_windows = agent.silent_windows.saturating_add(1);
    let offered = if silent_windows > PATIENT_WINDOWS {
        agent.offered / 2.0
    } else {
        agent.offered
    };
    (silent_windows < PATIENT_WINDOWS + FADING_WINDOWS).then_some(AgentWeight {
        agent: agent.agent,
        offered,
        silent_windows,
    })
}
