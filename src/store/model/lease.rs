//! The lease: who may act alone.

use chrono::{DateTime, Utc};

/// The answer to a request for the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseAnswer {
    /// The term, if the lease is now the caller's.
    pub term: Option<u64>,
    /// The database's time when it answered.
    pub database_time: DateTime<Utc>,
}
