//! A [`Store`](super::Store) on top of any backend: everything that is the same for all backends.
//!
//! Every call is bounded in time, and tried again if it conflicted with another transaction. Its
//! failure gets a name and a kind. A store that is [watched](Guarded::watched) also measures its
//! calls, and writes nothing while its tables are not sound.

mod calls;
pub(super) mod limited;
mod maintain;

use std::fmt;
use std::future::Future;
use std::sync::Arc;
use std::time::{Duration, Instant};

use super::StoreError;
use super::backend::Backend;
use super::fault::Fault;
use super::soundness::Gate;
use crate::health::DatabaseState;
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Label, Metrics, StoreCall, StoreFailure};
use crate::telemetry::seldom::Seldom;
use limited::Limited;

/// How often a failed or slow call is logged. Otherwise a database that is away would fill the log.
const SELDOM: Duration = Duration::from_secs(10);

/// A store in a database.
pub struct Guarded<B> {
    limited: Limited<B>,
    watch: Option<Watch>,
}

/// Watches the calls.
struct Watch {
    gate: Gate,
    metrics: Arc<Metrics>,
    /// A call that takes longer than this is slow.
    slow: Duration,
    lines: Vec<Lines>,
}

/// Limits the log lines.
struct Lines {
    failed: Seldom,
    slow: Seldom,
}

impl<B: fmt::Debug> fmt::Debug for Guarded<B> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Guarded")
            .field("backend", &self.limited.0)
            .finish_non_exhaustive()
    }
}

impl<B> Guarded<B> {
    /// Counts calls, and logs those that fail or take longer than `slow`. Stores in `database`
    /// whether the tables are sound. A call that its caller dropped is not counted here: the caller
    /// counts it.
    #[must_use]
    pub fn watched(self, slow: Duration, metrics: Arc<Metrics>, database: DatabaseState) -> Self {
        let lines = |_| Lines {
            failed: Seldom::new(SELDOM),
            slow: Seldom::new(SELDOM),
        };
        Self {
            watch: Some(Watch {
                gate: Gate::new(database),
                metrics,
                slow,
                lines: StoreCall::ALL.iter().map(lines).collect(),
            }),
            ..self
        }
    }
}

impl<B: Backend> Guarded<B> {
    /// A store that is not watched.
    pub(super) fn new(backend: B) -> Self {
        Self {
            limited: Limited(backend),
            watch: None,
        }
    }

    /// Runs a call that reads.
    async fn read<T, F>(&self, call: StoreCall, attempt: impl FnMut() -> F) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        self.count(call, self.limited.run(call, attempt)).await
    }

    /// Runs a call that passes rows on as they arrive.
    async fn stream<T>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, Fault>>,
    ) -> Result<T, StoreError> {
        self.count(call, self.limited.once(call, work)).await
    }

    /// Runs a call that writes rows. It needs sound tables.
    async fn write<T, F>(
        &self,
        call: StoreCall,
        attempt: impl FnMut() -> F,
    ) -> Result<T, StoreError>
    where
        F: Future<Output = Result<T, Fault>>,
    {
        let work = async {
            if let Some(watch) = &self.watch {
                watch.gate.pass(&self.limited).await?;
            }
            self.limited.run(call, attempt).await
        };
        self.count(call, work).await
    }

    async fn count<T>(
        &self,
        call: StoreCall,
        work: impl Future<Output = Result<T, StoreError>>,
    ) -> Result<T, StoreError> {
        let Some(watch) = &self.watch else {
            return work.await;
        };
        let started = Instant::now();
        let outcome = match work.await {
            Ok(done) => {
                watch.gate.reopen(&self.limited).await;
                Ok(done)
            }
            Err(error) => Err(watch.gate.explain(&self.limited, error).await),
        };
        watch.note(call, &outcome, started.elapsed());
        outcome
    }
}

impl Watch {
    fn note<T>(&self, call: StoreCall, outcome: &Result<T, StoreError>, took: Duration) {
        let histogram = self.metrics.database_call.of(call);
        histogram.observe(took.as_secs_f64());
        if let Err(error) = outcome {
            let failure = StoreFailure::from(error);
            self.metrics.database_errors.of((call, failure)).inc();
            self.log_failure(call, failure, error, took);
        }
        self.log_slowness(call, took);
    }

    fn log_failure(&self, call: StoreCall, kind: StoreFailure, error: &StoreError, took: Duration) {
        if let Some(unsaid) = self.lines[call.place()].failed.pass() {
            tracing::warn!(
                call = call.value(),
                kind = kind.value(),
                error = chain(error),
                took_milliseconds = took.as_millis() as u64,
                unsaid,
                "a database call failed"
            );
        }
    }

    fn log_slowness(&self, call: StoreCall, took: Duration) {
        if took < self.slow {
            return;
        }
        if let Some(unsaid) = self.lines[call.place()].slow.pass() {
            tracing::warn!(
                call = call.value(),
                took_milliseconds = took.as_millis() as u64,
                unsaid,
                "a database call was slow"
            );
        }
    }
}

impl From<&StoreError> for StoreFailure {
    fn from(error: &StoreError) -> Self {
        match error {
            error if error.is_full() => Self::Full,
            StoreError::Unavailable { .. } => Self::Unavailable,
            StoreError::Corrupt { .. } => Self::Corrupt,
            StoreError::Unsound { .. } => Self::Unsound,
            StoreError::NewerFormat { .. } => Self::NewerFormat,
            StoreError::Failed { .. } => Self::Failed,
        }
    }
}
