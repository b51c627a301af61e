//! Reports in: parsed, resolved, spread over buckets, committed in groups, acknowledged.
//!
//! Read [`Ingest::accept`] first: it is the whole way of a report.

mod buckets;
mod commit;
mod instances;
mod report;
mod tally;

use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub use commit::{CommitError, Committer, CommitterTask};
pub use report::{Report, ReportError, ReportLimits};

use crate::clock::Clock;
use crate::dictionary::Dictionary;
use crate::store::{Admission, ResolvedReport, StoreError};
use crate::telemetry::metrics::Metrics;
use instances::Seen;
use tally::Tally;

/// Takes reports; shared by every protocol that brings some.
#[derive(Clone)]
pub struct Ingest {
    dictionary: Arc<Dictionary>,
    committer: Committer,
    clock: Arc<dyn Clock>,
    limits: ReportLimits,
    metrics: Arc<Metrics>,
}

/// Why a report was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// The report itself is wrong: sending it again will not help.
    #[error(transparent)]
    Report(#[from] ReportError),
    /// Nobody can tell any more whether this sequence was counted; the agent takes a new epoch.
    #[error("the sequence lies too far behind the newest of its epoch")]
    TooFarBehind,
    /// Too much waits for the database; sending it again later will help.
    #[error("too many reports wait for the database")]
    Overloaded,
    /// The database did not take it; sending it again later will help.
    #[error("the database did not take the report")]
    Store(#[source] Arc<StoreError>),
    /// The commit took longer than it may; sending it again later will help.
    #[error("the database did not answer in time")]
    Late,
}

/// How a report was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// Its counts are stored now.
    Counted,
    /// They had been before.
    Duplicate,
}

impl Ingest {
    /// Puts the parts together.
    #[must_use]
    pub fn new(
        dictionary: Arc<Dictionary>,
        committer: Committer,
        clock: Arc<dyn Clock>,
        limits: ReportLimits,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            dictionary,
            committer,
            clock,
            limits,
            metrics,
        }
    }

    /// The limits that reports are held to.
    #[must_use]
    pub fn limits(&self) -> ReportLimits {
        self.limits
    }

    /// Where reports are counted.
    #[must_use]
    pub fn metrics(&self) -> &Metrics {
        &self.metrics
    }

    /// Takes one report, and returns once its counts are durable.
    ///
    /// # Errors
    /// After any error nothing of the report is acknowledged; [`IngestError`] says whether
    /// sending it again can help.
    pub async fn accept(
        &self,
        body: impl Deref<Target = [u8]>,
    ) -> Result<Acknowledged, IngestError> {
        let resolving = tokio::time::timeout(COMMIT_TIME_LIMIT, self.resolve(body));
        let (resolved, tally) = resolving.await.map_err(|_| IngestError::Late)??;
        match self.committer.commit(resolved).await? {
            Admission::Counted => {
                tally.count(&self.metrics, self.clock.timestamp());
                Ok(Acknowledged::Counted)
            }
            Admission::Duplicate => Ok(Acknowledged::Duplicate),
            Admission::TooFarBehind => Err(IngestError::TooFarBehind),
        }
    }
}

impl Ingest {
    /// Parses a report and finds its names' numbers. The body ends here: a report that waits for
    /// the database is as small as its counts.
    async fn resolve(
        &self,
        body: impl Deref<Target = [u8]>,
    ) -> Result<(ResolvedReport, Tally), IngestError> {
        let report = Report::parse(&body, self.limits, self.clock.now())?;
        let rows = self
            .dictionary
            .resolve(report.names())
            .await
            .map_err(IngestError::Store)?;
        let tally = Tally::of(&report, &rows);
        let seen = Seen::of(&report, &rows, &self.dictionary);
        let resolved = buckets::spread(&report, &rows, &seen, self.limits.bucket);
        Ok((resolved, tally))
    }
}

impl From<CommitError> for IngestError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Overloaded => Self::Overloaded,
            CommitError::Store(source) => Self::Store(source),
            CommitError::Late => Self::Late,
        }
    }
}

/// The longest that looking up a report's names may take, and then its commit, before it is
/// refused, to be sent again.
///
/// Under the 10 s that agents commonly wait, so that they hear the refusal.
pub const COMMIT_TIME_LIMIT: Duration = Duration::from_secs(8);
