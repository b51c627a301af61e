//! Operators forget operations that no report names any more.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{Agent, TestApp, config};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// An operation that stays, those that are reported for a while, and one that the configuration names.
const STAYS: (&str, f64) = ("GET /", 100.0);
const ONCE: [(&str, f64); 3] = [("GET /1", 10.0), ("GET /2", 10.0), ("GET /3", 10.0)];
const PINNED: (&str, f64) = ("GET /health", 10.0);

async fn forget(app: &TestApp, service: &str) -> (u16, Value) {
    let url = format!(
        "{}/v1/services/{service}/operations?silent_for_seconds=12",
        app.admin
    );
    let answer = app.client.delete(url).send().await.unwrap();
    (answer.status().as_u16(), answer.json().await.unwrap())
}

async fn operations(app: &TestApp) -> Option<Vec<String>> {
    let (status, page) = app.admin_get("/v1/services/shop/operations").await;
    let listed = page["operations"].as_array().filter(|_| status == 200)?;
    let names = listed
        .iter()
        .map(|operation| operation["operation"].as_str());
    let names = names.filter(|name| *name != Some("__other__"));
    names.map(|name| name.map(String::from)).collect()
}

async fn pin(app: &TestApp) {
    let put = app.client.put(format!("{}/v1/configuration", app.admin));
    let pinned = json!({ "services": { "shop": { "operations": {
        PINNED.0: { "probability": 0.5 } } } } });
    let put = put.header("If-Match", "*").json(&pinned);
    assert_eq!(put.send().await.unwrap().status(), 200);
}

async fn silent_operations_are_forgotten(app: TestApp) {
    pin(&app).await;
    let mut agent = Agent::new("a");
    let all = [&[STAYS, PINNED][..], &ONCE].concat();
    eventually(DEADLINE, "a plan with all operations", async || {
        if let Some(report) = agent.next(&[("shop", &all)]) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        (operations(&app).await?.len() == all.len()).then_some(())
    })
    .await;
    let (status, none) = forget(&app, "shop").await;
    assert_eq!((status, &none["removed"]), (200, &json!(0)), "{none}");
    // From now on only one is reported.
    let mut removed = Vec::new();
    let last = eventually(
        DEADLINE,
        "all silent operations are forgotten",
        async || {
            if let Some(report) = agent.next(&[("shop", &[STAYS])]) {
                assert_eq!(app.report(&report).await.0, 200);
            }
            let (status, answer) = forget(&app, "shop").await;
            assert_eq!(status, 200, "{answer}");
            let examples = answer["examples"].as_array().unwrap().clone();
            assert_eq!(answer["removed"], examples.len(), "{answer}");
            removed.extend(examples);
            (removed.len() == ONCE.len()).then_some(answer)
        },
    )
    .await;
    assert_eq!(last["more"], false);
    removed.sort_by_key(Value::to_string);
    let once: Vec<_> = ONCE.iter().map(|(name, _)| json!(name)).collect();
    assert_eq!(removed, once);
    let again = forget(&app, "shop").await.1;
    assert_eq!(again["removed"], 0, "they are gone already: {again}");
    eventually(DEADLINE, "a plan without them", async || {
        if let Some(report) = agent.next(&[("shop", &[STAYS])]) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        (operations(&app).await? == [STAYS.0, PINNED.0]).then_some(())
    })
    .await;
    let (status, problem) = forget(&app, "nobody").await;
    assert_eq!(status, 404, "{problem}");
    // A name that comes back is a new one.
    eventually(DEADLINE, "a forgotten operation is back", async || {
        if let Some(report) = agent.next(&[("shop", &[STAYS, ONCE[0]])]) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let names = operations(&app).await?;
        names.iter().any(|name| name == ONCE[0].0).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn operations_that_nobody_reports_are_forgotten_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let postgres = config(&["--interval", "1s", "--database-url", &url]);
    let (embedded, postgres) = tokio::join!(
        TestApp::start(directory.path(), &[]),
        TestApp::start_with(postgres),
    );
    tokio::join!(
        silent_operations_are_forgotten(embedded),
        silent_operations_are_forgotten(postgres),
    );
}
