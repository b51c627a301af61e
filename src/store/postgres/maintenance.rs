//! Room ahead, and letting go of what is past its retention.

use super::partitions::{DELTA, HISTORY, PLAN, PLAN_BODY};
use super::session::Session;
use super::{PostgresStore, configuration, dictionary};
use crate::allocation::Timestamp;
use crate::store::fault::Fault;
use crate::store::{Maintained, Retention};

/// How far around now there are partitions: late reports before it, a missed maintenance after.
const ROOM_MILLISECONDS: i64 = 2 * 3_600_000;

/// Marks deleted in one transaction, so that none holds locks for long.
const CHUNK: i64 = 10_000;

/// Chunks deleted in one run at most; the next run goes on.
const CHUNKS: usize = 100;

/// A mark that is in use just now is not old.
const DELETE_MARKS: &str = "\
-- maintenance: delete marks
with old as (
    select agent, epoch from mark where used_ms < $1 limit $2 for update skip locked
)
delete from mark using old where mark.agent = old.agent and mark.epoch = old.epoch";

/// Does everything that is due.
pub(super) async fn run(
    store: &PostgresStore,
    now: Timestamp,
    retention: Retention,
) -> Result<Maintained, Fault> {
    let first = now.0.saturating_sub(ROOM_MILLISECONDS);
    let last = now.0.saturating_add(ROOM_MILLISECONDS);
    let ahead = [DELTA, HISTORY, PLAN, PLAN_BODY]
        .into_iter()
        .flat_map(|table| table.between(first, last));
    store.partitions.ensure(&store.pool, ahead).await?;
    let due = [
        (DELTA, retention.deltas_before),
        (HISTORY, retention.history_before),
        (PLAN, retention.history_before),
        (PLAN_BODY, retention.plan_bodies_before),
    ];
    for (table, before) in due {
        store
            .partitions
            .drop_before(&store.pool, table, before.0)
            .await?;
    }
    dictionary::forget(store, retention.dictionary_states).await?;
    delete_marks(store, retention.agents_before).await?;
    let configuration_revisions = configuration::prune(store, retention.revisions).await?;
    Ok(Maintained {
        configuration_revisions,
    })
}

async fn delete_marks(store: &PostgresStore, before: Timestamp) -> Result<(), Fault> {
    for _ in 0..CHUNKS {
        let mut session = Session::open(&store.pool).await?;
        let mut transaction = session.begin().await?;
        let deleted = sqlx::query(DELETE_MARKS)
            .bind(before.0)
            .bind(CHUNK)
            .execute(&mut *transaction)
            .await?;
        transaction.commit().await?;
        session.keep();
        if deleted.rows_affected() < CHUNK.unsigned_abs() {
            break;
        }
    }
    Ok(())
}
