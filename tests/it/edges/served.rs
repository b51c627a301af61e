//! What tail-governed services are served, and the caps of their operations.

use serde_json::{Value, json};

use super::{DEADLINE, Played, configure, entries};
use crate::support::app::TestApp;
use crate::support::grpc::{channel, poll};
use crate::support::process::eventually;

/// Weir with a listener for X-Ray.
async fn start(folder: &tempfile::TempDir) -> TestApp {
    TestApp::start(folder.path(), &["--xray-listen", "127.0.0.1:0"]).await
}

/// Waits until edges decide about the shop.
async fn in_effect(app: &TestApp, edge: &mut Played, counts: &[(&str, Value, u64)]) {
    edge.ask(app, 0).await;
    eventually(DEADLINE, "edges decide", async || {
        edge.count(app, "shop", counts).await;
        let (_, shop) = app.admin_get("/v1/services/shop").await;
        (shop["tail"] == "in_effect").then_some(())
    })
    .await;
}

/// The lowest probability of the shop in Jaeger's protocol over HTTP.
async fn over_http(app: &TestApp) -> f64 {
    let body = app.poll("shop").await;
    let operations = &body["operationSampling"];
    let listed = operations["perOperationStrategies"].as_array().unwrap();
    let listed = listed
        .iter()
        .map(|of| &of["probabilisticSampling"]["samplingRate"]);
    let default = [
        &body["probabilisticSampling"]["samplingRate"],
        &operations["defaultSamplingProbability"],
    ];
    let all = listed.chain(default).map(|rate| rate.as_f64().unwrap());
    all.fold(1.0, f64::min)
}

/// The same over gRPC.
async fn over_grpc(app: &TestApp) -> f64 {
    let channel = channel(app.grpc()).await;
    let strategy = poll(&channel, "shop", None).await.unwrap().into_inner();
    let operations = strategy.operation_sampling.unwrap();
    let listed = operations.per_operation_strategies.iter();
    let listed = listed.map(|of| of.probabilistic_sampling.as_ref().unwrap().sampling_rate);
    let default = [
        strategy.probabilistic_sampling.unwrap().sampling_rate,
        operations.default_sampling_probability,
    ];
    listed.chain(default).fold(1.0, f64::min)
}

/// The same in the file of all strategies.
async fn in_file(app: &TestApp) -> f64 {
    let (status, file) = app.get(format!("{}/strategies.json", app.sdk)).await;
    assert_eq!(status, 200, "{file}");
    let services = file["service_strategies"].as_array().unwrap();
    let shop = services.iter().find(|of| of["service"] == "shop").unwrap();
    assert_eq!(shop["type"], "probabilistic");
    let listed = shop["operation_strategies"].as_array().cloned();
    let listed = listed.unwrap_or_default();
    let listed = listed.iter().map(|of| of["param"].as_f64().unwrap());
    listed.fold(shop["param"].as_f64().unwrap(), f64::min)
}

/// The lowest of X-Ray's targets: of a method, of tagged requests, and of the rest.
async fn over_xray(app: &TestApp) -> f64 {
    let rules = ["shop:GET", "shop:tagged=actors", "shop:*"];
    let statistics = rules.map(|rule| {
        json!({"ClientID": "0123456789abcdef01234567", "RuleName": rule, "Timestamp": 1,
            "RequestCount": 0, "SampledCount": 0, "BorrowCount": 0})
    });
    let body = json!({"SamplingStatisticsDocuments": statistics,
        "SamplingBoostStatisticsDocuments": []});
    let asked = app.client.post(format!("{}/SamplingTargets", app.xray()));
    let answer = asked.body(body.to_string()).send().await.unwrap();
    let answer: Value = answer.json().await.unwrap();
    let targets = answer["SamplingTargetDocuments"].as_array().unwrap();
    assert_eq!(targets.len(), rules.len(), "{answer}");
    let rates = targets.iter().map(|of| of["FixedRate"].as_f64().unwrap());
    rates.fold(1.0, f64::min)
}

/// The lowest that each protocol says.
async fn lowest(app: &TestApp) -> [f64; 4] {
    [
        over_http(app).await,
        over_grpc(app).await,
        in_file(app).await,
        over_xray(app).await,
    ]
}

#[tokio::test(flavor = "multi_thread")]
async fn a_tail_governed_service_is_served_1_by_every_protocol_while_edges_decide() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder).await;
    let document = |governed: &str| {
        json!({
            "budget": {"traces_per_second": 50}, "services": {"shop": {"governed": governed}},
            "rules": {"actors": {"service": "shop", "attributes": {"test.actor": "*"},
                "set": {"cap_traces_per_second": 5}, "owner": "ann", "reason": "a test",
                "expires": "never", "expect": "later"}},
        })
    };
    assert_eq!(configure(&app, document("tail")).await.0, 200);
    let mut edge = Played::new("edge-1");
    // More than the budget, so that nobody is served 1 as if it were head-governed.
    let counts = [
        ("GET /", json!("rest"), 500),
        ("GET /", json!("error"), 100),
    ];
    in_effect(&app, &mut edge, &counts).await;
    assert_eq!(lowest(&app).await, [1.0; 4]);
    // With samplers of its own again, each protocol says its share.
    assert_eq!(configure(&app, document("head")).await.0, 200);
    eventually(DEADLINE, "its share", async || {
        edge.count(&app, "shop", &counts).await;
        lowest(&app)
            .await
            .iter()
            .all(|rate| *rate < 0.9)
            .then_some(())
    })
    .await;
    app.stop().await;
}

/// What the plan gives to the classes of an operation together, in traces per second, and what decides.
async fn shared(app: &TestApp, class: &str) -> (f64, Value) {
    let path = format!("/v1/services/shop/explanation?operation=GET%20/&class={class}");
    let (status, explained) = app.admin_get(&path).await;
    if status != 200 {
        return (f64::INFINITY, Value::Null);
    }
    let classes = explained["classes"].as_array().unwrap();
    let shares = classes
        .iter()
        .map(|of| of["share_traces_per_second"].as_f64().unwrap());
    (shares.sum(), explained)
}

/// The cap of an operation of the shop that the edge is told.
async fn told(edge: &mut Played, app: &TestApp, operation: &str) -> Value {
    edge.tag = None;
    let plan = edge.ask(app, 0).await.unwrap();
    let operations = plan["services"][0]["operations"].as_array().unwrap();
    let is_it = |of: &&Value| of["operation"] == operation;
    operations.iter().find(is_it).unwrap()["cap_traces_per_second"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn the_cap_and_the_floor_of_an_operation_hold_over_all_of_its_classes_together() {
    let folder = tempfile::tempdir().unwrap();
    let app = start(&folder).await;
    let with = |operations: Value| {
        json!({"budget": {"traces_per_second": 100},
            "services": {"shop": {"governed": "tail", "operations": operations}}})
    };
    let document = with(json!({"GET /": {"cap_traces_per_second": 10}}));
    assert_eq!(configure(&app, document.clone()).await.0, 200);
    let mut edge = Played::new("edge-1");
    let counts = [
        ("GET /", json!("error"), 4),
        ("GET /", json!("slow"), 200),
        ("GET /", json!("rest"), 900),
        ("GET /other", json!("rest"), 900),
    ];
    let explained = eventually(DEADLINE, "a plan that keeps the cap", async || {
        edge.count(&app, "shop", &counts).await;
        let (sum, explained) = shared(&app, "rest").await;
        let by_cap = explained["reason"]["binding"] == "cap";
        ((9.0..10.001).contains(&sum) && by_cap).then_some(explained)
    })
    .await;
    assert_eq!(explained["settings"]["cap_traces_per_second"], 10.0);
    assert_eq!(told(&mut edge, &app, "GET /").await, json!(10.0));
    assert_eq!(told(&mut edge, &app, "GET /other").await, Value::Null);
    assert_eq!(explained["reason"]["source"], "operation");
    let said = explained["reason"]["explanation"].as_str().unwrap();
    assert!(
        said.contains("together share its cap of 10 traces/s"),
        "{said}"
    );
    // The preview of another cap says what the plan would. Classes that it does not change are not in it.
    let preview = app
        .client
        .post(format!("{}/v1/configuration/preview", app.admin))
        .json(&with(json!({"GET /": {"cap_traces_per_second": 6}})));
    let previewed: Value = preview.send().await.unwrap().json().await.unwrap();
    let changed = previewed["operations"].as_array().unwrap().iter();
    let changed = changed.filter(|of| of["operation"].as_str().unwrap().starts_with("GET / ("));
    let after = changed.map(|of| of["share_traces_per_second"]["after"].as_f64().unwrap());
    let after: Vec<f64> = after.collect();
    assert!(!after.is_empty(), "{previewed}");
    assert!(after.iter().sum::<f64>() <= 6.001, "{after:?}");
    // A floor is shared as well: it costs what it says, and not that for each class.
    let document = with(json!({"GET /": {"floor_traces_per_second": 97}}));
    assert_eq!(configure(&app, document).await.0, 200);
    let explained = eventually(DEADLINE, "a plan that keeps the floor", async || {
        edge.count(&app, "shop", &counts).await;
        let (sum, explained) = shared(&app, "rest").await;
        let by_floor = explained["reason"]["binding"] == "floor";
        ((96.0..97.5).contains(&sum) && by_floor).then_some(explained)
    })
    .await;
    let said = explained["reason"]["explanation"].as_str().unwrap();
    assert!(
        said.contains("together share its floor of 97 traces/s"),
        "{said}"
    );
    // What was counted without a class, before edges decided, keeps no floor of its own.
    eventually(DEADLINE, "every entry is of a class", async || {
        edge.count(&app, "shop", &counts).await;
        let entries = entries(&app, "shop").await;
        let mut classes = entries.iter().map(|(_, class)| class);
        (!entries.is_empty() && classes.all(Option::is_some)).then_some(())
    })
    .await;
    // A floor for each class would need 291 of the 100 traces/s.
    let plan = app.plan().await.unwrap();
    let missing = plan["missing_traces_per_second"].as_f64().unwrap();
    assert!(missing < 97.0, "{plan}");
    app.stop().await;
}
