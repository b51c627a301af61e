//! Runs jobs when the scheduler sends their names.
//!
//! The scheduler is only a trigger: it would let runs overlap, and would not wait for them at a
//! stop. The runner skips a job that is still running, ends one that takes too long, survives one
//! that panics, and waits for running jobs when the process stops.

use std::collections::HashMap;
use std::error::Error;
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::time::Duration;

use async_trait::async_trait;
use futures_util::FutureExt;
use tokio::sync::mpsc;
use tokio_cron_scheduler::{Job as CronJob, JobScheduler, JobSchedulerError};
use tokio_util::sync::CancellationToken;
use tokio_util::task::TaskTracker;

use crate::clock::{Clock, Steps};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{JobName, Label, Metrics, RunOutcome};

/// How often to check whether the machine's clock was set.
const LOOK: Duration = Duration::from_millis(500);

/// Why a run failed.
pub type JobError = Box<dyn Error + Send + Sync>;

/// Work that is repeated on a schedule.
#[async_trait]
pub trait Job: Send + Sync + 'static {
    /// Its name, in logs and metrics.
    fn name(&self) -> JobName;

    /// When it is triggered: a cron expression with seconds, in UTC.
    fn schedule(&self) -> &'static str;

    /// How long a run may take before it is aborted.
    fn time_limit(&self) -> Duration;

    /// Runs once. It must be safe to drop at any `await`, and to run again.
    ///
    /// # Errors
    /// Any error is logged, and the next trigger tries again.
    async fn run(&self) -> Result<(), JobError>;

    /// Is told how a run ended, with the error if it failed.
    fn ended(&self, _outcome: RunOutcome, _error: Option<&JobError>) {}
}

/// Sends the names of jobs at their times.
pub struct Scheduler {
    schedules: Vec<(JobName, &'static str)>,
    triggers: mpsc::Sender<JobName>,
    inner: JobScheduler,
}

impl Scheduler {
    /// Starts the triggers.
    ///
    /// # Errors
    /// The scheduler's, if a schedule cannot be parsed.
    pub async fn start(
        jobs: &[Arc<dyn Job>],
        triggers: mpsc::Sender<JobName>,
    ) -> Result<Self, JobSchedulerError> {
        let schedules = jobs.iter().map(|job| (job.name(), job.schedule()));
        let schedules: Vec<_> = schedules.collect();
        let inner = scheduled(&schedules, &triggers).await?;
        Ok(Self {
            schedules,
            triggers,
            inner,
        })
    }

    /// Sends triggers until told to stop.
    ///
    /// The scheduler stores the time of day at which each job is due next. After the clock was set
    /// back by an hour, no job would run for an hour. So the scheduler is restarted then.
    pub async fn run(mut self, mut steps: Steps, metrics: Arc<Metrics>, stop: CancellationToken) {
        let mut looks = tokio::time::interval(LOOK);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            if let Some(step) = steps.step() {
                metrics.clock_steps.inc();
                let seconds = step.num_milliseconds() as f64 / 1000.0;
                tracing::warn!(seconds, "this machine's clock was set");
                match scheduled(&self.schedules, &self.triggers).await {
                    Ok(restarted) => end(&mut std::mem::replace(&mut self.inner, restarted)).await,
                    Err(error) => {
                        tracing::error!(error = chain(&error), "the scheduler did not start again");
                    }
                }
            }
        }
        end(&mut self.inner).await;
    }
}

async fn scheduled(
    schedules: &[(JobName, &'static str)],
    triggers: &mpsc::Sender<JobName>,
) -> Result<JobScheduler, JobSchedulerError> {
    let scheduler = JobScheduler::new().await?;
    for &(name, schedule) in schedules {
        let triggers = triggers.clone();
        let trigger = CronJob::new(schedule, move |_, _| {
            // If the queue is full, it contains this name already.
            let _ = triggers.try_send(name);
        })?;
        scheduler.add(trigger).await?;
    }
    scheduler.start().await?;
    Ok(scheduler)
}

async fn end(scheduler: &mut JobScheduler) {
    if let Err(error) = scheduler.shutdown().await {
        tracing::warn!(error = chain(&error), "the scheduler did not stop cleanly");
    }
}

struct Entry {
    job: Arc<dyn Job>,
    running: Arc<AtomicBool>,
}

/// Marks a job as running until it is dropped. However the run ends, the next trigger can start it.
struct Running(Arc<AtomicBool>);

impl Running {
    /// None if the job is running already.
    fn begin(running: &Arc<AtomicBool>) -> Option<Self> {
        let is_first = !running.swap(true, Ordering::AcqRel);
        is_first.then(|| Self(Arc::clone(running)))
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        self.0.store(false, Ordering::Release);
    }
}

/// Runs jobs by name, each at most once at a time.
pub struct Runner {
    entries: HashMap<JobName, Entry>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    running: TaskTracker,
}

impl Runner {
    /// A runner of these jobs.
    #[must_use]
    pub fn new(jobs: &[Arc<dyn Job>], clock: Arc<dyn Clock>, metrics: Arc<Metrics>) -> Self {
        let entry = |job: &Arc<dyn Job>| Entry {
            job: Arc::clone(job),
            running: Arc::default(),
        };
        let entries = jobs.iter().map(|job| (job.name(), entry(job))).collect();
        Self {
            entries,
            clock,
            metrics,
            running: TaskTracker::new(),
        }
    }

    /// Runs the jobs that are triggered until told to stop, then waits for those still running.
    pub async fn run(self, mut triggers: mpsc::Receiver<JobName>, stop: CancellationToken) {
        while let Some(Some(name)) = stop.run_until_cancelled(triggers.recv()).await {
            if let Some(entry) = self.entries.get(&name) {
                self.trigger(entry);
            }
        }
        self.running.close();
        self.running.wait().await;
    }

    fn trigger(&self, entry: &Entry) {
        let name = entry.job.name();
        let Some(running) = Running::begin(&entry.running) else {
            tracing::trace!(job = name.value(), "still running, skipped");
            self.metrics.job_runs.of((name, RunOutcome::Skipped)).inc();
            return;
        };
        let job = Arc::clone(&entry.job);
        let (clock, metrics) = (Arc::clone(&self.clock), Arc::clone(&self.metrics));
        self.running.spawn(async move {
            let (outcome, error) = run(&*job).await;
            log(name, outcome, error.as_ref());
            if outcome == RunOutcome::Succeeded {
                let now = clock.timestamp().0 as f64 / 1000.0;
                metrics.job_last_success.of(name).set(now);
            }
            metrics.job_runs.of((name, outcome)).inc();
            drop(running);
            job.ended(outcome, error.as_ref());
        });
    }
}

/// Runs a job once, within its time limit.
async fn run(job: &dyn Job) -> (RunOutcome, Option<JobError>) {
    let limited = tokio::time::timeout(job.time_limit(), job.run());
    match AssertUnwindSafe(limited).catch_unwind().await {
        Ok(Ok(Ok(()))) => (RunOutcome::Succeeded, None),
        Ok(Ok(Err(error))) => (RunOutcome::Failed, Some(error)),
        Ok(Err(_)) => (RunOutcome::TimedOut, None),
        Err(_) => (RunOutcome::Panicked, None),
    }
}

fn log(name: JobName, outcome: RunOutcome, error: Option<&JobError>) {
    let job = name.value();
    match outcome {
        RunOutcome::Succeeded | RunOutcome::Skipped => {}
        RunOutcome::Failed => {
            let error = error.map(|error| chain(&**error));
            tracing::warn!(job, error, "a job failed");
        }
        RunOutcome::TimedOut => tracing::warn!(job, "a job took too long and was ended"),
        RunOutcome::Panicked => tracing::error!(job, "a job panicked"),
    }
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::AtomicU32;

    use tokio::sync::Notify;

    use super::*;
    use crate::clock::SystemClock;

    /// Waits for a sign, gives it and fails, or never ends, by its name.
    struct Scripted {
        name: JobName,
        sign: Arc<Notify>,
    }

    /// Panics in its first run, and says how its runs ended.
    struct Panicking {
        runs: AtomicU32,
        ends: mpsc::UnboundedSender<RunOutcome>,
    }

    #[async_trait]
    impl Job for Panicking {
        fn name(&self) -> JobName {
            JobName::Recompute
        }

        fn schedule(&self) -> &'static str {
            "* * * * * *"
        }

        fn time_limit(&self) -> Duration {
            Duration::from_secs(3600)
        }

        async fn run(&self) -> Result<(), JobError> {
            let run = self.runs.fetch_add(1, Ordering::Relaxed);
            assert!(run > 0, "as asked");
            Ok(())
        }

        fn ended(&self, outcome: RunOutcome, _: Option<&JobError>) {
            self.ends.send(outcome).unwrap();
        }
    }

    #[tokio::test]
    async fn a_job_that_panics_runs_again_at_the_next_trigger() {
        let (ends, mut ended) = mpsc::unbounded_channel();
        let job = Panicking {
            runs: AtomicU32::new(0),
            ends,
        };
        let metrics = Arc::new(Metrics::new());
        let jobs: [Arc<dyn Job>; 1] = [Arc::new(job)];
        let runner = Runner::new(&jobs, Arc::new(SystemClock), Arc::clone(&metrics));
        let (triggers, triggered) = mpsc::channel(1);
        let running = tokio::spawn(runner.run(triggered, CancellationToken::new()));
        for expected in [RunOutcome::Panicked, RunOutcome::Succeeded] {
            triggers.send(JobName::Recompute).await.unwrap();
            assert_eq!(ended.recv().await, Some(expected));
            let runs = metrics.job_runs.of((JobName::Recompute, expected));
            assert_eq!(runs.get(), 1);
        }
        drop(triggers);
        running.await.unwrap();
    }

    #[async_trait]
    impl Job for Scripted {
        fn name(&self) -> JobName {
            self.name
        }

        fn schedule(&self) -> &'static str {
            "* * * * * *"
        }

        fn time_limit(&self) -> Duration {
            match self.name {
                JobName::Maintain => Duration::ZERO,
                _ => Duration::from_secs(3600),
            }
        }

        async fn run(&self) -> Result<(), JobError> {
            match self.name {
                JobName::Settle => self.sign.notified().await,
                JobName::Recompute => {
                    self.sign.notify_one();
                    return Err("as asked".into());
                }
                JobName::Maintain | JobName::Measure | JobName::Downsample => {
                    std::future::pending::<()>().await;
                }
            }
            Ok(())
        }
    }

    #[tokio::test]
    async fn runs_are_counted_by_how_they_ended() {
        let sign = Arc::new(Notify::new());
        let job = |&name| {
            let sign = Arc::clone(&sign);
            Arc::new(Scripted { name, sign }) as Arc<dyn Job>
        };
        let jobs: Vec<_> = JobName::ALL.iter().map(job).collect();
        let metrics = Arc::new(Metrics::new());
        let runner = Runner::new(&jobs, Arc::new(SystemClock), Arc::clone(&metrics));
        let (triggers, triggered) = mpsc::channel(4);
        // The third gives the sign that the first waits for, after the second was passed over.
        for name in [
            JobName::Settle,
            JobName::Settle,
            JobName::Recompute,
            JobName::Maintain,
        ] {
            triggers.send(name).await.unwrap();
        }
        drop(triggers);
        runner.run(triggered, CancellationToken::new()).await;

        let expected = [
            (JobName::Settle, RunOutcome::Succeeded),
            (JobName::Settle, RunOutcome::Skipped),
            (JobName::Recompute, RunOutcome::Failed),
            (JobName::Maintain, RunOutcome::TimedOut),
        ];
        for &name in JobName::ALL {
            for &outcome in RunOutcome::ALL {
                let count = u64::from(expected.contains(&(name, outcome)));
                let counted = metrics.job_runs.of((name, outcome)).get();
                assert_eq!(counted, count, "{name:?} {outcome:?}");
            }
            let succeeded = metrics.job_last_success.of(name).get() > 0.0;
            assert_eq!(succeeded, name == JobName::Settle);
        }
    }
}
