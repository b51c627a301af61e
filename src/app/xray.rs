//! The listener of clients that speak X-Ray's protocol.

use std::sync::Arc;

use actix_web::web::{Data, ServiceConfig};

use super::listeners::{connections_panicked, refused};
use super::{AppError, Parts};
use crate::api::health;
use crate::http::body::{BodyRoom, check_announced};
use crate::http::routes::extractors;
use crate::http::routes::register;
use crate::ingest::Ingest;
use crate::net::descriptors::Shares;
use crate::net::listener::{Gates, Listener, ListenerCounts, listen};
use crate::protocols::xray::{self, Xray};
use crate::telemetry::metrics::{ListenerName, Metrics};

/// Bytes of statistics that may be held at once.
const STATISTICS_BYTES: usize = 32 << 20;

impl Parts {
    /// Binds the listener of clients that speak X-Ray's protocol; none if it is off.
    pub(super) fn xray_listener(
        &self,
        ingest: Ingest,
        shares: Shares,
    ) -> Result<Option<Listener>, AppError> {
        let Some(address) = self.settings.listeners.xray_listen.0 else {
            return Ok(None);
        };
        let xray = Data::new(Xray {
            served: Arc::clone(&self.shared.served),
            ingest,
            guard: self.agent_guard(ListenerName::Xray),
            room: BodyRoom::of(STATISTICS_BYTES),
            clock: self.clock(),
            metrics: Arc::clone(&self.shared.metrics),
        });
        let health = Data::new(self.health());
        let gates = Gates {
            expected: Some(Arc::new(|head| {
                refused(check_announced(head.headers(), xray::BYTES_MAX))
            })),
            tls: self.encrypted.of(ListenerName::Xray),
            ..Gates::default()
        };
        let guard = self.agent_guard(ListenerName::Xray);
        let routes = move |config: &mut ServiceConfig| {
            let (query, path) = extractors();
            config
                .app_data(query)
                .app_data(path)
                .app_data(Data::clone(&xray))
                .app_data(Data::clone(&health));
            register(config, xray::ROUTES, &guard);
            register(config, health::ROUTES, &guard);
        };
        let counts = counts(&self.shared.metrics);
        let bounds = self.sdk_bounds(shares.xray);
        let bound = listen("xray", address, bounds, counts, gates, routes);
        bound.map(Some).map_err(|source| AppError::Listen {
            flag: "--xray-listen, which may be off",
            address,
            source,
        })
    }
}

fn counts(metrics: &Metrics) -> ListenerCounts {
    ListenerCounts {
        open: metrics.xray_connections.clone(),
        most: metrics.xray_connections_max.clone(),
        evicted: metrics.xray_connections_evicted.clone(),
        malformed: metrics.malformed_requests.of(ListenerName::Xray).clone(),
        panicked: connections_panicked(metrics),
    }
}
