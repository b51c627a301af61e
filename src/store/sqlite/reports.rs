//! Tables `mark` and `delta`: writes reports.

use std::collections::BTreeMap;

use sqlx::SqliteConnection;
use uuid::Uuid;

use super::{Sqlite, dictionary};
use crate::store::admission::{self, Mark, MarkKey};
use crate::store::fault::Fault;
use crate::store::tables::reports;
use crate::store::{Admission, ResolvedReport, WriteFormat, compatibility, delta_codec};

/// The cross join makes SQLite loop over the few wanted keys and look each up. Also returns the formats
/// to write.
const READ_MARKS: &str = "\
-- reports: read marks
select mark.agent, mark.epoch, mark.last_sequence, mark.seen, mark.used_ms, null as write_format
from json_each($1) as wanted
cross join mark on mark.agent = wanted.value ->> 0 and mark.epoch = wanted.value ->> 1
union all
select '', '', 0, 0, 0, write_format from compatibility";

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

#[derive(sqlx::FromRow)]
struct MarkRow {
    agent: String,
    epoch: String,
    last_sequence: i64,
    seen: i64,
    used_ms: i64,
    /// If this is present, the row is not a mark but says which formats to write.
    write_format: Option<i64>,
}

impl MarkRow {
    fn epoch(&self) -> Result<Uuid, Fault> {
        let agent = &self.agent;
        Uuid::parse_str(&self.epoch)
            .map_err(|error| Fault::corrupt(format!("mark.epoch of agent {agent}"), error))
    }
}

/// Stores a batch of reports.
pub(super) async fn commit(
    sqlite: &Sqlite,
    batch: &[ResolvedReport],
) -> Result<Vec<Admission>, Fault> {
    let keys = admission::keys(batch);
    let mut transaction = sqlite.connections.write().await?;
    let (stored, format) = read_marks(&mut transaction, &keys).await?;
    let incarnations = admission::incarnations(batch);
    let known = dictionary::known(&mut transaction, &incarnations).await?;
    let decision = admission::decide(batch, &stored, &known);
    write_marks(&mut transaction, &decision.changed).await?;
    for delta in delta_codec::deltas(batch, &decision.admissions, format) {
        sqlx::query(INSERT_DELTA)
            .bind(delta.bucket.start.0)
            .bind(delta.bucket.end.0)
            .bind(delta.payload)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(decision.admissions)
}

async fn read_marks<'a>(
    connection: &mut SqliteConnection,
    keys: &[MarkKey<'a>],
) -> Result<(BTreeMap<MarkKey<'a>, Mark>, WriteFormat), Fault> {
    let wanted = serde_json::json!(keys).to_string();
    let rows: Vec<MarkRow> = sqlx::query_as(READ_MARKS)
        .bind(wanted)
        .fetch_all(connection)
        .await?;
    let mut marks = BTreeMap::new();
    // During a restore, the table may be empty.
    let mut format = WriteFormat::Previous;
    for row in rows {
        if let Some(number) = row.write_format {
            format = compatibility::format(number);
        } else if let Ok(found) = keys.binary_search(&(row.agent.as_str(), row.epoch()?)) {
            marks.insert(
                keys[found],
                reports::mark(row.last_sequence, row.seen, row.used_ms),
            );
        }
    }
    Ok((marks, format))
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
            let (last_sequence, seen, used_ms) = reports::mark_cells(mark);
            (agent, epoch, last_sequence, seen, used_ms)
        })
        .collect();
    let rows = serde_json::json!(rows).to_string();
    sqlx::query(WRITE_MARKS)
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
}
