//! Defines time for the allocation: instants and half-open windows, passed in, never read from a clock.

/// An instant, in milliseconds since the Unix epoch.
///
/// # Units
/// Milliseconds; negative before 1970.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Timestamp(pub i64);

/// A half-open span of time: `start` belongs to it, `end` does not.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub struct Window {
    /// The first instant inside.
    pub start: Timestamp,
    /// The first instant after.
    pub end: Timestamp,
}

impl Window {
    /// The window's length in milliseconds; never negative.
    #[must_use]
    pub fn milliseconds(self) -> i64 {
        self.end.0.saturating_sub(self.start.0).max(0)
    }

    /// The window's length in seconds.
    #[must_use]
    pub fn seconds(self) -> f64 {
        self.milliseconds() as f64 / 1000.0
    }

    /// The milliseconds that two windows share.
    #[must_use]
    pub fn overlap_milliseconds(self, other: Self) -> i64 {
        let end = self.end.0.min(other.end.0);
        end.saturating_sub(self.start.0.max(other.start.0)).max(0)
    }

    /// The window of length `milliseconds`, aligned to its own multiples, that holds `at`. It is cut
    /// short where time ends.
    #[must_use]
    pub fn aligned(at: Timestamp, milliseconds: i64) -> Self {
        let milliseconds = milliseconds.max(1);
        let start = at.0.div_euclid(milliseconds).saturating_mul(milliseconds);
        Self {
            start: Timestamp(start),
            end: Timestamp(start.saturating_add(milliseconds)),
        }
    }
}

/// What the reports say of one operation in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct OperationCount {
    /// Which operation.
    pub operation: crate::OperationId,
    /// The service it belongs to.
    pub service: crate::ServiceId,
    /// Whether this is its service's counted overflow entry rather than a named operation.
    pub overflow: bool,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests kept; never more than `offered`.
    pub sampled: u64,
}

/// By what requests were counted, from the best to the worst.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash, Default)]
pub enum Basis {
    /// By agents and samplers that count root requests themselves.
    #[default]
    Reports,
    /// By the metric of an SDK that counts root requests.
    Roots,
    /// By metrics that count requests, whether they are roots or not. Nobody says which were sampled.
    Requests,
    /// By the root spans that were sampled: each stands for the inverse of its probability.
    Spans,
    /// By all spans of servers after sampling, roots or not.
    Calls,
}

impl Basis {
    /// All of them, the best first.
    pub const ALL: [Self; 5] = [
        Self::Reports,
        Self::Roots,
        Self::Requests,
        Self::Spans,
        Self::Calls,
    ];

    /// Its place when the same requests are counted twice: 0 is the best. Processes that count roots and
    /// processes that count all requests are different ones, so neither replaces the other.
    #[must_use]
    pub const fn rank(self) -> usize {
        match self {
            Self::Reports => 0,
            Self::Roots | Self::Requests => 1,
            Self::Spans => 2,
            Self::Calls => 3,
        }
    }

    /// Whether it says how many requests were sampled.
    #[must_use]
    pub const fn says_sampled(self) -> bool {
        !matches!(self, Self::Requests)
    }

    /// Whether it says so independently of what was offered. What is counted by what was sampled says
    /// nothing of whether SDKs apply what they are served.
    #[must_use]
    pub const fn shows_compliance(self) -> bool {
        matches!(self, Self::Reports | Self::Roots)
    }
}

/// One report of an agent, without its counts.
///
/// A report that covers parts of several windows occurs in each of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentReport {
    /// Who sent it.
    pub agent: crate::AgentId,
    /// The first 32 bits of the agent's epoch.
    pub epoch: u32,
    /// Its place in the epoch. If the report before it has the sequence before, there was no traffic
    /// between the two.
    pub sequence: u64,
    /// The time it covers, which may be longer than the window.
    pub span: Window,
    /// Whether the agent said that it is its last one.
    pub last: bool,
    /// By what it was counted.
    pub basis: Basis,
}

/// What one agent reported of one service in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentCount {
    /// Which agent.
    pub agent: crate::AgentId,
    /// Of which service; none for all of its services together, as earlier releases stored it.
    pub service: Option<crate::ServiceId>,
    /// Root requests before sampling, over all operations.
    pub offered: u64,
    /// Root requests kept; never more than `offered`.
    pub sampled: u64,
}

/// How many SDK instances of one service were reported for one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceCount {
    /// Which service.
    pub service: crate::ServiceId,
    /// The sum over reports of their instances times the milliseconds of the window they cover. Divided by
    /// the window's length it is the mean number of instances. A sum needs no identity of an instance or an
    /// agent.
    pub instance_milliseconds: u64,
}

/// How often the SDKs of one service asked for their strategy in one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct PollCount {
    /// Which service.
    pub service: crate::ServiceId,
    /// The polls that were answered, over all replicas.
    pub polls: u32,
}

/// Everything reported for one window. A key occurs once in each list; the order does not matter.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct WindowCounts {
    /// The span of time the counts are of.
    pub window: Window,
    /// The operations that were reported.
    pub operations: Vec<OperationCount>,
    /// The services whose instances were reported.
    pub services: Vec<ServiceCount>,
    /// The reports that cover a part of the window.
    pub reports: Vec<AgentReport>,
    /// What each agent counted in the window.
    pub agents: Vec<AgentCount>,
    /// Reports that arrived in the window and cover only time before the window that precedes it.
    pub late: Vec<AgentReport>,
    /// The polls of all services; services without polls may be left out. None if those of a replica are not known.
    pub polls: Option<Vec<PollCount>>,
}
