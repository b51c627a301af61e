//! Tables `mark` and `delta`: reports in.

use std::collections::{BTreeMap, HashMap, HashSet};

use sqlx::Row;
use uuid::Uuid;

use super::Postgres;
use super::connection::Connection;
use super::partitions::DELTA;
use super::transaction::{Limits, Transaction};
use crate::allocation::AgentName;
use crate::store::admission::{self, Mark, MarkKey};
use crate::store::fault::Fault;
use crate::store::tables::reports;
use crate::store::{
    Admission, Incarnation, ResolvedReport, SourceState, StoredDelta, WriteFormat, compatibility,
    delta_codec,
};

/// Locks in sorted order, so that two commits with the same agents wait for each other instead of
/// deadlocking. Also returns which of the given incarnations are valid, and the formats to write, so
/// that these need no round trip of their own.
const LOCK_MARKS: &str = "\
-- reports: lock marks
with locked as (
    select mark.agent, mark.epoch, mark.last_sequence, mark.seen, mark.used_ms
    from mark
    join unnest($1::text[], $2::uuid[]) as wanted (agent, epoch) using (agent, epoch)
    order by mark.agent, mark.epoch
    for update of mark
)
select agent, epoch, last_sequence, seen, used_ms,
    null::uuid as incarnation, null::bigint as write_format
from locked
union all
select '', chain.incarnation, 0, 0, 0, chain.incarnation, null
from dictionary_chain as chain
join dictionary using (generation)
where chain.incarnation = any($3)
union all
select '', '00000000-0000-0000-0000-000000000000'::uuid, 0, 0, 0, null, write_format
from compatibility";

/// Waits for another replica that is inserting the same mark, and then leaves it unchanged. Names
/// the key, so a missing key is an error, and no mark is stored twice.
const INSERT_MARKS: &str = "\
-- reports: insert marks
insert into mark (agent, epoch, last_sequence, seen, used_ms)
select * from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
on conflict (agent, epoch) do nothing
returning agent, epoch";

const UPDATE_MARKS: &str = "\
-- reports: update marks
update mark
set last_sequence = wanted.last_sequence, seen = wanted.seen, used_ms = wanted.used_ms
from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[])
    as wanted (agent, epoch, last_sequence, seen, used_ms)
where mark.agent = wanted.agent and mark.epoch = wanted.epoch";

/// The marks of sources. Those of agents have no state, and their statement does not get slower.
const UPDATE_SOURCES: &str = "\
-- reports: update sources
update mark
set last_sequence = wanted.last_sequence, seen = wanted.seen, used_ms = wanted.used_ms,
    state = wanted.state
from unnest($1::text[], $2::uuid[], $3::bigint[], $4::bigint[], $5::bigint[], $6::bytea[])
    as wanted (agent, epoch, last_sequence, seen, used_ms, state)
where mark.agent = wanted.agent and mark.epoch = wanted.epoch";

const READ_STATES: &str = "\
-- reports: read states
select mark.agent, mark.epoch, mark.last_sequence, mark.state
from mark
join unnest($1::text[], $2::uuid[]) as wanted (agent, epoch) using (agent, epoch)";

const INSERT_DELTAS: &str = "\
-- reports: insert deltas
insert into delta (bucket_start_ms, bucket_end_ms, payload, reports)
select * from unnest($1::bigint[], $2::bigint[], $3::bytea[], $4::bytea[])";

/// The state of the database that a batch is decided with.
struct Locked<'a> {
    marks: BTreeMap<MarkKey<'a>, Mark>,
    known: HashSet<Incarnation>,
    format: WriteFormat,
}

/// Marks as columns, for `unnest`.
#[derive(Default)]
struct MarkColumns<'a> {
    agent: Vec<&'a str>,
    epoch: Vec<Uuid>,
    last_sequence: Vec<i64>,
    seen: Vec<i64>,
    used_ms: Vec<i64>,
}

impl<'a> MarkColumns<'a> {
    fn new<'m>(marks: impl Iterator<Item = (&'m MarkKey<'a>, &'m Mark)>) -> Self
    where
        'a: 'm,
    {
        let mut columns = Self::default();
        for ((agent, epoch), mark) in marks {
            columns.agent.push(agent);
            columns.epoch.push(*epoch);
            let (last_sequence, seen, used_ms) = reports::mark_cells(mark);
            columns.last_sequence.push(last_sequence);
            columns.seen.push(seen);
            columns.used_ms.push(used_ms);
        }
        columns
    }
}

/// Stores a batch of reports.
pub(super) async fn commit(
    postgres: &Postgres,
    batch: &[ResolvedReport],
) -> Result<Vec<Admission>, Fault> {
    let buckets = batch.iter().flat_map(|report| &report.buckets);
    let partitions = buckets.map(|counts| DELTA.at(counts.bucket.start.0));
    postgres
        .partitions
        .ensure(&postgres.pool, partitions)
        .await?;
    let mut transaction = Transaction::begin(&postgres.pool, Limits::Brief).await?;
    let (admissions, format) = admit(&mut transaction, batch).await?;
    let deltas = delta_codec::deltas(batch, &admissions, format);
    insert_deltas(&mut transaction, &deltas).await?;
    transaction.commit().await?;
    Ok(admissions)
}

/// Locks the marks, decides, and writes the marks. Also returns the formats to write.
async fn admit(
    connection: &mut Connection,
    batch: &[ResolvedReport],
) -> Result<(Vec<Admission>, WriteFormat), Fault> {
    let keys = admission::keys(batch);
    let incarnations = admission::incarnations(batch);
    let Locked {
        marks: mut stored,
        known,
        format,
    } = lock(connection, &keys, &incarnations).await?;
    let mut decision = admission::decide(batch, &stored, &known);
    // Only marks of counted reports are created. The keys of the map are sorted.
    let new: Vec<_> = decision
        .changed
        .iter()
        .filter(|(key, _)| !stored.contains_key(*key))
        .collect();
    let mut inserted = Vec::new();
    if !new.is_empty() {
        let marks = MarkColumns::new(new.iter().copied());
        inserted = insert_marks(connection, marks, &keys).await?;
    }
    if inserted.len() < new.len() {
        // Another replica created some of them meanwhile. Its counts must be taken into account.
        let lost: Vec<_> = new
            .into_iter()
            .map(|(key, _)| *key)
            .filter(|key| !inserted.contains(key))
            .collect();
        stored.extend(lock(connection, &lost, &[]).await?.marks);
        decision = admission::decide(batch, &stored, &known);
    }
    let states = admission::states(batch, &decision.admissions);
    let sources = decision.changed.iter();
    let sources = MarkColumns::new(sources.filter(|(key, _)| states.contains_key(*key)));
    update_sources(connection, sources, states.values().copied().collect()).await?;
    let agents = decision.changed.iter().filter(|(key, _)| {
        let written = inserted.binary_search(key).is_ok() || states.contains_key(*key);
        !written
    });
    update_marks(connection, MarkColumns::new(agents)).await?;
    Ok((decision.admissions, format))
}

/// The existing marks, locked; which incarnations are valid; and the formats to write.
async fn lock<'a>(
    connection: &mut Connection,
    keys: &[MarkKey<'a>],
    states: &[Incarnation],
) -> Result<Locked<'a>, Fault> {
    let (agents, epochs): (Vec<&str>, Vec<Uuid>) = keys.iter().copied().unzip();
    let states: Vec<Uuid> = states.iter().map(|state| state.0).collect();
    let rows = sqlx::query(LOCK_MARKS)
        .bind(agents)
        .bind(epochs)
        .bind(states)
        .fetch_all(connection)
        .await?;
    let mut marks = BTreeMap::new();
    let mut known = HashSet::new();
    // During a restore, the table may be empty.
    let mut format = WriteFormat::Previous;
    for row in &rows {
        // If one of these is present, the row is not a mark but a valid incarnation, or says which
        // formats to write.
        if let Some(incarnation) = row.try_get(5)? {
            known.insert(Incarnation(incarnation));
            continue;
        }
        if let Some(number) = row.try_get(6)? {
            format = compatibility::format(number);
            continue;
        }
        if let Ok(found) = keys.binary_search(&(row.try_get(0)?, row.try_get(1)?)) {
            let mark = reports::mark(row.try_get(2)?, row.try_get(3)?, row.try_get(4)?);
            marks.insert(keys[found], mark);
        }
    }
    Ok(Locked {
        marks,
        known,
        format,
    })
}

/// Inserts new marks, and returns which were new, sorted.
async fn insert_marks<'a>(
    connection: &mut Connection,
    marks: MarkColumns<'_>,
    keys: &[MarkKey<'a>],
) -> Result<Vec<MarkKey<'a>>, Fault> {
    let rows: Vec<(String, Uuid)> = sqlx::query_as(INSERT_MARKS)
        .bind(marks.agent)
        .bind(marks.epoch)
        .bind(marks.last_sequence)
        .bind(marks.seen)
        .bind(marks.used_ms)
        .fetch_all(connection)
        .await?;
    let found = rows.iter().filter_map(|(agent, epoch)| {
        let found = keys.binary_search(&(agent.as_str(), *epoch)).ok()?;
        Some(keys[found])
    });
    Ok(found.collect())
}

async fn update_marks(
    connection: &mut Connection,
    marks: MarkColumns<'_>,
) -> Result<(), sqlx::Error> {
    if marks.agent.is_empty() {
        return Ok(());
    }
    sqlx::query(UPDATE_MARKS)
        .bind(marks.agent)
        .bind(marks.epoch)
        .bind(marks.last_sequence)
        .bind(marks.seen)
        .bind(marks.used_ms)
        .execute(connection)
        .await?;
    Ok(())
}

/// Writes the marks of sources with their states, which are in the same order.
async fn update_sources(
    connection: &mut Connection,
    marks: MarkColumns<'_>,
    states: Vec<&[u8]>,
) -> Result<(), sqlx::Error> {
    if marks.agent.is_empty() {
        return Ok(());
    }
    sqlx::query(UPDATE_SOURCES)
        .bind(marks.agent)
        .bind(marks.epoch)
        .bind(marks.last_sequence)
        .bind(marks.seen)
        .bind(marks.used_ms)
        .bind(states)
        .execute(connection)
        .await?;
    Ok(())
}

/// What is stored of sources, in the order given.
pub(super) async fn source_states(
    postgres: &Postgres,
    sources: &[(AgentName, Uuid)],
) -> Result<Vec<Option<SourceState>>, Fault> {
    let agents: Vec<&str> = sources.iter().map(|(agent, _)| agent.as_str()).collect();
    let epochs: Vec<Uuid> = sources.iter().map(|(_, epoch)| *epoch).collect();
    let mut transaction = Transaction::begin(&postgres.pool, Limits::Glance).await?;
    let rows = sqlx::query(READ_STATES)
        .bind(agents)
        .bind(epochs)
        .fetch_all(&mut *transaction)
        .await?;
    transaction.commit().await?;
    let mut found: HashMap<(&str, Uuid), SourceState> = HashMap::with_capacity(rows.len());
    for row in &rows {
        let state = reports::source_state(row.try_get(2)?, row.try_get(3)?);
        found.insert((row.try_get(0)?, row.try_get(1)?), state);
    }
    let states = sources
        .iter()
        .map(|(agent, epoch)| found.get(&(agent.as_str(), *epoch)).cloned());
    Ok(states.collect())
}

async fn insert_deltas(
    connection: &mut Connection,
    deltas: &[StoredDelta],
) -> Result<(), sqlx::Error> {
    if deltas.is_empty() {
        return Ok(());
    }
    let starts: Vec<i64> = deltas.iter().map(|delta| delta.bucket.start.0).collect();
    let ends: Vec<i64> = deltas.iter().map(|delta| delta.bucket.end.0).collect();
    let payloads: Vec<&[u8]> = deltas.iter().map(|delta| &*delta.payload).collect();
    let reports: Vec<Option<&[u8]>> = deltas
        .iter()
        .map(|delta| delta.reports.as_deref())
        .collect();
    sqlx::query(INSERT_DELTAS)
        .bind(starts)
        .bind(ends)
        .bind(payloads)
        .bind(reports)
        .execute(connection)
        .await?;
    Ok(())
}
