//! The configuration as a whole: previews, and older revisions.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use weir::configuration::Configuration;

use super::{Answer, Given, too_large};
use crate::support::app::TestApp;

pub const WHOLE: &str = "/v1/configuration";
pub const PREVIEW: &str = "/v1/configuration/preview";
pub const ROLLBACK: &str = "/v1/configuration/rollback";
pub const REVISIONS: &str = "/v1/configuration/revisions";
pub const REVISION: &str = "/v1/configuration/revisions/{revision}";

/// A document that uses every field.
pub fn document() -> Value {
    let bounds = json!({
        "weight": 2, "floor_traces_per_second": 1, "cap_traces_per_second": 5,
        "probability_min": 0.001, "probability_max": 0.9, "priority": 9,
    });
    json!({
        "budget": { "traces_per_second": 50 },
        "cost": { "spans_per_trace": 10, "bytes_per_span": 500 },
        "mode": "observe",
        "freeze": { "owner": "ann", "reason": "a test", "expires": "never" },
        "emergency": { "factor": 0.5, "owner": "ann", "reason": "a test" },
        "coverage": { "probability": 0.5, "within_seconds": 60 },
        "initial_probability": 0.01, "unseen_reserve_max": 0.1, "weight_exponent": 0.5,
        "probability_min": 0.0001,
        "groups": { "batch": { "floor_traces_per_second": 1, "cap_traces_per_second": 5 } },
        "services": {
            "stock": { "group": "batch", "each": bounds },
            "checkout": {
                "floor_traces_per_second": 1, "cap_traces_per_second": 40,
                "cost": { "spans_per_trace": 20 },
                "operations": { "GET /": bounds, "POST /cart": { "probability": 0.1 } },
            },
        },
    })
}

pub async fn preview(given: &mut Given, app: &TestApp) {
    let request = |query: &str| app.client.post(format!("{}{PREVIEW}{query}", app.admin));
    let mut ask = async |request: RequestBuilder, expected| {
        let answer = Answer::of(request).await;
        given.note("POST", PREVIEW, expected, &answer);
        answer
    };
    let shown = ask(request("").json(&document()), 200).await.json();
    assert_eq!(shown["budget_traces_per_second"]["after"], 50.0);
    let one = json!({ "budget": { "traces_per_second": 1 } });
    let listed = ask(request("?limit=1").json(&one), 200).await.json();
    assert_eq!(listed["operations"].as_array().unwrap().len(), 1);
    let current = app.plan().await.unwrap()["plan"].to_string();
    ask(request(&format!("?plan={current}")).json(&one), 200).await;
    ask(request("?plan=999999999").json(&one), 404).await;
    for wrong in ["?limit=0", "?limit=1001", "?limit=a", "?plan=a", "?x=1"] {
        ask(request(wrong).json(&json!({})), 400).await;
    }
    let json = |body: String| {
        let typed = request("").header("Content-Type", "application/json");
        typed.body(body)
    };
    ask(json("{".into()), 400).await;
    let large = too_large(request(""), Configuration::BYTES_MAX);
    ask(large, 413).await;
    ask(request("").body("{}"), 415).await;
    ask(request("").json(&json!({ "budget": 1 })), 422).await;
}

/// Who wrote what, and what a file may not overwrite.
pub async fn origins(given: &mut Given, app: &TestApp) {
    let shown = given.get(app, WHOLE, "?origins=true", 200).await.json();
    let written = shown["origins"].as_object().unwrap();
    assert!(
        written.values().any(|mark| mark["origin"] == "api"),
        "{written:?}"
    );
    given.get(app, WHOLE, "?origins=perhaps", 400).await;
    let sent = |query: &str, document: &Value| {
        let request = app.client.put(format!("{}{WHOLE}{query}", app.admin));
        request.header("If-Match", "*").json(document)
    };
    let mut ask = async |request: RequestBuilder, expected| {
        let answer = Answer::of(request).await;
        given.note("PUT", WHOLE, expected, &answer);
        answer.json()
    };
    // Somebody wrote the whole document through the API.
    let mut other = shown.clone();
    other["budget"] = json!({ "traces_per_second": 8 });
    let theirs = ask(sent("", &other), 200).await;
    assert_eq!(theirs["budget"]["traces_per_second"], 8.0);
    let part = json!({
        "owns": { "name": "core", "settings": ["budget"], "services": ["core-*"] },
        "budget": { "traces_per_second": 9 },
    });
    let refused = ask(sent("", &part), 409).await;
    assert!(
        refused["detail"]
            .as_str()
            .unwrap()
            .contains("budget (local, api, "),
        "{refused}"
    );
    ask(sent("?take_over=perhaps", &part), 400).await;
    ask(sent("?take_over=true", &part), 200).await;
    let overlapping = json!({ "owns": { "name": "other", "services": ["core-a"] } });
    ask(sent("", &overlapping), 409).await;
    for wrong in [
        json!({ "owns": { "name": "core" }, "budget": { "traces_per_second": 9 } }),
        json!({ "owns": { "name": "core", "services": [["a"]] } }),
        json!({ "owns": { "name": "no name" } }),
        json!({ "owns": [] }),
        json!({ "groups": [] }),
    ] {
        ask(sent("", &wrong), 422).await;
    }
    let shown = given.get(app, WHOLE, "?origins=true", 200).await.json();
    assert_eq!(shown["origins"]["budget"]["part"], "core");
    assert_eq!(shown["origins"]["parts"][0]["name"], "core");
    // Somebody else hears of the file, and puts back what was there.
    let request = app.client.post(format!("{}{PREVIEW}", app.admin));
    let answer = Answer::of(request.json(&other)).await;
    given.note("POST", PREVIEW, 200, &answer);
    assert_eq!(answer.json()["overwrites"][0]["part"], "core");
    let request = app.client.post(format!("{}{PREVIEW}", app.admin));
    let answer = Answer::of(request.json(&overlapping)).await;
    given.note("POST", PREVIEW, 200, &answer);
    assert_eq!(answer.json()["overlaps"][0]["lists"], "core-*");
    let put_back = app.client.put(format!("{}{WHOLE}", app.admin));
    let answer = Answer::of(put_back.header("If-Match", "*").json(&shown)).await;
    given.note("PUT", WHOLE, 200, &answer);
}

/// A preview of a part while something is wrong.
pub async fn a_part_fails(given: &mut Given, app: &TestApp, expected: u16) {
    let request = app.client.post(format!("{}{PREVIEW}", app.admin));
    let part = json!({ "owns": { "name": "core", "settings": ["budget"] } });
    let answer = Answer::of(request.json(&part)).await;
    given.note("POST", PREVIEW, expected, &answer);
}

/// A preview while something is wrong.
pub async fn preview_fails(given: &mut Given, app: &TestApp, expected: u16) {
    let request = app.client.post(format!("{}{PREVIEW}", app.admin));
    let answer = Answer::of(request.json(&json!({}))).await;
    given.note("POST", PREVIEW, expected, &answer);
}

/// Asks to roll back to the first revision, under any revision.
fn rolled_back(app: &TestApp) -> RequestBuilder {
    let request = app.client.post(format!("{}{ROLLBACK}", app.admin));
    request.header("If-Match", "*")
}

pub async fn rollback(given: &mut Given, app: &TestApp) {
    let mut ask = async |request: RequestBuilder, expected| {
        let answer = Answer::of(request).await;
        given.note("POST", ROLLBACK, expected, &answer);
    };
    let fine = json!({ "revision": 1 });
    let unconditional = app.client.post(format!("{}{ROLLBACK}", app.admin));
    ask(rolled_back(app).json(&fine), 200).await;
    ask(unconditional.json(&fine), 428).await;
    let other = app.client.post(format!("{}{ROLLBACK}", app.admin));
    ask(other.header("If-Match", "\"1\"").json(&fine), 412).await;
    ask(
        rolled_back(app).json(&json!({ "revision": 1_000_000 })),
        404,
    )
    .await;
    ask(rolled_back(app).json(&json!({ "revision": u64::MAX })), 404).await;
    ask(rolled_back(app).json(&json!({ "revision": -1 })), 422).await;
    let typed = rolled_back(app).header("Content-Type", "application/json");
    ask(typed.body("{"), 400).await;
    ask(too_large(rolled_back(app), 16 << 10), 413).await;
    ask(rolled_back(app).body("{}"), 415).await;
}

/// A rollback while something is wrong.
pub async fn rollback_fails(given: &mut Given, app: &TestApp, to: u64, expected: u16) {
    let answer = Answer::of(rolled_back(app).json(&json!({ "revision": to }))).await;
    given.note("POST", ROLLBACK, expected, &answer);
}

pub async fn revisions(given: &mut Given, app: &TestApp) {
    let whole = given.get(app, REVISIONS, "", 200).await.json();
    let newest = whole["revisions"][0]["revision"].as_u64().unwrap();
    assert_eq!(whole["revisions"].as_array().unwrap().len() as u64, newest);
    let page = given.get(app, REVISIONS, "?limit=1", 200).await.json();
    assert_eq!(page["next"], newest);
    let before = format!("?before={newest}");
    let rest = given.get(app, REVISIONS, &before, 200).await.json();
    assert_eq!(rest["revisions"][0]["revision"], newest - 1);
    for wrong in [
        "?limit=0",
        "?before=a",
        "?before=-1",
        "?before=9223372036854775808",
        "?x=1",
    ] {
        given.get(app, REVISIONS, wrong, 400).await;
    }
    let first = given.get(app, REVISION, "/1", 200).await;
    assert!(first.header("etag").unwrap().starts_with("\"1-"));
    given.get(app, REVISION, "/1?made-up=1", 400).await;
    for missing in ["/0", "/1000000", "/first"] {
        given.get(app, REVISION, missing, 404).await;
    }
}
