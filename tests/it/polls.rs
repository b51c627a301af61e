//! `GET /sampling`: what every client reads.

use serde_json::json;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;
use std::time::Duration;

const DEADLINE: Duration = Duration::from_secs(30);

#[tokio::test]
async fn before_anything_is_known_everybody_gets_the_same_small_default() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    for path in [
        "/",
        "/sampling",
        "/sampling/",
        "/api/sampling",
        "/api/sampling/sampling",
    ] {
        for service in ["checkout", "", "not%20known", "a+b&unknown=1"] {
            let (status, body) = app
                .get(format!("{}{path}?service={service}", app.sdk))
                .await;
            assert_eq!(status, 200);
            let expected = json!({
                "strategyType": "PROBABILISTIC",
                "probabilisticSampling": { "samplingRate": 0.001 },
                "operationSampling": {
                    "defaultSamplingProbability": 0.001,
                    "defaultLowerBoundTracesPerSecond": 0.0,
                    "perOperationStrategies": [],
                    "defaultUpperBoundTracesPerSecond": 0,
                },
            });
            assert_eq!(body, expected);
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn the_service_must_be_named_once() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    for query in ["", "?", "?service=a&service=b", "?name=a"] {
        let (status, problem) = app.get(format!("{}/sampling{query}", app.sdk)).await;
        assert_eq!(
            (status, &problem["field"]),
            (400, &json!("service")),
            "{query}"
        );
        assert!(
            problem.get("strategyType").is_none() && problem.get("operationSampling").is_none()
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn a_plan_is_told_in_headers_and_its_bodies_come_compressed_on_request() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 500.0), ("POST /buy", 20.0)])];
    eventually(DEADLINE, "a plan that lists both operations", async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let body = app.poll("shop").await;
        let listed = body["operationSampling"]["perOperationStrategies"]
            .as_array()?
            .len();
        (listed == 2).then_some(())
    })
    .await;

    let request = app.client.get(format!("{}/sampling?service=shop", app.sdk));
    let response = request
        .header("Accept-Encoding", "identity")
        .send()
        .await
        .unwrap();
    let headers = response.headers().clone();
    assert!(
        headers["weir-plan"]
            .to_str()
            .unwrap()
            .parse::<u64>()
            .unwrap()
            >= 1
    );
    assert_eq!(headers["weir-plan-stale"], "false");
    assert!(headers["age"].to_str().unwrap().parse::<u64>().unwrap() < 10);
    assert!(!headers.contains_key("content-encoding"));
    let plain = response.bytes().await.unwrap();
    let body: serde_json::Value = serde_json::from_slice(&plain).unwrap();
    let first = &body["operationSampling"]["perOperationStrategies"][0];
    assert_eq!(first["operation"], "GET /", "the busiest comes first");

    // The client says so and unpacks by itself; the raw bytes are checked by hand.
    let raw = reqwest::Client::builder().no_gzip().build().unwrap();
    let request = raw.get(format!("{}/sampling?service=shop", app.sdk));
    let packed = request
        .header("Accept-Encoding", "gzip")
        .send()
        .await
        .unwrap();
    assert_eq!(packed.headers()["content-encoding"], "gzip");
    let packed = packed.bytes().await.unwrap();
    let mut unpacked = String::new();
    std::io::Read::read_to_string(
        &mut flate2::read::GzDecoder::new(&packed[..]),
        &mut unpacked,
    )
    .unwrap();
    let unpacked: serde_json::Value = serde_json::from_str(&unpacked).unwrap();
    assert_eq!(unpacked["strategyType"], "PROBABILISTIC");
    app.stop().await;
}
