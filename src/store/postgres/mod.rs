//! The backend for production and for several replicas: PostgreSQL 15 or newer.
//!
//! Begin with [`PostgresStore`]. `pool` distributes the connections, `transaction` limits the time
//! of statements, `partitions` drops old rows. A commit is on disk when a call returns, even if the
//! server's `synchronous_commit` is `off`.

mod address;
mod compatibility;
mod connection;
mod dictionary;
mod ending;
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
use uuid::Uuid;

use super::backend::{Backend, Coming, Kind, Statements};
use super::fault::{self, Fault};
use super::guarded::limited;
use super::naming::{Additions, Known};
use super::{
    Admission, Guarded, HistoryRow, LeaseAnswer, PoolState, ResolvedReport, Retention, Rows,
    SeriesRow, SeriesStep, SourceState, Store, StoreError,
};
use crate::allocation::{AgentName, OperationId, OperationName, ServiceName, Timestamp};
use partitions::{HISTORY, PLAN, PLAN_BODY, Partitions, SERIES_WINDOW};
use pool::Pool;
use transaction::{Limits, Transaction};

pub use address::{UrlError, UrlSource};
pub use connection::PreparedStatements;
pub use pool::PostgresSettings;

/// A store in a PostgreSQL database, which any number of replicas may share.
pub type PostgresStore = Guarded<Postgres>;

/// A PostgreSQL database.
#[derive(Debug)]
pub struct Postgres {
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
    /// [`StoreError::Unavailable`] if there is no connection, for a reason that may be temporary;
    /// [`StoreError::Failed`] if the URL is wrong, or a proxy in between is not suitable;
    /// [`StoreError::Unsound`] if the database, its tables or the role's rights are not suitable.
    /// No error contains the URL.
    pub async fn open(settings: PostgresSettings) -> Result<Self, StoreError> {
        let pool = Pool::new(settings);
        let at = |error: StoreError| error.at(pool.host().as_deref());
        limited::run("connecting", || try_out(&pool))
            .await
            .map_err(at)?;
        let schema = limited::run("looking at the server", || schema::schema(&pool))
            .await
            .map_err(at)?;
        // A change of the schema may take as long as it needs.
        migrations::run(&pool, &schema)
            .await
            .map_err(|fault| at(fault.during("bringing the schema up to date")))?;
        tracing::debug!(schema, "the schema is up to date");
        let partitions = Partitions::of(schema);
        let store = Self::new(Postgres { pool, partitions });
        store.inspect().await?;
        Ok(store)
    }
}

/// Connects, and begins a transaction to check that this works.
async fn try_out(pool: &Pool) -> Result<(), Fault> {
    match Transaction::begin(pool, Limits::Long).await {
        Err(Fault::Unreachable(why)) if why.is_misconfigured => {
            Err(Fault::Unsuitable(why.to_string()))
        }
        // PgBouncer's answer to `begin` if it pools statements.
        Err(Fault::Driver(error)) if fault::code(&error).as_deref() == Some("08P01") => {
            Err(Fault::Unsuitable(format!(
                "the proxy takes no transactions, which Weir needs (PgBouncer: set pool_mode to \
                 transaction): {error}"
            )))
        }
        begun => begun?.rollback().await,
    }
}

#[async_trait]
impl Backend for Postgres {
    type Transaction = Transaction;

    const STATEMENTS: Statements = Statements {
        hold_lease: lease::HOLD,
        release_lease: lease::RELEASE,
        lock_dictionary: dictionary::LOCK,
        swap_head: plans::SWAP_HEAD,
        insert_plan: plans::INSERT_PLAN,
        insert_body: plans::INSERT_BODY,
        read_current: plans::READ_CURRENT,
        read_readable: plans::READ_READABLE,
    };

    async fn begin(&self, kind: Kind) -> Result<Transaction, Fault> {
        Transaction::begin(&self.pool, kind).await
    }

    async fn make_room(&self, coming: Coming<'_>) -> Result<(), Fault> {
        let history = coming.history.iter();
        let history = history.map(|row| HISTORY.at(row.window.start.0));
        let plans = coming.plan.into_iter().flat_map(|plan| {
            let published = plan.published_at.timestamp_millis();
            [PLAN.at(published), PLAN_BODY.at(published)]
        });
        let windows = |row: &&SeriesRow| row.step == SeriesStep::Window;
        let series = coming.series.iter().filter(windows);
        let series = series.map(|row| SERIES_WINDOW.at(row.window.start.0));
        let wanted = history.chain(plans).chain(series);
        self.partitions.ensure(&self.pool, wanted).await
    }

    fn consider(&self, fault: Fault) -> Fault {
        if fault.is_read_only() {
            self.pool.forget_idle();
        }
        self.partitions.mind(fault)
    }

    fn host(&self) -> Option<String> {
        Some(self.pool.host()?.to_string())
    }

    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, Fault> {
        reports::commit(self, batch).await
    }

    async fn source_states(
        &self,
        sources: &[(AgentName, Uuid)],
    ) -> Result<Vec<Option<SourceState>>, Fault> {
        reports::source_states(self, sources).await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, Fault> {
        lease::acquire(self, name, holder, time_to_live).await
    }

    async fn find_names(
        transaction: &mut Transaction,
        names: &[(ServiceName, OperationName)],
    ) -> Result<Known, Fault> {
        dictionary::find(transaction, names).await
    }

    async fn write_names(
        transaction: &mut Transaction,
        additions: &Additions<'_>,
    ) -> Result<(), Fault> {
        dictionary::write(transaction, additions).await
    }

    async fn delete_names(
        transaction: &mut Transaction,
        operations: &[OperationId],
    ) -> Result<(u64, u64), Fault> {
        dictionary::delete(transaction, operations).await
    }

    async fn write_history(
        transaction: &mut Transaction,
        rows: &[HistoryRow],
    ) -> Result<(), Fault> {
        history::write(transaction, rows).await
    }

    async fn stream_history(
        &self,
        starts: Range<Timestamp>,
        limit: u32,
        operation: Option<OperationId>,
        rows: &Rows<HistoryRow>,
    ) -> Result<(), Fault> {
        history::stream(self, starts, limit, operation, rows).await
    }

    async fn maintain(&self, now: Timestamp, retention: Retention) -> Result<(), Fault> {
        maintenance::run(self, now, retention).await
    }

    async fn inspect(&self) -> Result<(), Fault> {
        schema::inspect(&self.pool, self.partitions.schema()).await
    }

    fn pool(&self) -> PoolState {
        self.pool.state()
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
