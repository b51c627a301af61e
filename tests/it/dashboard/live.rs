//! Every query, sent to a real Prometheus that scrapes two real replicas under load.

use std::sync::Arc;
use std::time::{Duration, Instant};

use serde_json::{Value, json};
use tempfile::TempDir;
use weir::clock::{Clock, SystemClock};

use crate::oidc::provider::Provider;
use crate::support::agents::{Agents, Behaviour};
use crate::support::client::{Client, Count, http_client, send};
use crate::support::postgres::TestDatabase;
use crate::support::process::{WeirCommand, WeirProcess, eventually};
use crate::support::prometheus::{Prometheus, Sample};
use crate::support::tls::{Authority, Secret, Valid};

use super::document::{Dashboard, Panel, root};

const DEADLINE: Duration = Duration::from_secs(60);

const BUDGET: f64 = 50.0;

/// Root requests a second, over all operations.
const OFFERED: f64 = 2200.0;

/// The rules are loaded from deploy/, unchanged.
const CONFIG: &str = "
global: { scrape_interval: 500ms, scrape_timeout: 500ms, evaluation_interval: 500ms }
rule_files: [RULES/*.rules.yaml]
scrape_configs: [{ job_name: weir, static_configs: [{ targets: [TARGETS] }] }]
";

/// An expression with its variables filled in, as Grafana does if all replicas are selected.
fn filled_in(expression: &str) -> String {
    let mut filled = expression.to_owned();
    for (variable, value) in [
        ("$__rate_interval", "5s"),
        ("$instance", ".*"),
        ("$job", "weir"),
    ] {
        filled = filled.replace(variable, value);
    }
    assert!(!filled.contains('$'), "{filled}");
    filled
}

fn replica(database: &TestDatabase, tls: &Secret) -> WeirCommand {
    WeirProcess::command()
        .flag("--tls-cert", tls.file("tls.crt"))
        .flag("--tls-key", tls.file("tls.key"))
        .flag("--tls-listeners", "grpc")
        .flag("--database-url", database.url())
        .flag("--interval", "1s")
        .flag("--grace", "500ms")
}

/// The same with a provider of OpenID Connect.
fn trusting(replica: &WeirCommand, provider: &Provider) -> WeirCommand {
    replica
        .clone()
        .flag("--oidc-issuer", &provider.issuer)
        .flag("--oidc-audience", "weir")
        .flag("--oidc-role", "viewers=viewer")
        .environment("WEIR_METRICS_WITHOUT_TOKEN", "true")
}

/// Two operations of one service and one of another; a fortieth is sampled.
fn load() -> Behaviour {
    let count = |service: &str, operation: &str, offered: u64| Count {
        service: service.into(),
        operation: operation.into(),
        offered,
        sampled: offered / 40,
    };
    let every = Duration::from_millis(200);
    let counts = move |_: &mut _| {
        vec![
            count("shop", "GET /products", 160),
            count("shop", "POST /cart", 40),
            count("stock", "GET /items", 20),
        ]
    };
    Behaviour {
        agents: 2,
        every: Some(every),
        window: every,
        repeated: 0.1,
        counts: Arc::new(counts),
    }
}

async fn prometheus(replicas: &[WeirProcess], directory: &TempDir) -> Prometheus {
    let targets = replicas.iter().map(|replica| {
        let address = replica.admin_url().strip_prefix("http://").unwrap();
        format!("\"{address}\"")
    });
    let targets = targets.collect::<Vec<_>>().join(", ");
    let rules = root().join("deploy/prometheus");
    let config = CONFIG
        .replace("TARGETS", &targets)
        .replace("RULES", rules.to_str().unwrap());
    Prometheus::start(&config, directory.path()).await
}

/// Polls of a known service and of an unknown one, and a malformed report. On a busy machine one
/// may stay unanswered; more follow.
async fn polls_and_an_error(replica: &WeirProcess) {
    let client = Client::of(replica);
    for service in ["shop", "nobody"] {
        client.strategy(service).await;
    }
    send(&http_client(), replica.sdk_url(), &json!("no report")).await;
    export(replica).await;
}

/// Exports a point that counts requests, and one that does not say of which method.
async fn export(replica: &WeirProcess) {
    let now = SystemClock.timestamp().0.unsigned_abs() * 1_000_000;
    let point = |attributes: Value| {
        json!({ "attributes": attributes, "startTimeUnixNano": (now - 1_000_000_000).to_string(),
            "timeUnixNano": now.to_string(), "count": "7" })
    };
    let method = json!([{ "key": "http.request.method", "value": { "stringValue": "GET" } }]);
    let metric = json!({ "name": "http.server.request.duration", "histogram": {
        "aggregationTemporality": 1, "dataPoints": [point(method), point(json!([]))] } });
    let service = json!({ "key": "service.name", "value": { "stringValue": "exporting" } });
    let body = json!({ "resourceMetrics": [{ "resource": { "attributes": [service] },
        "scopeMetrics": [{ "metrics": [metric] }] }] });
    let sent = http_client().post(format!("{}/v1/metrics", replica.sdk_url()));
    let answer = sent.json(&body).send().await.expect("an answer");
    assert_eq!(answer.status(), 200);
}

/// Whether there is a number to show, with the labels of its legend.
fn shows(samples: &[Sample], legend: &[&str]) -> bool {
    let mut finite = samples.iter().filter(|sample| sample.value.is_finite());
    finite.any(|sample| {
        legend
            .iter()
            .all(|label| sample.labels.contains_key(*label))
    })
}

/// Sends the queries of the panels until all have an answer.
async fn show_something(prometheus: &Prometheus, panels: &[Panel<'_>], polled: &WeirProcess) {
    let targets = panels.iter().flat_map(|panel| {
        let targets = panel.targets().into_iter();
        targets.map(|target| (panel.title(), target))
    });
    let mut silent: Vec<_> = targets.collect();
    let started = Instant::now();
    eventually(2 * DEADLINE, "an answer or the deadline", async || {
        polls_and_an_error(polled).await;
        let mut still = Vec::new();
        for (title, target) in silent.drain(..) {
            let samples = prometheus.query(&filled_in(target.expression())).await;
            if !shows(&samples, &target.legend()) {
                still.push((title, target));
            }
        }
        silent = still;
        (silent.is_empty() || started.elapsed() > DEADLINE).then_some(())
    })
    .await;
    let silent = silent.iter().map(|(title, target)| {
        let expression = filled_in(target.expression());
        format!("{title} ({}): {expression}", target.reference())
    });
    let silent: Vec<_> = silent.collect();
    assert!(silent.is_empty(), "no answer to:\n{}", silent.join("\n"));
}

#[tokio::test(flavor = "multi_thread")]
async fn every_query_of_every_panel_gives_something() {
    let database = TestDatabase::create().await;
    let tls = Secret::of(&Authority::new("ours").server(Valid::NOW));
    let provider = Provider::start(true);
    let replica = replica(&database, &tls);
    let replicas = [
        replica.start().await,
        trusting(&replica, &provider).start().await,
    ];
    Client::of(&replicas[0]).set_budget(BUDGET).await;
    let urls = replicas.iter().map(|replica| replica.sdk_url().to_owned());
    let mut agents = Agents::start(load(), urls.collect());
    let directory = TempDir::new().unwrap();
    let prometheus = prometheus(&replicas, &directory).await;

    let dashboard = Dashboard::read();
    show_something(&prometheus, &dashboard.panels(), &replicas[0]).await;
    // These may have no result now, but Prometheus must understand them.
    for (_, expression) in dashboard.expressions() {
        prometheus.query(&filled_in(&expression)).await;
    }
    assert!(prometheus.rule_errors().await.is_empty());
    figures_of_the_fleet_are_told_once(&prometheus, &dashboard).await;
    agents.finish().await;
}

/// Both replicas export figures of the whole fleet, and each its own counters.
async fn figures_of_the_fleet_are_told_once(prometheus: &Prometheus, dashboard: &Dashboard) {
    let panels = dashboard.panels();
    let asks = |title: &str| {
        let panel = panels.iter().find(|panel| panel.title() == title).unwrap();
        filled_in(panel.targets()[0].expression())
    };
    eventually(DEADLINE, "the budget, told by each", async || {
        let both = prometheus.query("weir_budget_traces_per_second").await;
        let shown = prometheus.query(&asks("Budget")).await;
        (both.len() == 2 && shown.len() == 1 && shown[0].value == BUDGET).then_some(())
    })
    .await;
    eventually(DEADLINE, "one leader", async || {
        let leaders = prometheus.query(&asks("Leader")).await;
        (leaders.len() == 1).then_some(())
    })
    .await;
    let about = |value: f64| (OFFERED * 0.5..OFFERED * 1.5).contains(&value);
    for title in ["Offered", "Requests reported"] {
        eventually(DEADLINE, title, async || {
            let offered = prometheus.value(&asks(title)).await?;
            about(offered).then_some(())
        })
        .await;
    }
}
