//! `POST /v1/reports`: takes a report and answers once its counts are durable.

use actix_web::dev::RequestHead;
use actix_web::web::{Data, Json, Payload, to};
use actix_web::{HttpRequest, Responder};
use serde::Serialize;

use super::UNSOUND;
use crate::http::body::{self, BodyRoom, read_json_in};
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::ingest::{Acknowledged, Ingest, IngestError, ReportError};
use crate::store::{Passing, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::ReportOutcome;

/// The routes; they need an [`Ingest`] and a [`BodyRoom`] as application data.
pub const ROUTES: &[Route] = &[Route::new("POST", "/v1/reports", || to(report))];

/// Refuses a report whose head announces a body that is too long, before its sender is told to
/// send it.
///
/// # Errors
/// What the sender is told; it is counted.
pub fn check_announced(head: &RequestHead, ingest: &Ingest) -> Result<(), Problem> {
    let checked = body::check_announced(head.headers(), ingest.limits().bytes);
    checked.inspect_err(|problem| {
        let refused = Err(Refused::Body(problem.clone()));
        ingest.metrics().reports.of(outcome(&refused)).inc();
    })
}

#[derive(Serialize)]
struct Answer {
    result: &'static str,
}

async fn report(
    request: HttpRequest,
    payload: Payload,
    ingest: Data<Ingest>,
    room: Data<BodyRoom>,
) -> Result<impl Responder, Problem> {
    let taken = take(&request, payload, &ingest, &room).await;
    ingest.metrics().reports.of(outcome(&taken)).inc();
    let result = match taken? {
        Acknowledged::Counted => "counted",
        Acknowledged::Duplicate => "duplicate",
    };
    Ok(Json(Answer { result }))
}

/// Why a report was not taken.
enum Refused {
    /// Its body could not be read.
    Body(Problem),
    /// What it says, or the database.
    Report(IngestError),
}

async fn take(
    request: &HttpRequest,
    payload: Payload,
    ingest: &Ingest,
    room: &BodyRoom,
) -> Result<Acknowledged, Refused> {
    let body = read_json_in(room, request, payload, ingest.limits().bytes).await;
    let body = body.map_err(Refused::Body)?;
    ingest.accept(body).await.map_err(Refused::Report)
}

impl From<Refused> for Problem {
    fn from(refused: Refused) -> Self {
        match refused {
            Refused::Body(problem) => problem,
            Refused::Report(error) => error.into(),
        }
    }
}

/// As what a report is counted in the metrics.
fn outcome(taken: &Result<Acknowledged, Refused>) -> ReportOutcome {
    match taken {
        Ok(Acknowledged::Counted) => ReportOutcome::Counted,
        Ok(Acknowledged::Duplicate) => ReportOutcome::Duplicate,
        Err(Refused::Body(problem)) => match problem {
            Problem::Malformed { .. } => ReportOutcome::Malformed,
            Problem::TooLarge(_) => ReportOutcome::TooLarge,
            Problem::TooSlow => ReportOutcome::TooSlow,
            Problem::Unsupported(_) | Problem::ExpectationFailed => ReportOutcome::Unsupported,
            Problem::Unavailable { .. } => ReportOutcome::Overloaded,
            _ => ReportOutcome::Internal,
        },
        Err(Refused::Report(error)) => match error {
            IngestError::Report(error) if error.malformed => ReportOutcome::Malformed,
            IngestError::Report(_) => ReportOutcome::Invalid,
            IngestError::TooFarBehind => ReportOutcome::TooFarBehind,
            IngestError::Overloaded => ReportOutcome::Overloaded,
            IngestError::Late => ReportOutcome::Late,
            IngestError::Unsettled => ReportOutcome::Unsettled,
            IngestError::Stopping => ReportOutcome::Unavailable,
            IngestError::Store(error) => match &**error {
                StoreError::Unavailable { .. } | StoreError::Unsound { .. } => {
                    ReportOutcome::Unavailable
                }
                _ => ReportOutcome::Internal,
            },
        },
    }
}

impl From<ReportError> for Problem {
    fn from(error: ReportError) -> Self {
        let ReportError {
            malformed,
            field,
            problem,
        } = error;
        if malformed {
            Self::Malformed {
                field,
                detail: problem,
            }
        } else {
            Self::Invalid {
                field,
                detail: problem,
            }
        }
    }
}

impl From<IngestError> for Problem {
    fn from(error: IngestError) -> Self {
        let unavailable = |detail| Self::Unavailable {
            detail,
            retry_after_seconds: 2,
        };
        match error {
            IngestError::Report(error) => error.into(),
            IngestError::TooFarBehind => Self::Conflict(
                "the sequence lies too far behind the newest of its epoch; take a new epoch".into(),
            ),
            IngestError::Overloaded => unavailable("too many reports wait for the database"),
            IngestError::Late => unavailable("the database did not answer in time"),
            IngestError::Unsettled => unavailable("the names of the database are changing"),
            IngestError::Stopping => unavailable(Passing::Stopping.detail()),
            IngestError::Store(source) => match (source.passing(), &*source) {
                (Some(passing), _) => unavailable(passing.detail()),
                (None, StoreError::Unsound { .. }) => unavailable(UNSOUND),
                (None, _) => {
                    tracing::error!(error = chain(&*source), "a report could not be stored");
                    Self::Internal
                }
            },
        }
    }
}
