//! Connections that speak HTTP/2, within the bounds of their listener.
//!
//! The listener gives a connection here after it has read its first bytes. The HTTP/2 server bounds
//! frames, headers, and streams of a connection. It does not limit the time of a request or of an
//! idle connection, so that is done here: each request has a time limit from its head to the last
//! byte of its answer, and a connection without requests is told to leave (GOAWAY).

use std::cell::Cell;
use std::convert::Infallible;
use std::error::Error;
use std::future::ready;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::{Pin, pin};
use std::rc::{Rc, Weak};
use std::sync::Arc;
use std::task::{Context, Poll};
use std::time::Duration;

use actix_http::error::DispatchError;
use actix_web::web::Bytes;
use futures_util::FutureExt;
use hyper::body::Incoming;
use hyper::rt::Executor;
use hyper::server::conn::http2::Builder;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::rt::TokioIo;
use tokio::io::{AsyncRead, AsyncWrite, ReadBuf};
use tonic::body::Body;

use super::connection::TimeLimits;
use super::listener::{HEAD_TIME_LIMIT, ListenerBounds, ListenerCounts};
use super::places::Place;
use super::stream::Stream;
use crate::telemetry::metrics::Counter;

/// The bytes that every HTTP/2 connection begins with (RFC 9113, 3.4).
pub(super) const PREFACE: &[u8] = b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n";

/// Requests that one connection may have in progress. A proxy puts many clients on a connection,
/// and an answer takes microseconds.
const STREAMS: u32 = 64;

/// The longest head of a request, in bytes: what gRPC implementations agree on.
const HEAD_BYTES: u32 = 8 * 1024;

/// Bytes of requests that a connection may send before they are read.
const WINDOW_BYTES: u32 = 64 * 1024;

/// Bytes of an answer that are prepared before the client reads them.
const SEND_BYTES: usize = 64 * 1024;

/// How long a client that was told to leave may take, if it has no request in progress.
const LEAVE_TIME_LIMIT: Duration = Duration::from_secs(1);

/// How often an idle connection is checked within its time limit, which is exact to that part. So a
/// request neither reads the clock nor moves a timer.
const LOOKS: u32 = 4;

/// An answer that may take a while.
pub type Answering = Pin<Box<dyn Future<Output = Response<Body>> + Send>>;

/// What answers the requests of a listener's HTTP/2 connections.
pub trait Calls: Send + Sync + 'static {
    /// Answers a request that came from an address, if that is known.
    fn answer(&self, request: Request<Incoming>, from: Option<SocketAddr>) -> Answering;

    /// Refuses a request, because too many are in progress.
    fn refuse(&self) -> Response<Body>;

    /// The most HTTP/2 connections of a worker: all that it may have, unless few are expected.
    fn connections_max(&self) -> usize {
        usize::MAX
    }
}

/// What the HTTP/2 connections of one worker share.
#[derive(Clone)]
pub(super) struct Http2 {
    calls: Arc<dyn Calls>,
    time: TimeLimits,
    /// Requests that may be in progress on connections that have others in progress: on average one
    /// for each connection.
    most: usize,
    /// Those that are.
    requests: Rc<Cell<usize>>,
    /// One for each connection.
    connections: Rc<()>,
    malformed: Counter,
    panicked: Counter,
}

impl Http2 {
    pub fn new(calls: Arc<dyn Calls>, bounds: &ListenerBounds, counts: &ListenerCounts) -> Self {
        Self {
            calls,
            time: bounds.time,
            most: bounds.connections_each(),
            requests: Rc::default(),
            connections: Rc::default(),
            malformed: counts.malformed.clone(),
            panicked: counts.panicked.clone(),
        }
    }

    /// Takes one more connection, unless there are too many.
    pub fn another(&self) -> Option<Self> {
        // The worker's own does not count.
        let open = Rc::strong_count(&self.connections) - 1;
        (open < self.calls.connections_max()).then(|| self.clone())
    }

    /// Serves a connection to its end. `stopping` resolves when the listener stops.
    ///
    /// # Errors
    /// The connection's own.
    pub async fn serve(
        self,
        io: Io,
        from: Option<SocketAddr>,
        stopping: impl Future<Output = ()>,
    ) -> Result<(), DispatchError> {
        let malformed = self.malformed.clone();
        self.run(io, from, stopping).await.map_err(|ended| {
            if is_malformed(&ended) {
                malformed.inc();
            }
            DispatchError::Io(io::Error::other(ended))
        })
    }

    async fn run(
        self,
        io: Io,
        from: Option<SocketAddr>,
        stopping: impl Future<Output = ()>,
    ) -> Result<(), hyper::Error> {
        let requests = Requests::new(&self, &io.place);
        let service = service_fn(|request| {
            let answering: Answering = if requests.are_too_many() {
                Box::pin(ready(self.calls.refuse()))
            } else {
                self.calls.answer(request, from)
            };
            answering.map(Ok::<_, Infallible>)
        });
        let connection = Builder::new(requests.clone())
            .max_concurrent_streams(STREAMS)
            .max_header_list_size(HEAD_BYTES)
            .initial_stream_window_size(WINDOW_BYTES)
            .initial_connection_window_size(WINDOW_BYTES)
            .max_send_buf_size(SEND_BYTES)
            .serve_connection(TokioIo::new(io), service);
        let mut connection = pin!(connection);
        tokio::select! {
            biased;
            ended = &mut connection => return ended,
            () = requests.idle(self.time.idle) => {}
            () = stopping => {}
        }
        connection.as_mut().graceful_shutdown();
        // A client that does not leave is left.
        tokio::select! {
            biased;
            ended = &mut connection => ended,
            () = requests.finished() => Ok(()),
            () = tokio::time::sleep(self.time.answer) => Ok(()),
        }
    }
}

/// The requests of one connection. Runs each within its time limit.
#[derive(Clone)]
struct Requests(Rc<State>);

struct State {
    /// Those in progress.
    open: Cell<usize>,
    /// Those that have begun so far.
    begun: Cell<u64>,
    all: Rc<Cell<usize>>,
    most: usize,
    limit: Duration,
    panicked: Counter,
    /// Gone once the connection is.
    place: Weak<Place>,
}

impl Requests {
    fn new(shared: &Http2, place: &Rc<Place>) -> Self {
        Self(Rc::new(State {
            open: Cell::new(0),
            begun: Cell::new(0),
            all: Rc::clone(&shared.requests),
            most: shared.most,
            limit: shared.time.answer,
            panicked: shared.panicked.clone(),
            place: Rc::downgrade(place),
        }))
    }

    /// Whether this connection must wait for others. It may always have one request in progress, so
    /// that a few connections with many requests lock nobody out.
    fn are_too_many(&self) -> bool {
        self.0.all.get() >= self.0.most && self.0.open.get() > 0
    }

    /// Returns once no request has been in progress for `idle`, or the first one takes too long to
    /// come.
    async fn idle(&self, idle: Duration) {
        let (state, period) = (&self.0, idle.min(HEAD_TIME_LIMIT) / LOOKS);
        let (mut begun, mut quiet) = (0, Duration::ZERO);
        loop {
            tokio::time::sleep(period).await;
            let before = std::mem::replace(&mut begun, state.begun.get());
            let calm = state.open.get() == 0 && begun == before;
            quiet = if calm { quiet + period } else { Duration::ZERO };
            let most = if begun == 0 { HEAD_TIME_LIMIT } else { idle };
            if quiet >= most {
                return;
            }
        }
    }

    /// Returns once no request is in progress, and the client has had time to leave.
    async fn finished(&self) {
        loop {
            tokio::time::sleep(LEAVE_TIME_LIMIT).await;
            if self.0.open.get() == 0 {
                return;
            }
        }
    }
}

impl<F> Executor<F> for Requests
where
    F: Future + 'static,
{
    fn execute(&self, request: F) {
        let held = InProgress::new(&self.0);
        actix_web::rt::spawn(async move {
            let State {
                limit, panicked, ..
            } = &*held.0;
            let request = AssertUnwindSafe(request).catch_unwind();
            if let Ok(Err(_)) = tokio::time::timeout(*limit, request).await {
                panicked.inc();
            }
        });
    }
}

/// A request that is counted while it is in progress.
struct InProgress(Rc<State>);

impl InProgress {
    fn new(state: &Rc<State>) -> Self {
        state.all.set(state.all.get() + 1);
        state.begun.set(state.begun.get() + 1);
        if state.open.replace(state.open.get() + 1) == 0
            && let Some(place) = state.place.upgrade()
        {
            place.busy();
        }
        Self(Rc::clone(state))
    }
}

impl Drop for InProgress {
    fn drop(&mut self) {
        let state = &self.0;
        state.all.set(state.all.get() - 1);
        state.open.set(state.open.get() - 1);
        if state.open.get() == 0
            && let Some(place) = state.place.upgrade()
        {
            place.idle();
        }
    }
}

/// The connection under HTTP/2. It ends if its place is given to another.
pub(super) struct Io {
    io: Stream,
    /// Bytes that were read already.
    first: Bytes,
    place: Rc<Place>,
}

impl Io {
    pub fn new(io: Stream, first: Bytes, place: Place) -> Self {
        // An answer is written in pieces.
        io.send_at_once();
        Self {
            io,
            first,
            place: Rc::new(place),
        }
    }
}

impl AsyncRead for Io {
    fn poll_read(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        buffer: &mut ReadBuf<'_>,
    ) -> Poll<io::Result<()>> {
        if !self.first.is_empty() {
            let length = self.first.len().min(buffer.remaining());
            buffer.put_slice(&self.first.split_to(length));
            return Poll::Ready(Ok(()));
        }
        let step = Pin::new(&mut self.io).poll_read(context, buffer);
        if step.is_pending() && self.place.is_lost(context) {
            return Poll::Ready(Err(io::ErrorKind::ConnectionAborted.into()));
        }
        step
    }
}

impl AsyncWrite for Io {
    fn poll_write(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        bytes: &[u8],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write(context, bytes)
    }

    fn poll_write_vectored(
        mut self: Pin<&mut Self>,
        context: &mut Context<'_>,
        pieces: &[io::IoSlice<'_>],
    ) -> Poll<io::Result<usize>> {
        Pin::new(&mut self.io).poll_write_vectored(context, pieces)
    }

    fn is_write_vectored(&self) -> bool {
        self.io.is_write_vectored()
    }

    fn poll_flush(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_flush(context)
    }

    fn poll_shutdown(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<io::Result<()>> {
        Pin::new(&mut self.io).poll_shutdown(context)
    }
}

/// Whether a connection ended because its client broke the protocol.
pub(super) fn is_malformed(ended: &hyper::Error) -> bool {
    let cause = ended
        .source()
        .and_then(|cause| cause.downcast_ref::<h2::Error>());
    cause.is_some_and(h2::Error::is_library)
}
