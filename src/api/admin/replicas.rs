//! The replicas: who is there, who leads, and which plan each serves.

use actix_web::Responder;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use serde::Serialize;
use uuid::Uuid;

use super::Admin;
use crate::http::problem::Problem;

/// A replica that was not there for this long is shown as gone: three times as long as between two signs of life.
const THERE_SECONDS: f64 = 15.0;

#[derive(Serialize)]
struct Replicas {
    replicas: Vec<Replica>,
}

#[derive(Serialize)]
struct Replica {
    replica: Uuid,
    host: String,
    version: String,
    started_at: DateTime<Utc>,
    seen_at: DateTime<Utc>,
    seen_seconds_ago: f64,
    there: bool,
    leads: bool,
    plan: u64,
}

/// Lists the replicas that were there within the last hour.
pub(super) async fn list(admin: Data<Admin>) -> Result<impl Responder, Problem> {
    let now = admin.clock.now();
    let stored = admin.store.replicas(admin.lease).await?;
    let replicas = stored.into_iter().map(|of| {
        let ago = (now - of.seen_at).num_milliseconds() as f64 / 1000.0;
        let there = ago <= THERE_SECONDS;
        Replica {
            replica: of.beat.replica,
            host: of.beat.host,
            version: of.beat.version,
            started_at: of.beat.started_at,
            seen_at: of.seen_at,
            seen_seconds_ago: ago.max(0.0),
            there,
            leads: there && of.leads,
            plan: of.beat.plan,
        }
    });
    Ok(Json(Replicas {
        replicas: replicas.collect(),
    }))
}
