//! Liveness and readiness: the same on both listeners, for probes and load balancers. Neither needs
//! a token, a name or the database.

use std::sync::Arc;

use actix_web::Responder;
use actix_web::web::{Data, Json, to};
use serde::Serialize;

use crate::access::Need;
use crate::health::{DatabaseState, PlanState, Stopping};
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::snapshot::Served;

/// What the handlers need.
#[derive(Clone)]
pub struct Health {
    /// What is served.
    pub served: Arc<Served>,
    /// Whether the database answered when it was last asked.
    pub database: DatabaseState,
    /// Whether the process is about to stop.
    pub stopping: Stopping,
    /// Whether the current plan can be read.
    pub plan: PlanState,
}

/// The path for liveness.
pub const LIVE: &str = "/livez";

/// The path for readiness.
pub const READY: &str = "/readyz";

/// The routes. They need a [`Health`] as application data. Probes may add any query. They are too
/// frequent to be logged.
pub const ROUTES: &[Route] = &[
    Route::new("GET", LIVE, Need::Nothing, || to(alive))
        .ignoring_others()
        .unidentified(),
    Route::new("GET", READY, Need::Nothing, || to(ready))
        .ignoring_others()
        .unidentified(),
];

#[derive(Serialize)]
struct Alive {
    status: &'static str,
}

#[derive(Serialize)]
struct Ready {
    status: &'static str,
    plan: u64,
    database: &'static str,
    tables: &'static str,
    #[serde(skip_serializing_if = "Option::is_none")]
    problem: Option<String>,
    #[serde(skip_serializing_if = "Option::is_none")]
    plan_unreadable: Option<String>,
}

/// Answers 200 as long as the process runs.
async fn alive() -> impl Responder {
    Json(Alive { status: "alive" })
}

/// The listeners open after the last plan is loaded, so any answer means that polls are served. The
/// process stays ready while the database is away or being restored, because polls do not need it.
async fn ready(health: Data<Health>) -> Result<impl Responder, Problem> {
    if health.stopping.has_begun() {
        return Err(Problem::Unavailable {
            detail: "the process is stopping",
            retry_after_seconds: 2,
        });
    }
    let database = if health.database.is_available() {
        "available"
    } else {
        "unavailable"
    };
    let problem = health.database.unsound();
    Ok(Json(Ready {
        status: "ready",
        plan: health.served.load().plan().number,
        database,
        tables: if problem.is_none() {
            "sound"
        } else {
            "unsound"
        },
        problem: problem.map(|why| why.to_string()),
        plan_unreadable: health.plan.unreadable(),
    }))
}
