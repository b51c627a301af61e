//! Spreads a report's counts over the buckets that its window covers.
//!
//! Agents' windows are not aligned with Weir's. A count is assumed to be even over its window. So
//! each bucket gets a part of the count in proportion to its overlap with the window, in whole
//! requests that add up to the count exactly. If a boundary falls inside a request, the report's
//! identity decides which bucket gets it: without bias over many reports, and the same way each
//! time the report is sent.

use std::time::Duration;

use super::instances::ServiceInstances;
use super::report::Report;
use crate::allocation::{
    AgentCount, AgentId, AgentReport, ServiceCount, ServiceId, Timestamp, Window,
};
use crate::names::{OperationRow, agent_id};
use crate::store::{BucketCounts, BucketOperation, Incarnation, ResolvedReport};

/// For this many buckets, room is made for every operation.
const FEW_BUCKETS: usize = 2;

/// The numbers of a report's names.
#[derive(Clone, Copy)]
pub(super) struct Numbers<'a> {
    /// Those of its operations, in the same order.
    pub rows: &'a [OperationRow],
    /// Those of its services, and their instances, which are assumed to be there for the whole
    /// window.
    pub seen: &'a [ServiceInstances],
    /// The incarnation in which they were found.
    pub names: Incarnation,
}

/// Spreads a report that arrives at `now`.
pub(super) fn spread(
    report: &Report<'_>,
    numbers: Numbers<'_>,
    bucket: Duration,
    now: Timestamp,
) -> ResolvedReport {
    let sent = sent(report);
    let overlaps = overlaps(report.window, bucket);
    // In a few buckets, nearly every operation has counts. In many, most have none in some of them, and
    // the room would be wasted while the report waits.
    let room = match overlaps.len() {
        ..=FEW_BUCKETS => numbers.rows.len(),
        _ => 0,
    };
    let mut buckets: Vec<BucketCounts> = overlaps
        .iter()
        .map(|overlap| BucketCounts {
            bucket: overlap.bucket,
            services: numbers
                .seen
                .iter()
                .map(|seen| count(seen, overlap))
                .collect(),
            operations: Vec::with_capacity(room),
            reports: vec![sent],
            ..BucketCounts::default()
        })
        .collect();
    let mut sums = vec![AgentSums::new(sent.agent); overlaps.len()];
    for (index, (counts, row)) in report.operations().zip(numbers.rows).enumerate() {
        let mut phases = Phases::new(sent.agent, report.sequence, index as u64);
        let mut kept = Spread::new(counts.sampled, report.window, phases.next());
        let mut dropped = Spread::new(
            counts.offered - counts.sampled,
            report.window,
            phases.next(),
        );
        for (slot, overlap) in overlaps.iter().enumerate() {
            let sampled = kept.up_to(overlap.until);
            let offered = sampled + dropped.up_to(overlap.until);
            if offered == 0 {
                continue;
            }
            sums[slot].add(row.service, offered, sampled);
            buckets[slot].operations.push(BucketOperation {
                operation: row.operation,
                offered,
                sampled,
            });
        }
    }
    for (bucket, sums) in buckets.iter_mut().zip(sums) {
        bucket.agents = sums.counts();
    }
    buckets.extend(late(sent, bucket, now));
    ResolvedReport {
        agent: report.agent.clone(),
        epoch: report.epoch,
        sequence: report.sequence,
        names: numbers.names,
        buckets,
        state: None,
    }
}

/// What the report says of its agent.
fn sent(report: &Report<'_>) -> AgentReport {
    AgentReport {
        agent: agent_id(&report.agent),
        epoch: report.epoch.as_fields().0,
        sequence: report.sequence,
        span: report.window,
        last: report.last,
        basis: report.basis,
    }
}

/// What a report adds to the bucket in which it arrives, if it ended before the bucket that precedes
/// that one.
fn late(sent: AgentReport, bucket: Duration, now: Timestamp) -> Option<BucketCounts> {
    let length = bucket.as_millis() as i64;
    let arrived = Window::aligned(now, length);
    let is_late = sent.span.end.0 <= arrived.start.0.saturating_sub(length);
    is_late.then(|| BucketCounts {
        bucket: arrived,
        late: vec![sent],
        ..BucketCounts::default()
    })
}

/// Sums an agent's counts by service.
#[derive(Debug, Clone)]
pub(super) struct AgentSums {
    agent: AgentId,
    counts: Vec<AgentCount>,
}

impl AgentSums {
    /// No counts.
    pub fn new(agent: AgentId) -> Self {
        Self {
            agent,
            counts: Vec::new(),
        }
    }

    /// Adds an operation's counts. Those of a service mostly come one after the other.
    pub fn add(&mut self, service: ServiceId, offered: u64, sampled: u64) {
        let next = AgentCount {
            agent: self.agent,
            service: Some(service),
            offered,
            sampled,
        };
        match self.counts.last_mut() {
            Some(last) if last.service == next.service => add(last, next),
            _ => self.counts.push(next),
        }
    }

    /// The sums, sorted by service.
    pub fn counts(mut self) -> Vec<AgentCount> {
        self.counts.sort_unstable_by_key(|count| count.service);
        self.counts.dedup_by(|next, kept| {
            let same = next.service == kept.service;
            if same {
                add(kept, *next);
            }
            same
        });
        self.counts
    }
}

/// Saturates, although a report is too short to get there.
fn add(sum: &mut AgentCount, more: AgentCount) {
    sum.offered = sum.offered.saturating_add(more.offered);
    sum.sampled = sum.sampled.saturating_add(more.sampled);
}

/// A service's instances in a bucket.
fn count(seen: &ServiceInstances, overlap: &Overlap) -> ServiceCount {
    ServiceCount {
        service: seen.service,
        instance_milliseconds: u64::from(seen.instances) * overlap.milliseconds.cast_unsigned(),
    }
}

/// A bucket's part of a window.
struct Overlap {
    bucket: Window,
    /// How much of the window is in the bucket.
    milliseconds: i64,
    /// How much of the window is in this bucket and the earlier ones.
    until: i64,
}

fn overlaps(window: Window, bucket: Duration) -> Vec<Overlap> {
    let length = bucket.as_millis() as i64;
    let mut found = Vec::new();
    let mut at = window.start;
    let mut until = 0;
    while at < window.end {
        let bucket = Window::aligned(at, length);
        let milliseconds = bucket.overlap_milliseconds(window);
        until += milliseconds;
        found.push(Overlap {
            bucket,
            milliseconds,
            until,
        });
        at = bucket.end;
    }
    found
}

/// Hands out a count along its window, piece by piece.
struct Spread {
    count: u64,
    /// The window's length in milliseconds.
    window: u64,
    phase: u64,
    given: u64,
}

impl Spread {
    fn new(count: u64, window: Window, phase: u64) -> Self {
        let length = window.milliseconds().cast_unsigned();
        Self {
            count,
            window: length,
            phase: phase % length,
            given: 0,
        }
    }

    /// The part of the count in the window's first `until` milliseconds that was not handed out
    /// yet.
    fn up_to(&mut self, until: i64) -> u64 {
        let share = self.share(until.cast_unsigned());
        let piece = share - self.given;
        self.given = share;
        piece
    }

    /// `(count * until + phase) / window`, with 128 bits only where it must.
    fn share(&self, until: u64) -> u64 {
        if until == self.window {
            // The phase is below the window.
            return self.count;
        }
        let product = self.count.checked_mul(until);
        match product.and_then(|product| product.checked_add(self.phase)) {
            Some(sum) => sum / self.window,
            None => {
                let product = u128::from(self.count) * u128::from(until);
                ((product + u128::from(self.phase)) / u128::from(self.window)) as u64
            }
        }
    }
}

/// Evenly distributed numbers that depend only on the report: SplitMix64.
struct Phases(u64);

impl Phases {
    fn new(agent: AgentId, sequence: u64, operation: u64) -> Self {
        Self(agent.0 ^ sequence.rotate_left(32) ^ operation.wrapping_mul(0x2545_F491_4F6C_DD1D))
    }

    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ (self.0 >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ (mixed >> 31)
    }
}

#[cfg(test)]
mod tests {
    use super::super::{Head, Number, ReportBuilder, ReportLimits};
    use super::*;
    fn window(start: i64, end: i64) -> Window {
        Window {
            start: Timestamp(start),
            end: Timestamp(end),
        }
    }

    #[test]
    fn a_window_is_cut_at_the_buckets_ends() {
        let parts = overlaps(window(55_000, 125_000), Duration::from_secs(60));
        let cut: Vec<_> = parts
            .iter()
            .map(|p| (p.bucket.start.0, p.milliseconds))
            .collect();
        assert_eq!(cut, [(0, 5_000), (60_000, 60_000), (120_000, 5_000)]);
    }

    #[test]
    fn instances_are_seen_all_the_window_long() {
        let limits = ReportLimits {
            bucket: Duration::from_secs(60),
            age: Duration::from_secs(3600),
        };
        let head = Head {
            agent: "a".into(),
            epoch: uuid::Uuid::nil(),
            sequence: 1,
            window_start: "2026-11-20T08:59:30Z".parse().unwrap(),
            window_seconds: 70.0,
            last: false,
        };
        let now = "2026-11-20T09:01:00Z".parse().unwrap();
        let mut report = ReportBuilder::new(&head, limits, now).unwrap();
        report.service(std::borrow::Cow::Borrowed("idle"), Number::Whole(3));
        let report = report.finish();
        let seen = [ServiceInstances {
            service: crate::allocation::ServiceId(7),
            instances: 3,
        }];
        let numbers = Numbers {
            rows: &[],
            seen: &seen,
            names: Incarnation::EMPTY,
        };
        let resolved = spread(&report, numbers, limits.bucket, report.window.end);
        let milliseconds: Vec<_> = resolved
            .buckets
            .iter()
            .map(|bucket| bucket.services[0].instance_milliseconds)
            .collect();
        assert_eq!(milliseconds, [3 * 30_000, 3 * 40_000]);
    }

    #[test]
    fn a_report_is_noted_where_it_arrives_once_the_bucket_before_is_past_it() {
        let sent = AgentReport {
            agent: AgentId(7),
            epoch: 1,
            sequence: 3,
            span: window(50_000, 60_000),
            last: true,
            basis: Default::default(),
        };
        let minute = Duration::from_secs(60);
        assert_eq!(late(sent, minute, Timestamp(61_000)), None);
        assert_eq!(late(sent, minute, Timestamp(119_999)), None);
        let noted = late(sent, minute, Timestamp(120_000)).expect("is late");
        assert_eq!(noted.bucket, window(120_000, 180_000));
        assert_eq!(noted.late, [sent]);
    }

    #[test]
    fn counts_of_a_service_in_several_places_add_up() {
        let mut sums = AgentSums::new(AgentId(7));
        for (service, offered) in [(2, 10), (2, 20), (1, 5), (2, 30)] {
            sums.add(ServiceId(service), offered, 1);
        }
        let counts = sums.counts();
        let counts = counts.iter().map(|c| (c.service, c.offered, c.sampled));
        let summed = [(Some(ServiceId(1)), 5, 1), (Some(ServiceId(2)), 60, 3)];
        assert!(counts.eq(summed));
    }

    proptest::proptest! {
        #[test]
        fn pieces_add_up_to_the_count(
            count in proptest::prop_oneof![0..1_000_000_000_000u64, 0..u64::MAX], phase: u64, cuts in proptest::collection::vec(1..10_000i64, 1..20),
        ) {
            let length: i64 = cuts.iter().sum();
            let mut spread = Spread::new(count, window(0, length), phase);
            let mut until = 0;
            let mut sum = 0;
            for cut in cuts {
                until += cut;
                let piece = spread.up_to(until);
                let even = count as f64 * cut as f64 / length as f64;
                proptest::prop_assert!((piece as f64 - even).abs() <= 1.0 + even * 1e-9);
                sum += piece;
            }
            proptest::prop_assert_eq!(sum, count);
        }
    }

    #[test]
    fn a_single_request_goes_to_either_side_without_bias() {
        let first: u64 = (0..10_000)
            .map(|sequence| {
                let phase = Phases::new(AgentId(7), sequence, 0).next();
                Spread::new(1, window(0, 10_000), phase).up_to(3_000)
            })
            .sum();
        // Binomial(10,000, 0.3): 3,000 ± 5 standard deviations of 46.
        assert!((2_770..=3_230).contains(&first), "{first}");
    }
}
