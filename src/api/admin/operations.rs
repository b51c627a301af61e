//! Operations across services: sorted, searched and paged as services are.

use actix_web::Responder;
use actix_web::web::{Data, Json, Query, block};
use serde::Serialize;

use super::Admin;
use super::sorted::{Figures, Sorted, Wanted, part_of_budget, traces_per_month};
use crate::allocation::{Class, OperationPlan, Plan};
use crate::http::problem::Problem;
use crate::view::explanation::ReasonDocument;
use crate::view::precision::{coverage, relative_error};

#[derive(Serialize)]
struct Operations {
    plan: u64,
    operations: Vec<Operation>,
    found: usize,
    next: Option<String>,
}

#[derive(Serialize)]
struct Operation {
    service: String,
    operation: String,
    /// Null if it has no classes.
    class: Option<&'static str>,
    offered_per_second: f64,
    share_traces_per_second: f64,
    observed_sampled_traces_per_second: Option<f64>,
    part_of_budget: f64,
    traces_per_month: f64,
    probability: f64,
    listed: bool,
    coverage: f64,
    expected_relative_error: Option<f64>,
    silent_windows: u32,
    reason: ReasonDocument,
}

/// Lists the operations of all services.
pub(super) async fn list(
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let sorted = Sorted::of(&wanted)?;
    let snapshot = admin.served.snapshot();
    // A fleet may have a million operations.
    let listed = block(move || {
        let plan = snapshot.plan();
        let services = snapshot.services();
        let rows = services.flat_map(|(service, held)| {
            let operations = snapshot.operations(held);
            operations.map(move |(name, operation)| {
                let figures = Figures::of_operation(plan, operation);
                (&**service, name, figures, (name, operation))
            })
        });
        let page = sorted.page(rows);
        let operations = page.rows.iter();
        Operations {
            plan: plan.number,
            operations: operations
                .map(|row| Operation::of(plan, row.service, row.of))
                .collect(),
            found: page.found,
            next: page.next,
        }
    });
    listed.await.map(Json).map_err(|_| Problem::Internal)
}

impl Operation {
    fn of(plan: &Plan, service: &str, (name, operation): (&str, &OperationPlan)) -> Self {
        let (offered, share) = (operation.offered, operation.share);
        let (plain, class) = Class::of(name);
        Self {
            service: service.to_owned(),
            operation: plain.to_owned(),
            class: class.map(Class::name),
            offered_per_second: offered,
            share_traces_per_second: share,
            observed_sampled_traces_per_second: Figures::of_operation(plan, operation).observed,
            part_of_budget: part_of_budget(plan, share),
            traces_per_month: traces_per_month(share),
            probability: operation.probability,
            listed: operation.is_listed(),
            coverage: coverage(offered, share),
            expected_relative_error: relative_error(offered, share),
            silent_windows: operation.silent_windows,
            reason: ReasonDocument::of(plan, operation),
        }
    }
}
