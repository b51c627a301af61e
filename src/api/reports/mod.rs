//! `POST /v1/reports`: takes a report and answers once its counts are durable.

mod answer;
mod wire;

use std::sync::Arc;

use actix_web::dev::RequestHead;
use actix_web::web::{Data, Json, Payload, ReqData, to};
use actix_web::{HttpRequest, Responder};

use self::wire::agent;
pub use self::wire::parse;

use self::answer::Answer;
use crate::access::{Caller, Need};
use crate::http::body::{self, BodyRoom, read_json_in};
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::ingest::{Accepted, Acknowledged, Ingest, IngestError, Pending};
use crate::store::StoreError;
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::{Metrics, ReportOutcome};
use crate::telemetry::seldom::log_seldom;

/// The routes; they need [`Reports`] as application data.
pub const ROUTES: &[Route] = &[Route::new("POST", "/v1/reports", Need::Agent, || {
    to(report)
})];

/// What the handler needs.
pub struct Reports {
    /// Where reports go.
    pub ingest: Ingest,
    /// The room that bodies share.
    pub room: BodyRoom,
    /// The largest body, before and after decompression.
    pub bytes_max: usize,
    /// Where reports are counted.
    pub metrics: Arc<Metrics>,
}

async fn report(
    request: HttpRequest,
    payload: Payload,
    caller: ReqData<Caller>,
    reports: Data<Reports>,
) -> Result<impl Responder, Problem> {
    let taken = reports.take(&request, payload, &caller).await;
    reports.metrics.reports.of(outcome(&taken)).inc();
    Ok(Json(Answer::from(taken?)))
}

/// Why a report was refused.
enum RefusedReport {
    /// Its body could not be read, or its head is wrong.
    Body(Problem),
    /// It could not be stored.
    Ingest(IngestError),
}

impl Reports {
    /// Refuses a report that announces too long a body, before the client sends it.
    ///
    /// # Errors
    /// The problem to answer with; it is counted in the metrics.
    pub fn check_announced(&self, head: &RequestHead) -> Result<(), Problem> {
        let checked = body::check_announced(head.headers(), self.bytes_max);
        checked.inspect_err(|problem| {
            let refused = Err(RefusedReport::Body(problem.clone()));
            self.metrics.reports.of(outcome(&refused)).inc();
        })
    }

    async fn take(
        &self,
        request: &HttpRequest,
        payload: Payload,
        caller: &Caller,
    ) -> Result<Accepted, RefusedReport> {
        let pending = self.resolve(request, payload, caller).await?;
        let agent = pending.agent().to_owned();
        let committed = self.ingest.commit(pending).await;
        committed.map_err(|error| self.refused(&agent, RefusedReport::Ingest(error)))
    }

    /// Notes whose report was refused, and why.
    fn refused(&self, agent: &str, refused: RefusedReport) -> RefusedReport {
        let reason = match &refused {
            RefusedReport::Body(problem) => problem.to_string(),
            RefusedReport::Ingest(error) => error.to_string(),
        };
        self.ingest.refused(agent, &reason);
        refused
    }

    /// Reads the body and looks up the numbers of its names. The body is dropped at the end.
    async fn resolve(
        &self,
        request: &HttpRequest,
        payload: Payload,
        caller: &Caller,
    ) -> Result<Pending, RefusedReport> {
        let body = read_json_in(&self.room, request, payload, self.bytes_max).await;
        let body = body.map_err(|problem| self.refused("", RefusedReport::Body(problem)))?;
        let report = parse(&body, |head| {
            Ok(self.ingest.report(head)?.sent_by(caller.clone()))
        });
        let report = report.map_err(|problem| {
            let agent = agent(&body);
            self.refused(
                agent.as_deref().unwrap_or_default(),
                RefusedReport::Body(problem),
            )
        })?;
        let resolved = self.ingest.resolve(report).await;
        resolved.map_err(|error| {
            let agent = agent(&body);
            self.refused(
                agent.as_deref().unwrap_or_default(),
                RefusedReport::Ingest(error),
            )
        })
    }
}

impl From<RefusedReport> for Problem {
    fn from(refused: RefusedReport) -> Self {
        match refused {
            RefusedReport::Body(problem) => problem,
            RefusedReport::Ingest(error) => error.into(),
        }
    }
}

/// The outcome of a report for the metrics.
fn outcome(taken: &Result<Accepted, RefusedReport>) -> ReportOutcome {
    match taken {
        Ok(accepted) => match accepted.acknowledged {
            Acknowledged::Counted => ReportOutcome::Counted,
            Acknowledged::Duplicate => ReportOutcome::Duplicate,
        },
        Err(RefusedReport::Body(problem)) => match problem {
            Problem::Malformed { .. } => ReportOutcome::Malformed,
            Problem::Invalid { .. } => ReportOutcome::Invalid,
            Problem::TooLarge(_) => ReportOutcome::TooLarge,
            Problem::TooSlow => ReportOutcome::TooSlow,
            Problem::Unsupported(_) | Problem::ExpectationFailed => ReportOutcome::Unsupported,
            Problem::Unavailable { .. } => ReportOutcome::Overloaded,
            _ => ReportOutcome::Internal,
        },
        Err(RefusedReport::Ingest(error)) => match error {
            IngestError::TooFarBehind => ReportOutcome::TooFarBehind,
            IngestError::Overloaded => ReportOutcome::Overloaded,
            IngestError::Late => ReportOutcome::Late,
            IngestError::Unsettled => ReportOutcome::Unsettled,
            IngestError::Stopping => ReportOutcome::Unavailable,
            IngestError::Panicked => ReportOutcome::Internal,
            IngestError::Store(error) => match &**error {
                StoreError::Unavailable { .. } | StoreError::Unsound { .. } => {
                    ReportOutcome::Unavailable
                }
                _ => ReportOutcome::Internal,
            },
        },
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        if let Some(detail) = error.passing() {
            return Self::Unavailable {
                detail,
                retry_after_seconds: 2,
            };
        }
        match error {
            IngestError::TooFarBehind => Self::Conflict(
                "the sequence is too far behind the newest of its epoch; take a new epoch".into(),
            ),
            IngestError::Store(source) => {
                log_seldom!(
                    error,
                    error = chain(&*source),
                    "a report could not be stored"
                );
                Self::Internal
            }
            // The panic is logged where it happens; everything else passes.
            _ => Self::Internal,
        }
    }
}
