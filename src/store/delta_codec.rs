//! Encodes a delta's counts as bytes.
//!
//! One delta contains what one group commit adds to one bucket, in two cells. Ids are in ascending
//! order, so gaps and small counts take a byte each: about 3 bytes per operation, 4 per service, and 25
//! per report of one service. General compression would gain nothing.
//!
//! The payload has the format of release 0.1.0. Version 2: the byte 2; the operations; of each agent
//! the covered milliseconds and one count ([`previous`]); the services. Version 1, which ended before
//! the services, is still read.
//!
//! The reports say more about agents, so they take the place of the payload's list of them
//! ([`agents`]). Until no replica of the release before will come back, the payload lists the agents,
//! and there are no reports.
//!
//! A list begins with its length. An operation is its id's gap, offered, sampled; a service its id's
//! gap and instance-milliseconds. Numbers without a stated width are variable-length.

mod agents;
mod merge;
mod previous;
#[cfg(test)]
mod tests;

use crate::allocation::{OperationId, ServiceCount, ServiceId, Window};

use super::varint::{Damage, Reader, put};
use super::{
    Admission, BucketCounts, BucketOperation, ResolvedReport, StoreError, StoredDelta, WriteFormat,
};

const VERSION: u8 = 2;

/// The oldest version that can be read, followed by what later versions added.
const OLDEST: u8 = 1;
const WITH_SERVICES: u8 = 2;

/// The deltas of a batch: one for each bucket to which its counted reports add something, in
/// ascending order of buckets.
pub(super) fn deltas(
    batch: &[ResolvedReport],
    admissions: &[Admission],
    format: WriteFormat,
) -> Vec<StoredDelta> {
    let sums = merge::sum(batch, admissions).into_iter();
    sums.filter(|counts| !is_empty(counts, format))
        .map(|counts| encode(&counts, format))
        .collect()
}

/// Whether a delta would say nothing. The previous format has no late reports.
fn is_empty(counts: &BucketCounts, format: WriteFormat) -> bool {
    let late = match format {
        WriteFormat::Previous => counts.late.len(),
        WriteFormat::Newest => 0,
    };
    counts.entries() == late
}

/// Encodes counts with ascending ids.
fn encode(counts: &BucketCounts, format: WriteFormat) -> StoredDelta {
    let mut payload =
        Vec::with_capacity(9 + counts.operations.len() * 4 + counts.services.len() * 5);
    payload.push(VERSION);
    put_operations(&mut payload, &counts.operations);
    let reports = match format {
        WriteFormat::Previous => {
            previous::put_agents(&mut payload, counts);
            None
        }
        WriteFormat::Newest => {
            previous::put_no_agents(&mut payload);
            Some(agents::encode(counts))
        }
    };
    put_services(&mut payload, &counts.services);
    StoredDelta {
        bucket: counts.bucket,
        payload,
        reports,
    }
}

fn put_operations(bytes: &mut Vec<u8>, operations: &[BucketOperation]) {
    put(bytes, operations.len() as u64);
    let mut previous = 0;
    for entry in operations {
        put(bytes, u64::from(entry.operation.0 - previous));
        put(bytes, entry.offered);
        put(bytes, entry.sampled);
        previous = entry.operation.0;
    }
}

fn put_services(bytes: &mut Vec<u8>, services: &[ServiceCount]) {
    put(bytes, services.len() as u64);
    let mut previous = 0;
    for entry in services {
        put(bytes, u64::from(entry.service.0 - previous));
        put(bytes, entry.instance_milliseconds);
        previous = entry.service.0;
    }
}

/// What a delta adds to its bucket.
///
/// # Errors
/// Names the cell that cannot be read.
pub(super) fn decode(delta: &StoredDelta) -> Result<BucketCounts, StoreError> {
    let cell = |name| {
        let start = delta.bucket.start.0;
        move |damage: Damage| damage.of(format!("delta.{name} of a row of bucket_start_ms {start}"))
    };
    let mut counts = payload(delta.bucket, &delta.payload).map_err(cell("payload"))?;
    if let Some(bytes) = &delta.reports {
        agents::decode(bytes, &mut counts).map_err(cell("reports"))?;
    }
    Ok(counts)
}

/// The counts of a payload, and the agents that it lists.
fn payload(bucket: Window, bytes: &[u8]) -> Result<BucketCounts, Damage> {
    let mut reader = Reader::new(bytes);
    let [version] = reader.take()?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Damage::version(version, VERSION));
    }
    let mut counts = BucketCounts {
        bucket,
        operations: operations(&mut reader)?,
        ..BucketCounts::default()
    };
    previous::read_agents(&mut reader, &mut counts)?;
    if version >= WITH_SERVICES {
        counts.services = services(&mut reader)?;
    }
    reader.end()?;
    Ok(counts)
}

fn operations(reader: &mut Reader<'_>) -> Result<Vec<BucketOperation>, Damage> {
    let count = reader.count(3)?;
    let mut operations = Vec::with_capacity(count);
    let mut previous = None;
    for _ in 0..count {
        let id = reader.rising(previous)?;
        previous = Some(id);
        operations.push(BucketOperation {
            operation: OperationId(id),
            offered: reader.number()?,
            sampled: reader.number()?,
        });
    }
    Ok(operations)
}

fn services(reader: &mut Reader<'_>) -> Result<Vec<ServiceCount>, Damage> {
    let count = reader.count(2)?;
    let mut services = Vec::with_capacity(count);
    let mut previous = None;
    for _ in 0..count {
        let id = reader.rising(previous)?;
        previous = Some(id);
        services.push(ServiceCount {
            service: ServiceId(id),
            instance_milliseconds: reader.number()?,
        });
    }
    Ok(services)
}
