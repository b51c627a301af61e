//! Rules, through the front door: they apply, run out, match something, and leave others enough.

use std::time::Duration;

use chrono::TimeDelta;
use serde_json::{Value, json};
use weir::clock::{Clock, SystemClock};
use weir::store::sqlite::SqliteStore;
use weir::store::{Store, WriteFormat};

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);
const RULES: &str = "/v1/rules";

/// Two services with three operations that have the same traffic.
const RATES: &[(&str, &[(&str, f64)])] = &[
    (
        "checkout",
        &[("GET /health", 1000.0), ("POST /pay", 1000.0)],
    ),
    ("stock", &[("sync", 1000.0)]),
];

async fn sent(request: reqwest::RequestBuilder) -> (u16, Value) {
    let response = request.send().await.expect("an answer");
    let status = response.status().as_u16();
    (status, response.json().await.expect("JSON"))
}

async fn post(app: &TestApp, path: &str, body: &Value) -> (u16, Value) {
    sent(app.client.post(format!("{}{path}", app.admin)).json(body)).await
}

async fn put(app: &TestApp, path: &str, body: &Value) -> (u16, Value) {
    let request = app.client.put(format!("{}{path}", app.admin));
    sent(request.header("If-Match", "*").json(body)).await
}

fn rule(id: &str, selector: (&str, &str), set: Value, expires: Value) -> Value {
    json!({ "id": id, "service": selector.0, "operation": selector.1, "set": set,
        "owner": "ann", "reason": "a test", "expires": expires })
}

/// A fleet that is planned for, with a budget.
async fn planned(app: &TestApp, agent: &mut Agent, budget: f64) {
    app.set_budget(budget).await;
    reporting(app, agent, "equal shares", async || {
        let shares = shares(app).await?;
        let third = budget / 3.0;
        shares
            .iter()
            .all(|share| (share / third - 1.0).abs() < 0.08)
            .then_some(())
    })
    .await;
}

async fn reporting<T>(
    app: &TestApp,
    agent: &mut Agent,
    what: &str,
    mut seen: impl AsyncFnMut() -> Option<T>,
) -> T {
    eventually(DEADLINE, what, async || {
        if let Some(report) = agent.next(RATES) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        seen().await
    })
    .await
}

async fn operations(app: &TestApp, service: &str) -> Option<Vec<Value>> {
    let (status, page) = app
        .admin_get(&format!("/v1/services/{service}/operations"))
        .await;
    let listed = page["operations"].as_array().cloned();
    listed.filter(|_| status == 200)
}

/// The shares of `GET /health`, `POST /pay` and `sync`.
async fn shares(app: &TestApp) -> Option<[f64; 3]> {
    let mut all = operations(app, "checkout").await?;
    all.extend(operations(app, "stock").await?);
    let named = all.iter().filter(|of| of["operation"] != "__other__");
    let shares: Vec<f64> = named
        .filter_map(|of| of["share_traces_per_second"].as_f64())
        .collect();
    shares.try_into().ok()
}

#[tokio::test]
async fn a_rule_applies_until_it_runs_out_and_explains_itself() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    planned(&app, &mut agent, 60.0).await;
    let set = json!({ "probability_max": 0.001 });
    let quiet = rule("quiet", ("*", "GET /health*"), set, json!("never"));
    let (status, written) = post(&app, RULES, &quiet).await;
    assert_eq!(
        (status, &written["state"]),
        (201, &json!("active")),
        "{written}"
    );
    assert_eq!(written["matches"]["operations"], 1);
    let effect = &written["effect"]["share_traces_per_second"];
    let (from, to) = (
        effect["before"].as_f64().unwrap(),
        effect["after"].as_f64().unwrap(),
    );
    assert!(
        (from / 20.0 - 1.0).abs() < 0.1 && (to - 1.0).abs() < 0.1,
        "{written}"
    );

    let explained = reporting(&app, &mut agent, "the rule binds", async || {
        let shares = shares(&app).await?;
        let listed = operations(&app, "checkout").await?;
        let binds = shares[0] < 1.1 && shares[1] > 27.0 && listed[0]["binding"] == "cap";
        binds.then(|| listed[0].clone())
    })
    .await;
    let said = &explained["rules"][0];
    assert_eq!(said["id"], "quiet", "{explained}");
    assert_eq!(
        (&said["decides"], &said["binds"]),
        (&json!(["probability_max"]), &json!(true))
    );
    let sentence = explained["reason"]["explanation"].as_str().unwrap();
    assert!(sentence.contains("The rule \"quiet\" of ann"), "{sentence}");

    let mut ending = written.clone();
    ending["expires"] = json!(SystemClock.now() + TimeDelta::seconds(1));
    assert_eq!(put(&app, "/v1/rules/quiet", &ending).await.0, 200);
    reporting(&app, &mut agent, "the shares of before", async || {
        let shares = shares(&app).await?;
        let near = |share: &f64| (share / 20.0 - 1.0).abs() < 0.1;
        shares.iter().all(near).then_some(())
    })
    .await;
    let (_, shown) = app.admin_get("/v1/rules/quiet").await;
    assert_eq!(shown["state"], "expired", "{shown}");
    app.stop().await;
}

#[tokio::test]
async fn a_rule_is_read_changed_listed_and_deleted() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    planned(&app, &mut agent, 60.0).await;
    for id in ["a", "b"] {
        let weight = rule(
            id,
            ("checkout", "*"),
            json!({ "weight": 2.0 }),
            json!("never"),
        );
        assert_eq!(post(&app, RULES, &weight).await.0, 201);
        assert_eq!(post(&app, RULES, &weight).await.0, 409, "the id is taken");
    }
    let (_, page) = app.admin_get("/v1/rules?limit=1").await;
    assert_eq!(
        (&page["next"], &page["rules"][0]["id"]),
        (&json!("a"), &json!("a"))
    );
    let (_, page) = app.admin_get("/v1/rules?after=a").await;
    assert_eq!(page["rules"][0]["matches"]["operations"], 2, "{page}");
    // An answer can be sent back.
    let (_, mut shown) = app.admin_get("/v1/rules/a").await;
    let before = shown["written_at"].clone();
    let (status, same) = put(&app, "/v1/rules/a", &shown).await;
    assert_eq!((status, &same["written_at"]), (200, &before), "{same}");
    shown["enabled"] = json!(false);
    let (_, off) = put(&app, "/v1/rules/a", &shown).await;
    assert_eq!(off["state"], "off", "{off}");
    assert_ne!(off["written_at"], before);
    let (status, problem) = put(&app, "/v1/rules/b", &shown).await;
    assert_eq!(
        (status, &problem["field"]),
        (422, &json!("id")),
        "{problem}"
    );
    let (_, whole) = app.admin_get("/v1/configuration").await;
    assert_eq!(whole["rules"]["a"]["enabled"], false);
    let request = app.client.delete(format!("{}/v1/rules/a", app.admin));
    assert_eq!(sent(request.header("If-Match", "*")).await.0, 200);
    assert_eq!(app.admin_get("/v1/rules/a").await.0, 404);
    app.stop().await;
}

#[tokio::test]
async fn what_matches_nothing_says_so() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    planned(&app, &mut agent, 60.0).await;
    let weight = json!({ "weight": 2.0 });
    for (selector, field, meant) in [
        (("chekout", "*"), "service", "; did you mean checkout?"),
        (
            ("checkout", "POST /pya"),
            "operation",
            "; did you mean POST /pay?",
        ),
        (
            ("*", "GET /heatlh*"),
            "operation",
            "; did you mean GET /health?",
        ),
        (("nothing-like-it", "*"), "service", "matches 0 operations."),
    ] {
        let (status, problem) = post(
            &app,
            RULES,
            &rule("r", selector, weight.clone(), json!("never")),
        )
        .await;
        assert_eq!(
            (status, &problem["field"]),
            (422, &json!(field)),
            "{problem}"
        );
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains(meant), "{detail}");
    }
    let mut later = rule("later", ("chekout", "*"), weight, json!("never"));
    later["expect"] = json!("later");
    let (status, written) = post(&app, RULES, &later).await;
    assert_eq!(status, 201, "{written}");
    assert_eq!(written["matches"]["operations"], 0);
    assert_eq!(written["matches"]["did_you_mean"], "checkout");

    let (_, mut whole) = app.admin_get("/v1/configuration").await;
    whole["services"] = json!({ "stok": {}, "checkout": { "operations": { "GET /healt": {} } } });
    let (status, written) = put(&app, "/v1/configuration", &whole).await;
    assert_eq!(status, 200, "{written}");
    let warned = |field: &str| written["warnings"][field].as_str().unwrap().to_owned();
    assert!(
        warned("services.stok").contains("did you mean stock?"),
        "{written}"
    );
    let operation = warned("services.checkout.operations.GET /healt");
    assert!(operation.contains("did you mean GET /health?"), "{written}");
    assert!(
        warned("rules.later").contains("matches 0 operations; did you mean checkout?"),
        "{written}"
    );
    let (_, previewed) = post(&app, "/v1/configuration/preview", &whole).await;
    assert_eq!(previewed["warnings"], written["warnings"], "{previewed}");
    // The rule came from the document before, so it is not asked for again.
    assert_eq!(written["rules"]["later"]["expect"], "later");
    app.stop().await;
}

#[tokio::test]
async fn a_boost_leaves_others_their_fair_floor_unless_forced() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    planned(&app, &mut agent, 60.0).await;
    let boost = |probability: f64| {
        json!({ "service": "checkout", "operation": "POST /pay", "probability": probability,
            "for_seconds": 600, "owner": "ann", "reason": "a test" })
    };
    let (status, problem) = post(&app, "/v1/boosts", &boost(1.0)).await;
    assert_eq!(
        (status, &problem["field"]),
        (422, &json!("probability")),
        "{problem}"
    );
    let detail = problem["detail"].as_str().unwrap();
    assert!(detail.contains("of them with less than half"), "{detail}");
    // 30 of 60 traces/s: the two others keep 15 of 20.
    let (status, small) = post(&app, "/v1/boosts", &boost(0.03)).await;
    assert_eq!(status, 201, "{small}");
    assert!(
        (small["effect"]["taken_traces_per_second"].as_f64().unwrap() - 10.0).abs() < 1.0,
        "{small}"
    );
    assert_eq!(small["effect"]["under_fair_floor"], 0);
    assert!(small["id"].as_str().unwrap().starts_with("boost-"));

    let mut on_top = boost(1.0);
    on_top["extra_traces_per_second"] = json!(1000.0);
    let (status, topped) = post(&app, "/v1/boosts", &on_top).await;
    assert_eq!(status, 201, "{topped}");
    assert_eq!(topped["effect"]["under_fair_floor"], 0);
    let (status, forced) = post(&app, "/v1/boosts?force=true", &boost(0.9)).await;
    assert_eq!(status, 201, "{forced}");
    reporting(&app, &mut agent, "the newest boost is served", async || {
        let listed = operations(&app, "checkout").await?;
        let served = listed[1]["probability"].as_f64()?;
        ((served - 0.9).abs() < 0.01).then_some(())
    })
    .await;
    let (status, problem) = post(&app, "/v1/boosts", &boost(2.0)).await;
    assert_eq!(
        (status, &problem["field"]),
        (422, &json!("probability")),
        "{problem}"
    );
    app.stop().await;
}

#[tokio::test]
async fn rules_wait_for_the_end_of_an_upgrade() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let store = SqliteStore::open(&directory.path().join("weir.db"))
        .await
        .unwrap();
    store.set_write_format(WriteFormat::Previous).await.unwrap();
    let mut all = rule("all", ("*", "*"), json!({ "weight": 2.0 }), json!("never"));
    all["expect"] = json!("later");
    let (status, problem) = post(&app, RULES, &all).await;
    assert_eq!(status, 409, "{problem}");
    app.set_budget(7.0).await;
    store.set_write_format(WriteFormat::Newest).await.unwrap();
    assert_eq!(post(&app, RULES, &all).await.0, 201);
    app.stop().await;
}
