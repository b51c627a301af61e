//! `weir edge` among its neighbours: SDKs of four languages that call each other, a real Jaeger behind it, and real
//! Collectors before and behind. `make interop-edge` builds them.

use std::collections::BTreeMap;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;

use super::programs::{Program, built, command};
use super::servers::{Kind, Server, Telemetry};
use crate::edge::Edge;
use crate::support::client::http_client;
use crate::support::postgres::free_port;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(120);

/// The first one is called, and each calls the next.
const CHAIN: [Kind; 4] = [Kind::JavaScript, Kind::JavaAgent, Kind::Go, Kind::Flask];

const REQUESTS: u64 = 120;

/// Half of the rest: neither errors nor slow.
const PLAN: &str = r#"{"plan": 1, "default": {"governed": "tail", "slow_ms": 60000,
    "probabilities": {"error": 1, "slow": 1, "tagged": 1, "rest": 0.5}}}"#;

fn name(kind: Kind) -> String {
    format!("{kind:?}")
}

/// Servers of the chain that export to one place.
struct Chain {
    servers: Vec<Server>,
    url: String,
}

impl Chain {
    async fn start(traces_url: &str) -> Self {
        let (mut servers, mut url) = (Vec::new(), None::<String>);
        for kind in CHAIN.into_iter().rev() {
            let telemetry = Telemetry {
                service: name(kind),
                metrics_url: None,
                traces_url: traces_url.to_owned(),
                temporality: "cumulative",
                export_interval: Duration::from_secs(60),
                sampler: None,
            };
            let server = Server::start(kind, &telemetry).await;
            url = Some(server.calling(url.as_deref()));
            servers.push(server);
        }
        Self {
            servers,
            url: url.expect("there are servers"),
        }
    }

    async fn load(&self) {
        // Without a time limit: a JVM's first answer takes a while on a busy machine.
        let http = reqwest::Client::new();
        for _ in 0..REQUESTS {
            let answer = http.get(&self.url).send().await.expect("it answers");
            assert_eq!(answer.status(), 200);
        }
    }

    async fn end(self) {
        for server in self.servers.into_iter().rev() {
            server.terminate().await;
        }
    }
}

/// A real Jaeger that remembers what it is sent.
struct Jaeger {
    query: String,
    otlp: String,
    _program: Program,
    _folder: TempDir,
}

impl Jaeger {
    async fn start() -> Self {
        let [query, query_grpc, otlp] = [(); 3].map(|()| free_port());
        let configuration = format!(
            "
extensions:
  jaeger_storage: {{backends: {{some: {{memory: {{max_traces: 10000}}}}}}}}
  jaeger_query:
    storage: {{traces: some}}
    http: {{endpoint: '127.0.0.1:{query}'}}
    grpc: {{endpoint: '127.0.0.1:{query_grpc}'}}
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{otlp}'}}}}}}}}
exporters: {{jaeger_storage_exporter: {{trace_storage: some}}}}
service:
  extensions: [jaeger_storage, jaeger_query]
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [jaeger_storage_exporter]}}}}
"
        );
        let folder = TempDir::new().unwrap();
        let file = folder.path().join("jaeger.yaml");
        std::fs::write(&file, configuration).expect("there is room");
        let mut jaeger = command(built("bin/jaeger"));
        jaeger.arg("--config").arg(file);
        let jaeger = Self {
            query: format!("http://127.0.0.1:{query}"),
            otlp: format!("http://127.0.0.1:{otlp}"),
            _program: Program::start(jaeger),
            _folder: folder,
        };
        eventually(DEADLINE, "Jaeger answers", async || {
            jaeger.get("/api/services").await
        })
        .await;
        jaeger
    }

    async fn get(&self, path: &str) -> Option<Value> {
        let answer = http_client().get(format!("{}{path}", self.query)).send();
        answer.await.ok()?.json().await.ok()
    }

    /// How many spans and services each trace has, as its search by id shows it.
    async fn traces(&self) -> BTreeMap<String, (usize, usize)> {
        let first = name(CHAIN[0]);
        let path = format!("/api/traces?service={first}&limit=1500&lookback=1h");
        let found = self.get(&path).await.expect("Jaeger answers");
        let mut traces = BTreeMap::new();
        for trace in found["data"].as_array().into_iter().flatten() {
            let id = trace["traceID"].as_str().expect("its id").to_owned();
            let whole = self
                .get(&format!("/api/traces/{id}"))
                .await
                .expect("Jaeger answers");
            let whole = &whole["data"][0];
            let spans = whole["spans"].as_array().map_or(0, Vec::len);
            let services = whole["processes"].as_object().map_or(0, |all| all.len());
            traces.insert(id, (spans, services));
        }
        traces
    }
}

/// Edges, what is before them, and a folder for their files.
fn edge(folder: &TempDir, backend: &str, more: &[&str]) -> Edge {
    let plan = folder.path().join("plan.json");
    std::fs::write(&plan, PLAN).expect("there is room");
    let plan = plan.to_str().expect("text");
    let flags = [
        "--backend",
        backend,
        "--plan-file",
        plan,
        "--decision-delay",
        "3s",
    ];
    Edge::start(&[&flags[..], more].concat())
}

/// Waits until everything that was sent is decided and gone on.
async fn settle(edges: &[Edge]) {
    for edge in edges {
        eventually(DEADLINE, "everything is decided and sent", async || {
            let held = edge.metric("weir_edge_held", "\"spans\"").await;
            let queued = edge.metric("weir_edge_queue_bytes", "").await;
            (held == 0.0 && queued == 0.0).then_some(())
        })
        .await;
    }
}

/// Traces and spans that edges have kept, and traces that they have dropped.
async fn kept(edges: &[Edge]) -> (usize, usize, usize) {
    let (mut traces, mut spans, mut dropped) = (0.0, 0.0, 0.0);
    for edge in edges {
        traces += edge.metric("weir_edge_traces_total", "\"kept\"").await;
        dropped += edge.metric("weir_edge_traces_total", "\"dropped\"").await;
        spans += edge.metric("weir_edge_spans_sent_total", "").await;
        assert_eq!(
            edge.metric("weir_edge_traces_without_root_total", "").await,
            0.0
        );
    }
    (traces as usize, spans as usize, dropped as usize)
}

/// Each trace has all services and no fewer spans than the others, and together they are what edges have kept.
async fn is_what_was_kept(jaeger: &Jaeger, edges: &[Edge]) {
    let (traces, spans, dropped) = kept(edges).await;
    assert_eq!(traces + dropped, REQUESTS as usize);
    assert!((30..90).contains(&traces), "{traces} of {REQUESTS}");
    let found = eventually(DEADLINE, "Jaeger has them all", async || {
        let found = jaeger.traces().await;
        (found.len() >= traces).then_some(found)
    })
    .await;
    assert_eq!(found.len(), traces, "no other trace");
    // A first request has a span more where a client connects.
    let each = spans / traces;
    for (id, (spans, services)) in &found {
        assert!(*spans >= each, "{id} has {spans} spans of {each}");
        assert_eq!(*services, CHAIN.len(), "{id}");
    }
    let in_jaeger: usize = found.values().map(|(spans, _)| spans).sum();
    assert_eq!(in_jaeger, spans, "every span that was sent");
    println!(
        "{traces} of {REQUESTS} traces of {each} spans, all of them whole in Jaeger, and no other"
    );
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs Jaeger: make interop-edge"]
async fn jaeger_behind_an_edge_finds_each_kept_trace_whole_and_no_other() {
    let folder = TempDir::new().unwrap();
    let jaeger = Jaeger::start().await;
    let edges = [edge(&folder, &jaeger.otlp, &[])];
    let chain = Chain::start(&edges[0].http).await;
    chain.load().await;
    chain.end().await;
    settle(&edges).await;
    is_what_was_kept(&jaeger, &edges).await;
}

/// A Collector with this configuration.
async fn collector(folder: &TempDir, port: u16, exporters: &str, exporter: &str) -> Program {
    let configuration = format!(
        "
receivers: {{otlp: {{protocols: {{http: {{endpoint: '127.0.0.1:{port}'}}}}}}}}
exporters:
  {exporters}
service:
  telemetry: {{metrics: {{level: none}}}}
  pipelines: {{traces: {{receivers: [otlp], exporters: [{exporter}]}}}}
"
    );
    let file = folder.path().join(format!("collector-{port}.yaml"));
    std::fs::write(&file, configuration).expect("there is room");
    let mut collector = command(built("collector-edge/collector-edge"));
    collector.arg("--config").arg(file);
    let collector = Program::start(collector);
    eventually(DEADLINE, "the Collector listens", async || {
        tokio::net::TcpStream::connect(("127.0.0.1", port))
            .await
            .ok()
    })
    .await;
    collector
}

/// The `loadbalancing` exporter sends each trace to one edge, so edges need no peers.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs the Collector: make interop-edge"]
async fn a_collector_spreads_traces_over_three_edges_and_another_takes_what_they_keep() {
    let folder = TempDir::new().unwrap();
    let (last, behind_port, before_port) = (super::sink::Sink::start(), free_port(), free_port());
    let to_sink = format!(
        "otlphttp: {{endpoint: '{}', compression: none}}",
        last.url()
    );
    let _behind = collector(&folder, behind_port, &to_sink, "otlphttp").await;
    let backend = format!("http://127.0.0.1:{behind_port}");
    let edges = [(); 3].map(|()| edge(&folder, &backend, &[]));
    let addresses = edges
        .each_ref()
        .map(|edge| format!("'{}'", edge.grpc.trim_start_matches("http://")));
    let balancing = format!(
        "loadbalancing: {{routing_key: traceID, protocol: {{otlp: {{tls: {{insecure: true}}}}}}, resolver: {{static: {{hostnames: [{}]}}}}}}",
        addresses.join(", ")
    );
    let _before = collector(&folder, before_port, &balancing, "loadbalancing").await;
    let chain = Chain::start(&format!("http://127.0.0.1:{before_port}")).await;
    chain.load().await;
    chain.end().await;
    settle(&edges).await;
    let (traces, spans, dropped) = kept(&edges).await;
    assert_eq!(traces + dropped, REQUESTS as usize);
    assert!((30..90).contains(&traces), "{traces} of {REQUESTS}");
    for edge in &edges {
        assert!(edge.metric("weir_edge_spans_received_total", "").await > 0.0);
    }
    let roots = eventually(DEADLINE, "the last one has all roots", async || {
        let roots = last.roots();
        (roots.len() >= traces).then_some(roots)
    })
    .await;
    assert_eq!(roots.len(), traces);
    assert!(roots.iter().all(|root| root.service == name(CHAIN[0])));
    println!(
        "{traces} of {REQUESTS} traces of {} spans, over three edges",
        spans / traces
    );
}
