//! The listener for probes and Prometheus.

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};

use super::gauges::StateGauges;
use super::listeners::connections_panicked;
use super::{AppError, Parts, stale_after_seconds};
use crate::api::{health, metrics};
use crate::health::DatabaseState;
use crate::http::routes::register;
use crate::jobs::JobContext;
use crate::net::connection::TimeLimits;
use crate::net::descriptors::Shares;
use crate::net::hosts::AllowedHosts;
use crate::net::listener::{Gates, Listener, ListenerBounds, ListenerCounts, listen};
use crate::settings::Settings;
use crate::telemetry::metrics::{Exposition, ListenerName, Metrics};

/// One in this many of the connections that operators may have.
const PART: usize = 4;

impl Parts {
    /// Binds the listener for probes and Prometheus; none if it is off. It has a worker of its own, so
    /// nothing that operators ask for delays a probe.
    pub(super) fn observe_listener(&self, shares: Shares) -> Result<Option<Listener>, AppError> {
        let Some(address) = self.settings.listeners.observe_listen.0 else {
            return Ok(None);
        };
        let bounds = ListenerBounds {
            workers: 1,
            connections: (shares.admin / PART).max(1),
            time: TimeLimits {
                answer: super::listeners::ADMIN_ANSWER,
                idle: super::listeners::ADMIN_IDLE,
            },
            drain: self.drain(),
        };
        let gates = Gates {
            hosts: Some(self.allowed_hosts()),
            tls: self.encrypted.of(ListenerName::Observe),
            ..Gates::default()
        };
        let health = Data::new(self.health());
        let exposition = Data::from(Arc::clone(&self.exposition));
        let guard = self.observe_guard();
        let routes = move |config: &mut ServiceConfig| {
            config
                .app_data(Data::clone(&exposition))
                .app_data(Data::clone(&health));
            register(config, metrics::ROUTES, &guard);
            register(config, health::ROUTES, &guard);
        };
        let counts = counts(&self.shared.metrics);
        let bound = listen("observe", address, bounds, counts, gates, routes);
        bound.map(Some).map_err(|source| AppError::Listen {
            flag: "--observe-listen, which may be off",
            address,
            source,
        })
    }

    /// The names that the listeners for operators and Prometheus answer to.
    pub(super) fn allowed_hosts(&self) -> AllowedHosts {
        let open = &[health::LIVE, health::READY];
        let settings = &self.settings;
        let mut names = settings.listeners.admin_host.clone();
        names.extend(settings.access.oidc.public_host());
        AllowedHosts::new(&names, "--admin-host", open)
    }
}

fn counts(metrics: &Metrics) -> ListenerCounts {
    ListenerCounts {
        open: metrics.observe_connections.clone(),
        most: metrics.observe_connections_max.clone(),
        evicted: metrics.observe_connections_evicted.clone(),
        malformed: metrics.malformed_requests.of(ListenerName::Observe).clone(),
        panicked: connections_panicked(metrics),
    }
}

/// What renders the metrics, for all listeners: it remembers which services it has told of.
pub(super) fn exposition(
    shared: &JobContext,
    settings: &Settings,
    database: &DatabaseState,
) -> Exposition {
    let mut gauges = StateGauges {
        served: Arc::clone(&shared.served),
        clock: Arc::clone(&shared.clock),
        leadership: shared.leadership.clone(),
        database: database.clone(),
        store: Arc::clone(&shared.store),
        stale_after_seconds: stale_after_seconds(shared.interval),
        services: settings.limits.metrics_services,
        told: None,
    };
    let observe = Box::new(move |metrics: &Metrics| gauges.set(metrics));
    Exposition::new(Arc::clone(&shared.metrics), observe)
}
