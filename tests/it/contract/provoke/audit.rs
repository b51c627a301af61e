//! Changes that were recorded, plans, replicas, and operations across services.

use serde_json::Value;

use super::{Answer, DEADLINE, Given};
use crate::support::app::TestApp;
use crate::support::process::eventually;

const AUDIT: &str = "/v1/audit";
const ENTRY: &str = "/v1/audit/{id}";
const PLANS: &str = "/v1/plans";
const COMPARE: &str = "/v1/plans/compare";
const REPLICAS: &str = "/v1/replicas";
const EDGES: &str = "/v1/edges";
const EXPLANATION: &str = "/v1/services/{service}/explanation";
const ALL: &str = "/v1/operations";

/// Everything, with changes recorded before.
pub async fn shown(given: &mut Given, app: &TestApp) {
    let page = given.get(app, AUDIT, "?limit=1", 200).await.json();
    let newest = &page["entries"][0];
    let rest = format!("?before={}&format=json", page["next"]);
    given.get(app, AUDIT, &rest, 200).await;
    let filters = "?start=2020-01-01T00:00:00Z&end=2126-01-01T00:00:00Z&by=local\
                   &action=configuration.changed&subject=nothing";
    let none = given.get(app, AUDIT, filters, 200).await.json();
    assert_eq!(none["entries"], Value::Array(Vec::new()));
    let lines = given.get(app, AUDIT, "?format=ndjson", 200).await;
    assert!(!lines.body.is_empty());
    for (query, field) in [
        ("?limit=501", "limit"),
        ("?before=a", "before"),
        ("?start=now", "start"),
        ("?end=now", "end"),
        ("?by=", "by"),
        ("?action=slept", "action"),
        ("?subject=a%00", "subject"),
        ("?format=csv", "format"),
    ] {
        let refused = given.get(app, AUDIT, query, 400).await.json();
        assert_eq!(refused["field"], field);
    }
    let one = format!("/{}", newest["id"]);
    assert_eq!(
        given.get(app, ENTRY, &one, 200).await.json()["id"],
        newest["id"]
    );
    given.get(app, ENTRY, "/1?x=1", 400).await;
    for unknown in ["/0", "/9223372036854775807", "/-1", "/a"] {
        given.get(app, ENTRY, unknown, 404).await;
    }
    let there = async || {
        let (_, replicas) = app.admin_get(REPLICAS).await;
        (replicas["replicas"][0]["leads"] == true).then_some(())
    };
    eventually(DEADLINE, "the replica is listed", there).await;
    given.get(app, REPLICAS, "", 200).await;
    given.get(app, REPLICAS, "?x=1", 400).await;
    edges(given, app).await;
    explanation(given, app).await;
    plans(given, app).await;
    operations(given, app).await;
}

async fn edges(given: &mut Given, app: &TestApp) {
    let asked = format!("{EDGES}/plan");
    let sent = given.get(app, &asked, "?edge=edge-1", 200).await;
    let tag = sent.header("etag").unwrap().to_owned();
    assert!(tag.starts_with('"'), "{tag}");
    let url = format!("{}{asked}?edge=edge-1&wait=0", app.sdk);
    // The plan may have changed since, so the edge says that it has any.
    let request = app.client.get(url).header("If-None-Match", "*");
    given.note("GET", &asked, 304, &Answer::of(request).await);
    for wrong in ["", "?edge=", "?edge=a&wait=31", "?edge=a&x=1"] {
        given.get(app, &asked, wrong, 400).await;
    }
    let listed = async || {
        let (_, edges) = app.admin_get(EDGES).await;
        (edges["edges"][0]["edge"] == "edge-1").then_some(())
    };
    eventually(DEADLINE, "the edge is listed", listed).await;
    given.get(app, EDGES, "", 200).await;
    given.get(app, EDGES, "?x=1", 400).await;
}

async fn explanation(given: &mut Given, app: &TestApp) {
    let one = given
        .get(app, EXPLANATION, "?operation=GET+/", 200)
        .await
        .json();
    assert_eq!(one["operation"], "GET /", "{one}");
    assert!(one["demand"]["history"].is_array(), "{one}");
    given.get(app, EXPLANATION, "?operation=unknown", 404).await;
    for wrong in [
        "",
        "?operation=a&operation=b",
        "?operation=a&x=1",
        "?operation=a&class=b",
    ] {
        given.get(app, EXPLANATION, wrong, 400).await;
    }
}

async fn plans(given: &mut Given, app: &TestApp) {
    let page = given.get(app, PLANS, "?limit=1", 200).await.json();
    let rest = format!("?before={}", page["next"]);
    given.get(app, PLANS, &rest, 200).await;
    for wrong in ["?limit=0", "?limit=1001", "?before=a", "?x=1"] {
        given.get(app, PLANS, wrong, 400).await;
    }
    given.get(app, COMPARE, "", 200).await;
    let both = format!("?from={}&to={}&limit=1", page["next"], page["next"]);
    let same = given.get(app, COMPARE, &both, 200).await.json();
    assert_eq!(same["operations_changed"], 0);
    for wrong in ["?from=a", "?to=a", "?limit=0", "?x=1"] {
        given.get(app, COMPARE, wrong, 400).await;
    }
    for unknown in ["?from=0", "?to=999999999"] {
        given.get(app, COMPARE, unknown, 404).await;
    }
}

async fn operations(given: &mut Given, app: &TestApp) {
    let first = given
        .get(app, ALL, "?sort=offered&limit=1", 200)
        .await
        .json();
    let busiest = &first["operations"][0];
    let next = first["next"].as_str().unwrap();
    let mut next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
    next.insert_str(0, "?sort=offered&after=");
    let rest = given.get(app, ALL, &next, 200).await.json();
    let listed = rest["operations"].as_array().unwrap();
    assert!(listed.len() > 1, "{rest}");
    assert!(
        listed
            .iter()
            .all(|of| of["operation"] != busiest["operation"]),
        "{rest}"
    );
    let found = given.get(app, ALL, "?search=STOCK", 200).await.json();
    assert_eq!(found["found"], 1, "{found}");
    let long = format!("?search={}", "a".repeat(257));
    for wrong in [
        "?sort=size",
        "?sort=kept&after=stock",
        "?limit=0",
        &*long,
        "?x=1",
    ] {
        given.get(app, ALL, wrong, 400).await;
        given.get(app, "/v1/services", wrong, 400).await;
    }
    given
        .get(app, "/v1/services", "?sort=kept&search=chec", 200)
        .await;
}

/// The database is away or broken.
pub async fn failing(given: &mut Given, app: &TestApp, expected: u16) {
    for path in [AUDIT, PLANS, COMPARE, REPLICAS, EDGES] {
        given.get(app, path, "", expected).await;
    }
    given.get(app, ENTRY, "/1", expected).await;
}
