//! Table `polls`: how often SDKs asked each replica, by window.

use crate::allocation::{Timestamp, Window};
use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::Fault;
use crate::store::{Incarnation, PollsAsked, ReplicaPolls, StoredPolls, polls_codec};

const WRITE: &str = "\
-- polls: write
insert into polls (
    bucket_start_ms, replica, bucket_end_ms, from_ms, until_ms, incarnation, payload
) values ($1, $2, $3, $4, $5, $6, $7)
on conflict (bucket_start_ms, replica) do update set
    bucket_end_ms = excluded.bucket_end_ms,
    from_ms = excluded.from_ms,
    until_ms = excluded.until_ms,
    incarnation = excluded.incarnation,
    payload = excluded.payload";

/// Leaves out rows whose numbers were found in a state that is not in the database's past. The state of the names
/// comes as a row of its own: one statement is one round trip, and sees one state of the database.
const READ: &str = "\
-- polls: read
select null as bucket_start_ms, null as bucket_end_ms, null as replica, null as from_ms,
    null as until_ms, null as payload, incarnation
from dictionary
union all
select polls.bucket_start_ms, polls.bucket_end_ms, polls.replica, polls.from_ms, polls.until_ms,
    case when polls.bucket_start_ms >= $2 then polls.payload end, null
from polls
join dictionary_chain using (incarnation)
where polls.bucket_start_ms >= $1 and polls.bucket_start_ms < $3";

const DELETE: &str = "\
-- polls: delete
delete from polls where bucket_start_ms < $1";

/// Writes the polls of a replica in a window, in place of what it wrote of that window before.
pub async fn write<B: Backend>(backend: &B, polls: &ReplicaPolls) -> Result<(), Fault> {
    let payload = polls_codec::encode(&polls.services);
    let values = [
        polls.window.start.0.into(),
        polls.replica.into(),
        polls.window.end.0.into(),
        polls.counted.start.0.into(),
        polls.counted.end.0.into(),
        polls.names.0.into(),
        payload.as_slice().into(),
    ];
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(WRITE, &values).await?;
    transaction.commit().await
}

fn polls(row: &impl Row) -> Result<StoredPolls, Fault> {
    let time = |column| Ok::<_, Fault>(Timestamp(row.integer(column)?));
    let window = Window {
        start: time("bucket_start_ms")?,
        end: time("bucket_end_ms")?,
    };
    let counted = Window {
        start: time("from_ms")?,
        end: time("until_ms")?,
    };
    let payload = row.bytes_or_null("payload")?.map(<[u8]>::to_vec);
    Ok(StoredPolls::new(
        window,
        row.id("replica")?,
        counted,
        payload,
    ))
}

/// The polls of all replicas, and the state of the names.
pub async fn read<B: Backend>(
    backend: &B,
    asked: PollsAsked,
) -> Result<(Incarnation, Vec<StoredPolls>), Fault> {
    let values = [asked.counted_from, asked.polls_from, asked.until].map(|at| at.0.into());
    let mut transaction = backend.begin(Kind::Read).await?;
    let rows = transaction.rows(READ, &values).await?;
    transaction.commit().await?;
    let mut names = None;
    let mut found = Vec::with_capacity(rows.len());
    for row in &rows {
        match row.id_or_null("incarnation")? {
            Some(incarnation) => names = Some(Incarnation(incarnation)),
            None => found.push(polls(row)?),
        }
    }
    Ok((names.ok_or_else(Fault::no_row)?, found))
}

/// Deletes the polls of windows that start before an instant.
pub async fn delete<B: Backend>(backend: &B, before: Timestamp) -> Result<(), Fault> {
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(DELETE, &[before.0.into()]).await?;
    transaction.commit().await
}
