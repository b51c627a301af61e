//! Transactions, and the limits that the server holds every statement to.
//!
//! Limits are set in the same message as `begin`, which costs no round trip and works through a
//! transaction-pooling proxy. They lie under those of the callers, so that the server gives up
//! first and says why. What a caller gives up earlier is ended by [`super::ending`].

use std::ops::{Deref, DerefMut};

use super::connection::Connection;

/// A transaction that may write. What is acknowledged is on disk, whatever the server, the
/// database or the role have as their default. Levels other than `off` are left as the operator
/// chose them.
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

// Under the 8 s that a report and its commit may take.
pub(super) const BRIEF: &str = ";
set local statement_timeout = '7s';
set local lock_timeout = '5s';
set local idle_in_transaction_session_timeout = '25s'";

// Under fault::TIME_LIMIT. The last one also ends transactions of a replica that froze while it
// held locks.
const LONG: &str = ";
set local statement_timeout = '25s';
set local lock_timeout = '5s';
set local idle_in_transaction_session_timeout = '25s'";

/// Changing the schema takes as long as it takes.
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
pub(super) enum Kind {
    /// What agents wait for.
    Brief,
    /// What reads or writes much.
    Long,
    /// What reads much, in one state.
    Snapshot,
    /// A change of the schema.
    Unbounded,
}

/// A transaction. Dropped before its end, it takes its session with it.
#[derive(Debug)]
pub(super) struct Transaction<'s>(&'s mut Connection);

impl<'s> Transaction<'s> {
    /// Begins.
    pub async fn begin(connection: &'s mut Connection, kind: Kind) -> Result<Self, sqlx::Error> {
        let statements = match kind {
            // A session of Weir's own has these limits already.
            Kind::Brief if connection.is_own() => READ_COMMITTED.to_owned(),
            Kind::Brief => format!("{READ_COMMITTED}{BRIEF}"),
            Kind::Long => format!("{READ_COMMITTED}{LONG}"),
            Kind::Snapshot => format!("{SNAPSHOT}{LONG}"),
            Kind::Unbounded => format!("{READ_COMMITTED}{UNBOUNDED}"),
        };
        connection.begin(statements).await?;
        Ok(Self(connection))
    }

    /// Commits, and returns when the server says that it has.
    pub async fn commit(self) -> Result<(), sqlx::Error> {
        self.0.end(COMMIT).await
    }

    /// Undoes everything.
    pub async fn rollback(self) -> Result<(), sqlx::Error> {
        self.0.end(ROLLBACK).await
    }
}

impl Deref for Transaction<'_> {
    type Target = Connection;

    fn deref(&self) -> &Connection {
        self.0
    }
}

impl DerefMut for Transaction<'_> {
    fn deref_mut(&mut self) -> &mut Connection {
        self.0
    }
}
