//! The parts that a database must provide to be a backend.
//!
//! A [`Backend`] provides transactions, in which `tables` run the statements that all databases
//! share, and the parts that differ: statements with another text, batches, streams of large rows,
//! partitions. It reports failures as a [`Fault`]. [`Guarded`](super::Guarded) turns it into a
//! [`Store`](super::Store).

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use futures_util::TryStreamExt;
use futures_util::stream::BoxStream;
use uuid::Uuid;

use super::fault::Fault;
use super::naming::{Additions, Known};
use super::{
    Admission, HistoryRow, LeaseAnswer, PoolState, ResolvedReport, Retention, Rows, SeriesRow,
    SourceState, StoredPlan,
};
use crate::allocation::{AgentName, OperationId, OperationName, ServiceName, Timestamp};

/// The purpose of a transaction.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Kind {
    /// One small read. It need not be a transaction.
    Glance,
    /// A large read, all of it in one state.
    Read,
    /// A write that agents wait for.
    Brief,
    /// Any other write.
    Write,
}

/// A value for a placeholder of a statement. A null has a type.
#[derive(Debug, Clone, Copy)]
pub enum Value<'v> {
    /// A whole number.
    Integer(Option<i64>),
    /// Text.
    Text(&'v str),
    /// Bytes.
    Bytes(&'v [u8]),
    /// An identity.
    Id(Option<Uuid>),
}

impl From<i64> for Value<'_> {
    fn from(value: i64) -> Self {
        Self::Integer(Some(value))
    }
}

impl From<Option<i64>> for Value<'_> {
    fn from(value: Option<i64>) -> Self {
        Self::Integer(value)
    }
}

impl<'v> From<&'v str> for Value<'v> {
    fn from(value: &'v str) -> Self {
        Self::Text(value)
    }
}

impl<'v> From<&'v [u8]> for Value<'v> {
    fn from(value: &'v [u8]) -> Self {
        Self::Bytes(value)
    }
}

impl From<Uuid> for Value<'_> {
    fn from(value: Uuid) -> Self {
        Self::Id(Some(value))
    }
}

impl From<Option<Uuid>> for Value<'_> {
    fn from(value: Option<Uuid>) -> Self {
        Self::Id(value)
    }
}

/// A row of an answer, read by the names of its columns.
pub trait Row: Send {
    /// A whole number, or null.
    fn integer_or_null(&self, column: &'static str) -> Result<Option<i64>, Fault>;

    /// Text, or null.
    fn text_or_null(&self, column: &'static str) -> Result<Option<&str>, Fault>;

    /// Bytes, or null.
    fn bytes_or_null(&self, column: &'static str) -> Result<Option<&[u8]>, Fault>;

    /// An identity, or null.
    fn id_or_null(&self, column: &'static str) -> Result<Option<Uuid>, Fault>;

    /// A whole number.
    fn integer(&self, column: &'static str) -> Result<i64, Fault> {
        there(column, self.integer_or_null(column)?)
    }

    /// Text.
    fn text(&self, column: &'static str) -> Result<&str, Fault> {
        there(column, self.text_or_null(column)?)
    }

    /// Bytes.
    fn bytes(&self, column: &'static str) -> Result<&[u8], Fault> {
        there(column, self.bytes_or_null(column)?)
    }

    /// An identity.
    fn id(&self, column: &'static str) -> Result<Uuid, Fault> {
        there(column, self.id_or_null(column)?)
    }
}

fn there<T>(column: &str, value: Option<T>) -> Result<T, Fault> {
    value.ok_or_else(|| Fault::corrupt(column, "it is null"))
}

/// A transaction. If it is dropped before its end, it is rolled back.
#[async_trait]
pub trait Transaction: Send {
    /// The driver's row.
    type Row: Row;

    /// Runs a statement and returns how many rows it changed.
    async fn execute(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, Fault>;

    /// Runs a statement and streams its rows.
    fn stream<'t>(
        &'t mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> BoxStream<'t, Result<Self::Row, Fault>>;

    /// Runs a statement and returns its rows.
    async fn rows(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Vec<Self::Row>, Fault> {
        self.stream(statement, values).try_collect().await
    }

    /// Runs a statement and returns its only row, if there is one.
    async fn row(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Option<Self::Row>, Fault> {
        Ok(self.rows(statement, values).await?.pop())
    }

    /// Runs a statement that always returns one row, and returns it.
    async fn only_row(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<Self::Row, Fault> {
        let row = self.row(statement, values).await?;
        row.ok_or_else(Fault::no_row)
    }

    /// Commits, and returns when it is durable.
    async fn commit(self) -> Result<(), Fault>;

    /// Rolls back.
    async fn rollback(self) -> Result<(), Fault>;
}

/// Statements that do the same on every backend, but need another text. Their placeholders mean the
/// same.
#[derive(Debug)]
pub struct Statements {
    /// Finds the lease named $1 if $2 holds it under term $3. That does not change until the
    /// transaction ends.
    pub hold_lease: &'static str,
    /// Gives back the lease named $1 if $2 holds it. The holder is removed, so that the term
    /// increases even if the same holder takes it again.
    pub release_lease: &'static str,
    /// Reads the dictionary's counters, and locks them until the transaction ends.
    pub lock_dictionary: &'static str,
    /// Makes plan $3 with identity $4, published at $5, the current one if the current one is $1
    /// with identity $2.
    pub swap_head: &'static str,
    /// Writes a plan.
    pub insert_plan: &'static str,
    /// Writes a plan's body.
    pub insert_body: &'static str,
    /// Reads the current plan.
    pub read_current: &'static str,
    /// Reads the newest plan below $1 whose body begins with a byte from $2 to $3.
    pub read_readable: &'static str,
}

/// Rows that are about to be written.
#[derive(Debug, Clone, Copy, Default)]
pub struct Coming<'a> {
    /// History.
    pub history: &'a [HistoryRow],
    /// A plan.
    pub plan: Option<&'a StoredPlan>,
    /// Series.
    pub series: &'a [SeriesRow],
}

/// A database.
#[async_trait]
pub trait Backend: Send + Sync + 'static {
    /// Its transactions.
    type Transaction: Transaction;

    /// The statements that differ.
    const STATEMENTS: Statements;

    /// Begins a transaction.
    async fn begin(&self, kind: Kind) -> Result<Self::Transaction, Fault>;

    /// Creates partitions for rows, if tables have partitions.
    async fn make_room(&self, _coming: Coming<'_>) -> Result<(), Fault> {
        Ok(())
    }

    /// Reacts to a fault. The call that met it may be tried again.
    fn consider(&self, fault: Fault) -> Fault {
        fault
    }

    /// The host to name in errors.
    fn host(&self) -> Option<String> {
        None
    }

    /// See [`Store::commit_reports`](super::Store::commit_reports).
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, Fault>;

    /// See [`Store::source_states`](super::Store::source_states).
    async fn source_states(
        &self,
        sources: &[(AgentName, Uuid)],
    ) -> Result<Vec<Option<SourceState>>, Fault>;

    /// See [`Store::acquire_lease`](super::Store::acquire_lease).
    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, Fault>;

    /// Finds which of the names exist already.
    async fn find_names(
        transaction: &mut Self::Transaction,
        names: &[(ServiceName, OperationName)],
    ) -> Result<Known, Fault>;

    /// Writes new names. The dictionary's counters are written elsewhere.
    async fn write_names(
        transaction: &mut Self::Transaction,
        additions: &Additions<'_>,
    ) -> Result<(), Fault>;

    /// Deletes names. Returns how many services and operations were deleted. The dictionary's
    /// counters are written elsewhere.
    async fn delete_names(
        transaction: &mut Self::Transaction,
        operations: &[OperationId],
    ) -> Result<(u64, u64), Fault>;

    /// Writes history, replacing rows of the same window start. If several rows have the
    /// same start, the last one is stored.
    async fn write_history(
        transaction: &mut Self::Transaction,
        rows: &[HistoryRow],
    ) -> Result<(), Fault>;

    /// See [`Store::stream_history`](super::Store::stream_history).
    async fn stream_history(
        &self,
        starts: Range<Timestamp>,
        limit: u32,
        operation: Option<OperationId>,
        rows: &Rows<HistoryRow>,
    ) -> Result<(), Fault>;

    /// Creates partitions ahead, and deletes data past its retention: counts, history, plans and
    /// marks.
    async fn maintain(&self, now: Timestamp, retention: Retention) -> Result<(), Fault>;

    /// See [`Store::inspect`](super::Store::inspect).
    async fn inspect(&self) -> Result<(), Fault>;

    /// See [`Store::pool`](super::Store::pool).
    fn pool(&self) -> PoolState;

    /// See [`Store::close`](super::Store::close).
    async fn close(&self);
}
