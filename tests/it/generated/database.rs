//! The database as each replica reaches it.

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use uuid::Uuid;
use weir::access::Token;
use weir::allocation::{AgentName, OperationId, OperationName, ServiceName, Timestamp, Window};
use weir::store::{
    Admission, AuditAsked, AuditEntry, Claim, ConfigurationRevision, ConfigurationWrite,
    DictionaryCursor, DictionaryLimits, DictionaryPage, EdgeBeat, FleetSettings, HistoryRow,
    Incarnation, LeaseAnswer, Maintained, NewAuditEntry, NewPlan, NewSeries, Placement, PlanMark,
    PlanRow, PollsAsked, PoolState, Publication, ReplicaBeat, ReplicaFinalNames,
    ReplicaObservations, ReplicaPolls, ResolvedReport, Retention, RevisionMark, Rows, SeriesAsked,
    SeriesMark, SeriesRow, Settlement, Settling, SourceState, Store, StoreError, StoredDelta,
    StoredEdge, StoredFinalNames, StoredObservations, StoredOrigins, StoredPlan, StoredPolls,
    StoredReplica, TokenCreation, TokensMark, WriteFormat,
};

use super::ledger::Published;
use super::link::Link;
use super::operations::Point;
use crate::support::stored::ReadWhole;

#[async_trait]
impl Store for Link {
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, StoreError> {
        self.faults.may_panic("commit_reports");
        self.way()?;
        let admissions = self.store.commit_reports(batch).await?;
        for (report, admission) in batch.iter().zip(&admissions) {
            if *admission == Admission::Counted {
                let key = (report.agent.to_string(), report.epoch, report.sequence);
                let mut records = self.ledger.records();
                if !records.counted.insert(key.clone()) {
                    records.counted_twice = Some(key);
                }
            }
        }
        self.heard(admissions)
    }

    async fn source_states(
        &self,
        sources: &[(AgentName, Uuid)],
    ) -> Result<Vec<Option<SourceState>>, StoreError> {
        self.way()?;
        self.store.source_states(sources).await
    }

    async fn stream_deltas(
        &self,
        starts: Range<Timestamp>,
        rows: Rows<StoredDelta>,
    ) -> Result<Incarnation, StoreError> {
        self.faults.may_panic("read_deltas");
        self.faults.come_to(Point::Read).await;
        self.way()?;
        // A bucket that is settled is read at the same time as those of the plan.
        if starts.end.0 - starts.start.0 <= 1 {
            return self.store.stream_deltas(starts, rows).await;
        }
        let (seen, mut read) = mpsc::channel::<StoredDelta>(1);
        let passing = async {
            while let Some(delta) = read.recv().await {
                let counts = delta.counts().expect("nobody damages it");
                self.read.lock().unwrap().add(counts);
                // The caller may be gone.
                let _ = rows.send(delta).await;
            }
        };
        self.read.lock().unwrap().begin(starts.clone());
        let (read, ()) = tokio::join!(self.store.stream_deltas(starts, seen), passing);
        read
    }

    async fn agent_names(
        &self,
        after: Option<&AgentName>,
        limit: u32,
    ) -> Result<Vec<AgentName>, StoreError> {
        self.way()?;
        self.store.agent_names(after, limit).await
    }

    async fn commit_polls(&self, polls: &ReplicaPolls) -> Result<(), StoreError> {
        self.way()?;
        self.store.commit_polls(polls).await?;
        self.heard(())
    }

    async fn read_polls(
        &self,
        asked: PollsAsked,
    ) -> Result<(Incarnation, Vec<StoredPolls>), StoreError> {
        self.way()?;
        self.store.read_polls(asked).await
    }

    async fn commit_final_names(&self, heard: &ReplicaFinalNames) -> Result<(), StoreError> {
        self.way()?;
        self.store.commit_final_names(heard).await?;
        self.heard(())
    }

    async fn read_final_names(
        &self,
        services: &[String],
        starts: Range<Timestamp>,
    ) -> Result<Vec<StoredFinalNames>, StoreError> {
        self.way()?;
        self.store.read_final_names(services, starts).await
    }

    async fn commit_observations(&self, seen: &ReplicaObservations) -> Result<(), StoreError> {
        self.way()?;
        self.store.commit_observations(seen).await?;
        self.heard(())
    }

    async fn read_observations(
        &self,
        kind: &'static str,
        starts: Range<Timestamp>,
    ) -> Result<Vec<StoredObservations>, StoreError> {
        self.way()?;
        self.store.read_observations(kind, starts).await
    }

    async fn next_bucket(&self, from: Timestamp) -> Result<Option<Window>, StoreError> {
        self.way()?;
        self.store.next_bucket(from).await
    }

    async fn read_dictionary(
        &self,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<DictionaryPage, StoreError> {
        self.way()?;
        self.store.read_dictionary(at, including).await
    }

    async fn add_names(
        &self,
        names: &[(ServiceName, OperationName)],
        limits: DictionaryLimits,
    ) -> Result<Vec<Placement>, StoreError> {
        self.way()?;
        let placements = self.store.add_names(names, limits).await?;
        self.heard(placements)
    }

    async fn fleet_settings(&self) -> Result<Option<FleetSettings>, StoreError> {
        self.way()?;
        self.store.fleet_settings().await
    }

    async fn write_fleet_settings(
        &self,
        settings: FleetSettings,
        replace: bool,
    ) -> Result<FleetSettings, StoreError> {
        self.way()?;
        let stored = self.store.write_fleet_settings(settings, replace).await?;
        self.heard(stored)
    }

    async fn remove_names(
        &self,
        under: Incarnation,
        operations: &[OperationId],
        record: Option<&NewAuditEntry>,
    ) -> Result<u64, StoreError> {
        self.way()?;
        let gone = self.store.remove_names(under, operations, record).await?;
        self.heard(gone)
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, StoreError> {
        self.faults.may_panic("acquire_lease");
        self.way()?;
        let answer = self.store.acquire_lease(name, holder, time_to_live).await?;
        if let Some(term) = answer.term {
            self.ledger.records().lease_term = term;
        }
        self.heard(answer)
    }

    async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), StoreError> {
        self.way()?;
        self.store.release_lease(name, holder).await?;
        self.heard(())
    }

    async fn publish_plan(&self, new: NewPlan<'_>) -> Result<Publication, StoreError> {
        self.faults.come_to(Point::Publish).await;
        self.way()?;
        let publication = self.store.publish_plan(new).await?;
        if publication == Publication::Published {
            let read = self.read.lock().unwrap().clone();
            let mut records = self.ledger.records();
            let lease_term = records.lease_term;
            records.published.push(Published {
                by: self.of,
                plan: new.plan.clone(),
                history: new.history.to_vec(),
                lease_term,
                deltas: read.deltas,
                configuration: read.configuration,
            });
        }
        self.heard(publication)
    }

    async fn current_plan_mark(&self) -> Result<Option<PlanMark>, StoreError> {
        self.way()?;
        self.store.current_plan_mark().await
    }

    async fn current_plan(&self) -> Result<Option<StoredPlan>, StoreError> {
        self.way()?;
        self.faults.may_not_read()?;
        self.store.current_plan().await
    }

    async fn readable_plan(&self, below: u64) -> Result<Option<StoredPlan>, StoreError> {
        self.way()?;
        self.store.readable_plan(below).await
    }

    async fn plans(&self, before: Option<u64>, limit: u32) -> Result<Vec<PlanRow>, StoreError> {
        self.way()?;
        self.store.plans(before, limit).await
    }

    async fn plan(&self, number: u64) -> Result<Option<StoredPlan>, StoreError> {
        self.way()?;
        self.store.plan(number).await
    }

    async fn settled_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.way()?;
        self.store.settled_until().await
    }

    async fn settle_history(&self, settling: Settling<'_>) -> Result<Settlement, StoreError> {
        self.way()?;
        let settlement = self.store.settle_history(settling).await?;
        self.heard(settlement)
    }

    async fn plans_of(&self, starts: Range<Timestamp>) -> Result<Vec<PlanRow>, StoreError> {
        self.way()?;
        self.store.plans_of(starts).await
    }

    async fn series_mark(&self) -> Result<SeriesMark, StoreError> {
        self.way()?;
        self.store.series_mark().await
    }

    async fn write_series(&self, new: NewSeries<'_>) -> Result<Settlement, StoreError> {
        self.way()?;
        let settlement = self.store.write_series(new).await?;
        self.heard(settlement)
    }

    async fn stream_series(
        &self,
        asked: SeriesAsked,
        rows: Rows<SeriesRow>,
    ) -> Result<(), StoreError> {
        self.way()?;
        self.store.stream_series(asked, rows).await
    }

    async fn stream_history(
        &self,
        starts: Range<Timestamp>,
        limit: u32,
        operation: Option<OperationId>,
        rows: Rows<HistoryRow>,
    ) -> Result<(), StoreError> {
        self.way()?;
        let store = &self.store;
        store.stream_history(starts, limit, operation, rows).await
    }

    async fn write_format(&self) -> Result<WriteFormat, StoreError> {
        self.way()?;
        self.store.write_format().await
    }

    async fn set_write_format(&self, format: WriteFormat) -> Result<(), StoreError> {
        self.way()?;
        self.store.set_write_format(format).await
    }

    async fn configuration(&self) -> Result<ConfigurationRevision, StoreError> {
        self.way()?;
        let revision = self.store.configuration().await?;
        self.read.lock().unwrap().configuration = Some(revision.clone());
        Ok(revision)
    }

    async fn create_configuration(
        &self,
        initial: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationRevision, StoreError> {
        self.way()?;
        let revision = self.store.create_configuration(initial, now).await?;
        self.read.lock().unwrap().configuration = Some(revision.clone());
        Ok(revision)
    }

    async fn configuration_revision(
        &self,
        revision: u64,
    ) -> Result<Option<ConfigurationRevision>, StoreError> {
        self.way()?;
        self.store.configuration_revision(revision).await
    }

    async fn configuration_revisions(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RevisionMark>, StoreError> {
        self.way()?;
        self.store.configuration_revisions(before, limit).await
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
        self.way()?;
        let written = self
            .store
            .write_configuration(from, document, written_by, now, record, origins)
            .await?;
        self.heard(written)
    }

    async fn origins(&self, revision: u64) -> Result<StoredOrigins, StoreError> {
        self.way()?;
        self.store.origins(revision).await
    }

    async fn write_origins(
        &self,
        revision: u64,
        held: &StoredOrigins,
        origins: &str,
    ) -> Result<bool, StoreError> {
        self.way()?;
        let written = self.store.write_origins(revision, held, origins).await?;
        self.heard(written)
    }

    async fn create_token(
        &self,
        new: &Token,
        record: Option<&NewAuditEntry>,
    ) -> Result<TokenCreation, StoreError> {
        self.way()?;
        let created = self.store.create_token(new, record).await?;
        self.heard(created)
    }

    async fn revoke_token(
        &self,
        id: Uuid,
        now: DateTime<Utc>,
        record: Option<&NewAuditEntry>,
    ) -> Result<Option<Token>, StoreError> {
        self.way()?;
        let revoked = self.store.revoke_token(id, now, record).await?;
        self.heard(revoked)
    }

    async fn audit(&self, asked: &AuditAsked) -> Result<Vec<AuditEntry>, StoreError> {
        self.way()?;
        self.store.audit(asked).await
    }

    async fn unmeasured(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError> {
        self.way()?;
        self.store.unmeasured(limit).await
    }

    async fn write_measured(
        &self,
        claim: Claim,
        id: u64,
        measured: &str,
    ) -> Result<bool, StoreError> {
        self.way()?;
        let written = self.store.write_measured(claim, id, measured).await?;
        self.heard(written)
    }

    async fn note_replica(&self, beat: &ReplicaBeat) -> Result<(), StoreError> {
        self.way()?;
        self.store.note_replica(beat).await?;
        self.heard(())
    }

    async fn remove_replica(&self, replica: Uuid) -> Result<(), StoreError> {
        self.way()?;
        self.store.remove_replica(replica).await?;
        self.heard(())
    }

    async fn replicas(&self, lease: &str) -> Result<Vec<StoredReplica>, StoreError> {
        self.way()?;
        self.store.replicas(lease).await
    }

    async fn note_edges(&self, beats: &[EdgeBeat]) -> Result<(), StoreError> {
        self.way()?;
        self.store.note_edges(beats).await?;
        self.heard(())
    }

    async fn edges(&self) -> Result<Vec<StoredEdge>, StoreError> {
        self.way()?;
        self.store.edges().await
    }

    async fn tokens(&self) -> Result<Vec<Token>, StoreError> {
        self.way()?;
        self.store.tokens().await
    }

    async fn tokens_mark(&self) -> Result<TokensMark, StoreError> {
        self.way()?;
        self.store.tokens_mark().await
    }

    async fn maintain(
        &self,
        now: Timestamp,
        retention: Retention,
    ) -> Result<Maintained, StoreError> {
        self.way()?;
        let going = Timestamp(0)..retention.deltas_before;
        let going = self.store.read_deltas(going).await?;
        self.ledger.records().dropped.extend(going);
        let maintained = self.store.maintain(now, retention).await?;
        self.heard(maintained)
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        self.way()?;
        self.store.inspect().await
    }

    fn pool(&self) -> PoolState {
        self.store.pool()
    }

    async fn close(&self) {
        self.store.close().await;
    }
}
