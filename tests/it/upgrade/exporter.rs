//! A process of OpenTelemetry that exports its metrics and its spans to whichever replica takes them.

use std::time::Duration;

use serde_json::{Value, json};
use tokio::sync::watch;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use weir::clock::{Clock, SystemClock};

use crate::support::agents::Totals;
use crate::support::client::http_client;

const EVERY: Duration = Duration::from_millis(250);

/// Its services: of one it counts the requests, of the other it sends the root spans.
const BY_METRICS: &str = "edge";
const BY_SPANS: &str = "queue";

/// Requests between two exports, and spans, of which each stands for two requests.
const REQUESTS: u64 = 40;
const SPANS: u64 = 5;

/// The running process.
pub struct Exporter {
    targets: watch::Sender<Vec<String>>,
    stop: CancellationToken,
    working: JoinHandle<Process>,
}

impl Exporter {
    pub fn start(targets: Vec<String>) -> Self {
        let (targets, given) = watch::channel(targets);
        let stop = CancellationToken::new();
        let process = Process {
            client: http_client(),
            targets: given,
            start_ns: now_ns(),
            requests: 0,
            spans: 0,
            refused: 0,
        };
        Self {
            targets,
            working: tokio::spawn(process.work(stop.clone())),
            stop,
        }
    }

    pub fn redirect(&self, targets: Vec<String>) {
        self.targets.send_replace(targets);
    }

    /// Exports what is left, and returns what was counted in all, and how often a replica refused an export.
    pub async fn finish(self) -> (Totals, u64) {
        self.stop.cancel();
        let process = self.working.await.expect("the process ends");
        let name = |service: &str| (service.to_owned(), "GET".to_owned());
        let totals = [
            (name(BY_METRICS), (process.requests, 0)),
            (name(BY_SPANS), (2 * process.spans, process.spans)),
        ];
        (totals.into(), process.refused)
    }
}

struct Process {
    client: reqwest::Client,
    targets: watch::Receiver<Vec<String>>,
    start_ns: u64,
    requests: u64,
    spans: u64,
    refused: u64,
}

impl Process {
    async fn work(mut self, stop: CancellationToken) -> Self {
        let mut pace = tokio::time::interval(EVERY);
        while !stop.is_cancelled() {
            pace.tick().await;
            self.requests += REQUESTS;
            let (metrics, spans) = (self.metrics(), self.spans());
            self.spans += SPANS;
            // Their senders did not hear the first answers.
            for _ in 0..2 {
                self.deliver("/v1/metrics", &metrics).await;
                self.deliver("/v1/traces", &spans).await;
            }
        }
        self
    }

    /// Sends an export to one replica after the other until one takes it. The release before takes none.
    async fn deliver(&mut self, path: &str, export: &Value) {
        for turn in 0.. {
            let targets = self.targets.borrow_and_update().clone();
            let target = &targets[turn % targets.len()];
            let request = self.client.post(format!("{target}{path}")).json(export);
            match request.send().await {
                Ok(answer) if answer.status() == 200 => {
                    assert_eq!(answer.text().await.expect("a body"), "{}");
                    return;
                }
                Ok(answer) => {
                    assert!([404, 503].contains(&answer.status().as_u16()), "{answer:?}");
                    self.refused += 1;
                }
                Err(_) => {}
            }
            // The next one is another replica, or the same a little later.
            tokio::time::sleep(EVERY / 10).await;
        }
    }

    fn metrics(&self) -> Value {
        let point = json!({
            "attributes": [{ "key": "http.request.method", "value": { "stringValue": "GET" } }],
            "startTimeUnixNano": self.start_ns.to_string(),
            "timeUnixNano": now_ns().to_string(),
            "count": self.requests.to_string(),
        });
        let metric = json!({
            "name": "http.server.request.duration",
            "histogram": { "aggregationTemporality": 2, "dataPoints": [point] },
        });
        json!({ "resourceMetrics": [{
            "resource": resource(BY_METRICS), "scopeMetrics": [{ "metrics": [metric] }],
        }] })
    }

    fn spans(&self) -> Value {
        let span = |number: u64| {
            json!({
                "traceId": format!("{number:032x}"), "spanId": format!("{number:016x}"),
                "traceState": "ot=th:8", "name": "GET", "kind": 2,
                "startTimeUnixNano": now_ns().to_string(), "endTimeUnixNano": now_ns().to_string(),
            })
        };
        let spans: Vec<Value> = (self.spans + 1..=self.spans + SPANS).map(span).collect();
        json!({ "resourceSpans": [{
            "resource": resource(BY_SPANS), "scopeSpans": [{ "spans": spans }],
        }] })
    }
}

fn resource(service: &str) -> Value {
    let name = json!({ "key": "service.name", "value": { "stringValue": service } });
    json!({ "attributes": [name] })
}

fn now_ns() -> u64 {
    SystemClock.timestamp().0.unsigned_abs() * 1_000_000
}
