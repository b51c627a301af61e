//! Finds the window that is due, and reads its counts.

mod polls;
mod sums;

use std::ops::Range;
use std::time::Duration;

use futures_util::future::try_join_all;
use tokio::sync::mpsc;

use super::JobContext;
use crate::allocation::{Timestamp, WINDOWS_READ_MAX, Window};
use crate::store::{BucketCounts, Incarnation, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{StoreCall, StoreFailure};
use crate::worker::blocking;
pub(super) use polls::PollsRead;
pub(super) use sums::WindowSums;

/// In how many questions windows are read, if they follow each other. There may be many windows while
/// agents or the database are late.
const QUESTIONS: usize = 4;

/// Questions that are asked at the same time. Each takes a connection, and reports and the lease need
/// some, too.
const QUESTIONS_AT_ONCE: usize = 2;

/// Deltas that may wait to be summed. Each is the part of a group of reports in a bucket.
const DELTAS_AHEAD: usize = 16;

/// How many windows a replica is expected to write its polls, after one that it has written. A replica that is cut
/// off from the database still answers polls, and those would look as if they had ended. It is an hour of minutes.
pub(super) const POLL_WINDOWS: u32 = 64;

/// The last window that has closed: its end plus the grace has passed.
pub(super) fn last_closed(now: Timestamp, interval: Duration, grace: Duration) -> Window {
    let length = interval.as_millis() as i64;
    Window::aligned(Timestamp(now.0 - grace.as_millis() as i64 - length), length)
}

/// The windows that a plan is made from, oldest first: from what may still change of the previous
/// plan's windows to the one that has just closed. If there are too many, the oldest are left out.
///
/// Windows that have a plan are read in the length that they had. So after a change of the interval, a
/// bucket is not taken for the counts of a shorter window.
pub(super) fn to_read(settled: Timestamp, answered: Window, window: Window) -> Vec<Window> {
    let mut windows = vec![window];
    windows.extend(before(window, answered.end));
    if answered.end <= window.start {
        windows.extend((answered.start >= settled).then_some(answered));
        windows.extend(before(answered, settled));
    } else if window.end <= answered.start {
        // The clock was ahead when the previous plan was made. What it knows ends where it is settled.
        windows.extend(before(window, settled));
    }
    windows.truncate(WINDOWS_READ_MAX);
    windows.reverse();
    windows
}

/// The windows before another, of its length, that begin at an instant or later, newest first; at most
/// as many as are read.
fn before(window: Window, from: Timestamp) -> impl Iterator<Item = Window> {
    let length = window.milliseconds();
    let back = move |steps: i64| {
        let milliseconds = length.saturating_mul(steps);
        Timestamp(window.start.0.saturating_sub(milliseconds))
    };
    let most = if length > 0 { WINDOWS_READ_MAX } else { 0 };
    (1..=most as i64)
        .map(move |steps| Window {
            start: back(steps),
            end: back(steps - 1),
        })
        .take_while(move |earlier| earlier.start >= from)
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
    /// Reads windows, oldest first: in few questions, however many windows there are, because each
    /// question to a slow database takes its time, and a plan that waits has more windows to read.
    pub(super) async fn read_all(
        shared: &JobContext,
        windows: &[Window],
    ) -> Result<Vec<Self>, StoreError> {
        let together = windows.len().div_ceil(QUESTIONS).max(1);
        let questions = windows.chunk_by(|one, next| one.end == next.start);
        let questions: Vec<_> = questions.flat_map(|run| run.chunks(together)).collect();
        let mut read = Vec::with_capacity(windows.len());
        for some in questions.chunks(QUESTIONS_AT_ONCE) {
            let reading = some.iter().map(|windows| Self::read(shared, windows));
            read.extend(try_join_all(reading).await?.into_iter().flatten());
        }
        Ok(read)
    }

    /// Reads and sums the deltas of windows that follow each other. Each is summed as it arrives, on
    /// another thread than the tasks that keep the lease. So memory grows with the operations of the
    /// fleet, not with the number of its reports.
    ///
    /// # Errors
    /// The store's. A delta that cannot be read is counted and skipped.
    async fn read(shared: &JobContext, windows: &[Window]) -> Result<Vec<Self>, StoreError> {
        let (Some(first), Some(last)) = (windows.first(), windows.last()) else {
            return Ok(Vec::new());
        };
        Self::read_starts(shared, windows, first.start..last.end).await
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
        let read = Self::read_starts(shared, &[window], starts).await?;
        Ok(read.into_iter().next().unwrap_or_else(|| Self::new(window)))
    }

    async fn read_starts(
        shared: &JobContext,
        windows: &[Window],
        starts: Range<Timestamp>,
    ) -> Result<Vec<Self>, StoreError> {
        let (rows, mut read) = mpsc::channel(DELTAS_AHEAD);
        let reading = shared.store.stream_deltas(starts, rows);
        let mut counted: Vec<Self> = windows.iter().copied().map(Self::new).collect();
        let summing = blocking(move || {
            while let Some(delta) = read.blocking_recv() {
                let start = delta.bucket.start;
                let after = counted.partition_point(|one| one.sums.window.start <= start);
                if let Some(window) = counted[..after].last_mut() {
                    window.add(delta.counts());
                }
            }
            counted.iter_mut().for_each(|window| window.sums.sum());
            counted
        });
        let (names, mut counted) = tokio::join!(reading, summing);
        let names = names?;
        for window in &mut counted {
            window.names = names;
            window.tell(shared);
        }
        Ok(counted)
    }

    fn new(window: Window) -> Self {
        Self {
            sums: WindowSums::new(window),
            names: Incarnation::EMPTY,
            deltas: 0,
            unread: None,
        }
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

#[cfg(test)]
mod tests {
    use super::*;

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
    fn a_plan_is_made_from_the_windows_that_may_still_change() {
        let minutes = |from: i64, to: i64| Window {
            start: Timestamp(from * 60_000),
            end: Timestamp(to * 60_000),
        };
        let read = |settled: i64, answered: Window, window: Window| {
            let windows = to_read(Timestamp(settled * 60_000), answered, window);
            let windows = windows.iter();
            let starts = windows.map(|w| (w.start.0 / 60_000, w.end.0 / 60_000));
            starts.collect::<Vec<_>>()
        };
        let (four, five) = (minutes(4, 5), minutes(5, 6));
        assert_eq!(read(4, four, five), [(4, 5), (5, 6)]);
        assert_eq!(read(3, four, five), [(3, 4), (4, 5), (5, 6)]);
        let gap = [(1, 2), (2, 3), (3, 4), (4, 5), (5, 6)];
        assert_eq!(read(1, minutes(2, 3), five), gap, "windows without a plan");
        assert_eq!(read(9, minutes(9, 10), five), [(5, 6)], "a clock set back");
        let ahead = read(3, minutes(9, 10), five);
        assert_eq!(ahead, [(3, 4), (4, 5), (5, 6)], "a clock set back");
        assert_eq!(read(99, four, five), [(5, 6)], "a clock that was ahead");
        let longer = [(0, 5), (5, 10), (10, 11), (11, 12)];
        assert_eq!(read(0, minutes(5, 10), minutes(11, 12)), longer);
        let first = to_read(Timestamp(0), Window::default(), minutes(100, 101));
        assert_eq!(first.len(), WINDOWS_READ_MAX);
        assert_eq!(first.last(), Some(&minutes(100, 101)));
        assert!(first.is_sorted());
        let many = to_read(Timestamp(0), minutes(1, 2), minutes(100, 101));
        assert_eq!(many, first, "the newest after a long gap");
    }
}
