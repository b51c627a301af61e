//! Transactions, and the server-side limits for their statements.
//!
//! Limits are set in the same message as `begin`. That costs no round trip, and works through a
//! transaction-pooling proxy. They are below the callers' limits, so that the server gives up first
//! and says why. If a caller gives up earlier, [`super::ending`] ends the work.

use std::ops::{Deref, DerefMut};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Postgres, Row};
use tokio::time::timeout;
use uuid::Uuid;

use super::connection::Connection;
use super::pool::Pool;
use super::session::Session;
use crate::store::backend::{self, Kind, Value};
use crate::store::fault::Fault;

/// A transaction that may write. Acknowledged data is on disk, whatever the default of the server,
/// the database or the role is. Levels other than `off` stay as the operator chose them.
const READ_COMMITTED: &str = "\
-- transaction: begin
begin isolation level read committed;
select set_config('synchronous_commit', 'on', true)
where current_setting('synchronous_commit') = 'off'";

/// A transaction for one statement.
pub(super) const SINGLE: &str = "\
-- transaction: begin for one statement
begin isolation level read committed";

/// A transaction whose statements all read the same state.
const SNAPSHOT: &str = "\
-- transaction: begin a snapshot
begin isolation level repeatable read, read only";

// Below the 8 s that a report and its commit may take.
pub(super) const BRIEF: &str = ";
set local statement_timeout = '7s';
set local lock_timeout = '5s';
set local idle_in_transaction_session_timeout = '25s'";

// Under the time limit of guarded/limited.rs. The last one also ends transactions of a replica that froze while it
// held locks.
const LONG: &str = ";
set local statement_timeout = '25s';
set local lock_timeout = '5s';
set local idle_in_transaction_session_timeout = '25s'";

/// A change of the schema may take as long as it needs.
const UNBOUNDED: &str = ";
set local statement_timeout = 0;
set local lock_timeout = 0";

const COMMIT: &str = "\
-- transaction: commit
commit";

const ROLLBACK: &str = "\
-- transaction: roll back
rollback";

/// How long a transaction's statements may take.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Limits {
    /// No transaction at all: one statement that is soon done.
    Glance,
    /// For work that agents wait for.
    Brief,
    /// For large reads and writes.
    Long,
    /// For large reads, in one state.
    Snapshot,
    /// For a change of the schema.
    Unbounded,
}

impl From<Kind> for Limits {
    fn from(kind: Kind) -> Self {
        match kind {
            Kind::Glance => Self::Glance,
            Kind::Read => Self::Snapshot,
            Kind::Brief => Self::Brief,
            Kind::Write => Self::Long,
        }
    }
}

impl Limits {
    /// The statements that begin a transaction with these limits, in a session that is Weir's own or
    /// not.
    pub(super) fn begin(self, own: bool) -> Option<String> {
        match self {
            Self::Glance => None,
            // A session of Weir's own has these limits already.
            Self::Brief if own => Some(READ_COMMITTED.to_owned()),
            Self::Brief => Some(format!("{READ_COMMITTED}{BRIEF}")),
            Self::Long => Some(format!("{READ_COMMITTED}{LONG}")),
            Self::Snapshot => Some(format!("{SNAPSHOT}{LONG}")),
            Self::Unbounded => Some(format!("{READ_COMMITTED}{UNBOUNDED}")),
        }
    }
}

/// How long the end of a transaction that only read is waited for.
const END_OF_READS: Duration = Duration::from_secs(5);

/// A transaction. Dropped before its end, it takes its connection with it.
#[derive(Debug)]
pub struct Transaction {
    session: Session,
    limits: Limits,
}

impl Transaction {
    /// Takes a connection and begins.
    pub(super) async fn begin(pool: &Pool, limits: impl Into<Limits>) -> Result<Self, Fault> {
        let limits = limits.into();
        let session = Session::open(pool, limits).await?;
        Ok(Self { session, limits })
    }

    /// Commits, and returns when the server has confirmed it. One that only read has nothing to
    /// confirm: its caller has its rows, and does not wait for another round trip.
    pub async fn commit(self) -> Result<(), Fault> {
        if self.limits != Limits::Snapshot {
            return self.end(COMMIT).await;
        }
        // If it fails, the connection is closed, which ends the transaction too.
        tokio::spawn(timeout(END_OF_READS, self.end(COMMIT)));
        Ok(())
    }

    /// Rolls back.
    pub async fn rollback(self) -> Result<(), Fault> {
        self.end(ROLLBACK).await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), Fault> {
        if self.is_in_transaction() {
            self.session.connection_mut().end(statement).await?;
        }
        self.session.keep();
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.session.connection()
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        self.session.connection_mut()
    }
}

type Query = sqlx::query::Query<'static, Postgres, PgArguments>;

fn bound(statement: &'static str, values: &[Value<'_>]) -> Query {
    values
        .iter()
        .fold(sqlx::query(statement), |query, value| match *value {
            Value::Integer(integer) => query.bind(integer),
            Value::Text(text) => query.bind(text),
            Value::Bytes(bytes) => query.bind(bytes),
            Value::Id(id) => query.bind(id),
        })
}

#[async_trait]
impl backend::Transaction for Transaction {
    type Row = PgRow;

    async fn execute(
        &mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> Result<u64, Fault> {
        let done = bound(statement, values).execute(&mut **self).await?;
        Ok(done.rows_affected())
    }

    fn stream<'t>(
        &'t mut self,
        statement: &'static str,
        values: &[Value<'_>],
    ) -> BoxStream<'t, Result<PgRow, Fault>> {
        let rows = bound(statement, values).fetch(&mut **self);
        rows.map_err(Fault::from).boxed()
    }

    async fn commit(self) -> Result<(), Fault> {
        Transaction::commit(self).await
    }

    async fn rollback(self) -> Result<(), Fault> {
        Transaction::rollback(self).await
    }
}

impl backend::Row for PgRow {
    fn integer_or_null(&self, column: &'static str) -> Result<Option<i64>, Fault> {
        Ok(self.try_get(column)?)
    }

    fn text_or_null(&self, column: &'static str) -> Result<Option<&str>, Fault> {
        Ok(self.try_get(column)?)
    }

    fn bytes_or_null(&self, column: &'static str) -> Result<Option<&[u8]>, Fault> {
        Ok(self.try_get(column)?)
    }

    fn id_or_null(&self, column: &'static str) -> Result<Option<Uuid>, Fault> {
        Ok(self.try_get(column)?)
    }
}
