//! Exports of OTLP, durable, through HTTP: beside decoding the same bytes and doing nothing else.
//!
//! What is compared is time on a core for an export: Weir's own, whatever the load and the database
//! take of the machine.

mod bodies;
mod message;
mod traces;

use std::hint::black_box;
use std::time::{Duration, Instant};

use prost::Message;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use weir::clock::{Clock, SystemClock};

use self::bodies::Language;
use crate::postgres::Cluster;
use crate::process::WeirProcess;
use crate::table::{Row, thousands};
use crate::{cores, median};

/// Processes, each with one export outstanding.
const PROCESSES: usize = 512;
/// Processes that export traces. With this number, as many spans of each are remembered as of one that samples
/// three traces a second.
const TRACING_PROCESSES: usize = 1024;
const ROUNDS: usize = 5;
const SECONDS: u64 = 3;

/// The body of an export.
trait Body: Message + Default + 'static {
    const PATH: &'static str;

    /// What is exported next, at this time.
    fn advance(&mut self, time_ns: u64, turn: u64);
}

pub async fn run() {
    let start_ns = now_ns();
    let metrics = |number| bodies::export(language(number), number, start_ns);
    let metrics = Measured::run(PROCESSES, metrics).await;
    let what = format!("OTLP exports of {PROCESSES} processes");
    metrics.print(&what, "decoding them alone", "≥ 0.50", 1);
    let traces = |number| traces::export(language(number), number);
    let traces = Measured::run(TRACING_PROCESSES, traces).await;
    let spans = traces::TRACES * traces::SPANS;
    let what = format!("spans in OTLP exports of {spans} by {TRACING_PROCESSES} processes");
    traces.print(&what, "decoding them alone", "", spans);
}

fn language(number: usize) -> Language {
    Language::ALL[number % Language::ALL.len()]
}

/// What was measured of one kind of exports.
struct Measured {
    rounds: Vec<Round>,
    /// The length of a body.
    bytes: usize,
}

/// What was measured in one round.
struct Round {
    per_second: f64,
    per_core: f64,
    with_postgres: f64,
    decoded_per_core: f64,
}

impl Measured {
    async fn run<B: Body>(processes: usize, export: impl Fn(usize) -> B) -> Self {
        let cluster = Cluster::start();
        let postgres = postmaster(&cluster);
        let weir = WeirProcess::command()
            .flag("--interval", "60s")
            // While bodies are decoded alone, connections are idle, on a busy machine for many seconds.
            .flag("--idle-timeout", "2m")
            .flag("--database-url", cluster.url("postgres"))
            .start()
            .await;
        let address = weir.sdk_url().trim_start_matches("http://");
        let mut fleet = Vec::new();
        for number in 0..processes {
            fleet.push(Process::start(export(number), address));
        }
        let bodies: Vec<Vec<u8>> = fleet.iter().map(|of| of.export.encode_to_vec()).collect();
        // The first exports of a process add its names and its state.
        fleet = load(fleet, 1).await;
        let mut rounds = Vec::new();
        for _ in 0..ROUNDS {
            let before = (
                cores::seconds_of(weir.id()),
                cores::seconds_of_all(postgres),
            );
            let sent: u64 = fleet.iter().map(|of| of.acknowledged).sum();
            fleet = load(fleet, SECONDS).await;
            let exports = fleet.iter().map(|of| of.acknowledged).sum::<u64>() - sent;
            let of_weir = cores::seconds_of(weir.id()) - before.0;
            let of_postgres = cores::seconds_of_all(postgres) - before.1;
            rounds.push(Round {
                per_second: exports as f64 / SECONDS as f64,
                per_core: exports as f64 / of_weir,
                with_postgres: exports as f64 / (of_weir + of_postgres),
                decoded_per_core: decode::<B>(&bodies),
            });
        }
        let bytes = bodies.iter().map(Vec::len).sum::<usize>() / bodies.len();
        Self { rounds, bytes }
    }

    /// Prints what was exported in a second, where each export is `each` of what is counted.
    fn print(&self, what: &str, limit: &str, goal: &'static str, each: usize) {
        let of = |figure: &dyn Fn(&Round) -> f64| median(self.rounds.iter().map(figure).collect());
        let rate = |figure: &dyn Fn(&Round) -> f64| thousands(of(figure) * each as f64) + "/s";
        let limit = format!("{}, {limit}", rate(&|round| round.decoded_per_core));
        let bytes = self.bytes;
        Row::new(
            format!("{what}, {bytes} bytes, durable on PostgreSQL, per core"),
            rate(&|round| round.per_core),
            goal,
        )
        .beside(&limit, of(&|round| round.per_core / round.decoded_per_core))
        .print();
        Row::new(
            "— with PostgreSQL's time on a core",
            rate(&|round| round.with_postgres),
            "",
        )
        .beside(
            limit,
            of(&|round| round.with_postgres / round.decoded_per_core),
        )
        .print();
        Row::new(
            "— acknowledged at that",
            rate(&|round| round.per_second),
            "",
        )
        .print();
    }
}

/// Decodes the bodies in turn; returns how many in a second on a core.
fn decode<B: Body>(bodies: &[Vec<u8>]) -> f64 {
    let before = cores::seconds_here();
    let mut decoded = 0;
    loop {
        for body in bodies {
            black_box(B::decode(black_box(&body[..])).unwrap());
        }
        decoded += bodies.len();
        let spent = cores::seconds_here() - before;
        if spent >= 1.0 {
            return decoded as f64 / spent;
        }
    }
}

/// The process that started the others of a cluster.
fn postmaster(cluster: &Cluster) -> u32 {
    let file = std::fs::read_to_string(cluster.data().join("postmaster.pid")).unwrap();
    file.lines().next().unwrap().trim().parse().unwrap()
}

/// Lets every process export as fast as it is acknowledged.
async fn load<B: Body>(fleet: Vec<Process<B>>, seconds: u64) -> Vec<Process<B>> {
    let until = Instant::now() + Duration::from_secs(seconds);
    let running: JoinSet<Process<B>> = fleet.into_iter().map(|of| of.work(until)).collect();
    running.join_all().await
}

/// A process that is instrumented.
struct Process<B> {
    export: B,
    address: String,
    /// From the first export on: Weir closes a connection that asks nothing for five seconds.
    stream: Option<TcpStream>,
    acknowledged: u64,
}

impl<B: Body> Process<B> {
    fn start(mut export: B, address: &str) -> Self {
        export.advance(now_ns(), 0);
        Self {
            export,
            address: address.to_owned(),
            stream: None,
            acknowledged: 0,
        }
    }

    async fn work(mut self, until: Instant) -> Self {
        let mut answer = [0; 1024];
        let mut stream = match self.stream.take() {
            Some(stream) => stream,
            None => TcpStream::connect(&self.address).await.unwrap(),
        };
        stream.set_nodelay(true).unwrap();
        while Instant::now() < until {
            self.export.advance(now_ns(), 1 + self.acknowledged);
            let request = request(&self.export);
            stream.write_all(&request).await.unwrap();
            let read = stream.read(&mut answer).await.unwrap();
            let text = String::from_utf8_lossy(&answer[..read]);
            assert!(text.starts_with("HTTP/1.1 200"), "{text}");
            self.acknowledged += 1;
        }
        self.stream = Some(stream);
        self
    }
}

fn request<B: Body>(export: &B) -> Vec<u8> {
    let (length, path) = (export.encoded_len(), B::PATH);
    let head = format!(
        "POST {path} HTTP/1.1\r\nHost: weir\r\nContent-Type: application/x-protobuf\r\nContent-Length: {length}\r\n\r\n"
    );
    let mut request = head.into_bytes();
    export.encode(&mut request).unwrap();
    request
}

fn now_ns() -> u64 {
    let now = SystemClock.now().timestamp_nanos_opt();
    now.and_then(|now| now.try_into().ok())
        .expect("this century")
}
