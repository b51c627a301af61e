//! Sums the reports of a group commit into one delta per bucket.

use crate::allocation::{AgentCount, ServiceCount};
use crate::store::{Admission, BucketCounts, BucketOperation, ResolvedReport};

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
        .collect()
}

fn merge(parts: &[&BucketCounts]) -> BucketCounts {
    let mut reports = all(parts, |part| &part.reports);
    let mut late = all(parts, |part| &part.late);
    reports.sort_unstable();
    late.sort_unstable();
    BucketCounts {
        bucket: parts.first().map(|part| part.bucket).unwrap_or_default(),
        operations: merge_operations(parts),
        services: merge_services(parts),
        reports,
        agents: merge_agents(parts),
        late,
    }
}

/// One list of all parts.
fn all<T: Copy>(parts: &[&BucketCounts], list: fn(&BucketCounts) -> &Vec<T>) -> Vec<T> {
    let lists = parts.iter().flat_map(|part| list(part));
    lists.copied().collect()
}

fn merge_operations(parts: &[&BucketCounts]) -> Vec<BucketOperation> {
    let mut operations = all(parts, |part| &part.operations);
    operations.sort_unstable_by_key(|entry| entry.operation);
    operations.dedup_by(|next, kept| {
        let same = next.operation == kept.operation;
        if same {
            kept.offered = kept.offered.saturating_add(next.offered);
            kept.sampled = kept.sampled.saturating_add(next.sampled);
        }
        same
    });
    operations
}

fn merge_services(parts: &[&BucketCounts]) -> Vec<ServiceCount> {
    let mut services = all(parts, |part| &part.services);
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

fn merge_agents(parts: &[&BucketCounts]) -> Vec<AgentCount> {
    let mut agents = all(parts, |part| &part.agents);
    agents.sort_unstable_by_key(|entry| (entry.agent, entry.service));
    agents.dedup_by(|next, kept| {
        let same = (next.agent, next.service) == (kept.agent, kept.service);
        if same {
            kept.offered = kept.offered.saturating_add(next.offered);
            kept.sampled = kept.sampled.saturating_add(next.sampled);
        }
        same
    });
    agents
}
