//! The edges: who follows the plan, and which one each has.

use actix_web::Responder;
use actix_web::web::{Data, Json};
use chrono::{DateTime, Utc};
use serde::Serialize;

use super::Admin;
use crate::http::problem::Problem;
use crate::snapshot::FOLLOWS_MS;

#[derive(Serialize)]
struct EdgesDocument {
    following: usize,
    edges: Vec<Edge>,
}

#[derive(Serialize)]
struct Edge {
    edge: String,
    version: String,
    asked_at: DateTime<Utc>,
    asked_seconds_ago: f64,
    follows: bool,
    plan: u64,
}

/// Lists the edges that asked within the last hour.
pub(super) async fn list(admin: Data<Admin>) -> Result<impl Responder, Problem> {
    let stored = admin.store.edges().await?;
    let now = admin.clock.now();
    let edges = stored.into_iter().map(|of| {
        let ago = (now - of.seen_at).num_milliseconds();
        Edge {
            edge: of.beat.edge,
            version: of.beat.version,
            asked_at: of.seen_at,
            asked_seconds_ago: ago.max(0) as f64 / 1000.0,
            follows: ago <= FOLLOWS_MS,
            plan: of.beat.plan,
        }
    });
    Ok(Json(EdgesDocument {
        following: admin.served.load().edges().following,
        edges: edges.collect(),
    }))
}
