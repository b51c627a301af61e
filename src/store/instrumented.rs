//! Any store, with its calls timed, its failures counted, and its tables watched.

use std::future::Future;
use std::ops::Range;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::soundness::Gate;
use super::{
    Admission, ConfigurationRevision, ConfigurationWrite, DictionaryCursor, DictionaryLimits,
    DictionaryPage, FleetSettings, HistoryRow, Incarnation, LeaseAnswer, Maintained, NewPlan,
    Placement, PlanMark, PoolState, Publication, ResolvedReport, Retention, RevisionMark, Rows,
    Settlement, Settling, Store, StoreError, StoredDelta, StoredPlan, WriteFormat,
};
use crate::allocation::{OperationId, OperationName, ServiceName, Timestamp, Window};
use crate::health::DatabaseState;
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Label, Metrics, StoreCall, StoreFailure};
use crate::telemetry::seldom::Seldom;

/// How often a call that fails, or is slow, is worth a line: a database that is away would fill the
/// log otherwise.
const SELDOM: Duration = Duration::from_secs(10);

/// A store that says how its calls went, and writes nothing while its tables are not sound;
/// otherwise the one inside.
///
/// A call that its caller gave up is not counted: the caller counts that.
pub struct InstrumentedStore {
    inner: Box<dyn Store>,
    gate: Gate,
    metrics: Arc<Metrics>,
    /// A call that takes longer is slow.
    slow: Duration,
    lines: Vec<Lines>,
}

/// When a call is worth a line.
struct Lines {
    failed: Seldom,
    slow: Seldom,
}

impl InstrumentedStore {
    /// Counts what `inner` does, and logs what fails or takes longer than `slow`; keeps in
    /// `database` whether its tables are sound.
    #[must_use]
    pub fn new(
        inner: impl Store,
        slow: Duration,
        metrics: Arc<Metrics>,
        database: DatabaseState,
    ) -> Self {
        let lines = |_| Lines {
            failed: Seldom::new(SELDOM),
            slow: Seldom::new(SELDOM),
        };
        Self {
            inner: Box::new(inner),
            gate: Gate::new(database),
            metrics,
            slow,
            lines: StoreCall::ALL.iter().map(lines).collect(),
        }
    }

    async fn count<T>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let started = Instant::now();
        let outcome = match work.await {
            Ok(done) => {
                self.gate.reopen(&*self.inner).await;
                Ok(done)
            }
            Err(error) => Err(self.gate.explain(&*self.inner, error).await),
        };
        let took = started.elapsed();
        let histogram = self.metrics.database_call.of(call);
        histogram.observe(took.as_secs_f64());
        if let Err(error) = &outcome {
            let failure = StoreFailure::from(error);
            self.metrics.database_errors.of((call, failure)).inc();
            self.log_failure(call, failure, error, took);
        }
        self.log_slowness(call, took);
        outcome
    }

    /// Counts a call that writes rows, which the tables must be sound for.
    async fn write<T>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let work = async {
            self.gate.pass(&*self.inner).await?;
            work.await
        };
        self.count(call, work).await
    }

    fn log_failure(&self, call: StoreCall, kind: StoreFailure, error: &StoreError, took: Duration) {
        if let Some(unsaid) = self.lines[call.place()].failed.pass() {
            tracing::warn!(
                call = call.value(),
                kind = kind.value(),
                error = chain(error),
                took_milliseconds = took.as_millis() as u64,
                unsaid,
                "a database call failed"
            );
        }
    }

    fn log_slowness(&self, call: StoreCall, took: Duration) {
        if took < self.slow {
            return;
        }
        if let Some(unsaid) = self.lines[call.place()].slow.pass() {
            tracing::warn!(
                call = call.value(),
                took_milliseconds = took.as_millis() as u64,
                unsaid,
                "a database call was slow"
            );
        }
    }
}

impl From<&StoreError> for StoreFailure {
    fn from(error: &StoreError) -> Self {
        match error {
            error if error.is_full() => Self::Full,
            StoreError::Unavailable { .. } => Self::Unavailable,
            StoreError::Corrupt { .. } => Self::Corrupt,
            StoreError::Unsound { .. } => Self::Unsound,
            StoreError::NewerFormat { .. } => Self::NewerFormat,
            StoreError::Failed { .. } => Self::Failed,
        }
    }
}

#[async_trait]
impl Store for InstrumentedStore {
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, StoreError> {
        let work = self.inner.commit_reports(batch);
        self.write(StoreCall::CommitReports, work).await
    }

    async fn stream_deltas(
        &self,
        starts: Range<Timestamp>,
        rows: Rows<StoredDelta>,
    ) -> Result<Incarnation, StoreError> {
        let work = self.inner.stream_deltas(starts, rows);
        self.count(StoreCall::ReadDeltas, work).await
    }

    async fn next_bucket(&self, from: Timestamp) -> Result<Option<Window>, StoreError> {
        let work = self.inner.next_bucket(from);
        self.count(StoreCall::NextBucket, work).await
    }

    async fn read_dictionary(
        &self,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<DictionaryPage, StoreError> {
        let work = self.inner.read_dictionary(at, including);
        self.count(StoreCall::ReadDictionary, work).await
    }

    async fn add_names(
        &self,
        names: &[(ServiceName, OperationName)],
        limits: DictionaryLimits,
    ) -> Result<Vec<Placement>, StoreError> {
        let work = self.inner.add_names(names, limits);
        self.write(StoreCall::AddNames, work).await
    }

    async fn remove_names(
        &self,
        under: Incarnation,
        operations: &[OperationId],
    ) -> Result<u64, StoreError> {
        let work = self.inner.remove_names(under, operations);
        self.write(StoreCall::RemoveNames, work).await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, StoreError> {
        let work = self.inner.acquire_lease(name, holder, time_to_live);
        self.count(StoreCall::AcquireLease, work).await
    }

    async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), StoreError> {
        let work = self.inner.release_lease(name, holder);
        self.count(StoreCall::ReleaseLease, work).await
    }

    async fn publish_plan(&self, new: NewPlan<'_>) -> Result<Publication, StoreError> {
        let work = self.inner.publish_plan(new);
        self.write(StoreCall::PublishPlan, work).await
    }

    async fn current_plan_mark(&self) -> Result<Option<PlanMark>, StoreError> {
        let work = self.inner.current_plan_mark();
        self.count(StoreCall::CurrentPlanNumber, work).await
    }

    async fn current_plan(&self) -> Result<Option<StoredPlan>, StoreError> {
        let work = self.inner.current_plan();
        self.count(StoreCall::CurrentPlan, work).await
    }

    async fn readable_plan(&self, below: u64) -> Result<Option<StoredPlan>, StoreError> {
        let work = self.inner.readable_plan(below);
        self.count(StoreCall::ReadablePlan, work).await
    }

    async fn settled_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let work = self.inner.settled_until();
        self.count(StoreCall::SettledUntil, work).await
    }

    async fn settle_history(&self, settling: Settling<'_>) -> Result<Settlement, StoreError> {
        let work = self.inner.settle_history(settling);
        self.write(StoreCall::SettleHistory, work).await
    }

    async fn stream_history(
        &self,
        starts: Range<Timestamp>,
        limit: u32,
        operation: Option<OperationId>,
        rows: Rows<HistoryRow>,
    ) -> Result<(), StoreError> {
        let work = self.inner.stream_history(starts, limit, operation, rows);
        self.count(StoreCall::ReadHistory, work).await
    }

    async fn write_format(&self) -> Result<WriteFormat, StoreError> {
        let work = self.inner.write_format();
        self.count(StoreCall::WriteFormat, work).await
    }

    async fn set_write_format(&self, format: WriteFormat) -> Result<(), StoreError> {
        let work = self.inner.set_write_format(format);
        self.write(StoreCall::SetWriteFormat, work).await
    }

    async fn fleet_settings(&self) -> Result<Option<FleetSettings>, StoreError> {
        let work = self.inner.fleet_settings();
        self.count(StoreCall::FleetSettings, work).await
    }

    async fn write_fleet_settings(
        &self,
        settings: FleetSettings,
        replace: bool,
    ) -> Result<FleetSettings, StoreError> {
        let work = self.inner.write_fleet_settings(settings, replace);
        self.write(StoreCall::WriteFleetSettings, work).await
    }

    async fn configuration(&self) -> Result<ConfigurationRevision, StoreError> {
        let work = self.inner.configuration();
        self.count(StoreCall::Configuration, work).await
    }

    async fn create_configuration(
        &self,
        initial: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationRevision, StoreError> {
        let work = self.inner.create_configuration(initial, now);
        self.write(StoreCall::CreateConfiguration, work).await
    }

    async fn write_configuration(
        &self,
        from: u64,
        document: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationWrite, StoreError> {
        let work = self.inner.write_configuration(from, document, now);
        self.write(StoreCall::WriteConfiguration, work).await
    }

    async fn configuration_revision(
        &self,
        revision: u64,
    ) -> Result<Option<ConfigurationRevision>, StoreError> {
        let work = self.inner.configuration_revision(revision);
        self.count(StoreCall::ConfigurationRevision, work).await
    }

    async fn configuration_revisions(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RevisionMark>, StoreError> {
        let work = self.inner.configuration_revisions(before, limit);
        self.count(StoreCall::ConfigurationRevisions, work).await
    }

    async fn maintain(
        &self,
        now: Timestamp,
        retention: Retention,
    ) -> Result<Maintained, StoreError> {
        let work = self.inner.maintain(now, retention);
        self.write(StoreCall::Maintain, work).await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        let work = async {
            let outcome = self.inner.inspect().await;
            self.gate.note(&outcome);
            outcome
        };
        self.count(StoreCall::Inspect, work).await
    }

    fn pool(&self) -> PoolState {
        self.inner.pool()
    }

    async fn close(&self) {
        self.inner.close().await;
    }
}
