//! Reports as they are committed, and the counts that are stored.

use uuid::Uuid;

use super::Incarnation;
use crate::allocation::{
    AgentCount, AgentName, AgentReport, OperationId, ServiceCount, Timestamp, Window,
};
use crate::store::{StoreError, delta_codec};

/// One report, parsed, with its names resolved and its counts spread over buckets.
#[derive(Debug, Clone, PartialEq)]
pub struct ResolvedReport {
    /// Who sent it.
    pub agent: AgentName,
    /// A new one at every start of the agent.
    pub epoch: Uuid,
    /// Increases within an epoch, from any number at or above 0.
    pub sequence: u64,
    /// The incarnation of the dictionary in which its numbers were found.
    pub names: Incarnation,
    /// What it adds to each bucket that its window covers, and to the bucket in which it arrived if it
    /// is late. Each bucket occurs once.
    pub buckets: Vec<BucketCounts>,
    /// The next state of a source that sends the values of streams. The sequence is the number of this
    /// state: the report counts only if the stored one has the number before.
    pub state: Option<NextState>,
}

/// What is known of a source after a report.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct NextState {
    /// The state. The store does not read it.
    pub bytes: Vec<u8>,
    /// When the source was heard: it is remembered from then on as long as one that was counted then.
    pub heard: Timestamp,
}

/// What is stored of a source.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct SourceState {
    /// How often it has changed.
    pub number: u64,
    /// The state; none if there are only reports of an agent, without states.
    pub bytes: Option<Vec<u8>>,
}

/// What a report adds to one bucket, or what a stored delta contains.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct BucketCounts {
    /// The bucket.
    pub bucket: Window,
    /// Counts by operation. If an operation occurs more than once, its counts add up.
    pub operations: Vec<BucketOperation>,
    /// Instances by service, with the same rule.
    pub services: Vec<ServiceCount>,
    /// The reports that cover a part of the bucket.
    pub reports: Vec<AgentReport>,
    /// Counts by agent and service, with the same rule as those by operation.
    pub agents: Vec<AgentCount>,
    /// Reports that arrived in the bucket and cover only time before the bucket that precedes it. So
    /// the leader learns of late counts without reading old buckets again.
    pub late: Vec<AgentReport>,
}

impl BucketCounts {
    /// How many counts and reports it has, over all lists.
    #[must_use]
    pub fn entries(&self) -> usize {
        self.operations.len()
            + self.services.len()
            + self.reports.len()
            + self.agents.len()
            + self.late.len()
    }
}

/// The sequence of a report that was stored without one: it follows no other. Accepted sequences are
/// below 2⁶³.
pub const UNKNOWN_SEQUENCE: u64 = u64::MAX;

/// One operation's counts in a bucket.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct BucketOperation {
    /// Which operation.
    pub operation: OperationId,
    /// Root requests before sampling.
    pub offered: u64,
    /// Sampled root requests.
    pub sampled: u64,
}

/// A delta as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredDelta {
    /// The bucket that it adds to.
    pub bucket: Window,
    pub(in crate::store) payload: Vec<u8>,
    pub(in crate::store) reports: Option<Vec<u8>>,
}

impl StoredDelta {
    /// What the cells of a row hold.
    #[must_use]
    pub fn new(bucket: Window, payload: Vec<u8>, reports: Option<Vec<u8>>) -> Self {
        Self {
            bucket,
            payload,
            reports,
        }
    }

    /// What it adds.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`] or [`StoreError::Corrupt`]. Other deltas can still be read.
    pub fn counts(&self) -> Result<BucketCounts, StoreError> {
        delta_codec::decode(self)
    }
}

/// The result of one report of a batch.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Admission {
    /// Its counts are stored, durably and once.
    Counted,
    /// It was counted before, or another state of its source came before it; nothing was added.
    Duplicate,
    /// Its sequence is so far behind the newest of its epoch that nobody knows whether it was
    /// counted; nothing was added. The agent must take a new epoch.
    TooFarBehind,
    /// Its numbers may belong to other names now: names were removed, or the database went back in
    /// time. Nothing was added; its names must be looked up again.
    OtherNames,
}
