//! Connections and transactions.
//!
//! No session state: a transaction-pooling proxy (PgBouncer) may hand every transaction to
//! another server connection. So time limits are set with `set local` in the same message as
//! `begin`, which costs no round trip, rather than by startup options, which such a proxy
//! refuses; and locks are held by transactions, never by sessions. Single statements outside a
//! transaction are bounded by the caller's time limit alone; they only read.

use std::str::FromStr;
use std::time::Duration;

use sqlx::pool::PoolConnection;
use sqlx::postgres::{PgConnectOptions, PgPoolOptions};
use sqlx::{Connection, PgConnection, PgPool, Postgres, Transaction};

/// How long a call waits for a connection. Callers have a queue of their own and say 503 when it
/// is full; waiting here only hides that the database is away.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// A connection idle for longer than this is tried out before it is used.
const TRUSTED_IDLE: Duration = Duration::from_secs(1);

// The last line: what is acknowledged is on disk, whatever the server, the database or the role
// have as their default. Levels other than `off` are left as the operator chose them.
//
// Under fault::TIME_LIMIT, so that the server gives up first and says so; it also gives up
// transactions of a replica that froze while it held locks.
const BEGIN: &str = "\
-- transaction: begin
begin isolation level read committed;
set local statement_timeout = '25s';
set local idle_in_transaction_session_timeout = '25s';
select set_config('synchronous_commit', 'on', true)
where current_setting('synchronous_commit') = 'off'";

/// Changing the schema takes as long as it takes.
const BEGIN_UNBOUNDED: &str = "\
-- transaction: begin without limits
begin isolation level read committed;
set local statement_timeout = 0;
select set_config('synchronous_commit', 'on', true)
where current_setting('synchronous_commit') = 'off'";

const BEGIN_SNAPSHOT: &str = "\
-- transaction: begin a snapshot
begin isolation level repeatable read, read only;
set local statement_timeout = '25s';
set local idle_in_transaction_session_timeout = '25s'";

/// Opens a pool, and one connection to learn whether the address is right.
pub(super) async fn open(url: &str, pool_size: u32) -> Result<PgPool, sqlx::Error> {
    let options = PgConnectOptions::from_str(url)?
        .application_name("weir")
        // A proxy refuses this startup parameter, and results are read in binary anyway.
        .extra_float_digits(None);
    PgPoolOptions::new()
        .max_connections(pool_size.max(1))
        .acquire_timeout(ACQUIRE_TIMEOUT)
        .test_before_acquire(false)
        .before_acquire(|connection, use_before| {
            Box::pin(async move {
                if use_before.idle_for > TRUSTED_IDLE {
                    connection.ping().await?;
                }
                Ok(true)
            })
        })
        .connect_with(options)
        .await
}

/// A connection out of the pool.
///
/// One that is dropped before [`Session::keep`], because of an error, a time limit or a caller
/// who went away, is cut off rather than returned: nobody knows what it is still waiting for,
/// and returning it would hold its place in the pool for as long as a vanished server is silent.
#[derive(Debug)]
pub(super) struct Session {
    connection: Option<PoolConnection<Postgres>>,
}

impl Session {
    /// Takes a connection.
    pub async fn open(pool: &PgPool) -> Result<Self, sqlx::Error> {
        let connection = Some(pool.acquire().await?);
        Ok(Self { connection })
    }

    /// The connection, for a single statement.
    pub fn connection(&mut self) -> &mut PgConnection {
        self.connection
            .as_mut()
            .expect("a session has its connection until it is kept or dropped")
    }

    /// Begins a transaction.
    pub async fn begin(&mut self) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        self.connection().begin_with(BEGIN).await
    }

    /// Begins a transaction whose statements all read the same state.
    pub async fn snapshot(&mut self) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        self.connection().begin_with(BEGIN_SNAPSHOT).await
    }

    /// Begins a transaction without time limits.
    pub async fn begin_unbounded(&mut self) -> Result<Transaction<'_, Postgres>, sqlx::Error> {
        self.connection().begin_with(BEGIN_UNBOUNDED).await
    }

    /// Returns the connection to the pool; its last answer has been read.
    pub fn keep(mut self) {
        drop(self.connection.take());
    }
}

impl Drop for Session {
    fn drop(&mut self) {
        if let Some(connection) = self.connection.take() {
            drop(connection.detach());
        }
    }
}
