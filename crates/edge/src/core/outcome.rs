//! What came of spans and traces, for people.

use crate::otlp::limit::TakenAway;
use crate::plan::Class;

/// What came of a span.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Outcome {
    /// Of a trace that was kept.
    Kept,
    /// Of a trace that was dropped.
    Dropped,
    /// Nothing was to be decided.
    Passed,
    /// Came after its trace was kept.
    LateKept,
    /// Came after its trace was dropped.
    LateDropped,
    /// Came late, after as many others of its trace as are sent on.
    LateExcess,
    /// Came twice.
    Duplicate,
    /// Has no valid id of a trace or span.
    NoId,
    /// Is longer than is taken.
    TooLarge,
    /// Was to be kept, and is not valid OTLP.
    Malformed,
}

impl Outcome {
    /// All of them.
    pub const ALL: [Self; 10] = [
        Self::Kept,
        Self::Dropped,
        Self::Passed,
        Self::LateKept,
        Self::LateDropped,
        Self::LateExcess,
        Self::Duplicate,
        Self::NoId,
        Self::TooLarge,
        Self::Malformed,
    ];

    /// As metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Dropped => "dropped",
            Self::Passed => "passed",
            Self::LateKept => "late_kept",
            Self::LateDropped => "late_dropped",
            Self::LateExcess => "late_excess",
            Self::Duplicate => "duplicate",
            Self::NoId => "no_id",
            Self::TooLarge => "too_large",
            Self::Malformed => "malformed",
        }
    }
}

/// Why a trace was decided when it was.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub enum Cause {
    /// Its root came, and the delay has passed. At once if its root is head-governed.
    RootEnded,
    /// Its root did not come in time.
    Timeout,
    /// It has as many spans as are held.
    SpanLimit,
    /// It was among the oldest, and there was no room.
    Memory,
    /// The edge stops.
    Stop,
    /// Another edge owns it, and has decided.
    Owner,
    /// Another edge owns it, and did not say in time what it decided.
    OwnerSilent,
}

impl Cause {
    /// All of them.
    pub const ALL: [Self; 7] = [
        Self::RootEnded,
        Self::Timeout,
        Self::SpanLimit,
        Self::Memory,
        Self::Stop,
        Self::Owner,
        Self::OwnerSilent,
    ];

    /// As metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::RootEnded => "root_ended",
            Self::Timeout => "timeout",
            Self::SpanLimit => "span_limit",
            Self::Memory => "memory",
            Self::Stop => "stop",
            Self::Owner => "owner",
            Self::OwnerSilent => "owner_silent",
        }
    }
}

/// Counts since the start.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Figures {
    /// Spans that came.
    pub received: u64,
    /// Spans by [`Outcome`].
    pub spans: [u64; Outcome::ALL.len()],
    /// Traces by [`Cause`].
    pub decided: [u64; Cause::ALL.len()],
    /// Traces that were decided without a root.
    pub no_root: u64,
    /// Traces by [`Class`], those that were dropped and those that were kept.
    pub traces: [[u64; 2]; Class::ALL.len()],
    /// Spans that end before they start.
    pub clock_backwards: u64,
    /// Spans that are held.
    pub held_spans: u64,
    /// Traces that are held.
    pub held_traces: u64,
    /// Bytes of the ring's segments.
    pub ring_bytes: u64,
    /// Traces whose decision is remembered.
    pub remembered: u64,
    /// Services and operations that are told apart.
    pub operations: u64,
    /// How often probabilities are halved, because backends do not keep up.
    pub relief: u32,
    /// Attributes of kept spans that were cut or dropped.
    pub attributes: TakenAway,
    /// Edges that decide together, this one included.
    pub edges: u64,
    /// Traces that were decided here though another edge owns them.
    pub alone: u64,
    /// Traces that were kept by one edge and dropped by another.
    pub conflicts: u64,
    /// What was to be said to other edges, and waited for too long.
    pub peer_records_lost: u64,
}

impl Figures {
    /// Spans of an outcome.
    #[must_use]
    pub fn of(&self, outcome: Outcome) -> u64 {
        self.spans[outcome as usize]
    }

    /// Adds spans of an outcome.
    pub(super) fn add(&mut self, outcome: Outcome, spans: u64) {
        self.spans[outcome as usize] += spans;
    }
}
