//! The only wiring: builds the parts, runs them, and stops them in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;

use crate::admin::Admin;
use crate::core::Limits;
use crate::engine::Engine;
use crate::metrics::Metrics;
use crate::otlp::write::Told;
use crate::plan::Plan;
use crate::receive::listener::Listener;
use crate::receive::{Receiver, Room};
use crate::send::{Backends, Sending};
use crate::settings::{Backend, Settings, WrongBackend};
use crate::tls::{Clients, WrongAuthorities};
use crate::weir::{Agent, Follower, Reporter, Weir, WrongWeir, read_file};

/// Connections of probes and Prometheus.
const ADMIN_CONNECTIONS: usize = 50;

/// Why an edge cannot start or go on.
#[derive(Debug, thiserror::Error)]
pub enum Failure {
    /// A backend or its headers.
    #[error(transparent)]
    Backend(#[from] WrongBackend),
    /// Weir's URL or token.
    #[error(transparent)]
    Weir(#[from] WrongWeir),
    /// The authorities of TLS.
    #[error(transparent)]
    Authorities(#[from] WrongAuthorities),
    /// The plan that was kept.
    #[error("--plan-file: {0}; correct or remove it")]
    PlanFile(String),
    /// This edge's name.
    #[error("--name: {0}")]
    Name(String),
    /// An address.
    #[error("cannot listen on {0}: {1}")]
    Listen(SocketAddr, io::Error),
    /// A part that the edge needs ended by itself.
    #[error("the task {0} ended by itself")]
    Ended(&'static str),
}

/// An edge that listens.
pub struct Edge {
    settings: Settings,
    engine: Arc<Engine>,
    admin: Arc<Admin>,
    receiver: Arc<Receiver>,
    weir: Option<(Weir, Agent)>,
    listeners: [Listener; 2],
    admin_listener: Listener,
    addresses: Addresses,
}

/// Where an edge listens.
#[derive(Debug, Clone, Copy)]
pub struct Addresses {
    /// OTLP over gRPC.
    pub grpc: SocketAddr,
    /// OTLP over HTTP.
    pub http: SocketAddr,
    /// Probes and metrics.
    pub admin: SocketAddr,
}

impl Edge {
    /// Builds an edge and binds its listeners.
    ///
    /// # Errors
    /// Says which setting is wrong.
    pub async fn build(settings: Settings) -> Result<Self, Failure> {
        let clients = Clients::new(settings.ca.as_deref())?;
        let engine = Arc::new(engine(&settings, &clients)?);
        let weir = match &settings.weir {
            Some(url) => {
                let token_file = settings.weir_token_file.as_deref();
                let weir = Weir::new(clients.http.clone(), url, token_file)?;
                Some((weir, Agent::new(name(&settings)?)))
            }
            None => None,
        };
        let bind = async |address, most| {
            let bound = Listener::bind(address, most, &engine.metrics).await;
            let address = |error| Failure::Listen(address, error);
            let listener = bound.map_err(address)?;
            let bound = listener.address().map_err(address)?;
            Ok::<_, Failure>((listener, bound))
        };
        let most = settings.max_connections;
        let (grpc_listener, grpc) = bind(settings.grpc_listen, most).await?;
        let (http_listener, http) = bind(settings.http_listen, most).await?;
        let (admin_listener, admin) = bind(settings.admin_listen, ADMIN_CONNECTIONS).await?;
        let bodies = settings.shares().bodies;
        Ok(Self {
            admin: Arc::new(Admin {
                engine: Arc::clone(&engine),
                is_ready: AtomicBool::new(true),
            }),
            receiver: Arc::new(Receiver {
                engine: Arc::clone(&engine),
                room: Room::new(bodies),
                bytes_max: settings.body_bytes_max.min(bodies / 2),
            }),
            settings,
            engine,
            weir,
            listeners: [grpc_listener, http_listener],
            admin_listener,
            addresses: Addresses { grpc, http, admin },
        })
    }

    /// Where it listens.
    #[must_use]
    pub fn addresses(&self) -> Addresses {
        self.addresses
    }

    /// Runs until `stop`, and then stops in order.
    ///
    /// # Errors
    /// A part that the edge needs ended by itself.
    pub async fn run(self, stop: CancellationToken) -> Result<(), Failure> {
        let Addresses { grpc, http, admin } = self.addresses;
        tracing::info!(%grpc, %http, %admin, "taking spans");
        let mut running = self.start();
        let outcome = tokio::select! {
            () = stop.cancelled() => Ok(()),
            name = running.first_end() => Err(Failure::Ended(name)),
        };
        running.stop().await;
        outcome
    }

    fn start(self) -> Running {
        let signs = Signs::default();
        let mut senders = JoinSet::new();
        self.engine.backends.start(&mut senders);
        let deciding = tokio::spawn({
            let (engine, stop) = (Arc::clone(&self.engine), signs.no_decisions.clone());
            async move { engine.decide(stop).await }
        });
        let mut receiving = JoinSet::new();
        for listener in self.listeners {
            let receiver = Arc::clone(&self.receiver);
            let answer = move |request| {
                let receiver = Arc::clone(&receiver);
                async move { receiver.answer(request).await }
            };
            receiving.spawn(listener.serve(answer, signs.no_exports.clone()));
        }
        let admin = Arc::clone(&self.admin);
        let answer = move |request| std::future::ready(admin.answer(&request));
        let probes = tokio::spawn(self.admin_listener.serve(answer, signs.no_probes.clone()));
        let talking = talk(&self.settings, self.weir, &self.engine, &signs.no_decisions);
        Running {
            settings: self.settings,
            engine: self.engine,
            admin: self.admin,
            signs,
            senders,
            receiving,
            deciding,
            probes,
            talking,
        }
    }
}

/// What tells parts to stop, one after the other.
#[derive(Default)]
struct Signs {
    no_exports: CancellationToken,
    no_decisions: CancellationToken,
    no_probes: CancellationToken,
}

/// What talks to Weir.
struct Talking {
    following: JoinHandle<()>,
    reporting: JoinHandle<Reporter>,
}

/// An edge at work.
struct Running {
    settings: Settings,
    engine: Arc<Engine>,
    admin: Arc<Admin>,
    signs: Signs,
    senders: JoinSet<()>,
    receiving: JoinSet<()>,
    deciding: JoinHandle<()>,
    probes: JoinHandle<()>,
    talking: Option<Talking>,
}

impl Running {
    /// Waits until a part ends that should not.
    async fn first_end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.receiving.join_next() => "receive",
            _ = self.senders.join_next() => "send",
            _ = &mut self.deciding => "decide",
            _ = &mut self.probes => "probes",
            () = ended(&mut self.talking) => {
                self.talking = None;
                "weir"
            }
        }
    }

    async fn stop(mut self) {
        self.admin.is_ready.store(false, Ordering::Relaxed);
        tokio::time::sleep(self.settings.stop_delay).await;
        let (begin, limit) = (Instant::now(), self.settings.stop_timeout);
        self.signs.no_exports.cancel();
        // Half of the time for requests in progress; the rest for what they brought.
        let all_answered = async { while self.receiving.join_next().await.is_some() {} };
        let in_time = tokio::time::timeout_at(begin + limit / 2, all_answered).await;
        if in_time.is_err() {
            tracing::warn!("some senders did not get an answer before the stop");
            self.receiving.shutdown().await;
        }
        self.signs.no_decisions.cancel();
        self.engine.drain().await;
        let last_report = async {
            if let Some(talking) = self.talking {
                talking.following.abort();
                if let Ok(reporter) = talking.reporting.await {
                    reporter.end(begin + limit).await;
                }
            }
        };
        let sent = self.engine.backends.end(self.senders, begin + limit);
        tokio::join!(sent, last_report);
        self.signs.no_probes.cancel();
        let figures = self.engine.figures();
        tracing::info!(
            received = figures.received,
            held = figures.held_spans,
            "stopped"
        );
    }
}

/// Returns when one of the two tasks ends; never if there is no Weir.
async fn ended(talking: &mut Option<Talking>) {
    match talking {
        Some(talking) => tokio::select! {
            _ = &mut talking.following => {}
            _ = &mut talking.reporting => {}
        },
        None => std::future::pending().await,
    }
}

/// Starts to follow plans and to report, if there is a Weir.
fn talk(
    settings: &Settings,
    weir: Option<(Weir, Agent)>,
    engine: &Arc<Engine>,
    stop: &CancellationToken,
) -> Option<Talking> {
    let (weir, agent) = weir?;
    let follower = Follower {
        weir: weir.clone(),
        name: agent.name.clone(),
        file: settings.plan_file.clone(),
        engine: Arc::clone(engine),
    };
    let reporter = Reporter::new(weir, agent, settings.report_interval, Arc::clone(engine));
    Some(Talking {
        following: tokio::spawn(follower.run(stop.clone())),
        reporting: tokio::spawn(reporter.run(stop.clone())),
    })
}

fn engine(settings: &Settings, clients: &Clients) -> Result<Engine, Failure> {
    let metrics = Arc::new(Metrics::new());
    let sending = Sending {
        queue_bytes: settings.shares().queues,
        compression: settings.backend_compression,
        batch_delay: settings.batch_delay,
        retry_for: settings.retry_for,
    };
    let backends = Backends::new(Backend::all(settings)?, clients, sending, &metrics);
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
        operations_max: settings.operations_max,
        decision_delay_ms: settings.decision_delay.as_millis() as u64,
        trace_timeout_ms: settings.trace_timeout.as_millis() as u64,
        trace_spans_max: settings.trace_spans_max,
        span_bytes_max: settings.span_bytes_max,
    }
}

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
