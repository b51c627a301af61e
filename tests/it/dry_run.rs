//! `dry_run`: every change can be asked what it would do.

use std::time::Duration;

use serde_json::{Value, json};
use weir::api::admin;
use weir::http::routes::Route;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// What asks or ends a session, and changes nothing that operators write.
const NO_CHANGES: [&str; 2] = ["/logout", "/v1/configuration/preview"];

fn changes() -> Vec<Route> {
    let routes = admin::ROUTES.iter().copied();
    let changes = routes.filter(|route| route.method != "GET");
    changes
        .filter(|route| !NO_CHANGES.contains(&route.path))
        .collect()
}

#[test]
fn every_change_takes_it() {
    for route in changes() {
        assert!(route.query.contains(&"dry_run"), "{route:?}");
    }
    let taking = admin::ROUTES
        .iter()
        .filter(|of| of.query.contains(&"dry_run"));
    assert_eq!(taking.count(), changes().len(), "nothing else takes it");
}

/// What each change is sent.
fn body(route: &Route) -> Value {
    let rule = |probability: f64| {
        json!({ "service": "checkout", "operation": "GET /", "set": { "probability": probability },
            "owner": "ann", "reason": "a test" })
    };
    let asked = |more: Value| {
        let mut asked = json!({ "owner": "ann", "reason": "a test" });
        asked
            .as_object_mut()
            .unwrap()
            .extend(more.as_object().unwrap().clone());
        asked
    };
    match (route.method, route.path) {
        ("PUT", "/v1/budget") => json!({ "traces_per_second": 77 }),
        ("PUT", "/v1/mode") => json!({ "mode": "observe" }),
        ("PUT", "/v1/freeze") => asked(json!({})),
        ("PUT", "/v1/emergency") => asked(json!({ "factor": 0.5 })),
        ("PUT", "/v1/coverage") => json!({ "probability": 0.95 }),
        ("PUT", "/v1/lower-bound") => json!({ "reserve_traces_per_second": 5 }),
        ("PUT", "/v1/configuration") => json!({ "budget": { "traces_per_second": 78 } }),
        ("POST", "/v1/configuration/rollback") => json!({ "revision": 1 }),
        ("POST", "/v1/rules") => {
            let mut rule = rule(0.01);
            rule["id"] = json!("new");
            rule
        }
        ("PUT", "/v1/rules/{id}") => rule(0.02),
        ("POST", "/v1/boosts") => asked(json!({ "service": "checkout", "for_seconds": 60 })),
        ("POST", "/v1/tokens") => json!({ "name": "new", "role": "viewer" }),
        ("DELETE", _) => Value::Null,
        other => panic!("no body for {other:?}"),
    }
}

/// What a change could have changed.
async fn state(app: &TestApp) -> Value {
    let mut state = Vec::new();
    for path in [
        "/v1/configuration",
        "/v1/configuration/revisions",
        "/v1/audit",
        "/v1/tokens",
    ] {
        let (status, body) = app.admin_get(path).await;
        assert_eq!(status, 200, "{body}");
        state.push(body);
    }
    let (_, operations) = app.admin_get("/v1/operations").await;
    state.push(operations["found"].clone());
    Value::Array(state)
}

struct Change<'a> {
    app: &'a TestApp,
    token: &'a str,
}

impl Change<'_> {
    async fn send(&self, route: &Route, dry_run: &str, condition: &str) -> (u16, Value) {
        let id = if route.path.starts_with("/v1/tokens") {
            self.token
        } else {
            "held"
        };
        let path = route.path.replace("{id}", id);
        let path = path.replace("{service}", "checkout");
        let silent = if path.ends_with("/operations") {
            "&silent_for_seconds=12"
        } else {
            ""
        };
        let url = format!("{}{path}?dry_run={dry_run}{silent}", self.app.admin);
        let request = self
            .app
            .client
            .request(route.method.parse().unwrap(), url)
            .header("If-Match", condition);
        let request = match body(route) {
            Value::Null => request,
            body => request.json(&body),
        };
        let answer = request.send().await.unwrap();
        (answer.status().as_u16(), answer.json().await.unwrap())
    }
}

async fn put(app: &TestApp, path: &str, body: Value) {
    let request = app.client.put(format!("{}{path}", app.admin));
    let sent = request.header("If-Match", "*").json(&body).send().await;
    assert_eq!(sent.unwrap().status(), 200, "{path}");
}

#[tokio::test]
async fn a_dry_run_answers_as_the_change_and_changes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    eventually(DEADLINE, "a plan", async || {
        let report = agent.next(&[("checkout", &[("GET /", 900.0)])])?;
        assert_eq!(app.report(&report).await.0, 200);
        let (_, all) = app.admin_get("/v1/operations").await;
        (all["found"] == 1).then_some(())
    })
    .await;
    for (path, body) in [
        ("/v1/budget", json!({ "traces_per_second": 50 })),
        ("/v1/freeze", json!({ "owner": "ann", "reason": "held" })),
        (
            "/v1/emergency",
            json!({ "factor": 0.9, "owner": "ann", "reason": "held" }),
        ),
    ] {
        put(&app, path, body).await;
    }
    let post = async |path: &str, body: Value| {
        let request = app.client.post(format!("{}{path}", app.admin)).json(&body);
        let answer = request.send().await.unwrap();
        let status = answer.status();
        let body: Value = answer.json().await.unwrap();
        assert_eq!(status, 201, "{path}: {body}");
        body
    };
    let mut rule =
        json!({ "id": "held", "service": "checkout", "operation": "*", "set": { "weight": 2 } });
    rule["owner"] = json!("ann");
    rule["reason"] = json!("held");
    rule["expires"] = json!("never");
    post("/v1/rules", rule).await;
    let token = post("/v1/tokens", json!({ "name": "held", "role": "viewer" })).await;
    let token = token["id"].as_str().unwrap();

    let before = state(&app).await;
    let change = Change { app: &app, token };
    for route in changes() {
        let (status, answer) = change.send(&route, "true", "*").await;
        assert!(matches!(status, 200 | 201), "{route:?}: {answer}");
        let stored = &answer["revision"];
        if stored.is_u64() {
            assert_eq!(
                *stored,
                before[1]["revisions"][0]["revision"].as_u64().unwrap() + 1
            );
        }
        assert_eq!(state(&app).await, before, "{route:?}");
        let (status, answer) = change.send(&route, "maybe", "*").await;
        assert_eq!((status, &answer["field"]), (400, &"dry_run".into()));
        let is_conditional = route.path != "/v1/boosts"
            && !route.path.starts_with("/v1/tokens")
            && !route.path.ends_with("/operations");
        if is_conditional {
            let (status, answer) = change.send(&route, "true", "\"1-0\"").await;
            assert_eq!(status, 412, "{route:?}: {answer}");
        }
    }
    // What it answers is what the change then stores.
    let budget = changes().into_iter().find(|of| of.path == "/v1/budget");
    let budget = budget.unwrap();
    let (_, told) = change.send(&budget, "true", "*").await;
    let (_, written) = change.send(&budget, "false", "*").await;
    assert_eq!(told, written);
    assert_eq!(app.admin_get("/v1/budget").await.1, written);
    let wrong = app
        .client
        .put(format!("{}/v1/budget?dry_run=true", app.admin));
    let wrong = wrong
        .header("If-Match", "*")
        .json(&json!({ "traces_per_second": -1 }));
    assert_eq!(wrong.send().await.unwrap().status(), 422);
    app.stop().await;
}
