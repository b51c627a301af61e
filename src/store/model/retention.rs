//! How long data is stored.

use super::SeriesBefore;
use crate::allocation::Timestamp;

/// How long data is stored: older data may be deleted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Deltas of buckets that start before this.
    pub deltas_before: Timestamp,
    /// Polls of windows that start before this.
    pub polls_before: Timestamp,
    /// Final names of windows that start before this.
    pub final_names_before: Timestamp,
    /// What replicas saw beside the counts in windows that start before this.
    pub observations_before: Timestamp,
    /// History rows and plan summaries before this.
    pub history_before: Timestamp,
    /// Series before this.
    pub series_before: SeriesBefore,
    /// Plan bodies published before this. The current plan's body always stays.
    pub plan_bodies_before: Timestamp,
    /// The newest revisions of the configuration, which stay.
    pub revisions: Revisions,
    /// Agents' sequence marks of which the newest counted bucket ended before this. Reports of
    /// such old buckets must be refused elsewhere: without its mark one would count again.
    pub agents_before: Timestamp,
    /// What was recorded of changes before this.
    pub audit_before: Timestamp,
    /// How many of the newest states of the dictionary are remembered. A reader of an older state
    /// reads everything again.
    pub dictionary_states: u32,
}

/// How many revisions of the configuration are stored. The newest, which is in force, always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revisions {
    /// The most revisions.
    pub most: u32,
    /// The most bytes of all documents together.
    pub bytes: u64,
}

/// What maintenance left.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Revisions of the configuration that are stored.
    pub configuration_revisions: u64,
}
