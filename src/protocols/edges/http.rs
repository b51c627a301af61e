//! The route for edges.

use std::time::Duration;

use actix_web::http::StatusCode;
use actix_web::http::header::{
    CACHE_CONTROL, ETAG, EntityTag, Header, HeaderValue, IfNoneMatch, USER_AGENT,
};
use actix_web::web::{Data, Query, to};
use actix_web::{HttpRequest, HttpResponse};
use serde::Deserialize;

use super::{EdgePlans, Version};
use crate::access::Need;
use crate::allocation::AgentName;
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::protocols::jaeger::send;
use crate::snapshot::NoRoom;
use crate::telemetry::metrics::EdgePollOutcome;

/// The routes; they need [`EdgePlans`] as application data.
pub const ROUTES: &[Route] = &[
    Route::new("GET", "/v1/edges/plan", Need::Agent, || to(plan))
        .query(&["edge", "wait"])
        .unidentified(),
];

/// The longest that an edge may ask to wait, in seconds.
const WAIT_MAX: u64 = 30;

/// The longest that a replica waits: a request has 20 s for everything on this listener. The edge asks again at once.
const WAITS: Duration = Duration::from_secs(15);

/// The most of what an edge calls itself that is remembered, in bytes.
const VERSION_MAX: usize = 64;

/// How soon an edge may ask again for which there was no room.
const RETRY_SECONDS: u32 = 10;

#[derive(Deserialize)]
pub(super) struct Asked {
    edge: Option<String>,
    wait: Option<String>,
}

impl Asked {
    fn name(&self) -> Result<&str, Problem> {
        let name = self.edge.as_deref().unwrap_or_default();
        let checked = AgentName::check(name);
        checked.map_err(|error| Problem::Malformed {
            field: "edge".into(),
            detail: error.to_string(),
        })?;
        Ok(name)
    }

    fn wait(&self) -> Result<Duration, Problem> {
        let seconds = match &self.wait {
            Some(given) => given.parse().ok().filter(|wait| *wait <= WAIT_MAX),
            None => Some(0),
        };
        let seconds = seconds.ok_or_else(|| Problem::Malformed {
            field: "wait".into(),
            detail: format!("must be a whole number between 0 and {WAIT_MAX}, in seconds"),
        })?;
        Ok(Duration::from_secs(seconds).min(WAITS))
    }
}

async fn plan(
    request: HttpRequest,
    asked: Result<Query<Asked>, actix_web::Error>,
    plans: Data<EdgePlans>,
) -> Result<HttpResponse, Problem> {
    let answered = answer(&request, asked, &plans).await;
    let outcome = match &answered {
        Ok(response) if response.status() == StatusCode::NOT_MODIFIED => EdgePollOutcome::Unchanged,
        Ok(_) => EdgePollOutcome::Changed,
        Err(_) => EdgePollOutcome::Refused,
    };
    plans.metrics.edge_polls.of(outcome).inc();
    answered
}

async fn answer(
    request: &HttpRequest,
    asked: Result<Query<Asked>, actix_web::Error>,
    plans: &EdgePlans,
) -> Result<HttpResponse, Problem> {
    let asked = asked.map_err(|error| Problem::Malformed {
        field: String::new(),
        detail: error.to_string(),
    })?;
    let (edge, wait) = (asked.name()?, asked.wait()?);
    let mut versions = plans.made.current.subscribe();
    let has = IfNoneMatch::parse(request).unwrap_or(IfNoneMatch::Items(Vec::new()));
    let no_room = |NoRoom| Problem::Unavailable {
        detail: "too many edges ask at once",
        retry_after_seconds: RETRY_SECONDS,
    };
    let tag = match &has {
        IfNoneMatch::Items(tags) => tags.first().map(EntityTag::to_string),
        IfNoneMatch::Any => None,
    };
    let now = plans.clock.timestamp();
    let noted = plans
        .asks
        .note(edge, &version(request), tag.as_deref(), now);
    noted.map_err(no_room)?;
    let is_known = |version: &Version| match &has {
        IfNoneMatch::Any => true,
        IfNoneMatch::Items(tags) => tags.iter().any(|tag| tag.to_string() == version.tag),
    };
    if is_known(&versions.borrow_and_update()) && !wait.is_zero() {
        let _waiting = plans.asks.wait(edge).map_err(no_room)?;
        let changed = versions.wait_for(|version| !is_known(version));
        tokio::select! {
            _ = changed => {}
            () = tokio::time::sleep(wait) => {}
            () = plans.asks.stopping().cancelled() => {}
        }
    }
    let version = std::sync::Arc::clone(&versions.borrow_and_update());
    let mut response = HttpResponse::Ok();
    response
        .insert_header((ETAG, version.tag.as_str()))
        .insert_header((CACHE_CONTROL, HeaderValue::from_static("no-cache")));
    if is_known(&version) {
        return Ok(response.status(StatusCode::NOT_MODIFIED).finish());
    }
    Ok(send(request, response, &version.body))
}

/// What an edge calls itself.
fn version(request: &HttpRequest) -> String {
    let named = request.headers().get(USER_AGENT);
    let named = named
        .and_then(|value| value.to_str().ok())
        .unwrap_or_default();
    named[..named.floor_char_boundary(VERSION_MAX)].to_owned()
}
