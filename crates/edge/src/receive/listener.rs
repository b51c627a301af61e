//! Listeners: HTTP/1.1 and HTTP/2 on one port, with bounds on connections and their heads.

use std::convert::Infallible;
use std::io;
use std::net::SocketAddr;
use std::panic::AssertUnwindSafe;
use std::pin::pin;
use std::sync::Arc;
use std::time::Duration;

use hyper::Request;
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper_util::rt::{TokioExecutor, TokioIo, TokioTimer};
use hyper_util::server::conn::auto::Builder;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::TcpListener;
use tokio::sync::Semaphore;
use tokio::task::JoinSet;
use tokio_util::sync::CancellationToken;

use super::answer::Answer;
use super::tls::Tls;
use crate::metrics::Metrics;

/// How long the head of a request may take, and a connection be idle.
const HEAD_TIME_LIMIT: Duration = Duration::from_secs(30);

/// Requests of a connection of HTTP/2 that may be in progress.
const STREAMS: u32 = 64;

/// The longest head of a request, in bytes.
const HEAD_BYTES: u32 = 16 << 10;

/// Bytes of a request that may be sent before they are read.
const WINDOW_BYTES: u32 = 256 << 10;

/// How often an idle connection of HTTP/2 is asked whether it is there.
const PING_EACH: Duration = Duration::from_secs(20);

/// A pause after a connection could not be accepted, such as when there are no descriptors.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// A listener that is bound, and what answers its requests.
pub(crate) struct Listener {
    listener: TcpListener,
    most: usize,
    tls: Option<Arc<Tls>>,
    metrics: Arc<Metrics>,
}

impl Listener {
    pub async fn bind(
        address: SocketAddr,
        most: usize,
        tls: Option<Arc<Tls>>,
        metrics: &Arc<Metrics>,
    ) -> io::Result<Self> {
        Ok(Self {
            listener: TcpListener::bind(address).await?,
            most,
            tls,
            metrics: Arc::clone(metrics),
        })
    }

    pub fn address(&self) -> io::Result<SocketAddr> {
        self.listener.local_addr()
    }

    /// Answers requests until the edge stops, and then those that are in progress.
    pub async fn serve<A, F>(self, answer: A, stop: CancellationToken)
    where
        A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
        F: Future<Output = Answer> + Send + 'static,
    {
        let places = Arc::new(Semaphore::new(self.most));
        let mut connections = JoinSet::new();
        loop {
            let accepted = stop.run_until_cancelled(self.listener.accept()).await;
            while connections.try_join_next().is_some() {}
            let stream = match accepted {
                None => break,
                Some(Ok((stream, _))) => stream,
                Some(Err(error)) => {
                    tracing::debug!(%error, "could not accept a connection");
                    tokio::time::sleep(ACCEPT_PAUSE).await;
                    continue;
                }
            };
            let Ok(place) = Arc::clone(&places).try_acquire_owned() else {
                self.metrics.connections_refused.inc();
                continue;
            };
            let (answer, stop) = (answer.clone(), stop.clone());
            let (tls, metrics) = (self.tls.clone(), Arc::clone(&self.metrics));
            connections.spawn(async move {
                metrics.connections.inc();
                let _ = stream.set_nodelay(true);
                match tls {
                    None => serve(stream, answer, stop, &metrics).await,
                    Some(tls) => match stop.run_until_cancelled(tls.accept(stream)).await {
                        Some(Ok(stream)) => serve(stream, answer, stop, &metrics).await,
                        Some(Err(error)) => tracing::debug!(%error, "a handshake failed"),
                        None => {}
                    },
                }
                metrics.connections.dec();
                drop(place);
            });
        }
        // New connections are refused from now on.
        drop(self.listener);
        while connections.join_next().await.is_some() {}
    }
}

async fn serve<S, A, F>(stream: S, answer: A, stop: CancellationToken, metrics: &Arc<Metrics>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
    A: Fn(Request<Incoming>) -> F + Clone + Send + Sync + 'static,
    F: Future<Output = Answer> + Send + 'static,
{
    let service = service_fn(move |request| {
        // A panic ends its request, not the connection of others.
        let answering = tokio::spawn(AssertUnwindSafe(answer(request)).into_future());
        let metrics = Arc::clone(metrics);
        async move {
            let answer = answering.await.unwrap_or_else(|_| {
                metrics.panics.inc();
                Answer::broken()
            });
            Ok::<_, Infallible>(answer.0)
        }
    });
    let mut builder = Builder::new(TokioExecutor::new());
    builder
        .http1()
        .timer(TokioTimer::new())
        .header_read_timeout(HEAD_TIME_LIMIT)
        .max_buf_size(HEAD_BYTES as usize * 4);
    builder
        .http2()
        .timer(TokioTimer::new())
        .max_concurrent_streams(STREAMS)
        .max_header_list_size(HEAD_BYTES)
        .initial_stream_window_size(WINDOW_BYTES)
        .initial_connection_window_size(2 * WINDOW_BYTES)
        .keep_alive_interval(PING_EACH)
        .keep_alive_timeout(PING_EACH);
    let mut connection = pin!(builder.serve_connection(TokioIo::new(stream), service));
    let ended = tokio::select! {
        ended = connection.as_mut() => ended,
        () = stop.cancelled() => {
            connection.as_mut().graceful_shutdown();
            connection.await
        }
    };
    if let Err(error) = ended {
        tracing::debug!(error = &*error, "a connection ended early");
    }
}
