//! How much of a window was heard, and what follows from it.
//!
//! Agents that reported before are expected to report again, each with the weight of its
//! traffic. One that is missing either fell silent, and its traffic goes on unseen, or is gone,
//! and its traffic moved to others or ended. The two are told apart by the fleet's total, which
//! stays when traffic moves, and by time: an agent that stays silent is believed in less and less.

use super::tally::Tally;
use super::{AgentCount, AgentWeight, Hold};

/// From this completeness on, counts are scaled by its inverse and trusted.
const TRUSTED: f64 = 0.9;

/// Under this completeness the window says too little even to cut by.
const USABLE: f64 = 0.5;

/// How fast an agent's weight follows its traffic. It only apportions the fleet's trust, so it
/// averages over some three windows and lets neither a burst nor a lull of one decide.
const WEIGHT_GAIN: f64 = 0.3;

/// An agent silent for so many windows still has its whole weight: most outages (a restart, a
/// network partition, a collector's deploy) are over by then, and fading earlier would read the
/// rest of the fleet as the whole and raise its probabilities while half of it is unheard.
const PATIENT_WINDOWS: u32 = 5;

/// After its patience an agent's weight halves per silent window; 2⁻⁷ is the first power under
/// one in a hundred of what it was, and then it is no longer expected.
const FADING_WINDOWS: u32 = 7;

/// A window is empty by chance less than once in a hundred when it is expected to hold at least
/// ln 100 root requests.
pub(super) const EMPTY_BY_CHANCE: f64 = 4.6;

/// What a window is worth.
#[derive(Debug)]
pub(super) struct Reading {
    /// The part of the expected reports that was heard, in [0, 1].
    pub completeness: f64,
    /// What the window may be used for.
    pub hold: Hold,
    /// Whom the next window expects.
    pub agents: Vec<AgentWeight>,
}

/// Judges a window by the agents expected in it and the offered rate forecast for it.
pub(super) fn read(expected: &[AgentWeight], tally: &Tally, forecast: f64) -> Reading {
    if tally.seconds <= 0.0 || nothing_came(expected, tally, forecast) {
        // Nobody at all was heard: that is the way to us, not the agents, so none of them fades.
        return Reading {
            completeness: 0.0,
            hold: Hold::Frozen,
            agents: expected.to_vec(),
        };
    }
    let (heard, agents) = meet(expected, tally);
    let completeness = if has_moved(heard, tally, forecast) {
        1.0
    } else {
        heard
    };
    Reading {
        completeness,
        hold: hold(completeness),
        agents,
    }
}

/// The weights that agents had before a window changed them to these.
///
/// Those heard in it keep theirs: their counts of that window are not kept, and the weights
/// hardly move in one.
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

/// Whether a window without any count cannot be a quiet window.
fn nothing_came(expected: &[AgentWeight], tally: &Tally, forecast: f64) -> bool {
    if !tally.operations.is_empty() {
        return false;
    }
    let known = !expected.is_empty() || forecast > 0.0;
    known && (tally.agents.is_empty() || forecast * tally.seconds >= EMPTY_BY_CHANCE)
}

/// Whether the traffic of the missing agents came through the others.
///
/// If it did, the total stayed at the forecast; if it did not, the total fell to the part heard.
/// The total counts as stayed when it is nearer to the first, and not under nine tenths of it.
fn has_moved(heard: f64, tally: &Tally, forecast: f64) -> bool {
    let least = f64::midpoint(1.0, heard).max(TRUSTED);
    forecast > 0.0 && tally.offered_per_second() >= least * forecast
}

/// Merges the agents expected and heard; gives the part heard and the weights from now on.
fn meet(expected: &[AgentWeight], tally: &Tally) -> (f64, Vec<AgentWeight>) {
    let mut agents = Vec::with_capacity(expected.len().max(tally.agents.len()));
    let (mut weight_heard, mut weight_expected) = (0.0, 0.0);
    let mut counts = tally.agents.iter().peekable();
    for agent in expected {
        while let Some(count) = counts.next_if(|count| count.agent < agent.agent) {
            agents.extend(newcomer(count, tally));
        }
        let count = counts.next_if(|count| count.agent == agent.agent);
        let part = count.map_or(0.0, |count| part_covered(count, tally));
        let weight = agent.offered.max(0.0);
        weight_expected += weight;
        weight_heard += weight * part;
        match count {
            Some(count) if part > 0.0 => agents.push(follow(agent, count, tally, part)),
            _ => agents.extend(fade(agent)),
        }
    }
    agents.extend(counts.filter_map(|count| newcomer(count, tally)));
    let heard = if weight_expected > 0.0 {
        (weight_heard / weight_expected).min(1.0)
    } else {
        1.0
    };
    (heard, agents)
}

fn part_covered(count: &AgentCount, tally: &Tally) -> f64 {
    (count.covered_milliseconds as f64 / tally.milliseconds as f64).clamp(0.0, 1.0)
}

/// An agent's rate over the part of the window that its reports cover.
fn rate(count: &AgentCount, tally: &Tally, part: f64) -> f64 {
    count.offered as f64 / (tally.seconds * part)
}

fn newcomer(count: &AgentCount, tally: &Tally) -> Option<AgentWeight> {
    let part = part_covered(count, tally);
    (part > 0.0).then(|| AgentWeight {
        agent: count.agent,
        offered: rate(count, tally, part),
        silent_windows: 0,
    })
}

fn follow(agent: &AgentWeight, count: &AgentCount, tally: &Tally, part: f64) -> AgentWeight {
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
