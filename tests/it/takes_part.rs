//! Who takes part: who polls and is counted, whose reports are refused, and what sources tell of a trace's cost.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};

use crate::support::app::{Agent, TestApp, report};
use crate::support::grpc;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(90);

const RATES: &[(&str, &[(&str, f64)])] =
    &[("shop", &[("GET /", 900.0)]), ("stock", &[("sync", 20.0)])];

async fn reported(app: &TestApp, agent: &mut Agent) {
    if let Some(report) = agent.next(RATES) {
        assert_eq!(app.report(&report).await.0, 200);
    }
}

async fn polled_as(app: &TestApp, service: &str, user_agent: &str) {
    let url = format!("{}/sampling?service={service}", app.sdk);
    let request = app.client.get(url).header("User-Agent", user_agent);
    assert_eq!(request.send().await.unwrap().status(), 200);
}

fn named<'p>(page: &'p Value, service: &str) -> Option<&'p Value> {
    let mut services = page["services"].as_array().unwrap().iter();
    services.find(|of| of["service"] == service)
}

#[tokio::test(flavor = "multi_thread")]
async fn who_polls_and_who_is_counted_is_known_by_client() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let channel = grpc::channel(app.grpc()).await;
    let page = eventually(DEADLINE, "everybody is seen", async || {
        reported(&app, &mut agent).await;
        polled_as(&app, "shop", "Go-http-client/1.1").await;
        polled_as(&app, "shop", "my own").await;
        polled_as(&app, "stranger", "python-requests/2.32").await;
        polled_as(&app, &"x".repeat(5000), "curl/8").await;
        grpc::poll(&channel, "shop", None).await.unwrap();
        let (status, page) = app.admin_get("/v1/pollers").await;
        assert_eq!(status, 200, "{page}");
        let clients = named(&page, "shop")?["clients"].as_array()?.len();
        let all = clients == 3 && named(&page, "stranger").is_some();
        (all && page["only_counts"] == 1 && page["polls_of_other_names"] != 0).then_some(page)
    })
    .await;
    let counts = ["both", "only_polls", "only_counts"].map(|part| page[part].clone());
    assert_eq!(counts, [1, 1, 1].map(Value::from), "{page}");
    let shop = named(&page, "shop").unwrap();
    assert_eq!(shop["part"], "both");
    let clients = shop["clients"].as_array().unwrap();
    let seen = |client: &str, protocol: &str| {
        let mut clients = clients.iter();
        clients.any(|of| of["client"] == client && of["protocol"] == protocol)
    };
    assert!(
        seen("go", "http") && seen("other", "http") && seen("tonic", "grpc"),
        "{shop}"
    );
    let stranger = named(&page, "stranger").unwrap();
    assert_eq!(stranger["part"], "only_polls");
    assert_eq!(stranger["clients"][0]["client"], "python");
    let (_, only) = app.admin_get("/v1/pollers?part=only_counts").await;
    assert_eq!(only["services"].as_array().unwrap().len(), 1);
    assert_eq!(only["services"][0]["service"], "stock");
    let (_, first) = app.admin_get("/v1/pollers?limit=1").await;
    assert_eq!(
        (&first["services"][0]["service"], &first["next"]),
        (&"shop".into(), &"shop".into())
    );
    let (_, rest) = app.admin_get("/v1/pollers?after=shop&limit=1").await;
    assert_eq!(rest["services"][0]["service"], "stock");
    let (_, one) = app.admin_get("/v1/services/shop").await;
    assert_eq!(one["pollers"].as_array().unwrap().len(), 3, "{one}");
    let (status, wrong) = app.admin_get("/v1/pollers?part=nobody").await;
    assert_eq!((status, &wrong["field"]), (400, &"part".into()));
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn whose_reports_are_refused_and_why_is_known() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let post = async |body: String| {
        let request = app.client.post(format!("{}/v1/reports", app.sdk));
        let request = request
            .header("Content-Type", "application/json")
            .body(body);
        request.send().await.unwrap().status().as_u16()
    };
    let mut wrong = report("b", Uuid::new_v4(), 1, 5);
    wrong["window_seconds"] = json!(301);
    for _ in 0..3 {
        assert_eq!(post(wrong.to_string()).await, 422);
    }
    let epoch = Uuid::new_v4();
    assert_eq!(app.report(&report("a", epoch, 1000, 5)).await.0, 200);
    assert_eq!(app.report(&report("a", epoch, 1, 5)).await.0, 409);
    assert_eq!(post("{".into()).await, 400);
    assert_eq!(post(r#"{"agent": 7}"#.into()).await, 422);
    let page = eventually(DEADLINE, "they are known", async || {
        reported(&app, &mut agent).await;
        let (status, page) = app.admin_get("/v1/agents").await;
        assert_eq!(status, 200, "{page}");
        let unknown = page["refused_unknown"].as_array()?.len();
        let known = page["agents"]
            .as_array()?
            .iter()
            .any(|of| of["refused"].is_object());
        (unknown == 2 && known).then_some(page)
    })
    .await;
    let agents = page["agents"].as_array().unwrap();
    let a = agents.iter().find(|of| of["agent"] == "a").unwrap();
    assert_eq!(a["refused"]["reports"], 1, "{page}");
    let reason = a["refused"]["last_reason"].as_str().unwrap();
    assert!(reason.contains("too far behind"), "{reason}");
    let unknown = &page["refused_unknown"];
    assert_eq!(
        (&unknown[0]["agent"], &unknown[0]["reports"]),
        (&"b".into(), &3.into())
    );
    let reason = unknown[0]["last_reason"].as_str().unwrap();
    assert!(reason.starts_with("window_seconds is invalid"), "{reason}");
    assert_eq!(
        (&unknown[1]["agent"], &unknown[1]["reports"]),
        (&Value::Null, &2.into())
    );
    app.stop().await;
}

/// A process of a service since its start, as its SDK counts its spans.
struct Process {
    service: &'static str,
    start_ns: u64,
    /// Spans by origin of their parents and by what the sampler said.
    started: [(&'static str, &'static str, u64); 4],
}

fn now_ns() -> u64 {
    SystemClock.timestamp().0.unsigned_abs() * 1_000_000
}

impl Process {
    fn begin(service: &'static str) -> Self {
        let of = |origin, result| (origin, result, 0);
        Self {
            service,
            start_ns: now_ns(),
            started: [
                of("none", "RECORD_AND_SAMPLE"),
                of("none", "DROP"),
                of("local", "RECORD_AND_SAMPLE"),
                of("remote", "RECORD_AND_SAMPLE"),
            ],
        }
    }

    fn starts(&mut self, spans: [u64; 4]) {
        for ((_, _, count), more) in self.started.iter_mut().zip(spans) {
            *count += more;
        }
    }

    fn export(&self) -> Value {
        let attribute =
            |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
        let point = |(origin, result, count): &(&str, &str, u64)| {
            json!({
                "attributes": [
                    attribute("otel.span.parent.origin", origin),
                    attribute("otel.span.sampling_result", result),
                ],
                "startTimeUnixNano": self.start_ns.to_string(),
                "timeUnixNano": now_ns().to_string(),
                "asInt": count.to_string(),
            })
        };
        let points: Vec<Value> = self.started.iter().map(point).collect();
        let sum = json!({ "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": points });
        let metric = json!({ "name": "otel.sdk.span.started", "sum": sum });
        let resource = json!({ "attributes": [
            attribute("service.name", self.service), attribute("service.instance.id", "1"),
        ] });
        json!({ "resourceMetrics": [{
            "resource": resource, "scopeMetrics": [{ "metrics": [metric] }],
        }] })
    }
}

/// Traces begin in the shop, and three quarters of their spans are of the stock.
#[tokio::test(flavor = "multi_thread")]
async fn a_budget_in_spans_follows_what_sources_tell() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let put = async |body: Value| {
        let request = app.client.put(format!("{}/v1/configuration", app.admin));
        let answer = request
            .header("If-Match", "*")
            .json(&body)
            .send()
            .await
            .unwrap();
        (
            answer.status().as_u16(),
            answer.json::<Value>().await.unwrap(),
        )
    };
    let (status, refused) =
        put(json!({ "budget": { "spans_per_second": 800 }, "cost": { "measured": true } })).await;
    assert_eq!(
        (status, &refused["field"]),
        (422, &"cost.spans_per_trace".into())
    );
    let (status, written) = put(json!({
        "budget": { "spans_per_second": 800 }, "cost": { "spans_per_trace": 4, "measured": true },
    }))
    .await;
    assert_eq!(status, 200, "{written}");
    let budget = async || app.admin_get("/v1/budget").await.1;
    let first = budget().await;
    assert_eq!(first["traces_per_second"], 200.0, "{first}");
    assert_eq!(first["cost"]["source"], "stated");
    let (mut shop, mut stock) = (Process::begin("shop"), Process::begin("stock"));
    let told = eventually(DEADLINE, "what sources tell is used", async || {
        shop.starts([10, 90, 10, 0]);
        stock.starts([0, 0, 30, 30]);
        for process in [&shop, &stock] {
            let request = app.client.post(format!("{}/v1/metrics", app.sdk));
            let answer = request.json(&process.export()).send().await.unwrap();
            assert_eq!(answer.status(), 200);
        }
        let told = budget().await;
        let traces = told["traces_per_second"].as_f64()?;
        let is_used = told["cost"]["source"] == "measured" && (traces / 100.0 - 1.0).abs() < 0.12;
        is_used.then_some(told)
    })
    .await;
    let spans = &told["cost"]["measured"]["spans_per_trace"];
    let mean = spans["mean"].as_f64().unwrap();
    assert!((mean / 8.0 - 1.0).abs() < 0.12, "{told}");
    assert_eq!(
        (&spans["coverage"], &spans["trusted"]),
        (&1.0.into(), &true.into())
    );
    let gauge = Scrape::of(&app)
        .await
        .value("weir_measured_spans_per_trace");
    assert!((gauge / 8.0 - 1.0).abs() < 0.12, "{gauge}");
    let plan = app.plan().await.unwrap();
    let planned = plan["budget_traces_per_second"].as_f64().unwrap();
    assert!(
        (planned / 100.0 - 1.0).abs() < 0.3,
        "it moves by a quarter at most: {plan}"
    );
    app.stop().await;
}
