//! Which edges follow the plan.

use chrono::{DateTime, Utc};

/// What a replica heard of an edge.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeBeat {
    /// Its name.
    pub edge: String,
    /// What it calls itself, with its release; empty if it does not say.
    pub version: String,
    /// The number of the plan that it has; 0 for none, or an old one.
    pub plan: u64,
}

/// An edge that asked lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredEdge {
    /// What was heard of it.
    pub beat: EdgeBeat,
    /// When it last asked or waited, on the database's clock.
    pub seen_at: DateTime<Utc>,
}
