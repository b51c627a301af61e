//! Deletes old data.

use super::Sqlite;
use crate::store::Retention;
use crate::store::fault::Fault;

/// Rows deleted in one transaction, so that reports wait only briefly in between. Bodies and
/// payloads are large, marks are not.
const CHUNK: i64 = 500;

/// The most chunks deleted from a table in one run. The next run continues.
const CHUNKS: usize = 200;

const DELETE_DELTAS: &str = "\
-- maintenance: delete deltas
delete from delta
where rowid in (select rowid from delta where bucket_start_ms < $1 limit $2)";

const DELETE_HISTORY: &str = "\
-- maintenance: delete history
delete from history
where window_start_ms in (select window_start_ms from history where window_start_ms < $1 limit $2)";

const DELETE_SERIES_WINDOWS: &str = "\
-- maintenance: delete series of windows
delete from series_window
where rowid in (select rowid from series_window where start_ms < $1 limit $2)";

const DELETE_PLANS: &str = "\
-- maintenance: delete plans
delete from plan
where number in (
    select number from plan
    where published_ms < $1 and number <> (select number from plan_head)
    limit $2
)";

const DELETE_BODIES: &str = "\
-- maintenance: delete bodies
delete from plan_body
where number in (
    select number from plan_body
    where published_ms < $1 and number <> (select number from plan_head)
    limit $2
)";

const DELETE_MARKS: &str = "\
-- maintenance: delete marks
delete from mark
where (agent, epoch) in (select agent, epoch from mark where used_ms < $1 limit $2)";

/// Does everything that is due.
pub(super) async fn run(sqlite: &Sqlite, retention: Retention) -> Result<(), Fault> {
    let due = [
        (DELETE_DELTAS, retention.deltas_before),
        (DELETE_HISTORY, retention.history_before),
        (DELETE_PLANS, retention.history_before),
        (DELETE_BODIES, retention.plan_bodies_before),
        (DELETE_SERIES_WINDOWS, retention.series_before.windows),
        (DELETE_MARKS, retention.agents_before),
    ];
    for (statement, before) in due {
        for _ in 0..CHUNKS {
            let mut transaction = sqlite.connections.write().await?;
            let deleted = sqlx::query(statement)
                .bind(before.0)
                .bind(CHUNK)
                .execute(&mut *transaction)
                .await?;
            transaction.commit().await?;
            if deleted.rows_affected() < CHUNK.unsigned_abs() {
                break;
            }
        }
    }
    Ok(())
}
