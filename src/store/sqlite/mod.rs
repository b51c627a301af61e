//! The embedded backend: one file, no server, one replica.
//!
//! Begin with [`SqliteStore`]; `connection` has the only writer. A commit survives a power failure.
//! Several processes may open the file, but nothing is optimised for that.

mod compatibility;
mod connection;
mod dictionary;
mod history;
mod lease;
mod maintenance;
mod migrations;
mod plans;
mod reports;
mod schema;
mod transaction;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use uuid::Uuid;

use super::backend::{Backend, Kind, Statements};
use super::fault::Fault;
use super::guarded::limited::run;
use super::naming::{Additions, Known};
use super::{
    Admission, Guarded, HistoryRow, LeaseAnswer, PoolState, ResolvedReport, Retention, Rows,
    SourceState, Store, StoreError,
};
use crate::allocation::{AgentName, OperationId, OperationName, ServiceName, Timestamp};
use crate::clock::{Clock, SystemClock};
use connection::Connections;
use transaction::Transaction;

/// A store in one SQLite file, for one replica.
pub type SqliteStore = Guarded<Sqlite>;

/// A SQLite file.
pub struct Sqlite {
    connections: Connections,
    /// The clock of the leases.
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for Sqlite {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Sqlite")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens a file, creating it if there is none, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the file cannot be created or opened, or is not a database;
    /// [`StoreError::Unavailable`] if another process locks it for too long;
    /// [`StoreError::Unsound`] if a table or key is missing.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_by(path, Arc::new(SystemClock)).await
    }

    /// Opens a file like [`SqliteStore::open`], with the given clock instead of the machine's.
    ///
    /// # Errors
    /// Those of [`SqliteStore::open`].
    pub async fn open_by(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let connections = run("opening the file", || Connections::open(path)).await?;
        run("bringing the schema up to date", || {
            migrations::run(&connections)
        })
        .await?;
        let store = Self::new(Sqlite { connections, clock });
        store.inspect().await?;
        Ok(store)
    }
}

#[async_trait]
impl Backend for Sqlite {
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
        let begun = match kind {
            Kind::Glance | Kind::Read => self.connections.read().await,
            Kind::Brief | Kind::Write => self.connections.write().await,
        };
        Ok(begun?)
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

    async fn maintain(&self, _now: Timestamp, retention: Retention) -> Result<(), Fault> {
        maintenance::run(self, retention).await
    }

    async fn inspect(&self) -> Result<(), Fault> {
        schema::inspect(self).await
    }

    fn pool(&self) -> PoolState {
        self.connections.state()
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
