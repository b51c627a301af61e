//! Weir's side of edges: how services are governed, counts with a class, the plan for edges, and what SDKs are served.

mod looped;
mod served;

use std::time::Duration;

use chrono::TimeDelta;
use reqwest::header::{CONTENT_ENCODING, ETAG, IF_NONE_MATCH};
use serde_json::{Value, json};
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};

use crate::support::app::{TestApp, config};
use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(30);

/// An edge that a test plays.
struct Played {
    name: &'static str,
    epoch: Uuid,
    sequence: u64,
    tag: Option<String>,
}

impl Played {
    fn new(name: &'static str) -> Self {
        Self {
            name,
            epoch: Uuid::new_v4(),
            sequence: 0,
            tag: None,
        }
    }

    /// Asks for the plan; none if it has the newest one.
    async fn ask(&mut self, app: &TestApp, wait: u32) -> Option<Value> {
        let url = format!("{}/v1/edges/plan?edge={}&wait={wait}", app.sdk, self.name);
        let mut request = app.client.get(url);
        if let Some(tag) = &self.tag {
            request = request.header(IF_NONE_MATCH, tag);
        }
        let answer = request.send().await.unwrap();
        let tag = answer.headers()[ETAG].to_str().unwrap().to_owned();
        if answer.status() == 304 {
            assert_eq!(self.tag, Some(tag));
            return None;
        }
        assert_eq!(answer.status(), 200);
        assert_ne!(self.tag.replace(tag.clone()), Some(tag));
        Some(answer.json().await.unwrap())
    }

    /// Reports what it counted in the last second, and returns what was changed in it.
    async fn count(
        &mut self,
        app: &TestApp,
        service: &str,
        counts: &[(&str, Value, u64)],
    ) -> Value {
        self.sequence += 1;
        let operations = counts.iter().map(|(operation, class, offered)| {
            json!({"operation": operation, "class": class, "offered": offered, "sampled": 0})
        });
        let operations: Vec<Value> = operations.collect();
        let body = json!({
            "agent": self.name, "epoch": self.epoch, "sequence": self.sequence,
            "window_start": SystemClock.now() - TimeDelta::seconds(1), "window_seconds": 1,
            "services": [{"service": service, "instances": 1, "operations": operations}],
        });
        let (status, answer) = app.report(&body).await;
        assert_eq!(status, 200, "{answer}");
        answer
    }
}

async fn configure(app: &TestApp, document: Value) -> (u16, Value) {
    let url = format!("{}/v1/configuration", app.admin);
    let request = app.client.put(url).header("If-Match", "*").json(&document);
    let answer = request.send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

fn tail(service: &str) -> Value {
    json!({"budget": {"traces_per_second": 50}, "services": {service: {"governed": "tail"}}})
}

/// What the plan has of a service, by operation and class.
async fn entries(app: &TestApp, service: &str) -> Vec<(String, Option<String>)> {
    let (_, page) = app
        .admin_get(&format!("/v1/services/{service}/operations"))
        .await;
    let operations = page["operations"].as_array().cloned().unwrap_or_default();
    let text = |value: &Value| value.as_str().map(ToOwned::to_owned);
    let entries = operations.iter();
    entries
        .map(|of| (text(&of["operation"]).unwrap(), text(&of["class"])))
        .collect()
}

fn named(operation: &str, class: &str) -> (String, Option<String>) {
    (operation.to_owned(), Some(class.to_owned()))
}

#[tokio::test(flavor = "multi_thread")]
async fn how_services_are_governed_is_configured_as_everything_else() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let document = json!({
        "budget": {"traces_per_second": 50},
        "governed": "head", "slow_ms": 400,
        "classes": {"error": {"cap_traces_per_second": 4.0}},
        "services": {"shop": {"governed": "tail", "slow_ms": 300,
            "classes": {"slow": {"weight": 5.0, "floor_traces_per_second": 1.0}}}},
    });
    let (status, written) = configure(&app, document).await;
    assert_eq!(status, 200, "{written}");
    let (_, read) = app.admin_get("/v1/configuration").await;
    assert_eq!(read["slow_ms"], 400);
    assert_eq!(read["classes"]["error"]["cap_traces_per_second"], 4.0);
    assert_eq!(read["services"]["shop"]["governed"], "tail");
    assert_eq!(read["services"]["shop"]["classes"]["slow"]["weight"], 5.0);
    // What is as usual is left out: the release before does not know it.
    assert!(read.get("governed").is_none(), "{read}");
    for (document, field) in [
        (json!({"slow_ms": 0}), "slow_ms"),
        (
            json!({"classes": {"error": {"weight": 0}}}),
            "classes.error.weight",
        ),
        (
            json!({"classes": {"tagged": {"cap_traces_per_second": 1}}}),
            "classes.tagged.cap_traces_per_second",
        ),
        (
            json!({"services": {"shop": {"classes": {"rest":
                {"floor_traces_per_second": 2, "cap_traces_per_second": 1}}}}}),
            "services.shop.classes.rest.floor_traces_per_second",
        ),
        (
            json!({"services": {"shop": {"slow_ms": 3_600_001}}}),
            "services.shop.slow_ms",
        ),
        (
            json!({"services": {"__other__": {"governed": "tail"}}}),
            "services.__other__.governed",
        ),
        (
            json!({"services": {"shop": {"operations": {"GET /\u{FDD0}error": {}}}}}),
            "services.shop.operations",
        ),
    ] {
        let (status, problem) = configure(&app, document).await;
        assert_eq!(
            (status, problem["field"].as_str()),
            (422, Some(field)),
            "{problem}"
        );
    }
    let (_, origins) = app.admin_get("/v1/configuration?origins=true").await;
    assert!(
        origins["origins"].to_string().contains("slow_ms"),
        "{origins}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn classes_are_told_apart_where_edges_decide_and_added_up_elsewhere() {
    let directory = tempfile::tempdir().unwrap();
    let flags = ["--max-operations-per-service", "8"];
    let app = TestApp::start(directory.path(), &flags).await;
    assert_eq!(configure(&app, tail("shop")).await.0, 200);
    let mut edge = Played::new("edge-1");
    eventually(DEADLINE, "classes of shop", async || {
        let counts = [("GET /", json!("error"), 5), ("GET /", json!("rest"), 500)];
        edge.count(&app, "web", &counts).await;
        edge.count(&app, "shop", &counts).await;
        let shop = entries(&app, "shop").await;
        shop.contains(&named("GET /", "error")).then_some(())
    })
    .await;
    assert!(
        entries(&app, "shop")
            .await
            .contains(&named("GET /", "rest"))
    );
    let web = entries(&app, "web").await;
    assert!(web.contains(&("GET /".to_owned(), None)), "{web:?}");
    assert!(web.iter().all(|(_, class)| class.is_none()), "{web:?}");

    // Nobody can report an operation that looks like a class of another one; an unknown class counts as the rest.
    let forged = [
        ("GET /\u{FDD0}error", Value::Null, 7),
        ("GET /", json!(["x"]), 7),
    ];
    let answer = edge.count(&app, "shop", &forged).await;
    assert_eq!(answer["folded"]["first"][0]["reason"], "control_character");
    let clamped = &answer["clamped"]["first"][0];
    assert_eq!(clamped["reason"], "unknown_class");
    assert_eq!(clamped["field"], "services[0].operations[1].class");
    // The bound on names holds over both, and what does not fit is still counted by class.
    let many: Vec<String> = (0..20).map(|number| format!("GET /{number}")).collect();
    let many: Vec<_> = many
        .iter()
        .map(|name| (name.as_str(), json!("error"), 3))
        .collect();
    edge.count(&app, "shop", &many).await;
    eventually(DEADLINE, "an overflow entry of a class", async || {
        edge.count(&app, "shop", &many).await;
        let shop = entries(&app, "shop").await;
        assert!(shop.len() <= 9, "{shop:?}");
        shop.contains(&named("__other__", "error")).then_some(())
    })
    .await;
    let (_, explained) = app
        .admin_get("/v1/services/shop/explanation?operation=GET%20/&class=error")
        .await;
    assert_eq!(explained["class"], "error");
    assert_eq!(explained["settings"]["probability_min"], 1.0, "{explained}");
    assert_eq!(explained["classes"].as_array().unwrap().len(), 2);
    let (_, shop) = app.admin_get("/v1/services/shop").await;
    assert_eq!(
        (&shop["governed"], &shop["slow_ms"]),
        (&json!("tail"), &json!(500))
    );
    assert_eq!(shop["classes"][0]["cap_traces_per_second"], 2.5, "{shop}");
    let scrape = Scrape::of(&app).await;
    assert!(scrape.value("weir_class_offered_per_second{class=\"rest\"}") > 0.0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_service_that_is_set_to_tail_is_served_1_only_while_edges_decide() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    assert_eq!(configure(&app, tail("shop")).await.0, 200);
    let rate = async || {
        app.poll("shop").await["probabilisticSampling"]["samplingRate"]
            .as_f64()
            .unwrap()
    };
    let state = async || app.admin_get("/v1/services/shop").await.1["tail"].clone();
    let mut edge = Played::new("edge-1");
    // Counts with a class alone show no edge that follows the plan.
    let counts = [("GET /", json!("rest"), 500), ("GET /", json!("error"), 1)];
    eventually(DEADLINE, "the service is known", async || {
        edge.count(&app, "shop", &counts).await;
        (state().await == "no_edge").then_some(())
    })
    .await;
    assert!(rate().await < 0.9);
    let waiting = Scrape::of(&app).await;
    assert_eq!(waiting.value("weir_tail_services{state=\"waiting\"}"), 1.0);
    let plan = edge.ask(&app, 0).await.expect("a plan");
    assert_eq!(plan["services"][0]["service"], "shop");
    assert_eq!(plan["services"][0]["governed"], "tail");
    eventually(DEADLINE, "it is in effect", async || {
        edge.count(&app, "shop", &counts).await;
        (state().await == "in_effect").then_some(())
    })
    .await;
    assert_eq!(rate().await, 1.0);
    let body = app.poll("shop").await;
    let listed = &body["operationSampling"]["perOperationStrategies"];
    assert_eq!(listed, &json!([]), "no entry of a class is told to SDKs");
    let (_, file) = app.get(format!("{}/strategies.json", app.sdk)).await;
    let shop = file["service_strategies"].as_array().unwrap();
    let shop = shop.iter().find(|of| of["service"] == "shop").unwrap();
    assert_eq!(shop["param"], 1.0);
    // What has no class is counted by the edge already.
    let before = Scrape::of(&app).await;
    edge.count(&app, "shop", &[("GET", Value::Null, 70)]).await;
    let left_out = "weir_source_requests_left_out_total{basis=\"reports\"}";
    let after = Scrape::of(&app).await;
    assert_eq!(after.value(left_out) - before.value(left_out), 70.0);
    // The edges are listed, and a service that they do not count is not served 1.
    let (_, edges) = app.admin_get("/v1/edges").await;
    assert_eq!(edges["following"], 1, "{edges}");
    assert_eq!(edges["edges"][0]["edge"], "edge-1");
    let both = json!({"budget": {"traces_per_second": 50}, "governed": "tail"});
    assert_eq!(configure(&app, both).await.0, 200);
    let mut agent = crate::support::app::Agent::new("a");
    eventually(DEADLINE, "a service that no edge counts", async || {
        edge.count(&app, "shop", &counts).await;
        if let Some(report) = agent.next(&[("web", &[("GET /", 900.0)])]) {
            app.report(&report).await;
        }
        let (_, web) = app.admin_get("/v1/services/web").await;
        (web["tail"] == "not_counted").then_some(())
    })
    .await;
    let web = app.poll("web").await;
    assert!(
        web["probabilisticSampling"]["samplingRate"]
            .as_f64()
            .unwrap()
            < 0.9
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_edge_gets_a_plan_when_it_changes_and_the_same_from_all_replicas() {
    let database = TestDatabase::create().await;
    let flags = ["--database-url", database.url(), "--interval", "3s"];
    let one = TestApp::start_with(config(&flags)).await;
    let other = TestApp::start_with(config(&flags)).await;
    let mut document = tail("shop");
    document["services"]["shop"]["operations"] = json!({"GET /": {"cap_traces_per_second": 6}});
    assert_eq!(configure(&one, document).await.0, 200);
    let mut edge = Played::new("edge-1");
    for (query, field) in [
        ("", "edge"),
        ("?edge=", "edge"),
        ("?edge=a%07", "edge"),
        ("?edge=a&wait=31", "wait"),
        ("?edge=a&wait=-1", "wait"),
    ] {
        let (status, problem) = one.get(format!("{}/v1/edges/plan{query}", one.sdk)).await;
        assert_eq!(
            (status, problem["field"].as_str()),
            (400, Some(field)),
            "{problem}"
        );
    }
    edge.ask(&one, 0).await.expect("a plan");
    // Both count one edge, and both answer the same bytes under the same tag.
    eventually(DEADLINE, "both replicas agree", async || {
        let asked = async |app: &TestApp| {
            let url = format!("{}/v1/edges/plan?edge=edge-1", app.sdk);
            let answer = app.client.get(url).send().await.unwrap();
            let tag = answer.headers()[ETAG].clone();
            (tag, answer.bytes().await.unwrap())
        };
        (asked(&one).await == asked(&other).await).then_some(())
    })
    .await;
    let url = format!("{}/v1/edges/plan?edge=edge-1", other.sdk);
    // A client that does not decompress by itself.
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    let gzip = client
        .get(url)
        .header("Accept-Encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(gzip.headers()[CONTENT_ENCODING], "gzip");
    // A second edge: caps are divided, and the first one hears of it while it waits.
    let caps = |plan: &Value| plan["services"][0]["caps"]["error"].as_f64().unwrap();
    let mut plan = edge.ask(&one, 0).await;
    eventually(DEADLINE, "a plan with shop", async || {
        plan = edge.ask(&one, 5).await.or(plan.take());
        plan.as_ref()
            .filter(|plan| plan["services"][0]["service"] == "shop")
            .map(drop)
    })
    .await;
    let alone = caps(&plan.unwrap());
    assert_eq!(alone, 2.5, "5 % of the budget");
    let mut second = Played::new("edge-2");
    second.ask(&other, 0).await.expect("a plan");
    eventually(DEADLINE, "half of the cap", async || {
        let plan = edge.ask(&one, 15).await?;
        second.ask(&other, 0).await;
        (caps(&plan) == alone / 2.0).then_some(())
    })
    .await;
    // So is the cap of an operation, by the replica that computed the plan and by the one that read it.
    eventually(DEADLINE, "half of the operation's cap", async || {
        let counts = [("GET /", json!("rest"), 100)];
        edge.count(&one, "shop", &counts).await;
        second.ask(&other, 0).await;
        let cap = async |app: &TestApp| {
            let url = format!("{}/v1/edges/plan?edge=edge-1", app.sdk);
            let (_, plan) = app.get(url).await;
            plan["services"][0]["operations"][0]["cap_traces_per_second"].clone()
        };
        (cap(&one).await == 3.0 && cap(&other).await == 3.0).then_some(())
    })
    .await;
    // A replica that stops answers who waits at once.
    while edge.ask(&other, 0).await.is_some() {}
    let waits = tokio::spawn({
        let (client, url) = (
            other.client.clone(),
            format!("{}/v1/edges/plan?edge=x&wait=15", other.sdk),
        );
        let tag = edge.tag.clone().unwrap();
        async move {
            client
                .get(url)
                .header(IF_NONE_MATCH, tag)
                .send()
                .await
                .map(|answer| answer.status())
        }
    });
    eventually(DEADLINE, "it waits", async || {
        let (_, edges) = other.admin_get("/v1/edges").await;
        edges.to_string().contains("\"x\"").then_some(())
    })
    .await;
    other.stop().await;
    assert!(
        waits
            .await
            .unwrap()
            .is_ok_and(|status| status == 304 || status == 200)
    );
    one.stop().await;
}
