//! Brings a window's counts into the one order that all later steps rely on.

use crate::{OperationCount, OperationId, ServiceCount, WindowCounts};

/// The counts of a window: each key once, sorted, without empty entries.
#[derive(Debug)]
pub(crate) struct SortedCounts {
    /// The window's length in seconds.
    pub seconds: f64,
    /// The window's length in milliseconds.
    pub milliseconds: i64,
    /// Operations with at least one root request, by id.
    pub operations: Vec<OperationCount>,
    /// Services whose instances were heard, by id.
    pub services: Vec<ServiceCount>,
    /// Root requests before sampling, over all operations.
    pub offered: f64,
    /// Root requests kept, over all operations.
    pub sampled: f64,
}

impl SortedCounts {
    /// Sorts the counts and adds up repeated keys, without retired operations (sorted by id).
    pub(crate) fn of(counts: &WindowCounts, retired: &[OperationId]) -> Self {
        let operations = operations(counts, retired);
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

fn operations(counts: &WindowCounts, retired: &[OperationId]) -> Vec<OperationCount> {
    let mut list: Vec<OperationCount> = counts
        .operations
        .iter()
        .filter(|count| count.offered > 0)
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
