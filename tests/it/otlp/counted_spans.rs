//! Root spans are counted once, whatever they come over and in whatever export.

use std::time::Duration;

use serde_json::{Value, json};
use weir::clock::{Clock, SystemClock};

use super::messages::{TRACES, protobuf};
use super::spans::in_base64;
use super::start;
use crate::support::app::TestApp;
use crate::support::grpc::{Raw, framed};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

const EXPORT: &str = "/opentelemetry.proto.collector.trace.v1.TraceService/Export";

/// An export of these root spans, which ended just now. Each stands for four requests.
fn export(numbers: std::ops::Range<u64>) -> Value {
    let now = SystemClock.timestamp().0.unsigned_abs() * 1_000_000;
    let span = |number: u64| {
        json!({
            "traceId": format!("{:032x}", 0xabc + number),
            "spanId": format!("{:016x}", 0xdef + number),
            "traceState": "ot=th:c",
            "name": "GET /users/{id}",
            "kind": 2,
            "startTimeUnixNano": (now - 2_000_000_000).to_string(),
            "endTimeUnixNano": (now - 1_000_000_000).to_string(),
            "attributes": [{ "key": "http.request.method", "value": { "stringValue": "GET" } }],
        })
    };
    let spans: Vec<_> = numbers.map(span).collect();
    json!({ "resourceSpans": [{
        "resource": { "attributes": [
            { "key": "service.name", "value": { "stringValue": "checkout" } },
        ] },
        "scopeSpans": [{ "spans": spans }],
    }] })
}

async fn send(app: &TestApp, kind: &str, body: Vec<u8>) -> String {
    let request = app.client.post(format!("{}/v1/traces", app.sdk));
    let request = request.header("Content-Type", kind).body(body);
    let answer = request.send().await.unwrap();
    assert_eq!(answer.status(), 200);
    answer.text().await.unwrap()
}

async fn counted(app: &TestApp) -> (f64, f64) {
    let scrape = Scrape::of(app).await;
    let of = |name| scrape.value(name);
    (
        of("weir_reported_offered_total"),
        of("weir_reported_sampled_total"),
    )
}

#[tokio::test]
async fn a_span_is_the_same_in_every_encoding_and_over_every_protocol() {
    let (app, _directory) = start(&[]).await;
    let json = |export: &Value| export.to_string().into_bytes();
    let bytes = |export: &Value| protobuf(TRACES, &in_base64(export));
    let first = export(0..3);
    assert_eq!(send(&app, "application/json", json(&first)).await, "{}");
    assert_eq!(counted(&app).await, (12.0, 3.0));
    // Its sender did not hear the answer.
    assert_eq!(
        send(&app, "application/x-protobuf", bytes(&first)).await,
        ""
    );
    assert_eq!(counted(&app).await, (12.0, 3.0));
    // A Collector joins it with what came next.
    let mut raw = Raw::connect(app.grpc()).await;
    for _ in 0..2 {
        let answer = raw
            .call(EXPORT, &[], framed(0, &bytes(&export(1..8))))
            .await;
        assert_eq!(answer.code(), Some(0), "{answer:?}");
        assert_eq!(answer.body.len(), 5, "nothing is rejected");
        assert_eq!(counted(&app).await, (32.0, 8.0));
    }
    let scrape = Scrape::of(&app).await;
    assert_eq!(
        scrape.value("weir_otlp_points_total"),
        3.0 + 3.0 + 7.0 + 7.0
    );
    app.stop().await;
}

#[tokio::test]
async fn spans_that_cannot_be_counted_are_rejected_with_the_reason() {
    let (app, _directory) = start(&[]).await;
    let mut export = export(0..4);
    let spans = &mut export["resourceSpans"][0]["scopeSpans"][0]["spans"];
    spans[0]["spanId"] = json!("");
    spans[1]["endTimeUnixNano"] = json!("1000000000");
    spans[2]["kind"] = json!("SPAN_KIND_CLIENT");
    let said = send(&app, "application/json", export.to_string().into_bytes()).await;
    let said: Value = serde_json::from_str(&said).unwrap();
    let expected = json!({ "partialSuccess": {
        "rejectedSpans": "2",
        "errorMessage": "spans were not counted: 1 have no valid id; \
                         not counted: 1 spans of a time that is too old",
    } });
    assert_eq!(said, expected);
    assert_eq!(counted(&app).await, (4.0, 1.0));
    let scrape = Scrape::of(&app).await;
    let not_a_request = "weir_otlp_points_left_out_total{reason=\"not_a_request\"}";
    assert_eq!(scrape.value(not_a_request), 1.0);
    app.stop().await;
}

/// Where nobody asks what is served, SDKs apply something else. If a span stood for the inverse of what is
/// served there, the less is served, the more would be counted, and so on.
#[tokio::test]
async fn a_span_that_says_nothing_stands_for_itself_until_somebody_polls() {
    const SPANS: u64 = 40;
    let (app, _directory) = start(&[]).await;
    // A fourth of what comes at most: a round a second, or more.
    app.set_budget(10.0).await;
    let mut first = 0;
    let mut stands_for = async |wanted: &str, is_enough: fn(f64) -> bool, polls: bool| {
        eventually(DEADLINE, wanted, async || {
            if polls {
                app.poll("checkout").await;
            }
            let mut export = export(first..first + SPANS);
            first += SPANS;
            let spans = &mut export["resourceSpans"][0]["scopeSpans"][0]["spans"];
            for span in spans.as_array_mut().unwrap() {
                span.as_object_mut().unwrap().remove("traceState");
            }
            let (offered, sampled) = counted(&app).await;
            let body = export.to_string().into_bytes();
            assert_eq!(send(&app, "application/json", body).await, "{}");
            let (offered_now, sampled_now) = counted(&app).await;
            assert_eq!(sampled_now - sampled, SPANS as f64);
            let (_, operations) = app.admin_get("/v1/services/checkout/operations").await;
            let served = operations["operations"][0]["probability"].as_f64()?;
            let stands_for = (offered_now - offered) / SPANS as f64;
            (served < 0.5 && is_enough(stands_for)).then_some(())
        })
        .await;
    };
    stands_for(
        "a span stands for itself",
        |requests| requests == 1.0,
        false,
    )
    .await;
    stands_for("a span stands for others", |requests| requests > 2.0, true).await;
    app.stop().await;
}

/// The service is counted, and its source is named where people look.
#[tokio::test]
async fn a_service_that_sends_spans_alone_gets_a_plan() {
    let (app, _directory) = start(&[]).await;
    let mut from = 0;
    eventually(DEADLINE, "the service is in a plan", async || {
        let body = export(from..from + 5).to_string().into_bytes();
        from += 5;
        assert_eq!(send(&app, "application/json", body).await, "{}");
        let (_, services) = app.admin_get("/v1/services").await;
        let source = &services["services"][0]["sources"][0];
        (source["basis"] == "spans" && source["left_out"] == false).then_some(())
    })
    .await;
    let (_, operations) = app.admin_get("/v1/services/checkout/operations").await;
    let operation = &operations["operations"][0];
    assert_eq!(operation["operation"], "GET");
    assert!(operation["window_sampled"].is_u64(), "{operation}");
    app.stop().await;
}
