//! Tables `mark` and `delta`: writes reports.

use std::collections::BTreeMap;

use sqlx::{Row, SqliteConnection};
use uuid::Uuid;

use super::{Sqlite, dictionary};
use crate::allocation::AgentName;
use crate::store::admission::{self, Mark, MarkKey};
use crate::store::fault::Fault;
use crate::store::tables::reports;
use crate::store::{
    Admission, ResolvedReport, SourceState, WriteFormat, compatibility, delta_codec,
};

/// The cross join makes SQLite loop over the few wanted keys and look each up. Also returns the formats
/// to write.
const READ_MARKS: &str = "\
-- reports: read marks
select mark.agent, mark.epoch, mark.last_sequence, mark.seen, mark.used_ms, null as write_format
from json_each($1) as wanted
cross join mark on mark.agent = substr(wanted.value, 37) and mark.epoch = substr(wanted.value, 1, 36)
union all
select '', '', 0, 0, 0, write_format from compatibility";

/// See [`line`] for the columns of a line.
const WRITE_MARKS: &str = "\
-- reports: write marks
insert into mark (agent, epoch, last_sequence, seen, used_ms)
select substr(value, 97), substr(value, 1, 36), cast(substr(value, 37, 20) as integer),
    cast(substr(value, 57, 20) as integer), cast(substr(value, 77, 20) as integer)
from json_each($1)
where true
on conflict (agent, epoch) do update
set last_sequence = excluded.last_sequence, seen = excluded.seen, used_ms = excluded.used_ms";

const WRITE_STATE: &str = "\
-- reports: write state
update mark set state = $3 where agent = $1 and epoch = $2";

const READ_STATE: &str = "\
-- reports: read state
select last_sequence, state from mark where agent = $1 and epoch = $2";

const INSERT_DELTA: &str = "\
-- reports: insert delta
insert into delta (bucket_start_ms, bucket_end_ms, payload, reports) values ($1, $2, $3, $4)";

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
    for ((agent, epoch), state) in admission::states(batch, &decision.admissions) {
        sqlx::query(WRITE_STATE)
            .bind(agent)
            .bind(epoch.to_string())
            .bind(state)
            .execute(&mut *transaction)
            .await?;
    }
    for delta in delta_codec::deltas(batch, &decision.admissions, format) {
        sqlx::query(INSERT_DELTA)
            .bind(delta.bucket.start.0)
            .bind(delta.bucket.end.0)
            .bind(delta.payload)
            .bind(delta.reports)
            .execute(&mut *transaction)
            .await?;
    }
    transaction.commit().await?;
    Ok(decision.admissions)
}

/// What is stored of sources, in the order given.
pub(super) async fn source_states(
    sqlite: &Sqlite,
    sources: &[(AgentName, Uuid)],
) -> Result<Vec<Option<SourceState>>, Fault> {
    let mut transaction = sqlite.connections.read().await?;
    let mut states = Vec::with_capacity(sources.len());
    for (agent, epoch) in sources {
        let row = sqlx::query(READ_STATE)
            .bind(agent.as_str())
            .bind(epoch.to_string())
            .fetch_optional(&mut *transaction)
            .await?;
        states.push(match row {
            Some(row) => Some(reports::source_state(row.try_get(0)?, row.try_get(1)?)),
            None => None,
        });
    }
    transaction.commit().await?;
    Ok(states)
}

async fn read_marks<'a>(
    connection: &mut SqliteConnection,
    keys: &[MarkKey<'a>],
) -> Result<(BTreeMap<MarkKey<'a>, Mark>, WriteFormat), Fault> {
    let wanted = list(keys.iter().map(|(agent, epoch)| format!("{epoch}{agent}")));
    let rows = sqlx::query(READ_MARKS)
        .bind(wanted)
        .fetch_all(connection)
        .await?;
    let mut marks = BTreeMap::new();
    // During a restore, the table may be empty.
    let mut format = WriteFormat::Previous;
    for row in &rows {
        // If this is present, the row is not a mark but says which formats to write.
        if let Some(number) = row.try_get(5)? {
            format = compatibility::format(number);
            continue;
        }
        let agent: &str = row.try_get(0)?;
        let epoch = Uuid::try_parse(row.try_get(1)?)
            .map_err(|error| Fault::corrupt(format!("mark.epoch of agent {agent}"), error))?;
        if let Ok(found) = keys.binary_search(&(agent, epoch)) {
            let mark = reports::mark(row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
            marks.insert(keys[found], mark);
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
    let rows = list(marks.iter().map(line));
    sqlx::query(WRITE_MARKS)
        .bind(rows)
        .execute(connection)
        .await?;
    Ok(())
}

/// A mark: its epoch in 36 characters, its numbers in 20 each, its agent. Columns of a fixed width cost
/// SQLite a fraction of what it takes to parse a list in a list.
fn line(((agent, epoch), mark): (&MarkKey<'_>, &Mark)) -> String {
    let (last_sequence, seen, used_ms) = reports::mark_cells(mark);
    format!("{epoch}{last_sequence:20}{seen:20}{used_ms:20}{agent}")
}

/// A list of lines, for `json_each`.
fn list(lines: impl Iterator<Item = String>) -> String {
    let lines: Vec<String> = lines.collect();
    serde_json::to_string(&lines).expect("text is JSON")
}
