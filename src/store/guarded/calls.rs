//! The calls of a store. Each uses its table, or a method of the backend.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::Guarded;
use super::maintain::maintain;
use crate::access::Token;
use crate::allocation::{AgentName, OperationId, OperationName, ServiceName, Timestamp, Window};
use crate::store::backend::Backend;
use crate::store::soundness::Inspect;
use crate::store::tables::{
    audit, compatibility, configuration, dictionary, edges, final_names, fleet, history, lease,
    observations, plans, polls, replicas, reports, series, tokens,
};
use crate::store::{
    Admission, AuditAsked, AuditEntry, Claim, ConfigurationRevision, ConfigurationWrite,
    DictionaryCursor, DictionaryLimits, DictionaryPage, EdgeBeat, FleetSettings, HistoryRow,
    Incarnation, LeaseAnswer, Maintained, NewAuditEntry, NewPlan, NewSeries, Placement, PlanMark,
    PlanRow, PollsAsked, PoolState, Publication, ReplicaBeat, ReplicaFinalNames,
    ReplicaObservations, ReplicaPolls, ResolvedReport, Retention, RevisionMark, Rows, SeriesAsked,
    SeriesMark, SeriesRow, Settlement, Settling, SourceState, Store, StoreError, StoredDelta,
    StoredEdge, StoredFinalNames, StoredObservations, StoredOrigins, StoredPlan, StoredPolls,
    StoredReplica, TokenCreation, TokensMark, WriteFormat,
};
use crate::telemetry::metrics::StoreCall;

#[async_trait]
impl<B: Backend> Store for Guarded<B> {
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        let attempt = || self.limited.0.commit_reports(batch);
        self.write(StoreCall::CommitReports, attempt).await
    }

    async fn source_states(
        &self,
        sources: &[(AgentName, Uuid)],
    ) -> Result<Vec<Option<SourceState>>, StoreError> {
        if sources.is_empty() {
            return Ok(Vec::new());
        }
        let attempt = || self.limited.0.source_states(sources);
        self.read(StoreCall::SourceStates, attempt).await
    }

    async fn stream_deltas(
        &self,
        starts: Range<Timestamp>,
        rows: Rows<StoredDelta>,
    ) -> Result<Incarnation, StoreError> {
        let work = reports::stream(&self.limited.0, starts, &rows);
        self.stream(StoreCall::ReadDeltas, work).await
    }

    async fn agent_names(
        &self,
        after: Option<&AgentName>,
        limit: u32,
    ) -> Result<Vec<AgentName>, StoreError> {
        let attempt = || reports::agent_names(&self.limited.0, after, limit);
        self.read(StoreCall::AgentNames, attempt).await
    }

    async fn commit_polls(&self, polls: &ReplicaPolls) -> Result<(), StoreError> {
        let attempt = || polls::write(&self.limited.0, polls);
        self.write(StoreCall::CommitPolls, attempt).await
    }

    async fn read_polls(
        &self,
        asked: PollsAsked,
    ) -> Result<(Incarnation, Vec<StoredPolls>), StoreError> {
        let attempt = || polls::read(&self.limited.0, asked);
        self.read(StoreCall::ReadPolls, attempt).await
    }

    async fn commit_final_names(&self, heard: &ReplicaFinalNames) -> Result<(), StoreError> {
        if heard.services.is_empty() {
            return Ok(());
        }
        let attempt = || final_names::write(&self.limited.0, heard);
        self.write(StoreCall::CommitFinalNames, attempt).await
    }

    async fn read_final_names(
        &self,
        services: &[String],
        starts: Range<Timestamp>,
    ) -> Result<Vec<StoredFinalNames>, StoreError> {
        if services.is_empty() {
            return Ok(Vec::new());
        }
        let attempt = || final_names::read(&self.limited.0, services, starts.clone());
        self.read(StoreCall::ReadFinalNames, attempt).await
    }

    async fn commit_observations(&self, seen: &ReplicaObservations) -> Result<(), StoreError> {
        if seen.pollers.is_empty() && seen.refused.is_empty() && seen.spans.is_empty() {
            return Ok(());
        }
        let attempt = || observations::write(&self.limited.0, seen);
        self.write(StoreCall::CommitObservations, attempt).await
    }

    async fn read_observations(
        &self,
        kind: &'static str,
        starts: Range<Timestamp>,
    ) -> Result<Vec<StoredObservations>, StoreError> {
        let attempt = || observations::read(&self.limited.0, kind, starts.clone());
        self.read(StoreCall::ReadObservations, attempt).await
    }

    async fn next_bucket(&self, from: Timestamp) -> Result<Option<Window>, StoreError> {
        let attempt = || reports::next_bucket(&self.limited.0, from);
        self.read(StoreCall::NextBucket, attempt).await
    }

    async fn read_dictionary(
        &self,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<DictionaryPage, StoreError> {
        let attempt = || dictionary::read(&self.limited.0, at, including);
        self.read(StoreCall::ReadDictionary, attempt).await
    }

    async fn add_names(
        &self,
        names: &[(ServiceName, OperationName)],
        limits: DictionaryLimits,
    ) -> Result<Vec<Placement>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        let attempt = || dictionary::add(&self.limited.0, names, limits);
        self.write(StoreCall::AddNames, attempt).await
    }

    async fn remove_names(
        &self,
        under: Incarnation,
        operations: &[OperationId],
        record: Option<&NewAuditEntry>,
    ) -> Result<u64, StoreError> {
        if operations.is_empty() {
            return Ok(0);
        }
        let attempt = || dictionary::remove(&self.limited.0, under, operations, record);
        self.write(StoreCall::RemoveNames, attempt).await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, StoreError> {
        let attempt = || self.limited.0.acquire_lease(name, holder, time_to_live);
        self.read(StoreCall::AcquireLease, attempt).await
    }

    async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), StoreError> {
        let attempt = || lease::release(&self.limited.0, name, holder);
        self.read(StoreCall::ReleaseLease, attempt).await
    }

    async fn publish_plan(&self, new: NewPlan<'_>) -> Result<Publication, StoreError> {
        let attempt = || plans::publish(&self.limited.0, new);
        self.write(StoreCall::PublishPlan, attempt).await
    }

    async fn current_plan_mark(&self) -> Result<Option<PlanMark>, StoreError> {
        let attempt = || plans::current_mark(&self.limited.0);
        self.read(StoreCall::CurrentPlanNumber, attempt).await
    }

    async fn current_plan(&self) -> Result<Option<StoredPlan>, StoreError> {
        let attempt = || plans::current(&self.limited.0);
        self.read(StoreCall::CurrentPlan, attempt).await
    }

    async fn readable_plan(&self, below: u64) -> Result<Option<StoredPlan>, StoreError> {
        let attempt = || plans::readable(&self.limited.0, below);
        self.read(StoreCall::ReadablePlan, attempt).await
    }

    async fn plans(&self, before: Option<u64>, limit: u32) -> Result<Vec<PlanRow>, StoreError> {
        let attempt = || plans::list(&self.limited.0, before, limit);
        self.read(StoreCall::Plans, attempt).await
    }

    async fn plan(&self, number: u64) -> Result<Option<StoredPlan>, StoreError> {
        let attempt = || plans::one(&self.limited.0, number);
        self.read(StoreCall::Plan, attempt).await
    }

    async fn settled_until(&self) -> Result<Option<Timestamp>, StoreError> {
        let attempt = || history::settled(&self.limited.0);
        self.read(StoreCall::SettledUntil, attempt).await
    }

    async fn settle_history(&self, settling: Settling<'_>) -> Result<Settlement, StoreError> {
        let attempt = || history::settle(&self.limited.0, settling);
        self.write(StoreCall::SettleHistory, attempt).await
    }

    async fn stream_history(
        &self,
        starts: Range<Timestamp>,
        limit: u32,
        operation: Option<OperationId>,
        rows: Rows<HistoryRow>,
    ) -> Result<(), StoreError> {
        let backend = &self.limited.0;
        let work = backend.stream_history(starts, limit, operation, &rows);
        self.stream(StoreCall::ReadHistory, work).await
    }

    async fn plans_of(&self, starts: Range<Timestamp>) -> Result<Vec<PlanRow>, StoreError> {
        let attempt = || plans::of_windows(&self.limited.0, starts.clone());
        self.read(StoreCall::PlansOf, attempt).await
    }

    async fn series_mark(&self) -> Result<SeriesMark, StoreError> {
        let attempt = || series::mark(&self.limited.0);
        self.read(StoreCall::SeriesMark, attempt).await
    }

    async fn write_series(&self, new: NewSeries<'_>) -> Result<Settlement, StoreError> {
        let attempt = || series::write(&self.limited.0, new);
        self.write(StoreCall::WriteSeries, attempt).await
    }

    async fn stream_series(
        &self,
        asked: SeriesAsked,
        rows: Rows<SeriesRow>,
    ) -> Result<(), StoreError> {
        let work = series::stream(&self.limited.0, asked, &rows);
        self.stream(StoreCall::ReadSeries, work).await
    }

    async fn write_format(&self) -> Result<WriteFormat, StoreError> {
        let attempt = || compatibility::format(&self.limited.0);
        self.read(StoreCall::WriteFormat, attempt).await
    }

    async fn set_write_format(&self, format: WriteFormat) -> Result<(), StoreError> {
        let attempt = || compatibility::set_format(&self.limited.0, format);
        self.write(StoreCall::SetWriteFormat, attempt).await
    }

    async fn fleet_settings(&self) -> Result<Option<FleetSettings>, StoreError> {
        let attempt = || fleet::read(&self.limited.0);
        self.read(StoreCall::FleetSettings, attempt).await
    }

    async fn write_fleet_settings(
        &self,
        settings: FleetSettings,
        replace: bool,
    ) -> Result<FleetSettings, StoreError> {
        let attempt = || fleet::write(&self.limited.0, settings, replace);
        self.write(StoreCall::WriteFleetSettings, attempt).await
    }

    async fn configuration(&self) -> Result<ConfigurationRevision, StoreError> {
        let attempt = || configuration::read(&self.limited.0);
        self.read(StoreCall::Configuration, attempt).await
    }

    async fn create_configuration(
        &self,
        initial: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationRevision, StoreError> {
        let attempt = || configuration::create(&self.limited.0, initial, now);
        self.write(StoreCall::CreateConfiguration, attempt).await
    }

    async fn write_configuration(
        &self,
        from: u64,
        document: &str,
        written_by: &str,
        now: DateTime<Utc>,
        record: Option<&NewAuditEntry>,
        origins: Option<&str>,
    ) -> Result<ConfigurationWrite, StoreError> {
        let store = &self.limited.0;
        let attempt =
            || configuration::write(store, from, document, written_by, now, record, origins);
        self.write(StoreCall::WriteConfiguration, attempt).await
    }

    async fn origins(&self, revision: u64) -> Result<StoredOrigins, StoreError> {
        let attempt = || configuration::origins(&self.limited.0, revision);
        self.read(StoreCall::Origins, attempt).await
    }

    async fn write_origins(
        &self,
        revision: u64,
        held: &StoredOrigins,
        origins: &str,
    ) -> Result<bool, StoreError> {
        let attempt = || configuration::write_origins(&self.limited.0, revision, held, origins);
        self.write(StoreCall::WriteOrigins, attempt).await
    }

    async fn configuration_revision(
        &self,
        revision: u64,
    ) -> Result<Option<ConfigurationRevision>, StoreError> {
        let attempt = || configuration::one(&self.limited.0, revision);
        self.read(StoreCall::ConfigurationRevision, attempt).await
    }

    async fn configuration_revisions(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RevisionMark>, StoreError> {
        let attempt = || configuration::list(&self.limited.0, before, limit);
        self.read(StoreCall::ConfigurationRevisions, attempt).await
    }

    async fn create_token(
        &self,
        new: &Token,
        record: Option<&NewAuditEntry>,
    ) -> Result<TokenCreation, StoreError> {
        let attempt = || tokens::create(&self.limited.0, new, record);
        self.write(StoreCall::CreateToken, attempt).await
    }

    async fn revoke_token(
        &self,
        id: Uuid,
        now: DateTime<Utc>,
        record: Option<&NewAuditEntry>,
    ) -> Result<Option<Token>, StoreError> {
        let attempt = || tokens::revoke(&self.limited.0, id, now, record);
        self.write(StoreCall::RevokeToken, attempt).await
    }

    async fn audit(&self, asked: &AuditAsked) -> Result<Vec<AuditEntry>, StoreError> {
        let attempt = || audit::list(&self.limited.0, asked);
        self.read(StoreCall::Audit, attempt).await
    }

    async fn unmeasured(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        let attempt = || audit::unmeasured(&self.limited.0, limit);
        self.read(StoreCall::Unmeasured, attempt).await
    }

    async fn write_measured(
        &self,
        claim: Claim,
        id: u64,
        measured: &str,
    ) -> Result<bool, StoreError> {
        let attempt = || audit::measure(&self.limited.0, claim, id, measured);
        self.write(StoreCall::WriteMeasured, attempt).await
    }

    async fn note_replica(&self, beat: &ReplicaBeat) -> Result<(), StoreError> {
        let attempt = || replicas::note(&self.limited.0, beat);
        self.write(StoreCall::NoteReplica, attempt).await
    }

    async fn remove_replica(&self, replica: Uuid) -> Result<(), StoreError> {
        let attempt = || replicas::remove(&self.limited.0, replica);
        self.write(StoreCall::RemoveReplica, attempt).await
    }

    async fn replicas(&self, lease: &str) -> Result<Vec<StoredReplica>, StoreError> {
        let attempt = || replicas::list(&self.limited.0, lease);
        self.read(StoreCall::Replicas, attempt).await
    }

    async fn note_edges(&self, beats: &[EdgeBeat]) -> Result<(), StoreError> {
        let attempt = || edges::note(&self.limited.0, beats);
        self.write(StoreCall::NoteEdges, attempt).await
    }

    async fn edges(&self) -> Result<Vec<StoredEdge>, StoreError> {
        let attempt = || edges::list(&self.limited.0);
        self.read(StoreCall::Edges, attempt).await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        let attempt = || tokens::all(&self.limited.0);
        self.read(StoreCall::Tokens, attempt).await
    }

    async fn tokens_mark(&self) -> Result<TokensMark, StoreError> {
        let attempt = || tokens::mark(&self.limited.0);
        self.read(StoreCall::TokensMark, attempt).await
    }

    async fn maintain(
        &self,
        now: Timestamp,
        retention: Retention,
    ) -> Result<Maintained, StoreError> {
        let attempt = || maintain(&self.limited.0, now, retention);
        self.write(StoreCall::Maintain, attempt).await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        let work = async {
            let outcome = self.limited.inspect().await;
            if let Some(watch) = &self.watch {
                watch.gate.note(&outcome);
            }
            outcome
        };
        self.count(StoreCall::Inspect, work).await
    }

    fn pool(&self) -> PoolState {
        self.limited.0.pool()
    }

    async fn close(&self) {
        self.limited.0.close().await;
    }
}
