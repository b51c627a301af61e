//! Sums the deltas of a window.

use std::collections::HashMap;

use crate::allocation::{
    AgentCount, AgentId, AgentReport, OVERFLOW_SERVICE, OperationCount, OperationId, ServiceCount,
    ServiceId, Timestamp, Window, WindowCounts,
};
use crate::names::{Names, OperationRow};
use crate::store::{BucketCounts, BucketOperation, UNKNOWN_SEQUENCE};

/// The sums of a window's deltas, by number.
pub(in crate::jobs) struct WindowSums {
    pub(super) window: Window,
    operations: Summed<BucketOperation>,
    instance_milliseconds: HashMap<ServiceId, u64>,
    reports: Vec<AgentReport>,
    agents: Summed<AgentCount>,
    late: Vec<AgentReport>,
}

impl WindowSums {
    pub(super) fn new(window: Window) -> Self {
        Self {
            window,
            operations: Summed::default(),
            instance_milliseconds: HashMap::new(),
            reports: Vec::new(),
            agents: Summed::default(),
            late: Vec::new(),
        }
    }

    pub(super) fn add(&mut self, delta: &BucketCounts) {
        self.operations.extend(&delta.operations);
        self.agents.extend(&delta.agents);
        self.reports.extend_from_slice(&delta.reports);
        self.late.extend_from_slice(&delta.late);
        for seen in &delta.services {
            let sum = self.instance_milliseconds.entry(seen.service).or_default();
            *sum = sum.saturating_add(seen.instance_milliseconds);
        }
    }

    /// Sorts the counts, and adds up what occurs more than once.
    pub(super) fn sum(&mut self) {
        self.operations.sum();
        self.agents.sum();
        join_unnumbered(self.window, &mut self.reports);
    }

    /// The window's counts. An operation whose name was removed is counted in the fleet's overflow
    /// entry. A service whose name was removed is left out, because it is not served, and so are the
    /// agents' counts of it. Polls are read elsewhere.
    pub(in crate::jobs) fn counts(self, names: &Names) -> WindowCounts {
        let mut strangers = OperationCount {
            operation: OperationRow::OVERFLOW.operation,
            service: OperationRow::OVERFLOW.service,
            overflow: OperationRow::OVERFLOW.overflow,
            offered: 0,
            sampled: 0,
        };
        let mut found = false;
        let mut operations = Vec::with_capacity(self.operations.entries.len() + 1);
        for counted in self.operations.entries {
            let row = names.row(counted.operation);
            match row.filter(|row| row.operation != strangers.operation) {
                Some(row) => operations.push(OperationCount {
                    operation: row.operation,
                    service: row.service,
                    overflow: row.overflow,
                    offered: counted.offered,
                    sampled: counted.sampled,
                }),
                None => {
                    found = true;
                    strangers.offered = strangers.offered.saturating_add(counted.offered);
                    strangers.sampled = strangers.sampled.saturating_add(counted.sampled);
                }
            }
        }
        if found {
            operations.push(strangers);
        }
        let instances = self.instance_milliseconds.into_iter();
        let mut services: Vec<_> = instances
            .map(|(service, instance_milliseconds)| ServiceCount {
                service,
                instance_milliseconds,
            })
            .collect();
        let mut agents = self.agents.entries;
        let served = |id: ServiceId| id == OVERFLOW_SERVICE || names.has_service(id);
        agents.retain(|counted| counted.service.is_none_or(served));
        operations.sort_unstable();
        services.sort_unstable();
        WindowCounts {
            window: self.window,
            operations,
            services,
            reports: self.reports,
            agents,
            late: self.late,
            polls: None,
        }
    }
}

/// Entries that add up by their keys. Deltas are sorted, and a stable sort merges sorted runs. That is
/// several times faster than looking up each key in a table larger than the caches.
struct Summed<T> {
    entries: Vec<T>,
    /// How many at the front are sorted and distinct.
    distinct: usize,
}

impl<T> Default for Summed<T> {
    fn default() -> Self {
        Self {
            entries: Vec::new(),
            distinct: 0,
        }
    }
}

/// An entry that adds up with others of its key.
trait Sum: Copy {
    type Key: Ord;

    fn key(&self) -> Self::Key;

    fn counts(&mut self) -> [&mut u64; 2];
}

impl Sum for BucketOperation {
    type Key = OperationId;

    fn key(&self) -> OperationId {
        self.operation
    }

    fn counts(&mut self) -> [&mut u64; 2] {
        [&mut self.offered, &mut self.sampled]
    }
}

impl Sum for AgentCount {
    type Key = (AgentId, Option<ServiceId>);

    fn key(&self) -> Self::Key {
        (self.agent, self.service)
    }

    fn counts(&mut self) -> [&mut u64; 2] {
        [&mut self.offered, &mut self.sampled]
    }
}

impl<T: Sum> Summed<T> {
    /// A few entries more are not worth another sum.
    const FEW: usize = 1 << 16;

    /// Adds sorted entries. Sums when their number has doubled: no entry is sorted often, and little
    /// memory is needed.
    fn extend(&mut self, entries: &[T]) {
        self.entries.extend_from_slice(entries);
        if self.entries.len() > 2 * self.distinct + Self::FEW {
            self.sum();
        }
    }

    fn sum(&mut self) {
        self.entries.sort_by_key(T::key);
        self.entries.dedup_by(|next, held| {
            let same = next.key() == held.key();
            if same {
                for (held, next) in held.counts().into_iter().zip(next.counts()) {
                    *held = held.saturating_add(*next);
                }
            }
            same
        });
        self.distinct = self.entries.len();
    }
}

/// Joins the reports of each agent whose sequences were not stored: in the format of the release
/// before, a delta only says how much of the window an agent's reports cover. Together they cover the
/// sum, at most the window.
fn join_unnumbered(window: Window, reports: &mut Vec<AgentReport>) {
    reports.sort_unstable();
    reports.dedup_by(|next, held| {
        let same = held.agent == next.agent && held.sequence == UNKNOWN_SEQUENCE;
        let same = same && next.sequence == UNKNOWN_SEQUENCE;
        if same {
            let longer = held.span.start.0.saturating_sub(next.span.milliseconds());
            held.span.start = Timestamp(longer.max(window.start.0).min(held.span.start.0));
        }
        same
    });
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn deltas_add_up_and_strangers_are_counted_in_the_overflow() {
        let window = Window {
            start: Timestamp(0),
            end: Timestamp(60_000),
        };
        let delta = |offered| BucketCounts {
            bucket: window,
            operations: vec![BucketOperation {
                operation: OperationId(77),
                offered,
                sampled: 1,
            }],
            services: vec![ServiceCount {
                service: ServiceId(4),
                instance_milliseconds: 3 * 40_000,
            }],
            agents: vec![
                AgentCount {
                    agent: AgentId(1),
                    service: None,
                    offered,
                    sampled: 1,
                },
                AgentCount {
                    agent: AgentId(1),
                    service: Some(ServiceId(4)),
                    offered,
                    sampled: 1,
                },
            ],
            ..BucketCounts::default()
        };
        let mut sums = WindowSums::new(window);
        sums.add(&delta(5));
        sums.add(&delta(7));
        sums.sum();
        let counts = sums.counts(&Names::default());
        assert_eq!(counts.operations.len(), 1);
        let overflow = counts.operations[0];
        assert_eq!(
            (overflow.operation.0, overflow.offered, overflow.sampled),
            (0, 12, 2)
        );
        assert!(overflow.overflow);
        let agents = counts.agents.iter();
        let agents: Vec<_> = agents
            .map(|of| (of.service, of.offered, of.sampled))
            .collect();
        assert_eq!(agents, [(None, 12, 2)], "service 4 has no name any more");
        let seen = ServiceCount {
            service: ServiceId(4),
            instance_milliseconds: 240_000,
        };
        assert_eq!(counts.services, [seen]);
    }

    /// The release before stored how much of a bucket an agent's reports cover, once in each delta.
    #[test]
    fn what_reports_without_sequences_cover_adds_up() {
        let window = Window {
            start: Timestamp(0),
            end: Timestamp(60_000),
        };
        let report = |agent, start, sequence| AgentReport {
            agent: AgentId(agent),
            epoch: 0,
            sequence,
            span: Window {
                start: Timestamp(start),
                end: Timestamp(60_000),
            },
            last: false,
            basis: Default::default(),
        };
        let mut sums = WindowSums::new(window);
        for (agent, start, sequence) in [
            (1, 50_000, UNKNOWN_SEQUENCE),
            (1, 40_000, UNKNOWN_SEQUENCE),
            (2, 20_000, UNKNOWN_SEQUENCE),
            (2, 20_000, UNKNOWN_SEQUENCE),
            (3, 20_000, 1),
            (3, 20_000, 2),
        ] {
            sums.add(&BucketCounts {
                bucket: window,
                reports: vec![report(agent, start, sequence)],
                ..BucketCounts::default()
            });
        }
        sums.sum();
        let counts = sums.counts(&Names::default());
        let joined = [
            report(1, 30_000, UNKNOWN_SEQUENCE),
            report(2, 0, UNKNOWN_SEQUENCE),
            report(3, 20_000, 1),
            report(3, 20_000, 2),
        ];
        assert_eq!(counts.reports, joined);
    }
}
