//! Reads how often SDKs asked all replicas in a window.

use std::collections::HashMap;

use uuid::Uuid;

use super::POLL_WINDOWS;
use crate::allocation::{PollCount, Timestamp, Window};
use crate::jobs::JobContext;
use crate::store::{Incarnation, PollsAsked, StoreError, StoredPolls};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{StoreCall, StoreFailure};
use crate::worker::blocking;

/// The polls of some windows.
pub(in crate::jobs) struct PollsRead {
    /// A state of the dictionary in which all numbers have their names.
    pub(in crate::jobs) names: Incarnation,
    /// The polls of each window; none if those of a replica are not known.
    pub(in crate::jobs) windows: Vec<Option<Vec<PollCount>>>,
}

impl PollsRead {
    /// Reads the polls of some windows, oldest first; none if they cannot be read, as a plan can be made without
    /// them.
    pub(in crate::jobs) async fn read(shared: &JobContext, windows: &[Window]) -> Option<Self> {
        let (first, last) = (windows.first()?, windows.last()?);
        let back = i64::from(POLL_WINDOWS).saturating_mul(last.milliseconds());
        let asked = PollsAsked {
            counted_from: Timestamp(last.start.0.saturating_sub(back).min(first.start.0)),
            polls_from: first.start,
            until: last.end,
        };
        let (names, rows) = shared.store.read_polls(asked).await.ok()?;
        let asked = windows.to_vec();
        let found = blocking(move || {
            let known = asked.iter().map(|window| known(*window, &rows));
            known.collect::<Vec<_>>()
        });
        let found = found.await.into_iter().zip(windows);
        let known = found.map(|(known, window)| {
            known.unwrap_or_else(|error| {
                tell(shared, *window, &error);
                None
            })
        });
        Some(Self {
            names,
            windows: known.collect(),
        })
    }
}

fn tell(shared: &JobContext, window: Window, error: &StoreError) {
    let call = (StoreCall::ReadPolls, StoreFailure::from(error));
    shared.metrics.database_errors.of(call).inc();
    tracing::warn!(
        window_start_ms = window.start.0,
        error = chain(error),
        "some of a window's polls cannot be read; computing the plan without them"
    );
}

/// The polls of a window, summed over the replicas. None if a replica that counted before did not say that it
/// stopped and has not written the window, or if at some time nobody counted.
fn known(window: Window, rows: &[StoredPolls]) -> Result<Option<Vec<PollCount>>, StoreError> {
    let own: Vec<&StoredPolls> = rows.iter().filter(|row| row.window == window).collect();
    if !covers(window, &own) || misses(window, rows, &own) {
        return Ok(None);
    }
    let mut counts = Vec::new();
    for row in own {
        counts.extend(row.services()?.unwrap_or_default());
    }
    // Rows are sorted, and a stable sort merges sorted runs.
    counts.sort_by_key(|count: &PollCount| count.service);
    counts.dedup_by(|next, held| {
        let same = next.service == held.service;
        if same {
            held.polls = held.polls.saturating_add(next.polls);
        }
        same
    });
    Ok(Some(counts))
}

/// Whether somebody counted at any time of the window.
fn covers(window: Window, own: &[&StoredPolls]) -> bool {
    let mut spans: Vec<Window> = own.iter().map(|row| row.counted).collect();
    spans.sort_unstable();
    let reached = spans.iter().fold(window.start, |reached, span| {
        if span.start <= reached {
            reached.max(span.end)
        } else {
            reached
        }
    });
    reached >= window.end
}

/// Whether a replica that counted to the end of its last window before this one has not written this one.
fn misses(window: Window, rows: &[StoredPolls], own: &[&StoredPolls]) -> bool {
    let mut last: HashMap<Uuid, &StoredPolls> = HashMap::new();
    for row in rows.iter().filter(|row| row.window.start < window.start) {
        let held = last.entry(row.replica).or_insert(row);
        if held.window.start < row.window.start {
            *held = row;
        }
    }
    let runs = |row: &&StoredPolls| row.counted.end >= row.window.end;
    let mut running = last.into_values().filter(runs);
    running.any(|row| own.iter().all(|of| of.replica != row.replica))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::allocation::ServiceId;
    use crate::store::ReplicaPolls;

    fn minutes(from: i64, to: i64) -> Window {
        Window {
            start: Timestamp(from * 60_000),
            end: Timestamp(to * 60_000),
        }
    }

    /// The row of a replica that counted a minute in part, in seconds.
    fn part(replica: u128, minute: i64, from: i64, until: i64) -> StoredPolls {
        let window = minutes(minute, minute + 1);
        let at = |seconds: i64| Timestamp(window.start.0 + 1000 * seconds);
        StoredPolls::of(&ReplicaPolls {
            window,
            replica: Uuid::from_u128(replica),
            counted: Window {
                start: at(from),
                end: at(until),
            },
            names: Incarnation::EMPTY,
            services: vec![PollCount {
                service: ServiceId(1),
                polls: 10,
            }],
        })
    }

    fn whole(replica: u128, minute: i64) -> StoredPolls {
        part(replica, minute, 0, 60)
    }

    /// The polls of minute 5.
    fn in_minute_five(rows: &[StoredPolls]) -> Option<u32> {
        let counts = known(minutes(5, 6), rows).unwrap()?;
        Some(counts.iter().map(|count| count.polls).sum())
    }

    #[test]
    fn the_polls_of_all_replicas_add_up() {
        let rows = [whole(1, 4), whole(1, 5), whole(2, 5), whole(1, 6)];
        assert_eq!(in_minute_five(&rows), Some(20));
        assert_eq!(
            in_minute_five(&rows[1..2]),
            Some(10),
            "the first row of all"
        );
    }

    #[test]
    fn a_replica_that_falls_silent_leaves_the_polls_unknown() {
        let both = [whole(1, 4), whole(2, 4), whole(1, 5)];
        assert_eq!(in_minute_five(&both), None);
        let long_ago = [whole(2, 1), whole(1, 4), whole(1, 5), whole(2, 7)];
        assert_eq!(in_minute_five(&long_ago), None);
        let nobody = [whole(1, 4), whole(1, 6)];
        assert_eq!(in_minute_five(&nobody), None);
    }

    #[test]
    fn a_replica_that_stopped_or_began_does_not() {
        let stopped = [whole(1, 4), part(2, 4, 0, 30), whole(1, 5)];
        assert_eq!(in_minute_five(&stopped), Some(10));
        let handed_over = [whole(1, 4), part(1, 5, 0, 30), part(2, 5, 20, 60)];
        assert_eq!(in_minute_five(&handed_over), Some(20));
    }

    #[test]
    fn a_window_in_which_nobody_counted_for_a_while_is_unknown() {
        let gap = [whole(1, 4), part(1, 5, 0, 30), part(2, 5, 31, 60)];
        assert_eq!(in_minute_five(&gap), None);
        assert_eq!(
            in_minute_five(&[part(1, 5, 1, 60)]),
            None,
            "the first window"
        );
        assert_eq!(in_minute_five(&[whole(1, 4), part(1, 5, 0, 30)]), None);
    }
}
