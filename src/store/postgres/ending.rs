//! Ends work on the server that its caller has given up.
//!
//! PostgreSQL does not notice that a client has disconnected while a statement waits for a lock. A
//! commit that waits for a synchronous standby ignores time limits. If nobody ended them, each
//! would keep a server connection until `max_connections` is reached.
//!
//! If a commit that waits for a standby is ended, it has taken effect on this server, although no
//! standby has confirmed it. Its reports were not acknowledged. When they are sent again, the
//! transaction that finds them counted locks their marks, so its own commit waits for the standby
//! too. So a report is answered with `duplicate` only once the first commit is as durable as the
//! server makes any.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::OwnedSemaphorePermit;
use tokio::time::{Instant, sleep, timeout};

use super::connection::Work;
use super::pool::Pool;
use crate::store::fault::Fault;
use crate::telemetry::logging::chain;

/// For how long to try. A server that cannot be reached for this long has most likely ended
/// everything itself.
const PATIENCE: Duration = Duration::from_secs(30);

/// How long one attempt may take.
const ATTEMPT: Duration = Duration::from_secs(5);

/// The pause between two checks whether it has ended.
const PAUSE: Duration = Duration::from_millis(50);

const END_BACKEND: &str = "\
-- ending: end a backend
select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and backend_start = $2";

/// The start of the transaction distinguishes it from a later one of another client in the same
/// session.
const END_TRANSACTION: &str = "\
-- ending: end a transaction
select pg_terminate_backend(pid) from pg_stat_activity where pid = $1 and xact_start = $2";

/// Ends work at a host, and frees the place when it has ended.
pub(super) async fn end(pool: Pool, host: Arc<str>, work: Work, place: OwnedSemaphorePermit) {
    let began = Instant::now();
    loop {
        let failed = {
            let _turn = pool.ending().acquire().await;
            match timeout(ATTEMPT, attempt(&pool, &host, work)).await {
                Ok(Ok(())) => break,
                Ok(Err(fault)) => chain(&fault.during("ending a statement")),
                Err(_) => "it goes on".to_owned(),
            }
        };
        if began.elapsed() > PATIENCE {
            tracing::warn!(
                host = &*host,
                error = failed,
                "could not end a statement that was given up"
            );
            break;
        }
        sleep(PAUSE * 10).await;
    }
    drop(place);
}

/// Ends it, and checks until it is gone.
async fn attempt(pool: &Pool, host: &str, work: Work) -> Result<(), Fault> {
    let mut connection = pool.connect_again(host).await?;
    let (statement, process, since) = match work {
        Work::Backend(process, since) => (END_BACKEND, process, since),
        Work::Transaction(process, since) => (END_TRANSACTION, process, since),
    };
    loop {
        let found = sqlx::query(statement)
            .bind(process)
            .bind(since)
            .fetch_optional(&mut connection)
            .await?;
        if found.is_none() {
            break;
        }
        sleep(PAUSE).await;
    }
    connection.close().await;
    Ok(())
}
