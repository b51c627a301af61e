//! Writes and reads history.

use std::ops::Range;

use futures_util::TryStreamExt;

use super::Sqlite;
use crate::allocation::{OperationId, Timestamp};
use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::Fault;
use crate::store::history_codec::{self, Cut};
use crate::store::tables::history;
use crate::store::{HistoryRow, Rows};

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
order by window_start_ms
limit $3";

/// The part of a payload that contains an operation.
fn cut(payload: &[u8], operation: Option<OperationId>) -> Vec<u8> {
    match operation.map_or(Cut::Whole, |of| history_codec::cut(payload, of)) {
        Cut::Whole => payload.to_vec(),
        Cut::Nothing(payload) => payload,
        Cut::Part(part) => {
            let end = part.offset.saturating_add(part.length);
            let bytes = payload.get(part.offset..end);
            part.payload(bytes.unwrap_or_default().to_vec())
        }
    }
}

/// Writes rows.
pub(super) async fn write(
    transaction: &mut impl Transaction,
    rows: &[HistoryRow],
) -> Result<(), Fault> {
    for row in rows {
        let values = [
            row.window.start.0.into(),
            row.window.end.0.into(),
            row.payload.as_slice().into(),
        ];
        transaction.execute(UPSERT, &values).await?;
    }
    Ok(())
}

/// Sends rows, oldest first.
pub(super) async fn stream(
    sqlite: &Sqlite,
    starts: Range<Timestamp>,
    limit: u32,
    operation: Option<OperationId>,
    rows: &Rows<HistoryRow>,
) -> Result<(), Fault> {
    let values = [
        starts.start.0.into(),
        starts.end.0.into(),
        i64::from(limit).into(),
    ];
    let mut transaction = sqlite.begin(Kind::Read).await?;
    {
        let mut found = transaction.stream(READ, &values);
        while let Some(row) = found.try_next().await? {
            let row = HistoryRow {
                window: history::window(&row)?,
                payload: cut(row.bytes("payload")?, operation),
            };
            if rows.send(row).await.is_err() {
                return Ok(());
            }
        }
    }
    transaction.commit().await
}
