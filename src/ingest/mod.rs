//! Takes reports: resolves their names, spreads them over buckets, commits them in groups.
//!
//! A protocol parses its own format into a [`Report`]. Begin with [`Ingest::resolve`] and
//! [`Ingest::commit`], which every report passes. Nothing here knows a wire format or a status
//! code.

mod amendments;
mod buckets;
mod commit;
mod desk;
mod export;
mod head;
mod instances;
mod precedence;
mod renumber;
mod report;
mod source;
mod states;
mod streams;
mod totals;
mod weight;

use std::sync::Arc;
use std::time::Duration;

pub use amendments::{Amendments, ChangesOfKind, Field, Spot};
pub use commit::{CommitError, Committed, Committer, CommitterTask};
pub use export::Exported;
pub use head::{Head, ReportError, ReportLimits};
pub use precedence::basis_label;
pub use report::{
    Number, OperationEntry, Report, ReportBuilder, ReportedClass, ReportedName, ServiceEntry,
};
pub use source::{Convention, Counted, Family, Point, SourceExport, Temporality};
pub use weight::Weight;

use crate::allocation::AgentName;
use crate::clock::Clock;
use crate::names::{Dictionary, Names, ResolveError, Resolved};
use crate::observed::Observed;
use crate::snapshot::Served;
use crate::store::{Admission, Passing, ResolvedReport, SpanSums, Store, StoreError};
use crate::telemetry::metrics::Metrics;
use crate::telemetry::seldom::log_seldom;
use buckets::Numbers;
use instances::ServiceInstances;
use states::States;
use totals::ReportTotals;

/// How often a log line reports changes to reports. A bad span name is in every report of its
/// agent.
const AMENDED_LINE_EVERY: Duration = Duration::from_secs(60);

/// Takes reports; shared by all protocols.
#[derive(Clone)]
pub struct Ingest {
    dictionary: Arc<Dictionary>,
    committer: Committer,
    clock: Arc<dyn Clock>,
    limits: ReportLimits,
    metrics: Arc<Metrics>,
    store: Arc<dyn Store>,
    states: Arc<States>,
    served: Arc<Served>,
    observed: Arc<Observed>,
}

/// A report whose names are resolved, ready to be committed. It takes no more memory than its
/// counts.
pub struct Pending {
    named: NumberedReport,
    totals: ReportTotals,
    amendments: Amendments,
}

impl Pending {
    /// The agent that sent the report.
    #[must_use]
    pub fn agent(&self) -> &str {
        self.named.report.agent.as_str()
    }
}

/// A report, and the names in which its numbers were found.
struct NumberedReport {
    report: ResolvedReport,
    names: Arc<Names>,
}

/// Why a report was not acknowledged.
#[derive(Debug, thiserror::Error)]
pub enum IngestError {
    /// Whether this sequence was counted is no longer known. The agent must take a new epoch.
    #[error("the sequence is too far behind the newest of its epoch")]
    TooFarBehind,
    /// Too many reports wait for the database. A retry later will help.
    #[error("too many reports are waiting for the database")]
    Overloaded,
    /// The database did not store it. A retry later will help.
    #[error("the database did not store the report")]
    Store(#[source] Arc<StoreError>),
    /// The commit took too long. A retry later will help.
    #[error("the database did not answer in time")]
    Late,
    /// The database's names changed again and again under the report. A retry later will help.
    #[error("the names in the database keep changing")]
    Unsettled,
    /// The process is stopping. A retry, at another replica or later, will help.
    #[error("this replica is stopping")]
    Stopping,
    /// A fault of Weir's own ended the commit; sending it again is safe.
    #[error("the commit panicked")]
    Panicked,
}

impl IngestError {
    /// What the sender reads if it can send the same again later: then it counts once, whether or not
    /// it was stored before. None if that does not help, or if nobody knows why it failed.
    #[must_use]
    pub fn passing(&self) -> Option<&'static str> {
        match self {
            Self::TooFarBehind | Self::Panicked => None,
            Self::Overloaded => Some("too many reports are waiting for the database"),
            Self::Late => Some("the database did not answer in time"),
            Self::Unsettled => Some("the names in the database keep changing"),
            Self::Stopping => Some(Passing::Stopping.detail()),
            Self::Store(source) => match (source.passing(), &**source) {
                (Some(passing), _) => Some(passing.detail()),
                (None, StoreError::Unsound { .. }) => Some(StoreError::UNSOUND),
                (None, _) => None,
            },
        }
    }
}

/// How a report was acknowledged.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Acknowledged {
    /// Its counts are stored now.
    Counted,
    /// Its counts were stored before.
    Duplicate,
}

/// The answer to a report that is stored.
#[derive(Debug)]
pub struct Accepted {
    /// Whether it was stored now or before.
    pub acknowledged: Acknowledged,
    /// What was changed in it.
    pub amendments: Amendments,
}

impl Ingest {
    /// Builds it from its parts.
    #[must_use]
    pub fn new(
        dictionary: Arc<Dictionary>,
        committer: Committer,
        clock: Arc<dyn Clock>,
        limits: ReportLimits,
        metrics: Arc<Metrics>,
        served: Arc<Served>,
        observed: Arc<Observed>,
    ) -> Self {
        let gauge = metrics.source_state_bytes.clone();
        Self {
            dictionary,
            store: committer.store(),
            committer,
            clock,
            limits,
            states: Arc::new(States::new(STATE_BYTES, gauge)),
            served,
            metrics,
            observed,
        }
    }

    /// Counts the sampled spans of a service that were exported, once the export is stored.
    pub fn exported(&self, service: &str, spans: SpanSums) {
        self.observed.exported(service, spans);
    }

    /// Notes that a report was refused; `agent` is empty if nobody knows whose it was.
    pub fn refused(&self, agent: &str, reason: &str) {
        let agent = AgentName::parse(agent);
        let agent = agent.as_ref().map_or("", AgentName::as_str);
        self.observed.refused(agent, reason, self.clock.timestamp());
    }

    /// Begins a report, which the protocol then fills entry by entry.
    ///
    /// # Errors
    /// Says what is wrong with the head. Such a report cannot be counted.
    pub fn report<'a>(&self, head: &Head<'_>) -> Result<ReportBuilder<'a>, ReportError> {
        let report = ReportBuilder::new(head, self.limits, self.clock.now())?;
        Ok(report.governed_by(self.served.snapshot()))
    }

    /// Looks up the numbers of a report's names. After this the body is not needed any more, so a
    /// report that waits for the database takes no more memory than its counts.
    ///
    /// # Errors
    /// The database's, if there are names to add.
    pub async fn resolve(&self, report: Report<'_>) -> Result<Pending, IngestError> {
        let Resolved { rows, names } = match self.dictionary.known(report.names()) {
            Some(resolved) => resolved,
            None => {
                let resolving = async { Ok(self.dictionary.resolve(report.names()).await?) };
                in_time(resolving).await?
            }
        };
        let totals = ReportTotals::of(&report, &rows);
        let seen = ServiceInstances::of(&report, &rows, &names);
        let numbers = Numbers {
            rows: &rows,
            seen: &seen,
            names: names.incarnation(),
        };
        let now = self.clock.timestamp();
        let resolved = buckets::spread(&report, numbers, self.limits.bucket, now);
        log_amendments(&report);
        Ok(Pending {
            named: NumberedReport {
                report: resolved,
                names,
            },
            totals,
            amendments: report.amendments,
        })
    }

    /// Commits a report with its group, and returns when its counts are durable.
    ///
    /// # Errors
    /// After any error, nothing of the report is acknowledged. [`IngestError`] says whether a retry
    /// can help.
    pub async fn commit(&self, pending: Pending) -> Result<Accepted, IngestError> {
        let Pending {
            mut named,
            mut totals,
            amendments,
        } = pending;
        for _ in 0..ATTEMPTS {
            let report = match self.committer.commit(named.report).await? {
                Committed::Admitted(admission) => {
                    let acknowledged = self.count(admission, totals, &amendments)?;
                    return Ok(Accepted {
                        acknowledged,
                        amendments,
                    });
                }
                Committed::OtherNames(report) => report,
            };
            named = in_time(self.renumber(report, &named.names)).await?;
            totals = totals.renumbered(&named.report, &named.names);
        }
        Err(IngestError::Unsettled)
    }

    /// Adds a report that was stored to the metrics.
    fn count(
        &self,
        admission: Admission,
        totals: ReportTotals,
        amendments: &Amendments,
    ) -> Result<Acknowledged, IngestError> {
        match admission {
            Admission::Counted => {
                totals.count(&self.metrics, self.clock.timestamp());
                amendments.count(&self.metrics);
                Ok(Acknowledged::Counted)
            }
            Admission::Duplicate => Ok(Acknowledged::Duplicate),
            Admission::TooFarBehind => Err(IngestError::TooFarBehind),
            Admission::OtherNames => Err(IngestError::Unsettled),
        }
    }
}

fn log_amendments(report: &Report<'_>) {
    if !report.amendments.is_empty() {
        log_seldom!(
            every AMENDED_LINE_EVERY; warn,
            agent = report.agent.as_str(),
            amended = %report.amendments,
            "a report holds names or counts that are not valid"
        );
    }
}

async fn in_time<T>(
    resolving: impl Future<Output = Result<T, IngestError>>,
) -> Result<T, IngestError> {
    let resolved = tokio::time::timeout(COMMIT_TIME_LIMIT, resolving).await;
    resolved.map_err(|_| IngestError::Late)?
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
            CommitError::Panicked => Self::Panicked,
        }
    }
}

/// How often a report is committed before it is refused because its numbers are no longer valid.
const ATTEMPTS: usize = 3;

/// The states of sources that a replica remembers, in bytes: some 30,000 sources.
const STATE_BYTES: usize = 64 << 20;

/// The longest time for looking up a report's names, and again for committing it. After that the
/// report is refused, and the agent sends it again.
///
/// Below the 10 s that agents commonly wait, so that they get the answer.
pub const COMMIT_TIME_LIMIT: Duration = Duration::from_secs(8);
