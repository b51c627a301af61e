//! The configuration as a whole: previews, and older revisions.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use weir::configuration::Configuration;

use super::{Answer, Given, too_large};
use crate::support::app::TestApp;

pub const PREVIEW: &str = "/v1/configuration/preview";
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
        "coverage": { "probability": 0.5, "within_seconds": 60 },
        "initial_probability": 0.01, "unseen_reserve_max": 0.1, "weight_exponent": 0.5,
        "probability_min": 0.0001,
        "groups": { "batch": { "floor_traces_per_second": 1, "cap_traces_per_second": 5 } },
        "services": {
            "stock": { "group": "batch", "each": bounds },
            "checkout": {
                "floor_traces_per_second": 1, "cap_traces_per_second": 40,
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
    for wrong in ["?limit=0", "?limit=1001", "?limit=a", "?x=1"] {
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
