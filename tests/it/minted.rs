//! Services that put ids into the names of their operations are found and named.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

#[tokio::test(flavor = "multi_thread")]
async fn a_service_whose_names_never_come_back_is_named_with_examples() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let tail =
        json!({"budget": {"traces_per_second": 50}, "services": {"tail": {"governed": "tail"}}});
    let url = format!("{}/v1/configuration", app.admin);
    let request = app.client.put(url).header("If-Match", "*").json(&tail);
    assert_eq!(request.send().await.unwrap().status(), 200);
    let mut agent = Agent::new("a");
    let mut minted = 0;
    let services = eventually(DEADLINE, "a service that mints names", async || {
        let rates: &[(&str, f64)] = &[("GET /", 1000.0), ("POST /buy", 100.0)];
        if let Some(mut report) = agent.next(&[("shop", rates), ("stock", rates), ("tail", &[])]) {
            minted += 1;
            let operations = report["services"][0]["operations"].as_array_mut();
            let once = json!({ "operation": format!("GET /{minted}"), "offered": 1, "sampled": 0 });
            operations.unwrap().push(once);
            report["services"][2]["operations"] = tail_governed(minted);
            assert_eq!(app.report(&report).await.0, 200);
        }
        let metrics = Scrape::of(&app).await;
        if metrics.value("weir_services_minting_names") == 0.0 {
            return None;
        }
        let (_, listed) = app.admin_get("/v1/services").await;
        // A later plan may have come between the two.
        let part = listed["services"][0]["names_return"].as_f64()?;
        (part < 0.5).then_some(listed)
    })
    .await;
    let [shop, stock, tail] = [0, 1, 2].map(|place| &services["services"][place]);
    let examples = shop["names_seen_once"].as_array().unwrap();
    assert_eq!(examples.len(), 3, "{services}");
    for example in examples {
        let number = example.as_str().unwrap().strip_prefix("GET /").unwrap();
        let number: usize = number.parse().unwrap();
        assert!((1..=minted).contains(&number), "{example}");
    }
    assert_eq!(stock["names_seen_once"], json!([]), "{services}");
    assert!(stock["names_return"].as_f64().unwrap() > 0.9, "{services}");
    // Its names are known: only some of their classes are rare.
    assert_eq!(tail["names_seen_once"], json!([]), "{services}");
    assert!(tail["names_return"].as_f64().unwrap() > 0.9, "{services}");
    app.stop().await;
}

/// What is counted of a tail-governed service: the same operations each time, of which another one has an error.
fn tail_governed(number: usize) -> Value {
    let rest = (0..40).map(|operation| (operation, "rest", 5));
    let operations = rest.chain([(number % 40, "error", 1)]);
    let counted = operations.map(|(operation, class, offered)| {
        json!({"operation": format!("GET /{operation}"), "class": class, "offered": offered, "sampled": 0})
    });
    counted.collect()
}
