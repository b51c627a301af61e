//! How long things are kept.

use crate::allocation::Timestamp;

/// How long things are kept: what ends before an instant may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Deltas of buckets that start before this.
    pub deltas_before: Timestamp,
    /// History rows and plan summaries before this.
    pub history_before: Timestamp,
    /// Plan bodies published before this; the current plan's stays whatever its age.
    pub plan_bodies_before: Timestamp,
    /// The newest revisions of the configuration that stay.
    pub revisions: Revisions,
    /// Agents' sequence marks of which the newest counted bucket ended before this. Reports of
    /// such old buckets must be refused elsewhere: without its mark one would count again.
    pub agents_before: Timestamp,
    /// How many of the dictionary's newest states are remembered. A reader that stands further
    /// back reads everything again.
    pub dictionary_states: u32,
}

/// How many revisions of the configuration are kept. The newest, which is in force, always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revisions {
    /// So many at most.
    pub most: u32,
    /// Documents of so many bytes together at most.
    pub bytes: u64,
}

/// What is left after maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Revisions of the configuration that are stored.
    pub configuration_revisions: u64,
}
