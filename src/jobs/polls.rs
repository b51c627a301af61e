//! Writes how often SDKs asked this replica: a row for each window.
//!
//! Nothing of a poll reaches the database when it is answered. So the leader learns of the polls of all replicas from
//! these rows. A replica writes one for every window, also when nobody polled. Otherwise its silence would look like
//! that of the SDKs.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::JobContext;
use super::observations::SeenWriter;
use crate::allocation::{Timestamp, Window};
use crate::clock::Clock;
use crate::snapshot::ServicePolls;
use crate::store::ReplicaPolls;
use crate::worker::blocking;

/// How long it sleeps at most before it looks at the clock again, which may be adjusted meanwhile.
const LOOK: Duration = Duration::from_secs(1);

/// How late the counters may be taken, as a part of the interval. If they are taken later, too many polls of the next
/// window are among them, and nothing is written.
const LATE_PART: u32 = 4;

/// How long writing a row may take. A window without it says nothing, and the next one is due.
const WRITE: Duration = Duration::from_secs(2);

/// Takes the counters of polls at the end of each window, and writes them.
pub struct PollWriter {
    shared: JobContext,
    replica: Uuid,
    /// Since when the counters count.
    since: Timestamp,
}

impl PollWriter {
    /// Begins to count now.
    #[must_use]
    pub fn new(shared: JobContext, replica: Uuid) -> Self {
        // What was counted before belongs to no window that is written.
        let _ = shared.served.snapshot().take_polls();
        Self {
            since: shared.clock.timestamp(),
            shared,
            replica,
        }
    }

    /// Writes rows until told to stop, and then the row of the window that has begun. It ends early, so the leader
    /// knows that no more rows come.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut seen = SeenWriter::new(self.shared.clone(), self.replica);
        loop {
            let window = Window::aligned(self.since, self.shared.interval.as_millis() as i64);
            let ended = stop
                .run_until_cancelled(end_of(&*self.shared.clock, window))
                .await;
            let (mut taken, polls) = self.take(window).await;
            if ended.is_some() {
                seen.begin(window, polls).await;
                self.write(taken).await;
                continue;
            }
            if let Some(last) = &mut taken {
                let before_its_end = Timestamp(window.end.0 - 1);
                last.counted.end = last.counted.end.min(before_its_end);
            }
            self.write(taken).await;
            seen.begin(window, polls).await;
            return seen.end().await;
        }
    }

    /// Takes the counters, and makes the row of them; none if what they counted belongs to another time than the
    /// window.
    async fn take(&mut self, window: Window) -> (Option<ReplicaPolls>, Vec<ServicePolls>) {
        let snapshot = self.shared.served.snapshot();
        let counted = Arc::clone(&snapshot);
        let polls = blocking(move || counted.take_polls()).await;
        let (since, now) = (self.since, self.shared.clock.timestamp());
        let late = (self.shared.interval / LATE_PART).as_millis() as i64;
        if now < since || now.0 > window.end.0.saturating_add(late) {
            self.since = now;
            return (None, polls);
        }
        self.since = window.end;
        let row = ReplicaPolls {
            window,
            replica: self.replica,
            counted: Window {
                start: since,
                end: now.min(window.end),
            },
            names: snapshot.named_in(),
            services: polls.iter().map(ServicePolls::count).collect(),
        };
        (Some(row), polls)
    }

    /// Writes a row. A failure was logged by the store. Then the window is without this replica's polls, which the
    /// leader sees.
    async fn write(&self, polls: Option<ReplicaPolls>) {
        if let Some(polls) = polls {
            let _ = tokio::time::timeout(WRITE, self.shared.store.commit_polls(&polls)).await;
        }
    }
}

/// Waits for the end of a window, or until the clock is set back to before it.
pub(super) async fn end_of(clock: &dyn Clock, window: Window) {
    loop {
        let now = clock.timestamp();
        let left = u64::try_from(window.end.0.saturating_sub(now.0)).unwrap_or(0);
        if left == 0 || now < window.start {
            return;
        }
        tokio::time::sleep(Duration::from_millis(left).min(LOOK)).await;
    }
}
