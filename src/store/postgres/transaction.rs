//! Transactions, and the server-side limits for their statements.
//!
//! Limits are set in the same message as `begin`. That costs no round trip, and works through a
//! transaction-pooling proxy. They are below the callers' limits, so that the server gives up first
//! and says why. If a caller gives up earlier, [`super::ending`] ends the work.

use std::ops::{Deref, DerefMut};

use async_trait::async_trait;
use futures_util::stream::BoxStream;
use futures_util::{StreamExt, TryStreamExt};
use sqlx::postgres::{PgArguments, PgRow};
use sqlx::{Postgres, Row};
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

/// A transaction. Dropped before its end, it takes its connection with it.
#[derive(Debug)]
pub struct Transaction(Session);

impl Transaction {
    /// Takes a connection and begins.
    pub(super) async fn begin(pool: &Pool, limits: impl Into<Limits>) -> Result<Self, Fault> {
        let mut session = Session::open(pool).await?;
        let connection = session.connection_mut();
        let statements = match limits.into() {
            Limits::Glance => None,
            // A session of Weir's own has these limits already.
            Limits::Brief if connection.is_own() => Some(READ_COMMITTED.to_owned()),
            Limits::Brief => Some(format!("{READ_COMMITTED}{BRIEF}")),
            Limits::Long => Some(format!("{READ_COMMITTED}{LONG}")),
            Limits::Snapshot => Some(format!("{SNAPSHOT}{LONG}")),
            Limits::Unbounded => Some(format!("{READ_COMMITTED}{UNBOUNDED}")),
        };
        if let Some(statements) = statements {
            connection.begin(statements).await?;
        }
        Ok(Self(session))
    }

    /// Commits, and returns when the server has confirmed it.
    pub async fn commit(self) -> Result<(), Fault> {
        self.end(COMMIT).await
    }

    /// Rolls back.
    pub async fn rollback(self) -> Result<(), Fault> {
        self.end(ROLLBACK).await
    }

    async fn end(mut self, statement: &'static str) -> Result<(), Fault> {
        if self.is_in_transaction() {
            self.0.connection_mut().end(statement).await?;
        }
        self.0.keep();
        Ok(())
    }
}

impl Deref for Transaction {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0.connection()
    }
}

impl DerefMut for Transaction {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0.connection_mut()
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
