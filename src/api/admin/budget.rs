//! The budget: how many traces per second the whole fleet may sample, or what they may cost.

use actix_web::http::header::ETag;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Admin;
use super::configuration::{self, BYTES, Condition, tag};
use crate::clock::date;
use crate::configuration::{
    Budget, Configuration, Cost, CostSource, Costing, MONTH_SECONDS, Mean, MeasuredCost,
};
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
    cost: CostDocument,
    revision: u64,
}

/// What a trace costs: as operators state it, and as sources tell it.
#[derive(Serialize)]
struct CostDocument {
    /// Where what is used is from; null if the budget is in traces.
    source: Option<CostSource>,
    stated: Stated,
    measured: Measured,
}

#[derive(Serialize)]
struct Stated {
    spans_per_trace: Option<f64>,
    bytes_per_span: Option<f64>,
}

#[derive(Serialize)]
struct Measured {
    /// Whether operators ask for it.
    asked: bool,
    spans_per_trace: MeanDocument,
    bytes_per_span: MeanDocument,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
}

#[derive(Serialize)]
struct MeanDocument {
    mean: Option<f64>,
    relative_error: f64,
    coverage: f64,
    windows: usize,
    trusted: bool,
}

impl From<Mean> for MeanDocument {
    fn from(of: Mean) -> Self {
        Self {
            mean: of.value,
            relative_error: of.relative_error,
            coverage: of.coverage,
            windows: of.windows,
            trusted: of.trusted().is_some(),
        }
    }
}

impl CostDocument {
    fn of(configuration: &Configuration, costing: Costing, measured: MeasuredCost) -> Self {
        let in_traces = matches!(configuration.budget, Budget::TracesPerSecond(_));
        let Cost {
            spans_per_trace,
            bytes_per_span,
            measured: asked,
        } = configuration.cost;
        Self {
            source: (!in_traces).then_some(costing.source),
            stated: Stated {
                spans_per_trace,
                bytes_per_span,
            },
            measured: Measured {
                asked,
                spans_per_trace: measured.spans_per_trace.into(),
                bytes_per_span: measured.bytes_per_span.into(),
                start: measured.during.map(|during| date(during.start)),
                end: measured.during.map(|during| date(during.end)),
            },
        }
    }
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
    let known = admin.known(snapshot.plan());
    let costing = configuration.costing(revision.revision, &names, known);
    let traces_per_second = configuration.budget_in_traces(costing.per_trace);
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
            cost: CostDocument::of(configuration, costing, known.measured),
            revision: revision.revision,
        })
}
