//! Which window is due, and what was counted in it.

use std::collections::HashMap;
use std::time::Duration;

use crate::allocation::{
    AgentCount, AgentId, OperationCount, OperationId, Timestamp, Window, WindowCounts,
};
use crate::dictionary::{Names, OperationRow};
use crate::store::BucketCounts;

/// The last window that has closed: its end and the grace after it have passed.
pub(super) fn last_closed(now: Timestamp, interval: Duration, grace: Duration) -> Window {
    let length = interval.as_millis() as i64;
    Window::aligned(Timestamp(now.0 - grace.as_millis() as i64 - length), length)
}

/// Sums deltas into a window's counts. A number that stands for no name any more is counted in
/// the fleet's overflow entry.
pub(super) fn sum(window: Window, deltas: &[BucketCounts], names: &Names) -> WindowCounts {
    let mut operations: HashMap<OperationId, OperationCount> = HashMap::new();
    let mut agents: HashMap<AgentId, AgentCount> = HashMap::new();
    for delta in deltas.iter().filter(|delta| inside(delta.bucket, window)) {
        for counted in &delta.operations {
            let row = names
                .row(counted.operation)
                .unwrap_or(OperationRow::OVERFLOW);
            let entry = operations.entry(row.operation).or_insert(OperationCount {
                operation: row.operation,
                service: row.service,
                overflow: row.overflow,
                offered: 0,
                sampled: 0,
            });
            entry.offered = entry.offered.saturating_add(counted.offered);
            entry.sampled = entry.sampled.saturating_add(counted.sampled);
        }
        for heard in &delta.agents {
            let entry = agents.entry(heard.agent).or_insert(AgentCount {
                agent: heard.agent,
                offered: 0,
                covered_milliseconds: 0,
            });
            entry.offered = entry.offered.saturating_add(heard.offered);
            entry.covered_milliseconds = entry
                .covered_milliseconds
                .saturating_add(heard.covered_milliseconds)
                .min(window.milliseconds());
        }
    }
    let mut operations: Vec<_> = operations.into_values().collect();
    let mut agents: Vec<_> = agents.into_values().collect();
    operations.sort_unstable();
    agents.sort_unstable();
    WindowCounts {
        window,
        operations,
        agents,
    }
}

/// Whether a bucket's counts belong to a window.
fn inside(bucket: Window, window: Window) -> bool {
    window.start <= bucket.start && bucket.start < window.end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::store::BucketOperation;

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
        let delta = |start, offered| BucketCounts {
            bucket: Window {
                start: Timestamp(start),
                end: Timestamp(start + 60_000),
            },
            operations: vec![BucketOperation {
                operation: OperationId(77),
                offered,
                sampled: 1,
            }],
            agents: vec![AgentCount {
                agent: AgentId(1),
                offered,
                covered_milliseconds: 40_000,
            }],
        };
        let deltas = [delta(0, 5), delta(0, 7), delta(60_000, 100)];
        let counts = sum(window, &deltas, &Names::default());
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
    }
}
