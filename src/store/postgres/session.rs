//! A connection in use, and what happens to it afterwards.

use std::sync::Arc;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::Instant;

use super::connection::Connection;
use super::ending;
use super::pool::Pool;
use super::transaction::Limits;
use crate::store::fault::Fault;

/// Why there is always a connection.
const HELD: &str = "a session has its connection until it is kept or dropped";

/// A connection from the pool, with its place.
#[derive(Debug)]
pub(super) struct Held {
    pub connection: Connection,
    pub opened: Instant,
    pub place: OwnedSemaphorePermit,
    pub pool: Pool,
}

/// A connection from the pool.
///
/// If it is dropped before [`Session::keep`], because of an error, a time limit or a caller that
/// left, the connection is closed instead of returned: nobody knows what it is still waiting for.
/// Another connection ends its work on the server; until then, its place stays taken.
#[derive(Debug)]
pub(super) struct Session {
    held: Option<Held>,
}

impl Session {
    /// Takes a connection, and begins on it.
    pub async fn open(pool: &Pool, limits: Limits) -> Result<Self, Fault> {
        let held = Some(pool.acquire(limits).await?);
        Ok(Self { held })
    }

    /// The connection.
    pub fn connection(&self) -> &Connection {
        &self.held.as_ref().expect(HELD).connection
    }

    /// The connection, to run something on it.
    pub fn connection_mut(&mut self) -> &mut Connection {
        &mut self.held.as_mut().expect(HELD).connection
    }

    /// Returns the connection to the pool. Its last answer must have been read.
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
            // The task holds the place, so closing the pool waits for it.
            runtime.spawn(ending);
        }
    }
}
