//! What replicas see beside the counts: who polls, whose reports are refused, and how many spans are sampled.

use serde::{Deserialize, Serialize};
use uuid::Uuid;

use crate::allocation::Window;
use crate::store::{StoreError, observations_codec};

/// What one replica saw in a window.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ReplicaObservations {
    /// The window.
    pub window: Window,
    /// The replica. It has another identity after each start.
    pub replica: Uuid,
    /// Who polled.
    pub pollers: Vec<Poller>,
    /// Whose reports were refused.
    pub refused: Vec<RefusedReports>,
    /// The spans of services.
    pub spans: Vec<ServiceSpans>,
}

/// The polls of one service by one family of clients. The order of the fields is the format.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Poller {
    /// The service's name, which need not be known; empty for names that were not counted one by one.
    pub service: String,
    /// The family of clients.
    pub client: String,
    /// `http` or `grpc`.
    pub protocol: String,
    /// Polls.
    pub polls: u64,
}

/// The refused reports of one agent. The order of the fields is the format.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct RefusedReports {
    /// The agent; empty if the reports did not say it.
    pub agent: String,
    /// How many reports, or exports of which something was refused.
    pub reports: u64,
    /// Why the last one was.
    pub reason: String,
    /// When, in milliseconds since the Unix epoch.
    pub at_ms: i64,
}

/// Sampled spans. The order of the fields is the format.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct SpanSums {
    /// All spans.
    pub spans: u64,
    /// Those that are roots.
    pub roots: u64,
    /// The bytes of those whose bytes are known, in OTLP's protobuf without compression.
    pub bytes: u64,
    /// The spans whose bytes are known.
    pub weighed: u64,
}

impl SpanSums {
    /// The sum. Saturates.
    #[must_use]
    pub fn and(self, more: Self) -> Self {
        Self {
            spans: self.spans.saturating_add(more.spans),
            roots: self.roots.saturating_add(more.roots),
            bytes: self.bytes.saturating_add(more.bytes),
            weighed: self.weighed.saturating_add(more.weighed),
        }
    }
}

/// The sampled spans of one service. The order of the fields is the format.
#[derive(Debug, Clone, PartialEq, Eq, Default, Serialize, Deserialize)]
pub struct ServiceSpans {
    /// The service.
    pub service: String,
    /// By its metrics.
    pub counted: SpanSums,
    /// As they were exported.
    pub exported: SpanSums,
}

/// A kind of observation: a row of its own.
pub trait Observation: Serialize + for<'de> Deserialize<'de> {
    /// What it is called in the database.
    const KIND: &'static str;
}

impl Observation for Poller {
    const KIND: &'static str = "pollers";
}

impl Observation for RefusedReports {
    const KIND: &'static str = "refused";
}

impl Observation for ServiceSpans {
    const KIND: &'static str = "spans";
}

/// One kind of what a replica saw in a window, as it is stored.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StoredObservations {
    /// The window.
    pub window: Window,
    /// The replica.
    pub replica: Uuid,
    pub(in crate::store) payload: Vec<u8>,
}

impl StoredObservations {
    /// What was seen.
    ///
    /// # Errors
    /// [`StoreError::NewerFormat`] or [`StoreError::Corrupt`]. Other rows can still be read.
    pub fn read<T: Observation>(&self) -> Result<Vec<T>, StoreError> {
        observations_codec::decode(&self.payload).map_err(|damage| {
            let start = self.window.start.0;
            damage.of(format!(
                "observation.payload of a row of bucket_start_ms {start}"
            ))
        })
    }
}
