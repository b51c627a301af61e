//! Creates partitions ahead, and deletes old data.

use super::Postgres;
use super::partitions::{DELTA, HISTORY, PLAN, PLAN_BODY, SERIES_WINDOW};
use super::transaction::{Limits, Transaction};
use crate::allocation::Timestamp;
use crate::store::Retention;
use crate::store::fault::Fault;

/// How far before and after now there are partitions: for late reports, and for a maintenance that
/// was missed.
const ROOM_MILLISECONDS: i64 = 2 * 3_600_000;

/// Marks deleted in one transaction, so that it does not hold locks for long.
const CHUNK: i64 = 10_000;

/// The most chunks deleted in one run. The next run continues.
const CHUNKS: usize = 100;

/// A mark that is locked is in use, so it is not old.
const DELETE_MARKS: &str = "\
-- maintenance: delete marks
with old as (
    select agent, epoch from mark where used_ms < $1 limit $2 for update skip locked
)
delete from mark using old where mark.agent = old.agent and mark.epoch = old.epoch";

/// Does everything that is due.
pub(super) async fn run(
    postgres: &Postgres,
    now: Timestamp,
    retention: Retention,
) -> Result<(), Fault> {
    let first = now.0.saturating_sub(ROOM_MILLISECONDS);
    let last = now.0.saturating_add(ROOM_MILLISECONDS);
    let ahead = [DELTA, HISTORY, PLAN, PLAN_BODY, SERIES_WINDOW]
        .into_iter()
        .flat_map(|table| table.between(first, last));
    postgres.partitions.ensure(&postgres.pool, ahead).await?;
    let due = [
        (DELTA, retention.deltas_before),
        (HISTORY, retention.history_before),
        (PLAN, retention.history_before),
        (PLAN_BODY, retention.plan_bodies_before),
        (SERIES_WINDOW, retention.series_before.windows),
    ];
    for (table, before) in due {
        postgres
            .partitions
            .drop_before(&postgres.pool, table, before.0)
            .await?;
    }
    delete_marks(postgres, retention.agents_before).await
}

async fn delete_marks(postgres: &Postgres, before: Timestamp) -> Result<(), Fault> {
    for _ in 0..CHUNKS {
        let mut transaction = Transaction::begin(&postgres.pool, Limits::Long).await?;
        let deleted = sqlx::query(DELETE_MARKS)
            .bind(before.0)
            .bind(CHUNK)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        if deleted.rows_affected() < CHUNK.unsigned_abs() {
            break;
        }
    }
    Ok(())
}
