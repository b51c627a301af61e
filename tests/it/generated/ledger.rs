//! A record of what all replicas did to the database.

use std::collections::BTreeSet;
use std::sync::{Mutex, MutexGuard};

use uuid::Uuid;
use weir::store::{BucketCounts, ConfigurationRevision, HistoryRow, StoredPlan};

/// A report's identity: its agent, the agent's epoch and the sequence.
pub type Key = (String, Uuid, u64);

/// What all replicas did to the database.
#[derive(Default)]
pub struct Ledger(Mutex<Records>);

#[derive(Default)]
pub struct Records {
    /// Reports whose counts were stored.
    pub counted: BTreeSet<Key>,
    /// A report whose counts were stored twice.
    pub counted_twice: Option<Key>,
    /// Deltas that were deleted.
    pub dropped: Vec<BucketCounts>,
    /// Plans that were published and not checked yet.
    pub published: Vec<Published>,
    /// The term of the last lease that was given.
    pub lease_term: u64,
}

/// A plan and its input.
#[derive(Clone)]
pub struct Published {
    /// The replica that made the change.
    pub by: usize,
    pub plan: StoredPlan,
    pub history: Vec<HistoryRow>,
    /// The term that the lease had when it was published.
    pub lease_term: u64,
    pub deltas: Vec<BucketCounts>,
    pub configuration: Option<ConfigurationRevision>,
}

impl Ledger {
    pub fn records(&self) -> MutexGuard<'_, Records> {
        self.0.lock().unwrap()
    }
}
