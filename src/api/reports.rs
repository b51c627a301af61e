//! `POST /v1/reports`: takes a report and answers once its counts are durable.

use actix_web::web::{Data, Json, Payload, to};
use actix_web::{HttpRequest, Responder};
use serde::Serialize;

use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::ingest::{Acknowledged, Ingest, IngestError, ReportError};
use crate::store::StoreError;
use crate::telemetry::logging::chain;

/// The routes; they need an [`Ingest`] as application data.
pub const ROUTES: &[Route] = &[Route::new("POST", "/v1/reports", || to(report))];

#[derive(Serialize)]
struct Answer {
    result: &'static str,
}

async fn report(
    request: HttpRequest,
    payload: Payload,
    ingest: Data<Ingest>,
) -> Result<impl Responder, Problem> {
    let body = read_json(&request, payload, ingest.limits().bytes).await?;
    let result = match ingest.accept(&body).await? {
        Acknowledged::Counted => "counted",
        Acknowledged::Duplicate => "duplicate",
    };
    Ok(Json(Answer { result }))
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
            IngestError::Store(source) => match &*source {
                StoreError::Unavailable { .. } => unavailable("the database is away"),
                fault => {
                    tracing::error!(error = chain(fault), "a report could not be stored");
                    Self::Internal
                }
            },
        }
    }
}
