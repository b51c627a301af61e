//! What is stored of the agents, within bounds.

use super::super::{AgentRate, AgentState, Timestamp};
use super::agents::Timeline;
use super::mass::Pair;
use super::{AGENTS_MAX, RATES_MAX};

/// The pairs with the most traffic, if there are too many.
pub(super) fn heaviest(mut pairs: Vec<Pair>) -> Vec<Pair> {
    if pairs.len() > RATES_MAX {
        let order = |one: &Pair, other: &Pair| {
            let key = |pair: &Pair| (pair.agent, pair.service);
            other
                .rate
                .total_cmp(&one.rate)
                .then(key(one).cmp(&key(other)))
        };
        pairs.sort_by(order);
        pairs.truncate(RATES_MAX);
    }
    pairs
}

/// The agents and rates that are stored: not those that are gone for good.
pub(super) fn kept(
    timelines: Vec<Timeline>,
    mut pairs: Vec<Pair>,
    settled: Timestamp,
) -> (Vec<AgentState>, Vec<AgentRate>) {
    pairs.sort_by_cached_key(|pair| (pair.agent, pair.service));
    let rates: Vec<AgentRate> = pairs
        .iter()
        .filter(|pair| pair.rate > 0.0)
        .map(|pair| AgentRate {
            agent: pair.agent,
            service: pair.service,
            rate: pair.rate as f32,
            replaces: pair.replaces as f32,
        })
        .collect();
    let stays = |timeline: &Timeline| {
        let state = &timeline.state;
        let ended = state.ended && state.heard_until <= settled;
        let has_rate = || {
            let found = rates.binary_search_by_key(&state.agent, |rate| rate.agent);
            found.is_ok()
        };
        // As long as its reports are read again, it must not look new.
        let read_again = state.heard_until > settled;
        !ended && (state.missing_windows == 0 || read_again || has_rate())
    };
    let agents = timelines.into_iter().filter(stays);
    let mut agents: Vec<AgentState> = agents.map(|timeline| timeline.state).collect();
    if agents.len() > AGENTS_MAX {
        let rate = |state: &AgentState| {
            let first = rates.partition_point(|rate| rate.agent < state.agent);
            let own = rates[first..]
                .iter()
                .take_while(|rate| rate.agent == state.agent);
            own.map(|rate| f64::from(rate.rate)).sum::<f64>()
        };
        agents.sort_by_cached_key(|state| (std::cmp::Reverse(rate(state).to_bits()), state.agent));
        agents.truncate(AGENTS_MAX);
        agents.sort_unstable_by_key(|state| state.agent);
    }
    let known = |rate: &AgentRate| {
        let found = agents.binary_search_by_key(&rate.agent, |state| state.agent);
        found.is_ok()
    };
    let rates = rates.iter().copied().filter(known).collect();
    (agents, rates)
}
