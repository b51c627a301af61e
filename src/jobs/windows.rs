//! Finds the window that is due, and reads its counts.

use std::collections::HashMap;
use std::ops::Range;
use std::time::Duration;

use tokio::sync::mpsc;

use super::JobContext;
use super::follow::blocking;
use crate::allocation::{
    AgentCount, AgentId, OperationCount, ServiceCount, ServiceId, Timestamp, Window, WindowCounts,
};
use crate::names::{Names, OperationRow};
use crate::store::{BucketCounts, BucketOperation, Incarnation, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{StoreCall, StoreFailure};

/// Deltas that may wait to be summed. Each is the part of a group of reports in a bucket.
const DELTAS_AHEAD: usize = 16;

/// The most windows without a plan whose history is written with the next plan.
pub(super) const MISSED_MAX: i64 = 10;

/// The last window that has closed: its end plus the grace has passed.
pub(super) fn last_closed(now: Timestamp, interval: Duration, grace: Duration) -> Window {
    let length = interval.as_millis() as i64;
    Window::aligned(Timestamp(now.0 - grace.as_millis() as i64 - length), length)
}

/// The windows without a plan, because there was no leader or it was slow. Their counts are written
/// to the history nevertheless; those further back are settled later.
pub(super) fn missed(previous: Window, window: Window) -> Vec<Window> {
    let length = window.milliseconds();
    let back = |at: i64| Timestamp(window.start.0.saturating_sub(at.saturating_mul(length)));
    (1..=MISSED_MAX)
        .rev()
        .map(|at| Window {
            start: back(at),
            end: back(at - 1),
        })
        .filter(|missed| missed.start >= previous.end)
        .collect()
}

/// The counts of a window, and how many of its deltas could not be read.
pub(super) struct WindowRead {
    /// The sums of the deltas that could be read.
    pub sums: WindowSums,
    /// A state of the dictionary in which all numbers counted have their names.
    pub names: Incarnation,
    /// The number of deltas of the window.
    pub deltas: u64,
    /// The number of deltas that could not be read, and the error of the first.
    pub unread: Option<(u64, StoreError)>,
}

impl WindowRead {
    /// Reads and sums the deltas of a window. Each is summed as it arrives, on another thread than
    /// the tasks that keep the lease. So memory grows with the operations of the fleet, not with
    /// the number of its reports.
    ///
    /// # Errors
    /// The store's. A delta that cannot be read is counted and skipped.
    pub(super) async fn read(shared: &JobContext, window: Window) -> Result<Self, StoreError> {
        Self::read_starts(shared, window, window.start..window.end).await
    }

    /// The same for a window that is one bucket. Buckets that begin inside it are skipped: after a
    /// change of the interval, buckets of two lengths overlap.
    ///
    /// # Errors
    /// Those of [`WindowRead::read`].
    pub(super) async fn read_bucket(
        shared: &JobContext,
        window: Window,
    ) -> Result<Self, StoreError> {
        let starts = window.start..Timestamp(window.start.0 + 1);
        Self::read_starts(shared, window, starts).await
    }

    async fn read_starts(
        shared: &JobContext,
        window: Window,
        starts: Range<Timestamp>,
    ) -> Result<Self, StoreError> {
        let (rows, mut read) = mpsc::channel(DELTAS_AHEAD);
        let reading = shared.store.stream_deltas(starts, rows);
        let summing = blocking(move || {
            let mut counted = Self {
                sums: WindowSums::new(window),
                names: Incarnation::EMPTY,
                deltas: 0,
                unread: None,
            };
            while let Some(delta) = read.blocking_recv() {
                counted.add(delta.counts());
            }
            counted.sums.sum();
            counted
        });
        let (read, mut counted) = tokio::join!(reading, summing);
        counted.names = read?;
        counted.tell(shared);
        Ok(counted)
    }

    fn add(&mut self, delta: Result<BucketCounts, StoreError>) {
        self.deltas += 1;
        match (delta, &mut self.unread) {
            (Ok(delta), _) => self.sums.add(&delta),
            (Err(_), Some((count, _))) => *count += 1,
            (Err(error), unread) => *unread = Some((1, error)),
        }
    }

    /// Counts and logs the deltas that could not be read.
    fn tell(&self, shared: &JobContext) {
        if let Some((count, error)) = &self.unread {
            let failure = StoreFailure::from(error);
            let errors = shared
                .metrics
                .database_errors
                .of((StoreCall::ReadDeltas, failure));
            errors.inc_by(*count);
            tracing::warn!(
                unread = count,
                of = self.deltas,
                window_start_ms = self.sums.window.start.0,
                error = chain(error),
                "some of a window's counts cannot be read; computing the plan without them"
            );
        }
    }

    /// Whether a newer Weir wrote some counts of this window.
    pub(super) fn is_newer(&self) -> bool {
        let newer = |error: &StoreError| matches!(error, StoreError::NewerFormat { .. });
        self.unread.as_ref().is_some_and(|(_, error)| newer(error))
    }

    /// The part of the deltas that could be read, in [0, 1].
    pub(super) fn readable(&self) -> f64 {
        match &self.unread {
            Some((unread, _)) => 1.0 - *unread as f64 / self.deltas.max(1) as f64,
            None => 1.0,
        }
    }
}

/// The sums of a window's deltas, by number.
pub(super) struct WindowSums {
    window: Window,
    operations: Vec<BucketOperation>,
    /// How many at the front are sorted and distinct.
    summed: usize,
    instance_milliseconds: HashMap<ServiceId, u64>,
    agents: HashMap<AgentId, AgentCount>,
}

impl WindowSums {
    /// A few operations more are not worth another sum.
    const FEW: usize = 1 << 16;

    fn new(window: Window) -> Self {
        Self {
            window,
            operations: Vec::new(),
            summed: 0,
            instance_milliseconds: HashMap::new(),
            agents: HashMap::new(),
        }
    }

    fn add(&mut self, delta: &BucketCounts) {
        self.operations.extend_from_slice(&delta.operations);
        // Sums when the number of operations has doubled: no count is sorted often, and little
        // memory is needed.
        if self.operations.len() > 2 * self.summed + Self::FEW {
            self.sum();
        }
        for seen in &delta.services {
            let sum = self.instance_milliseconds.entry(seen.service).or_default();
            *sum = sum.saturating_add(seen.instance_milliseconds);
        }
        for heard in &delta.agents {
            let entry = self.agents.entry(heard.agent).or_insert(AgentCount {
                agent: heard.agent,
                offered: 0,
                covered_milliseconds: 0,
            });
            entry.offered = entry.offered.saturating_add(heard.offered);
            entry.covered_milliseconds = entry
                .covered_milliseconds
                .saturating_add(heard.covered_milliseconds)
                .min(self.window.milliseconds());
        }
    }

    /// Deltas are sorted, and a stable sort merges sorted runs. That is several times faster than
    /// looking up each number in a table larger than the caches.
    fn sum(&mut self) {
        self.operations.sort_by_key(|counted| counted.operation);
        self.operations.dedup_by(|next, held| {
            let same = next.operation == held.operation;
            if same {
                held.offered = held.offered.saturating_add(next.offered);
                held.sampled = held.sampled.saturating_add(next.sampled);
            }
            same
        });
        self.summed = self.operations.len();
    }

    /// The window's counts. An operation whose name was removed is counted in the fleet's overflow
    /// entry. A service whose name was removed is left out, because it is not served.
    pub(super) fn counts(self, names: &Names) -> WindowCounts {
        let mut strangers = OperationCount {
            operation: OperationRow::OVERFLOW.operation,
            service: OperationRow::OVERFLOW.service,
            overflow: OperationRow::OVERFLOW.overflow,
            offered: 0,
            sampled: 0,
        };
        let mut found = false;
        let mut operations = Vec::with_capacity(self.operations.len() + 1);
        for counted in self.operations {
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
        let mut agents: Vec<_> = self.agents.into_values().collect();
        operations.sort_unstable();
        services.sort_unstable();
        agents.sort_unstable();
        WindowCounts {
            window: self.window,
            operations,
            services,
            agents,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::OperationId;

    #[test]
    fn a_window_closes_a_grace_after_its_end() {
        let at = |seconds: i64| {
            last_closed(
                Timestamp(seconds * 1000),
                Duration::from_secs(60),
                Duration::from_secs(10),
            )
        };
        assert_eq!(at(129).start.0, 0, "the second minute still waits");
        assert_eq!(at(130).start.0, 60_000);
    }

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
            agents: vec![AgentCount {
                agent: AgentId(1),
                offered,
                covered_milliseconds: 40_000,
            }],
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
        assert_eq!(
            (
                counts.agents[0].offered,
                counts.agents[0].covered_milliseconds
            ),
            (12, 60_000)
        );
        let seen = ServiceCount {
            service: ServiceId(4),
            instance_milliseconds: 240_000,
        };
        assert_eq!(counts.services, [seen]);
    }

    #[test]
    fn windows_without_a_plan_are_made_up_for_as_far_as_they_are_few() {
        let window = |minute: i64| Window {
            start: Timestamp(minute * 60_000),
            end: Timestamp((minute + 1) * 60_000),
        };
        assert_eq!(missed(window(4), window(5)), []);
        assert_eq!(missed(window(2), window(5)), [window(3), window(4)]);
        let many = missed(window(0), window(100));
        assert_eq!((many.len(), many[0]), (10, window(90)));
        assert_eq!(
            missed(window(9), window(5)),
            [],
            "a clock that was set back"
        );
    }
}
