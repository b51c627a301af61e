//! The agents of a payload: of each its id in 8 bytes, the highest first; offered; the milliseconds of
//! the bucket that its reports cover.

use std::collections::BTreeMap;

use crate::allocation::{AgentCount, AgentId, AgentReport, Basis, Timestamp, Window};
use crate::store::varint::{Damage, Reader, put};
use crate::store::{BucketCounts, UNKNOWN_SEQUENCE};

/// Appends the agents of a bucket. Sampled requests, services and sequences are lost.
pub(super) fn put_agents(bytes: &mut Vec<u8>, counts: &BucketCounts) {
    let mut agents: BTreeMap<AgentId, (u64, i64)> = BTreeMap::new();
    for report in &counts.reports {
        let (_, covered) = agents.entry(report.agent).or_default();
        *covered = covered.saturating_add(counts.bucket.overlap_milliseconds(report.span));
    }
    for count in &counts.agents {
        let (offered, _) = agents.entry(count.agent).or_default();
        *offered = offered.saturating_add(count.offered);
    }
    put(bytes, agents.len() as u64);
    for (agent, (offered, covered)) in agents {
        bytes.extend(agent.0.to_be_bytes());
        put(bytes, offered);
        put(bytes, covered.cast_unsigned());
    }
}

/// Appends an empty list: the delta's reports say which agents there are.
pub(super) fn put_no_agents(bytes: &mut Vec<u8>) {
    put(bytes, 0);
}

/// Reads agents. Each becomes a report at the end of the bucket, which is as long as what was covered.
pub(super) fn read_agents(
    reader: &mut Reader<'_>,
    counts: &mut BucketCounts,
) -> Result<(), Damage> {
    let length = counts.bucket.milliseconds();
    let mut previous = None;
    for _ in 0..reader.count(10)? {
        let agent = AgentId(u64::from_be_bytes(reader.take()?));
        if previous.is_some_and(|previous| previous >= agent) {
            return Err(Damage::Unsorted);
        }
        previous = Some(agent);
        let offered = reader.number()?;
        let covered = i64::try_from(reader.number()?).map_err(|_| Damage::OutOfRange)?;
        counts.agents.push(AgentCount {
            agent,
            service: None,
            offered,
            sampled: 0,
        });
        let covered = covered.min(length);
        if covered > 0 {
            let end = counts.bucket.end;
            let start = Timestamp(end.0 - covered);
            counts.reports.push(AgentReport {
                agent,
                epoch: 0,
                sequence: UNKNOWN_SEQUENCE,
                span: Window { start, end },
                last: false,
                basis: Basis::Reports,
            });
        }
    }
    Ok(())
}
