//! The loop, closed by published packages alone: four services call each other under load, their
//! metrics reach Weir by OTLP, their samplers poll it, and a sink counts the traces that are kept.

use std::time::Duration;

use tempfile::TempDir;
use tokio::net::TcpStream;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;

use super::programs::{Program, built, command};
use super::servers::{Kind, Server, Telemetry};
use super::sink::Sink;
use crate::support::client::{Client, now};
use crate::support::postgres::free_port;
use crate::support::process::{WeirProcess, eventually};

const BUDGET: f64 = 60.0;

/// Requests a second that begin at a service. Every service gets a third of the budget: one is kept
/// whole, of the others a half and a quarter.
const RATES: [(Kind, u32); 3] = [
    (Kind::JavaAgent, 20),
    (Kind::JavaScript, 40),
    (Kind::Go, 80),
];

const INTERVAL: Duration = Duration::from_secs(2);

/// Plans after the first with counts, until the budget has to be kept.
const PLANS_TO_SETTLE: u64 = 5;

/// Plans over which traces are counted: 90 seconds, in which chance alone is off by 0.9 % (one
/// standard deviation).
const PLANS_COUNTED: u64 = 45;

/// How far the kept traces may be from the budget.
const TOLERANCE: f64 = 0.05;

const DEADLINE: Duration = Duration::from_secs(240);

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn a_fleet_keeps_the_budget() {
    let fleet = Fleet::start(Duration::from_secs(1), Way::Direct).await;
    fleet.keeps_the_budget().await;
}

/// Exports as rare as plans, each service's at its own time, and a batch in the Collector: what 60 s
/// are in the field.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the Collector: make interop-behind"]
async fn a_fleet_behind_a_collector_keeps_the_budget_with_rare_exports() {
    let fleet = Fleet::start(INTERVAL, Way::Collector).await;
    fleet.keeps_the_budget().await;
}

/// How telemetry gets to Weir and to the sink.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Way {
    Direct,
    Collector,
}

/// Four services, what they report to, and where their traces end.
struct Fleet {
    weir: WeirProcess,
    client: Client,
    sink: Sink,
    collector: Option<Program>,
    servers: Vec<Server>,
    /// For each service where traces begin: the URL, and how often it is requested.
    load: Vec<(String, u32)>,
    _folder: TempDir,
}

impl Fleet {
    async fn start(export_interval: Duration, way: Way) -> Self {
        let folder = TempDir::new().unwrap();
        let weir = WeirProcess::command()
            .flag("--data-dir", folder.path())
            .flag("--interval", format!("{}s", INTERVAL.as_secs()))
            .flag("--grace", "500ms")
            .start()
            .await;
        let client = Client::of(&weir);
        client.set_budget(BUDGET).await;
        let sink = Sink::start();
        let collector = match way {
            Way::Direct => None,
            Way::Collector => Some(start_collector(&folder, &weir, &sink).await),
        };
        let (metrics_url, traces_url) = match &collector {
            Some((_, url)) => (url.clone(), url.clone()),
            None => (weir.sdk_url().to_owned(), sink.url().to_owned()),
        };
        let telemetry = |service: &str| Telemetry {
            service: service.to_owned(),
            metrics_url: metrics_url.clone(),
            traces_url: traces_url.clone(),
            temporality: "cumulative",
            export_interval,
            sampler: Some((weir.sdk_url().to_owned(), weir.grpc_url().to_owned())),
        };
        // Python has no sampler, so no trace begins there.
        let mut servers = vec![Server::start(Kind::Flask, &telemetry("Flask")).await];
        let mut load = Vec::new();
        for (kind, per_second) in RATES {
            let called = servers.last().expect("the one before").calling(None);
            let server = Server::start(kind, &telemetry(&format!("{kind:?}"))).await;
            load.push((server.calling(Some(&called)), per_second));
            servers.push(server);
        }
        Self {
            weir,
            client,
            sink,
            collector: collector.map(|(program, _)| program),
            servers,
            load,
            _folder: folder,
        }
    }

    async fn keeps_the_budget(self) {
        let mut requests = JoinSet::new();
        for (url, per_second) in self.load.clone() {
            requests.spawn(request(url, per_second));
        }
        eventually(DEADLINE, "every service is in the plan", async || {
            for (kind, _) in RATES {
                let strategy = self.client.strategy(&format!("{kind:?}")).await?;
                strategy.listed("GET")?;
            }
            Some(())
        })
        .await;
        self.plans(PLANS_TO_SETTLE).await;
        let from = now();
        self.plans(PLANS_COUNTED).await;
        let until = now();
        requests.shutdown().await;
        for server in self.servers {
            server.terminate().await;
        }
        if let Some(collector) = self.collector {
            collector.terminate().await;
        }
        let nanoseconds = |at: chrono::DateTime<chrono::Utc>| {
            u64::try_from(at.timestamp_nanos_opt().expect("this century")).expect("after 1970")
        };
        let counted = nanoseconds(from)..nanoseconds(until);
        let mut kept = self.sink.roots();
        kept.retain(|root| counted.contains(&root.start_ns));
        let seconds = (until - from).as_seconds_f64();
        let ratio = kept.len() as f64 / (BUDGET * seconds);
        let by_service = RATES.map(|(kind, _)| {
            let of_it = kept
                .iter()
                .filter(|root| root.service == format!("{kind:?}"));
            format!("{kind:?} {:.1}/s", of_it.count() as f64 / seconds)
        });
        println!("kept {ratio:.3} of the budget in {seconds:.0} s: {by_service:?}");
        assert!((ratio - 1.0).abs() <= TOLERANCE, "{ratio}: {by_service:?}");
        self.weir.terminate().await;
    }

    /// Waits for that many plans.
    async fn plans(&self, number: u64) {
        let first = self.client.plan().await.expect("Weir answers").number;
        eventually(DEADLINE, "the plans are published", async || {
            (self.client.plan().await?.number >= first + number).then_some(())
        })
        .await;
    }
}

/// Requests a URL at a rate until it is dropped.
async fn request(url: String, per_second: u32) {
    let http = reqwest::Client::new();
    let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
    ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
    let mut running = JoinSet::new();
    loop {
        ticks.tick().await;
        while running.try_join_next().is_some() {}
        let request = http.get(&url).send();
        running.spawn(async move {
            let answer = request.await.expect("the service answers");
            assert_eq!(answer.status(), 200);
        });
    }
}

/// Starts a Collector that batches for as long as a quarter of an interval. Returns its URL, too.
async fn start_collector(folder: &TempDir, weir: &WeirProcess, sink: &Sink) -> (Program, String) {
    let port = free_port();
    let configuration = format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
processors: {{batch: {{timeout: 500ms}}}}
exporters:
  otlp_http/weir: {{metrics_endpoint: '{weir}/v1/metrics'}}
  otlp_http/sink: {{traces_endpoint: '{sink}/v1/traces', compression: none}}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines:
    metrics: {{receivers: [otlp], processors: [batch], exporters: [otlp_http/weir]}}
    traces: {{receivers: [otlp], processors: [batch], exporters: [otlp_http/sink]}}
",
        weir = weir.sdk_url(),
        sink = sink.url()
    );
    let file = folder.path().join("collector.yaml");
    std::fs::write(&file, configuration).expect("there is room");
    let mut collector = command(built("collector/collector"));
    collector.arg("--config").arg(file);
    let program = Program::start(collector);
    eventually(DEADLINE, "the Collector listens", async || {
        TcpStream::connect(("127.0.0.1", port)).await.ok()
    })
    .await;
    (program, format!("http://127.0.0.1:{port}"))
}
