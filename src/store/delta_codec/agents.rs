//! The reports of a delta, and what each agent counted.
//!
//! Version 1: the byte 1; the agents; the late reports. An agent is its id in 8 bytes, the highest first; its reports; its counts. Ids ascend.
//!
//! * A report is 4 bytes of its epoch; its sequence; the milliseconds from the bucket's start to its
//!   end, with their sign; twice its length in milliseconds, plus one for an agent's last report; the number
//!   of its basis.
//! * A count is the gap of its service, offered, sampled. 0 means no service; a service is its id and
//!   one.
//!
//! A late report is its agent's id in 8 bytes, and the report.

use crate::allocation::{AgentCount, AgentId, AgentReport, Basis, ServiceId, Timestamp, Window};
use crate::store::BucketCounts;
use crate::store::varint::{Damage, Reader, put, put_signed};

const VERSION: u8 = 1;

/// The least bytes of a report, a count and an agent.
const REPORT_BYTES: usize = 8;
const COUNT_BYTES: usize = 3;
const AGENT_BYTES: usize = 10;

/// The reports and counts of a bucket, which are sorted by agent.
pub(super) fn encode(counts: &BucketCounts) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(3 + counts.agents.len() * 28 + counts.late.len() * 22);
    bytes.push(VERSION);
    put_agents(&mut bytes, counts);
    put_late(&mut bytes, counts);
    bytes
}

/// Adds what [`encode`] wrote to the counts of a bucket, in place of the agents that the payload lists.
pub(super) fn decode(bytes: &[u8], counts: &mut BucketCounts) -> Result<(), Damage> {
    let mut reader = Reader::new(bytes);
    let [version] = reader.take()?;
    if version != VERSION {
        return Err(Damage::version(version, VERSION));
    }
    counts.agents.clear();
    counts.reports.clear();
    read_agents(&mut reader, counts)?;
    read_late(&mut reader, counts)?;
    reader.end()
}

fn put_agents(bytes: &mut Vec<u8>, counts: &BucketCounts) {
    put(bytes, Agents::of(counts).count() as u64);
    for (agent, reports, sums) in Agents::of(counts) {
        bytes.extend(agent.0.to_be_bytes());
        put(bytes, reports.len() as u64);
        for report in reports {
            put_report(bytes, counts.bucket, report);
        }
        put(bytes, sums.len() as u64);
        let mut previous = 0;
        for sum in sums {
            let service = sum.service.map_or(0, |service| u64::from(service.0) + 1);
            put(bytes, service - previous);
            put(bytes, sum.offered);
            put(bytes, sum.sampled);
            previous = service;
        }
    }
}

fn put_late(bytes: &mut Vec<u8>, counts: &BucketCounts) {
    put(bytes, counts.late.len() as u64);
    for report in &counts.late {
        bytes.extend(report.agent.0.to_be_bytes());
        put_report(bytes, counts.bucket, report);
    }
}

fn put_report(bytes: &mut Vec<u8>, bucket: Window, report: &AgentReport) {
    bytes.extend(report.epoch.to_be_bytes());
    put(bytes, report.sequence);
    put_signed(bytes, report.span.end.0.wrapping_sub(bucket.start.0));
    let length = report.span.milliseconds().cast_unsigned();
    put(bytes, length << 1 | u64::from(report.last));
    bytes.push(report.basis as u8);
}

fn read_agents(reader: &mut Reader<'_>, counts: &mut BucketCounts) -> Result<(), Damage> {
    let mut previous = None;
    for _ in 0..reader.count(AGENT_BYTES)? {
        let agent = AgentId(u64::from_be_bytes(reader.take()?));
        if previous.is_some_and(|previous| previous >= agent) {
            return Err(Damage::Unsorted);
        }
        previous = Some(agent);
        for _ in 0..reader.count(REPORT_BYTES)? {
            let report = read_report(reader, counts.bucket, agent)?;
            if counts.bucket.overlap_milliseconds(report.span) == 0 {
                return Err(Damage::OutOfRange);
            }
            counts.reports.push(report);
        }
        read_counts(reader, agent, &mut counts.agents)?;
    }
    Ok(())
}

fn read_counts(
    reader: &mut Reader<'_>,
    agent: AgentId,
    counts: &mut Vec<AgentCount>,
) -> Result<(), Damage> {
    let mut previous = None;
    for _ in 0..reader.count(COUNT_BYTES)? {
        let gap = reader.number()?;
        let service = match previous {
            None => gap,
            Some(_) if gap == 0 => return Err(Damage::Unsorted),
            Some(previous) => gap.checked_add(previous).ok_or(Damage::OutOfRange)?,
        };
        previous = Some(service);
        let id = service.checked_sub(1).map(u32::try_from).transpose();
        counts.push(AgentCount {
            agent,
            service: id.map_err(|_| Damage::OutOfRange)?.map(ServiceId),
            offered: reader.number()?,
            sampled: reader.number()?,
        });
    }
    Ok(())
}

fn read_late(reader: &mut Reader<'_>, counts: &mut BucketCounts) -> Result<(), Damage> {
    for _ in 0..reader.count(8 + REPORT_BYTES)? {
        let agent = AgentId(u64::from_be_bytes(reader.take()?));
        let report = read_report(reader, counts.bucket, agent)?;
        if report.span.end > counts.bucket.start {
            return Err(Damage::OutOfRange);
        }
        counts.late.push(report);
    }
    Ok(())
}

fn read_report(
    reader: &mut Reader<'_>,
    bucket: Window,
    agent: AgentId,
) -> Result<AgentReport, Damage> {
    let epoch = u32::from_be_bytes(reader.take()?);
    let sequence = reader.number()?;
    // Wraps around as when it was written, so that every end comes back.
    let end = bucket.start.0.wrapping_add(reader.signed()?);
    let length = reader.number()?;
    let start = end.checked_sub_unsigned(length >> 1);
    let start = start.ok_or(Damage::OutOfRange)?;
    let [basis] = reader.take()?;
    let basis = Basis::ALL.get(usize::from(basis));
    Ok(AgentReport {
        agent,
        epoch,
        sequence,
        span: Window {
            start: Timestamp(start),
            end: Timestamp(end),
        },
        last: length & 1 == 1,
        basis: *basis.ok_or(Damage::OutOfRange)?,
    })
}

/// The agents of a bucket in ascending order, each with its reports and its counts.
struct Agents<'a> {
    reports: &'a [AgentReport],
    counts: &'a [AgentCount],
}

impl<'a> Agents<'a> {
    fn of(counts: &'a BucketCounts) -> Self {
        Self {
            reports: &counts.reports,
            counts: &counts.agents,
        }
    }
}

impl<'a> Iterator for Agents<'a> {
    type Item = (AgentId, &'a [AgentReport], &'a [AgentCount]);

    fn next(&mut self) -> Option<Self::Item> {
        let reports = self.reports.first().map(|report| report.agent);
        let counts = self.counts.first().map(|count| count.agent);
        let agent = match (reports, counts) {
            (Some(one), Some(other)) => one.min(other),
            (one, other) => one.or(other)?,
        };
        let reports = self.reports.iter().take_while(|of| of.agent == agent);
        let (reports, later) = self.reports.split_at(reports.count());
        let counts = self.counts.iter().take_while(|of| of.agent == agent);
        let (counts, further) = self.counts.split_at(counts.count());
        (self.reports, self.counts) = (later, further);
        Some((agent, reports, counts))
    }
}
