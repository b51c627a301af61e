//! Everything that Weir stores, behind one narrow trait with two backends.
//!
//! Begin with [`Store`], then read `model`, which has its arguments and results. Only this module
//! contains SQL. The conformance suite in `tests/it/store/` checks the promises of both backends.

mod admission;
mod backend;
mod compatibility;
mod delta_codec;
mod error;
mod fault;
mod final_names_codec;
mod frame;
mod guarded;
pub mod history_codec;
mod model;
mod naming;
mod observations_codec;
pub mod plan_codec;
mod polls_codec;
pub mod postgres;
pub mod series_codec;
mod soundness;
pub mod sqlite;
mod tables;
mod varint;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use uuid::Uuid;

pub use error::StoreError;
pub use fault::{Cause, Passing};
pub use frame::TooLarge;
pub use guarded::Guarded;
pub use model::{
    AUDIT_ENTRIES_MAX, Admission, AuditAction, AuditAsked, AuditEntry, BucketCounts,
    BucketOperation, Claim, ConfigurationRevision, ConfigurationWrite, Covered, DictionaryCursor,
    DictionaryEntry, DictionaryLimits, DictionaryPage, EdgeBeat, FinalName, FleetSettings,
    HistoryRow, Incarnation, LeaseAnswer, Maintained, NewAuditEntry, NewPlan, NewSeries, NextState,
    Observation, Origin, Placement, PlanMark, PlanRow, Poller, PollsAsked, PoolState, Publication,
    REASON_MAX, RefusedReports, ReplicaBeat, ReplicaFinalNames, ReplicaObservations, ReplicaPolls,
    ResolvedReport, Retention, RevisionMark, Revisions, SeriesAsked, SeriesBefore, SeriesBlock,
    SeriesKey, SeriesMark, SeriesOf, SeriesPart, SeriesRow, SeriesStep, ServiceFinalNames,
    ServiceSpans, Settlement, Settling, SourceState, SpanSums, Step, StepsKept, StoredDelta,
    StoredEdge, StoredFinalNames, StoredObservations, StoredOrigins, StoredPlan, StoredPolls,
    StoredReplica, Sums, TRACE_PARTS, TokenCreation, TokensMark, UNKNOWN_SEQUENCE, WriteFormat,
};

use crate::access::Token;
use crate::allocation::{AgentName, OperationId, OperationName, ServiceName, Timestamp, Window};

/// The most tokens that may be stored, including those that were revoked or ran out lately.
pub const TOKENS_MAX: i64 = 1000;

/// The most sessions of browsers that there may be at once.
pub const SESSIONS_MAX: i64 = 1000;

/// The most sessions that somebody may have at once. One more ends the oldest.
pub const SESSIONS_EACH: i64 = 10;

/// The channel for the rows of a read. The read waits while the receiver is busy, and ends when the
/// receiver is dropped.
pub type Rows<T> = mpsc::Sender<T>;

/// Everything that Weir asks of a database.
///
/// Every method is one transaction or one statement; none has session state. Several tasks and
/// several replicas may call methods at the same time. Each call ends within 30 seconds. A caller
/// may drop its future at any time.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Stores a batch of reports in one transaction and returns after the commit, so that `Counted`
    /// and `Duplicate` mean durable. The answers are in the order of the batch.
    ///
    /// The batch has at most one report of each (agent, epoch). The transaction locks the marks in
    /// sorted order, checks each report's incarnation against the database, and sums the accepted
    /// reports into one delta per bucket. After an error, nothing may be acknowledged.
    ///
    /// A report with a state of its source counts only if its sequence follows the stored one, or is 1
    /// and nothing is stored. The state is stored with it.
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, StoreError>;

    /// What is stored of sources, by agent and epoch, in the order given; none of one that was never
    /// heard, or not for long ([`Store::maintain`]).
    async fn source_states(
        &self,
        sources: &[(AgentName, Uuid)],
    ) -> Result<Vec<Option<SourceState>>, StoreError>;

    /// Sends every delta of the buckets that start in the range, in no particular order. Returns
    /// the state of the dictionary at that moment: it contains the names of all numbers that were
    /// sent.
    async fn stream_deltas(
        &self,
        starts: Range<Timestamp>,
        rows: Rows<StoredDelta>,
    ) -> Result<Incarnation, StoreError>;

    /// The names of agents of which reports were counted, in ascending order and each once: the first
    /// `limit` after a name. Those that have not reported for long are gone ([`Store::maintain`]).
    async fn agent_names(
        &self,
        after: Option<&AgentName>,
        limit: u32,
    ) -> Result<Vec<AgentName>, StoreError>;

    /// Writes the polls that a replica answered in a window. They take the place of what the replica wrote of that
    /// window before.
    async fn commit_polls(&self, polls: &ReplicaPolls) -> Result<(), StoreError>;

    /// The polls of all replicas, in no particular order, and the state of the dictionary at that moment. Rows whose
    /// numbers are from another past than the database's are left out.
    async fn read_polls(
        &self,
        asked: PollsAsked,
    ) -> Result<(Incarnation, Vec<StoredPolls>), StoreError>;

    /// Writes the final names that a replica heard in a window. A service takes the place of what the replica wrote
    /// of it in that window before.
    async fn commit_final_names(&self, heard: &ReplicaFinalNames) -> Result<(), StoreError>;

    /// The rows with the final names of some services, of all replicas and of the windows that start in the range,
    /// in no particular order. They may contain other services, too.
    async fn read_final_names(
        &self,
        services: &[String],
        starts: Range<Timestamp>,
    ) -> Result<Vec<StoredFinalNames>, StoreError>;

    /// Writes what a replica saw in a window beside the counts. It takes the place of what the replica wrote of that
    /// window before.
    async fn commit_observations(&self, seen: &ReplicaObservations) -> Result<(), StoreError>;

    /// One [kind](Observation::KIND) of what all replicas saw, of the windows that start in the range, oldest first.
    async fn read_observations(
        &self,
        kind: &'static str,
        starts: Range<Timestamp>,
    ) -> Result<Vec<StoredObservations>, StoreError>;

    /// The first bucket from an instant on that has deltas. If several of different length start
    /// together, the longest.
    async fn next_bucket(&self, from: Timestamp) -> Result<Option<Window>, StoreError>;

    /// Reads a page of what a reader at `at` does not know, or of everything if it has read
    /// nothing, or another past. If there is more, the reader continues from the page's cursor.
    /// Also says whether `including` is in the past of what is read.
    async fn read_dictionary(
        &self,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<DictionaryPage, StoreError>;

    /// Adds names as far as the limits allow, services before operations, in the order given.
    /// Returns the result for each. The caller must read the dictionary afterwards. `__other__`
    /// need not be added: a service's overflow entry is added with it, and the overflow service has
    /// no other operation.
    async fn add_names(
        &self,
        names: &[(ServiceName, OperationName)],
        limits: DictionaryLimits,
    ) -> Result<Vec<Placement>, StoreError>;

    /// Removes operations (never overflow entries), and services without remaining operations.
    /// Starts a new generation if anything was removed. Numbers are not reused. Returns how many
    /// operations were removed; none at all if `under`, the incarnation of the numbers, is not in
    /// the database's past.
    ///
    /// A service is removed with its overflow entry if it has no operation left, and either lost
    /// one now or its overflow entry is among those given.
    ///
    /// If somebody asked for it, what is recorded of that is written with it.
    async fn remove_names(
        &self,
        under: Incarnation,
        operations: &[OperationId],
        record: Option<&NewAuditEntry>,
    ) -> Result<u64, StoreError>;

    /// Takes the lease with this name, or renews it, according to the database's clock. The term
    /// increases whenever the holder changes.
    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, StoreError>;

    /// Gives the lease back if it is the caller's, so that another may take it at once.
    async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), StoreError>;

    /// Publishes a plan with the history of its window, in one transaction. It succeeds only if the
    /// lease still has the claim's holder and term, the plan to replace is the current one, and the
    /// names that the plan was computed with are in the database's past.
    async fn publish_plan(&self, new: NewPlan<'_>) -> Result<Publication, StoreError>;

    /// The mark of the current plan; none before the first plan.
    async fn current_plan_mark(&self) -> Result<Option<PlanMark>, StoreError>;

    /// The whole current plan; none before the first plan.
    async fn current_plan(&self) -> Result<Option<StoredPlan>, StoreError>;

    /// The newest stored plan below a number whose body this program can read.
    async fn readable_plan(&self, below: u64) -> Result<Option<StoredPlan>, StoreError>;

    /// The newest `limit` plans, newest first; with `before`, only those with a lower number.
    async fn plans(&self, before: Option<u64>, limit: u32) -> Result<Vec<PlanRow>, StoreError>;

    /// One whole plan; none if there is none with this number, or its body was deleted.
    async fn plan(&self, number: u64) -> Result<Option<StoredPlan>, StoreError>;

    /// Up to when history is settled, as [`Store::settle_history`] wrote it.
    async fn settled_until(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Writes history rows, replacing those with the same window start, and stores in the same
    /// transaction up to when history is settled. It succeeds only if history is settled up to
    /// where the caller has read, and the names that the rows were computed with are in the
    /// database's past.
    async fn settle_history(&self, settling: Settling<'_>) -> Result<Settlement, StoreError>;

    /// The plans of the windows that start in the range, oldest first.
    async fn plans_of(&self, starts: Range<Timestamp>) -> Result<Vec<PlanRow>, StoreError>;

    /// Up to where history is summed into steps. Cheap.
    async fn series_mark(&self) -> Result<SeriesMark, StoreError>;

    /// Writes rows of series, and stores in the same transaction up to where history is summed. It succeeds only if
    /// that stands where the caller has read, and the names of the rows' numbers are in the database's past. The row
    /// of the fleet comes first of each time; it takes the place of all rows of that time.
    async fn write_series(&self, new: NewSeries<'_>) -> Result<Settlement, StoreError>;

    /// Sends rows of series, oldest first; of each time, the row of the fleet comes first.
    async fn stream_series(
        &self,
        asked: SeriesAsked,
        rows: Rows<SeriesRow>,
    ) -> Result<(), StoreError>;

    /// The formats in which to store documents.
    async fn write_format(&self) -> Result<WriteFormat, StoreError>;

    /// Chooses the formats in which all replicas store documents.
    async fn set_write_format(&self, format: WriteFormat) -> Result<(), StoreError>;

    /// Sends the history of the first `limit` windows that start in the range, oldest first.
    ///
    /// With an operation, a payload may be cut to the part that contains it; see
    /// [`history_codec::find`].
    async fn stream_history(
        &self,
        starts: Range<Timestamp>,
        limit: u32,
        operation: Option<OperationId>,
        rows: Rows<HistoryRow>,
    ) -> Result<(), StoreError>;

    /// The settings that all replicas share; none before the first start has written them.
    async fn fleet_settings(&self) -> Result<Option<FleetSettings>, StoreError>;

    /// Writes the settings that all replicas share if there are none, or in any case with
    /// `replace`. Returns the settings that are stored afterwards.
    async fn write_fleet_settings(
        &self,
        settings: FleetSettings,
        replace: bool,
    ) -> Result<FleetSettings, StoreError>;

    /// The newest configuration. Never writes: during a restore the table is empty for a while.
    ///
    /// # Errors
    /// [`StoreError::Unsound`] if there is none.
    async fn configuration(&self) -> Result<ConfigurationRevision, StoreError>;

    /// Writes `initial` as the first configuration if there is none, and returns the newest.
    async fn create_configuration(
        &self,
        initial: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationRevision, StoreError>;

    /// Writes the configuration if `from` is still the newest revision, with who writes it, what is
    /// recorded of it, and who last wrote each of its objects.
    async fn write_configuration(
        &self,
        from: u64,
        document: &str,
        written_by: &str,
        now: DateTime<Utc>,
        record: Option<&NewAuditEntry>,
        origins: Option<&str>,
    ) -> Result<ConfigurationWrite, StoreError>;

    /// Who last wrote each object of a revision of the configuration. If a replica of the release before wrote the
    /// revision, that of the newest one before.
    async fn origins(&self, revision: u64) -> Result<StoredOrigins, StoreError>;

    /// Replaces who wrote the objects of the newest revision, which stays as it is. Whether it still is the newest
    /// and nobody did so since `held` was read.
    async fn write_origins(
        &self,
        revision: u64,
        held: &StoredOrigins,
        origins: &str,
    ) -> Result<bool, StoreError>;

    /// One revision of the configuration; none if it was never written, or if [`Store::maintain`]
    /// has deleted it.
    async fn configuration_revision(
        &self,
        revision: u64,
    ) -> Result<Option<ConfigurationRevision>, StoreError>;

    /// The newest `limit` revisions of the configuration, newest first; with `before`, only older
    /// ones.
    async fn configuration_revisions(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RevisionMark>, StoreError>;

    /// Stores a new token, unless there are [`TOKENS_MAX`] already, or of sessions [`SESSIONS_MAX`]. Deletes those
    /// that were revoked or ran out more than 30 days before it was created, sessions that have ended, and the
    /// oldest sessions of somebody who has [`SESSIONS_EACH`].
    async fn create_token(
        &self,
        new: &Token,
        record: Option<&NewAuditEntry>,
    ) -> Result<TokenCreation, StoreError>;

    /// Revokes a token and returns it; none if there is no such token. One that was revoked before
    /// stays as it is, and nothing is recorded.
    async fn revoke_token(
        &self,
        id: Uuid,
        now: DateTime<Utc>,
        record: Option<&NewAuditEntry>,
    ) -> Result<Option<Token>, StoreError>;

    /// What was recorded of changes, newest first.
    async fn audit(&self, asked: &AuditAsked) -> Result<Vec<AuditEntry>, StoreError>;

    /// The oldest `limit` changes of the configuration whose effect is not known yet, oldest first.
    async fn unmeasured(&self, limit: u32) -> Result<Vec<AuditEntry>, StoreError>;

    /// Fills in the effect of a change, if the lease is held as claimed and it is not known yet. Whether
    /// it was filled in.
    async fn write_measured(
        &self,
        claim: Claim,
        id: u64,
        measured: &str,
    ) -> Result<bool, StoreError>;

    /// Says that a replica is there.
    async fn note_replica(&self, beat: &ReplicaBeat) -> Result<(), StoreError>;

    /// Says that a replica is there no longer.
    async fn remove_replica(&self, replica: Uuid) -> Result<(), StoreError>;

    /// The replicas that were there within the last hour, in the order in which they started. `lease` is the
    /// one under which plans are computed.
    async fn replicas(&self, lease: &str) -> Result<Vec<StoredReplica>, StoreError>;

    /// Says that edges ask for the plan, sorted by name.
    async fn note_edges(&self, beats: &[EdgeBeat]) -> Result<(), StoreError>;

    /// The edges that asked within the last hour, by name.
    async fn edges(&self) -> Result<Vec<StoredEdge>, StoreError>;

    /// Every token, oldest first, with those that were revoked or ran out.
    async fn tokens(&self) -> Result<Vec<Token>, StoreError>;

    /// What changes whenever [`Store::tokens`] does. Cheap.
    async fn tokens_mark(&self) -> Result<TokensMark, StoreError>;

    /// Creates partitions ahead, from `now` on, and deletes data past its retention.
    async fn maintain(
        &self,
        now: Timestamp,
        retention: Retention,
    ) -> Result<Maintained, StoreError>;

    /// Checks that tables, keys and rights are as Weir needs them. Cheap.
    ///
    /// # Errors
    /// [`StoreError::Unsound`], with what is missing and how to repair it.
    async fn inspect(&self) -> Result<(), StoreError>;

    /// The current connections. Does not query the database.
    fn pool(&self) -> PoolState;

    /// Closes the connections after the running calls.
    async fn close(&self);
}
