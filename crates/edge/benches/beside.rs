//! `weir edge` beside the real Collector with tail_sampling: the same load, one after the other, in one run.
//!
//! `make bench-edge`. Each runs in a process of its own; what counts is its processor time. The sender and the
//! backend are in this process.

#![allow(clippy::unwrap_used, reason = "a failed bench says where")]
#![allow(missing_docs, reason = "a program")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use bytes::Bytes;
use clap::Parser;
use http_body_util::Full;
use hyper::Request;
use hyper_util::client::legacy::Client;
use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use opentelemetry_proto::tonic::trace::v1::Span;
use tokio::time::Instant;
use tokio_util::sync::CancellationToken;
use weir_edge::{Edge, Settings};

use support::server::{Server, status};
use support::{bytes, failed, span, text};

/// Spans of an export, and of a trace.
const SPANS: u64 = 500;
const OF_TRACE: u64 = 7;

/// Spans a second, and for how long.
const RATE: u64 = 20_000;
const SECONDS: u64 = 20;

type Http = Client<HttpConnector, Full<Bytes>>;

#[derive(Parser)]
struct CommandLine {
    #[command(flatten)]
    settings: Settings,
}

fn main() {
    let line: Vec<String> = std::env::args().collect();
    // This program is the edge, too, in a process of its own.
    if let Some(at) = line.iter().position(|word| word == "edge") {
        return edge(&line[at..]);
    }
    let runtime = tokio::runtime::Runtime::new().unwrap();
    runtime.block_on(compare());
}

#[tokio::main(flavor = "multi_thread", worker_threads = 2)]
async fn edge(line: &[String]) {
    let settings = CommandLine::parse_from(line).settings;
    let edge = Edge::build(settings).await.unwrap();
    edge.run(CancellationToken::new()).await.unwrap();
}

/// A process whose processor time is measured.
struct Measured(Child);

impl Measured {
    fn start(mut command: Command) -> Self {
        Self(
            command
                .stderr(Stdio::null())
                .stdout(Stdio::null())
                .spawn()
                .unwrap(),
        )
    }

    /// User and system time, in seconds.
    fn processor_seconds(&self) -> f64 {
        let stat = std::fs::read_to_string(format!("/proc/{}/stat", self.0.id())).unwrap();
        let after_name = stat.rsplit(')').next().unwrap();
        let fields: Vec<&str> = after_name.split_whitespace().collect();
        let ticks = |field: usize| fields[field].parse::<f64>().unwrap();
        // Linux counts 100 a second for programs, whatever the kernel does.
        (ticks(11) + ticks(12)) / 100.0
    }

    /// The most memory that it has had, in MiB.
    fn peak_mib(&self) -> f64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.0.id())).unwrap();
        let line = status
            .lines()
            .find(|line| line.starts_with("VmHWM"))
            .unwrap();
        line.split_whitespace()
            .nth(1)
            .unwrap()
            .parse::<f64>()
            .unwrap()
            / 1024.0
    }
}

impl Drop for Measured {
    fn drop(&mut self) {
        let _ = self.0.kill();
        let _ = self.0.wait();
    }
}

/// A span of some 414 bytes, as an SDK sends it; one trace in a hundred fails.
fn like_an_sdks(number: u64) -> Span {
    let (trace, number) = (number / OF_TRACE, number % OF_TRACE);
    let mut one = span(trace, number);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/api/v1/products/{id}"),
        ("url.path", "/api/v1/products/0123456789"),
        ("url.scheme", "https"),
        ("server.address", "shop.example.com"),
        ("user_agent.original", "Mozilla/5.0 (X11; Linux)"),
        ("network.protocol.version", "1.1"),
        ("http.response.status_code", "200"),
    ] {
        one.attributes.push(text(key, value));
    }
    if trace.is_multiple_of(100) && number == 3 {
        failed(one)
    } else {
        one
    }
}

fn free_address() -> SocketAddr {
    std::net::TcpListener::bind("127.0.0.1:0")
        .unwrap()
        .local_addr()
        .unwrap()
}

/// How many spans a backend has taken.
async fn backend() -> (Server, Arc<AtomicU64>) {
    let taken = Arc::new(AtomicU64::new(0));
    let counted = Arc::clone(&taken);
    let server = Server::start(move |request| {
        let spans = support::spans(&request.body).len() as u64;
        counted.fetch_add(spans, Ordering::Relaxed);
        status(200)
    });
    (server.await, taken)
}

async fn until_it_answers(http: &Http, address: SocketAddr) {
    let begin = Instant::now();
    while post(http, address, Bytes::new()).await != Some(200) {
        assert!(
            begin.elapsed() < Duration::from_secs(30),
            "{address} does not answer"
        );
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

async fn post(http: &Http, address: SocketAddr, body: Bytes) -> Option<u16> {
    let request = Request::post(format!("http://{address}/v1/traces"))
        .header("content-type", "application/x-protobuf")
        .body(Full::new(body))
        .unwrap();
    let response = http.request(request).await.ok()?;
    Some(response.status().as_u16())
}

/// Sends the load, and returns the processor time a span, in microseconds, and the memory at most, in MiB.
async fn load(measured: &Measured, address: SocketAddr, exports: &[Bytes]) -> (f64, f64) {
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    until_it_answers(&http, address).await;
    let before = measured.processor_seconds();
    let mut pace = tokio::time::interval(Duration::from_micros(SPANS * 1_000_000 / RATE));
    for export in exports {
        pace.tick().await;
        let status = post(&http, address, export.clone()).await;
        assert_eq!(status, Some(200));
    }
    // Until all is decided and sent.
    tokio::time::sleep(Duration::from_secs(8)).await;
    let spans = exports.len() as f64 * SPANS as f64;
    let used = measured.processor_seconds() - before;
    (used * 1e6 / spans, measured.peak_mib())
}

fn the_edge(address: SocketAddr, backend: &Server, plan: &Path, more: &[&str]) -> Measured {
    let mut command = Command::new(std::env::current_exe().unwrap());
    let http_listen = address.to_string();
    command.args([
        "edge",
        "--backend",
        &backend.url(),
        "--plan-file",
        plan.to_str().unwrap(),
    ]);
    command.args([
        "--http-listen",
        &http_listen,
        "--grpc-listen",
        "127.0.0.1:0",
    ]);
    command.args([
        "--admin-listen",
        "127.0.0.1:0",
        "--backend-compression",
        "none",
    ]);
    command.args(more);
    Measured::start(command)
}

fn the_collector(program: &Path, address: SocketAddr, backend: &Server, folder: &Path) -> Measured {
    let file = folder.join("collector.yaml");
    let configuration = format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '{address}'}}}}}}}}
processors:
  tail_sampling:
    decision_wait: 5s
    num_traces: 100000
    expected_new_traces_per_sec: 3000
    policies:
      - {{name: errors, type: status_code, status_code: {{status_codes: [ERROR]}}}}
      - {{name: slow, type: latency, latency: {{threshold_ms: 500}}}}
      - {{name: rest, type: probabilistic, probabilistic: {{sampling_percentage: 10}}}}
  batch: {{}}
exporters:
  otlphttp: {{endpoint: '{url}', compression: none}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], processors: [tail_sampling, batch], exporters: [otlphttp]}}}}
",
        url = backend.url()
    );
    std::fs::write(&file, configuration).unwrap();
    let mut command = Command::new(program);
    command.arg("--config").arg(&file);
    Measured::start(command)
}

fn plan(governed: &str) -> String {
    format!(
        r#"{{"plan": 1, "default": {{"governed": "{governed}", "slow_ms": 500,
            "probabilities": {{"error": 1, "slow": 1, "tagged": 1, "rest": 0.1}}}}}}"#
    )
}

async fn compare() {
    let exports: Vec<Bytes> = (0..RATE * SECONDS / SPANS)
        .map(|index| {
            let begin = index * SPANS;
            bytes("shop", (begin..begin + SPANS).map(like_an_sdks).collect()).into()
        })
        .collect();
    let wire = exports[0].len() as u64 / SPANS;
    println!(
        "{RATE} spans/s for {SECONDS} s: {wire} bytes a span, {SPANS} spans an export, {OF_TRACE} a trace\n"
    );
    println!("| what | µs of processor a span | MiB at most | spans sent on |\n|---|---|---|---|");
    let folder = tempfile::tempdir().unwrap();
    let (tail, head) = (
        folder.path().join("tail.json"),
        folder.path().join("head.json"),
    );
    std::fs::write(&tail, plan("tail")).unwrap();
    std::fs::write(&head, plan("head")).unwrap();
    let mut of_edge = None;
    let collector = std::env::var_os("WEIR_COLLECTOR").map(PathBuf::from);
    let edge = [
        ("weir edge, tail decisions after 5 s", &tail),
        ("weir edge, passing on", &head),
    ];
    for (what, plan) in edge {
        let ((backend, taken), address) = (backend().await, free_address());
        let measured = the_edge(address, &backend, plan, &["--decision-delay", "5s"]);
        let (each, mib) = load(&measured, address, &exports).await;
        of_edge.get_or_insert(each);
        println!(
            "| {what} | {each:.2} | {mib:.0} | {} |",
            taken.load(Ordering::Relaxed)
        );
    }
    if let Some(program) = &collector {
        let ((backend, taken), address) = (backend().await, free_address());
        let measured = the_collector(program, address, &backend, folder.path());
        let (each, mib) = load(&measured, address, &exports).await;
        println!(
            "| Collector with tail_sampling after 5 s | {each:.2} | {mib:.0} | {} |",
            taken.load(Ordering::Relaxed)
        );
        println!(
            "\n{:.1} times less processor time a span than the Collector",
            each / of_edge.unwrap()
        );
    } else {
        println!("\nWEIR_COLLECTOR names no Collector: `make bench-edge` builds it");
    }
    latency(&head).await;
}

/// How long a small export takes to its backend, straight and through an edge that passes it on.
async fn latency(plan: &Path) {
    let arrived = Arc::new(tokio::sync::Notify::new());
    let told = Arc::clone(&arrived);
    let backend = Server::start(move |_| {
        told.notify_one();
        status(200)
    })
    .await;
    let address = free_address();
    let _edge = the_edge(address, &backend, plan, &["--batch-delay", "0s"]);
    let http: Http = Client::builder(TokioExecutor::new()).build_http();
    until_it_answers(&http, address).await;
    arrived.notified().await;
    let mut medians = Vec::new();
    for to in [backend.address, address] {
        let mut all = Vec::new();
        for number in 0..400 {
            let body = bytes(
                "shop",
                (number * 10..number * 10 + 10).map(like_an_sdks).collect(),
            );
            let begin = Instant::now();
            let (status, ()) = tokio::join!(post(&http, to, body.into()), arrived.notified());
            assert_eq!(status, Some(200));
            all.push(begin.elapsed().as_secs_f64() * 1e3);
        }
        all.sort_by(f64::total_cmp);
        medians.push(all[all.len() / 2]);
    }
    let [straight, through] = medians[..] else {
        return;
    };
    println!(
        "\nTen spans reach the backend after {straight:.2} ms straight and {through:.2} ms through an edge that passes them on (medians, --batch-delay 0s)"
    );
}
