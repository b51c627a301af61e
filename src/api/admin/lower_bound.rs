//! The lower bound: the reserve for traces that SDKs keep on their own, the bound that is served,
//! and its cost.

use std::collections::HashMap;

use actix_web::http::header::ETag;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use serde::Serialize;

use super::Admin;
use super::configuration::{self, BYTES, Condition, tag};
use crate::allocation::Plan;
use crate::configuration::LowerBound;
use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::store::{AuditAction, ConfigurationRevision};

#[derive(Serialize)]
struct Document {
    reserve_traces_per_second: f64,
    lower_bound_traces_per_second: f64,
    instances: f64,
    operations: usize,
    cost_traces_per_second: f64,
    revision: u64,
}

/// Returns the reserve and what is served.
pub(super) async fn show(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = configuration::current(&admin).await?;
    Ok(answer(&admin, configuration.lower_bound, &revision))
}

/// Changes the reserve if its revision is still the one that the caller has seen.
pub(super) async fn change(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::LowerBoundChanged);
    let reserved: LowerBound = configuration::parse(&read_json(&request, payload, BYTES).await?)?;
    let changed = configuration::change(&admin, &condition, "lower_bound", |held| {
        held.lower_bound = reserved
    });
    let (_, revision) = changed.await?;
    if !condition.is_dry_run() {
        tracing::info!(
            revision = revision.revision,
            reserve_traces_per_second = reserved.reserve_traces_per_second,
            "the reserve for the lower bound was changed"
        );
    }
    Ok(answer(&admin, reserved, &revision))
}

fn answer(admin: &Admin, reserved: LowerBound, revision: &ConfigurationRevision) -> HttpResponse {
    let snapshot = admin.served.load();
    let plan = snapshot.plan();
    let (instances, operations) = reach(plan);
    HttpResponse::Ok()
        .insert_header(ETag(tag(revision)))
        .json(Document {
            reserve_traces_per_second: reserved.reserve_traces_per_second,
            lower_bound_traces_per_second: plan.fleet.lower_bound,
            instances,
            operations,
            cost_traces_per_second: plan.fleet.lower_bound_cost,
            revision: revision.revision,
        })
}

/// The SDK instances that are served a lower bound, and the number of operations that they apply it
/// to.
fn reach(plan: &Plan) -> (f64, usize) {
    let services = plan.services.iter();
    let served: HashMap<_, _> = services
        .filter(|service| service.lower_bound > 0.0)
        .map(|service| (service.service, service.instances))
        .collect();
    let named = plan.operations.iter().filter(|plan| !plan.overflow);
    let operations = named.filter(|plan| served.contains_key(&plan.service));
    (served.values().sum(), operations.count())
}
