//! Services, operations, agents and history: whole, page by page, and asked for wrongly.

use super::{Answer, FORGET, Given, HISTORY, OPERATIONS, SERVICE};
use crate::support::app::TestApp;

pub async fn pages(given: &mut Given, app: &TestApp) {
    for (path, list, first) in [
        ("/v1/services", "services", "checkout"),
        (OPERATIONS, "operations", "GET /"),
    ] {
        let whole = given.get(app, path, "", 200).await.json();
        assert_eq!(whole[list].as_array().unwrap().len(), 2, "{whole}");
        let page = given.get(app, path, "?limit=1", 200).await.json();
        assert_eq!(page["next"], first, "limit and next: {page}");
        let after = format!("?after={}", first.replace(' ', "+"));
        let rest = given.get(app, path, &after, 200).await.json();
        assert_eq!(rest[list].as_array().unwrap().len(), 1, "after: {rest}");
        for wrong in [
            "?limit=0",
            "?limit=10001",
            "?limit=a",
            "?limit=1&limit=1",
            "?x=1",
        ] {
            given.get(app, path, wrong, 400).await;
        }
    }
}

pub async fn service(given: &mut Given, app: &TestApp) {
    let one = given.get(app, SERVICE, "", 200).await.json();
    assert_eq!(one["service"], "checkout");
    assert_eq!(one["operations"], 2, "{one}");
    assert_eq!(one["sources"][0]["basis"], "reports", "{one}");
    given.get(app, SERVICE, "?x=1", 400).await;
}

pub async fn pollers(given: &mut Given, app: &TestApp) {
    let path = "/v1/pollers";
    for query in ["", "?limit=1", "?after=zzz", "?part=only_polls"] {
        given.get(app, path, query, 200).await;
    }
    for wrong in ["?limit=0", "?part=some", "?x=1"] {
        given.get(app, path, wrong, 400).await;
    }
}

pub async fn agents(given: &mut Given, app: &TestApp) {
    let path = "/v1/agents";
    let whole = given.get(app, path, "", 200).await.json();
    let agents = whole["agents"].as_array().unwrap();
    assert!(!agents.is_empty(), "{whole}");
    for query in [
        "?limit=1",
        "?after=zzz",
        "?state=ended",
        "?service=checkout",
    ] {
        given.get(app, path, query, 200).await;
    }
    for wrong in ["?limit=0", "?state=asleep", "?state=new&state=new", "?x=1"] {
        given.get(app, path, wrong, 400).await;
    }
    given.get(app, path, "?service=nobody", 404).await;
}

pub async fn history(given: &mut Given, app: &TestApp) {
    let points = |answer: Answer| answer.json()["points"].as_array().unwrap().len();
    let whole = given.get(app, HISTORY, "?operation=GET+/", 200).await;
    assert!(points(whole) > 0);
    let early = "?operation=GET+/&start=2020-01-01T00:00:00Z&end=2020-01-01T01:00:00Z";
    let early = given.get(app, HISTORY, early, 200).await;
    assert_eq!(points(early), 0, "start and end are looked at");
    for (query, field) in [
        ("", "operation"),
        ("?operation=GET+/&start=now", "start"),
        ("?operation=GET+/&end=now", "end"),
        ("?operation=GET+/&after=now", "after"),
        ("?operation=GET+/&limit=0", "limit"),
        ("?operation=GET+/&limit=2001", "limit"),
        (
            "?operation=GET+/&start=2020-01-01T00:00:01Z&end=2020-01-01T00:00:00Z",
            "start",
        ),
    ] {
        let refused = given.get(app, HISTORY, query, 400).await;
        assert_eq!(refused.json()["field"], field);
    }
    given.get(app, HISTORY, "?operation=unknown", 404).await;
    // Dates at the ends of the range are valid dates.
    for end in ["-262143-01-01T00:00:00Z", "%2B262142-12-31T23:59:59Z"] {
        let query = format!("?operation=GET+/&end={end}");
        given.get(app, HISTORY, &query, 200).await;
    }
}

pub async fn forget(given: &mut Given, app: &TestApp) {
    let none = given.forget(app, FORGET, 200).await.json();
    assert_eq!(none["removed"], 0, "everything was reported just now");
    for wrong in [
        "",
        "?silent_for_seconds=",
        "?silent_for_seconds=11",
        "?silent_for_seconds=86401",
        "?silent_for_seconds=1m",
        "?silent_for_seconds=12&silent_for_seconds=12",
    ] {
        given.forget(app, wrong, 400).await;
    }
}
