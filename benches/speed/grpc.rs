//! Polls over gRPC: at the cost of a bare tonic handler that returns the same bytes.
//!
//! Both servers get the same load and run in processes of their own. What is compared is their time
//! on a core for a poll, so it does not matter how much of the machine the load takes.

use std::convert::Infallible;
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::task::{Context, Poll};
use std::time::{Duration, Instant};

use actix_web::web::{Buf, BufMut, Bytes};
use hyper::{Method, Request};
use tokio::net::TcpStream;
use tonic::body::Body;
use tonic::codec::{Codec, DecodeBuf, Decoder, EncodeBuf, Encoder};
use tonic::codegen::{BoxFuture, Service, http};
use tonic::server::{Grpc, NamedService, UnaryService};
use tonic::{Response, Status};

use crate::cores;
use crate::cycle::Told;
use crate::fleet::{Fleet, PER_SERVICE};
use crate::median;
use crate::process::{WeirProcess, eventually};
use crate::support::grpc::{POLL, framed};
use crate::table::{Row, thousands};

/// The argument that makes this program serve instead of measuring.
pub const ARGUMENT: &str = "serve-grpc";

const SERVICES: usize = 1_000;
const ROUNDS: usize = 7;
const SECONDS: u64 = 2;

/// Connections, and polls in progress on each, as behind a proxy.
const CONNECTIONS: usize = 8;
const EACH: usize = 16;

pub async fn run() {
    let client = reqwest::Client::new();
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let mut fleet = Fleet::new(SERVICES);
    let weir = command.clone().flag("--interval", fleet.interval_text());
    let weir = weir.start().await;
    let mut told = Told::default();
    while told.operations < fleet.operations() as f64 {
        told = Told::next(&weir, &client, &mut fleet, &told).await;
    }
    assert!(weir.terminate().await.success());
    // With an hour to the next plan, what is measured is polls alone.
    let weir = command
        .flag("--interval", "1h")
        .environment("WEIR_CHANGE_FLEET_SETTINGS", "true")
        .start()
        .await;
    let asked = framed(0, b"\x0a\x0aservice-77");
    let ours = address(weir.grpc_url()).to_owned();
    let body = answer(&ours, &asked).await;
    let listed = body.windows(5).filter(|at| at == b"GET /").count();
    assert!(listed >= PER_SERVICE / 2, "the plan is served: {listed}");
    let bare = Bare::start(&body[5..]);
    eventually(
        Duration::from_secs(10),
        "the bare server answers",
        async || TcpStream::connect(&bare.address).await.ok(),
    )
    .await;
    assert_eq!(answer(&bare.address, &asked).await, body);
    let mut rounds = Vec::new();
    for _ in 0..ROUNDS {
        let weir = Round::of(&ours, weir.id(), &asked).await;
        rounds.push((
            weir,
            Round::of(&bare.address, bare.child.id(), &asked).await,
        ));
    }
    print(&rounds, body.len());
}

fn print(rounds: &[(Round, Round)], bytes: usize) {
    let of = |figure: &dyn Fn(&(Round, Round)) -> f64| median(rounds.iter().map(figure).collect());
    let what = format!(
        "polls over gRPC of a service of {PER_SERVICE} operations, {bytes} bytes, per core"
    );
    Row::new(
        what,
        thousands(of(&|(weir, _)| weir.polls_per_core_second)) + "/s",
        "≥ 0.90",
    )
    .beside(
        format!(
            "{}/s, a bare tonic handler that returns the bytes",
            thousands(of(&|(_, bare)| bare.polls_per_core_second))
        ),
        of(&|(weir, bare)| weir.polls_per_core_second / bare.polls_per_core_second),
    )
    .print();
}

fn address(url: &str) -> &str {
    url.trim_start_matches("http://")
}

/// What a server did under load.
struct Round {
    polls_per_core_second: f64,
}

impl Round {
    async fn of(address: &str, process: u32, asked: &[u8]) -> Self {
        let before = cores::seconds_of(process);
        let polls = load(address, asked).await;
        let spent = cores::seconds_of(process) - before;
        Self {
            polls_per_core_second: polls as f64 / spent,
        }
    }
}

/// Polls for some seconds, as many as possible; returns how many.
async fn load(address: &str, asked: &[u8]) -> u64 {
    let polls = Arc::new(AtomicU64::new(0));
    let until = Instant::now() + Duration::from_secs(SECONDS);
    let mut clients = tokio::task::JoinSet::new();
    for _ in 0..CONNECTIONS {
        let stream = TcpStream::connect(address).await.unwrap();
        stream.set_nodelay(true).unwrap();
        let (send, connection) = h2::client::handshake(stream).await.unwrap();
        tokio::spawn(connection);
        for _ in 0..EACH {
            let (send, asked) = (send.clone(), Bytes::copy_from_slice(asked));
            let polls = Arc::clone(&polls);
            clients.spawn(async move {
                while Instant::now() < until {
                    poll(&send, &asked).await;
                    polls.fetch_add(1, Ordering::Relaxed);
                }
            });
        }
    }
    clients.join_all().await;
    polls.load(Ordering::Relaxed)
}

async fn poll(send: &h2::client::SendRequest<Bytes>, asked: &Bytes) -> Vec<Bytes> {
    let request = Request::builder()
        .method(Method::POST)
        .uri(format!("http://weir{POLL}"))
        .header("content-type", "application/grpc")
        .header("te", "trailers")
        .body(())
        .unwrap();
    let mut send = send.clone().ready().await.unwrap();
    let (answered, mut stream) = send.send_request(request, false).unwrap();
    stream.send_data(asked.clone(), true).unwrap();
    let mut body = answered.await.unwrap().into_body();
    let mut read = Vec::new();
    while let Some(data) = body.data().await {
        let data = data.unwrap();
        body.flow_control().release_capacity(data.len()).unwrap();
        read.push(data);
    }
    let trailers = body.trailers().await.unwrap().unwrap();
    assert_eq!(trailers["grpc-status"], "0");
    read
}

/// The whole answer to one poll.
async fn answer(address: &str, asked: &[u8]) -> Vec<u8> {
    let stream = TcpStream::connect(address).await.unwrap();
    let (send, connection) = h2::client::handshake(stream).await.unwrap();
    tokio::spawn(connection);
    poll(&send, &Bytes::copy_from_slice(asked)).await.concat()
}

/// A bare server in a process of its own.
struct Bare {
    child: Child,
    address: String,
    _body: tempfile::NamedTempFile,
}

impl Bare {
    fn start(body: &[u8]) -> Self {
        let file = tempfile::NamedTempFile::new().unwrap();
        std::fs::write(file.path(), body).unwrap();
        let mut child = Command::new(std::env::current_exe().unwrap())
            .args([ARGUMENT, file.path().to_str().unwrap()])
            .stdout(Stdio::piped())
            .spawn()
            .unwrap();
        let mut line = String::new();
        let mut output = std::io::BufReader::new(child.stdout.take().unwrap());
        std::io::BufRead::read_line(&mut output, &mut line).unwrap();
        Self {
            child,
            address: line.trim().to_owned(),
            _body: file,
        }
    }
}

impl Drop for Bare {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Serves a file's content with tonic alone.
pub fn serve(file: &str) {
    let body = Bytes::from(std::fs::read(file).unwrap());
    let runtime = tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
        .unwrap();
    runtime.block_on(async move {
        let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
        println!("{}", listener.local_addr().unwrap());
        let incoming =
            tonic::transport::server::TcpIncoming::from(listener).with_nodelay(Some(true));
        tonic::transport::Server::builder()
            .add_service(Handler(body))
            .serve_with_incoming(incoming)
            .await
            .unwrap();
    });
}

/// A handler that returns bytes and does nothing else.
#[derive(Clone)]
struct Handler(Bytes);

impl NamedService for Handler {
    const NAME: &'static str = "jaeger.api_v2.SamplingManager";
}

impl Service<http::Request<Body>> for Handler {
    type Response = http::Response<Body>;
    type Error = Infallible;
    type Future = BoxFuture<Self::Response, Self::Error>;

    fn poll_ready(&mut self, _: &mut Context<'_>) -> Poll<Result<(), Infallible>> {
        Poll::Ready(Ok(()))
    }

    fn call(&mut self, request: http::Request<Body>) -> Self::Future {
        let method = self.clone();
        Box::pin(async move { Ok(Grpc::new(Raw).unary(method, request).await) })
    }
}

impl UnaryService<Bytes> for Handler {
    type Response = Bytes;
    type Future = std::future::Ready<Result<Response<Bytes>, Status>>;

    fn call(&mut self, _: tonic::Request<Bytes>) -> Self::Future {
        std::future::ready(Ok(Response::new(self.0.clone())))
    }
}

/// Takes and gives bytes as they are.
struct Raw;

impl Codec for Raw {
    type Encode = Bytes;
    type Decode = Bytes;
    type Encoder = Self;
    type Decoder = Self;

    fn encoder(&mut self) -> Self {
        Self
    }

    fn decoder(&mut self) -> Self {
        Self
    }
}

impl Encoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn encode(&mut self, item: Bytes, into: &mut EncodeBuf<'_>) -> Result<(), Status> {
        into.put(item);
        Ok(())
    }
}

impl Decoder for Raw {
    type Item = Bytes;
    type Error = Status;

    fn decode(&mut self, from: &mut DecodeBuf<'_>) -> Result<Option<Bytes>, Status> {
        Ok(Some(from.copy_to_bytes(from.remaining())))
    }
}
