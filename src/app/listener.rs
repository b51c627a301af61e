//! The two listeners: what is routed where, and how many may be connected for how long.

use std::future::ready;
use std::net::{SocketAddr, TcpListener};
use std::sync::Arc;
use std::time::Duration;

use actix_http::HttpService;
use actix_http::error::DispatchError;
use actix_server::Server;
use actix_service::{IntoServiceFactory, ServiceFactoryExt, fn_service, map_config};
use actix_web::dev::AppConfig;
use actix_web::web::{self, Data, PathConfig, QueryConfig};
use actix_web::{App as Routes, HttpServer};
use tokio::net::{TcpSocket, TcpStream};
use tokio::sync::Semaphore;

use super::connection::Connection;
use super::places::Places;
use super::{AppError, Listener, Parts, descriptors};
use crate::api::admin::{self, Admin};
use crate::api::reports;
use crate::http::body::BodyRoom;
use crate::http::problem::{Problem, not_found};
use crate::http::routes::register;
use crate::ingest::{Committer, Ingest, ReportLimits};
use crate::protocols::jaeger::{self, Jaeger};

/// How long connections may take to finish when the process stops.
const DRAIN_SECONDS: u64 = 10;

/// How long a client may take to send the first request's head, from its connecting.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(5);

/// How long a connection may be idle after an answer. SDKs poll once a minute, so there is
/// nothing to gain by keeping their connections; whoever asks without a pause keeps his.
const KEEP_ALIVE: Duration = Duration::from_secs(5);

/// How long a client may take to take its leave once its connection is being closed.
const DISCONNECT_TIME_LIMIT: Duration = Duration::from_secs(1);

/// Bytes of reports that may be held at once while they arrive and until they are parsed.
const REPORT_BYTES: usize = 64 << 20;

/// How many of the largest reports that must be enough for at least, packed and unpacked.
const LARGEST_REPORTS: usize = 4;

/// Connections of a worker that may be taking their leave beside the most there may be: those whose
/// places were given to newcomers.
const LEAVING: usize = 8;

/// Connections that may wait in the kernel while as many as allowed are open.
const BACKLOG: u32 = 1024;

impl Parts {
    /// Binds the listener of SDKs and agents.
    pub(super) fn sdk_listener(&self, committer: Committer) -> Result<Listener, AppError> {
        let metrics = &self.shared.metrics;
        let (ingest, jaeger) = (Data::new(self.ingest(committer)), Data::new(self.jaeger()));
        let largest = self.settings.limits.max_report_bytes * LARGEST_REPORTS;
        let room = Data::new(BodyRoom::of(largest.max(REPORT_BYTES)));
        let workers = std::thread::available_parallelism().map_or(2, usize::from);
        let each =
            descriptors::connections(self.settings.listeners.max_connections).div_ceil(workers);
        metrics.sdk_connections_max.set((each * workers) as f64);
        let open = metrics.sdk_connections.clone();
        let evicted = metrics.sdk_connections_evicted.clone();
        let (listener, address) = bind(self.settings.listeners.listen)?;
        let server = Server::build()
            .workers(workers)
            .max_concurrent_connections(each + LEAVING)
            .shutdown_timeout(DRAIN_SECONDS)
            .disable_signals();
        let stopping = server.graceful_shutdown_signal();
        let listening = server.listen("sdk", listener, move || {
            let routes = Routes::new()
                .app_data(Data::clone(&ingest))
                .app_data(Data::clone(&jaeger))
                .app_data(Data::clone(&room))
                .configure(|config| register(config, jaeger::ROUTES))
                .configure(|config| register(config, reports::ROUTES))
                .default_service(web::to(not_found))
                .into_factory()
                .map_err(|error: actix_web::Error| error.error_response());
            let stopping = stopping.clone();
            let places = Places::new(each, open.clone(), evicted.clone());
            let http = HttpService::build()
                .graceful_shutdown_signal(move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                })
                .keep_alive(KEEP_ALIVE)
                .client_request_timeout(HEAD_TIME_LIMIT)
                .client_disconnect_timeout(DISCONNECT_TIME_LIMIT)
                .h1(map_config(routes, |()| AppConfig::default()));
            let counted = fn_service(move |io: TcpStream| {
                let peer = io.peer_addr().ok();
                ready(Ok::<_, DispatchError>((
                    Connection::new(io, places.take()),
                    peer,
                )))
            });
            counted.and_then(http)
        });
        let listening = listening.map_err(|source| AppError::Listen { address, source })?;
        Ok(Listener {
            address,
            server: listening.run(),
        })
    }

    fn ingest(&self, committer: Committer) -> Ingest {
        let limits = ReportLimits {
            bytes: self.settings.limits.max_report_bytes,
            bucket: self.shared.interval,
            age: self.fleet.report_age_max,
        };
        let dictionary = Arc::clone(&self.shared.dictionary);
        let metrics = Arc::clone(&self.shared.metrics);
        Ingest::new(dictionary, committer, self.clock(), limits, metrics)
    }

    fn jaeger(&self) -> Jaeger {
        Jaeger {
            served: Arc::clone(&self.shared.served),
            metrics: Arc::clone(&self.shared.metrics),
            clock: self.clock(),
            stale_after_seconds: self.stale_after_seconds(),
        }
    }

    /// Binds the listener of operators.
    pub(super) fn admin_listener(&self) -> Result<Listener, AppError> {
        let admin = Data::new(Admin {
            store: Arc::clone(&self.shared.store),
            clock: self.clock(),
            dictionary: Arc::clone(&self.shared.dictionary),
            served: Arc::clone(&self.shared.served),
            database: self.database.clone(),
            exposition: Arc::new(self.exposition()),
            stale_after_seconds: self.stale_after_seconds(),
            previews: Arc::new(Semaphore::new(1)),
        });
        let malformed = |detail: String| Problem::Malformed {
            field: String::new(),
            detail,
        };
        let server = HttpServer::new(move || {
            let query = QueryConfig::default()
                .error_handler(move |error, _| malformed(error.to_string()).into());
            let path = PathConfig::default()
                .error_handler(move |error, _| malformed(error.to_string()).into());
            Routes::new()
                .app_data(query)
                .app_data(path)
                .app_data(Data::clone(&admin))
                .configure(|config| register(config, admin::ROUTES))
                .default_service(web::to(not_found))
        })
        .workers(1)
        .client_request_timeout(HEAD_TIME_LIMIT)
        .shutdown_timeout(DRAIN_SECONDS)
        .disable_signals();
        let address = self.settings.listeners.admin_listen;
        let bound = server
            .bind(address)
            .map_err(|source| AppError::Listen { address, source })?;
        let address = bound.addrs().first().copied().unwrap_or(address);
        Ok(Listener {
            address,
            server: bound.run(),
        })
    }
}

/// Opens a listening socket; the address says which port it got.
fn bind(address: SocketAddr) -> Result<(TcpListener, SocketAddr), AppError> {
    let bound = || {
        let socket = match address {
            SocketAddr::V4(_) => TcpSocket::new_v4(),
            SocketAddr::V6(_) => TcpSocket::new_v6(),
        }?;
        // Or else a restart would have to wait for the kernel to forget the old connections.
        socket.set_reuseaddr(true)?;
        socket.bind(address)?;
        let listener = socket.listen(BACKLOG)?.into_std()?;
        let bound = listener.local_addr()?;
        Ok((listener, bound))
    };
    bound().map_err(|source| AppError::Listen { address, source })
}
