//! Writes what this replica saw beside the counts, a row of each kind for each window, and follows what all replicas
//! saw of the cost of a trace.
//!
//! Nobody's answer waits for it. A failure was logged by the store; then what was seen in one window is missing.

use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;

use tokio::task::JoinHandle;
use uuid::Uuid;

use super::JobContext;
use super::windows::POLL_WINDOWS;
use crate::allocation::{Timestamp, Window};
use crate::clock::Clock;
use crate::snapshot::{PollClient, ServicePolls, Snapshot, StrangerPolls};
use crate::store::{Observation, Poller, ReplicaObservations, ServiceSpans};
use crate::worker::{blocking, ended};

/// How long writing, and reading, may take. The next window is due then.
const WAIT: Duration = Duration::from_secs(5);

/// How long what was seen is kept, at least: the mean of a trace's cost is over an hour.
const KEPT: Duration = Duration::from_secs(3600);

/// Windows whose rows are read again, as other replicas may write them late.
const AGAIN: i64 = 2;

/// Writes what was seen beside the writer of polls, whose next window does not wait for it.
pub(super) struct SeenWriter {
    shared: JobContext,
    replica: Uuid,
    writing: JoinHandle<()>,
}

impl SeenWriter {
    /// Begins to follow the cost of a trace.
    pub(super) fn new(shared: JobContext, replica: Uuid) -> Self {
        let following = shared.clone();
        Self {
            shared,
            replica,
            writing: tokio::spawn(async move { following.follow_costs().await }),
        }
    }

    /// Begins to write what was seen in a window. If the window before is still being written, what was seen is written
    /// with the next one; only who polled for services that the plan knows is left out.
    pub(super) async fn begin(&mut self, window: Window, polls: Vec<ServicePolls>) {
        if !self.writing.is_finished() {
            return;
        }
        let (shared, replica) = (self.shared.clone(), self.replica);
        let next = tokio::spawn(async move {
            shared.write_observations(replica, window, &polls).await;
            shared.follow_costs().await;
        });
        ended(std::mem::replace(&mut self.writing, next)).await;
    }

    /// Waits until all is written.
    pub(super) async fn end(self) {
        ended(self.writing).await;
    }
}

impl JobContext {
    /// How long what was seen is kept.
    pub(super) fn observations_kept(&self) -> Duration {
        KEPT.max(POLL_WINDOWS * self.interval)
    }

    /// Writes what was seen in a window.
    async fn write_observations(&self, replica: Uuid, window: Window, known: &[ServicePolls]) {
        let seen = ReplicaObservations {
            window,
            replica,
            pollers: pollers(known, self.served.strangers().take()),
            refused: self.observed.take_refused(),
            spans: self.observed.take_spans(),
        };
        let writing = self.store.commit_observations(&seen);
        let _ = tokio::time::timeout(WAIT, writing).await;
    }

    /// Reads what all replicas saw of the cost of a trace, and measures it.
    async fn follow_costs(&self) {
        let now = self.clock.timestamp();
        let kept = self.observations_kept().as_millis() as i64;
        let kept_from = Timestamp(now.0.saturating_sub(kept));
        let again = AGAIN * self.interval.as_millis() as i64;
        let from = self.costs.reads_from(kept_from, again);
        let reading = self
            .store
            .read_observations(ServiceSpans::KIND, from..Timestamp(i64::MAX));
        let Ok(Ok(rows)) = tokio::time::timeout(WAIT, reading).await else {
            return;
        };
        let (costs, snapshot) = (Arc::clone(&self.costs), self.served.snapshot());
        blocking(move || costs.follow(&rows, kept_from, &with_traffic(&snapshot))).await;
        let (measured, metrics) = (self.costs.current(), &self.metrics);
        let spans = measured.spans_per_trace;
        metrics
            .measured_spans_per_trace
            .set(spans.value.unwrap_or(0.0));
        metrics.measured_spans_error.set(spans.relative_error);
        metrics.measured_spans_coverage.set(spans.coverage);
        let bytes = measured.bytes_per_span.value;
        metrics.measured_bytes_per_span.set(bytes.unwrap_or(0.0));
    }
}

/// The services that have root requests.
fn with_traffic(snapshot: &Snapshot) -> HashSet<&str> {
    let services = snapshot.services();
    let services = services.filter(|(_, held)| {
        let mut operations = snapshot.operations(held);
        operations.any(|(_, operation)| operation.offered > 0.0)
    });
    services.map(|(name, _)| &**name).collect()
}

fn pollers(known: &[ServicePolls], strangers: Vec<StrangerPolls>) -> Vec<Poller> {
    let poller = |service: &str, (client, polls): (PollClient, u32)| Poller {
        service: service.to_owned(),
        client: client.name().to_owned(),
        protocol: client.protocol().to_owned(),
        polls: u64::from(polls),
    };
    let known = known
        .iter()
        .flat_map(|of| of.polls.iter().map(|polls| poller(&of.service, *polls)));
    let strangers = strangers.iter().flat_map(|of| {
        let service = of.service.as_deref().unwrap_or_default();
        of.polls.iter().map(move |polls| poller(service, *polls))
    });
    known.chain(strangers).collect()
}
