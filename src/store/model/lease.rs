//! The lease: who may act alone.

use chrono::{DateTime, Utc};

/// The answer to asking for the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseAnswer {
    /// The term, if the lease is now the caller's.
    pub term: Option<u64>,
    /// The database's clock at the answer.
    pub database_time: DateTime<Utc>,
}
