//! Reports of 50 operations, durable, through HTTP, with the database and the load generator on the
//! same machine.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};

use crate::postgres::Cluster;
use crate::process::{WeirCommand, WeirProcess};
use crate::table::{Row, thousands};
use crate::{median, wrk};

const OPERATIONS: u64 = 50;
/// Agents, each with one report outstanding.
const AGENTS: u64 = 512;
const SECONDS: u64 = 8;

pub async fn run() {
    let command = || WeirProcess::command().flag("--interval", "10s");
    let cluster = Cluster::start();
    let on_postgres = command().flag("--database-url", cluster.url("postgres"));
    measure("PostgreSQL", &on_postgres, "≥ 1 M/s").await;
    let directory = tempfile::tempdir().unwrap();
    let on_sqlite = command().flag("--data-dir", directory.path());
    measure("SQLite", &on_sqlite, "≥ 0.3 M/s").await;
}

async fn measure(database: &str, command: &WeirCommand, goal: &'static str) {
    let weir = command.start().await;
    load(&weir, None, 2).await;
    let full = load(&weir, None, SECONDS).await;
    let half = load(&weir, Some(full.reports_per_second / 2.0), SECONDS).await;
    let what = format!("counts in reports of {OPERATIONS} by {AGENTS} agents, {database}");
    let counts = full.reports_per_second * OPERATIONS as f64 / 1e6;
    Row::new(what, format!("{counts:.2} M/s"), goal).print();
    let tail = |load: &Acknowledged| {
        let (middle, tail) = (load.percentile(0.5), load.percentile(0.99));
        format!("p50 {middle:.0} ms, p99 {tail:.0} ms")
    };
    Row::new("— acknowledged at that", tail(&full), "").print();
    Row::new("— acknowledged at half of it", tail(&half), "p99 < 250 ms").print();
    let (mut ours, mut wrks) = (Vec::new(), Vec::new());
    for _ in 0..3 {
        ours.push(load(&weir, None, 3).await.reports_per_second);
        wrks.push(from_wrk(&weir, 3).await.requests_per_second);
    }
    let (ours, wrks) = (median(ours), median(wrks));
    Row::new(
        format!("— reports of our generator beside those of wrk, {database}"),
        thousands(ours) + "/s",
        "about 1",
    )
    .beside(thousands(wrks) + "/s from wrk", ours / wrks)
    .print();
}

/// The same load from wrk, an independent tool.
async fn from_wrk(weir: &WeirProcess, seconds: u32) -> wrk::Load {
    let epoch = Uuid::new_v4().to_string();
    let report = report("AGENT", &epoch, "SEQUENCE", "SERVICE", 1);
    let script = REPORTS
        .replace("REPORT", &report)
        // wrk does not know whose report is outstanding: with so many that is seldom the next one's.
        .replace("AGENTS", &(8 * AGENTS).to_string());
    let url = weir.sdk_url().to_owned();
    let load = tokio::task::spawn_blocking(move || wrk::run(&url, &script, AGENTS, seconds));
    load.await.unwrap()
}

/// Each agent's reports one after the other; the parts that differ are inserted between prepared
/// pieces.
const REPORTS: &str = r#"
local report = [==[REPORT]==]
local agent, sequence, service, rest = report:match("^(.*)AGENT(.*)SEQUENCE(.*)SERVICE(.*)$")
local count = 0
request = function()
    local at = count % AGENTS
    local body = agent .. at .. sequence .. math.floor(count / AGENTS) .. service .. at % 100 .. rest
    count = count + 1
    return wrk.format("POST", "/v1/reports", {["Content-Type"] = "application/json"}, body)
end
"#;

struct Acknowledged {
    reports_per_second: f64,
    milliseconds: Vec<f64>,
}

impl Acknowledged {
    fn percentile(&self, part: f64) -> f64 {
        self.milliseconds[(self.milliseconds.len() as f64 * part) as usize]
    }
}

/// Sends reports as fast as they are acknowledged, or at a rate.
async fn load(weir: &WeirProcess, rate: Option<f64>, seconds: u64) -> Acknowledged {
    let address = weir.sdk_url().trim_start_matches("http://").to_owned();
    let until = Instant::now() + Duration::from_secs(seconds);
    let pause = rate.map(|rate| Duration::from_secs_f64(AGENTS as f64 / rate));
    let counted = Arc::new(AtomicU64::new(0));
    let mut agents = JoinSet::new();
    let began = Instant::now();
    for agent in 0..AGENTS {
        agents.spawn(work(
            address.clone(),
            agent,
            pause,
            until,
            Arc::clone(&counted),
        ));
    }
    let mut milliseconds: Vec<f64> = agents.join_all().await.into_iter().flatten().collect();
    milliseconds.sort_by(f64::total_cmp);
    let reports = counted.load(Ordering::Relaxed) as f64;
    let reports_per_second = reports / began.elapsed().as_secs_f64();
    Acknowledged {
        reports_per_second,
        milliseconds,
    }
}

async fn work(
    address: String,
    agent: u64,
    pause: Option<Duration>,
    until: Instant,
    counted: Arc<AtomicU64>,
) -> Vec<f64> {
    let mut stream = TcpStream::connect(&address).await.unwrap();
    stream.set_nodelay(true).unwrap();
    let epoch = Uuid::new_v4().to_string();
    let mut answer = [0; 1024];
    let mut took = Vec::new();
    let mut next = Instant::now()
        + pause
            .unwrap_or_default()
            .mul_f64(agent as f64 / AGENTS as f64);
    for sequence in 0.. {
        if let Some(pause) = pause {
            tokio::time::sleep_until(next.into()).await;
            next += pause;
        }
        let sent = Instant::now();
        if sent >= until {
            break;
        }
        stream
            .write_all(&request(agent, &epoch, sequence))
            .await
            .unwrap();
        let read = stream.read(&mut answer).await.unwrap();
        let text = String::from_utf8_lossy(&answer[..read]);
        assert!(
            text.starts_with("HTTP/1.1 200") && text.contains("counted"),
            "{text}"
        );
        took.push(sent.elapsed().as_secs_f64() * 1e3);
        counted.fetch_add(1, Ordering::Relaxed);
    }
    took
}

fn request(agent: u64, epoch: &str, sequence: u64) -> Vec<u8> {
    let service = (agent % 100).to_string();
    let body = report(
        &agent.to_string(),
        epoch,
        &sequence.to_string(),
        &service,
        sequence,
    );
    let length = body.len();
    format!(
        "POST /v1/reports HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}

fn report(agent: &str, epoch: &str, sequence: &str, service: &str, seed: u64) -> String {
    let start = SystemClock.now() - chrono::TimeDelta::seconds(10);
    let start = start.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let operations: Vec<String> = (0..OPERATIONS)
        .map(|operation| {
            let offered = 100 + (operation * 7 + seed) % 900;
            format!(r#"{{"operation":"GET /path/{operation}","offered":{offered},"sampled":3}}"#)
        })
        .collect();
    format!(
        r#"{{"agent":"agent-{agent}","epoch":"{epoch}","sequence":{sequence},"window_start":"{start}","window_seconds":10,"services":[{{"service":"service-{service}","instances":3,"operations":[{}]}}]}}"#,
        operations.join(","),
    )
}
