//! What Weir keeps, behind one narrow trait with two backends.
//!
//! Read [`Store`] first. Only this module holds SQL. A backend promises what the conformance
//! suite in `tests/it/store/` asks of both.

mod admission;
mod compatibility;
mod delta_codec;
mod fault;
mod fleet;
mod frame;
pub mod history_codec;
mod instrumented;
mod names;
mod naming;
pub mod plan_codec;
mod plans;
pub mod postgres;
mod soundness;
pub mod sqlite;
mod varint;

use std::collections::BTreeMap;
use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use tokio::sync::mpsc;
use uuid::Uuid;

pub use fault::{Cause, Passing};
pub use fleet::FleetSettings;
pub use frame::TooLarge;
pub use instrumented::InstrumentedStore;
pub use names::{
    DictionaryCursor, DictionaryEntry, DictionaryLimits, DictionaryPage, Incarnation, Placement,
    Step,
};
pub use plans::{Claim, NewPlan, PlanMark, Publication, StoredPlan};

use crate::allocation::{
    AgentCount, AgentName, OperationId, OperationName, ServiceCount, ServiceName, Timestamp, Window,
};

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
    payload: Vec<u8>,
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

/// The answer to asking for the lease.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct LeaseAnswer {
    /// The fencing epoch, if the lease is now the caller's.
    pub epoch: Option<u64>,
    /// The database's clock at the answer.
    pub database_time: DateTime<Utc>,
}

/// One revision of the operators' configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ConfigurationRevision {
    /// Rises by one with each write; the first is 1.
    pub revision: u64,
    /// The JSON document.
    pub document: String,
    /// When it was written; kept to the millisecond.
    pub written_at: DateTime<Utc>,
}

/// That there is a revision of the configuration, without what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct RevisionMark {
    /// Its number.
    pub revision: u64,
    /// When it was written; kept to the millisecond.
    pub written_at: DateTime<Utc>,
}

/// The answer to a conditional write of the configuration.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum ConfigurationWrite {
    /// It is the newest revision now.
    Written(ConfigurationRevision),
    /// Somebody else wrote first; this is the newest.
    Conflict(ConfigurationRevision),
}

/// One window's history, or a correction of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct HistoryRow {
    /// The window.
    pub window: Window,
    /// Encoded by [`history_codec`].
    pub payload: Vec<u8>,
}

/// The last row given for each window start, by rising start: a statement may not write a row
/// twice.
fn last_of_each_window(rows: &[HistoryRow]) -> Vec<&HistoryRow> {
    let by_start: BTreeMap<_, _> = rows.iter().map(|row| (row.window.start, row)).collect();
    by_start.into_values().collect()
}

/// How long things are kept: what ends before an instant may go.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Retention {
    /// Deltas of buckets that start before this.
    pub deltas_before: Timestamp,
    /// History rows and plan summaries before this.
    pub history_before: Timestamp,
    /// Plan bodies published before this; the current plan's stays whatever its age.
    pub plan_bodies_before: Timestamp,
    /// The newest revisions of the configuration that stay.
    pub revisions: Revisions,
    /// Agents' sequence marks of which the newest counted bucket ended before this. Reports of
    /// such old buckets must be refused elsewhere: without its mark one would count again.
    pub agents_before: Timestamp,
    /// How many of the dictionary's newest states are remembered. A reader that stands further
    /// back reads everything again.
    pub dictionary_states: u32,
}

/// How many revisions of the configuration are kept. The newest, which is in force, always is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Revisions {
    /// So many at most.
    pub most: u32,
    /// Documents of so many bytes together at most.
    pub bytes: u64,
}

/// What is left after maintenance.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Maintained {
    /// Revisions of the configuration that are stored.
    pub configuration_revisions: u64,
}

/// The connections to the database at one moment.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct PoolState {
    /// Open, and waiting for work.
    pub idle: u32,
    /// Open, and at work.
    pub used: u32,
    /// The most that may be open.
    pub most: u32,
}

impl PoolState {
    /// The state of a pool.
    fn of<DB: sqlx::Database>(pool: &sqlx::Pool<DB>) -> Self {
        let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
        Self {
            idle,
            used: pool.size().saturating_sub(idle),
            most: pool.options().get_max_connections(),
        }
    }
}

/// What went wrong in the store, by what the caller can do.
#[derive(Debug, thiserror::Error)]
pub enum StoreError {
    /// The database cannot be reached or broke off: nothing is known to have happened; try again.
    #[error("the database is unavailable while {during}")]
    Unavailable {
        /// The operation that failed.
        during: &'static str,
        /// What the database, or the way to it, said.
        source: Cause,
    },
    /// A stored value cannot be what it should be.
    #[error("{what} is corrupt in the database: {why}")]
    Corrupt {
        /// The table, the row and the column.
        what: String,
        /// What is wrong with it.
        why: String,
    },
    /// The tables are not what Weir relies on: a restore is under way or was cut short, a right is
    /// missing. Nothing was written; works again once an operator has mended it.
    #[error("the database is not as Weir needs it: {why}")]
    Unsound {
        /// What is missing, and the way out.
        why: String,
    },
    /// A newer Weir wrote a stored value; run that one, or a newer one.
    #[error("{what} has format {found}, and this Weir reads up to format {known}")]
    NewerFormat {
        /// The table, the row and the column.
        what: String,
        /// The value's format.
        found: u32,
        /// The newest format that is read.
        known: u32,
    },
    /// Everything else: a fault of the program or of the schema; raise an alarm.
    #[error("the database refused {during}")]
    Failed {
        /// The operation that failed.
        during: &'static str,
        /// What the database, or the way to it, said.
        source: Cause,
    },
}

impl StoreError {
    /// Whether the tables may not be as Weir needs them; [`Store::inspect`] tells.
    #[must_use]
    pub fn blames_schema(&self) -> bool {
        match self {
            Self::Failed { source, .. } => source.blames_schema(),
            Self::Unsound { .. } => true,
            Self::Unavailable { .. } | Self::Corrupt { .. } | Self::NewerFormat { .. } => false,
        }
    }

    /// Whether the database has no room to write; reading goes on.
    #[must_use]
    pub fn is_full(&self) -> bool {
        self.passing() == Some(Passing::Full)
    }

    /// Whether the database cannot be reached or does not answer.
    #[must_use]
    pub fn is_away(&self) -> bool {
        let passing = self.passing();
        passing.is_some_and(|it| matches!(it, Passing::Away | Passing::NoConnection))
    }

    /// What passes by itself, so that trying again later makes sense.
    #[must_use]
    pub fn passing(&self) -> Option<Passing> {
        match self {
            Self::Unavailable { source, .. } => Some(source.passing()),
            Self::Corrupt { .. }
            | Self::Unsound { .. }
            | Self::NewerFormat { .. }
            | Self::Failed { .. } => None,
        }
    }

    /// Says at which host, where that is not said yet.
    fn at(self, host: Option<&str>) -> Self {
        match self {
            Self::Unavailable { during, source } => Self::Unavailable {
                during,
                source: source.at(host),
            },
            Self::Failed { during, source } => Self::Failed {
                during,
                source: source.at(host),
            },
            other @ (Self::Corrupt { .. } | Self::Unsound { .. } | Self::NewerFormat { .. }) => {
                other
            }
        }
    }

    /// Whether the database answered, with a value that this program cannot read.
    #[must_use]
    pub fn is_unreadable(&self) -> bool {
        matches!(self, Self::Corrupt { .. } | Self::NewerFormat { .. })
    }
}

/// Where a read sends its rows, one at a time: it waits while the other end is busy, and ends when
/// the other end is gone.
pub type Rows<T> = mpsc::Sender<T>;

/// Which formats stored documents are written in.
///
/// A release reads the formats of the one before, and writes them until an operator says that no
/// replica of the release before will come back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum WriteFormat {
    /// Those that the release before reads.
    #[default]
    Previous,
    /// The newest.
    Newest,
}

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

    /// Sends every delta of the buckets that start in the range, in no particular order.
    ///
    async fn stream_deltas(
        &self,
        starts: Range<Timestamp>,
        rows: Rows<StoredDelta>,
    ) -> Result<(), StoreError>;

    /// The first bucket from an instant on for which there are deltas; of several lengths that begin
    /// together, the longest.
    async fn next_bucket(&self, from: Timestamp) -> Result<Option<Window>, StoreError>;

    /// Reads what a reader at `at` does not know yet, or everything where it has read nothing or
    /// another past. Says, too, whether `including` is in the past of what is read.
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

    /// Takes the lease of this name, or renews it, on the database's clock. The epoch rises
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
    /// lease still has the claim's holder and term, and the plan to be replaced is the current one.
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
    /// transaction that the history of all windows that start before `until` is settled.
    async fn settle_history(&self, rows: &[HistoryRow], until: Timestamp)
    -> Result<(), StoreError>;

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
