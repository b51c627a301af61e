//! Table `history`: a row for each window.

use std::ops::Range;

use super::PostgresStore;
use super::connection::Connection;
use super::partitions::HISTORY;
use super::pool::Session;
use crate::allocation::{Timestamp, Window};
use crate::store::HistoryRow;
use crate::store::fault::Fault;

const UPSERT: &str = "\
-- history: upsert
insert into history (window_start_ms, window_end_ms, payload)
select * from unnest($1::bigint[], $2::bigint[], $3::bytea[])
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
pub(super) async fn upsert(connection: &mut Connection, rows: &[HistoryRow]) -> Result<(), Fault> {
    let rows = crate::store::last_of_each_window(rows);
    if rows.is_empty() {
        return Ok(());
    }
    let starts: Vec<i64> = rows.iter().map(|row| row.window.start.0).collect();
    let ends: Vec<i64> = rows.iter().map(|row| row.window.end.0).collect();
    let payloads: Vec<&[u8]> = rows.iter().map(|row| row.payload.as_slice()).collect();
    sqlx::query(UPSERT)
        .bind(starts)
        .bind(ends)
        .bind(payloads)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes rows.
pub(super) async fn write(store: &PostgresStore, rows: &[HistoryRow]) -> Result<(), Fault> {
    let partitions = rows.iter().map(|row| HISTORY.at(row.window.start.0));
    store.partitions.ensure(&store.pool, partitions).await?;
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    upsert(&mut transaction, rows)
        .await
        .map_err(|fault| store.partitions.mind(fault))?;
    transaction.commit().await?;
    session.keep();
    Ok(())
}

/// Reads rows, oldest first.
pub(super) async fn read(
    store: &PostgresStore,
    starts: Range<Timestamp>,
) -> Result<Vec<HistoryRow>, Fault> {
    let mut session = Session::open(&store.pool).await?;
    let mut transaction = session.begin().await?;
    let rows: Vec<Row> = sqlx::query_as(READ)
        .bind(starts.start.0)
        .bind(starts.end.0)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    session.keep();
    Ok(rows.into_iter().map(HistoryRow::from).collect())
}
