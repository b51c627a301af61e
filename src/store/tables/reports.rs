//! Tables `mark` and `delta`: reads, which are the same for all backends. Each backend writes them
//! in its own way, because agents wait for that.

use std::ops::Range;

use futures_util::TryStreamExt;

use crate::allocation::{AgentName, Timestamp, Window};
use crate::store::admission::Mark;
use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::Fault;
use crate::store::{Incarnation, Rows, SourceState, StoredDelta};

/// The state of the names comes as a row of its own: one statement is one round trip, and sees one
/// state of the database.
const READ_DELTAS: &str = "\
-- reports: read deltas
select null as bucket_start_ms, null as bucket_end_ms, null as payload, null as reports, incarnation
from dictionary
union all
select bucket_start_ms, bucket_end_ms, payload, reports, null
from delta
where bucket_start_ms >= $1 and bucket_start_ms < $2";

const NEXT_BUCKET: &str = "\
-- reports: next bucket
select bucket_start_ms, max(bucket_end_ms) as bucket_end_ms
from delta
where bucket_start_ms = (select min(bucket_start_ms) from delta where bucket_start_ms >= $1)
group by bucket_start_ms";

/// The key of a mark begins with the agent, so this reads the index only. Nobody's name is empty.
const AGENT_NAMES: &str = "\
-- reports: agent names
select distinct agent from mark where agent > $1 order by agent limit $2";

/// Both numbers of a mark use all 64 bits, so they are converted bit by bit.
pub fn mark(last_sequence: i64, seen: i64, used_ms: i64) -> Mark {
    Mark {
        last_sequence: last_sequence.cast_unsigned(),
        seen: seen.cast_unsigned(),
        used_milliseconds: used_ms,
    }
}

/// The cells of a mark: `last_sequence`, `seen` and `used_ms`.
pub fn mark_cells(mark: &Mark) -> (i64, i64, i64) {
    (
        mark.last_sequence.cast_signed(),
        mark.seen.cast_signed(),
        mark.used_milliseconds,
    )
}

/// What is stored of a source: `last_sequence` and `state` of its mark.
pub fn source_state(last_sequence: i64, state: Option<Vec<u8>>) -> SourceState {
    SourceState {
        number: last_sequence.cast_unsigned(),
        bytes: state,
    }
}

fn bucket(row: &impl Row) -> Result<Window, Fault> {
    Ok(Window {
        start: Timestamp(row.integer("bucket_start_ms")?),
        end: Timestamp(row.integer("bucket_end_ms")?),
    })
}

/// Sends the deltas of a range of buckets, and returns the state of the names.
pub async fn stream<B: Backend>(
    backend: &B,
    starts: Range<Timestamp>,
    rows: &Rows<StoredDelta>,
) -> Result<Incarnation, Fault> {
    let values = [starts.start.0.into(), starts.end.0.into()];
    let mut names = None;
    let mut transaction = backend.begin(Kind::Read).await?;
    {
        let mut found = transaction.stream(READ_DELTAS, &values);
        while let Some(row) = found.try_next().await? {
            if let Some(incarnation) = row.id_or_null("incarnation")? {
                names = Some(Incarnation(incarnation));
                continue;
            }
            let payload = row.bytes("payload")?.to_vec();
            let reports = row.bytes_or_null("reports")?.map(<[u8]>::to_vec);
            let delta = StoredDelta::new(bucket(&row)?, payload, reports);
            if rows.send(delta).await.is_err() {
                // The receiver has gone, and computes nothing from a part of the rows.
                return Ok(names.unwrap_or(Incarnation::EMPTY));
            }
        }
    }
    transaction.commit().await?;
    names.ok_or_else(Fault::no_row)
}

/// The first names of agents after a name.
pub async fn agent_names<B: Backend>(
    backend: &B,
    after: Option<&AgentName>,
    limit: u32,
) -> Result<Vec<AgentName>, Fault> {
    let after = after.map_or("", AgentName::as_str);
    let values = [after.into(), i64::from(limit).into()];
    let mut transaction = backend.begin(Kind::Read).await?;
    let rows = transaction.rows(AGENT_NAMES, &values).await?;
    transaction.commit().await?;
    rows.iter().map(agent_name).collect()
}

fn agent_name(row: &impl Row) -> Result<AgentName, Fault> {
    let name = row.text("agent")?;
    AgentName::parse(name).map_err(|error| Fault::corrupt("mark.agent", error))
}

/// The first bucket from an instant on.
pub async fn next_bucket<B: Backend>(
    backend: &B,
    from: Timestamp,
) -> Result<Option<Window>, Fault> {
    let mut transaction = backend.begin(Kind::Read).await?;
    let row = transaction.row(NEXT_BUCKET, &[from.0.into()]).await?;
    transaction.commit().await?;
    row.as_ref().map(bucket).transpose()
}
