//! Tables `history` and `settlement`: a row for each window, and up to where they are final.

use std::ops::Range;

use futures_util::TryStreamExt;
use sqlx::SqliteConnection;

use super::{SqliteStore, dictionary};
use crate::allocation::{OperationId, Timestamp, Window};
use crate::store::fault::Fault;
use crate::store::history_codec::{self, Cut};
use crate::store::{HistoryRow, Rows, Settlement, Settling};

const UPSERT: &str = "\
-- history: upsert
insert into history (window_start_ms, window_end_ms, payload) values ($1, $2, $3)
on conflict (window_start_ms) do update
set window_end_ms = excluded.window_end_ms, payload = excluded.payload";

const READ_SETTLED: &str = "\
-- history: read settled
select until_ms from settlement";

const WRITE_SETTLED: &str = "\
-- history: write settled
update settlement set until_ms = $1 where until_ms is not distinct from $2";

const READ: &str = "\
-- history: read
select window_start_ms, window_end_ms, payload
from history
where window_start_ms >= $1 and window_start_ms < $2
order by window_start_ms
limit $3";

#[derive(sqlx::FromRow)]
struct Row {
    window_start_ms: i64,
    window_end_ms: i64,
    payload: Vec<u8>,
}

impl Row {
    /// The row, with no more of its payload than what says something of an operation.
    fn cut(self, operation: Option<OperationId>) -> HistoryRow {
        let Some(operation) = operation else {
            return self.into();
        };
        let payload = match history_codec::cut(&self.payload, operation) {
            Cut::Whole => self.payload,
            Cut::Nothing(payload) => payload,
            Cut::Part(part) => {
                let end = part.offset.saturating_add(part.length);
                let bytes = self.payload.get(part.offset..end);
                part.payload(bytes.unwrap_or_default().to_vec())
            }
        };
        Row { payload, ..self }.into()
    }
}

impl From<Row> for HistoryRow {
    fn from(row: Row) -> Self {
        Self {
            window: Window {
                start: Timestamp(row.window_start_ms),
                end: Timestamp(row.window_end_ms),
            },
            payload: row.payload,
        }
    }
}

/// Writes rows inside the caller's transaction.
pub(super) async fn upsert(
    connection: &mut SqliteConnection,
    rows: &[HistoryRow],
) -> Result<(), Fault> {
    for row in rows {
        sqlx::query(UPSERT)
            .bind(row.window.start.0)
            .bind(row.window.end.0)
            .bind(&row.payload)
            .execute(&mut *connection)
            .await?;
    }
    Ok(())
}

/// Writes rows, and up to where history is settled now.
pub(super) async fn settle(
    store: &SqliteStore,
    settling: Settling<'_>,
) -> Result<Settlement, Fault> {
    let mut transaction = store.connections.write().await?;
    let settlement = attempt(&mut transaction, settling).await?;
    if settlement == Settlement::Settled {
        transaction.commit().await?;
    } else {
        transaction.rollback().await?;
    }
    Ok(settlement)
}

async fn attempt(
    connection: &mut SqliteConnection,
    settling: Settling<'_>,
) -> Result<Settlement, Fault> {
    let written = sqlx::query(WRITE_SETTLED)
        .bind(settling.until.0)
        .bind(settling.after.map(|after| after.0))
        .execute(&mut *connection)
        .await?;
    if written.rows_affected() == 0 {
        return Ok(Settlement::Moved);
    }
    if !settling.rows.is_empty() && !dictionary::is_past(connection, settling.names).await? {
        return Ok(Settlement::OtherNames);
    }
    upsert(connection, settling.rows).await?;
    Ok(Settlement::Settled)
}

/// Up to where history is settled.
pub(super) async fn settled(store: &SqliteStore) -> Result<Option<Timestamp>, Fault> {
    let until: Option<i64> = sqlx::query_scalar(READ_SETTLED)
        .fetch_one(store.connections.readers())
        .await?;
    Ok(until.map(Timestamp))
}

/// Sends rows, oldest first.
pub(super) async fn stream(
    store: &SqliteStore,
    starts: Range<Timestamp>,
    limit: u32,
    operation: Option<OperationId>,
    rows: &Rows<HistoryRow>,
) -> Result<(), Fault> {
    let mut found = sqlx::query_as::<_, Row>(READ)
        .bind(starts.start.0)
        .bind(starts.end.0)
        .bind(i64::from(limit))
        .fetch(store.connections.readers());
    while let Some(row) = found.try_next().await? {
        if rows.send(row.cut(operation)).await.is_err() {
            break;
        }
    }
    Ok(())
}
