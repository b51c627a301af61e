//! Coverage: the floor for every operation, and what it costs.

use std::collections::BTreeMap;

use actix_web::http::header::ETag;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::Admin;
use super::configuration::{self, BYTES, Condition, tag};
use crate::configuration::Coverage;
use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::snapshot::Snapshot;
use crate::store::{AuditAction, ConfigurationRevision};

#[derive(Serialize)]
struct Document {
    probability: f64,
    within_seconds: f64,
    floor_traces_per_second: f64,
    price_traces_per_second: f64,
    revision: u64,
}

/// Returns the coverage and its cost.
pub(super) async fn show(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = configuration::current(&admin).await?;
    Ok(answer(&admin, configuration.coverage, &revision))
}

/// Changes the coverage if its revision is still the one that the caller has seen.
pub(super) async fn change(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::CoverageChanged);
    let coverage: Coverage = configuration::parse(&read_json(&request, payload, BYTES).await?)?;
    let changed = configuration::change(&admin, &condition, "coverage", |held| {
        held.coverage = coverage
    });
    let (_, revision) = changed.await?;
    if !condition.is_dry_run() {
        tracing::info!(
            revision = revision.revision,
            probability = coverage.probability,
            within_seconds = coverage.within_seconds,
            "the coverage was changed"
        );
    }
    Ok(answer(&admin, coverage, &revision))
}

fn answer(admin: &Admin, coverage: Coverage, revision: &ConfigurationRevision) -> HttpResponse {
    let floor = coverage.floor();
    let price = price(&admin.served.load(), floor);
    HttpResponse::Ok()
        .insert_header(ETag(tag(revision)))
        .json(Document {
            probability: coverage.probability,
            within_seconds: coverage.within_seconds,
            floor_traces_per_second: floor,
            price_traces_per_second: price,
            revision: revision.revision,
        })
}

/// What a floor of every operation costs at most, in traces per second. The classes of an operation share it.
fn price(snapshot: &Snapshot, floor: f64) -> f64 {
    let operations = snapshot.plan().operations.iter();
    let all: f64 = operations.map(|of| of.offered.min(floor)).sum();
    let mut apart = 0.0;
    let mut together: BTreeMap<(&str, &str), f64> = BTreeMap::new();
    for (name, service) in snapshot.services() {
        for (operation, _, of) in snapshot.classes(service) {
            apart += of.offered.min(floor);
            *together.entry((name, operation)).or_default() += of.offered;
        }
    }
    let together = together.into_values();
    all - apart + together.map(|offered| offered.min(floor)).sum::<f64>()
}
