//! Reports in: parsed, resolved, spread over buckets, committed in groups, acknowledged.
//!
//! Read [`Ingest::accept`] first: it is the whole way of a report.

mod buckets;
mod commit;
mod instances;
mod renumber;
mod report;
mod tally;

use std::future::Future;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

pub use commit::{CommitError, Committed, Committer, CommitterTask};
pub use report::{Report, ReportError, ReportLimits};

use crate::clock::Clock;
use crate::names::{Dictionary, Names, ResolveError, Resolved};
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
    /// The database's names changed again and again under the report; sending it again later will
    /// help.
    #[error("the names of the database are changing")]
    Unsettled,
    /// The process is stopping; sending it again, to another replica or later, will help.
    #[error("this replica is stopping")]
    Stopping,
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
        let (mut named, mut tally) = in_time(self.resolve(body)).await?;
        for _ in 0..ATTEMPTS {
            let report = match self.committer.commit(named.report).await? {
                Committed::Admitted(admission) => return self.answer(admission, tally),
                Committed::OtherNames(report) => report,
            };
            named = in_time(self.renumber(report, &named.names)).await?;
            tally = tally.renumbered(&named.report, &named.names);
        }
        Err(IngestError::Unsettled)
    }

    fn answer(&self, admission: Admission, tally: Tally) -> Result<Acknowledged, IngestError> {
        match admission {
            Admission::Counted => {
                tally.count(&self.metrics, self.clock.timestamp());
                Ok(Acknowledged::Counted)
            }
            Admission::Duplicate => Ok(Acknowledged::Duplicate),
            Admission::TooFarBehind => Err(IngestError::TooFarBehind),
            Admission::OtherNames => Err(IngestError::Unsettled),
        }
    }
}

/// A report, and the names that its numbers come from.
struct Named {
    report: ResolvedReport,
    names: Arc<Names>,
}

async fn in_time<T>(
    resolving: impl Future<Output = Result<T, IngestError>>,
) -> Result<T, IngestError> {
    let resolved = tokio::time::timeout(COMMIT_TIME_LIMIT, resolving).await;
    resolved.map_err(|_| IngestError::Late)?
}

impl Ingest {
    /// Parses a report and finds its names' numbers. The body ends here: a report that waits for
    /// the database is as small as its counts.
    async fn resolve(
        &self,
        body: impl Deref<Target = [u8]>,
    ) -> Result<(Named, Tally), IngestError> {
        let report = Report::parse(&body, self.limits, self.clock.now())?;
        let Resolved { rows, names } = self.dictionary.resolve(report.names()).await?;
        let tally = Tally::of(&report, &rows);
        let seen = Seen::of(&report, &rows, &names);
        let from = names.incarnation();
        let report = buckets::spread(&report, &rows, &seen, from, self.limits.bucket);
        Ok((Named { report, names }, tally))
    }
}

impl From<ResolveError> for IngestError {
    fn from(error: ResolveError) -> Self {
        match error {
            ResolveError::Store(source) => Self::Store(source),
            ResolveError::Unsettled => Self::Unsettled,
        }
    }
}

impl From<CommitError> for IngestError {
    fn from(error: CommitError) -> Self {
        match error {
            CommitError::Overloaded => Self::Overloaded,
            CommitError::Store(source) => Self::Store(source),
            CommitError::Late => Self::Late,
            CommitError::Stopping => Self::Stopping,
        }
    }
}

/// How often a report is committed before it is refused, because its numbers do not hold.
const ATTEMPTS: usize = 3;

/// The longest that looking up a report's names may take, and then its commit, before it is
/// refused, to be sent again.
///
/// Under the 10 s that agents commonly wait, so that they hear the refusal.
pub const COMMIT_TIME_LIMIT: Duration = Duration::from_secs(8);
