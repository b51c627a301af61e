//! The only wiring: builds the parts, runs them, and stops them in order.

use std::io;
use std::net::SocketAddr;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

use tokio::task::{JoinHandle, JoinSet};
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_tls::{TlsFiles, TlsFilesError};

use crate::admin::Admin;
use crate::core::peers::PEERS_MAX;
use crate::engine::Engine;
use crate::parts::{engine, weir};
use crate::peers::{Peers, WrongSecret};
use crate::receive::listener::Listener;
use crate::receive::tls::Tls;
use crate::receive::{Receiver, Room};
use crate::send::words;
use crate::settings::{Settings, WrongBackend};
use crate::tls::{Clients, WrongAuthorities};
use crate::weir::{Agent, Follower, Reporter, Weir, WrongWeir};

/// Connections of probes and Prometheus.
const ADMIN_CONNECTIONS: usize = 50;

/// Connections of other edges: each has one, and another while it is replaced.
const PEER_CONNECTIONS: usize = 2 * PEERS_MAX;

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
    /// The files of TLS.
    #[error("--tls-cert, --tls-key, --client-ca: {}", words(.0))]
    Tls(#[from] TlsFilesError),
    /// The secret of the edges.
    #[error(transparent)]
    Secret(#[from] WrongSecret),
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
    peers: Option<(Arc<Peers>, Listener)>,
    tls: [Option<Arc<Tls>>; 2],
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
    /// Other edges, if there are any.
    pub peers: Option<SocketAddr>,
}

impl Edge {
    /// Builds an edge and binds its listeners.
    ///
    /// # Errors
    /// Says which setting is wrong.
    pub async fn build(settings: Settings) -> Result<Self, Failure> {
        let clients = Clients::new(settings.ca.as_deref())?;
        let weir = weir(&settings, &clients)?;
        let to_weir = weir.as_ref().filter(|_| settings.metrics_to_weir);
        let to_weir = to_weir.map(|(weir, _)| weir.backend());
        let engine = Arc::new(engine(&settings, &clients, to_weir)?);
        let open = |of, files: Option<TlsFiles>| {
            let open = |files| Tls::open(of, files, &engine.metrics);
            files.map(open).transpose()
        };
        let tls = open("senders", settings.tls(true))?;
        // Edges show the secret, and no certificate.
        let peer_files = settings.tls(false).filter(|_| !settings.peers.is_empty());
        let peer_tls = open("peers", peer_files)?;
        let bind = async |address, most, tls: Option<&Arc<Tls>>| {
            let bound = Listener::bind(address, most, tls.cloned(), &engine.metrics).await;
            let address = |error| Failure::Listen(address, error);
            let listener = bound.map_err(address)?;
            let bound = listener.address().map_err(address)?;
            Ok::<_, Failure>((listener, bound))
        };
        let most = settings.max_connections;
        let (grpc_listener, grpc) = bind(settings.grpc_listen, most, tls.as_ref()).await?;
        let (http_listener, http) = bind(settings.http_listen, most, tls.as_ref()).await?;
        let (admin_listener, admin) = bind(settings.admin_listen, ADMIN_CONNECTIONS, None).await?;
        let (mut peers, mut peer_address) = (None, None);
        if let Some(others) = Peers::new(&settings, &engine, &clients)? {
            let listener = bind(settings.peer_listen, PEER_CONNECTIONS, peer_tls.as_ref());
            let (listener, bound) = listener.await?;
            (peers, peer_address) = (Some((others, listener)), Some(bound));
        }
        let bodies = settings.shares().bodies;
        Ok(Self {
            peers,
            tls: [tls, peer_tls],
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
            addresses: Addresses {
                grpc,
                http,
                admin,
                peers: peer_address,
            },
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
        let Addresses {
            grpc, http, admin, ..
        } = self.addresses;
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
        for tls in self.tls.into_iter().flatten() {
            receiving.spawn(tls.watch(signs.no_exports.clone()));
        }
        let talking = talk(&self.settings, self.weir, &self.engine, &signs.no_decisions);
        let mut conversing = JoinSet::new();
        if let Some((peers, listener)) = self.peers {
            let answering = Arc::clone(&peers);
            let answer = move |request| {
                let peers = Arc::clone(&answering);
                async move { peers.answer(request).await }
            };
            conversing.spawn(listener.serve(answer, signs.no_peers.clone()));
            conversing.spawn(peers.run(self.settings.peers.clone(), signs.no_peers.clone()));
        }
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
            conversing,
        }
    }
}

/// What tells parts to stop, one after the other.
#[derive(Default)]
struct Signs {
    no_exports: CancellationToken,
    no_decisions: CancellationToken,
    no_peers: CancellationToken,
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
    conversing: JoinSet<()>,
}

impl Running {
    /// Waits until a part ends that should not.
    async fn first_end(&mut self) -> &'static str {
        tokio::select! {
            _ = self.receiving.join_next() => "receive",
            _ = self.senders.join_next() => "send",
            _ = &mut self.deciding => "decide",
            _ = &mut self.probes => "probes",
            Some(_) = self.conversing.join_next() => "peers",
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
        if !self.conversing.is_empty() {
            // A quarter for the others: they decide about what is here, and hear what was decided.
            let all_said = self.engine.leave(Instant::now() + limit / 4);
            all_said.await;
            self.signs.no_peers.cancel();
            self.conversing.shutdown().await;
        }
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
