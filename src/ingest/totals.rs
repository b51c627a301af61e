//! The part of a report that the metrics count, once the report is counted.

use super::report::Report;
use crate::allocation::{OVERFLOW_SERVICE, Timestamp};
use crate::names::{Names, OperationRow};
use crate::store::ResolvedReport;
use crate::telemetry::metrics::{CountBasis, Metrics, OverflowEntry};

/// A report's sums.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct ReportTotals {
    offered: u64,
    sampled: u64,
    /// Root requests in overflow entries of services.
    service_overflow: u64,
    /// Root requests in the fleet's overflow entry.
    fleet_overflow: u64,
    /// Root requests that were left out, because edges count them.
    left_out: u64,
    until: Timestamp,
}

impl ReportTotals {
    /// Sums a report. `rows` are the numbers of its operations, in the same order.
    pub fn of(report: &Report<'_>, rows: &[OperationRow]) -> Self {
        let mut totals = Self {
            offered: 0,
            sampled: 0,
            service_overflow: 0,
            fleet_overflow: 0,
            left_out: report.left_out,
            until: report.window.end,
        };
        for (counts, row) in report.operations().zip(rows) {
            add(&mut totals.offered, counts.offered);
            add(&mut totals.sampled, counts.sampled);
            if row.service == OVERFLOW_SERVICE {
                add(&mut totals.fleet_overflow, counts.offered);
            } else if row.overflow {
                add(&mut totals.service_overflow, counts.offered);
            }
        }
        totals
    }

    /// The sums of the same report after it got new numbers. More or less of it may be in overflow
    /// entries now.
    pub fn renumbered(self, report: &ResolvedReport, names: &Names) -> Self {
        let mut totals = Self {
            service_overflow: 0,
            fleet_overflow: 0,
            ..self
        };
        for counts in report.buckets.iter().flat_map(|bucket| &bucket.operations) {
            match names.row(counts.operation) {
                Some(row) if row.service == OVERFLOW_SERVICE => {
                    add(&mut totals.fleet_overflow, counts.offered);
                }
                Some(row) if row.overflow => add(&mut totals.service_overflow, counts.offered),
                _ => {}
            }
        }
        totals
    }

    /// Adds them to the metrics. The report is durable since `now`.
    pub fn count(self, metrics: &Metrics, now: Timestamp) {
        metrics.reported_offered.inc_by(self.offered);
        metrics.reported_sampled.inc_by(self.sampled);
        let overflow = |entry, requests| metrics.overflow.of(entry).inc_by(requests);
        let left_out = metrics.source_requests_left_out.of(CountBasis::Reports);
        left_out.inc_by(self.left_out);
        overflow(OverflowEntry::Service, self.service_overflow);
        overflow(OverflowEntry::Fleet, self.fleet_overflow);
        // An agent's clock may be ahead.
        let lag = now.0.saturating_sub(self.until.0).max(0) as f64 / 1000.0;
        metrics.ingest_lag.observe(lag);
    }
}

/// Saturates, although a report has too few entries to get there.
fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}
