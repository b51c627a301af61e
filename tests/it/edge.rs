//! `weir edge` as a program: in front of a real Weir, killed and started again, and within its memory.
//!
//! The crate's own tests (`crates/edge/tests/`) have the rest.

mod backend;
mod changes;

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use serde_json::{Value, json};
use weir::clock::{Clock, SystemClock};

use crate::support::app::TestApp;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

/// An edge that runs. It is killed when dropped.
pub struct Edge {
    child: Child,
    pub grpc: String,
    pub http: String,
    admin: String,
    client: reqwest::Client,
}

impl Drop for Edge {
    fn drop(&mut self) {
        // It may have ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

impl Edge {
    /// Starts the program on free ports, and waits until it listens.
    pub fn start(flags: &[&str]) -> Self {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(["edge", "--report-interval", "1s"]);
        if !flags.contains(&"--decision-delay") {
            command.args(["--decision-delay", "100ms"]);
        }
        for flag in ["--grpc-listen", "--http-listen", "--admin-listen"] {
            command.args([flag, "127.0.0.1:0"]);
        }
        command.args(flags).env_clear().env("NO_COLOR", "1");
        command.stdin(Stdio::null()).stderr(Stdio::piped());
        let mut child = command
            .spawn()
            .expect("the weir binary was built with the tests");
        let mut lines = BufReader::new(child.stderr.take().expect("it is piped")).lines();
        let line = lines
            .find_map(|line| line.ok().filter(|line| line.contains("taking spans")))
            .expect("the edge listens");
        // What it writes later must not fill the pipe.
        std::thread::spawn(move || lines.for_each(drop));
        let address = |name: &str| {
            let (_, rest) = line.split_once(&format!(" {name}=")).expect("it is named");
            format!("http://{}", rest.split(' ').next().unwrap_or_default())
        };
        Self {
            grpc: address("grpc"),
            http: address("http"),
            admin: address("admin"),
            child,
            client: reqwest::Client::new(),
        }
    }

    /// Sends spans of a service.
    pub async fn send(&self, service: &str, spans: Vec<Value>) -> u16 {
        let body = json!({"resourceSpans": [{
            "resource": {"attributes": [{"key": "service.name", "value": {"stringValue": service}}]},
            "scopeSpans": [{"spans": spans}]}]});
        let sent = self
            .client
            .post(format!("{}/v1/traces", self.http))
            .json(&body)
            .send();
        sent.await.unwrap().status().as_u16()
    }

    /// The sum of the series of a metric that have this in their line.
    pub async fn metric(&self, name: &str, part: &str) -> f64 {
        let text = self
            .client
            .get(format!("{}/metrics", self.admin))
            .send()
            .await
            .unwrap();
        let text = text.text().await.unwrap();
        let is_it =
            |line: &&str| line.split(['{', ' ']).next() == Some(name) && line.contains(part);
        let lines = text.lines().filter(is_it);
        lines
            .map(|line| line.rsplit(' ').next().unwrap().parse::<f64>().unwrap())
            .sum()
    }

    pub async fn until(&self, name: &str, part: &str, expected: f64) {
        let what = format!("{name} {part} of {expected}");
        eventually(DEADLINE, &what, async || {
            (self.metric(name, part).await >= expected).then_some(())
        })
        .await;
    }

    /// Its largest memory so far, in KiB.
    fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.child.id())).unwrap();
        let peak = status
            .lines()
            .find_map(|line| line.strip_prefix("VmHWM:"))
            .unwrap();
        peak.trim().trim_end_matches(" kB").parse().unwrap()
    }
}

pub fn root(trace: u64, fails: bool) -> Value {
    let now = SystemClock.now();
    let ns = |time: DateTime<Utc>| time.timestamp_nanos_opt().unwrap().to_string();
    json!({
        "traceId": format!("{:032x}", u128::from(trace + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835)),
        "spanId": format!("{:016x}", trace + 1),
        "name": "GET /", "kind": 2, "startTimeUnixNano": ns(now - TimeDelta::milliseconds(1)), "endTimeUnixNano": ns(now),
        "status": {"code": if fails { 2 } else { 0 }},
    })
}

/// Errors of all services are kept, and nothing of the rest, also before an operation is known.
fn errors_alone() -> Value {
    json!({
        "budget": {"traces_per_second": 10_000}, "governed": "tail",
        "classes": {"rest": {"cap_traces_per_second": 0}, "slow": {"cap_traces_per_second": 0}},
    })
}

/// The number of the plan once it keeps errors of the operation whole.
async fn planned(app: &TestApp) -> Option<f64> {
    let path = "/v1/services/shop/explanation?operation=GET%20/&class=error";
    let (status, explained) = app.admin_get(path).await;
    let probability = explained["served"]["probability"].as_f64();
    let plan = explained["plan"].as_f64()?;
    (status == 200 && probability == Some(1.0)).then_some(plan)
}

/// Weir counts what the edge reports, and the edge keeps its plan over a restart. Weir's own listener is the backend.
#[tokio::test(flavor = "multi_thread")]
async fn a_killed_edge_continues_by_its_plan_and_weir_counts_its_roots() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let written = app
        .client
        .put(format!("{}/v1/configuration", app.admin))
        .header("If-Match", "*")
        .json(&errors_alone())
        .send()
        .await
        .unwrap();
    assert_eq!(written.status(), 200);
    let file = directory.path().join("plan.json");
    let flags = [
        "--weir",
        &app.sdk,
        "--backend",
        &app.sdk,
        "--name",
        "edge-1",
        "--plan-file",
        file.to_str().unwrap(),
    ];
    let edge = Edge::start(&flags);
    edge.until("weir_edge_plan", "", 1.0).await;
    let mut trace = 0;
    let plan = eventually(DEADLINE, "a plan with the operation", async || {
        let sent = (0..2).map(|_| {
            trace += 1;
            root(trace, true)
        });
        assert_eq!(edge.send("shop", sent.collect()).await, 200);
        planned(&app).await
    })
    .await;
    let (_, agents) = app.admin_get("/v1/agents").await;
    assert!(agents.to_string().contains("edge-1"), "{agents}");
    edge.until("weir_edge_plan", "", plan).await;
    let before = edge.metric("weir_edge_traces_total", "\"kept\"").await;
    let sent = (1000..1050).map(|trace| root(trace, trace % 10 == 0));
    assert_eq!(edge.send("shop", sent.collect()).await, 200);
    edge.until("weir_edge_spans_total", "\"dropped\"", 45.0)
        .await;
    edge.until("weir_edge_traces_total", "\"kept\"", before + 5.0)
        .await;
    drop(edge);
    let mut edge = Edge::start(&flags);
    assert!(edge.metric("weir_edge_plan", "").await >= plan);
    let sent = vec![root(2000, true), root(2001, false)];
    assert_eq!(edge.send("shop", sent).await, 200);
    edge.until("weir_edge_spans_sent_total", "", 1.0).await;
    let id = edge.child.id().to_string();
    let told = Command::new("kill").args(["-TERM", &id]).status().unwrap();
    assert!(told.success());
    let ended = tokio::task::spawn_blocking(move || {
        let ended = edge.child.wait();
        ended.map(|status| status.success())
    });
    assert!(
        tokio::time::timeout(DEADLINE, ended)
            .await
            .unwrap()
            .unwrap()
            .unwrap()
    );
    app.stop().await;
}

/// Several times its memory comes, no trace ends, and the backend is away.
#[tokio::test(flavor = "multi_thread")]
async fn memory_stays_within_its_bound() {
    let bound = 32 << 10;
    let flags = [
        "--backend",
        "http://127.0.0.1:9",
        "--memory",
        "32MiB",
        "--initial-probability",
        "1",
    ];
    let edge = Edge::start(&flags);
    // The program itself, and what the allocator keeps.
    let own = edge.peak_memory_kib() + (48 << 10);
    let filler = "x".repeat(2_000);
    for number in 0..160_u64 {
        let span = |trace: u64| {
            let mut span = root(number * 250 + trace, false);
            span["parentSpanId"] = json!("0000000000000007");
            span["attributes"] = json!([{"key": "filler", "value": {"stringValue": filler}}]);
            span
        };
        assert_eq!(edge.send("shop", (0..250).map(span).collect()).await, 200);
    }
    edge.until("weir_edge_traces_decided_total", "\"memory\"", 1.0)
        .await;
    assert!(
        edge.metric("weir_edge_spans_lost_total", "queue_full")
            .await
            > 0.0
    );
    let peak = edge.peak_memory_kib();
    assert!(peak < bound + own, "{peak} KiB");
}

#[test]
fn a_wrong_setting_is_named() {
    for (flags, part) in [
        (vec!["--backend", "jaeger:4318"], "give http://host:port"),
        (
            vec!["--backend", "http://a:1", "--weir", "ftp://weir"],
            "--weir",
        ),
        (
            vec!["--backend", "http://a:1", "--memory", "1MiB"],
            "--memory",
        ),
        (vec![], "--backend"),
    ] {
        let run = Command::new(env!("CARGO_BIN_EXE_weir"))
            .arg("edge")
            .args(&flags)
            .env_clear()
            .output();
        let run = run.unwrap();
        assert_eq!(run.status.code(), Some(2), "{flags:?}");
        let said = String::from_utf8_lossy(&run.stderr);
        assert!(said.contains(part), "{said}");
    }
}
