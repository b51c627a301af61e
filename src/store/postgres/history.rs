//! Writes history, and reads only the requested parts of it.

use std::collections::{BTreeMap, HashMap};
use std::ops::Range;

use super::Postgres;
use super::connection::Connection;
use super::transaction::{Limits, Transaction};
use crate::allocation::{OperationId, Timestamp, Window};
use crate::store::fault::{self, Fault};
use crate::store::history_codec::{self, Cut, HEAD_BYTES, Part};
use crate::store::{HistoryRow, Rows};

const UPSERT: &str = "\
-- history: upsert
insert into history (window_start_ms, window_end_ms, payload)
select * from unnest($1::bigint[], $2::bigint[], $3::bytea[])
on conflict (window_start_ms) do update
set window_end_ms = excluded.window_end_ms, payload = excluded.payload";

const READ_HEADS: &str = "\
-- history: read heads
select window_start_ms, window_end_ms, substring(payload from 1 for $4) as head,
    length(payload)::bigint as bytes
from history
where window_start_ms >= $1 and window_start_ms < $2
order by window_start_ms
limit $3";

/// Payloads are stored uncompressed and out of line, so that only the necessary pages are read.
const READ_PARTS: &str = "\
-- history: read parts
select history.window_start_ms, substring(history.payload from wanted.first for wanted.bytes)
from unnest($1::bigint[], $2::int[], $3::int[]) as wanted (window_start_ms, first, bytes)
join history using (window_start_ms)
where history.window_start_ms >= $4 and history.window_start_ms <= $5";

/// Parts are fetched together up to this many bytes; a larger part is fetched alone.
const TOGETHER_BYTES: usize = 1 << 20;

/// The most parts fetched together.
const TOGETHER: usize = 64;

#[derive(sqlx::FromRow)]
struct HeadRow {
    window_start_ms: i64,
    window_end_ms: i64,
    head: Vec<u8>,
    bytes: i64,
}

/// What to read of a row after its head.
struct Wanted {
    window: Window,
    bytes: usize,
    what: What,
}

enum What {
    /// Nothing more: this is the payload.
    Read(Vec<u8>),
    Whole,
    Part(Part),
}

impl HeadRow {
    fn wanted(self, operation: Option<OperationId>) -> Result<Wanted, Fault> {
        let window = Window {
            start: Timestamp(self.window_start_ms),
            end: Timestamp(self.window_end_ms),
        };
        let cell = || format!("history.payload of window_start_ms {}", window.start.0);
        let bytes: usize = fault::number(self.bytes, cell)?;
        let (bytes, what) = if self.head.len() == bytes {
            (0, What::Read(self.head))
        } else {
            match operation.map_or(Cut::Whole, |of| history_codec::cut(&self.head, of)) {
                Cut::Whole => (bytes, What::Whole),
                Cut::Nothing(payload) => (0, What::Read(payload)),
                Cut::Part(part) => (part.length, What::Part(part)),
            }
        };
        Ok(Wanted {
            window,
            bytes,
            what,
        })
    }
}

/// Writes rows with one statement. PostgreSQL refuses one that writes the same window twice.
pub(super) async fn write(connection: &mut Connection, rows: &[HistoryRow]) -> Result<(), Fault> {
    let by_start: BTreeMap<_, _> = rows.iter().map(|row| (row.window.start, row)).collect();
    if by_start.is_empty() {
        return Ok(());
    }
    let rows = || by_start.values();
    let starts: Vec<i64> = rows().map(|row| row.window.start.0).collect();
    let ends: Vec<i64> = rows().map(|row| row.window.end.0).collect();
    let payloads: Vec<&[u8]> = rows().map(|row| row.payload.as_slice()).collect();
    sqlx::query(UPSERT)
        .bind(starts)
        .bind(ends)
        .bind(payloads)
        .execute(connection)
        .await?;
    Ok(())
}

/// Sends rows, oldest first: reads the heads of all rows, then the necessary part of each.
///
/// Uses one snapshot of the table, because the position of a part follows from its head.
pub(super) async fn stream(
    postgres: &Postgres,
    starts: Range<Timestamp>,
    limit: u32,
    operation: Option<OperationId>,
    rows: &Rows<HistoryRow>,
) -> Result<(), Fault> {
    let mut transaction = Transaction::begin(&postgres.pool, Limits::Snapshot).await?;
    let heads: Vec<HeadRow> = sqlx::query_as(READ_HEADS)
        .bind(starts.start.0)
        .bind(starts.end.0)
        .bind(i64::from(limit))
        .bind(HEAD_BYTES as i32)
        .fetch_all(&mut *transaction)
        .await?;
    let wanted: Result<Vec<Wanted>, Fault> =
        heads.into_iter().map(|row| row.wanted(operation)).collect();
    let mut rest = wanted?;
    while !rest.is_empty() {
        let after = rest.split_off(together(&rest));
        let payloads = parts(&mut transaction, &rest).await?;
        for (wanted, payload) in rest.into_iter().zip(payloads) {
            let row = HistoryRow {
                window: wanted.window,
                payload,
            };
            if rows.send(row).await.is_err() {
                return Ok(());
            }
        }
        rest = after;
    }
    transaction.commit().await
}

/// How many at the front are fetched together.
fn together(rows: &[Wanted]) -> usize {
    let mut bytes = 0;
    let fits = |row: &&Wanted| {
        bytes += row.bytes;
        bytes <= TOGETHER_BYTES
    };
    rows.iter().take(TOGETHER).take_while(fits).count().max(1)
}

/// The payloads of rows, in their order.
async fn parts(connection: &mut Connection, rows: &[Wanted]) -> Result<Vec<Vec<u8>>, Fault> {
    let (mut starts, mut firsts, mut lengths) = (Vec::new(), Vec::new(), Vec::new());
    for row in rows {
        // Bytes are counted from 1.
        let (first, length) = match row.what {
            What::Read(_) => continue,
            What::Whole => (1, row.bytes),
            What::Part(part) => (part.offset + 1, part.length),
        };
        starts.push(row.window.start.0);
        // A payload is shorter than 1 GiB, the limit of a cell.
        firsts.push(i32::try_from(first).unwrap_or(i32::MAX));
        lengths.push(i32::try_from(length).unwrap_or(i32::MAX));
    }
    let mut found = HashMap::new();
    if let (Some(&first), Some(&last)) = (starts.first(), starts.last()) {
        let read: Vec<(i64, Vec<u8>)> = sqlx::query_as(READ_PARTS)
            .bind(&starts)
            .bind(firsts)
            .bind(lengths)
            .bind(first)
            .bind(last)
            .fetch_all(connection)
            .await?;
        found.extend(read);
    }
    let mut payload = |row: &Wanted| match &row.what {
        What::Read(payload) => payload.clone(),
        What::Whole => found.remove(&row.window.start.0).unwrap_or_default(),
        What::Part(part) => part.payload(found.remove(&row.window.start.0).unwrap_or_default()),
    };
    Ok(rows.iter().map(&mut payload).collect())
}
