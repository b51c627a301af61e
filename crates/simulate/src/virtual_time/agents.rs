//! The agents of a run and their faults, as values.

use std::ops::Range;
use std::time::Duration;

use super::Timing;

/// One place in the fleet: an agent, and those that take its place after it restarts.
#[derive(Debug, Clone, PartialEq)]
pub struct Agent {
    /// How much of the traffic it reports, relative to the other agents.
    pub part: f64,
    /// The services that it reports, as indexes into the traffic; none for all.
    pub services: Option<Vec<usize>>,
    /// How often it reports.
    pub period: Duration,
    /// Where in its period its reports end, in [0, 1).
    pub phase: f64,
    /// How long after its end a report arrives.
    pub delay: Delay,
    /// Whether it sends no report for time without requests.
    pub sparse: bool,
    /// The part of its periods in which it has requests, in (0, 1].
    pub busy: f64,
    /// A new agent takes its place after this many reports; none if it stays.
    pub reports: Option<u64>,
    /// The intervals in which it is there.
    pub lives: Range<usize>,
    /// How many SDKs of each of its services poll; 0 if nobody counts polls.
    pub sdks: u32,
    /// The intervals in which they do not.
    pub sdks_silent: Range<usize>,
}

impl Agent {
    /// The agent number `place` of `agents` equal ones, whose reports end at evenly spread times.
    #[must_use]
    pub fn regular(place: usize, agents: usize, timing: &Timing) -> Self {
        Self {
            part: 1.0,
            services: None,
            period: timing.report_interval,
            phase: (place as f64 + 0.5) / agents.max(1) as f64,
            delay: Delay::default(),
            sparse: false,
            busy: 1.0,
            reports: None,
            lives: 0..usize::MAX,
            sdks: 0,
            sdks_silent: 0..0,
        }
    }

    /// A fleet of equal agents.
    #[must_use]
    pub fn fleet(agents: usize, timing: &Timing) -> Vec<Self> {
        (0..agents)
            .map(|place| Self::regular(place, agents, timing))
            .collect()
    }
}

/// How long after its end a report arrives: drawn evenly between two bounds.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Delay {
    /// The shortest delay.
    pub least: Duration,
    /// The longest delay.
    pub most: Duration,
}

impl Delay {
    /// Always the same delay.
    #[must_use]
    pub fn fixed(delay: Duration) -> Self {
        Self {
            least: delay,
            most: delay,
        }
    }
}

/// Agents whose reports do not arrive for a while. Their traffic goes on.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Loss {
    /// The intervals in which their reports end.
    pub intervals: Range<usize>,
    /// The number of agents, from the first on.
    pub agents: usize,
    /// Whether the reports are kept and arrive together afterwards; otherwise they are lost.
    pub queued: bool,
}

/// Agents that restart in the middle of an interval, under new names.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Restart {
    /// The interval of the restart.
    pub at: usize,
    /// The number of agents, from the first on.
    pub agents: usize,
    /// Whether they send a last report before. Otherwise what they had counted since their last report
    /// is lost.
    pub last: bool,
}

/// Agents that end at the beginning of an interval and do not come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct End {
    /// The interval.
    pub at: usize,
    /// The number of agents, from the first on.
    pub agents: usize,
    /// Whether they send a last report.
    pub last: bool,
    /// Whether the other agents report their traffic from then on; otherwise it ends with them.
    pub moved: bool,
}

/// An agent that claims requests that nobody sent, once in each of some intervals.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Claim {
    /// The index of the agent.
    pub agent: usize,
    /// The intervals in which the reports end.
    pub intervals: Range<usize>,
    /// The root requests that are claimed each time, of the first operation.
    pub offered: u64,
}

/// All faults of agents.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct AgentFaults {
    /// Reports that do not arrive.
    pub losses: Vec<Loss>,
    /// Agents that restart.
    pub restarts: Vec<Restart>,
    /// Agents that end.
    pub ends: Vec<End>,
    /// Requests that nobody sent.
    pub claims: Vec<Claim>,
}

impl AgentFaults {
    /// The part of the traffic that has ended with its agents.
    #[must_use]
    pub fn ended(&self, agents: &[Agent], interval: usize) -> f64 {
        let total: f64 = agents.iter().map(|agent| agent.part).sum();
        let gone = |place: usize| {
            let of = |end: &End| !end.moved && end.at <= interval && place < end.agents;
            self.ends.iter().any(of)
        };
        let parts = agents.iter().enumerate().filter(|(place, _)| gone(*place));
        let ended: f64 = parts.map(|(_, agent)| agent.part).sum();
        if total > 0.0 { ended / total } else { 0.0 }
    }
}
