//! What an edge speaks to: a server that records what it is sent, and the edge itself, on real sockets.

#![allow(dead_code, reason = "each test uses a part")]

use std::collections::HashMap;
use std::convert::Infallible;
use std::io::Read;
use std::net::SocketAddr;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http_body_util::{BodyExt, Full};
use hyper::body::Incoming;
use hyper::service::service_fn;
use hyper::{Request, Response};
use hyper_util::client::legacy::Client;
use hyper_util::rt::{TokioExecutor, TokioIo};
use hyper_util::server::conn::auto::Builder;
use tokio::net::TcpListener;
use tokio::task::JoinHandle;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_edge::{Addresses, Edge, Settings};

/// How long a test waits for something to come true.
pub const DEADLINE: Duration = Duration::from_secs(20);

/// A request that was recorded.
#[derive(Debug, Clone)]
pub struct Recorded {
    pub path: String,
    pub headers: HashMap<String, String>,
    /// Unpacked.
    pub body: Vec<u8>,
}

type Answering = Arc<dyn Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync>;

/// A server that records requests, and answers as it is told.
#[derive(Clone)]
pub struct Server {
    pub address: SocketAddr,
    pub recorded: Arc<Mutex<Vec<Recorded>>>,
    answering: Arc<Mutex<Answering>>,
    stop: CancellationToken,
}

pub fn status(code: u16) -> Response<Full<Bytes>> {
    let mut response = Response::new(Full::default());
    *response.status_mut() = code.try_into().unwrap();
    response
}

impl Server {
    /// Answers everything with this.
    pub async fn start(
        answering: impl Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        Self::at("127.0.0.1:0".parse().unwrap(), answering).await
    }

    pub async fn at(
        address: SocketAddr,
        answering: impl Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) -> Self {
        let listener = TcpListener::bind(address).await.unwrap();
        let answering: Answering = Arc::new(answering);
        let server = Self {
            address: listener.local_addr().unwrap(),
            recorded: Arc::default(),
            answering: Arc::new(Mutex::new(answering)),
            stop: CancellationToken::new(),
        };
        tokio::spawn(server.clone().serve(listener));
        server
    }

    pub fn url(&self) -> String {
        format!("http://{}", self.address)
    }

    /// Answers with this from now on.
    pub fn answer(
        &self,
        answering: impl Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync + 'static,
    ) {
        *self.answering.lock().unwrap() = Arc::new(answering);
    }

    pub fn all(&self) -> Vec<Recorded> {
        self.recorded.lock().unwrap().clone()
    }

    pub fn at_path(&self, path: &str) -> Vec<Recorded> {
        self.all()
            .into_iter()
            .filter(|one| one.path == path)
            .collect()
    }

    async fn serve(self, listener: TcpListener) {
        while let Some(Ok((stream, _))) = self.stop.run_until_cancelled(listener.accept()).await {
            let server = self.clone();
            tokio::spawn(async move {
                let stop = server.stop.clone();
                let service = service_fn(move |request| {
                    let server = server.clone();
                    async move { Ok::<_, Infallible>(server.record(request).await) }
                });
                let builder = Builder::new(TokioExecutor::new());
                let connection = builder.serve_connection(TokioIo::new(stream), service);
                let _ = stop.run_until_cancelled(connection).await;
            });
        }
    }

    async fn record(&self, request: Request<Incoming>) -> Response<Full<Bytes>> {
        let (head, body) = request.into_parts();
        let mut body = body.collect().await.unwrap().to_bytes().to_vec();
        let text = |value: &hyper::header::HeaderValue| value.to_str().unwrap().to_owned();
        let headers: HashMap<String, String> = head
            .headers
            .iter()
            .map(|(name, value)| (name.to_string(), text(value)))
            .collect();
        if headers
            .get("content-encoding")
            .is_some_and(|how| how == "gzip")
        {
            let mut unpacked = Vec::new();
            flate2::read::GzDecoder::new(&body[..])
                .read_to_end(&mut unpacked)
                .unwrap();
            body = unpacked;
        }
        let path = head.uri.path_and_query().unwrap().to_string();
        let recorded = Recorded {
            path,
            headers,
            body,
        };
        let answering = Arc::clone(&self.answering.lock().unwrap());
        let answer = answering(&recorded);
        self.recorded.lock().unwrap().push(recorded);
        answer
    }

    /// Closes its socket and its connections.
    pub fn stop(&self) {
        self.stop.cancel();
    }
}

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    settings: Settings,
}

/// An edge that runs.
pub struct Running {
    pub addresses: Addresses,
    stop: CancellationToken,
    ended: JoinHandle<Result<(), weir_edge::Failure>>,
}

/// The settings of a command line on free ports, with short times.
pub fn settings(flags: &[&str]) -> Settings {
    let mut line = vec!["edge"];
    for (flag, value) in [
        ("--memory", "64MiB"),
        ("--report-interval", "1s"),
        ("--batch-delay", "10ms"),
        ("--grpc-listen", "127.0.0.1:0"),
        ("--http-listen", "127.0.0.1:0"),
        ("--admin-listen", "127.0.0.1:0"),
        ("--peer-listen", "127.0.0.1:0"),
        ("--decision-delay", "200ms"),
        ("--trace-timeout", "2s"),
    ] {
        if !flags.contains(&flag) {
            line.extend([flag, value]);
        }
    }
    line.extend(flags);
    let read = CommandLine::try_parse_from(line);
    read.unwrap_or_else(|error| panic!("{error}")).settings
}

impl Running {
    pub async fn start(flags: &[&str]) -> Self {
        let edge = Edge::build(settings(flags)).await.unwrap();
        let stop = CancellationToken::new();
        Self {
            addresses: edge.addresses(),
            ended: tokio::spawn(edge.run(stop.clone())),
            stop,
        }
    }

    pub async fn stop(self) {
        self.stop.cancel();
        self.ended.await.unwrap().unwrap();
    }

    /// Posts a body; returns the status and the answer.
    pub async fn post(
        &self,
        path: &str,
        headers: &[(&str, &str)],
        body: Vec<u8>,
    ) -> (u16, Vec<u8>) {
        post(self.addresses.http, path, headers, body).await
    }

    /// Posts spans in protobuf, which must be taken.
    pub async fn traces(&self, body: Vec<u8>) {
        let kind = [("content-type", "application/x-protobuf")];
        let (status, _) = self.post("/v1/traces", &kind, body).await;
        assert_eq!(status, 200);
    }

    /// Asks the admin listener.
    pub async fn get(&self, path: &str) -> (u16, String) {
        let request = Request::get(format!("http://{}{path}", self.addresses.admin));
        let (status, body) = send(request.body(Full::default()).unwrap()).await;
        (status, String::from_utf8(body).unwrap())
    }

    /// The sum of a metric's series whose labels have all of these parts.
    pub async fn metric(&self, name: &str, parts: &[&str]) -> f64 {
        let (_, text) = self.get("/metrics").await;
        let is_it = |line: &&str| {
            let named = line.split(['{', ' ']).next() == Some(name);
            named && parts.iter().all(|part| line.contains(part))
        };
        let values = text.lines().filter(is_it);
        values
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    /// Waits until a metric has a value.
    pub async fn until_metric(&self, name: &str, parts: &[&str], is_it: impl Fn(f64) -> bool) {
        let until = Instant::now() + DEADLINE;
        loop {
            let value = self.metric(name, parts).await;
            if is_it(value) {
                return;
            }
            assert!(Instant::now() < until, "{name} {parts:?} is {value}");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }
}

/// Posts a body; returns the status and the answer.
pub async fn post(
    address: SocketAddr,
    path: &str,
    headers: &[(&str, &str)],
    body: Vec<u8>,
) -> (u16, Vec<u8>) {
    let mut request = Request::post(format!("http://{address}{path}"));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    send(request.body(Full::new(body.into())).unwrap()).await
}

async fn send(request: Request<Full<Bytes>>) -> (u16, Vec<u8>) {
    let client = Client::builder(TokioExecutor::new()).build_http();
    let response = client.request(request).await.unwrap();
    let status = response.status().as_u16();
    (
        status,
        response
            .into_body()
            .collect()
            .await
            .unwrap()
            .to_bytes()
            .to_vec(),
    )
}

/// Waits until something is there.
pub async fn until<T>(what: &str, mut look: impl FnMut() -> Option<T>) -> T {
    let end = Instant::now() + DEADLINE;
    loop {
        if let Some(found) = look() {
            return found;
        }
        assert!(Instant::now() < end, "{what} did not come");
        tokio::time::sleep(Duration::from_millis(10)).await;
    }
}
