//! The listeners: their routes, and how much they accept at once.

use std::io::ErrorKind;
use std::sync::Arc;
use std::time::Duration;

use actix_web::web::{Data, ServiceConfig};
use actix_web::{HttpResponse, ResponseError};
use tokio::runtime::Handle;
use tokio::sync::Semaphore;

use super::{AppError, Parts};
use crate::access::Guard;
use crate::api::admin::{self, Admin};
use crate::api::reports::{self, Reports};
use crate::api::{health, health::Health, metrics};
use crate::console::{self, Console, Live};
use crate::grpc::elsewhere::Elsewhere;
use crate::grpc::{self, Services};
use crate::http::body::{BodyRoom, check_announced};
use crate::http::problem::Problem;
use crate::http::routes::{extractors, register};
use crate::ingest::{Committer, Ingest, ReportLimits};
use crate::jobs::PLAN_LEASE;
use crate::net::connection::TimeLimits;
use crate::net::descriptors::{self, Shares};
use crate::net::listener::{Gates, Listener, ListenerBounds, ListenerCounts, listen};
use crate::protocols::edges::{self, EdgePlans};
use crate::protocols::encoded::{Encoded, StrategyFormat};
use crate::protocols::jaeger::file::File;
use crate::protocols::jaeger::{self, About, Json, Polls, Protobuf, SamplingManager, protobuf};
use crate::protocols::otlp::{self, Exports};
use crate::settings::GRPC_DEFAULT;
use crate::telemetry::metrics::{ListenerName, Metrics, TaskName, TaskOutcome};

/// How long a request to the SDK listener may take. A body may take 10 s and a commit 8 s. An agent
/// that has waited longer than this has given up.
const SDK_ANSWER: Duration = Duration::from_secs(20);

/// How long a request to the admin listener may take: twice what a call to the database may.
pub(super) const ADMIN_ANSWER: Duration = Duration::from_secs(60);

/// How long a connection to the admin listener may be idle after an answer.
pub(super) const ADMIN_IDLE: Duration = Duration::from_secs(5);

/// Bytes of reports and exports that may be held at once while they arrive and until they are parsed.
const REPORT_BYTES: usize = 64 << 20;

/// The memory must hold at least this many of the largest reports, compressed and decompressed.
const LARGEST_REPORTS: usize = 4;

/// Requests that may read history at the same time. Each takes a database connection, and reports
/// need most of those.
const HISTORIES: usize = 2;

/// What SDKs are served, encoded in every format that a listener sends.
#[derive(Clone)]
pub(super) struct Strategies {
    json: Data<Polls<Json>>,
    file: Data<File>,
}

impl Strategies {
    /// Registers the paths for SDKs.
    fn register(&self, config: &mut ServiceConfig, guard: &Arc<Guard>) {
        config
            .app_data(Data::clone(&self.json))
            .app_data(Data::clone(&self.file));
        register(config, jaeger::ROUTES, guard);
    }
}

impl Parts {
    /// How many connections each listener may have.
    pub(super) fn shares(&self) -> Shares {
        let listeners = &self.settings.listeners;
        let grpc = listeners.grpc_listen.0;
        let xray = listeners.xray_listen.0;
        descriptors::shares(Shares {
            sdk: listeners.max_connections,
            grpc: grpc.map_or(0, |_| listeners.grpc_max_connections),
            xray: xray.map_or(0, |_| listeners.xray_max_connections),
            admin: 0,
        })
    }

    /// Encodes what is served, now and whenever a plan is installed.
    pub(super) fn strategies(&self) -> Strategies {
        let json = self.polls(Json);
        let file = File::attach(&self.shared.served, json.about.clone());
        Strategies {
            json: Data::new(json),
            file: Data::new(file),
        }
    }

    fn polls<F: StrategyFormat>(&self, format: F) -> Polls<F> {
        Polls {
            strategies: Encoded::attach(&self.shared.served, format),
            about: About {
                metrics: Arc::clone(&self.shared.metrics),
                clock: self.clock(),
                stale_after_seconds: self.stale_after_seconds(),
                strangers: self.shared.served.strangers(),
            },
        }
    }

    /// The bounds of a listener for SDKs.
    pub(super) fn sdk_bounds(&self, connections: usize) -> ListenerBounds {
        ListenerBounds {
            workers: std::thread::available_parallelism().map_or(2, usize::from),
            connections,
            time: TimeLimits {
                answer: SDK_ANSWER,
                idle: self.settings.listeners.idle_timeout,
            },
            drain: self.drain(),
        }
    }

    /// Binds the listener of SDKs and agents. Clients that speak HTTP/2 hear that gRPC is served at
    /// `grpc_port`.
    pub(super) fn sdk_listener(
        &self,
        exports: Exports,
        strategies: &Strategies,
        grpc_port: Option<u16>,
        shares: Shares,
    ) -> Result<Listener, AppError> {
        let reports = Data::new(self.reports(&exports));
        let exports = Data::new(exports);
        let health = Data::new(self.health());
        let bounds = self.sdk_bounds(shares.sdk);
        let gates = Gates {
            hosts: None,
            expected: Some(Arc::new({
                let (reports, exports) = (Data::clone(&reports), Data::clone(&exports));
                move |head| match exports.expects(head) {
                    Some(checked) => checked,
                    None => refused(reports.check_announced(head)),
                }
            })),
            http2: Some(Arc::new(Elsewhere::new(where_grpc_is(grpc_port)))),
            tls: self.encrypted.of(ListenerName::Sdk),
        };
        let strategies = strategies.clone();
        let edges = Data::new(EdgePlans::attach(
            &self.shared.served,
            self.clock(),
            Arc::clone(&self.shared.metrics),
        ));
        let guard = self.agent_guard(ListenerName::Sdk);
        let routes = move |config: &mut ServiceConfig| {
            config
                .app_data(Data::clone(&reports))
                .app_data(Data::clone(&exports))
                .app_data(Data::clone(&edges))
                .app_data(Data::clone(&health));
            strategies.register(config, &guard);
            register(config, reports::ROUTES, &guard);
            register(config, edges::ROUTES, &guard);
            register(config, otlp::ROUTES, &guard);
            register(config, health::ROUTES, &guard);
        };
        let (address, counts) = (
            self.settings.listeners.listen,
            sdk_counts(&self.shared.metrics),
        );
        let bound = listen("sdk", address, bounds, counts, gates, routes);
        bound.map_err(|source| AppError::Listen {
            flag: "--listen",
            address,
            source,
        })
    }

    /// Binds the listener of SDKs that speak gRPC; none if it is off. It answers polls over HTTP/1.1,
    /// too, because Jaeger's port does.
    pub(super) fn grpc_listener(
        &self,
        exports: &Exports,
        strategies: &Strategies,
        shares: Shares,
    ) -> Result<Option<Listener>, AppError> {
        let Some(address) = self.settings.listeners.grpc_listen.0 else {
            return Ok(None);
        };
        let health = Data::new(self.health());
        let guard = self.agent_guard(ListenerName::Grpc);
        let gates = Gates {
            http2: Some(Arc::new(self.grpc_services(exports, Arc::clone(&guard)))),
            tls: self.encrypted.of(ListenerName::Grpc),
            ..Gates::default()
        };
        let strategies = strategies.clone();
        let routes = move |config: &mut ServiceConfig| {
            config.app_data(Data::clone(&health));
            strategies.register(config, &guard);
            register(config, health::ROUTES, &guard);
        };
        let bounds = self.sdk_bounds(shares.grpc);
        let counts = grpc_counts(&self.shared.metrics);
        match listen("grpc", address, bounds, counts, gates, routes) {
            Ok(listener) => Ok(Some(listener)),
            Err(source) if address == GRPC_DEFAULT && source.kind() == ErrorKind::AddrInUse => {
                tracing::warn!(
                    %address,
                    "gRPC is off, because its default address is in use: give --grpc-listen an \
                     address, or off"
                );
                Ok(None)
            }
            Err(source) => Err(AppError::Listen {
                flag: "--grpc-listen, which may be off",
                address,
                source,
            }),
        }
    }

    /// The services of the gRPC listener, with their health and their reflection.
    fn grpc_services(&self, exports: &Exports, guard: Arc<Guard>) -> Services {
        let polls = self.polls(Protobuf);
        let mut names = vec![protobuf::SERVICE];
        names.extend(otlp::grpc::SERVICES);
        let health = grpc::health::service(self.stopping.clone(), names);
        let descriptors = [
            protobuf::DESCRIPTOR,
            otlp::grpc::DESCRIPTOR,
            grpc::health::DESCRIPTOR,
        ];
        let [newer, older] = grpc::reflection::services(&descriptors);
        let mut services = vec![Arc::new(SamplingManager { polls }), health, newer, older];
        services.extend(otlp::grpc::services(exports));
        Services::new(services, guard)
    }

    /// What takes exports, on both listeners.
    pub(super) fn exports(&self, committer: Committer) -> Exports {
        let bytes_max = self.settings.limits.max_report_bytes;
        let largest = bytes_max.saturating_mul(LARGEST_REPORTS);
        Exports {
            ingest: self.ingest(committer),
            room: BodyRoom::of(largest.max(REPORT_BYTES)),
            bytes_max,
            metrics: Arc::clone(&self.shared.metrics),
        }
    }

    /// What takes reports, in the same room.
    fn reports(&self, exports: &Exports) -> Reports {
        Reports {
            ingest: exports.ingest.clone(),
            room: exports.room.clone(),
            bytes_max: exports.bytes_max,
            metrics: Arc::clone(&exports.metrics),
        }
    }

    fn ingest(&self, committer: Committer) -> Ingest {
        let limits = ReportLimits {
            bucket: self.shared.interval,
            age: self.fleet.report_age_max,
        };
        let dictionary = Arc::clone(&self.shared.dictionary);
        let metrics = Arc::clone(&self.shared.metrics);
        let served = Arc::clone(&self.shared.served);
        let clock = self.clock();
        let observed = Arc::clone(&self.shared.observed);
        Ingest::new(
            dictionary, committer, clock, limits, metrics, served, observed,
        )
    }

    pub(super) fn health(&self) -> Health {
        Health {
            served: Arc::clone(&self.shared.served),
            database: self.database.clone(),
            stopping: self.stopping.clone(),
            plan: self.plan_state.clone(),
        }
    }

    /// Binds the listener of operators.
    pub(super) fn admin_listener(&self, shares: Shares) -> Result<Listener, AppError> {
        let (admin, health) = (Data::new(self.admin()), Data::new(self.health()));
        let exposition = Data::from(Arc::clone(&self.exposition));
        let bounds = ListenerBounds {
            workers: 1,
            connections: shares.admin,
            time: TimeLimits {
                answer: ADMIN_ANSWER,
                idle: ADMIN_IDLE,
            },
            drain: self.drain(),
        };
        let gates = Gates {
            hosts: Some(self.allowed_hosts()),
            expected: Some(Arc::new(|head| {
                refused(check_announced(head.headers(), admin::LARGEST_BODY))
            })),
            http2: None,
            tls: self.encrypted.of(ListenerName::Admin),
        };
        let guard = self.admin_guard();
        let console = Data::new(self.console(&admin, &guard));
        let routes = move |config: &mut ServiceConfig| {
            let (query, path) = extractors();
            config
                .app_data(query)
                .app_data(path)
                .app_data(Data::clone(&admin))
                .app_data(Data::clone(&exposition))
                .app_data(Data::clone(&health));
            config.app_data(Data::clone(&console));
            register(config, admin::ROUTES, &guard);
            register(config, console::ROUTES, &guard);
            register(config, metrics::ROUTES, &guard);
            register(config, health::ROUTES, &guard);
        };
        let (address, counts) = (
            self.settings.listeners.admin_listen,
            admin_counts(&self.shared.metrics),
        );
        let bound = listen("admin", address, bounds, counts, gates, routes);
        bound.map_err(|source| AppError::Listen {
            flag: "--admin-listen",
            address,
            source,
        })
    }

    fn console(&self, admin: &Data<Admin>, guard: &Arc<Guard>) -> Console {
        let live = self
            .shared
            .served
            .attach(|snapshot| Live::begin(snapshot.plan().number, self.stopping.clone()));
        Console {
            admin: Data::clone(admin),
            guard: Arc::clone(guard),
            live,
            clock: self.clock(),
            interval: self.shared.interval,
            signs_in: self.provider.is_some(),
            encrypted: self.admin_is_encrypted(),
        }
    }

    fn admin(&self) -> Admin {
        Admin {
            store: Arc::clone(&self.shared.store),
            lease: PLAN_LEASE,
            clock: self.clock(),
            dictionary: Arc::clone(&self.shared.dictionary),
            agents: Arc::clone(&self.shared.agents),
            served: Arc::clone(&self.shared.served),
            interval: self.shared.interval,
            history: self.fleet.history,
            steps: self.fleet.steps,
            retire_after: self.fleet.retire_after,
            stale_after_seconds: self.stale_after_seconds(),
            matches: Arc::default(),
            previews: Arc::new(Semaphore::new(1)),
            histories: Arc::new(Semaphore::new(HISTORIES)),
            reads: Handle::current(),
            tokens: Arc::clone(&self.tokens),
            sign_in: self.sign_in(),
            encrypted: self.admin_is_encrypted(),
            metrics: Arc::clone(&self.shared.metrics),
            costs: Arc::clone(&self.shared.costs),
            patience: Arc::default(),
            documents: Admin::document_room(),
        }
    }

    /// How long requests may take to finish at a stop. The rest of the time is for commits, the
    /// lease and the database.
    pub(super) fn drain(&self) -> Duration {
        self.settings.listeners.stop_timeout / 2
    }
}

/// What gRPC clients hear that come to the listener for HTTP/1.1.
fn where_grpc_is(port: Option<u16>) -> String {
    match port {
        Some(port) => format!(
            "this port of weir speaks HTTP/1.1 only; gRPC is on port {port} (--grpc-listen)"
        ),
        None => "this port of weir speaks HTTP/1.1 only; gRPC is off (--grpc-listen)".into(),
    }
}

/// The answer to a body that will not be read.
pub(super) fn refused(checked: Result<(), Problem>) -> Result<(), Box<HttpResponse>> {
    checked.map_err(|problem| Box::new(problem.error_response()))
}

fn sdk_counts(metrics: &Metrics) -> ListenerCounts {
    ListenerCounts {
        open: metrics.sdk_connections.clone(),
        most: metrics.sdk_connections_max.clone(),
        evicted: metrics.sdk_connections_evicted.clone(),
        malformed: metrics.malformed_requests.of(ListenerName::Sdk).clone(),
        panicked: connections_panicked(metrics),
    }
}

fn grpc_counts(metrics: &Metrics) -> ListenerCounts {
    ListenerCounts {
        open: metrics.grpc_connections.clone(),
        most: metrics.grpc_connections_max.clone(),
        evicted: metrics.grpc_connections_evicted.clone(),
        malformed: metrics.malformed_requests.of(ListenerName::Grpc).clone(),
        panicked: connections_panicked(metrics),
    }
}

fn admin_counts(metrics: &Metrics) -> ListenerCounts {
    ListenerCounts {
        open: metrics.admin_connections.clone(),
        most: metrics.admin_connections_max.clone(),
        evicted: metrics.admin_connections_evicted.clone(),
        malformed: metrics.malformed_requests.of(ListenerName::Admin).clone(),
        panicked: connections_panicked(metrics),
    }
}

pub(super) fn connections_panicked(metrics: &Metrics) -> crate::telemetry::metrics::Counter {
    let series = (TaskName::Connection, TaskOutcome::Panicked);
    metrics.task_ends.of(series).clone()
}
