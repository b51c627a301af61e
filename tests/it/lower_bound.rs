//! The lower bound through the front door: from reports to strategies.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{Agent, TestApp, config};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

const INSTANCES: u64 = 20;

async fn reserve(app: &TestApp, traces_per_second: f64) -> Value {
    let put = app
        .client
        .put(format!("{}/v1/lower-bound", app.admin))
        .header("If-Match", "*")
        .json(&json!({ "reserve_traces_per_second": traces_per_second }));
    let response = put.send().await.unwrap();
    assert_eq!(response.status(), 200);
    response.json().await.unwrap()
}

/// The agent's next report, to both replicas: one counts it, the other answers that it is known.
async fn tell(agent: &mut Agent, replicas: [&TestApp; 2]) {
    let rates: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 900.0), ("POST /buy", 600.0)])];
    let Some(mut report) = agent.next(rates) else {
        return;
    };
    report["services"][0]["instances"] = json!(INSTANCES);
    let idle = json!({ "service": "nobody knows", "instances": 9, "operations": [] });
    report["services"].as_array_mut().unwrap().push(idle);
    for (replica, result) in replicas.into_iter().zip(["counted", "duplicate"]) {
        let answer = replica.report(&report).await;
        assert_eq!(answer, (200, json!({ "result": result })));
    }
}

async fn served(app: &TestApp) -> f64 {
    let body = app.poll("shop").await;
    let bound = &body["operationSampling"]["defaultLowerBoundTracesPerSecond"];
    bound.as_f64().unwrap()
}

#[tokio::test]
async fn what_is_reserved_becomes_a_bound_for_every_instance_counted_once() {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let start = || TestApp::start_with(config(&["--interval", "1s", "--database-url", &url]));
    let (one, two) = (start().await, start().await);
    let replicas = [&one, &two];
    one.set_budget(50.0).await;
    let answer = reserve(&one, 10.0).await;
    assert_eq!(answer["reserve_traces_per_second"], 10.0);
    assert_eq!(answer["lower_bound_traces_per_second"], 0.0);

    let mut agent = Agent::new("a");
    // Nine of the ten traces per second, over 20 instances with two operations each.
    eventually(DEADLINE, "the bound on both replicas", async || {
        tell(&mut agent, replicas).await;
        (served(&one).await == 0.22 && served(&two).await == 0.22).then_some(())
    })
    .await;
    let unknown = one.poll("nobody%20knows").await;
    assert_eq!(
        unknown["operationSampling"]["defaultLowerBoundTracesPerSecond"],
        0.0
    );
    let (_, shown) = one.admin_get("/v1/lower-bound").await;
    assert_eq!(
        (&shown["instances"], &shown["operations"]),
        (&json!(20.0), &json!(2))
    );
    let cost = shown["cost_traces_per_second"].as_f64().unwrap();
    assert!((8.0..=8.8).contains(&cost), "{shown}");
    let (_, services) = one.admin_get("/v1/services").await;
    let shop = &services["services"][0];
    assert_eq!(
        (&shop["instances"], &shop["lower_bound_traces_per_second"]),
        (&json!(20.0), &json!(0.22))
    );
    let plan = one.plan().await.unwrap();
    let expected = plan["expected_sampled_traces_per_second"].as_f64().unwrap();
    assert!((45.0..=50.5).contains(&expected), "{plan}");

    reserve(&two, 0.0).await;
    eventually(DEADLINE, "no bound any more", async || {
        tell(&mut agent, replicas).await;
        (served(&one).await == 0.0 && served(&two).await == 0.0).then_some(())
    })
    .await;
    one.stop().await;
    two.stop().await;
}

#[tokio::test]
async fn a_reserve_out_of_range_is_named() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    for wrong in [json!(-1), json!(1e10), json!("5"), json!(null)] {
        let put = app
            .client
            .put(format!("{}/v1/lower-bound", app.admin))
            .header("If-Match", "*")
            .json(&json!({ "reserve_traces_per_second": wrong }));
        let response = put.send().await.unwrap();
        assert_eq!(response.status(), 422);
        let problem: Value = response.json().await.unwrap();
        assert_eq!(problem["field"], "reserve_traces_per_second", "{problem}");
    }
    let (_, shown) = app.admin_get("/v1/lower-bound").await;
    assert_eq!(
        (&shown["reserve_traces_per_second"], &shown["revision"]),
        (&json!(0.0), &json!(1))
    );
    app.stop().await;
}
