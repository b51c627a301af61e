//! Round trips, damage, and the bytes that must stay readable.

use std::collections::BTreeMap;

use proptest::prelude::*;
use uuid::Uuid;

use super::merge::sum;
use super::*;
use crate::allocation::{AgentCount, AgentId, AgentName, AgentReport, Timestamp};
use crate::store::UNKNOWN_SEQUENCE;

fn window(start: i64) -> Window {
    Window {
        start: Timestamp(start),
        end: Timestamp(start + 1000),
    }
}

prop_compose! {
    /// A report that ends up to 400 ms after the beginning of a bucket, or before it.
    fn sent(late: bool)(
        id in 0_u64..5,
        (epoch, sequence, last) in any::<(u32, u64, bool)>(),
        end in 1_i64..400,
        length in 1_i64..300_000,
    ) -> AgentReport {
        let end = if late { -end } else { end };
        AgentReport {
            agent: agent(id),
            epoch,
            sequence,
            span: Window { start: Timestamp(end - length), end: Timestamp(end) },
            last,
            basis: Default::default(),
        }
    }
}

fn agent(id: u64) -> AgentId {
    AgentId(id.wrapping_mul(u64::MAX / 5))
}

/// The same report, counted from an instant.
fn from(start: i64, report: AgentReport) -> AgentReport {
    let Window { start: begun, end } = report.span;
    AgentReport {
        span: Window {
            start: Timestamp(begun.0 + start),
            end: Timestamp(end.0 + start),
        },
        ..report
    }
}

prop_compose! {
    fn counts(starts: std::ops::Range<i64>)(
        start in starts,
        operations in prop::collection::vec((0_u32..40, any::<u32>(), any::<u32>()), 0..30),
        reports in prop::collection::vec(sent(false), 0..5),
        agents in prop::collection::vec(
            (0_u64..5, prop::option::of(0_u32..9), any::<u32>(), any::<u32>()), 0..9),
        late in prop::collection::vec(sent(true), 0..3),
        services in prop::collection::vec((0_u32..9, any::<u32>()), 0..5),
    ) -> BucketCounts {
        let start = start * 1000;
        BucketCounts {
            bucket: window(start),
            operations: operations.into_iter().map(|(id, offered, sampled)| BucketOperation {
                operation: OperationId(id * 100_000_000),
                offered: offered.into(),
                sampled: sampled.into(),
            }).collect(),
            reports: reports.into_iter().map(|report| from(start, report)).collect(),
            agents: agents.into_iter().map(|(id, service, offered, sampled)| AgentCount {
                agent: agent(id),
                service: service.map(|id| ServiceId(id * (u32::MAX / 8))),
                offered: offered.into(),
                sampled: sampled.into(),
            }).collect(),
            late: late.into_iter().map(|report| from(start, report)).collect(),
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
        state: None,
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

type Counted = BTreeMap<(Window, AgentId, Option<ServiceId>), (u64, u64)>;

fn agent_totals<'a>(parts: impl Iterator<Item = &'a BucketCounts>) -> Counted {
    let mut totals = Counted::new();
    for part in parts {
        for entry in &part.agents {
            let key = (part.bucket, entry.agent, entry.service);
            let total = totals.entry(key).or_default();
            total.0 += entry.offered;
            total.1 += entry.sampled;
        }
    }
    totals
}

/// All reports, on time or late, sorted.
fn reports<'a>(parts: impl Iterator<Item = &'a BucketCounts>) -> Vec<(Window, AgentReport)> {
    let of = |part: &BucketCounts| {
        let reports = part.reports.iter().chain(&part.late);
        let reports: Vec<_> = reports.map(|report| (part.bucket, *report)).collect();
        reports
    };
    let mut all: Vec<_> = parts.flat_map(of).collect();
    all.sort_unstable();
    all
}

fn totals<'a>(
    parts: impl Iterator<Item = &'a BucketCounts>,
) -> BTreeMap<(Window, OperationId), (u64, u64)> {
    let mut totals = BTreeMap::new();
    for part in parts {
        for entry in &part.operations {
            let total: &mut (u64, u64) = totals.entry((part.bucket, entry.operation)).or_default();
            total.0 += entry.offered;
            total.1 += entry.sampled;
        }
    }
    totals
}

const FORMATS: [WriteFormat; 2] = [WriteFormat::Previous, WriteFormat::Newest];

proptest! {
    #[test]
    fn summed_counts_come_back(parts in prop::collection::vec(counts(0..3), 0..6)) {
        let batch = [report(parts.clone())];
        let deltas = sum(&batch, &[Admission::Counted]);
        prop_assert!(deltas.is_sorted_by(|a, b| a.bucket < b.bucket));
        prop_assert_eq!(totals(deltas.iter()), totals(parts.iter()));
        prop_assert_eq!(instance_totals(deltas.iter()), instance_totals(parts.iter()));
        prop_assert_eq!(agent_totals(deltas.iter()), agent_totals(parts.iter()));
        prop_assert_eq!(reports(deltas.iter()), reports(parts.iter()));
        for delta in deltas {
            prop_assert_eq!(encode(&delta, WriteFormat::Newest).counts().unwrap(), delta);
        }
    }

    /// The format of the release before has one count of each agent, and what it covers.
    #[test]
    fn the_previous_format_keeps_counts_and_what_is_covered(part in counts(0..3)) {
        let delta = sum(&[report(vec![part])], &[Admission::Counted]).remove(0);
        let read = encode(&delta, WriteFormat::Previous).counts().unwrap();
        prop_assert_eq!(&read.operations, &delta.operations);
        prop_assert_eq!(&read.services, &delta.services);
        prop_assert_eq!(&read.late, &[]);
        for count in &read.agents {
            let of = delta.agents.iter().filter(|of| of.agent == count.agent);
            prop_assert_eq!(count.offered, of.map(|of| of.offered).sum::<u64>());
            let of = delta.reports.iter().filter(|of| of.agent == count.agent);
            let covered: i64 = of.map(|of| delta.bucket.overlap_milliseconds(of.span)).sum();
            let of = read.reports.iter().find(|of| of.agent == count.agent);
            prop_assert_eq!(of.map_or(0, |of| of.span.milliseconds()), covered.min(1000));
            prop_assert!(of.is_none_or(|of| of.span.end == delta.bucket.end));
            prop_assert!(of.is_none_or(|of| of.sequence == UNKNOWN_SEQUENCE));
        }
        let heard = delta.reports.iter().map(|of| of.agent);
        let heard = heard.chain(delta.agents.iter().map(|of| of.agent));
        let heard: std::collections::BTreeSet<_> = heard.collect();
        prop_assert!(read.agents.iter().map(|of| of.agent).eq(heard));
    }

    #[test]
    fn every_cut_is_refused(part in counts(0..1)) {
        for delta in deltas_in(&[report(vec![part])]) {
            for cell in CELLS {
                let Some(bytes) = cell(&mut delta.clone()).cloned() else { continue };
                let read = |bytes: &[u8]| {
                    let mut delta = delta.clone();
                    *cell(&mut delta).expect("it is there") = bytes.to_vec();
                    delta.counts()
                };
                for length in 0..bytes.len() {
                    prop_assert!(read(&bytes[..length]).is_err());
                }
                let longer = read(&[bytes, vec![0]].concat()).unwrap_err();
                prop_assert!(longer.to_string().contains(&Damage::Trailing.to_string()));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(
        mut payload in prop::collection::vec(any::<u8>(), 1..64),
        mut reports in prop::collection::vec(any::<u8>(), 1..64),
        version in OLDEST..=VERSION,
    ) {
        payload[0] = version;
        reports[0] = 1;
        let nothing = encode(&BucketCounts::default(), WriteFormat::Newest);
        check(&StoredDelta { bucket: window(0), payload, ..nothing.clone() })?;
        check(&StoredDelta { bucket: window(0), reports: Some(reports), ..nothing })?;
    }

    /// Bytes that are nearly right get further into the decoder than any others.
    #[test]
    fn damaged_bytes_are_read_or_refused(
        part in counts(0..1),
        at in any::<prop::sample::Index>(),
        bits in 1_u8..,
    ) {
        for delta in deltas_in(&[report(vec![part])]) {
            for cell in CELLS {
                let mut damaged = delta.clone();
                let Some(bytes) = cell(&mut damaged) else { continue };
                let at = at.index(bytes.len());
                bytes[at] ^= bits;
                check(&damaged)?;
            }
        }
    }
}

/// A cell of a delta, if it is there.
type Cell = fn(&mut StoredDelta) -> Option<&mut Vec<u8>>;

const CELLS: [Cell; 2] = [
    |delta| Some(&mut delta.payload),
    |delta| delta.reports.as_mut(),
];

fn deltas_in(batch: &[ResolvedReport]) -> Vec<StoredDelta> {
    let deltas = sum(batch, &[Admission::Counted]);
    let in_each = |delta: &BucketCounts| FORMATS.map(|format| encode(delta, format));
    deltas.iter().flat_map(in_each).collect()
}

/// Whatever is read is sorted, and its reports are of the bucket.
fn check(delta: &StoredDelta) -> Result<(), TestCaseError> {
    let bucket = delta.bucket;
    if let Ok(counts) = delta.counts() {
        prop_assert!(
            counts
                .operations
                .is_sorted_by(|a, b| a.operation < b.operation)
        );
        prop_assert!(counts.services.is_sorted_by(|a, b| a.service < b.service));
        prop_assert!(counts.reports.is_sorted_by_key(|report| report.agent));
        let key = |count: &AgentCount| (count.agent, count.service);
        prop_assert!(counts.agents.is_sorted_by(|a, b| key(a) < key(b)));
        let inside = |report: &AgentReport| bucket.overlap_milliseconds(report.span) > 0;
        prop_assert!(counts.reports.iter().all(inside));
        prop_assert!(
            counts
                .late
                .iter()
                .all(|report| report.span.end <= bucket.start)
        );
    }
    Ok(())
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
            service: None,
            offered: 1000,
            sampled: 0,
        }],
        reports: vec![AgentReport {
            agent: AgentId(7),
            epoch: 0,
            sequence: UNKNOWN_SEQUENCE,
            span: Window {
                start: Timestamp(400),
                end: Timestamp(1000),
            },
            last: false,
            basis: Default::default(),
        }],
        ..BucketCounts::default()
    };
    let first = [
        &[1, 1, 0xac, 2, 0xe8, 7, 1, 1][..],
        &[0, 0, 0, 0, 0, 0, 0, 7, 0xe8, 7, 0xd8, 4],
    ];
    assert_eq!(stored(first.concat(), None).counts().unwrap(), counts);
    counts.services.push(ServiceCount {
        service: ServiceId(5),
        instance_milliseconds: 1800,
    });
    let mut second = [first.concat(), vec![1, 5, 0x88, 14]].concat();
    second[0] = 2;
    let second = stored(second, None);
    assert_eq!(second.counts().unwrap(), counts);
    assert_eq!(encode(&counts, WriteFormat::Previous), second);
    counts.agents[0].service = Some(ServiceId(5));
    counts.agents[0].sampled = 1;
    let whole = AgentReport {
        epoch: 0x0102_0304,
        sequence: 300,
        last: true,
        ..counts.reports[0]
    };
    counts.reports = vec![whole];
    counts.late = vec![from(-2000, whole)];
    let payload = vec![2, 1, 0xac, 2, 0xe8, 7, 1, 0, 1, 5, 0x88, 14];
    let reports = [
        &[
            1, 1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 1, 2, 3, 4, 0xac, 2, 0xd0, 15, 0xb1, 9, 0,
        ][..],
        &[1, 6, 0xe8, 7, 1],
        &[
            1, 0, 0, 0, 0, 0, 0, 0, 7, 1, 2, 3, 4, 0xac, 2, 0xcf, 15, 0xb1, 9, 0,
        ],
    ];
    let third = stored(payload, Some(reports.concat()));
    assert_eq!(encode(&counts, WriteFormat::Newest), third);
    assert_eq!(third.counts().unwrap(), counts);
}

fn stored(payload: Vec<u8>, reports: Option<Vec<u8>>) -> StoredDelta {
    StoredDelta {
        bucket: window(0),
        payload,
        reports,
    }
}

/// An agent that reports one service every ten seconds takes little of the database.
#[test]
fn a_report_takes_few_bytes() {
    let report = AgentReport {
        agent: AgentId(1 << 63),
        epoch: u32::MAX,
        sequence: 100_000,
        span: Window {
            start: Timestamp(50_000),
            end: Timestamp(60_000),
        },
        last: false,
        basis: Default::default(),
    };
    let counts = BucketCounts {
        bucket: Window {
            start: Timestamp(0),
            end: Timestamp(60_000),
        },
        reports: vec![report],
        agents: vec![AgentCount {
            agent: report.agent,
            service: Some(ServiceId(100)),
            offered: 10_000,
            sampled: 100,
        }],
        ..BucketCounts::default()
    };
    let length = |counts: &BucketCounts| {
        let delta = encode(counts, WriteFormat::Newest);
        delta.payload.len() + delta.reports.map_or(0, |reports| reports.len())
    };
    assert_eq!(length(&counts) - length(&BucketCounts::default()), 28);
}

/// The previous format has no late reports, so a delta of nothing else is not written.
#[test]
fn a_delta_that_says_nothing_is_not_written() {
    let mut bucket = BucketCounts {
        bucket: window(2000),
        ..BucketCounts::default()
    };
    let counted = [Admission::Counted];
    for format in FORMATS {
        assert_eq!(
            deltas(&[report(vec![bucket.clone()])], &counted, format),
            []
        );
    }
    bucket.late.push(AgentReport {
        agent: AgentId(7),
        epoch: 1,
        sequence: 2,
        span: window(0),
        last: false,
        basis: Default::default(),
    });
    let batch = [report(vec![bucket.clone()])];
    assert_eq!(deltas(&batch, &counted, WriteFormat::Previous), []);
    let written = deltas(&batch, &counted, WriteFormat::Newest);
    assert_eq!(written.len(), 1);
    assert_eq!(written[0].counts().unwrap(), bucket);
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
