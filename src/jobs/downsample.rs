//! Sums history into coarser steps, for the fleet, its groups and its services: so it is there for months.
//!
//! While windows may still change, each is summed as it is known (`series_window`). Once all windows of an hour are
//! settled, their sums by ten minutes are written (`series`), and at the end of a day those by the hour and the
//! day. The database stores up to where this is done, in the transaction that does it. So every settled window
//! is in each step exactly once, whoever leads, and after the database went back in time, too.
//!
//! Begin with [`Downsample::run`]; `fold` sums a window, `steps` makes rows of sums.

mod days;
mod fold;
mod in_force;
mod pass;
mod steps;

use std::error::Error;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::mpsc;

use self::steps::{StepSums, floor, row_window, rows};
use super::{Job, JobContext};
use crate::allocation::Timestamp;
use crate::clock::Clock;
use crate::names::Names;
use crate::store::{
    HistoryRow, NewSeries, SeriesAsked, SeriesMark, SeriesRow, SeriesStep, Settlement, StoreError,
};
use crate::telemetry::metrics::JobName;

/// For how long a run starts to sum further hours. The next run continues.
const TURN: Duration = Duration::from_secs(45);

/// How long nothing is done while no plan comes: then only what is settled changes, once a minute.
const IDLE: Duration = Duration::from_secs(20);

/// The time whose steps are written at once.
const HOUR: i64 = 3_600_000;

const DAY: i64 = 24 * HOUR;

/// The job.
pub struct Downsample {
    /// Shared with the other jobs.
    shared: JobContext,
    /// How long the history of windows is stored.
    history: Duration,
    /// The served plan when the last run ended well, and when that was.
    last: Mutex<Option<(u64, Duration)>>,
}

/// Where the job stands, and the names that it sums by.
#[derive(Clone)]
struct Standing {
    names: Arc<Names>,
    /// Up to where history is summed in the database.
    until: Option<Timestamp>,
}

#[async_trait]
impl Job for Downsample {
    fn name(&self) -> JobName {
        JobName::Downsample
    }

    fn schedule(&self) -> &'static str {
        "*/2 * * * * *"
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(120)
    }

    async fn run(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if !self.leads() || !self.is_due() {
            return Ok(());
        }
        let plan = self.shared.served.load().plan().number;
        let store = &self.shared.store;
        let settled = store.settled_until().await?;
        let mark = store.series_mark().await?;
        // Names are read after it was settled, so they include those of everything that is settled.
        self.shared.dictionary.refresh().await?;
        let mut standing = Standing {
            names: self.shared.dictionary.names(),
            until: mark.until,
        };
        if self.sum_settled(&mut standing, settled).await? && self.follow(&standing, mark).await? {
            self.note(plan);
        }
        Ok(())
    }
}

impl Downsample {
    /// A job that sums what is stored for `history`.
    #[must_use]
    pub fn new(shared: JobContext, history: Duration) -> Self {
        Self {
            shared,
            history,
            last: Mutex::default(),
        }
    }

    fn leads(&self) -> bool {
        self.shared.leadership.term().is_some()
    }

    /// Whether there may be something new.
    fn is_due(&self) -> bool {
        let last = *self.last.lock().unwrap_or_else(PoisonError::into_inner);
        let (now, plan) = (
            self.shared.clock.counted(),
            self.shared.served.load().plan().number,
        );
        last.is_none_or(|(seen, at)| seen != plan || now.saturating_sub(at) >= IDLE)
    }

    fn note(&self, plan: u64) {
        let now = self.shared.clock.counted();
        *self.last.lock().unwrap_or_else(PoisonError::into_inner) = Some((plan, now));
    }

    /// Sums the hours that are settled. Whether it came to the end of them.
    async fn sum_settled(
        &self,
        standing: &mut Standing,
        settled: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let Some(settled) = settled.map(|settled| floor(settled, HOUR)) else {
            return Ok(true);
        };
        let began = Instant::now();
        if let Some(back) = self.behind(standing.until, settled)
            && !self.write(standing, &[], Some(back)).await?
        {
            return Ok(false);
        }
        let mut from = match standing.until {
            Some(until) => until,
            None => match self.first_row(Timestamp(i64::MIN)).await? {
                Some(first) => floor(first, HOUR),
                None => return Ok(true),
            },
        };
        while from < settled {
            if !self.leads() || began.elapsed() >= TURN {
                return Ok(false);
            }
            if !self.sum_hour(standing, from, settled).await? {
                return Ok(false);
            }
            from = standing.until.unwrap_or(settled);
        }
        Ok(true)
    }

    /// Where to begin again if more is summed than is settled: a clock was set back since, and windows that were
    /// summed may have changed. Not where their history may be gone.
    fn behind(&self, until: Option<Timestamp>, settled: Timestamp) -> Option<Timestamp> {
        let history = self.history.as_millis() as i64;
        let stored = self.shared.clock.timestamp().0.saturating_sub(history);
        let stored = floor(Timestamp(stored), HOUR).0.saturating_add(HOUR);
        let back = settled.max(Timestamp(stored));
        until.filter(|until| back < *until).map(|_| back)
    }

    /// Sums an hour, and the day before it if it is the first of a day.
    async fn sum_hour(
        &self,
        standing: &mut Standing,
        from: Timestamp,
        settled: Timestamp,
    ) -> Result<bool, StoreError> {
        let window = row_window(SeriesStep::TenMinutes, from);
        let Some((steps, mut new)) = self.pass(window, standing).await? else {
            return Ok(false);
        };
        let mut until = window.end;
        if steps.iter().all(StepSums::is_empty) {
            // Nothing was counted for a while. Days end where they end all the same.
            let next = self.first_row(until).await?;
            let next = next.map_or(settled, |next| floor(next, HOUR));
            let day = Timestamp(floor(from, DAY).0.saturating_add(DAY));
            until = next.min(settled).min(day).max(until);
        }
        let names = Arc::clone(&standing.names);
        let named: Vec<StepSums> = steps.into_iter().map(|step| step.named(&names)).collect();
        new.extend(rows(SeriesStep::TenMinutes, window, &named));
        if floor(from, DAY) == from {
            new.extend(self.day_before(from).await?);
        }
        self.write(standing, &new, Some(until)).await
    }

    /// Sums the windows that may still change, each by itself. Whether it came to their end.
    async fn follow(&self, standing: &Standing, mark: SeriesMark) -> Result<bool, StoreError> {
        let now = self.shared.clock.timestamp();
        let interval = self.shared.interval.as_millis() as i64;
        // The plan after a window's own may have corrected it.
        let newest = mark.newest_window.filter(|newest| *newest <= now);
        let again = newest.map(|newest| Timestamp(newest.0.saturating_sub(2 * interval)));
        let from = match standing.until.max(again) {
            Some(from) => Some(from),
            None => self.first_row(Timestamp(i64::MIN)).await?,
        };
        let Some(mut from) = from else {
            return Ok(true);
        };
        let began = Instant::now();
        while let Some(next) = self.first_row(from).await? {
            if !self.leads() || began.elapsed() >= TURN {
                return Ok(false);
            }
            let hour = row_window(SeriesStep::TenMinutes, floor(next, HOUR));
            let window = crate::allocation::Window {
                start: next,
                ..hour
            };
            let Some((_, rows)) = self.pass(window, standing).await? else {
                return Ok(false);
            };
            let until = standing.until;
            if !rows.is_empty() && !self.write(&mut standing.clone(), &rows, until).await? {
                return Ok(false);
            }
            from = window.end;
        }
        Ok(true)
    }

    /// The start of the first window from an instant on that has history.
    async fn first_row(&self, from: Timestamp) -> Result<Option<Timestamp>, StoreError> {
        let (rows, mut read) = mpsc::channel::<HistoryRow>(1);
        let starts = from..Timestamp(i64::MAX);
        // Of the operations, no more is read than has to be.
        let nobody = Some(crate::allocation::OVERFLOW_OPERATION);
        let reading = self.shared.store.stream_history(starts, 1, nobody, rows);
        let (outcome, row) = tokio::join!(reading, read.recv());
        outcome?;
        Ok(row.map(|row| row.window.start))
    }

    /// The stored rows that are asked for.
    async fn stored(&self, asked: SeriesAsked) -> Result<Vec<SeriesRow>, StoreError> {
        let (rows, mut read) = mpsc::channel(8);
        let collecting = async {
            let mut found = Vec::new();
            while let Some(row) = read.recv().await {
                found.push(row);
            }
            found
        };
        let reading = self.shared.store.stream_series(asked, rows);
        let (outcome, found) = tokio::join!(reading, collecting);
        outcome?;
        Ok(found)
    }

    /// Writes rows, and up to where history is summed. Not if somebody else has moved on, or the database has gone
    /// back in time: the next run begins where the database stands then.
    async fn write(
        &self,
        standing: &mut Standing,
        rows: &[SeriesRow],
        until: Option<Timestamp>,
    ) -> Result<bool, StoreError> {
        let new = NewSeries {
            rows,
            names: standing.names.incarnation(),
            after: standing.until,
            until,
        };
        let settlement = self.shared.store.write_series(new).await?;
        if settlement != Settlement::Settled {
            tracing::info!(?settlement, "history is not summed further in this run");
            return Ok(false);
        }
        standing.until = until;
        Ok(true)
    }
}
