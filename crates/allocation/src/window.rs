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
    pub operation: super::OperationId,
    /// The service it belongs to.
    pub service: super::ServiceId,
    /// Whether this is its service's counted overflow entry rather than a named operation.
    pub overflow: bool,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests kept; never more than `offered`.
    pub sampled: u64,
}

/// What one agent reported for one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct AgentCount {
    /// Which agent.
    pub agent: super::AgentId,
    /// Root requests it reported, over all operations.
    pub offered: u64,
    /// How much of the window its reports cover, in milliseconds; at most the window's length.
    pub covered_milliseconds: i64,
}

/// How many SDK instances of one service were reported for one window.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct ServiceCount {
    /// Which service.
    pub service: super::ServiceId,
    /// The sum over reports of their instances times the milliseconds of the window they cover. Divided by
    /// the window's length it is the mean number of instances. A sum needs no identity of an instance or an
    /// agent.
    pub instance_milliseconds: u64,
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
    /// The agents that were heard.
    pub agents: Vec<AgentCount>,
}
