//! The largest, smallest and oddest values for every parameter, and for every number in the
//! operators' documents. No answer may be a 5xx, and the fleet must still be served.

use serde_json::{Value, json};
use uuid::Uuid;
use weir::api::admin::ROUTES;

use crate::support::app::{TestApp, config, report};
use crate::support::postgres::TestDatabase;

const EXTREMES: [&str; 24] = [
    "",
    "0",
    "-1",
    "1",
    "1.5",
    "NaN",
    "inf",
    "1e308",
    "2147483648",
    "4294967296",
    "9223372036854775807",
    "9223372036854775808",
    "-9223372036854775808",
    "18446744073709551615",
    "18446744073709551616",
    "1970-01-01T00:00:00Z",
    "0000-01-01T00:00:00Z",
    "9999-12-31T23:59:60Z",
    "+262142-12-31T23:59:59Z",
    "-262143-01-01T00:00:00Z",
    "-262143-01-01T00:30:00+00:00",
    "+294277-01-01T00:00:00Z",
    "a\0b",
    "\u{10ffff}",
];

/// The value for a parameter that is not under test.
fn usual(parameter: &str) -> &'static str {
    match parameter {
        "operation" => "POST /cart",
        "limit" | "before" => "10",
        "start" => "2026-11-20T09:00:00Z",
        "end" => "2026-11-20T09:30:00Z",
        _ => "",
    }
}

/// Every combination of one or two extreme parameters of a path.
fn queries(parameters: &[&'static str]) -> Vec<Vec<(&'static str, &'static str)>> {
    let mut queries = vec![Vec::new()];
    for &name in parameters {
        for &value in &EXTREMES {
            queries.push(vec![(name, value)]);
            for &other in parameters.iter().filter(|other| **other != name) {
                queries.push(vec![(name, value), (other, usual(other))]);
            }
        }
    }
    for pair in parameters.windows(2) {
        for &first in &EXTREMES {
            let with = |&second: &&'static str| vec![(pair[0], first), (pair[1], second)];
            queries.extend(EXTREMES.iter().map(with));
        }
    }
    if parameters.contains(&"operation") {
        for query in &mut queries {
            if !query.iter().any(|(name, _)| *name == "operation") {
                query.push(("operation", usual("operation")));
            }
        }
    }
    queries
}

/// The path with something in place of its parameter.
fn paths(path: &str) -> Vec<String> {
    if !path.contains("{revision}") {
        return vec![path.replace("{service}", "checkout")];
    }
    let whole = EXTREMES.iter().filter(|value| value.parse::<f64>().is_ok());
    whole
        .map(|value| path.replace("{revision}", value))
        .collect()
}

async fn every_query_is_answered(app: &TestApp) {
    let known = report("a", Uuid::nil(), 1, 100);
    assert_eq!(app.report(&known).await.0, 200);
    for route in ROUTES.iter().filter(|route| route.method == "GET") {
        for path in paths(route.path) {
            for query in queries(route.query) {
                let url = format!("{}{path}", app.admin);
                let url = reqwest::Url::parse_with_params(&url, &query).unwrap();
                let answered = app.client.get(url.clone()).send().await;
                let status = answered
                    .unwrap_or_else(|error| panic!("{url}: {error}"))
                    .status();
                assert!(!status.is_server_error(), "{url}: {status}");
            }
        }
    }
}

#[tokio::test]
async fn every_query_is_answered_with_sqlite() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    every_query_is_answered(&app).await;
    app.stop().await;
}

#[tokio::test]
async fn every_query_is_answered_with_postgres() {
    let database = TestDatabase::create().await;
    let flags = ["--interval", "1s", "--database-url", database.url()];
    let app = TestApp::start_with(config(&flags)).await;
    every_query_is_answered(&app).await;
    app.stop().await;
}

/// Every place in a document that contains a number.
fn numbers(document: &Value, at: &str, found: &mut Vec<String>) {
    match document {
        Value::Number(_) => found.push(at.to_owned()),
        Value::Object(entries) => {
            for (name, value) in entries {
                let name = name.replace('~', "~0").replace('/', "~1");
                numbers(value, &format!("{at}/{name}"), found);
            }
        }
        _ => {}
    }
}

fn documents() -> Vec<Value> {
    let bounds = json!({
        "weight": 2, "floor_traces_per_second": 1, "cap_traces_per_second": 5,
        "probability_min": 0.001, "probability_max": 0.9, "priority": 9,
    });
    let whole = json!({
        "budget": { "traces_per_second": 50 },
        "coverage": { "probability": 0.5, "within_seconds": 60 },
        "initial_probability": 0.01, "unseen_reserve_max": 0.1, "weight_exponent": 0.5,
        "probability_min": 0.0001,
        "lower_bound": { "reserve_traces_per_second": 1 },
        "groups": { "batch": { "floor_traces_per_second": 1, "cap_traces_per_second": 5 } },
        "services": { "checkout": {
            "group": "batch", "each": bounds, "floor_traces_per_second": 1,
            "cap_traces_per_second": 40, "operations": { "POST /cart": { "probability": 0.1 } },
        } },
    });
    let mut places = Vec::new();
    numbers(&whole, "", &mut places);
    let extremes = [
        json!(0),
        json!(-1),
        json!(f64::MAX),
        json!(f64::MIN_POSITIVE),
        json!(5e-324),
        json!(i64::MIN),
        json!(u64::MAX),
        json!(1e9),
    ];
    let mut documents = Vec::new();
    for place in &places {
        for extreme in &extremes {
            let mut document = whole.clone();
            *document.pointer_mut(place).unwrap() = extreme.clone();
            documents.push(document);
        }
    }
    documents
}

#[tokio::test]
async fn every_number_of_a_document_is_previewed_or_refused() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    assert_eq!(app.report(&report("a", Uuid::nil(), 1, 100)).await.0, 200);
    for document in documents() {
        let request = app
            .client
            .post(format!("{}/v1/configuration/preview", app.admin));
        let answered = request.json(&document).send().await;
        let answered = answered.unwrap_or_else(|error| panic!("{document}: {error}"));
        let status = answered.status();
        assert!(
            [200, 422].contains(&status.as_u16()),
            "{document}: {status}"
        );
    }
    let strategy = app.poll("checkout").await;
    let probability = strategy["probabilisticSampling"]["samplingRate"].as_f64();
    assert!((0.0..=1.0).contains(&probability.unwrap()));
    app.stop().await;
}
