//! Table `observation`: what replicas saw beside the counts, by window, replica and kind.

use std::ops::Range;

use crate::allocation::{Timestamp, Window};
use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::Fault;
use crate::store::{Observation, ReplicaObservations, StoredObservations, observations_codec};

const WRITE: &str = "\
-- observations: write
insert into observation (bucket_start_ms, replica, kind, bucket_end_ms, payload)
values ($1, $2, $3, $4, $5)
on conflict (bucket_start_ms, replica, kind) do update set
    bucket_end_ms = excluded.bucket_end_ms,
    payload = excluded.payload";

const READ: &str = "\
-- observations: read
select bucket_start_ms, bucket_end_ms, replica, payload
from observation
where bucket_start_ms >= $1 and bucket_start_ms < $2 and kind = $3
order by bucket_start_ms, replica";

const DELETE: &str = "\
-- observations: delete
delete from observation where bucket_start_ms < $1";

/// Writes what a replica saw in a window, a row for each kind of which there is something. It takes the place of what
/// the replica wrote of that window before.
pub async fn write<B: Backend>(backend: &B, seen: &ReplicaObservations) -> Result<(), Fault> {
    let rows = [
        encoded(&seen.pollers),
        encoded(&seen.refused),
        encoded(&seen.spans),
    ];
    let mut transaction = backend.begin(Kind::Write).await?;
    for (kind, payload) in rows.iter().flatten() {
        let values = [
            seen.window.start.0.into(),
            seen.replica.into(),
            (*kind).into(),
            seen.window.end.0.into(),
            payload.as_slice().into(),
        ];
        transaction.execute(WRITE, &values).await?;
    }
    transaction.commit().await
}

fn encoded<T: Observation>(seen: &[T]) -> Option<(&'static str, Vec<u8>)> {
    (!seen.is_empty()).then(|| (T::KIND, observations_codec::encode(seen)))
}

/// One kind of what all replicas saw, of the windows that start in a range, oldest first.
pub async fn read<B: Backend>(
    backend: &B,
    kind: &str,
    starts: Range<Timestamp>,
) -> Result<Vec<StoredObservations>, Fault> {
    let values = [starts.start.0.into(), starts.end.0.into(), kind.into()];
    let mut transaction = backend.begin(Kind::Read).await?;
    let rows = transaction.rows(READ, &values).await?;
    transaction.commit().await?;
    let stored = |row: &_| stored(row);
    rows.iter().map(stored).collect()
}

fn stored(row: &impl Row) -> Result<StoredObservations, Fault> {
    Ok(StoredObservations {
        window: Window {
            start: Timestamp(row.integer("bucket_start_ms")?),
            end: Timestamp(row.integer("bucket_end_ms")?),
        },
        replica: row.id("replica")?,
        payload: row.bytes("payload")?.to_vec(),
    })
}

/// Deletes what was seen in windows that start before an instant.
pub async fn delete<B: Backend>(backend: &B, before: Timestamp) -> Result<(), Fault> {
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(DELETE, &[before.0.into()]).await?;
    transaction.commit().await
}
