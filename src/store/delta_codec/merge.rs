//! Sums the reports of a group commit into one delta per bucket.

use std::borrow::Cow;
use std::cmp::Ordering;

use crate::allocation::{AgentCount, AgentId, OperationId, ServiceCount, ServiceId};
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
        operations: merge_lists(parts.iter().map(|part| &*part.operations)),
        services: summed(all(parts, |part| &part.services)),
        reports,
        agents: summed(all(parts, |part| &part.agents)),
        late,
    }
}

/// One list of all parts.
fn all<T: Copy>(parts: &[&BucketCounts], list: fn(&BucketCounts) -> &Vec<T>) -> Vec<T> {
    let lists = parts.iter().flat_map(|part| list(part));
    lists.copied().collect()
}

/// Counts that add up if they have the same key.
trait Counts: Copy {
    type Key: Ord;

    fn key(&self) -> Self::Key;

    fn add(&mut self, more: &Self);
}

impl Counts for BucketOperation {
    type Key = OperationId;

    fn key(&self) -> OperationId {
        self.operation
    }

    fn add(&mut self, more: &Self) {
        self.offered = self.offered.saturating_add(more.offered);
        self.sampled = self.sampled.saturating_add(more.sampled);
    }
}

impl Counts for ServiceCount {
    type Key = ServiceId;

    fn key(&self) -> ServiceId {
        self.service
    }

    fn add(&mut self, more: &Self) {
        let both = self.instance_milliseconds;
        self.instance_milliseconds = both.saturating_add(more.instance_milliseconds);
    }
}

impl Counts for AgentCount {
    type Key = (AgentId, Option<ServiceId>);

    fn key(&self) -> Self::Key {
        (self.agent, self.service)
    }

    fn add(&mut self, more: &Self) {
        self.offered = self.offered.saturating_add(more.offered);
        self.sampled = self.sampled.saturating_add(more.sampled);
    }
}

/// Counts in ascending order of keys, each once.
fn summed<T: Counts>(mut counts: Vec<T>) -> Vec<T> {
    counts.sort_unstable_by_key(T::key);
    counts.dedup_by(|next, kept| {
        let same = next.key() == kept.key();
        if same {
            kept.add(next);
        }
        same
    });
    counts
}

/// The sum of lists, in ascending order of keys, each once.
///
/// An agent's operations mostly come in ascending order, and reports of one service have the same ones.
/// So neighbours by their first key are merged, and again, until one list is left. That takes a fraction
/// of the time of sorting all counts.
fn merge_lists<'a, T: Counts + 'a>(lists: impl Iterator<Item = &'a [T]>) -> Vec<T> {
    let mut lists: Vec<Cow<'a, [T]>> = lists.filter(|list| !list.is_empty()).map(rising).collect();
    lists.sort_by_key(|list| list.first().map(T::key));
    while lists.len() > 1 {
        let mut rest = lists.into_iter();
        let mut merged = Vec::with_capacity(rest.len().div_ceil(2));
        while let Some(one) = rest.next() {
            merged.push(match rest.next() {
                Some(other) => Cow::Owned(merge_two(&one, &other)),
                None => one,
            });
        }
        lists = merged;
    }
    lists.pop().unwrap_or_default().into_owned()
}

/// A list in ascending order of keys, each once.
fn rising<T: Counts>(list: &[T]) -> Cow<'_, [T]> {
    if list.is_sorted_by(|one, next| one.key() < next.key()) {
        Cow::Borrowed(list)
    } else {
        Cow::Owned(summed(list.to_vec()))
    }
}

/// The sum of two lists, both in ascending order of keys.
fn merge_two<T: Counts>(mut one: &[T], mut other: &[T]) -> Vec<T> {
    let mut sum = Vec::with_capacity(one.len() + other.len());
    while let ([first, rest @ ..], [second, further @ ..]) = (one, other) {
        let mut next = *first;
        match first.key().cmp(&second.key()) {
            Ordering::Less => one = rest,
            Ordering::Greater => (next, other) = (*second, further),
            Ordering::Equal => {
                next.add(second);
                (one, other) = (rest, further);
            }
        }
        sum.push(next);
    }
    sum.extend_from_slice(one);
    sum.extend_from_slice(other);
    sum
}

#[cfg(test)]
mod tests {
    use std::collections::BTreeMap;

    use proptest::prelude::*;

    use super::*;

    proptest! {
        /// Compared with a map that adds up count by count.
        #[test]
        fn lists_in_any_order_add_up(
            lists in prop::collection::vec(
                prop::collection::vec((0..20_u32, any::<u64>(), 0..10_u64), 0..12), 0..12),
        ) {
            let lists: Vec<Vec<BucketOperation>> = lists
                .into_iter()
                .map(|list| list.into_iter().map(counts).collect())
                .collect();
            let mut expected: BTreeMap<OperationId, BucketOperation> = BTreeMap::new();
            for counts in lists.iter().flatten() {
                let sum = expected.entry(counts.operation);
                sum.and_modify(|sum| sum.add(counts)).or_insert(*counts);
            }
            let merged = merge_lists(lists.iter().map(Vec::as_slice));
            prop_assert_eq!(merged, expected.into_values().collect::<Vec<_>>());
        }
    }

    fn counts((operation, offered, sampled): (u32, u64, u64)) -> BucketOperation {
        BucketOperation {
            operation: OperationId(operation),
            offered,
            sampled,
        }
    }
}
