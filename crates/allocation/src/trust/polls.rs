//! Polls as evidence of what became of the traffic of missing agents.
//!
//! SDKs that still ask while their agent is silent say that their traffic goes on. SDKs that have stopped asking say
//! that it has ended. A poll names its service and nothing else, so the SDKs of a service are counted together. Polls
//! never raise demand, and never make an agent missing.

use super::super::{PollState, ServiceId, WindowCounts};
use super::mass::Pair;
use super::service::Context;
use crate::tuning::trust::Polls as Tuning;

/// The polls of the windows.
#[derive(Debug)]
pub(super) struct Polled {
    /// The polls by service, sorted; none for a window in which not all of them are known.
    windows: Vec<Option<Vec<(ServiceId, f64)>>>,
}

impl Polled {
    pub(super) fn of(windows: &[WindowCounts]) -> Self {
        let sorted = |counts: &WindowCounts| {
            let all = counts.polls.as_ref()?.iter();
            let mut all: Vec<_> = all.map(|of| (of.service, f64::from(of.polls))).collect();
            all.sort_unstable_by_key(|of| of.0);
            all.dedup_by(|next, kept| {
                let same = next.0 == kept.0;
                if same {
                    kept.1 += next.1;
                }
                same
            });
            Some(all)
        };
        Self {
            windows: windows.iter().map(sorted).collect(),
        }
    }

    /// Whether the polls of a window are known.
    pub(super) fn is_known(&self, window: usize) -> bool {
        self.windows.get(window).is_some_and(Option::is_some)
    }

    /// The polls of a service in a window, if they are known.
    fn count(&self, window: usize, service: ServiceId) -> Option<f64> {
        let all = self.windows.get(window)?.as_ref()?;
        let found = all.binary_search_by_key(&service, |of| of.0);
        Some(found.map_or(0.0, |at| all[at].1))
    }
}

/// What a service's agents usually report, in root requests per second.
struct Traffic {
    whole: f64,
    /// The part of it whose agents have been missing for long enough to ask what became of it.
    gone: f64,
}

impl Context<'_> {
    /// What polls have shown until the previous plan.
    pub(super) fn polls_before(&self, service: Option<ServiceId>) -> PollState {
        let before = service.and_then(|service| self.previous.service(service));
        before.map_or_else(PollState::default, |plan| plan.polls.sound())
    }

    /// Learns from the polls of the windows that have settled, and no longer expects the traffic of missing agents
    /// whose SDKs have stopped asking.
    pub(super) fn read_polls(
        &self,
        service: Option<ServiceId>,
        pairs: &mut [Pair],
        agents_return: f64,
    ) -> PollState {
        let mut state = self.polls_before(service);
        let Some(service) = service else {
            return state;
        };
        let tuning = &self.tuning.polls;
        let (whole, missing) = self.missing(pairs, agents_return);
        let traffic = Traffic {
            whole,
            gone: self.missing_for(pairs, tuning.missing_windows, agents_return),
        };
        // What falls silent later is not released at once because others have been.
        let asked = self.missing_for(
            pairs,
            tuning.missing_windows.saturating_add(1),
            agents_return,
        );
        let released = if traffic.gone > 0.0 {
            f64::from(state.released) * (asked / traffic.gone).min(1.0)
        } else {
            0.0
        };
        state.released = released as f32;
        state.stood = state.stood.saturating_add(1);
        let is_heard = missing <= (1.0 - self.tuning.agents.heard) * whole;
        for window in self.settling() {
            let Some(polls) = self.polled.count(window, service) else {
                continue;
            };
            if is_heard {
                state.follow(polls, whole, tuning);
            } else if traffic.gone > 0.0 {
                state.judge(polls, &traffic, tuning);
            }
        }
        // One step in a plan, even after a gap in which several windows have settled.
        state.released = state.released.min(tuning.next(released) as f32);
        self.give_up(pairs, f64::from(state.released));
        state
    }

    /// The places of the windows that no later plan reads again.
    pub(super) fn settling(&self) -> impl Iterator<Item = usize> {
        let settled = |counts: &&WindowCounts| counts.window.end <= self.settled;
        0..self.windows.iter().take_while(settled).count()
    }

    /// The usual traffic of the agents that have been missing for at least this long.
    fn missing_for(&self, pairs: &[Pair], windows: u32, agents_return: f64) -> f64 {
        let long = pairs
            .iter()
            .filter(|pair| self.is_missing_for(pair, windows));
        long.map(|pair| pair.mass * self.expected(pair, agents_return))
            .sum()
    }

    fn is_missing_for(&self, pair: &Pair, windows: u32) -> bool {
        let timeline = self.timeline(pair);
        timeline.is_missing() && timeline.state.missing_windows >= windows
    }

    /// No longer expects a part of the traffic of missing agents. If it is all of it, they are forgotten.
    fn give_up(&self, pairs: &mut [Pair], part: f64) {
        for pair in pairs {
            if self.is_missing_for(pair, self.tuning.polls.missing_windows) {
                pair.mass *= 1.0 - part;
                if part >= 1.0 {
                    pair.rate = 0.0;
                }
            }
        }
    }
}

impl PollState {
    /// Follows a window in which all agents are heard: the mean of the first windows, then a smoothed one. The very
    /// first is replaced by the second: polls are counted from when the service is first served, in the midst of it.
    fn follow(&mut self, polls: f64, traffic: f64, tuning: &Tuning) {
        let before = f64::from(self.windows.max(1));
        let gain = tuning.gain.max(1.0 / before);
        let off = polls - f64::from(self.usual);
        let square = if self.windows < 2 { polls } else { off * off };
        self.windows = self.windows.saturating_add(1);
        let moved = |from: f32, to: f64| (f64::from(from) + gain * (to - f64::from(from))) as f32;
        self.variance = moved(self.variance, square);
        self.usual = moved(self.usual, polls);
        self.traffic = moved(self.traffic, traffic);
    }

    /// Judges a window while agents are missing.
    fn judge(&mut self, polls: f64, traffic: &Traffic, tuning: &Tuning) {
        if self.windows < tuning.least_windows {
            return;
        }
        // Instances are fewer when there is less traffic, as at night. What the others report shows how much.
        let scale = if self.traffic > 0.0 {
            (traffic.whole / f64::from(self.traffic)).min(1.0)
        } else {
            1.0
        };
        let expected = scale * f64::from(self.usual);
        let chance = tuning.deviations * f64::from(self.variance).max(expected).sqrt();
        let theirs = expected * traffic.gone / traffic.whole;
        if theirs <= chance {
            // Too few polls to show whether theirs have ended.
            return;
        }
        let fallen = expected - polls;
        if fallen <= tuning.stand * theirs {
            (self.released, self.stood) = (0.0, 0);
        } else if fallen >= tuning.fallen * theirs && fallen > chance {
            // No more than what has fallen, and that as far as chance allows.
            let most = ((fallen + chance) / theirs).min(1.0);
            self.released = tuning.next(f64::from(self.released)).min(most) as f32;
        }
    }
}

impl Tuning {
    /// The part that is released one step later.
    fn next(&self, released: f64) -> f64 {
        let next = released + self.step.min(self.last_steps * (1.0 - released));
        if next < self.whole { next } else { 1.0 }
    }
}
