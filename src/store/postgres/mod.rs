//! The backend for production and for several replicas: PostgreSQL 15 or newer.
//!
//! Read [`PostgresStore`] first; `pool` says who has a connection, `transaction` how long statements may take, `partitions`
//! how old rows go. A commit is on disk when a call returns, also where the server's
//! `synchronous_commit` is `off`.

mod address;
mod compatibility;
mod configuration;
mod connection;
mod dictionary;
mod ending;
mod fleet;
mod history;
mod lease;
mod ledger;
mod maintenance;
mod migrations;
mod partitions;
mod plans;
mod pool;
mod reports;
mod schema;
mod session;
mod transaction;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::fault::{self, Fault};
use super::{
    Admission, ConfigurationRevision, ConfigurationWrite, DictionaryCursor, DictionaryLimits,
    DictionaryPage, FleetSettings, HistoryRow, Incarnation, LeaseAnswer, Maintained, NewPlan,
    Placement, PlanMark, PoolState, Publication, ResolvedReport, Retention, RevisionMark, Rows,
    Settlement, Settling, Store, StoreError, StoredDelta, StoredPlan, WriteFormat,
};
use crate::allocation::{OperationId, OperationName, ServiceName, Timestamp, Window};
use partitions::Partitions;
use pool::Pool;
use session::Session;

pub use address::{UrlError, UrlSource};
pub use connection::PreparedStatements;
pub use pool::PostgresSettings;

/// A store in a PostgreSQL database, which any number of replicas may share.
#[derive(Debug)]
pub struct PostgresStore {
    pool: Pool,
    partitions: Partitions,
}

impl PostgresStore {
    /// Connects to a URL; see [`PostgresStore::open`].
    ///
    /// # Errors
    /// Those of [`PostgresStore::open`].
    pub async fn connect(url: &str, connections: u32) -> Result<Self, StoreError> {
        Self::open(PostgresSettings {
            url: UrlSource::Text(url.to_owned()),
            connections,
            prepared: PreparedStatements::Auto,
        })
        .await
    }

    /// Connects, brings the schema up to date and checks it. Several replicas may do so at once.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if there is no connection to be had, for whatever reason may
    /// pass; [`StoreError::Failed`] if the URL is wrong or what is between here and the database
    /// does not suit; [`StoreError::Unsound`] if the database, its tables or the role's rights do
    /// not suit. No error holds the URL.
    pub async fn open(settings: PostgresSettings) -> Result<Self, StoreError> {
        let pool = Pool::new(settings);
        pool.run("connecting", || try_out(&pool)).await?;
        let schema = pool
            .run("looking at the server", || schema::schema(&pool))
            .await?;
        migrations::run(&pool, &schema)
            .await
            .map_err(|fault| fault.during("bringing the schema up to date"))
            .map_err(|error| error.at(pool.host().as_deref()))?;
        tracing::debug!(schema, "the schema is up to date");
        let partitions = Partitions::of(schema);
        let store = Self { pool, partitions };
        store.inspect().await?;
        Ok(store)
    }

    async fn run<T, F>(
        &self,
        during: &'static str,
        attempt: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        self.pool.run(during, attempt).await
    }

    /// Runs one call that hands rows on as they come; see [`fault::once`].
    async fn once<T>(
        &self,
        during: &'static str,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, StoreError> {
        let outcome = fault::once(during, work).await;
        outcome.map_err(|error| error.at(self.pool.host().as_deref()))
    }
}

/// Connects, and begins a transaction to see whether one can be had.
async fn try_out(pool: &Pool) -> Result<(), Fault> {
    let mut session = match Session::open(pool).await {
        Err(Fault::Unreachable(why)) if why.is_misconfigured => {
            return Err(Fault::Unsuitable(why.to_string()));
        }
        opened => opened?,
    };
    match session.begin().await {
        // What PgBouncer says to `begin` where it pools statements.
        Err(error) if fault::code(&error).as_deref() == Some("08P01") => {
            return Err(Fault::Unsuitable(format!(
                "the proxy takes no transactions, which Weir needs (PgBouncer: set pool_mode to \
                 transaction): {error}"
            )));
        }
        begun => begun?.rollback().await?,
    }
    session.keep();
    Ok(())
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        self.run("committing reports", || reports::commit(self, batch))
            .await
    }

    async fn stream_deltas(
        &self,
        starts: Range<Timestamp>,
        rows: Rows<StoredDelta>,
    ) -> Result<Incarnation, StoreError> {
        self.once("reading deltas", reports::stream(self, starts, &rows))
            .await
    }

    async fn next_bucket(&self, from: Timestamp) -> Result<Option<Window>, StoreError> {
        self.run("looking for the next bucket", || {
            reports::next_bucket(self, from)
        })
        .await
    }

    async fn read_dictionary(
        &self,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<DictionaryPage, StoreError> {
        self.run("reading the dictionary", || {
            dictionary::read(self, at, including)
        })
        .await
    }

    async fn add_names(
        &self,
        names: &[(ServiceName, OperationName)],
        limits: DictionaryLimits,
    ) -> Result<Vec<Placement>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        self.run("adding names", || dictionary::add(self, names, limits))
            .await
    }

    async fn remove_names(
        &self,
        under: Incarnation,
        operations: &[OperationId],
    ) -> Result<u64, StoreError> {
        if operations.is_empty() {
            return Ok(0);
        }
        self.run("removing names", || {
            dictionary::remove(self, under, operations)
        })
        .await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, StoreError> {
        self.run("acquiring the lease", || {
            lease::acquire(self, name, holder, time_to_live)
        })
        .await
    }

    async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), StoreError> {
        self.run("releasing the lease", || lease::release(self, name, holder))
            .await
    }

    async fn publish_plan(&self, new: NewPlan<'_>) -> Result<Publication, StoreError> {
        self.run("publishing a plan", || plans::publish(self, new))
            .await
    }

    async fn current_plan_mark(&self) -> Result<Option<PlanMark>, StoreError> {
        self.run("reading which plan is current", || {
            plans::current_mark(self)
        })
        .await
    }

    async fn current_plan(&self) -> Result<Option<StoredPlan>, StoreError> {
        self.run("reading the current plan", || plans::current(self))
            .await
    }

    async fn readable_plan(&self, below: u64) -> Result<Option<StoredPlan>, StoreError> {
        self.run("reading the newest readable plan", || {
            plans::readable(self, below)
        })
        .await
    }

    async fn settled_until(&self) -> Result<Option<Timestamp>, StoreError> {
        self.run("reading up to where history is settled", || {
            history::settled(self)
        })
        .await
    }

    async fn settle_history(&self, settling: Settling<'_>) -> Result<Settlement, StoreError> {
        self.run("settling history", || history::settle(self, settling))
            .await
    }

    async fn stream_history(
        &self,
        starts: Range<Timestamp>,
        limit: u32,
        operation: Option<OperationId>,
        rows: Rows<HistoryRow>,
    ) -> Result<(), StoreError> {
        let sent = history::stream(self, starts, limit, operation, &rows);
        self.once("reading history", sent).await
    }

    async fn write_format(&self) -> Result<WriteFormat, StoreError> {
        self.run("reading which formats to write", || {
            compatibility::format(self)
        })
        .await
    }

    async fn set_write_format(&self, format: WriteFormat) -> Result<(), StoreError> {
        self.run("writing which formats to write", || {
            compatibility::set_format(self, format)
        })
        .await
    }

    async fn fleet_settings(&self) -> Result<Option<FleetSettings>, StoreError> {
        self.run("reading the shared settings", || fleet::read(self))
            .await
    }

    async fn write_fleet_settings(
        &self,
        settings: FleetSettings,
        replace: bool,
    ) -> Result<FleetSettings, StoreError> {
        self.run("writing the shared settings", || {
            fleet::write(self, settings, replace)
        })
        .await
    }

    async fn configuration(&self) -> Result<ConfigurationRevision, StoreError> {
        self.run("reading the configuration", || configuration::read(self))
            .await
    }

    async fn create_configuration(
        &self,
        initial: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationRevision, StoreError> {
        self.run("creating the configuration", || {
            configuration::create(self, initial, now)
        })
        .await
    }

    async fn write_configuration(
        &self,
        from: u64,
        document: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationWrite, StoreError> {
        self.run("writing the configuration", || {
            configuration::write(self, from, document, now)
        })
        .await
    }

    async fn configuration_revision(
        &self,
        revision: u64,
    ) -> Result<Option<ConfigurationRevision>, StoreError> {
        self.run("reading a revision of the configuration", || {
            configuration::revision(self, revision)
        })
        .await
    }

    async fn configuration_revisions(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RevisionMark>, StoreError> {
        self.run("listing the configuration's revisions", || {
            configuration::list(self, before, limit)
        })
        .await
    }

    async fn maintain(
        &self,
        now: Timestamp,
        retention: Retention,
    ) -> Result<Maintained, StoreError> {
        self.run("maintaining the tables", || {
            maintenance::run(self, now, retention)
        })
        .await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        self.run("checking the tables", || {
            schema::inspect(&self.pool, self.partitions.schema())
        })
        .await
    }

    fn pool(&self) -> PoolState {
        self.pool.state()
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
