//! Freeze, emergency, observing and budgets in other units, through the front door.

mod written;

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use crate::support::app::{Agent, TestApp, config};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

const RATES: &[(&str, &[(&str, f64)])] = &[("checkout", &[("GET /a", 1000.0), ("GET /b", 1000.0)])];

/// The same with four times the requests of one operation.
const MORE: &[(&str, &[(&str, f64)])] = &[("checkout", &[("GET /a", 4000.0), ("GET /b", 1000.0)])];

async fn sent(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

async fn put(app: &TestApp, path: &str, body: &Value) -> (u16, Value) {
    let request = app.client.put(format!("{}{path}", app.admin));
    sent(request.header("If-Match", "*").json(body)).await
}

async fn delete(app: &TestApp, path: &str) -> (u16, Value) {
    let request = app.client.delete(format!("{}{path}", app.admin));
    sent(request.header("If-Match", "*")).await
}

fn asked(more: Value) -> Value {
    let mut asked = json!({ "owner": "ann", "reason": "a test" });
    let fields = more.as_object().expect("an object").clone();
    asked.as_object_mut().unwrap().extend(fields);
    asked
}

/// Reports at these rates until something is seen.
async fn reporting<T>(
    app: &TestApp,
    agent: &mut Agent,
    rates: &[(&str, &[(&str, f64)])],
    what: &str,
    mut seen: impl AsyncFnMut() -> Option<T>,
) -> T {
    eventually(DEADLINE, what, async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        seen().await
    })
    .await
}

/// The operations of the service, by name.
async fn operations(app: &TestApp) -> Option<Vec<Value>> {
    let (status, page) = app.admin_get("/v1/services/checkout/operations").await;
    let listed = page["operations"].as_array()?.iter();
    let named = listed.filter(|of| of["operation"] != "__other__");
    (status == 200).then(|| named.cloned().collect())
}

fn figure(of: &Value, field: &str) -> f64 {
    of[field]
        .as_f64()
        .unwrap_or_else(|| panic!("{field} of {of}"))
}

/// What an SDK is told of the first operation.
async fn polled(app: &TestApp) -> f64 {
    let body = app.poll("checkout").await;
    let listed = &body["operationSampling"]["perOperationStrategies"];
    let listed = listed.as_array().cloned().unwrap_or_default();
    let first = listed.iter().find(|of| of["operation"] == "GET /a");
    first.map_or(-1.0, |of| {
        figure(&of["probabilisticSampling"], "samplingRate")
    })
}

/// Waits for a plan that shares a budget between both operations.
async fn planned(app: &TestApp, agent: &mut Agent, budget: f64) -> f64 {
    app.set_budget(budget).await;
    reporting(app, agent, RATES, "the budget is shared", async || {
        let all = operations(app).await?;
        let shared = all
            .iter()
            .all(|of| (figure(of, "share_traces_per_second") / (budget / 2.0) - 1.0).abs() < 0.08);
        (all.len() == 2 && shared).then_some(())
    })
    .await;
    polled(app).await
}

#[tokio::test]
async fn a_freeze_keeps_what_is_served_until_it_ends() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    planned(&app, &mut agent, 100.0).await;
    let (status, written) = put(&app, "/v1/freeze", &asked(json!({}))).await;
    assert_eq!(
        (status, &written["active"]),
        (200, &json!(true)),
        "{written}"
    );
    assert!(written["freeze"]["expires"].is_string(), "{written}");
    let (from, would) = reporting(
        &app,
        &mut agent,
        MORE,
        "a frozen plan moves on",
        async || {
            let all = operations(&app).await?;
            let (told, planned) = (
                figure(&all[0], "probability"),
                figure(&all[0], "planned_probability"),
            );
            (planned < told / 3.0).then_some((told, planned))
        },
    )
    .await;
    assert!((polled(&app).await / from - 1.0).abs() < 1e-5);
    let (_, plan) = app.admin_get("/v1/plans/current").await;
    assert_eq!(plan["serving"], "freeze");
    assert!(plan["serving_since"].is_string(), "{plan}");
    let (_, frozen) = app.admin_get("/v1/freeze").await;
    assert_eq!(frozen["serving_since"], plan["serving_since"]);
    let all = operations(&app).await.unwrap();
    let explained = all[0]["reason"]["explanation"].as_str().unwrap();
    assert!(explained.contains("has been frozen since"), "{explained}");

    let (status, ended) = delete(&app, "/v1/freeze").await;
    assert_eq!((status, &ended["freeze"]), (200, &Value::Null));
    reporting(
        &app,
        &mut agent,
        MORE,
        "the plan is served in full",
        async || {
            let told = polled(&app).await;
            (told < from / 2.0 && (told / would - 1.0).abs() < 0.3).then_some(())
        },
    )
    .await;
    assert_eq!(delete(&app, "/v1/freeze").await.0, 404);
    app.stop().await;
}

#[tokio::test]
async fn a_freeze_runs_out_by_the_clock_of_the_plan() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    planned(&app, &mut agent, 100.0).await;
    let (status, _) = put(&app, "/v1/freeze", &asked(json!({ "for_seconds": 3 }))).await;
    assert_eq!(status, 200);
    let serves = async |wanted: &str| {
        let (_, plan) = app.admin_get("/v1/plans/current").await;
        (plan["serving"] == wanted).then_some(())
    };
    reporting(&app, &mut agent, RATES, "it is frozen", async || {
        serves("freeze").await
    })
    .await;
    reporting(&app, &mut agent, RATES, "it ran out", async || {
        serves("plan").await
    })
    .await;
    let (_, shown) = app.admin_get("/v1/freeze").await;
    assert_eq!(shown["active"], false);
    assert_eq!(shown["freeze"]["owner"], "ann", "it is still shown");
    app.stop().await;
}

#[tokio::test]
async fn an_emergency_cuts_at_once_without_counts_and_restores_exactly() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    planned(&app, &mut agent, 100.0).await;
    // From now on nobody reports: plans hold, and the emergency applies all the same.
    let held = eventually(DEADLINE, "plans hold", async || {
        let (_, plan) = app.admin_get("/v1/plans/current").await;
        (plan["hold"] == "frozen").then_some(())
    });
    held.await;
    let before = polled(&app).await;
    let unknown = figure(
        &app.poll("nobody").await["probabilisticSampling"],
        "samplingRate",
    );
    let began = Instant::now();
    let emergency = asked(json!({ "factor": 0.1, "for_seconds": 600 }));
    let (status, written) = put(&app, "/v1/emergency", &emergency).await;
    assert_eq!(
        (status, &written["active"]),
        (200, &json!(true)),
        "{written}"
    );
    eventually(DEADLINE, "everything is cut", async || {
        ((polled(&app).await / before - 0.1).abs() < 1e-4).then_some(())
    })
    .await;
    println!("cut after {:?}", began.elapsed());
    let cut = app.poll("nobody").await;
    let cut = figure(&cut["probabilisticSampling"], "samplingRate");
    assert!((cut / unknown - 0.1).abs() < 1e-4, "{cut} {unknown}");
    let (_, file) = app.get(format!("{}/strategies.json", app.sdk)).await;
    let param = figure(&file["default_strategy"], "param");
    assert!((param / unknown - 0.1).abs() < 1e-4, "{file}");
    let all = operations(&app).await.unwrap();
    assert!((figure(&all[0], "probability") / before - 0.1).abs() < 1e-4);
    assert!((figure(&all[0], "planned_probability") / before - 1.0).abs() < 1e-4);
    let explained = all[0]["reason"]["explanation"].as_str().unwrap();
    assert!(explained.contains("An emergency multiplies"), "{explained}");

    let (status, ended) = delete(&app, "/v1/emergency").await;
    assert_eq!((status, &ended["emergency"]), (200, &Value::Null));
    eventually(DEADLINE, "what was served is back", async || {
        (polled(&app).await == before).then_some(())
    })
    .await;
    // And one that runs out by itself.
    let short = asked(json!({ "factor": 0.0, "for_seconds": 2 }));
    assert_eq!(put(&app, "/v1/emergency", &short).await.0, 200);
    eventually(DEADLINE, "nothing is served", async || {
        (polled(&app).await == 0.0).then_some(())
    })
    .await;
    eventually(DEADLINE, "it ran out", async || {
        (polled(&app).await == before).then_some(())
    })
    .await;
    // Bodies are swapped in one by one, and the factor after them.
    eventually(DEADLINE, "it is said that it ran out", async || {
        let (_, shown) = app.admin_get("/v1/emergency").await;
        let said = (&shown["active"], &shown["factor"]);
        (said == (&json!(false), &json!(1.0))).then_some(())
    })
    .await;
    app.stop().await;
}

/// There is no plan and no count, and the replica that takes the request ends.
#[tokio::test]
async fn every_replica_hears_of_an_emergency() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let flags = ["--database-url", &*url, "--initial-probability", "0.5"];
    let first = TestApp::start_with(config(&flags)).await;
    let second = TestApp::start_with(config(&flags)).await;
    let told = async |of: &TestApp| {
        let body = of.poll("nobody").await;
        figure(&body["probabilisticSampling"], "samplingRate")
    };
    assert_eq!(told(&second).await, 0.5);
    let began = Instant::now();
    let emergency = asked(json!({ "factor": 0.1 }));
    assert_eq!(put(&first, "/v1/emergency", &emergency).await.0, 200);
    eventually(DEADLINE, "the other replica cuts", async || {
        ((told(&second).await - 0.05).abs() < 1e-6).then_some(())
    })
    .await;
    println!("cut elsewhere after {:?}", began.elapsed());
    first.stop().await;
    assert_eq!(delete(&second, "/v1/emergency").await.0, 200);
    eventually(DEADLINE, "it ends there, too", async || {
        (told(&second).await == 0.5).then_some(())
    })
    .await;
    second.stop().await;
}

#[tokio::test]
async fn an_emergency_applies_from_the_first_answer_after_a_start() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &["--initial-probability", "0.5"]).await;
    let emergency = asked(json!({ "factor": 0.1 }));
    assert_eq!(put(&app, "/v1/emergency", &emergency).await.0, 200);
    app.stop().await;
    let app = TestApp::start(directory.path(), &[]).await;
    let told = app.poll("nobody").await;
    let told = figure(&told["probabilisticSampling"], "samplingRate");
    assert!((told - 0.05).abs() < 1e-6, "{told}");
    app.stop().await;
}

#[tokio::test]
async fn a_new_weir_can_only_observe_until_it_is_told_to_enforce() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &["--observe-only", "--budget", "100"]).await;
    let mut agent = Agent::new("a");
    let would = reporting(&app, &mut agent, RATES, "a plan is shown", async || {
        let all = operations(&app).await?;
        let planned = figure(all.first()?, "planned_probability");
        (all.len() == 2 && (planned / 0.05 - 1.0).abs() < 0.08).then_some(planned)
    })
    .await;
    let initial = f64::from(0.001_f32);
    assert!((polled(&app).await - initial).abs() < 1e-9);
    let (_, mode) = app.admin_get("/v1/mode").await;
    assert_eq!(
        (&mode["mode"], &mode["serving"]),
        (&json!("observe"), &json!("observe"))
    );
    let (_, service) = app.admin_get("/v1/services/checkout").await;
    assert_eq!(service["applies_strategy"], Value::Null);
    let (_, plan) = app.admin_get("/v1/plans/current").await;
    assert!(figure(&plan, "expected_sampled_traces_per_second") > 90.0);
    assert!(figure(&plan, "served_sampled_traces_per_second") < 10.0);

    let (status, mode) = put(&app, "/v1/mode", &json!({ "mode": "enforce" })).await;
    assert_eq!((status, &mode["mode"]), (200, &json!("enforce")));
    reporting(
        &app,
        &mut agent,
        RATES,
        "the plan is served in full",
        async || ((polled(&app).await / would - 1.0).abs() < 0.2).then_some(()),
    )
    .await;
    app.stop().await;
}
