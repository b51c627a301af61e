//! A listener: a socket, its workers, and the bounds of its connections.
//!
//! If its socket is shut down, the server behind it only tries again to accept, twice a second and for
//! ever. So the listener watches the socket itself and ends with an error.

use std::future::ready;
use std::io;
use std::net::{SocketAddr, TcpListener};
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::rc::Rc;
use std::sync::Arc;
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_http::{HttpService, Request, RequestHead};
use actix_server::{Server, ServerBuilder};
use actix_service::{
    IntoServiceFactory, Service, ServiceFactoryExt, apply_fn_factory, fn_service, map_config,
};
use actix_web::dev::AppConfig;
use actix_web::web::{self, ServiceConfig};
use actix_web::{App as Routes, HttpResponse, ResponseError};
use futures_util::FutureExt;
use futures_util::future::Either;
#[cfg(target_os = "linux")]
use socket2::SockRef;
use tokio::net::{TcpSocket, TcpStream};
use tokio_util::sync::CancellationToken;

use super::connection::{Connection, TimeLimits};
use super::hosts::AllowedHosts;
use super::http2::{Calls, Http2};
use super::places::{Place, Places};
use super::plain::Plain;
use super::stream::Stream;
use super::tls::Tls;
use crate::http::problem::not_found;
use crate::telemetry::metrics::{Counter, Gauge};

/// How long a client may take to send the head of the first request, from connecting.
pub(super) const HEAD_TIME_LIMIT: Duration = Duration::from_secs(5);

/// How long a client may take to disconnect after its connection was closed.
const DISCONNECT_TIME_LIMIT: Duration = Duration::from_secs(1);

/// Connections that a worker may still be closing, beyond the limit: their places were given to new
/// ones.
const LEAVING: usize = 8;

/// Connections that may wait in the kernel while the listener is full.
const BACKLOG: u32 = 1024;

/// How often it is looked whether the socket still listens.
#[cfg(target_os = "linux")]
const LOOK: Duration = Duration::from_secs(1);

/// The bounds of a listener.
#[derive(Debug, Clone, Copy)]
pub struct ListenerBounds {
    /// Threads that answer. Each gets an equal part of the connections.
    pub workers: usize,
    /// Open connections.
    pub connections: usize,
    /// How long a connection may make no progress.
    pub time: TimeLimits,
    /// How long requests may take to finish when the listener stops.
    pub drain: Duration,
}

impl ListenerBounds {
    pub(super) fn connections_each(&self) -> usize {
        self.connections.div_ceil(self.workers)
    }
}

/// The metrics of a listener.
#[derive(Clone)]
pub struct ListenerCounts {
    /// Open connections.
    pub open: Gauge,
    /// The most connections that may be open.
    pub most: Gauge,
    /// Idle connections closed to make room.
    pub evicted: Counter,
    /// Connections ended because a request could not be read.
    pub malformed: Counter,
    /// Connections ended because a handler panicked.
    pub panicked: Counter,
}

/// Decides from the head of a request whether it is accepted. If it is not, the answer says why.
pub type HeadCheck = Arc<dyn Fn(&RequestHead) -> Result<(), Box<HttpResponse>> + Send + Sync>;

/// The checks of a listener, and what it answers apart from its routes.
#[derive(Clone, Default)]
pub struct Gates {
    /// The host names that it answers to; any, if not given.
    pub hosts: Option<AllowedHosts>,
    /// Whether the announced body will be read. Checked before a client that waits for
    /// `100 Continue` is told to send it.
    pub expected: Option<HeadCheck>,
    /// What answers clients that speak HTTP/2; if not given, they get an error of HTTP/1.1.
    pub http2: Option<Arc<dyn Calls>>,
    /// TLS; if not given, connections are plain.
    pub tls: Option<Tls>,
}

/// A listener that is bound. It serves once it is run.
pub struct Listener {
    address: SocketAddr,
    /// The same socket as the server's.
    socket: TcpListener,
    server: Server,
}

impl Listener {
    /// Where it listens.
    #[must_use]
    pub fn address(&self) -> SocketAddr {
        self.address
    }

    /// Serves until told to stop. Then lets requests finish within its bounds.
    ///
    /// # Errors
    /// The listener's own. It is also an error if it ends without being told to.
    pub async fn serve(self, stop: CancellationToken) -> io::Result<()> {
        let handle = self.server.handle();
        let mut server = pin!(self.server);
        let told = tokio::select! {
            ended = &mut server => {
                return ended.and(Err(io::Error::other("the listener ended by itself")));
            }
            ended = shut_down(self.socket) => {
                ended.and(Err(io::Error::other("the listening socket was shut down")))
            }
            () = stop.cancelled() => Ok(()),
        };
        // The server carries out the stop, so it must be polled until it has.
        let (ended, ()) = tokio::join!(server, handle.stop(true));
        told.and(ended)
    }
}

/// Binds a listener that answers the routes of `routes`, and nothing else.
///
/// # Errors
/// The address cannot be bound.
pub fn listen<R>(
    name: &'static str,
    address: SocketAddr,
    bounds: ListenerBounds,
    counts: ListenerCounts,
    gates: Gates,
    routes: R,
) -> io::Result<Listener>
where
    R: Fn(&mut ServiceConfig) + Send + Clone + 'static,
{
    let each = bounds.connections_each();
    counts.most.set((each * bounds.workers) as f64);
    let (listener, address) = bind(address)?;
    let socket = listener.try_clone()?;
    let server = Server::build()
        .workers(bounds.workers)
        .max_concurrent_connections(each + LEAVING)
        .shutdown_timeout(bounds.drain.as_secs())
        .disable_signals();
    let listening = with_service(server, name, listener, bounds, counts, gates, routes)?;
    Ok(Listener {
        address,
        socket,
        server: listening.run(),
    })
}

/// Adds the service for the listener's connections. Each takes a place, then it speaks HTTP.
fn with_service<R>(
    server: ServerBuilder,
    name: &'static str,
    listener: TcpListener,
    bounds: ListenerBounds,
    counts: ListenerCounts,
    gates: Gates,
    routes: R,
) -> io::Result<ServerBuilder>
where
    R: Fn(&mut ServiceConfig) + Send + Clone + 'static,
{
    let stopping = server.graceful_shutdown_signal();
    server.listen(name, listener, move || {
        let (stopping, routes) = (stopping.clone(), routes.clone());
        let Gates {
            hosts,
            expected,
            http2,
            tls,
        } = gates.clone();
        let answers = Routes::new()
            .default_service(web::to(not_found))
            .configure(|config| routes(config))
            .into_factory()
            .map_err(|error: actix_web::Error| error.error_response());
        let answers = map_config(answers, |()| AppConfig::default());
        let allowed = apply_fn_factory(answers, move |request: Request, answers| {
            match hosts
                .as_ref()
                .map_or(Ok(()), |hosts| hosts.check(request.head()))
            {
                Ok(()) => Either::Left(answers.call(request)),
                Err(problem) => Either::Right(ready(Err(problem.error_response()))),
            }
        });
        let http = HttpService::build()
            .graceful_shutdown_signal({
                let stopping = stopping.clone();
                move || {
                    let stopping = stopping.clone();
                    async move { stopping.notified().await }
                }
            })
            .keep_alive(bounds.time.idle)
            .client_request_timeout(HEAD_TIME_LIMIT)
            .client_disconnect_timeout(DISCONNECT_TIME_LIMIT)
            .expect(fn_service(move |request| {
                ready(expect(expected.as_ref(), request))
            }))
            .h1(allowed);
        let places = Places::new(
            bounds.connections_each(),
            counts.open.clone(),
            counts.evicted.clone(),
        );
        let http2 = http2.map(|calls| Rc::new(Http2::new(calls, &bounds, &counts)));
        let heard = fn_service(move |io: TcpStream| {
            let peer = io.peer_addr().ok();
            let opened = opened(io, &places, tls.clone());
            heard(opened, bounds.time, peer, http2.clone())
        });
        let spoken = apply_fn_factory(http, move |heard: Heard, http1| match heard {
            Heard::Http1(connection, peer) => Either::Left(http1.call((connection, peer))),
            Heard::Http2(connection, peer, http2) => {
                let stopping = stopping.clone();
                let stopped = async move { stopping.notified().await };
                Either::Right(http2.serve(connection.into_http2(), peer, stopped))
            }
        });
        let counts = counts.clone();
        apply_fn_factory(heard.and_then(spoken), move |io: TcpStream, connections| {
            counted(connections.call(io), counts.clone())
        })
    })
}

/// A connection whose protocol is known.
enum Heard {
    Http1(Connection, Option<SocketAddr>),
    Http2(Connection, Option<SocketAddr>, Http2),
}

/// Gives a new connection its place at once, and lets it shake hands where the listener speaks TLS.
fn opened(
    io: TcpStream,
    places: &Rc<Places>,
    tls: Option<Tls>,
) -> impl Future<Output = io::Result<(Stream, Place)>> + use<> {
    let place = match tls {
        Some(_) => places.take_for_handshake(),
        None => places.take(),
    };
    async move {
        let stream = match tls {
            Some(tls) => tls.accept(io, &place).await?,
            None => Stream::Plain(Plain::new(io)),
        };
        Ok((stream, place))
    }
}

/// Finds out what a client speaks, where it may speak HTTP/2.
async fn heard(
    opened: impl Future<Output = io::Result<(Stream, Place)>>,
    time: TimeLimits,
    peer: Option<SocketAddr>,
    http2: Option<Rc<Http2>>,
) -> Result<Heard, DispatchError> {
    let (stream, place) = opened.await?;
    let mut connection = Connection::new(stream, place, time);
    if let Some(http2) = http2 {
        let speaks = tokio::time::timeout(HEAD_TIME_LIMIT, connection.speaks_http2()).await;
        if speaks.map_err(|_| DispatchError::SlowRequestTimeout)?? {
            return Ok(match http2.another() {
                Some(http2) => Heard::Http2(connection, peer, http2),
                None => Heard::Http1(connection, peer),
            });
        }
    }
    Ok(Heard::Http1(connection, peer))
}

/// Whether a client that waits for `100 Continue` may continue.
#[allow(
    clippy::result_large_err,
    reason = "the server takes no other kind of error"
)]
fn expect(expected: Option<&HeadCheck>, request: Request) -> Result<Request, HttpResponse> {
    match expected.map_or(Ok(()), |expected| expected(request.head())) {
        Ok(()) => Ok(request),
        Err(refused) => Err(*refused),
    }
}

/// Serves a connection to its end, and counts how it ended.
///
/// Nothing that a client causes is logged, because a client could fill the log. A handler that
/// panics ends its connection and nothing else. The panic is logged where it happens.
async fn counted(
    connection: impl Future<Output = Result<(), DispatchError>>,
    counts: ListenerCounts,
) -> Result<(), DispatchError> {
    match AssertUnwindSafe(connection).catch_unwind().await {
        Ok(ended) => {
            if let Err(DispatchError::Parse(_)) = &ended {
                counts.malformed.inc();
            }
            ended
        }
        Err(_) => {
            counts.panicked.inc();
            Err(DispatchError::InternalError)
        }
    }
}

/// Returns when a listening socket has been shut down.
#[cfg(target_os = "linux")]
async fn shut_down(socket: TcpListener) -> io::Result<()> {
    let mut looks = tokio::time::interval(LOOK);
    while SockRef::from(&socket).is_listener()? {
        looks.tick().await;
    }
    Ok(())
}

#[cfg(not(target_os = "linux"))]
async fn shut_down(_socket: TcpListener) -> io::Result<()> {
    std::future::pending().await
}

/// Opens a listening socket; the address says which port it got.
fn bind(address: SocketAddr) -> io::Result<(TcpListener, SocketAddr)> {
    let socket = match address {
        SocketAddr::V4(_) => TcpSocket::new_v4(),
        SocketAddr::V6(_) => TcpSocket::new_v6(),
    }?;
    // Otherwise a restart would have to wait until the kernel has forgotten the old connections.
    socket.set_reuseaddr(true)?;
    socket.bind(address)?;
    let listener = socket.listen(BACKLOG)?.into_std()?;
    let bound = listener.local_addr()?;
    Ok((listener, bound))
}
