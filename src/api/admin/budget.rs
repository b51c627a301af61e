//! The budget: how many traces per second the whole fleet may sample, or what they may cost.

use actix_web::http::header::ETag;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::Admin;
use super::configuration::{self, BYTES, Condition, tag};
use crate::configuration::{Budget, Configuration, MONTH_SECONDS};
use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::store::{AuditAction, ConfigurationRevision};

#[derive(Serialize)]
struct Document {
    /// What it is in traces, at what a trace costs now.
    traces_per_second: f64,
    #[serde(skip_serializing_if = "Option::is_none")]
    spans_per_second: Option<f64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    gigabytes_per_month: Option<f64>,
    traces_per_month: f64,
    revision: u64,
}

/// Returns the budget, with its revision as the `ETag`.
pub(super) async fn show(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = configuration::current(&admin).await?;
    Ok(answer(&admin, &configuration, &revision))
}

/// Changes the budget if its revision is still the one that the caller has seen.
pub(super) async fn change(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::BudgetChanged);
    let budget: Budget = configuration::parse(&read_json(&request, payload, BYTES).await?)?;
    let changed = configuration::change(&admin, &condition, "budget", |held| held.budget = budget);
    let (configuration, revision) = changed.await?;
    if !condition.is_dry_run() {
        tracing::info!(
            revision = revision.revision,
            budget = budget.amount(),
            unit = budget.unit(),
            "the budget was changed"
        );
    }
    Ok(answer(&admin, &configuration, &revision))
}

fn answer(
    admin: &Admin,
    configuration: &Configuration,
    revision: &ConfigurationRevision,
) -> HttpResponse {
    let snapshot = admin.served.load();
    let names = admin.dictionary.names();
    let cost = configuration.cost_per_trace(revision.revision, &names, Some(snapshot.plan()));
    let traces_per_second = configuration.budget_in_traces(cost);
    let budget = configuration.budget;
    HttpResponse::Ok()
        .insert_header(ETag(tag(revision)))
        .json(Document {
            traces_per_second,
            spans_per_second: match budget {
                Budget::SpansPerSecond(spans) => Some(spans),
                _ => None,
            },
            gigabytes_per_month: match budget {
                Budget::GigabytesPerMonth(gigabytes) => Some(gigabytes),
                _ => None,
            },
            traces_per_month: traces_per_second * MONTH_SECONDS,
            revision: revision.revision,
        })
}
