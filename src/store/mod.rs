//! What Weir keeps, behind one narrow trait with two backends.
//!
//! Read [`Store`] first, then `model`, which says what it takes and returns. Only this module holds
//! SQL. A backend promises what the conformance suite in `tests/it/store/` asks of both.

mod admission;
mod backend;
mod compatibility;
mod delta_codec;
mod error;
mod fault;
mod frame;
mod guarded;
pub mod history_codec;
mod model;
mod naming;
pub mod plan_codec;
pub mod postgres;
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
    Admission, BucketCounts, BucketOperation, Claim, ConfigurationRevision, ConfigurationWrite,
    DictionaryCursor, DictionaryEntry, DictionaryLimits, DictionaryPage, FleetSettings, HistoryRow,
    Incarnation, LeaseAnswer, Maintained, NewPlan, Placement, PlanMark, PoolState, Publication,
    ResolvedReport, Retention, RevisionMark, Revisions, Settlement, Settling, Step, StoredDelta,
    StoredPlan, WriteFormat,
};

use crate::allocation::{OperationId, OperationName, ServiceName, Timestamp, Window};

/// Where a read sends its rows, one at a time: it waits while the other end is busy, and ends when
/// the other end is gone.
pub type Rows<T> = mpsc::Sender<T>;

/// Everything Weir asks of a database.
///
/// Every method is one transaction or one statement; none keeps session state. Methods may be
/// called at once from several tasks and several replicas. Each ends within 30 seconds, and a
/// caller may drop its future at any time.
#[async_trait]
pub trait Store: Send + Sync + 'static {
    /// Stores a batch of reports in one transaction and returns after it has committed, so that
    /// `Counted` and `Duplicate` mean durable. The answers stand in the batch's order.
    ///
    /// The batch holds at most one report of an (agent, epoch). Within the transaction the
    /// marks are locked in sorted order, each report's state of the dictionary is compared with
    /// the database's, and the accepted reports' counts are summed into one delta per bucket. An
    /// error means that nothing may be acknowledged.
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, StoreError>;

    /// Sends every delta of the buckets that start in the range, in no particular order. Returns the
    /// state of the dictionary at that moment: all numbers that were sent have their names in it.
    async fn stream_deltas(
        &self,
        starts: Range<Timestamp>,
        rows: Rows<StoredDelta>,
    ) -> Result<Incarnation, StoreError>;

    /// The first bucket from an instant on for which there are deltas; of several lengths that begin
    /// together, the longest.
    async fn next_bucket(&self, from: Timestamp) -> Result<Option<Window>, StoreError>;

    /// Reads a page of what a reader at `at` does not know yet, or of everything where it has read
    /// nothing or another past. The reader goes on from the page's cursor while there are more. Says, too, whether `including` is in the past of what is read.
    async fn read_dictionary(
        &self,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<DictionaryPage, StoreError>;

    /// Adds names as far as the limits allow, services before operations, in the order given, and
    /// says what became of each. The caller reads the dictionary after. `__other__` needs no
    /// adding: a service's comes with it, and the overflow service has no other operation.
    async fn add_names(
        &self,
        names: &[(ServiceName, OperationName)],
        limits: DictionaryLimits,
    ) -> Result<Vec<Placement>, StoreError>;

    /// Removes operations (never overflow entries) and services left with none, and starts a
    /// new generation if anything went. Numbers are not reused. Returns how many operations
    /// went; none at all if `under`, where the numbers come from, is not in the database's past.
    ///
    /// A service goes, its overflow entry with it, if it has no operation left and either lost
    /// one now or its overflow entry is among those given.
    async fn remove_names(
        &self,
        under: Incarnation,
        operations: &[OperationId],
    ) -> Result<u64, StoreError>;

    /// Takes the lease of this name, or renews it, on the database's clock. The term rises
    /// whenever the holder changes.
    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, StoreError>;

    /// Gives the lease back, if it is the caller's, so that another may take it at once.
    async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), StoreError>;

    /// Publishes a plan with the history of its window: one transaction that holds only if the
    /// lease still has the claim's holder and term, the plan to be replaced is the current one, and
    /// the names that the plan was computed with are in the database's past.
    async fn publish_plan(&self, new: NewPlan<'_>) -> Result<Publication, StoreError>;

    /// Which plan is current; none before the first.
    async fn current_plan_mark(&self) -> Result<Option<PlanMark>, StoreError>;

    /// The current plan, whole; none before the first.
    async fn current_plan(&self) -> Result<Option<StoredPlan>, StoreError>;

    /// The newest stored plan below a number whose body has a format that this program reads.
    async fn readable_plan(&self, below: u64) -> Result<Option<StoredPlan>, StoreError>;

    /// Up to where history is settled: what [`Store::settle_history`] wrote last.
    async fn settled_until(&self) -> Result<Option<Timestamp>, StoreError>;

    /// Writes history rows, replacing those of the same window start, and notes in the same
    /// transaction up to where history is settled; only if it is settled up to where the caller
    /// has read, and the names that the rows were computed with are in the database's past.
    async fn settle_history(&self, settling: Settling<'_>) -> Result<Settlement, StoreError>;

    /// Which formats stored documents are to be written in.
    async fn write_format(&self) -> Result<WriteFormat, StoreError>;

    /// Says which formats stored documents are to be written in, to all replicas.
    async fn set_write_format(&self, format: WriteFormat) -> Result<(), StoreError>;

    /// Sends the history of the first `limit` windows that start in the range, oldest first.
    ///
    /// With an operation, a payload may be cut down to what it says of that one; see
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

    /// Writes the settings that all replicas share: where there are none yet, or in any case with
    /// `replace`. Returns those that are stored then.
    async fn write_fleet_settings(
        &self,
        settings: FleetSettings,
        replace: bool,
    ) -> Result<FleetSettings, StoreError>;

    /// The newest configuration. Never writes: in a restore the table is empty for a while.
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

    /// Writes the configuration if `from` is still the newest revision.
    async fn write_configuration(
        &self,
        from: u64,
        document: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationWrite, StoreError>;

    /// One revision of the configuration; none where nobody has written it, or where
    /// [`Store::maintain`] has deleted it since.
    async fn configuration_revision(
        &self,
        revision: u64,
    ) -> Result<Option<ConfigurationRevision>, StoreError>;

    /// The newest `limit` revisions of the configuration before one, the newest first; of all
    /// where that is absent.
    async fn configuration_revisions(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RevisionMark>, StoreError>;

    /// Creates partitions ahead, from `now` on, and deletes data past its retention.
    async fn maintain(
        &self,
        now: Timestamp,
        retention: Retention,
    ) -> Result<Maintained, StoreError>;

    /// Checks that tables, keys and rights are as Weir needs them; cheap.
    ///
    /// # Errors
    /// [`StoreError::Unsound`] with what is missing and the way out.
    async fn inspect(&self) -> Result<(), StoreError>;

    /// The connections as they are now; asks nobody.
    fn pool(&self) -> PoolState;

    /// Ends the connections after what runs now.
    async fn close(&self);
}
