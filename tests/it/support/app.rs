//! Weir in this process, on free ports, and requests to it.

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, SubsecRound, Utc};
use clap::Parser;
use serde_json::{Value, json};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use weir::app::{App, AppError};
use weir::clock::{Clock, SystemClock};
use weir::settings::Settings;
use weir::store::Store;

#[derive(Parser)]
struct Command {
    #[command(flatten)]
    settings: Settings,
}

/// The settings that the flags give, on free ports.
pub fn config(flags: &[&str]) -> Settings {
    let ports = [
        "weir",
        "--listen",
        "127.0.0.1:0",
        "--grpc-listen",
        "127.0.0.1:0",
        "--admin-listen",
        "127.0.0.1:0",
    ];
    let command = Command::try_parse_from(ports.iter().chain(flags)).expect("flags parse");
    command.settings.check().expect("flags agree");
    command.settings
}

/// A running Weir.
pub struct TestApp {
    pub sdk: String,
    pub grpc: Option<String>,
    pub xray: Option<String>,
    pub admin: String,
    pub observe: Option<String>,
    pub client: reqwest::Client,
    stop: CancellationToken,
    task: tokio::task::JoinHandle<Result<(), AppError>>,
}

impl TestApp {
    /// Starts with an embedded database in `directory` and an interval of a second.
    pub async fn start(directory: &Path, flags: &[&str]) -> Self {
        let directory = directory.to_str().expect("a path in UTF-8");
        let own = ["--data-dir", directory, "--interval", "1s"];
        Self::start_with(config(&[&own, flags].concat())).await
    }

    /// Starts with these settings.
    pub async fn start_with(settings: Settings) -> Self {
        Self::run(App::build(settings).await.expect("Weir starts"))
    }

    /// Starts with these settings on this database.
    pub async fn start_on(settings: Settings, store: impl Store) -> Self {
        let built = App::build_on(settings, store).await;
        Self::run(built.expect("Weir starts"))
    }

    fn run(app: App) -> Self {
        let sdk = format!("http://{}", app.sdk_address());
        let grpc = app.grpc_address().map(|grpc| format!("http://{grpc}"));
        let xray = app.xray_address().map(|xray| format!("http://{xray}"));
        let admin = format!("http://{}", app.admin_address());
        let observe = app.observe_address().map(|at| format!("http://{at}"));
        let stop = CancellationToken::new();
        let task = tokio::spawn(app.run(stop.clone()));
        let client = reqwest::Client::builder().timeout(Duration::from_secs(20));
        Self {
            sdk,
            grpc,
            xray,
            admin,
            observe,
            client: client.build().expect("a client"),
            stop,
            task,
        }
    }

    /// Stops as SIGTERM does, and waits for the end.
    pub async fn stop(self) {
        self.begin_stop();
        self.ended().await.expect("a clean end");
    }

    /// Begins to stop, as at SIGTERM.
    pub fn begin_stop(&self) {
        self.stop.cancel();
    }

    /// Waits until it ends.
    pub async fn ended(self) -> Result<(), AppError> {
        let ended = tokio::time::timeout(Duration::from_secs(60), self.task);
        ended.await.expect("it ends in time").expect("no panic")
    }

    pub async fn get(&self, url: String) -> (u16, Value) {
        let response = self.client.get(url).send().await.expect("an answer");
        (
            response.status().as_u16(),
            response.json().await.expect("JSON"),
        )
    }

    pub async fn admin_get(&self, path: &str) -> (u16, Value) {
        self.get(format!("{}{path}", self.admin)).await
    }

    pub async fn poll(&self, service: &str) -> Value {
        let (status, body) = self
            .get(format!("{}/sampling?service={service}", self.sdk))
            .await;
        assert_eq!(status, 200, "{body}");
        body
    }

    /// The URL of the gRPC listener, which was not turned off.
    pub fn grpc(&self) -> &str {
        self.grpc.as_deref().expect("gRPC is on")
    }

    /// The URL of the X-Ray listener, which was turned on.
    pub fn xray(&self) -> &str {
        self.xray.as_deref().expect("X-Ray is on")
    }

    pub async fn report(&self, body: &Value) -> (u16, Value) {
        let sent = self
            .client
            .post(format!("{}/v1/reports", self.sdk))
            .json(body)
            .send()
            .await;
        let response = sent.expect("an answer");
        (
            response.status().as_u16(),
            response.json().await.expect("JSON"),
        )
    }

    pub async fn set_budget(&self, traces_per_second: f64) {
        let put = self
            .client
            .put(format!("{}/v1/budget", self.admin))
            .header("If-Match", "*")
            .json(&json!({ "traces_per_second": traces_per_second }));
        assert_eq!(put.send().await.expect("an answer").status(), 200);
    }

    pub async fn plan(&self) -> Option<Value> {
        let (status, plan) = self.admin_get("/v1/plans/current").await;
        (status == 200).then_some(plan)
    }
}

/// An agent that reports what it saw since its last report.
pub struct Agent {
    name: String,
    epoch: Uuid,
    sequence: u64,
    reported_until: DateTime<Utc>,
    every_seconds: f64,
}

impl Agent {
    /// An agent that reports as often as a test asks, but at most ten times a second.
    pub fn new(name: &str) -> Self {
        Self::every(name, 0.1)
    }

    /// An agent that reports every `seconds` seconds.
    pub fn every(name: &str, every_seconds: f64) -> Self {
        let now = SystemClock.now().trunc_subsecs(0);
        Self {
            name: name.into(),
            epoch: Uuid::new_v4(),
            sequence: 0,
            reported_until: now,
            every_seconds,
        }
    }

    /// The process that takes the place of this one: its first report begins where the last one ended.
    pub fn replaced_by(&self, name: &str) -> Self {
        Self {
            reported_until: self.reported_until,
            ..Self::every(name, self.every_seconds)
        }
    }

    /// The next report: everything since the last one, at these rates per second.
    pub fn next(&mut self, services: &[(&str, &[(&str, f64)])]) -> Option<Value> {
        let until = SystemClock.now().trunc_subsecs(1);
        let seconds = (until - self.reported_until).num_milliseconds() as f64 / 1000.0;
        if seconds < self.every_seconds {
            return None;
        }
        let start = std::mem::replace(&mut self.reported_until, until);
        self.sequence += 1;
        let services: Vec<Value> = services
            .iter()
            .map(|(service, operations)| {
                let operations: Vec<Value> = operations
                    .iter()
                    .map(|(operation, rate)| {
                        let offered = (rate * seconds).round() as u64;
                        json!({ "operation": operation, "offered": offered, "sampled": 0 })
                    })
                    .collect();
                json!({ "service": service, "instances": 1, "operations": operations })
            })
            .collect();
        Some(json!({
            "agent": self.name, "epoch": self.epoch, "sequence": self.sequence,
            "window_start": start, "window_seconds": seconds, "services": services,
        }))
    }
}

/// One report of one operation, over the second that has just passed.
pub fn report(agent: &str, epoch: Uuid, sequence: u64, offered: u64) -> Value {
    let start = SystemClock.now() - chrono::TimeDelta::seconds(1);
    json!({
        "agent": agent, "epoch": epoch, "sequence": sequence,
        "window_start": start, "window_seconds": 1,
        "services": [{ "service": "checkout", "instances": 3, "operations": [
            { "operation": "POST /cart", "offered": offered, "sampled": 0 }] }],
    })
}
