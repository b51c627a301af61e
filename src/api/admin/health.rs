//! Whether the process lives, and whether it is ready to be asked.

use actix_web::Responder;
use actix_web::web::{Data, Json};
use serde::Serialize;

use super::Admin;

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
}

/// The process answers: it lives.
pub(super) async fn alive() -> impl Responder {
    Json(Alive { status: "alive" })
}

/// The listeners open only once the last plan is loaded, so whoever can ask is served. A
/// database that has gone since, or is being restored, takes nothing from the polls and does not
/// make it unready.
pub(super) async fn ready(admin: Data<Admin>) -> impl Responder {
    let database = if admin.database.is_available() {
        "available"
    } else {
        "unavailable"
    };
    let problem = admin.database.unsound();
    Json(Ready {
        status: "ready",
        plan: admin.served.load().plan().number,
        database,
        tables: if problem.is_none() {
            "sound"
        } else {
            "unsound"
        },
        problem: problem.map(|why| why.to_string()),
    })
}
