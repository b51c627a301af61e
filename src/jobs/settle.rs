//! Settles history: once no report can change a window any more, its counts are summed again from
//! the deltas. So the history includes late reports, and windows without a plan.
//!
//! A window is a bucket with the length that it had when its counts were stored; the interval may
//! have changed since. The database stores up to where history is settled, so a new leader
//! continues where the previous one stopped, however long ago. Deltas stay until then: see
//! [`super::Maintain`].

use std::collections::HashMap;
use std::error::Error;
use std::sync::Arc;
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::{Mutex, mpsc};

use super::prepare::sampled;
use super::windows::WindowRead;
use super::{Job, JobContext};
use crate::allocation::{OperationId, Timestamp, Window, sampled_unknown};
use crate::clock::Clock;
use crate::store::history_codec::{self, HistoryOperation};
use crate::store::{HistoryRow, Incarnation, Settlement, Settling, StoreError, WriteFormat};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{JobName, StoreCall, StoreFailure};
use crate::worker::blocking;

/// For how long a run starts to settle further windows. The next run continues.
const TURN: Duration = Duration::from_secs(45);

/// How long after its last possible report a window is settled: the time that a report may take
/// from being accepted to its commit.
const IN_FLIGHT: Duration = Duration::from_secs(60);

/// The job.
pub struct Settle {
    /// Shared with the other jobs.
    pub shared: JobContext,
    /// The greatest age of an accepted report.
    pub report_age_max: Duration,
    /// Held by work on another thread, which goes on after the run was ended.
    turn: Arc<Mutex<()>>,
}

/// The new history of a window, if it differs from the stored one.
struct Changed {
    row: Option<HistoryRow>,
    /// The incarnation in which the row's numbers were found.
    names: Incarnation,
}

impl Default for Changed {
    fn default() -> Self {
        Self {
            row: None,
            names: Incarnation::EMPTY,
        }
    }
}

/// Where to continue: where the last run stopped, or at the beginning if that is unknown. If the last
/// run stopped later than can be settled now, its clock has been set back since, so the windows that
/// it passed are checked again.
fn from(settled: Option<Timestamp>, last_end: Timestamp) -> Timestamp {
    let settled = settled.filter(|settled| *settled <= last_end);
    settled.unwrap_or(Timestamp(i64::MIN))
}

#[async_trait]
impl Job for Settle {
    fn name(&self) -> JobName {
        JobName::Settle
    }

    fn schedule(&self) -> &'static str {
        "30 * * * * *"
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn run(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        let leads = || self.shared.leadership.term().is_some();
        if !leads() {
            return Ok(());
        }
        let store = &self.shared.store;
        let last_end = self.settleable(self.shared.clock.timestamp());
        let format = store.write_format().await?;
        let mut settled = store.settled_until().await?;
        let mut from = from(settled, last_end);
        let began = Instant::now();
        while leads() && began.elapsed() < TURN {
            let bucket = store.next_bucket(from).await?;
            let Some(bucket) = bucket.filter(|bucket| bucket.end <= last_end) else {
                // A bucket that begins earlier and ends later may still get reports.
                let until = Window::aligned(last_end, self.length()).start;
                let until = bucket.map_or(until, |bucket| bucket.start.min(until));
                self.note(Changed::default(), settled, until).await?;
                return Ok(());
            };
            let Some(changed) = self.changed(bucket, format).await? else {
                return Ok(());
            };
            from = Timestamp(bucket.start.0 + 1);
            if !self.note(changed, settled, from).await? {
                return Ok(());
            }
            settled = Some(from);
        }
        Ok(())
    }
}

impl Settle {
    /// A job that settles windows once reports for them would be older than `report_age_max`.
    #[must_use]
    pub fn new(shared: JobContext, report_age_max: Duration) -> Self {
        Self {
            shared,
            report_age_max,
            turn: Arc::default(),
        }
    }

    fn length(&self) -> i64 {
        self.shared.interval.as_millis() as i64
    }

    /// The latest end of a window that no report can change any more.
    fn settleable(&self, now: Timestamp) -> Timestamp {
        let age = (self.report_age_max + IN_FLIGHT).as_millis() as i64;
        Timestamp(now.0.saturating_sub(age))
    }

    /// Notes up to where history is settled, with what has changed. Not if somebody else has moved
    /// on, or the database has gone back in time: the next run begins where the database stands then.
    async fn note(
        &self,
        changed: Changed,
        after: Option<Timestamp>,
        until: Timestamp,
    ) -> Result<bool, StoreError> {
        let settling = Settling {
            rows: changed.row.as_slice(),
            names: changed.names,
            after,
            until,
        };
        let settlement = self.shared.store.settle_history(settling).await?;
        if settlement != Settlement::Settled {
            tracing::info!(?settlement, "history is not settled further in this run");
        }
        Ok(settlement == Settlement::Settled)
    }

    /// A window's history, if it says something else than its deltas. None if the database has gone
    /// back behind the names of the deltas since they were read.
    async fn changed(
        &self,
        window: Window,
        format: WriteFormat,
    ) -> Result<Option<Changed>, StoreError> {
        let counted = WindowRead::read_bucket(&self.shared, window).await?;
        if let Some((_, error)) = counted.unread {
            // A replica that can read them settles the window. If there is none, the history of the
            // plan stays.
            return match error {
                StoreError::Corrupt { .. } => Ok(Some(Changed::default())),
                error => Err(error),
            };
        }
        let before = self.held(window).await?;
        let Some(names) = self.shared.dictionary.names_of(&[counted.names]).await? else {
            return Ok(None);
        };
        let turn = Arc::clone(&self.turn).lock_owned().await;
        let changed = blocking(move || {
            let _turn = turn;
            let counts = counted.sums.counts(&names);
            let unknown = sampled_unknown(&counts);
            let answered: HashMap<OperationId, Option<f32>> = before
                .iter()
                .map(|row| (row.operation, row.probability))
                .collect();
            let after: Vec<HistoryOperation> = counts
                .operations
                .iter()
                .map(|counted| HistoryOperation {
                    operation: counted.operation,
                    offered: counted.offered,
                    sampled: sampled(counted, &unknown),
                    probability: answered.get(&counted.operation).copied().flatten(),
                })
                .collect();
            let row = (after != before).then(|| HistoryRow {
                window,
                payload: history_codec::encode(&after, format),
            });
            Changed {
                row,
                names: names.incarnation(),
            }
        });
        Ok(Some(changed.await))
    }

    /// The stored history of a window. A damaged row is written again.
    async fn held(&self, window: Window) -> Result<Vec<HistoryOperation>, StoreError> {
        let (rows, mut read) = mpsc::channel(1);
        let starts = window.start..Timestamp(window.start.0 + 1);
        let reading = self.shared.store.stream_history(starts, 1, None, rows);
        let (read, row) = tokio::join!(reading, read.recv());
        read?;
        let Some(row) = row else {
            return Ok(Vec::new());
        };
        let decoded = blocking(move || history_codec::decode(&row.payload)).await;
        decoded.or_else(|error| match error {
            StoreError::Corrupt { .. } => {
                let call = (StoreCall::ReadHistory, StoreFailure::Corrupt);
                self.shared.metrics.database_errors.of(call).inc();
                tracing::warn!(
                    window_start_ms = window.start.0,
                    error = chain(&error),
                    "a window's history is damaged; writing it again from the counts"
                );
                Ok(Vec::new())
            }
            error => Err(error),
        })
    }
}
