//! Table `final_names`: the names that spans have at their end, by window and replica.
//!
//! The services are spread over parts, so that who asks for one service reads a small part of all names.

use std::collections::BTreeMap;
use std::ops::Range;

use sha2::{Digest, Sha256};

use crate::allocation::{Timestamp, Window};
use crate::store::backend::{Backend, Kind, Row, Transaction};
use crate::store::fault::Fault;
use crate::store::{ReplicaFinalNames, ServiceFinalNames, StoredFinalNames, final_names_codec};

/// Parts of the services. All releases must agree on it.
const PARTS: u8 = 64;

const WRITE: &str = "\
-- final names: write
insert into final_names (bucket_start_ms, replica, part, bucket_end_ms, payload)
values ($1, $2, $3, $4, $5)
on conflict (bucket_start_ms, replica, part) do update set
    bucket_end_ms = excluded.bucket_end_ms,
    payload = excluded.payload";

const READ: &str = "\
-- final names: read
select bucket_start_ms, bucket_end_ms, payload
from final_names
where bucket_start_ms >= $1 and bucket_start_ms < $2 and part = $3";

const DELETE: &str = "\
-- final names: delete
delete from final_names where bucket_start_ms < $1";

/// The part that a service is in.
fn part(service: &str) -> i64 {
    i64::from(Sha256::digest(service)[0] % PARTS)
}

/// Writes what a replica heard in a window. A part takes the place of what the replica wrote of it before.
pub async fn write<B: Backend>(backend: &B, heard: &ReplicaFinalNames) -> Result<(), Fault> {
    let mut parts: BTreeMap<i64, Vec<&ServiceFinalNames>> = BTreeMap::new();
    for of in &heard.services {
        parts.entry(part(&of.service)).or_default().push(of);
    }
    let mut transaction = backend.begin(Kind::Write).await?;
    for (part, services) in parts {
        let payload = final_names_codec::encode(&services);
        let values = [
            heard.window.start.0.into(),
            heard.replica.into(),
            part.into(),
            heard.window.end.0.into(),
            payload.as_slice().into(),
        ];
        transaction.execute(WRITE, &values).await?;
    }
    transaction.commit().await
}

fn stored(row: &impl Row) -> Result<StoredFinalNames, Fault> {
    Ok(StoredFinalNames {
        window: Window {
            start: Timestamp(row.integer("bucket_start_ms")?),
            end: Timestamp(row.integer("bucket_end_ms")?),
        },
        payload: row.bytes("payload")?.to_vec(),
    })
}

/// The rows of all replicas that these services are in, of the windows that start in a range.
pub async fn read<B: Backend>(
    backend: &B,
    services: &[String],
    starts: Range<Timestamp>,
) -> Result<Vec<StoredFinalNames>, Fault> {
    let mut parts: Vec<i64> = services.iter().map(|service| part(service)).collect();
    parts.sort_unstable();
    parts.dedup();
    let mut transaction = backend.begin(Kind::Read).await?;
    let mut found = Vec::new();
    for part in parts {
        let values = [starts.start.0.into(), starts.end.0.into(), part.into()];
        for row in transaction.rows(READ, &values).await? {
            found.push(stored(&row)?);
        }
    }
    transaction.commit().await?;
    Ok(found)
}

/// Deletes the names of windows that start before an instant.
pub async fn delete<B: Backend>(backend: &B, before: Timestamp) -> Result<(), Fault> {
    let mut transaction = backend.begin(Kind::Write).await?;
    transaction.execute(DELETE, &[before.0.into()]).await?;
    transaction.commit().await
}
