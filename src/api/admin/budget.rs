//! The budget: how many traces per second the whole fleet may sample.

use actix_web::http::header::ETag;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::Admin;
use super::configuration::{self, BYTES, Condition, tag};
use crate::configuration::{Budget, Configuration};
use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::store::{AuditAction, ConfigurationRevision};

#[derive(Serialize)]
struct Document {
    traces_per_second: f64,
    revision: u64,
}

/// Returns the budget, with its revision as the `ETag`.
pub(super) async fn show(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = configuration::current(&admin).await?;
    Ok(answer(&configuration, &revision))
}

/// Changes the budget if its revision is still the one that the caller has seen.
pub(super) async fn change(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::BudgetChanged);
    let budget: Budget = configuration::parse(&read_json(&request, payload, BYTES).await?)?;
    let changed = configuration::change(&admin, &condition, |held| held.budget = budget);
    let (configuration, revision) = changed.await?;
    tracing::info!(
        revision = revision.revision,
        traces_per_second = budget.traces_per_second,
        "the budget was changed"
    );
    Ok(answer(&configuration, &revision))
}

fn answer(configuration: &Configuration, revision: &ConfigurationRevision) -> HttpResponse {
    let traces_per_second = configuration.budget.traces_per_second;
    HttpResponse::Ok()
        .insert_header(ETag(tag(revision)))
        .json(Document {
            traces_per_second,
            revision: revision.revision,
        })
}
