//! What is exported is counted once, whatever it came over.

use std::time::Duration;

use serde_json::{Value, json};
use weir::clock::{Clock, SystemClock};

use super::messages::{METRICS, protobuf};
use super::start;
use crate::support::app::TestApp;
use crate::support::grpc::{Raw, framed};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";

/// An export of a process that has started a minute ago, and has had this many requests so far.
fn export(requests: u64, seconds_ago: u64) -> Value {
    let now = SystemClock.timestamp().0.unsigned_abs() * 1_000_000;
    let second = 1_000_000_000;
    let minute = now / (60 * second) * 60 * second;
    let point = json!({
        "attributes": [{ "key": "http.request.method", "value": { "stringValue": "GET" } }],
        "startTimeUnixNano": (minute - 60 * second).to_string(),
        "timeUnixNano": (now - seconds_ago * second).to_string(),
        "count": requests.to_string(),
    });
    let metric = json!({
        "name": "http.server.request.duration",
        "histogram": { "aggregationTemporality": 2, "dataPoints": [point] },
    });
    json!({ "resourceMetrics": [{
        "resource": { "attributes": [
            { "key": "service.name", "value": { "stringValue": "checkout" } },
            { "key": "service.instance.id", "value": { "stringValue": "a" } },
        ] },
        "scopeMetrics": [{ "metrics": [metric] }],
    }] })
}

async fn over_http(app: &TestApp, kind: &str, body: Vec<u8>) {
    let request = app.client.post(format!("{}/v1/metrics", app.sdk));
    let answer = request
        .header("Content-Type", kind)
        .body(body)
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 200);
    let said = answer.text().await.unwrap();
    assert!(["", "{}"].contains(&&*said), "{said}");
}

async fn offered(app: &TestApp) -> f64 {
    Scrape::of(app).await.value("weir_reported_offered_total")
}

#[tokio::test]
async fn a_source_is_the_same_in_every_encoding_and_over_every_protocol() {
    let (app, _directory) = start(&[]).await;
    let (first, second, third) = (export(100, 3), export(150, 2), export(225, 1));
    let json = |export: &Value| export.to_string().into_bytes();
    over_http(&app, "application/json", json(&first)).await;
    assert_eq!(offered(&app).await, 100.0);
    // Its sender did not hear the answer.
    over_http(&app, "application/x-protobuf", protobuf(METRICS, &first)).await;
    assert_eq!(offered(&app).await, 100.0);
    let mut raw = Raw::connect(app.grpc()).await;
    for _ in 0..2 {
        let answer = raw
            .call(EXPORT, &[], framed(0, &protobuf(METRICS, &second)))
            .await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        assert_eq!(answer.body.len(), 5, "nothing is rejected");
        assert_eq!(offered(&app).await, 150.0);
    }
    over_http(&app, "application/json", json(&third)).await;
    // Overtaken on its way.
    over_http(&app, "application/json", json(&second)).await;
    assert_eq!(offered(&app).await, 225.0);
    app.stop().await;
}

/// A service that others call counts the requests it gets. It says that no trace begins with them.
#[tokio::test]
async fn requests_with_which_no_trace_begins_are_not_counted() {
    let (app, _directory) = start(&[]).await;
    let mut export = export(100, 1);
    let metrics = &mut export["resourceMetrics"][0]["scopeMetrics"][0]["metrics"];
    let mut point = metrics[0]["histogram"]["dataPoints"][0].clone();
    let origin = json!({ "key": "otel.span.parent.origin", "value": { "stringValue": "remote" } });
    point["attributes"] = json!([origin]);
    point["asInt"] = point.as_object_mut().unwrap().remove("count").unwrap();
    let started = json!({
        "name": "otel.sdk.span.started",
        "sum": { "aggregationTemporality": 2, "isMonotonic": true, "dataPoints": [point] },
    });
    metrics.as_array_mut().unwrap().push(started);
    over_http(&app, "application/x-protobuf", protobuf(METRICS, &export)).await;
    assert_eq!(offered(&app).await, 0.0);
    app.stop().await;
}

/// Metrics of requests do not say which were sampled. Nothing that people see takes that for none.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_nobody_says_of_sampling_is_shown_as_unknown() {
    let (app, _directory) = start(&[]).await;
    let mut requests = 0;
    let operation = eventually(DEADLINE, "a plan has counted requests", async || {
        requests += 1000;
        over_http(
            &app,
            "application/json",
            export(requests, 0).to_string().into(),
        )
        .await;
        let (_, said) = app.admin_get("/v1/services/checkout/operations").await;
        let operation = said["operations"].get(0)?.clone();
        (operation["window_offered"].as_u64()? > 0).then_some(operation)
    })
    .await;
    assert_eq!(operation["window_sampled"], Value::Null, "{operation}");
    let (_, services) = app.admin_get("/v1/services").await;
    let service = &services["services"][0];
    assert_eq!(service["applies_strategy"], Value::Null, "{service}");
    let scrape = Scrape::of(&app).await;
    let series = "weir_service_observed_sampled_traces_per_second{service=\"checkout\"}";
    assert!(!scrape.series().contains(series), "it has no series");
    assert!(
        scrape.value("weir_observed_sampled_traces_per_second") > 0.0,
        "what was due"
    );
    let path = "/v1/services/checkout/history?operation=GET";
    let (_, history) = app.admin_get(path).await;
    let points = history["points"].as_array().expect("has points");
    assert!(!points.is_empty());
    let is_unknown = |point: &Value| point["sampled"].is_null() && point["offered"].is_u64();
    assert!(points.iter().all(is_unknown), "{history}");
    app.stop().await;
}
