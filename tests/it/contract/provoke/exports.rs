//! Exports of OTLP.

use serde_json::json;

use super::{Answer, Given, too_large};
use crate::support::app::TestApp;

pub const METRICS: &str = "/v1/metrics";
pub const PATHS: [&str; 3] = [METRICS, "/v1/traces", "/v1/logs"];

fn post(app: &TestApp, path: &str) -> reqwest::RequestBuilder {
    app.client.post(format!("{}{path}", app.sdk))
}

async fn note(given: &mut Given, path: &str, request: reqwest::RequestBuilder, expected: u16) {
    let answer = Answer::of(request).await;
    given.note("POST", path, expected, &answer);
}

/// Exports in normal operation.
pub async fn in_operation(given: &mut Given, app: &TestApp) {
    for path in PATHS {
        for kind in ["application/json", "application/x-protobuf"] {
            let of = |body: Vec<u8>| post(app, path).header("Content-Type", kind).body(body);
            let empty = if kind.ends_with("json") { "{}" } else { "" };
            note(given, path, of(empty.into()), 200).await;
            note(given, path, of(b"[".to_vec()), 400).await;
            note(given, path, of(vec![b' '; 5 << 20]), 413).await;
            let encoded = of(b"{}".to_vec()).header("Content-Encoding", "br");
            note(given, path, encoded, 415).await;
        }
        note(given, path, too_large(post(app, path), 4 << 20), 413).await;
        note(given, path, post(app, path).body("{}"), 415).await;
    }
    let sum = json!({ "isMonotonic": true, "dataPoints": [{ "attributes": [
        { "key": "otel.span.parent.origin", "value": { "stringValue": "none" } }] }] });
    let metric = json!({ "name": "otel.sdk.span.started", "sum": sum });
    let rejected = json!({ "resourceMetrics": [{ "scopeMetrics": [{ "metrics": [metric] }] }] });
    note(given, METRICS, post(app, METRICS).json(&rejected), 200).await;
}
