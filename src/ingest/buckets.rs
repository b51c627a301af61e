//! Spreads a report's counts over the buckets that its window covers.
//!
//! Agents' windows are not aligned with Weir's. A count is assumed to be even over its window. So
//! each bucket gets a part of the count in proportion to its overlap with the window, in whole
//! requests that add up to the count exactly. If a boundary falls inside a request, the report's
//! identity decides which bucket gets it: without bias over many reports, and the same way each
//! time the report is sent.

use std::time::Duration;

use sha2::{Digest, Sha256};

use super::instances::ServiceInstances;
use super::report::Report;
use crate::allocation::{AgentCount, AgentId, AgentName, ServiceCount, Window};
use crate::names::OperationRow;
use crate::store::{BucketCounts, BucketOperation, Incarnation, ResolvedReport};

/// The number of an agent: a hash of its name.
pub(super) fn agent_id(agent: &AgentName) -> AgentId {
    let digest = Sha256::digest(agent.as_str().as_bytes());
    let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
    AgentId(u64::from_be_bytes(*first))
}

/// Spreads a report. `rows` are the numbers of its operations, in the same order. The instances in
/// `seen` are assumed to be there for the whole window. `names` is the incarnation of the numbers.
pub(super) fn spread(
    report: &Report<'_>,
    rows: &[OperationRow],
    seen: &[ServiceInstances],
    names: Incarnation,
    bucket: Duration,
) -> ResolvedReport {
    let agent = agent_id(&report.agent);
    let overlaps = overlaps(report.window, bucket);
    let mut buckets: Vec<BucketCounts> = overlaps
        .iter()
        .map(|overlap| BucketCounts {
            bucket: overlap.bucket,
            ..BucketCounts::default()
        })
        .collect();
    let mut offered_by_bucket = vec![0; overlaps.len()];
    for (index, (counts, row)) in report.operations().zip(rows).enumerate() {
        let mut phases = Phases::new(agent, report.sequence, index as u64);
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
            offered_by_bucket[slot] += offered;
            buckets[slot].operations.push(BucketOperation {
                operation: row.operation,
                offered,
                sampled,
            });
        }
    }
    for ((bucket, overlap), offered) in buckets.iter_mut().zip(&overlaps).zip(offered_by_bucket) {
        let covered_milliseconds = overlap.milliseconds;
        bucket.agents.push(AgentCount {
            agent,
            offered,
            covered_milliseconds,
        });
        bucket.services = seen.iter().map(|seen| count(seen, overlap)).collect();
    }
    ResolvedReport {
        agent: report.agent.clone(),
        epoch: report.epoch,
        sequence: report.sequence,
        names,
        buckets,
    }
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
    window: u128,
    phase: u128,
    given: u64,
}

impl Spread {
    fn new(count: u64, window: Window, phase: u64) -> Self {
        let length = window.milliseconds() as u128;
        Self {
            count,
            window: length,
            phase: u128::from(phase) % length,
            given: 0,
        }
    }

    /// The part of the count in the window's first `until` milliseconds that was not handed out
    /// yet.
    fn up_to(&mut self, until: i64) -> u64 {
        let share = (u128::from(self.count) * until as u128 + self.phase) / self.window;
        let piece = share as u64 - self.given;
        self.given += piece;
        piece
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
    use crate::allocation::Timestamp;

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
        };
        let now = "2026-11-20T09:01:00Z".parse().unwrap();
        let mut report = ReportBuilder::new(&head, limits, now).unwrap();
        report.service(b"idle"[..].into(), Number::Whole(3));
        let report = report.finish();
        let seen = [ServiceInstances {
            service: crate::allocation::ServiceId(7),
            instances: 3,
        }];
        let resolved = spread(&report, &[], &seen, Incarnation::EMPTY, limits.bucket);
        let milliseconds: Vec<_> = resolved
            .buckets
            .iter()
            .map(|bucket| bucket.services[0].instance_milliseconds)
            .collect();
        assert_eq!(milliseconds, [3 * 30_000, 3 * 40_000]);
    }

    proptest::proptest! {
        #[test]
        fn pieces_add_up_to_the_count(
            count in 0..1_000_000_000_000u64, phase: u64, cuts in proptest::collection::vec(1..10_000i64, 1..20),
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
