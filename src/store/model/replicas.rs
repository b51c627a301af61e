//! Which replicas there are.

use chrono::{DateTime, Utc};
use uuid::Uuid;

/// What a replica says of itself.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaBeat {
    /// The replica. It has another identity after each start.
    pub replica: Uuid,
    /// The name of its machine, and its process.
    pub host: String,
    /// Its release.
    pub version: String,
    /// When it started.
    pub started_at: DateTime<Utc>,
    /// The number of the plan that it serves; 0 for none.
    pub plan: u64,
}

/// A replica that was there lately.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredReplica {
    /// What it said last.
    pub beat: ReplicaBeat,
    /// When, on the database's clock.
    pub seen_at: DateTime<Utc>,
    /// Whether it holds the lease under which plans are computed.
    pub leads: bool,
}
