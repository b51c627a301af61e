//! Builds parts of an edge from its settings.

use std::sync::Arc;

use crate::core::Limits;
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::otlp::limit::AttributeLimits;
use crate::otlp::write::Told;
use crate::plan::Plan;
use crate::run::Failure;
use crate::send::{Backends, Sending};
use crate::settings::{Backend, Settings};
use crate::tls::Clients;
use crate::weir::{Agent, Weir, read_file};

/// What takes exports. Metrics go to Weir, too, if it is named.
pub(crate) fn engine(
    settings: &Settings,
    clients: &Clients,
    to_weir: Option<Backend>,
) -> Result<Engine, Failure> {
    let metrics = Arc::new(Metrics::new());
    let sending = Sending {
        queue_bytes: settings.shares().queues,
        compression: settings.backend_compression,
        batch_delay: settings.batch_delay,
        retry_for: settings.retry_for,
    };
    let backends = Backends::new(Backend::all(settings)?, to_weir, clients, sending, &metrics);
    let plan = first_plan(settings)?;
    metrics.plan.set(plan.number as i64);
    let told = Told {
        jaeger_attributes: settings.jaeger_attributes,
    };
    Ok(Engine::new(
        limits(settings),
        told,
        Arc::new(plan),
        backends,
        metrics,
    ))
}

fn first_plan(settings: &Settings) -> Result<Plan, Failure> {
    let kept = settings.plan_file.as_deref().map(read_file).transpose();
    let kept = kept.map_err(Failure::PlanFile)?.flatten();
    Ok(kept.unwrap_or_else(|| Plan::initial(settings.initial_probability)))
}

fn limits(settings: &Settings) -> Limits {
    let shares = settings.shares();
    Limits {
        ring_bytes: shares.ring,
        table_bytes: shares.table,
        decision_bytes: shares.decisions,
        peer_bytes: shares.peers,
        edge_id: rand::random(),
        operations_max: settings.operations_max,
        decision_delay_ms: settings.decision_delay.as_millis() as u64,
        trace_timeout_ms: settings.trace_timeout.as_millis() as u64,
        trace_spans_max: settings.trace_spans_max,
        span_bytes_max: settings.span_bytes_max,
        attributes: AttributeLimits {
            most: settings.attributes_max,
            bytes: settings.attribute_bytes_max,
        },
    }
}

/// Weir, and who reports to it; none if there is none.
pub(crate) fn weir(
    settings: &Settings,
    clients: &Clients,
) -> Result<Option<(Weir, Agent)>, Failure> {
    let Some(url) = &settings.weir else {
        return Ok(None);
    };
    let token_file = settings.weir_token_file.as_deref();
    let weir = Weir::new(clients.http.clone(), url, token_file)?;
    Ok(Some((weir, Agent::new(name(settings)?))))
}

/// This edge's name in Weir.
fn name(settings: &Settings) -> Result<String, Failure> {
    let host = || {
        let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
        format!("weir-edge-{}", name.trim())
    };
    let name = settings.name.clone().unwrap_or_else(host);
    let checked = weir_allocation::AgentName::check(&name);
    checked.map_err(|error| Failure::Name(error.to_string()))?;
    Ok(name)
}
