//! Runs jobs when the scheduler says their names.
//!
//! The scheduler is a trigger only: it would let runs overlap and would not wait for them at
//! the end. The runner skips a job that still runs, ends one that takes too long, and waits for
//! what runs when the process stops.

use std::collections::HashMap;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::telemetry::logging::chain;

/// Something that is done again and again.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// Its name, in logs and on the command line.
    fn name(&self) -> &'static str;

    /// When it is triggered: a cron expression with seconds, in UTC.
    fn schedule(&self) -> &'static str;

    /// How long a run may take before it is ended.
    fn time_limit(&self) -> Duration;

    /// Does it once. Must be safe to end at any `await` and to do again.
    ///
    /// # Errors
    /// Anything; it is logged, and the next trigger tries again.
    async fn run(&self) -> Result<(), Box<dyn std::error::Error + Send + Sync>>;
}

/// Sends jobs' names at their times.
pub struct Scheduler {
    inner: JobScheduler,
}

impl Scheduler {
    /// Starts triggering.
    ///
    /// # Errors
    /// The scheduler's, when a schedule does not parse.
    pub async fn start(
        jobs: &[Arc<dyn Job>],
        triggers: mpsc::Sender<&'static str>,
    ) -> Result<Self, JobSchedulerError> {
        let inner = JobScheduler::new().await?;
        for job in jobs {
            let name = job.name();
            let triggers = triggers.clone();
            let trigger = CronJob::new(job.schedule(), move |_, _| {
                // A full queue holds this name already.
                let _ = triggers.try_send(name);
            })?;
            inner.add(trigger).await?;
        }
        inner.start().await?;
        Ok(Self { inner })
    }

    /// Stops triggering.
    pub async fn stop(&mut self) {
        if let Err(error) = self.inner.shutdown().await {
            tracing::warn!(error = chain(&error), "the scheduler did not stop cleanly");
        }
    }
}

struct Entry {
    job: Arc<dyn Job>,
    running: Arc<AtomicBool>,
}

/// Runs jobs by name, each at most once at a time.
pub struct Runner {
    entries: HashMap<&'static str, Entry>,
    running: TaskTracker,
}

impl Runner {
    /// A runner of these jobs.
    #[must_use]
    pub fn new(jobs: &[Arc<dyn Job>]) -> Self {
        let entry = |job: &Arc<dyn Job>| Entry {
            job: Arc::clone(job),
            running: Arc::default(),
        };
        let entries = jobs.iter().map(|job| (job.name(), entry(job))).collect();
        Self {
            entries,
            running: TaskTracker::new(),
        }
    }

    /// Follows the triggers until told to stop, then waits for what still runs.
    pub async fn run(self, mut triggers: mpsc::Receiver<&'static str>, stop: CancellationToken) {
        while let Some(Some(name)) = stop.run_until_cancelled(triggers.recv()).await {
            if let Some(entry) = self.entries.get(name) {
                self.trigger(entry);
            }
        }
        self.running.close();
        self.running.wait().await;
    }

    fn trigger(&self, entry: &Entry) {
        if entry.running.swap(true, Ordering::AcqRel) {
            tracing::trace!(job = entry.job.name(), "still running, skipped");
            return;
        }
        let job = Arc::clone(&entry.job);
        let running = Arc::clone(&entry.running);
        self.running.spawn(async move {
            let ended = tokio::time::timeout(job.time_limit(), job.run()).await;
            match ended {
                Ok(Ok(())) => {}
                Ok(Err(error)) => {
                    tracing::warn!(job = job.name(), error = chain(&*error), "a job failed");
                }
                Err(_) => tracing::warn!(job = job.name(), "a job took too long and was ended"),
            }
            running.store(false, Ordering::Release);
        });
    }
}
