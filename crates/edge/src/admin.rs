//! What probes and Prometheus ask: `/healthz`, `/readyz`, `/metrics`.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use hyper::body::Incoming;
use hyper::{Request, StatusCode};

use crate::engine::Engine;
use crate::receive::Answer;

/// Answers probes.
pub(crate) struct Admin {
    pub engine: Arc<Engine>,
    pub is_ready: AtomicBool,
}

impl Admin {
    /// Answers a request.
    pub fn answer(&self, request: &Request<Incoming>) -> Answer {
        let page = |status, text: &str| Answer::page(status, text.into());
        match request.uri().path() {
            "/metrics" => Answer::page(StatusCode::OK, self.engine.metrics_text()),
            "/healthz" => page(StatusCode::OK, "ok\n"),
            "/readyz" if self.is_ready.load(Ordering::Relaxed) => page(StatusCode::OK, "ready\n"),
            "/readyz" => page(StatusCode::SERVICE_UNAVAILABLE, "stopping\n"),
            _ => page(
                StatusCode::NOT_FOUND,
                "this path does not exist; there are /metrics, /healthz and /readyz\n",
            ),
        }
    }
}
