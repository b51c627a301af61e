//! The operators' API. All its routes stand on this screen.

mod budget;
mod health;
mod metrics;
mod plans;
mod services;

use std::sync::Arc;

use actix_web::web::{ServiceConfig, get, put, resource, to};

use crate::clock::Clock;
use crate::dictionary::Dictionary;
use crate::health::DatabaseState;
use crate::http::problem::{Problem, method_not_allowed};
use crate::snapshot::Served;
use crate::store::{Store, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::Exposition;

/// What the handlers work with.
#[derive(Clone)]
pub struct Admin {
    /// The database.
    pub store: Arc<dyn Store>,
    /// The time all replicas agree on.
    pub clock: Arc<dyn Clock>,
    /// Names and numbers.
    pub dictionary: Arc<Dictionary>,
    /// What is served.
    pub served: Arc<Served>,
    /// Whether the database answered when it was last asked.
    pub database: DatabaseState,
    /// What tells the metrics.
    pub exposition: Arc<Exposition>,
    /// A plan older than this is stale, in seconds.
    pub stale_after_seconds: f64,
}

/// The routes; they need an [`Admin`] as application data.
pub fn routes(config: &mut ServiceConfig) {
    let none = || to(method_not_allowed);
    config
        .service(
            resource("/livez")
                .route(get().to(health::alive))
                .default_service(none()),
        )
        .service(
            resource("/readyz")
                .route(get().to(health::ready))
                .default_service(none()),
        )
        .service(
            resource("/metrics")
                .route(get().to(metrics::tell))
                .default_service(none()),
        )
        .service(
            resource("/v1/budget")
                .route(get().to(budget::show))
                .route(put().to(budget::change))
                .default_service(none()),
        )
        .service(
            resource("/v1/plans/current")
                .route(get().to(plans::current))
                .default_service(none()),
        )
        .service(
            resource("/v1/services")
                .route(get().to(services::list))
                .default_service(none()),
        )
        .service(
            resource("/v1/services/{service}/operations")
                .route(get().to(services::operations))
                .default_service(none()),
        )
        .service(
            resource("/v1/services/{service}/history")
                .route(get().to(services::history))
                .default_service(none()),
        );
}

impl From<StoreError> for Problem {
    fn from(error: StoreError) -> Self {
        match error {
            StoreError::Unavailable { .. } => Self::Unavailable {
                detail: "the database is away",
                retry_after_seconds: 2,
            },
            fault => {
                tracing::error!(error = chain(&fault), "a request failed");
                Self::Internal
            }
        }
    }
}
