//! What a plan knows of the agents that report.

use crate::{AgentId, ServiceId, Timestamp};

/// What is known of an agent.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgentState {
    /// Which agent.
    pub agent: AgentId,
    /// The epoch and sequence of its newest report that ended before [`Plan::settled`](crate::Plan::settled).
    pub epoch: u32,
    /// See [`AgentState::epoch`].
    pub sequence: u64,
    /// The end of that report. Before it, all that the agent counted is known.
    pub until: Timestamp,
    /// The start of its first report.
    pub since: Timestamp,
    /// Up to where its counts were known when the plan was made.
    pub heard_until: Timestamp,
    /// How late it usually is: by how many windows its counts are behind the end of a plan's window.
    pub habit: f32,
    /// By how many windows its counts are behind when it has traffic: it has not reported sooner lately.
    pub soonest: f32,
    /// The part of the time for which it sends no report, because there is no traffic.
    pub idle: f32,
    /// The mean time between two of its reports for which it sent none, in windows.
    pub pause: f32,
    /// Whether it has reported more than once.
    pub returned: bool,
    /// Whether it said that it has ended.
    pub ended: bool,
    /// Windows in a row, up to this one, in which it was later than its habit.
    pub missing_windows: u32,
    /// Windows in a row in which it claimed out of all proportion.
    pub claims: u32,
}

/// What an agent usually reports of a service.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct AgentRate {
    /// Which agent.
    pub agent: AgentId,
    /// Of which service; none for all of its services together.
    pub service: Option<ServiceId>,
    /// Its smoothed offered rate, in root requests per second.
    pub rate: f32,
    /// The part of it that replaced agents which ended, in [0, 1].
    pub replaces: f32,
}

/// A count that is held apart, because it is out of all proportion to everything known.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Claim {
    /// Whose.
    pub agent: AgentId,
    /// Of which service.
    pub service: ServiceId,
    /// The root requests claimed in the window.
    pub offered: u64,
}
