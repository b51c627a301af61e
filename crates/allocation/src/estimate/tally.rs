//! Brings a window's counts into the one order that all later steps rely on.

use std::borrow::Cow;

use crate::{OperationCount, OperationId, ServiceCount, WindowCounts};

/// The counts of a window: each key once, sorted, without empty entries.
///
/// Counts that already are in this order are borrowed: a million of them take 31 MiB a window.
#[derive(Debug)]
pub(crate) struct SortedCounts<'a> {
    /// The window's length in seconds.
    pub seconds: f64,
    /// The window's length in milliseconds.
    pub milliseconds: i64,
    /// Operations with at least one root request, by id.
    pub operations: Cow<'a, [OperationCount]>,
    /// Services whose instances were heard, by id.
    pub services: Vec<ServiceCount>,
    /// Root requests before sampling, over all operations.
    pub offered: f64,
    /// Root requests kept, over all operations.
    pub sampled: f64,
}

impl<'a> SortedCounts<'a> {
    /// Sorts the counts and adds up repeated keys, without retired operations (sorted by id).
    pub(crate) fn of(counts: &'a WindowCounts, retired: &[OperationId]) -> Self {
        let operations = if is_sorted(&counts.operations, retired) {
            Cow::Borrowed(&counts.operations[..])
        } else {
            Cow::Owned(sorted(&counts.operations, retired))
        };
        Self {
            seconds: counts.window.seconds(),
            milliseconds: counts.window.milliseconds(),
            offered: total(operations.iter().map(|count| count.offered)),
            sampled: total(operations.iter().map(|count| count.sampled)),
            operations,
            services: services(counts),
        }
    }

    /// The offered rate that the counts themselves show, in root requests per second.
    pub(crate) fn offered_per_second(&self) -> f64 {
        self.per_second(self.offered)
    }

    /// A count of this window as a rate; 0 for a window without length.
    pub(crate) fn per_second(&self, count: f64) -> f64 {
        if self.seconds > 0.0 {
            count / self.seconds
        } else {
            0.0
        }
    }
}

/// Whether counts are already as [`sorted`] returns them.
fn is_sorted(counts: &[OperationCount], retired: &[OperationId]) -> bool {
    let sound = |count: &OperationCount| count.offered > 0 && count.sampled <= count.offered;
    let counted = |id: &OperationId| counts.binary_search_by_key(id, |count| count.operation);
    counts.iter().all(sound)
        && counts.is_sorted_by(|one, next| one.operation < next.operation)
        && retired.iter().all(|id| counted(id).is_err())
}

fn sorted(counts: &[OperationCount], retired: &[OperationId]) -> Vec<OperationCount> {
    let mut list: Vec<OperationCount> = counts
        .iter()
        .filter(|count| retired.binary_search(&count.operation).is_err())
        .copied()
        .collect();
    list.sort_unstable();
    list.dedup_by(|next, first| {
        let same = next.operation == first.operation;
        if same {
            first.offered = first.offered.saturating_add(next.offered);
            first.sampled = first.sampled.saturating_add(next.sampled);
        }
        same
    });
    list.retain(|count| count.offered > 0);
    for count in &mut list {
        count.sampled = count.sampled.min(count.offered);
    }
    list
}

fn services(counts: &WindowCounts) -> Vec<ServiceCount> {
    let mut list = counts.services.clone();
    list.sort_unstable();
    list.dedup_by(|next, first| {
        let same = next.service == first.service;
        if same {
            first.instance_milliseconds = first
                .instance_milliseconds
                .saturating_add(next.instance_milliseconds);
        }
        same
    });
    list
}

/// Sums counts in integers wide enough that no order and no fleet overflows them.
fn total(counts: impl Iterator<Item = u64>) -> f64 {
    counts.map(u128::from).sum::<u128>() as f64
}
