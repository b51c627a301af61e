//! The operators' API. All its routes are in this file.

mod agents;
mod audit;
mod budget;
mod classes;
mod configuration;
mod controls;
mod coverage;
pub mod docs;
mod document;
mod edges;
mod explain;
mod final_names;
mod forget;
mod history;
mod login;
mod lower_bound;
mod me;
mod operations;
mod origins;
mod patience;
mod plans;
mod pollers;
mod preview;
mod refused;
mod replicas;
mod rules;
mod series;
mod services;
mod sorted;
mod tagged;
mod tokens;
mod trial;
mod unknown_names;

use std::sync::Arc;
use std::time::Duration;

use actix_web::web::to;
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use self::patience::Patience;
use crate::access::{Need, Tokens};
use crate::allocation::Plan;
use crate::clock::Clock;
use crate::configuration::{CostMeter, Known, MatchCache};
use crate::http::body::BodyRoom;
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::names::{AgentNames, Dictionary};
use crate::oidc::SignIn;
use crate::snapshot::Served;
use crate::store::{StepsKept, Store, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::Metrics;
use crate::telemetry::seldom::log_seldom;

/// What the handlers need.
#[derive(Clone)]
pub struct Admin {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The lease under which plans are computed.
    pub lease: &'static str,
    /// The time all replicas agree on.
    pub clock: Arc<dyn Clock>,
    /// Names and numbers.
    pub dictionary: Arc<Dictionary>,
    /// The names of agents.
    pub agents: Arc<AgentNames>,
    /// What is served.
    pub served: Arc<Served>,
    /// How often a plan is computed.
    pub interval: Duration,
    /// How long the history of windows is stored.
    pub history: Duration,
    /// How long coarser steps are stored.
    pub steps: StepsKept,
    /// How long a silent operation is remembered.
    pub retire_after: Duration,
    /// A plan older than this is stale, in seconds.
    pub stale_after_seconds: f64,
    /// What the rules match.
    pub matches: Arc<MatchCache>,
    /// How many previews are computed at once.
    pub previews: Arc<Semaphore>,
    /// How many requests read history or counts at once.
    pub histories: Arc<Semaphore>,
    /// Where history is read: not on the thread that answers probes.
    pub reads: Handle,
    /// The tokens that this replica knows.
    pub tokens: Arc<Tokens>,
    /// What signs people in; none if nobody can.
    pub sign_in: Option<Arc<SignIn>>,
    /// Whether browsers come over TLS, so that cookies are sent over nothing else.
    pub encrypted: bool,
    /// Where it is told how people sign in.
    pub metrics: Arc<Metrics>,
    /// What a trace costs, as sources tell it.
    pub costs: Arc<CostMeter>,
    /// How long answers wait for what the database tells beside the rest.
    pub patience: Arc<Patience>,
    /// The room for whole configurations that arrive: [`Admin::document_room`].
    pub documents: BodyRoom,
}

impl Admin {
    /// What is known when the cost of a trace is reckoned for the plan after this one.
    fn known<'p>(&self, plan: &'p Plan) -> Known<'p> {
        Known {
            before: Some(plan),
            measured: self.costs.current(),
        }
    }

    /// Room for one configuration of the largest size, or for many of the usual size.
    #[must_use]
    pub fn document_room() -> BodyRoom {
        BodyRoom::of(configuration::WHOLE_ROOM)
    }
}

/// The largest body that any of the routes accepts.
pub const LARGEST_BODY: usize = configuration::WHOLE_BYTES;

/// The routes. They need an [`Admin`] as application data. Routes for browsers accept any query.
pub const ROUTES: &[Route] = &[
    Route::new("GET", "/docs", Need::Nothing, || to(docs::page))
        .query(&["q"])
        .ignoring_others(),
    Route::new("GET", "/openapi.yaml", Need::Nothing, || to(docs::document)).ignoring_others(),
    Route::new("GET", "/login", Need::Nothing, || to(login::begin)).query(&["to"]),
    Route::new("GET", "/login/callback", Need::Nothing, || {
        to(login::finish)
    })
    .query(&["code", "state", "iss", "error"])
    .ignoring_others(),
    Route::new("POST", "/logout", Need::Anyone, || to(login::end)),
    Route::new("GET", "/v1/me", Need::Anyone, || to(me::show)),
    Route::new("GET", "/v1/budget", Need::Viewer, || to(budget::show)),
    Route::new("PUT", "/v1/budget", Need::Operator, || to(budget::change))
        .query(&["reason", "dry_run"]),
    Route::new("GET", "/v1/budget/trial", Need::Viewer, || to(trial::show)).query(&[
        "traces_per_second",
        "start",
        "end",
        "step",
    ]),
    Route::new("GET", "/v1/mode", Need::Viewer, || to(controls::show_mode)),
    Route::new("PUT", "/v1/mode", Need::Operator, || {
        to(controls::change_mode)
    })
    .query(&["reason", "dry_run"]),
    Route::new("GET", "/v1/freeze", Need::Viewer, || {
        to(controls::show_freeze)
    }),
    Route::new("PUT", "/v1/freeze", Need::Operator, || to(controls::freeze))
        .query(&["reason", "dry_run"]),
    Route::new("DELETE", "/v1/freeze", Need::Operator, || {
        to(controls::end_freeze)
    })
    .query(&["reason", "dry_run"]),
    Route::new("GET", "/v1/emergency", Need::Viewer, || {
        to(controls::show_emergency)
    }),
    Route::new("PUT", "/v1/emergency", Need::Operator, || {
        to(controls::emergency)
    })
    .query(&["reason", "dry_run"]),
    Route::new("DELETE", "/v1/emergency", Need::Operator, || {
        to(controls::end_emergency)
    })
    .query(&["reason", "dry_run"]),
    Route::new("GET", "/v1/coverage", Need::Viewer, || to(coverage::show)),
    Route::new("PUT", "/v1/coverage", Need::Operator, || {
        to(coverage::change)
    })
    .query(&["reason", "dry_run"]),
    Route::new("GET", "/v1/lower-bound", Need::Viewer, || {
        to(lower_bound::show)
    }),
    Route::new("PUT", "/v1/lower-bound", Need::Operator, || {
        to(lower_bound::change)
    })
    .query(&["reason", "dry_run"]),
    Route::new("GET", "/v1/configuration", Need::Viewer, || {
        to(document::show)
    })
    .query(&["origins"]),
    Route::new("PUT", "/v1/configuration", Need::Operator, || {
        to(document::replace)
    })
    .query(&["force", "preview", "reason", "dry_run", "take_over"]),
    Route::new("POST", "/v1/configuration/preview", Need::Viewer, || {
        to(preview::show)
    })
    .query(&["limit", "plan"]),
    Route::new("POST", "/v1/configuration/rollback", Need::Operator, || {
        to(document::roll_back)
    })
    .query(&["reason", "dry_run"]),
    Route::new("GET", "/v1/configuration/revisions", Need::Viewer, || {
        to(document::revisions)
    })
    .query(&["limit", "before"]),
    Route::new(
        "GET",
        "/v1/configuration/revisions/{revision}",
        Need::Viewer,
        || to(document::revision),
    ),
    Route::new("GET", "/v1/rules", Need::Viewer, || to(rules::list)).query(&["limit", "after"]),
    Route::new("POST", "/v1/rules", Need::Operator, || to(rules::create))
        .query(&["force", "reason", "dry_run"]),
    Route::new("GET", "/v1/rules/{id}", Need::Viewer, || to(rules::one)),
    Route::new("PUT", "/v1/rules/{id}", Need::Operator, || {
        to(rules::replace)
    })
    .query(&["force", "reason", "dry_run"]),
    Route::new("DELETE", "/v1/rules/{id}", Need::Operator, || {
        to(rules::remove)
    })
    .query(&["reason", "dry_run"]),
    Route::new("POST", "/v1/boosts", Need::Operator, || to(rules::boost))
        .query(&["force", "reason", "dry_run"]),
    Route::new("GET", "/v1/agents", Need::Viewer, || to(agents::list))
        .query(&["limit", "after", "state", "service"]),
    Route::new("GET", "/v1/pollers", Need::Viewer, || to(pollers::list))
        .query(&["limit", "after", "part"]),
    Route::new("GET", "/v1/plans/current", Need::Viewer, || {
        to(plans::current)
    }),
    Route::new("GET", "/v1/plans", Need::Viewer, || to(plans::list)).query(&["limit", "before"]),
    Route::new("GET", "/v1/plans/compare", Need::Viewer, || {
        to(plans::compare)
    })
    .query(&["from", "to", "limit"]),
    Route::new("GET", "/v1/replicas", Need::Viewer, || to(replicas::list)),
    Route::new("GET", "/v1/edges", Need::Viewer, || to(edges::list)),
    Route::new("GET", "/v1/audit", Need::Viewer, || to(audit::list)).query(&[
        "limit", "before", "start", "end", "by", "action", "subject", "format",
    ]),
    Route::new("GET", "/v1/audit/{id}", Need::Viewer, || to(audit::one)),
    Route::new("GET", "/v1/services", Need::Viewer, || to(services::list)).query(&[
        "limit",
        "after",
        "sort",
        "search",
        "group",
        "sparkline",
    ]),
    Route::new("GET", "/v1/operations", Need::Viewer, || {
        to(operations::list)
    })
    .query(&["limit", "after", "sort", "search"]),
    Route::new("GET", "/v1/services/{service}", Need::Viewer, || {
        to(services::one)
    }),
    Route::new(
        "GET",
        "/v1/services/{service}/operations",
        Need::Viewer,
        || to(services::operations),
    )
    .query(&["limit", "after"]),
    Route::new(
        "DELETE",
        "/v1/services/{service}/operations",
        Need::Operator,
        || to(forget::forget),
    )
    .query(&["silent_for_seconds", "reason", "dry_run"]),
    Route::new(
        "GET",
        "/v1/services/{service}/explanation",
        Need::Viewer,
        || to(explain::show),
    )
    .query(&["operation", "class"]),
    Route::new(
        "GET",
        "/v1/services/{service}/history",
        Need::Viewer,
        || to(history::show),
    )
    .query(&[
        "operation",
        "start",
        "end",
        "after",
        "limit",
        "step",
        "points",
        "by",
        "class",
    ]),
    Route::new("GET", "/v1/history", Need::Viewer, || to(series::fleet))
        .query(&["start", "end", "step", "points", "by"]),
    Route::new("GET", "/v1/groups/{group}/history", Need::Viewer, || {
        to(series::group)
    })
    .query(&["start", "end", "step", "points", "by"]),
    Route::new("GET", "/v1/tokens", Need::Admin, || to(tokens::list)),
    Route::new("POST", "/v1/tokens", Need::Admin, || to(tokens::create))
        .query(&["reason", "dry_run"]),
    Route::new("DELETE", "/v1/tokens/{id}", Need::Admin, || {
        to(tokens::revoke)
    })
    .query(&["reason", "dry_run"]),
];

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match (error.passing(), &error) {
            (Some(passing), _) => Self::Unavailable {
                detail: passing.detail(),
                retry_after_seconds: 2,
            },
            (None, StoreError::Unsound { .. }) => Self::Unavailable {
                detail: StoreError::UNSOUND,
                retry_after_seconds: 10,
            },
            (None, _) => {
                log_seldom!(error, error = chain(&error), "a request failed");
                Self::Internal
            }
        }
    }
}
