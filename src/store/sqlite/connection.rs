//! Connections: one for writing, a few for reading.
//!
//! SQLite has one writer at a time anyway. With a single connection, writers queue in order instead
//! of polling a lock. In WAL mode, readers see the last commit and wait for nobody.

use std::fs::OpenOptions;
use std::io::ErrorKind;
use std::path::Path;
use std::time::Duration;

use sqlx::Connection;
use sqlx::sqlite::{
    SqliteConnectOptions, SqliteJournalMode, SqlitePool, SqlitePoolOptions, SqliteSynchronous,
};

use super::transaction::Transaction;
use crate::store::PoolState;
use crate::store::fault::{self, Fault};

/// How long a call waits for its connection.
const ACQUIRE_TIMEOUT: Duration = Duration::from_secs(3);

/// How long SQLite waits for another process that writes to the same file.
const BUSY_TIMEOUT: Duration = Duration::from_secs(5);

/// Simultaneous readers: the leader's, and a few of the admin API's.
const READERS: u32 = 4;

/// How long to wait for another process that is switching the file to WAL. SQLite's own busy
/// timeout does not cover that.
const OPENING_PAUSE: Duration = Duration::from_millis(20);

/// Rows that the writer passes on at once. Its rows are small.
const COMMIT_ROWS: usize = 1024;

/// The size to which the write-ahead log shrinks after a checkpoint, in bytes.
const LOG_BYTES: &str = "67108864";

/// Takes the write lock at once. A transaction that began as a reader might be refused it later.
const BEGIN: &str = "\
-- transaction: begin
begin immediate";

const BEGIN_SNAPSHOT: &str = "\
-- transaction: begin a snapshot
begin deferred";

/// The connections of one database file.
#[derive(Debug)]
pub(super) struct Connections {
    writer: SqlitePool,
    readers: SqlitePool,
}

impl Connections {
    /// Opens the file. If there is none, creates it for its owner alone.
    pub async fn open(path: &Path) -> Result<Self, Fault> {
        create_private(path)?;
        let shared = SqliteConnectOptions::new()
            .filename(path)
            .create_if_missing(false)
            .busy_timeout(BUSY_TIMEOUT)
            .foreign_keys(true)
            // A commit is acknowledged to agents, so it must survive a power failure.
            .synchronous(SqliteSynchronous::Full);
        let writing = shared
            .clone()
            // A commit reads a mark for each of its reports. Each time the buffer is full, the threads change.
            .row_buffer_size(COMMIT_ROWS)
            .journal_mode(SqliteJournalMode::Wal)
            .pragma("journal_size_limit", LOG_BYTES);
        let writer = loop {
            match writing_pool().connect_with(writing.clone()).await {
                Err(error) if is_busy(&error) => tokio::time::sleep(OPENING_PAUSE).await,
                outcome => break outcome?,
            }
        };
        let reading = shared
            .pragma("query_only", "on")
            // Rows of history and counts take megabytes: one is read while another is processed.
            .row_buffer_size(2);
        let readers = pool(READERS).connect_lazy_with(reading);
        Ok(Self { writer, readers })
    }

    /// Begins a transaction that may write.
    pub async fn write(&self) -> Result<Transaction, sqlx::Error> {
        Ok(Transaction(self.writer.begin_with(BEGIN).await?))
    }

    /// Begins a transaction whose statements all read the same state.
    pub async fn read(&self) -> Result<Transaction, sqlx::Error> {
        Ok(Transaction(self.readers.begin_with(BEGIN_SNAPSHOT).await?))
    }

    /// The writer and the readers together.
    pub fn state(&self) -> PoolState {
        let (writer, readers) = (state(&self.writer), state(&self.readers));
        PoolState {
            idle: writer.idle + readers.idle,
            used: writer.used + readers.used,
            most: writer.most + readers.most,
        }
    }

    /// Closes them all.
    pub async fn close(&self) {
        self.readers.close().await;
        self.writer.close().await;
    }
}

/// The state of one of the driver's pools.
fn state(pool: &SqlitePool) -> PoolState {
    let idle = u32::try_from(pool.num_idle()).unwrap_or(u32::MAX);
    PoolState {
        idle,
        used: pool.size().saturating_sub(idle),
        most: pool.options().get_max_connections(),
    }
}

fn pool(connections: u32) -> SqlitePoolOptions {
    SqlitePoolOptions::new()
        .max_connections(connections)
        .acquire_timeout(ACQUIRE_TIMEOUT)
        // The file cannot go away, so there is nothing to check and no reason to open it again.
        .test_before_acquire(false)
        .idle_timeout(None)
        .max_lifetime(None)
}

/// The writer. It is opened again if a transaction is stuck: if SQLite has ended one by itself, as
/// it does when the disk is full, there is nothing to roll back; the driver's rollback fails, and
/// it believes from then on that the transaction is still open.
///
/// # Source
/// SQLite documentation, «Transactions», response to errors within a transaction.
fn writing_pool() -> SqlitePoolOptions {
    pool(1).before_acquire(|connection, _| {
        Box::pin(async move {
            if connection.is_in_transaction() {
                // A rollback may still be in progress; it comes before the answer to this.
                connection.ping().await?;
            }
            Ok(!connection.is_in_transaction())
        })
    })
}

/// SQLite gives its log and index files the permissions of the database file.
fn create_private(path: &Path) -> Result<(), Fault> {
    let mut options = OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    match options.open(path) {
        Err(error) if error.kind() != ErrorKind::AlreadyExists => {
            Err(sqlx::Error::Configuration(error.into()).into())
        }
        _ => Ok(()),
    }
}

fn is_busy(error: &sqlx::Error) -> bool {
    // «Busy» and its kinds: the low eight bits of the extended code are 5.
    let code = fault::code(error).and_then(|code| code.parse::<u32>().ok());
    code.is_some_and(|code| code & 0xff == 5)
}
