//! Plans, as operators see them.

use actix_web::Responder;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Admin;
use crate::http::problem::Problem;
use crate::view::plan_summary::PlanSummary;

#[derive(Serialize)]
struct Document {
    #[serde(flatten)]
    summary: PlanSummary,
    published_at: DateTime<Utc>,
    age_seconds: f64,
    stale: bool,
}

/// The plan that this replica serves.
pub(super) async fn current(admin: Data<Admin>) -> Result<impl Responder, Problem> {
    let snapshot = admin.served.snapshot();
    let age = snapshot.age_seconds(admin.clock.now());
    let (Some(published_at), Some(age_seconds)) = (snapshot.published_at(), age) else {
        return Err(Problem::NotFound("no plan has been published yet".into()));
    };
    Ok(Json(Document {
        summary: PlanSummary::from(snapshot.plan()),
        published_at,
        age_seconds,
        stale: age_seconds > admin.stale_after_seconds,
    }))
}
