//! What holding is bounded by.

use crate::otlp::limit::AttributeLimits;

/// The bounds.
#[derive(Debug, Clone, Copy)]
pub struct Limits {
    /// Bytes of held spans.
    pub ring_bytes: usize,
    /// Bytes of the table of traces.
    pub table_bytes: usize,
    /// Bytes of what was decided.
    pub decision_bytes: usize,
    /// Bytes of decisions that wait for other edges.
    pub peer_bytes: usize,
    /// This edge among others: a random number.
    pub edge_id: u64,
    /// Services and operations that are told apart.
    pub operations_max: usize,
    /// How long after its root a trace is decided.
    pub decision_delay_ms: u64,
    /// How long a trace waits for its root.
    pub trace_timeout_ms: u64,
    /// Spans of a trace that are held; and as many are sent on that come late.
    pub trace_spans_max: u32,
    /// The longest span.
    pub span_bytes_max: usize,
    /// What kept spans may say.
    pub attributes: AttributeLimits,
}

impl Limits {
    /// The size of a segment: 64 of them at least, 1 MiB at most.
    pub(super) fn segment_bytes(&self) -> usize {
        (self.ring_bytes / 64).clamp(16 << 10, 1 << 20)
    }
}
