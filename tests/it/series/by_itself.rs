//! What begins and runs out by itself is in history, whatever was deleted since.

use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde_json::{Value, json};
use weir::clock::{Clock, SystemClock};

use super::DEADLINE;
use crate::support::app::TestApp;
use crate::support::process::eventually;

async fn change(app: &TestApp, method: &str, path: &str, body: Value) {
    let method = method.parse().unwrap();
    let url = format!("{}{path}", app.admin);
    let request = app.client.request(method, url).header("If-Match", "*");
    let answer = request.json(&body).send().await.unwrap();
    let status = answer.status();
    let text = answer.text().await.unwrap();
    assert!(status.is_success(), "{path}: {status} {text}");
}

fn said(at: DateTime<Utc>) -> String {
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

/// The markers of what came by itself in a range, by what and subject.
async fn markers(app: &TestApp, start: DateTime<Utc>, end: DateTime<Utc>) -> Vec<String> {
    let path = format!("/v1/history?start={}&end={}", said(start), said(end));
    let (status, answer) = app.admin_get(&path).await;
    assert_eq!(status, 200, "{answer}");
    assert_eq!(answer["older_changes"], false);
    let changes = answer["changes"].as_array().unwrap().iter();
    let by_itself = changes.filter(|change| change["entry"].is_null());
    let named = by_itself.map(|change| {
        let subject = change["subject"].as_str().unwrap_or_default();
        format!("{} {subject}", change["what"].as_str().unwrap())
    });
    let mut named: Vec<String> = named.collect();
    named.sort();
    named.dedup();
    named
}

fn rule(more: Value) -> Value {
    let mut rule = json!({ "service": "later", "set": { "weight": 2.0 }, "expect": "later",
        "owner": "ann", "reason": "a test", "expires": "never" });
    let more = more.as_object().expect("an object").clone();
    rule.as_object_mut().unwrap().extend(more);
    rule
}

/// Sets what comes by itself at a time. Returns the document.
async fn set(app: &TestApp, soon: DateTime<Utc>) -> Value {
    let asked = json!({ "owner": "ann", "reason": "a test", "expires": soon });
    change(app, "PUT", "/v1/freeze", asked.clone()).await;
    let mut cut = asked;
    cut["factor"] = json!(0.5);
    change(app, "PUT", "/v1/emergency", cut).await;
    let mut rules = serde_json::Map::new();
    rules.insert("ends".into(), rule(json!({ "expires": soon })));
    rules.insert("starts".into(), rule(json!({ "start": soon })));
    let off = json!({ "expires": soon, "enabled": false });
    rules.insert("off".into(), rule(off));
    // The record of a change lists 100 fields at most, and this one has more.
    rules.extend((0..30).map(|number| (format!("a-{number}"), rule(json!({})))));
    let (_, mut document) = app.admin_get("/v1/configuration").await;
    document["rules"] = Value::Object(rules);
    change(app, "PUT", "/v1/configuration", document.clone()).await;
    document
}

#[tokio::test]
async fn what_ran_out_has_a_marker_though_it_was_deleted_since() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    // All is set before the range, comes in it, and is deleted after it. A slow machine needs longer to set it.
    let mut lead = TimeDelta::seconds(4);
    let (soon, document) = loop {
        let soon = SystemClock.now().trunc_subsecs(3) + lead;
        let document = set(&app, soon).await;
        if SystemClock.now() < soon - TimeDelta::seconds(2) {
            break (soon, document);
        }
        lead = lead * 2;
    };
    let (start, end) = (soon - TimeDelta::seconds(1), soon + TimeDelta::seconds(1));
    eventually(DEADLINE, "it has come", async || {
        (SystemClock.now() > end).then_some(())
    })
    .await;
    let came = [
        "emergency.ran_out ",
        "freeze.ran_out ",
        "rule.began starts",
        "rule.ran_out ends",
    ];
    assert_eq!(markers(&app, start, end).await, came);
    let cleared = json!({ "budget": document["budget"] });
    change(&app, "PUT", "/v1/configuration", cleared).await;
    assert_eq!(markers(&app, start, end).await, came, "of a time before");
    let whole = soon - TimeDelta::minutes(5);
    let now = SystemClock.now();
    assert_eq!(markers(&app, whole, now).await, came, "with the changes");
    // What is written again with times that have passed did not come then.
    change(&app, "PUT", "/v1/configuration", document).await;
    assert_eq!(markers(&app, start, end).await, came, "written again");
    app.stop().await;
}
