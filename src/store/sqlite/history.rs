//! Table `history`: a row for each window.

use std::ops::Range;

use sqlx::SqliteConnection;

use super::SqliteStore;
use crate::allocation::{Timestamp, Window};
use crate::store::HistoryRow;
use crate::store::fault::Fault;

const UPSERT: &str = "\
-- history: upsert
insert into history (window_start_ms, window_end_ms, payload) values ($1, $2, $3)
on conflict (window_start_ms) do update
set window_end_ms = excluded.window_end_ms, payload = excluded.payload";

const READ: &str = "\
-- history: read
select window_start_ms, window_end_ms, payload
from history
where window_start_ms >= $1 and window_start_ms < $2
order by window_start_ms";

#[derive(sqlx::FromRow)]
struct Row {
    window_start_ms: i64,
    window_end_ms: i64,
    payload: Vec<u8>,
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

/// Writes rows.
pub(super) async fn write(store: &SqliteStore, rows: &[HistoryRow]) -> Result<(), Fault> {
    let mut transaction = store.connections.write().await?;
    upsert(&mut transaction, rows).await?;
    transaction.commit().await?;
    Ok(())
}

/// Reads rows, oldest first.
pub(super) async fn read(
    store: &SqliteStore,
    starts: Range<Timestamp>,
) -> Result<Vec<HistoryRow>, Fault> {
    let rows: Vec<Row> = sqlx::query_as(READ)
        .bind(starts.start.0)
        .bind(starts.end.0)
        .fetch_all(store.connections.readers())
        .await?;
    Ok(rows.into_iter().map(HistoryRow::from).collect())
}
