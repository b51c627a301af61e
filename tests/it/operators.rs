//! The admin API: the budget, the plan, who spends it, and what survives a restart.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

async fn put(app: &TestApp, condition: Option<&str>, body: Value) -> (u16, Value) {
    let mut request = app
        .client
        .put(format!("{}/v1/budget", app.admin))
        .json(&body);
    if let Some(condition) = condition {
        request = request.header("If-Match", condition);
    }
    let response = request.send().await.unwrap();
    (response.status().as_u16(), response.json().await.unwrap())
}

/// Traces a second and a month, and the revision, as a budget says them.
fn budget(shown: &Value) -> (f64, f64, u64) {
    let number = |field: &str| shown[field].as_f64().unwrap();
    let revision = shown["revision"].as_u64().unwrap();
    (
        number("traces_per_second"),
        number("traces_per_month"),
        revision,
    )
}

#[tokio::test]
async fn the_budget_is_changed_by_whoever_has_seen_it() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let shown = app
        .client
        .get(format!("{}/v1/budget", app.admin))
        .send()
        .await
        .unwrap();
    let first = shown.headers()["etag"].to_str().unwrap().to_owned();
    assert!(first.starts_with("\"1-"), "{first}");
    let shown: Value = shown.json().await.unwrap();
    assert_eq!(budget(&shown), (10.0, 26_298_000.0, 1));

    let fifty = json!({ "traces_per_second": 50 });
    assert_eq!(put(&app, None, fifty.clone()).await.0, 428);
    assert_eq!(put(&app, Some("nonsense"), fifty.clone()).await.0, 400);
    // The same revision number from another database, as after a restore, is a different one.
    let restored = format!("\"1-{:016x}\"", 7);
    for other in ["\"2\"", "\"1\"", "W/\"1\"", &restored] {
        let (status, problem) = put(&app, Some(other), fifty.clone()).await;
        assert_eq!(status, 412, "{other}");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(&first), "{detail}");
    }
    // Proxies that compress answers mark their tags as weak.
    let weak = format!("W/{first}");
    let (status, written) = put(&app, Some(&weak), fifty.clone()).await;
    assert_eq!(status, 200);
    assert_eq!(budget(&written), (50.0, 131_490_000.0, 2));
    assert_eq!(
        put(&app, Some(&first), fifty).await.0,
        412,
        "a second writer has not seen it"
    );

    // The number nearest to the limit is beyond it, too.
    let above = json!(1_000_000_000.000_000_1_f64);
    for wrong in [json!(-1), json!(1e12), above, json!("50"), json!(null)] {
        let (status, problem) = put(&app, Some("*"), json!({ "traces_per_second": wrong })).await;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!("traces_per_second")),
            "{problem}"
        );
    }
    let (status, problem) = put(&app, Some("*"), json!({ "traces_per_second": 1, "x": 1 })).await;
    assert_eq!((status, &problem["field"]), (422, &json!("x")));
    assert_eq!(
        app.admin_get("/v1/budget").await.1["revision"],
        2,
        "nothing wrong was written"
    );
    app.stop().await;
}

#[tokio::test]
async fn a_new_database_begins_with_the_flags_and_an_old_one_ignores_them() {
    let directory = tempfile::tempdir().unwrap();
    for flags in [
        ["--budget", "77", "--initial-probability", "0.25"],
        ["--budget", "5", "--initial-probability", "0.5"],
    ] {
        let app = TestApp::start(directory.path(), &flags).await;
        let (_, shown) = app.admin_get("/v1/budget").await;
        assert_eq!(budget(&shown), (77.0, 202_494_600.0, 1));
        let (_, whole) = app.admin_get("/v1/configuration").await;
        assert_eq!(whole["initial_probability"], 0.25);
        app.stop().await;
    }
}

#[tokio::test]
async fn a_budget_becomes_probabilities_and_both_survive_a_restart() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    app.set_budget(50.0).await;
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[
        ("shop", &[("GET /", 1000.0), ("POST /buy", 10.0)]),
        ("stock", &[("sync", 200.0)]),
    ];
    let plan = eventually(DEADLINE, "a plan that spends the budget", async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let plan = app.plan().await?;
        let expected = plan["expected_sampled_traces_per_second"].as_f64()?;
        let offered = plan["offered_per_second"].as_f64()?;
        let settled = (expected - 50.0).abs() < 0.5 && (offered - 1210.0).abs() < 60.0;
        settled.then_some(plan)
    })
    .await;
    assert_eq!(plan["budget_traces_per_second"], 50.0);
    assert_eq!(
        (&plan["services"], &plan["hold"]),
        (&json!(2), &json!("none"))
    );

    let (_, services) = app.admin_get("/v1/services").await;
    let names: Vec<&str> = services["services"]
        .as_array()
        .unwrap()
        .iter()
        .map(|s| s["service"].as_str().unwrap())
        .collect();
    assert_eq!(names, ["shop", "stock"]);
    let (_, page) = app.admin_get("/v1/services?limit=1").await;
    assert_eq!(page["next"], "shop");
    let (_, page) = app.admin_get("/v1/services?limit=1&after=shop").await;
    assert_eq!(
        (&page["services"][0]["service"], &page["next"]),
        (&json!("stock"), &Value::Null)
    );

    let (_, shop) = app.admin_get("/v1/services/shop/operations").await;
    let buy = shop["operations"]
        .as_array()
        .unwrap()
        .iter()
        .find(|o| o["operation"] == "POST /buy");
    let buy = buy.unwrap();
    assert_eq!(
        (&buy["probability"], &buy["binding"]),
        (&json!(1.0), &json!("probability_one"))
    );
    let get = &shop["operations"][0];
    let (share, level) = (get["share_traces_per_second"].as_f64().unwrap(), 20.0);
    assert!(
        (share - level).abs() < 1.5,
        "the rest is shared equally: {get}"
    );
    assert_eq!(app.admin_get("/v1/services/nobody/operations").await.0, 404);

    let path = "/v1/services/shop/history?operation=GET%20/";
    let (_, history) = app.admin_get(path).await;
    let points = history["points"].as_array().unwrap();
    assert!(
        points
            .iter()
            .any(|point| point["offered"].as_u64().unwrap() > 500),
        "{history}"
    );
    assert!(points.iter().all(|point| point["window_seconds"] == 1.0));

    let served = app.poll("shop").await;
    app.stop().await;
    let app = TestApp::start(directory.path(), &[]).await;
    assert_eq!(
        app.poll("shop").await,
        served,
        "served from the first moment on"
    );
    assert_eq!(
        app.admin_get("/v1/budget").await.1["traces_per_second"],
        50.0
    );
    app.stop().await;
}

#[tokio::test]
async fn health_is_told() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    assert_eq!(
        app.admin_get("/livez").await,
        (200, json!({ "status": "alive" }))
    );
    let (status, ready) = app.admin_get("/readyz").await;
    assert_eq!(
        (status, &ready["status"], &ready["database"]),
        (200, &json!("ready"), &json!("available"))
    );
    assert_eq!(
        app.admin_get("/nothing").await.1["type"],
        "urn:weir:problem:not-found"
    );
    app.stop().await;
}

/// No agent reports any more, and the last plan stays. But changes by operators are served.
#[tokio::test]
async fn a_cut_and_a_raise_need_no_reports() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    app.set_budget(50.0).await;
    let mut agent = Agent::new("a");
    eventually(DEADLINE, "a plan that spends the budget", async || {
        if let Some(report) = agent.next(&[("shop", &[("GET /", 1000.0)])]) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let expected = app.plan().await?["expected_sampled_traces_per_second"].as_f64()?;
        ((expected - 50.0).abs() < 0.5).then_some(())
    })
    .await;
    eventually(DEADLINE, "a plan without reports", async || {
        (app.plan().await?["hold"] == "frozen").then_some(())
    })
    .await;
    for (budget, rates) in [(5.0, 4.0..5.1), (0.0, 0.0..1e-9), (400.0, 350.0..401.0)] {
        app.set_budget(budget).await;
        eventually(DEADLINE, "the budget is served", async || {
            let plan = app.plan().await?;
            assert_eq!(plan["hold"], "frozen", "{plan}");
            if plan["budget_traces_per_second"] != budget {
                return None;
            }
            let polled = app.poll("shop").await;
            let listed = &polled["operationSampling"]["perOperationStrategies"][0];
            let served = listed["probabilisticSampling"]["samplingRate"].as_f64()?;
            rates.contains(&(served * 1000.0)).then_some(())
        })
        .await;
    }
    app.stop().await;
}
