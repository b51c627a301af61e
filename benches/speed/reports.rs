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

const OPERATIONS: u64 = 50;
/// Agents, each with one report outstanding.
const AGENTS: u64 = 512;
const SECONDS: u64 = 8;

pub async fn run() {
    let command = || WeirProcess::command().flag("--interval", "10s");
    let cluster = Cluster::start();
    println!("reports of {OPERATIONS} operations by {AGENTS} agents, durable, through HTTP");
    let on_postgres = command().flag("--database-url", cluster.url("postgres"));
    measure("PostgreSQL", on_postgres, 1e6).await;
    let directory = tempfile::tempdir().unwrap();
    measure(
        "SQLite",
        command().flag("--data-dir", directory.path()),
        3e5,
    )
    .await;
}

async fn measure(name: &str, command: WeirCommand, goal: f64) {
    let weir = command.start().await;
    load(&weir, None, 2).await;
    let full = load(&weir, None, SECONDS).await;
    let half = load(&weir, Some(full.reports_per_second / 2.0), SECONDS).await;
    println!(
        "  {name:<11} {:>6.2} M counts/s in {:.0} reports/s (goal {:.1} M); acknowledged p50 {:.1} ms, p99 {:.1} ms; at half of it p99 {:.1} ms (goal < 250 ms)",
        full.reports_per_second * OPERATIONS as f64 / 1e6,
        full.reports_per_second,
        goal / 1e6,
        full.percentile(0.5),
        full.percentile(0.99),
        half.percentile(0.99),
    );
}

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
    let epoch = Uuid::new_v4();
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
            .write_all(&request(agent, epoch, sequence))
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

fn request(agent: u64, epoch: Uuid, sequence: u64) -> Vec<u8> {
    let start = SystemClock.now() - chrono::TimeDelta::seconds(10);
    let start = start.to_rfc3339_opts(chrono::SecondsFormat::Millis, true);
    let operations: Vec<String> = (0..OPERATIONS)
        .map(|operation| {
            let offered = 100 + (operation * 7 + sequence) % 900;
            format!(r#"{{"operation":"GET /path/{operation}","offered":{offered},"sampled":3}}"#)
        })
        .collect();
    let body = format!(
        r#"{{"agent":"agent-{agent}","epoch":"{epoch}","sequence":{sequence},"window_start":"{start}","window_seconds":10,"services":[{{"service":"service-{}","instances":3,"operations":[{}]}}]}}"#,
        agent % 100,
        operations.join(","),
    );
    let length = body.len();
    format!(
        "POST /v1/reports HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\nContent-Length: {length}\r\n\r\n{body}"
    )
    .into_bytes()
}
