//! Group commit: many reports in one transaction, acknowledged after it.
//!
//! Reports wait in a bounded queue. A task takes the reports that have gathered, at most one of
//! each (agent, epoch), and commits them while the next group gathers. If the queue is full, a
//! report is refused at once: memory stays bounded while the database is away.

use std::collections::{HashSet, VecDeque};
use std::hash::{BuildHasher, RandomState};
use std::panic::AssertUnwindSafe;
use std::sync::Arc;
use std::time::Instant;

use futures_util::FutureExt;
use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};
use tokio::task::JoinSet;

use super::desk::{Answers, Desk, Said, Waiter};
use super::{COMMIT_TIME_LIMIT, ReportLimits};
use crate::store::{Admission, BucketCounts, ResolvedReport, Store, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{CommitOutcome, Gauge, Metrics, TaskName, TaskOutcome};
use crate::telemetry::seldom::log_seldom;

/// Reports that may wait.
const QUEUE_REPORTS: usize = 8192;
/// Counts that may wait or be in a transaction, over all reports: at most 40 bytes each, so 80 MiB.
const QUEUE_COUNTS: usize = 2 << 20;

// A single report must fit: every operation in every bucket that its window covers.
const _: () = assert!(ReportLimits::OPERATIONS * ReportLimits::BUCKETS as usize <= QUEUE_COUNTS);

/// Reports in one transaction.
const GROUP_REPORTS: usize = 2048;
/// Counts in one transaction, unless a single report has more.
const GROUP_COUNTS: usize = 400_000;
/// Transactions at a time: one commits while the next is prepared.
const GROUPS_AT_ONCE: usize = 2;

/// The result of a report whose group was committed.
#[derive(Debug)]
pub enum Committed {
    /// It was counted, or never will be.
    Admitted(Admission),
    /// Its numbers are no longer valid. It is returned, to get new ones.
    OtherNames(ResolvedReport),
}

/// Why a report was not committed.
#[derive(Debug, Clone, thiserror::Error)]
pub enum CommitError {
    /// The queue is full.
    #[error("too many reports are waiting for the database")]
    Overloaded,
    /// The store failed; one error for the whole group.
    #[error("the database did not store the report")]
    Store(#[source] Arc<StoreError>),
    /// The transaction took too long. Nobody knows whether it was committed.
    #[error("the database did not answer in time")]
    Late,
    /// The process is stopping; another replica will accept the report.
    #[error("this replica is stopping")]
    Stopping,
    /// The commit panicked. Nobody knows whether it was committed.
    #[error("the commit panicked")]
    Panicked,
}

struct Waiting {
    report: ResolvedReport,
    counts: usize,
    answer: oneshot::Sender<Said>,
    desk: Arc<Desk>,
    _room: OwnedSemaphorePermit,
    _counted: WaitingGauge,
}

/// Counts a report as waiting for as long as this value exists.
struct WaitingGauge(Gauge);

impl WaitingGauge {
    fn new(waiting: &Gauge) -> Self {
        waiting.inc();
        Self(waiting.clone())
    }
}

impl Drop for WaitingGauge {
    fn drop(&mut self) {
        self.0.dec();
    }
}

/// Passes reports to the task that commits them.
#[derive(Clone)]
pub struct Committer {
    store: Arc<dyn Store>,
    queue: mpsc::Sender<Waiting>,
    room: Arc<Semaphore>,
    metrics: Arc<Metrics>,
}

/// The task that commits. It runs until every [`Committer`] is dropped and the queue is empty.
pub struct CommitterTask {
    queue: mpsc::Receiver<Waiting>,
    store: Arc<dyn Store>,
    metrics: Arc<Metrics>,
}

impl Committer {
    /// A committer and its task.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, metrics: Arc<Metrics>) -> (Self, CommitterTask) {
        let (sender, receiver) = mpsc::channel(QUEUE_REPORTS);
        let committer = Self {
            store: Arc::clone(&store),
            queue: sender,
            room: Arc::new(Semaphore::new(QUEUE_COUNTS)),
            metrics: Arc::clone(&metrics),
        };
        (
            committer,
            CommitterTask {
                queue: receiver,
                store,
                metrics,
            },
        )
    }

    /// Where it commits.
    pub(super) fn store(&self) -> Arc<dyn Store> {
        Arc::clone(&self.store)
    }

    /// Commits a report with its group, and returns after the transaction.
    ///
    /// # Errors
    /// After any error, nothing may be acknowledged.
    pub async fn commit(&self, report: ResolvedReport) -> Result<Committed, CommitError> {
        let counts: usize = 1 + report
            .buckets
            .iter()
            .map(BucketCounts::entries)
            .sum::<usize>();
        let permits = u32::try_from(counts.min(QUEUE_COUNTS)).unwrap_or(u32::MAX);
        let room = Arc::clone(&self.room)
            .try_acquire_many_owned(permits)
            .map_err(|_| CommitError::Overloaded)?;
        // Lives longer than the receiver, which is dropped as soon as it is not waited for any more.
        let waiter = Waiter::here();
        let (answer, answered) = oneshot::channel();
        let waiting = Waiting {
            report,
            counts,
            answer,
            desk: waiter.desk(),
            _room: room,
            _counted: WaitingGauge::new(&self.metrics.reports_waiting),
        };
        self.queue
            .try_send(waiting)
            .map_err(|refused| match refused {
                TrySendError::Full(_) => CommitError::Overloaded,
                TrySendError::Closed(_) => CommitError::Stopping,
            })?;
        // Without an answer the group panicked, or the task ended with the report in its hands.
        // Either way it is unknown whether the report was committed.
        answered.await.unwrap_or_else(|_| {
            Err(match self.queue.is_closed() {
                true => CommitError::Stopping,
                false => CommitError::Panicked,
            })
        })
    }
}

impl CommitterTask {
    /// Commits until the queue is closed and empty.
    pub async fn run(mut self) {
        let mut held: VecDeque<Waiting> = VecDeque::new();
        let mut commits = JoinSet::new();
        loop {
            if held.is_empty() {
                match self.queue.recv().await {
                    Some(waiting) => held.push_back(waiting),
                    None => break,
                }
            }
            while commits.len() >= GROUPS_AT_ONCE {
                commits.join_next().await;
            }
            while held.len() < QUEUE_REPORTS {
                match self.queue.try_recv() {
                    Ok(waiting) => held.push_back(waiting),
                    Err(_) => break,
                }
            }
            let group = take_group(&mut held);
            let (store, metrics) = (Arc::clone(&self.store), Arc::clone(&self.metrics));
            commits.spawn(contained(store, metrics, group));
        }
        while commits.join_next().await.is_some() {}
    }
}

/// Takes the reports for one transaction. A second report of an (agent, epoch) stays for the next.
fn take_group(held: &mut VecDeque<Waiting>) -> Vec<Waiting> {
    let mut group: Vec<Waiting> = Vec::new();
    // By their hashes: one that looks like another waits for the next group.
    let (mut agents, hasher) = (HashSet::new(), RandomState::new());
    let mut rest = VecDeque::new();
    let mut counts = 0;
    while let Some(waiting) = held.pop_front() {
        let fits = group.is_empty()
            || (group.len() < GROUP_REPORTS && counts + waiting.counts <= GROUP_COUNTS);
        let key = (waiting.report.agent.as_str(), waiting.report.epoch);
        if fits && agents.insert(hasher.hash_one(key)) {
            counts += waiting.counts;
            group.push(waiting);
        } else {
            rest.push_back(waiting);
        }
    }
    *held = rest;
    group
}

/// Commits a group. A panic ends this group only: it is counted, and the reports get no answer,
/// which [`Committer::commit`] turns into an error.
async fn contained(store: Arc<dyn Store>, metrics: Arc<Metrics>, group: Vec<Waiting>) {
    let committing = commit(store, Arc::clone(&metrics), group);
    if AssertUnwindSafe(committing).catch_unwind().await.is_err() {
        metrics.commits.of(CommitOutcome::Panicked).inc();
        let end = (TaskName::Commit, TaskOutcome::Panicked);
        metrics.task_ends.of(end).inc();
    }
}

async fn commit(store: Arc<dyn Store>, metrics: Arc<Metrics>, group: Vec<Waiting>) {
    let counts: usize = group.iter().map(|waiting| waiting.counts).sum();
    metrics.commit_reports.observe(group.len() as f64);
    metrics.commit_counts.observe(counts as f64);
    let mut reports = Vec::with_capacity(group.len());
    let mut answers = Vec::with_capacity(group.len());
    for waiting in group {
        reports.push(waiting.report);
        let place = (waiting._room, waiting._counted);
        answers.push((waiting.desk, waiting.answer, place));
    }
    let started = Instant::now();
    let committed = tokio::time::timeout(COMMIT_TIME_LIMIT, store.commit_reports(&reports)).await;
    metrics
        .commit_seconds
        .observe(started.elapsed().as_secs_f64());
    metrics.commits.of(ended(&committed)).inc();
    let outcome = match committed {
        Ok(Ok(admissions)) => Ok(admissions),
        Ok(Err(error)) => {
            tracing::debug!(
                error = chain(&error),
                reports = reports.len(),
                "reports not committed"
            );
            Err(CommitError::Store(Arc::new(error)))
        }
        Err(_) => {
            log_seldom!(
                warn,
                reports = reports.len(),
                "a commit of reports took too long"
            );
            Err(CommitError::Late)
        }
    };
    let waiting = answers.into_iter().zip(reports);
    let mut answers = Answers::default();
    for (index, ((desk, answer, _place), report)) in waiting.enumerate() {
        let said = match &outcome {
            Ok(admissions) => match admissions.get(index) {
                Some(Admission::OtherNames) => Ok(Committed::OtherNames(report)),
                Some(admission) => Ok(Committed::Admitted(*admission)),
                None => Err(CommitError::Late),
            },
            Err(error) => Err(error.clone()),
        };
        answers.add(desk, answer, said);
    }
    answers.leave();
}

/// The outcome of a group commit for the metrics.
fn ended<T>(
    committed: &Result<Result<T, StoreError>, tokio::time::error::Elapsed>,
) -> CommitOutcome {
    match committed {
        Ok(Ok(_)) => CommitOutcome::Committed,
        Ok(Err(_)) => CommitOutcome::Failed,
        Err(_) => CommitOutcome::Late,
    }
}
