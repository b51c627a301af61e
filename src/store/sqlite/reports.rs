//! Tables `mark` and `delta`: reports in, counts out.

use std::collections::BTreeMap;
use std::ops::Range;

use futures_util::TryStreamExt;
use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{SqliteStore, dictionary};
use crate::allocation::{Timestamp, Window};
use crate::store::admission::{self, Mark, MarkKey};
use crate::store::fault::Fault;
use crate::store::{Admission, Incarnation, ResolvedReport, Rows, StoredDelta, delta_codec};

/// The cross join keeps the few wanted keys outside and looks each up.
const READ_MARKS: &str = "\
-- reports: read marks
select mark.agent, mark.epoch, mark.last_sequence, mark.seen, mark.used_ms
from json_each($1) as wanted
cross join mark on mark.agent = wanted.value ->> 0 and mark.epoch = wanted.value ->> 1";

const WRITE_MARKS: &str = "\
-- reports: write marks
insert into mark (agent, epoch, last_sequence, seen, used_ms)
select value ->> 0, value ->> 1, value ->> 2, value ->> 3, value ->> 4
from json_each($1)
where true
on conflict (agent, epoch) do update
set last_sequence = excluded.last_sequence, seen = excluded.seen, used_ms = excluded.used_ms";

const INSERT_DELTA: &str = "\
-- reports: insert delta
insert into delta (bucket_start_ms, bucket_end_ms, payload) values ($1, $2, $3)";

const READ_DELTAS: &str = "\
-- reports: read deltas
select bucket_start_ms, bucket_end_ms, payload
from delta
where bucket_start_ms >= $1 and bucket_start_ms < $2";

const NEXT_BUCKET: &str = "\
-- reports: next bucket
select bucket_start_ms, max(bucket_end_ms)
from delta
where bucket_start_ms = (select min(bucket_start_ms) from delta where bucket_start_ms >= $1)
group by bucket_start_ms";

#[derive(sqlx::FromRow)]
struct MarkRow {
    agent: String,
    epoch: String,
    last_sequence: i64,
    seen: i64,
    used_ms: i64,
}

impl MarkRow {
    fn epoch(&self) -> Result<Uuid, Fault> {
        let agent = &self.agent;
        Uuid::parse_str(&self.epoch)
            .map_err(|error| Fault::corrupt(format!("mark.epoch of agent {agent}"), error))
    }

    /// Both numbers use all 64 bits, so they are kept bit by bit.
    fn mark(&self) -> Mark {
        Mark {
            last_sequence: self.last_sequence.cast_unsigned(),
            seen: self.seen.cast_unsigned(),
            used_milliseconds: self.used_ms,
        }
    }
}

#[derive(sqlx::FromRow)]
struct DeltaRow {
    bucket_start_ms: i64,
    bucket_end_ms: i64,
    payload: Vec<u8>,
}

impl From<DeltaRow> for StoredDelta {
    fn from(row: DeltaRow) -> Self {
        Self {
            bucket: Window {
                start: Timestamp(row.bucket_start_ms),
                end: Timestamp(row.bucket_end_ms),
            },
            payload: row.payload,
        }
    }
}

/// Stores a batch of reports.
pub(super) async fn commit(
    store: &SqliteStore,
    batch: &[ResolvedReport],
) -> Result<Vec<Admission>, Fault> {
    let keys = admission::keys(batch);
    let mut transaction = store.connections.write().await?;
    let stored = read_marks(&mut transaction, &keys).await?;
    let incarnations = admission::incarnations(batch);
    let known = dictionary::known(&mut transaction, &incarnations).await?;
    let decision = admission::decide(batch, &stored, &known);
    write_marks(&mut transaction, &decision.changed).await?;
    for delta in delta_codec::sum(batch, &decision.admissions) {
        sqlx::query(INSERT_DELTA)
            .bind(delta.bucket.start.0)
            .bind(delta.bucket.end.0)
            .bind(delta_codec::encode(&delta))
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(decision.admissions)
}

async fn read_marks<'a>(
    connection: &mut SqliteConnection,
    keys: &[MarkKey<'a>],
) -> Result<BTreeMap<MarkKey<'a>, Mark>, Fault> {
    let wanted = serde_json::json!(keys).to_string();
    let rows: Vec<MarkRow> = sqlx::query_as(READ_MARKS)
        .bind(wanted)
        .fetch_all(connection)
        .await?;
    let mut marks = BTreeMap::new();
    for row in rows {
        if let Ok(found) = keys.binary_search(&(row.agent.as_str(), row.epoch()?)) {
            marks.insert(keys[found], row.mark());
        }
    }
    Ok(marks)
}

async fn write_marks(
    connection: &mut SqliteConnection,
    marks: &BTreeMap<MarkKey<'_>, Mark>,
) -> Result<(), sqlx::Error> {
    if marks.is_empty() {
        return Ok(());
    }
    let rows: Vec<_> = marks
        .iter()
        .map(|((agent, epoch), mark)| {
            let (last, seen) = (mark.last_sequence.cast_signed(), mark.seen.cast_signed());
            (agent, epoch, last, seen, mark.used_milliseconds)
        })
        .collect();
    let rows = serde_json::json!(rows).to_string();
    sqlx::query(WRITE_MARKS)
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
}

/// Sends the deltas of a range of buckets; the state of the names is read in the same snapshot.
pub(super) async fn stream(
    store: &SqliteStore,
    starts: Range<Timestamp>,
    rows: &Rows<StoredDelta>,
) -> Result<Incarnation, Fault> {
    let mut transaction = store.connections.snapshot().await?;
    let names = dictionary::state(&mut transaction).await?;
    {
        let mut found = sqlx::query_as::<_, DeltaRow>(READ_DELTAS)
            .bind(starts.start.0)
            .bind(starts.end.0)
            .fetch(&mut *transaction);
        while let Some(row) = found.try_next().await? {
            if rows.send(row.into()).await.is_err() {
                break;
            }
        }
    }
    transaction.commit().await?;
    Ok(names)
}

/// The first bucket from an instant on.
pub(super) async fn next_bucket(
    store: &SqliteStore,
    from: Timestamp,
) -> Result<Option<Window>, Fault> {
    let found: Option<(i64, i64)> = sqlx::query_as(NEXT_BUCKET)
        .bind(from.0)
        .fetch_optional(store.connections.readers())
        .await?;
    Ok(found.map(|(start, end)| Window {
        start: Timestamp(start),
        end: Timestamp(end),
    }))
}
