//! A connection in use: who has one, and what becomes of it.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::connection::Connection;
use super::ending;
use super::pool::Pool;
use super::transaction::{Kind, Transaction};
use crate::store::fault::Fault;

/// A connection out of the pool, with its place.
#[derive(Debug)]
pub(super) struct Held {
    pub connection: Connection,
    pub opened: Instant,
    pub place: OwnedSemaphorePermit,
    pub pool: Pool,
}

/// A connection out of the pool.
///
/// One that is dropped before [`Session::keep`], because of an error, a time limit or a caller
/// who went away, is cut off rather than returned: nobody knows what it is still waiting for.
/// What goes on at the server is ended from another connection; until then its place is taken.
#[derive(Debug)]
pub(super) struct Session {
    held: Option<Held>,
}

impl Session {
    /// Takes a connection.
    pub async fn open(pool: &Pool) -> Result<Self, Fault> {
        let held = Some(pool.acquire().await?);
        Ok(Self { held })
    }

    /// The connection, for a single statement that is soon done.
    pub fn connection(&mut self) -> &mut Connection {
        let held = self.held.as_mut();
        &mut held
            .expect("a session has its connection until it is kept or dropped")
            .connection
    }

    /// Begins a transaction that agents wait for.
    pub async fn begin_brief(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        Transaction::begin(self.connection(), Kind::Brief).await
    }

    /// Begins a transaction.
    pub async fn begin(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        Transaction::begin(self.connection(), Kind::Long).await
    }

    /// Begins a transaction whose statements all read the same state.
    pub async fn snapshot(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        Transaction::begin(self.connection(), Kind::Snapshot).await
    }

    /// Begins a transaction without time limits.
    pub async fn begin_unbounded(&mut self) -> Result<Transaction<'_>, sqlx::Error> {
        Transaction::begin(self.connection(), Kind::Unbounded).await
    }

    /// Returns the connection to the pool; its last answer has been read.
    pub fn keep(mut self) {
        if let Some(held) = self.held.take_if(|held| held.connection.is_at_rest()) {
            held.pool.take_back(held.connection, held.opened);
        }
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        let Some(held) = self.held.take() else {
            return;
        };
        let Some(work) = held.connection.left_behind() else {
            return;
        };
        let host = Arc::clone(&held.connection.host);
        drop(held.connection);
        if let Ok(runtime) = tokio::runtime::Handle::try_current() {
            let ending = ending::end(held.pool.clone(), host, work, held.place);
            // Holds its place, for which the end of the pool waits.
            runtime.spawn(ending);
        }
    }
}
