//! Services, operations, agents and history: whole, page by page, and asked for wrongly.

use super::{
    Answer, DEADLINE, FLEET_HISTORY, FORGET, GROUP_HISTORY, Given, HISTORY, OPERATIONS, SERVICE,
    TRIAL,
};
use crate::support::app::TestApp;
use crate::support::process::eventually;

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
        ("?operation=GET+/&start=now", "start"),
        ("?operation=GET+/&end=now", "end"),
        ("?operation=GET+/&after=now", "after"),
        ("?operation=GET+/&limit=0", "limit"),
        ("?operation=GET+/&class=failed", "class"),
        ("?operation=GET+/&by=class", "by"),
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

/// Budgets that are tried on the history, and such that are none.
async fn trials(given: &mut Given, app: &TestApp) {
    let early = "?traces_per_second=5&start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00Z";
    let early = given.get(app, TRIAL, early, 200).await.json();
    assert_eq!(early["budgets"], serde_json::json!([]), "{early}");
    let all = "?traces_per_second=0.5,5,1e9&start=2020-01-01T00:00:00Z";
    let all = given.get(app, TRIAL, all, 200).await.json();
    assert_eq!(all["played"], "steps", "{all}");
    for end in ["-262143-01-01T00:00:00Z", "%2B262142-12-31T23:59:59Z"] {
        let query = format!("?traces_per_second=5&end={end}");
        given.get(app, TRIAL, &query, 200).await;
    }
    let newest = "?traces_per_second=5&start=2020-01-01T00:00:00Z&step=window";
    let newest = given.get(app, TRIAL, newest, 200).await.json();
    assert_eq!(newest["played"], "windows", "{newest}");
    for (query, field) in [
        ("", "traces_per_second"),
        ("?traces_per_second=", "traces_per_second"),
        ("?traces_per_second=0", "traces_per_second"),
        ("?traces_per_second=1,NaN", "traces_per_second"),
        ("?traces_per_second=1,2,3,4,5", "traces_per_second"),
        ("?traces_per_second=1e10", "traces_per_second"),
        ("?traces_per_second=1&start=now", "start"),
        ("?traces_per_second=1&end=now", "end"),
        ("?traces_per_second=1&step=soon", "step"),
        ("?traces_per_second=1&step=0s", "step"),
        (
            "?traces_per_second=1&start=2020-01-01T00:00:00Z&step=1h",
            "step",
        ),
        (
            "?traces_per_second=1&start=2020-01-02T00:00:00Z&end=2020-01-01T00:00:00Z",
            "start",
        ),
    ] {
        let wrong = given.get(app, TRIAL, query, 400).await.json();
        assert_eq!(wrong["field"], field, "{wrong}");
    }
}

/// The history of the fleet, a group and a service, and small charts of it.
pub async fn steps(given: &mut Given, app: &TestApp) {
    trials(given, app).await;
    eventually(DEADLINE, "something is summed", async || {
        let (_, fleet) = app.admin_get(FLEET_HISTORY).await;
        let points = fleet["points"].as_array()?;
        points.iter().any(|of| of["offered"].is_u64()).then_some(())
    })
    .await;
    given.get(app, GROUP_HISTORY, "", 404).await;
    let url = format!("{}/v1/configuration", app.admin);
    let group = serde_json::json!({ "groups": { "tier-1": {} } });
    let put = app.client.put(url).header("If-Match", "*").json(&group);
    assert_eq!(put.send().await.unwrap().status(), 200);
    for path in [FLEET_HISTORY, GROUP_HISTORY, HISTORY] {
        let whole = given.get(app, path, "", 200).await.json();
        assert!(!whole["points"].as_array().unwrap().is_empty(), "{whole}");
        let early = "?start=2020-01-01T00:00:00Z&end=2020-01-02T00:00:00Z&step=1h&points=24";
        let early = given.get(app, path, early, 200).await.json();
        assert_eq!(early["points"].as_array().unwrap().len(), 24, "{early}");
        assert_eq!(early["points"][0]["seconds"], 0.0, "{early}");
        given.get(app, path, "?by=class", 200).await;
        for (query, field) in [
            ("?start=now", "start"),
            ("?end=now", "end"),
            ("?step=1", "step"),
            ("?points=1001", "points"),
            ("?by=operation", "by"),
        ] {
            let refused = given.get(app, path, query, 400).await.json();
            assert_eq!(refused["field"], field);
        }
    }
    let list = "/v1/services";
    let page = given.get(app, list, "?sparkline=24h", 200).await.json();
    assert!(page["services"][0]["sparkline"].is_object(), "{page}");
    for wrong in ["?sparkline=0s", "?sparkline=1d&limit=501"] {
        given.get(app, list, wrong, 400).await;
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
