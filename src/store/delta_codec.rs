//! Encodes a delta's counts as bytes.
//!
//! One delta contains what one group commit adds to one bucket. Ids are in ascending order, so gaps
//! and small counts take a byte each: about 3 bytes per operation and 4 per service. General
//! compression would gain nothing.
//!
//! Version 2: the byte 2; the number of operations; for each its id's gap, offered, sampled; the
//! number of agents; for each its id in 8 bytes, the highest first, offered, and the covered
//! milliseconds; the number of services; for each its id's gap and instance-milliseconds. Numbers
//! without a stated width are variable-length. Version 1, which ended before the services, is still
//! read.

use crate::allocation::{AgentCount, AgentId, OperationId, ServiceCount, ServiceId, Window};

use super::varint::{Damage, Reader, put};
use super::{Admission, BucketCounts, BucketOperation, ResolvedReport};

const VERSION: u8 = 2;

/// The oldest version that can be read, followed by what later versions added.
const OLDEST: u8 = 1;
const WITH_SERVICES: u8 = 2;

/// Sums the counted reports of a batch into one delta per bucket, in ascending order of buckets.
pub(super) fn sum(batch: &[ResolvedReport], admissions: &[Admission]) -> Vec<BucketCounts> {
    let mut parts: Vec<&BucketCounts> = batch
        .iter()
        .zip(admissions)
        .filter(|(_, admission)| **admission == Admission::Counted)
        .flat_map(|(report, _)| &report.buckets)
        .collect();
    parts.sort_by_key(|part| part.bucket);
    parts
        .chunk_by(|a, b| a.bucket == b.bucket)
        .map(merge)
        .filter(|delta| !is_empty(delta))
        .collect()
}

fn is_empty(delta: &BucketCounts) -> bool {
    delta.operations.is_empty() && delta.services.is_empty() && delta.agents.is_empty()
}

fn merge(parts: &[&BucketCounts]) -> BucketCounts {
    let mut operations: Vec<_> = parts
        .iter()
        .flat_map(|part| &part.operations)
        .copied()
        .collect();
    operations.sort_unstable_by_key(|entry| entry.operation);
    operations.dedup_by(|next, kept| {
        let same = next.operation == kept.operation;
        if same {
            kept.offered = kept.offered.saturating_add(next.offered);
            kept.sampled = kept.sampled.saturating_add(next.sampled);
        }
        same
    });
    let mut agents: Vec<_> = parts
        .iter()
        .flat_map(|part| &part.agents)
        .copied()
        .collect();
    agents.sort_unstable_by_key(|entry| entry.agent);
    agents.dedup_by(|next, kept| {
        let same = next.agent == kept.agent;
        if same {
            kept.offered = kept.offered.saturating_add(next.offered);
            kept.covered_milliseconds = kept
                .covered_milliseconds
                .saturating_add(next.covered_milliseconds);
        }
        same
    });
    BucketCounts {
        bucket: parts.first().map(|part| part.bucket).unwrap_or_default(),
        operations,
        services: merge_services(parts),
        agents,
    }
}

fn merge_services(parts: &[&BucketCounts]) -> Vec<ServiceCount> {
    let mut services: Vec<_> = parts
        .iter()
        .flat_map(|part| &part.services)
        .copied()
        .collect();
    services.sort_unstable_by_key(|entry| entry.service);
    services.dedup_by(|next, kept| {
        let same = next.service == kept.service;
        if same {
            kept.instance_milliseconds = kept
                .instance_milliseconds
                .saturating_add(next.instance_milliseconds);
        }
        same
    });
    services
}

/// Encodes counts with ascending ids, as [`sum`] returns them.
pub(super) fn encode(counts: &BucketCounts) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(
        9 + counts.operations.len() * 4 + counts.agents.len() * 14 + counts.services.len() * 5,
    );
    bytes.push(VERSION);
    put(&mut bytes, counts.operations.len() as u64);
    let mut previous = 0;
    for entry in &counts.operations {
        put(&mut bytes, u64::from(entry.operation.0 - previous));
        put(&mut bytes, entry.offered);
        put(&mut bytes, entry.sampled);
        previous = entry.operation.0;
    }
    put(&mut bytes, counts.agents.len() as u64);
    for entry in &counts.agents {
        bytes.extend(entry.agent.0.to_be_bytes());
        put(&mut bytes, entry.offered);
        // Never negative by definition.
        put(
            &mut bytes,
            entry.covered_milliseconds.max(0).cast_unsigned(),
        );
    }
    put(&mut bytes, counts.services.len() as u64);
    let mut previous = 0;
    for entry in &counts.services {
        put(&mut bytes, u64::from(entry.service.0 - previous));
        put(&mut bytes, entry.instance_milliseconds);
        previous = entry.service.0;
    }
    bytes
}

/// Decodes the counts of a bucket.
pub(super) fn decode(bucket: Window, bytes: &[u8]) -> Result<BucketCounts, Damage> {
    let mut reader = Reader::new(bytes);
    let [version] = reader.take()?;
    if !(OLDEST..=VERSION).contains(&version) {
        return Err(Damage::version(version, VERSION));
    }
    let operations = operations(&mut reader)?;
    let agents = agents(&mut reader)?;
    let services = if version >= WITH_SERVICES {
        services(&mut reader)?
    } else {
        Vec::new()
    };
    reader.end()?;
    Ok(BucketCounts {
        bucket,
        operations,
        services,
        agents,
    })
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

fn agents(reader: &mut Reader<'_>) -> Result<Vec<AgentCount>, Damage> {
    let count = reader.count(10)?;
    let mut agents: Vec<AgentCount> = Vec::with_capacity(count);
    for _ in 0..count {
        let agent = AgentId(u64::from_be_bytes(reader.take()?));
        if agents.last().is_some_and(|last| last.agent >= agent) {
            return Err(Damage::Unsorted);
        }
        agents.push(AgentCount {
            agent,
            offered: reader.number()?,
            covered_milliseconds: i64::try_from(reader.number()?)
                .map_err(|_| Damage::OutOfRange)?,
        });
    }
    Ok(agents)
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

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;
    use uuid::Uuid;

    use super::*;
    use crate::allocation::{AgentName, Timestamp};

    fn window(start: i64) -> Window {
        Window {
            start: Timestamp(start),
            end: Timestamp(start + 1000),
        }
    }

    prop_compose! {
        fn counts(starts: std::ops::Range<i64>)(
            start in starts,
            operations in prop::collection::vec((0_u32..40, any::<u32>(), any::<u32>()), 0..30),
            agents in prop::collection::vec((0_u64..5, any::<u32>(), 0_i64..60_000), 0..5),
            services in prop::collection::vec((0_u32..9, any::<u32>()), 0..5),
        ) -> BucketCounts {
            BucketCounts {
                bucket: window(start * 1000),
                operations: operations.into_iter().map(|(id, offered, sampled)| BucketOperation {
                    operation: OperationId(id * 100_000_000),
                    offered: offered.into(),
                    sampled: sampled.into(),
                }).collect(),
                agents: agents.into_iter().map(|(id, offered, covered)| AgentCount {
                    agent: AgentId(id.wrapping_mul(u64::MAX / 5)),
                    offered: offered.into(),
                    covered_milliseconds: covered,
                }).collect(),
                services: services.into_iter().map(|(id, instances)| ServiceCount {
                    service: ServiceId(id * 400_000_000),
                    instance_milliseconds: instances.into(),
                }).collect(),
            }
        }
    }

    fn report(buckets: Vec<BucketCounts>) -> ResolvedReport {
        ResolvedReport {
            agent: AgentName::parse("a").unwrap(),
            epoch: Uuid::nil(),
            sequence: 0,
            names: crate::store::Incarnation::EMPTY,
            buckets,
        }
    }

    fn instance_totals<'a>(
        parts: impl Iterator<Item = &'a BucketCounts>,
    ) -> BTreeMap<(Window, ServiceId), u64> {
        let mut totals = BTreeMap::new();
        for part in parts {
            for entry in &part.services {
                let total: &mut u64 = totals.entry((part.bucket, entry.service)).or_default();
                *total += entry.instance_milliseconds;
            }
        }
        totals
    }

    fn totals<'a>(
        parts: impl Iterator<Item = &'a BucketCounts>,
    ) -> BTreeMap<(Window, OperationId), (u64, u64)> {
        let mut totals = BTreeMap::new();
        for part in parts {
            for entry in &part.operations {
                let total: &mut (u64, u64) =
                    totals.entry((part.bucket, entry.operation)).or_default();
                total.0 += entry.offered;
                total.1 += entry.sampled;
            }
        }
        totals
    }

    proptest! {
        #[test]
        fn summed_counts_come_back(parts in prop::collection::vec(counts(0..3), 0..6)) {
            let batch = [report(parts.clone())];
            let deltas = sum(&batch, &[Admission::Counted]);
            prop_assert!(deltas.is_sorted_by(|a, b| a.bucket < b.bucket));
            prop_assert_eq!(totals(deltas.iter()), totals(parts.iter()));
            prop_assert_eq!(instance_totals(deltas.iter()), instance_totals(parts.iter()));
            for delta in deltas {
                prop_assert_eq!(decode(delta.bucket, &encode(&delta)), Ok(delta));
            }
        }

        #[test]
        fn every_cut_is_refused(part in counts(0..1)) {
            let batch = [report(vec![part])];
            for delta in sum(&batch, &[Admission::Counted]) {
                let bytes = encode(&delta);
                for length in 0..bytes.len() {
                    prop_assert!(decode(delta.bucket, &bytes[..length]).is_err());
                }
                let longer = [bytes, vec![0]].concat();
                prop_assert_eq!(decode(delta.bucket, &longer), Err(Damage::Trailing));
            }
        }

        #[test]
        fn any_bytes_are_read_or_refused(
            mut bytes in prop::collection::vec(any::<u8>(), 1..64),
            version in OLDEST..=VERSION,
        ) {
            bytes[0] = version;
            if let Ok(counts) = decode(window(0), &bytes) {
                prop_assert!(counts.operations.is_sorted_by(|a, b| a.operation < b.operation));
                prop_assert!(counts.services.is_sorted_by(|a, b| a.service < b.service));
            }
        }
    }

    /// Bytes as they were first written in each version. They must stay readable.
    #[test]
    fn first_bytes_stay_readable() {
        let mut counts = BucketCounts {
            bucket: window(0),
            operations: vec![BucketOperation {
                operation: OperationId(300),
                offered: 1000,
                sampled: 1,
            }],
            agents: vec![AgentCount {
                agent: AgentId(7),
                offered: 1000,
                covered_milliseconds: 600,
            }],
            services: vec![],
        };
        let first = [
            &[1, 1, 0xac, 2, 0xe8, 7, 1, 1][..],
            &[0, 0, 0, 0, 0, 0, 0, 7, 0xe8, 7, 0xd8, 4],
        ];
        assert_eq!(decode(window(0), &first.concat()), Ok(counts.clone()));
        counts.services.push(ServiceCount {
            service: ServiceId(5),
            instance_milliseconds: 1800,
        });
        let mut second = [first.concat(), vec![1, 5, 0x88, 14]].concat();
        second[0] = 2;
        assert_eq!(decode(window(0), &second), Ok(counts.clone()));
        assert_eq!(encode(&counts), second);
    }

    #[test]
    fn only_counted_reports_are_summed() {
        let counted = BucketOperation {
            operation: OperationId(7),
            offered: 10,
            sampled: 1,
        };
        let bucket = BucketCounts {
            bucket: window(0),
            operations: vec![counted],
            ..BucketCounts::default()
        };
        let batch = vec![report(vec![bucket]); 3];
        let deltas = sum(
            &batch,
            &[
                Admission::Counted,
                Admission::Duplicate,
                Admission::TooFarBehind,
            ],
        );
        assert_eq!(deltas.len(), 1);
        assert_eq!(deltas[0].operations, [counted]);
    }
}
