//! All long-lived tasks of the process, and what happens when one ends.
//!
//! A task ends early if it returns, fails or panics. Its policy says what happens then: the
//! supervisor starts it again after a pause ([`Supervisor::keep`]), or the process ends with an
//! error ([`Supervisor::require`]). Either way, the end is logged and counted. A task learns from a
//! token that it should stop, and then returns. If it does not return in time, it is aborted.

use std::error::Error;
use std::fmt;
use std::panic::AssertUnwindSafe;
use std::sync::{Arc, OnceLock};
use std::time::Duration;

use futures_util::FutureExt;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Label, Metrics, TaskName, TaskOutcome};

/// The first pause before a task is started again. Each further one is twice as long.
const FIRST_PAUSE: Duration = Duration::from_millis(100);

/// The longest pause.
const LONGEST_PAUSE: Duration = Duration::from_secs(30);

/// After a task has run for this long, its next pause is the first one again.
const WELL_AFTER: Duration = Duration::from_secs(60);

/// The result of a task.
pub type TaskResult = Result<(), Box<dyn Error + Send + Sync>>;

/// How a required task ended before it was told to stop.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TaskEnd {
    /// The task.
    pub task: TaskName,
    /// How it ended.
    pub outcome: TaskOutcome,
    /// Its error, if it had one.
    pub error: Option<String>,
}

impl fmt::Display for TaskEnd {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let task = self.task.value();
        match (&self.error, self.outcome) {
            (Some(error), _) => write!(f, "the task {task} failed: {error}"),
            (None, TaskOutcome::Panicked) => write!(f, "the task {task} panicked"),
            (None, _) => write!(f, "the task {task} ended by itself"),
        }
    }
}

impl Error for TaskEnd {}

/// Owns all tasks.
pub struct Supervisor {
    tasks: Vec<Task>,
    metrics: Arc<Metrics>,
    fatal: Fatal,
}

struct Task {
    name: TaskName,
    stop: CancellationToken,
    running: JoinHandle<()>,
}

/// The first end of a required task, and the token that announces it.
#[derive(Clone, Default)]
struct Fatal {
    first: Arc<OnceLock<TaskEnd>>,
    sign: CancellationToken,
}

impl Supervisor {
    /// Has no tasks yet.
    #[must_use]
    pub fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            tasks: Vec::new(),
            metrics,
            fatal: Fatal::default(),
        }
    }

    /// Runs a task that the process needs. If it ends before it is told to stop,
    /// [`Supervisor::fatal`] returns.
    pub fn require<F>(&mut self, name: TaskName, task: impl FnOnce(CancellationToken) -> F)
    where
        F: Future<Output = TaskResult> + Send + 'static,
    {
        let (stop, metrics, fatal) = self.new_task();
        let running = task(stop.clone());
        let supervised = {
            let stop = stop.clone();
            async move {
                let end = end_of(name, running).await;
                if !stop.is_cancelled() || end.outcome == TaskOutcome::Panicked {
                    note(&metrics, &end, "the process ends");
                }
                if !stop.is_cancelled() {
                    // Only the first matters; later ones follow from it.
                    let _ = fatal.first.set(end);
                    fatal.sign.cancel();
                }
            }
        };
        self.spawn(name, stop, supervised);
    }

    /// Runs a task that is started again whenever it ends before it is told to stop.
    pub fn keep<F>(
        &mut self,
        name: TaskName,
        mut task: impl FnMut(CancellationToken) -> F + Send + 'static,
    ) where
        F: Future<Output = TaskResult> + Send + 'static,
    {
        let (stop, metrics, _) = self.new_task();
        let supervised = {
            let stop = stop.clone();
            async move {
                let mut pauses = Pauses::default();
                loop {
                    let started = Instant::now();
                    // Created inside, so that a panic while the task is created counts too.
                    let running = async { task(stop.clone()).await };
                    let end = end_of(name, running).await;
                    if stop.is_cancelled() && end.outcome != TaskOutcome::Panicked {
                        break;
                    }
                    note(&metrics, &end, "it is started again");
                    let pause = pauses.next(started.elapsed());
                    let paused = stop.run_until_cancelled(tokio::time::sleep(pause));
                    if paused.await.is_none() {
                        break;
                    }
                }
            }
        };
        self.spawn(name, stop, supervised);
    }

    fn new_task(&self) -> (CancellationToken, Arc<Metrics>, Fatal) {
        let (metrics, fatal) = (Arc::clone(&self.metrics), self.fatal.clone());
        (CancellationToken::new(), metrics, fatal)
    }

    fn spawn(
        &mut self,
        name: TaskName,
        stop: CancellationToken,
        supervised: impl Future<Output = ()> + Send + 'static,
    ) {
        let running = tokio::spawn(supervised);
        self.tasks.push(Task {
            name,
            stop,
            running,
        });
    }

    /// Returns when a required task has ended before it was told to stop.
    pub async fn fatal(&self) -> TaskEnd {
        self.fatal.sign.cancelled().await;
        let first = self.fatal.first.get();
        first.expect("it is set before the sign is given").clone()
    }

    /// Tells these tasks to stop, and waits for them until `deadline`. Tasks that are still running
    /// then are aborted. Returns whether all of them stopped in time.
    pub async fn stop(&mut self, names: &[TaskName], deadline: Instant) -> bool {
        let named = |task: &mut Task| names.contains(&task.name);
        let mut stopping: Vec<Task> = self.tasks.extract_if(.., named).collect();
        stopping.iter().for_each(|task| task.stop.cancel());
        let mut in_time = true;
        for task in &mut stopping {
            let stopped = tokio::time::timeout_at(deadline, &mut task.running).await;
            if stopped.is_err() {
                tracing::warn!(task = task.name.value(), "a task did not stop in time");
                task.running.abort();
                in_time = false;
            }
        }
        in_time
    }
}

impl Drop for Supervisor {
    /// Aborts all tasks, so that none outlives the supervisor.
    fn drop(&mut self) {
        self.tasks.iter().for_each(|task| task.running.abort());
    }
}

async fn end_of(task: TaskName, running: impl Future<Output = TaskResult>) -> TaskEnd {
    let (outcome, error) = match AssertUnwindSafe(running).catch_unwind().await {
        Ok(Ok(())) => (TaskOutcome::Returned, None),
        Ok(Err(error)) => (TaskOutcome::Failed, Some(chain(&*error))),
        Err(_) => (TaskOutcome::Panicked, None),
    };
    TaskEnd {
        task,
        outcome,
        error,
    }
}

fn note(metrics: &Metrics, end: &TaskEnd, consequence: &str) {
    metrics.task_ends.of((end.task, end.outcome)).inc();
    tracing::error!(
        task = end.task.value(),
        outcome = end.outcome.value(),
        error = end.error,
        consequence,
        "a task ended"
    );
}

/// The pauses between starts. Each is twice the one before; randomness makes them differ between
/// replicas.
struct Pauses(Duration);

impl Default for Pauses {
    fn default() -> Self {
        Self(FIRST_PAUSE)
    }
}

impl Pauses {
    /// The pause after a run of this length.
    fn next(&mut self, ran: Duration) -> Duration {
        if ran >= WELL_AFTER {
            self.0 = FIRST_PAUSE;
        }
        let pause = self.0;
        self.0 = (pause * 2).min(LONGEST_PAUSE);
        pause / 2 + pause.mul_f64(random() / 2.0)
    }
}

/// A random number between 0 and 1, without a dependency on a generator.
fn random() -> f64 {
    let (bits, _) = Uuid::new_v4().as_u64_pair();
    // The upper half has no fixed bits.
    f64::from((bits >> 32) as u32) / f64::from(u32::MAX)
}

#[cfg(test)]
mod tests {
    use std::sync::atomic::{AtomicU32, Ordering};

    use super::*;

    fn counted(metrics: &Metrics, task: TaskName) -> Vec<(TaskOutcome, u64)> {
        let all = TaskOutcome::ALL.iter();
        all.map(|&outcome| (outcome, metrics.task_ends.of((task, outcome)).get()))
            .filter(|(_, count)| *count > 0)
            .collect()
    }

    fn soon() -> Instant {
        Instant::now() + Duration::from_secs(60)
    }

    #[tokio::test]
    async fn a_kept_task_is_started_again_however_it_ends() {
        let metrics = Arc::new(Metrics::new());
        let mut supervisor = Supervisor::new(Arc::clone(&metrics));
        let starts = Arc::new(AtomicU32::new(0));
        let (arrived, mut arrivals) = tokio::sync::mpsc::unbounded_channel();
        supervisor.keep(TaskName::Follower, move |stop| {
            let (start, arrived) = (starts.fetch_add(1, Ordering::Relaxed), arrived.clone());
            async move {
                match start {
                    0 => panic!("as asked"),
                    1 => Err("as asked".into()),
                    2 => Ok(()),
                    _ => {
                        arrived.send(start)?;
                        stop.cancelled().await;
                        Ok(())
                    }
                }
            }
        });
        assert_eq!(arrivals.recv().await, Some(3));
        assert!(supervisor.stop(&[TaskName::Follower], soon()).await);
        let ends = [
            (TaskOutcome::Returned, 1),
            (TaskOutcome::Failed, 1),
            (TaskOutcome::Panicked, 1),
        ];
        assert_eq!(counted(&metrics, TaskName::Follower), ends);
        assert!(supervisor.fatal().now_or_never().is_none());
    }

    #[tokio::test]
    async fn the_end_of_a_required_task_is_fatal_unless_it_was_told_to_stop() {
        let metrics = Arc::new(Metrics::new());
        let mut supervisor = Supervisor::new(Arc::clone(&metrics));
        supervisor.require(TaskName::SdkListener, |stop| async move {
            stop.cancelled().await;
            Ok(())
        });
        supervisor.require(TaskName::Committer, |_| async { panic!("as asked") });
        let end = supervisor.fatal().await;
        assert_eq!(end.to_string(), "the task committer panicked");
        assert!(supervisor.stop(&[TaskName::SdkListener], soon()).await);
        assert_eq!(counted(&metrics, TaskName::SdkListener), []);
        let ends = [(TaskOutcome::Panicked, 1)];
        assert_eq!(counted(&metrics, TaskName::Committer), ends);
    }

    #[tokio::test]
    async fn a_task_that_does_not_stop_in_time_is_aborted() {
        let mut supervisor = Supervisor::new(Arc::new(Metrics::new()));
        let held = Arc::new(());
        let holder = Arc::clone(&held);
        supervisor.keep(TaskName::Follower, move |_| {
            let holder = Arc::clone(&holder);
            async move {
                let _holder = holder;
                std::future::pending().await
            }
        });
        let now = Instant::now();
        assert!(!supervisor.stop(&[TaskName::Follower], now).await);
        while Arc::strong_count(&held) > 1 {
            tokio::task::yield_now().await;
        }
    }

    #[test]
    fn pauses_grow_to_a_limit_and_begin_again_after_a_long_run() {
        let mut pauses = Pauses::default();
        for _ in 0..20 {
            assert!(pauses.next(Duration::ZERO) <= LONGEST_PAUSE);
        }
        assert!(pauses.next(Duration::ZERO) >= LONGEST_PAUSE / 2);
        assert!(pauses.next(WELL_AFTER) <= FIRST_PAUSE);
    }
}
