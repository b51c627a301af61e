//! Reports as they are committed, and the counts that are stored of them.

use uuid::Uuid;

use super::Incarnation;
use crate::allocation::{AgentCount, AgentName, OperationId, ServiceCount, Window};
use crate::store::{StoreError, delta_codec};

/// One report, parsed, with its names resolved and its counts spread over buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedReport {
    /// Who sent it.
    pub agent: AgentName,
    /// New at every start of the agent.
    pub epoch: Uuid,
    /// Counts up within an epoch, from any number at or above 0.
    pub sequence: u64,
    /// The state of the dictionary that its numbers were looked up in.
    pub names: Incarnation,
    /// What it adds to each bucket; bucket starts differ from each other.
    pub buckets: Vec<BucketCounts>,
}

/// What a report adds to one bucket, or what a stored delta holds.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketCounts {
    /// The bucket.
    pub bucket: Window,
    /// Counts by operation; an operation may stand more than once, then its counts add up.
    pub operations: Vec<BucketOperation>,
    /// Instances by service; likewise.
    pub services: Vec<ServiceCount>,
    /// Counts by agent; likewise.
    pub agents: Vec<AgentCount>,
}

/// One operation's counts in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketOperation {
    /// Which operation.
    pub operation: OperationId,
    /// Root requests before sampling.
    pub offered: u64,
    /// Root requests kept.
    pub sampled: u64,
}

/// A delta as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDelta {
    /// The bucket it adds to.
    pub bucket: Window,
    pub(in crate::store) payload: Vec<u8>,
}

impl StoredDelta {
    /// What it adds.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`] or [`StoreError::Corrupt`]; other deltas can be read all the same.
    pub fn counts(&self) -> Result<BucketCounts, StoreError> {
        delta_codec::decode(self.bucket, &self.payload).map_err(|damage| {
            let start = self.bucket.start.0;
            damage.of(format!("delta.payload of a row of bucket_start_ms {start}"))
        })
    }
}

/// What became of one report of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Its counts are stored, durably and once.
    Counted,
    /// It had been counted before; nothing was added.
    Duplicate,
    /// Its sequence lies so far behind the newest of its epoch that nobody can tell whether it
    /// was counted; nothing was added. The agent takes a new epoch.
    TooFarBehind,
    /// Its numbers may stand for other names now: names were removed, or the database has gone
    /// back in time. Nothing was added; its names must be looked up again.
    OtherNames,
}
