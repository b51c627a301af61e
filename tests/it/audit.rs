//! What is recorded of changes: who, what, why, what was expected and what came of it.

mod by_itself;
mod replayed;

use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use weir::store::sqlite::SqliteStore;
use weir::store::{AuditAsked, Store};

use crate::access::{Bearer, Door};
use crate::support::app::{Agent, TestApp};
use crate::support::process::{WeirProcess, eventually};

const DEADLINE: Duration = Duration::from_secs(90);

/// Sets the budget; returns the revision that is the newest then.
async fn set(app: &TestApp, query: &str, traces_per_second: f64) -> u64 {
    let url = format!("{}/v1/budget{query}", app.admin);
    let put = app.client.put(url).header("If-Match", "*");
    let put = put.header("Weir-Origin", "ui");
    let budget = json!({ "traces_per_second": traces_per_second });
    let answer = put.json(&budget).send().await.unwrap();
    assert_eq!(answer.status(), 200);
    let body: Value = answer.json().await.unwrap();
    body["revision"].as_u64().unwrap()
}

async fn entries(app: &TestApp, query: &str) -> Vec<Value> {
    let (status, page) = app.admin_get(&format!("/v1/audit{query}")).await;
    assert_eq!(status, 200, "{page}");
    page["entries"].as_array().unwrap().clone()
}

#[tokio::test]
async fn a_change_says_who_what_and_why() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let revision = set(&app, "?reason=Black+Friday", 50.0).await;
    assert_eq!(set(&app, "", 50.0).await, revision, "nothing has changed");
    let all = entries(&app, "").await;
    assert_eq!(all.len(), 1, "{all:?}");
    let entry = &all[0];
    for (field, expected) in [
        ("by", json!("local")),
        ("by_kind", json!("local")),
        ("role", json!(null)),
        ("address", json!("127.0.0.1")),
        ("origin", json!("ui")),
        ("action", json!("budget.changed")),
        ("reason", json!("Black Friday")),
        ("revision_before", json!(1)),
        ("revision_after", json!(2)),
        ("measured", json!(null)),
    ] {
        assert_eq!(entry[field], expected, "{field}: {entry}");
    }
    let words = &entry["change"]["words"];
    assert_eq!(*words, json!(["budget.traces_per_second: 10.0 → 50.0"]));
    let long = "a".repeat(1025);
    for wrong in [
        "reason=",
        "reason=a&reason=b",
        "reason=a%07",
        &format!("reason={long}"),
    ] {
        let put = app.client.put(format!("{}/v1/budget?{wrong}", app.admin));
        let put = put
            .header("If-Match", "*")
            .json(&json!({ "traces_per_second": 1 }));
        let answer = put.send().await.unwrap();
        assert_eq!(answer.status(), 400, "{wrong}");
        let problem: Value = answer.json().await.unwrap();
        assert_eq!(problem["field"], "reason", "{wrong}");
    }
    let put = app.client.put(format!("{}/v1/budget", app.admin));
    let put = put.header("If-Match", "*").header("Weir-Origin", "fax");
    let answer = put
        .json(&json!({ "traces_per_second": 1 }))
        .send()
        .await
        .unwrap();
    assert_eq!(answer.status(), 400);
    app.stop().await;
}

#[tokio::test]
async fn rules_give_their_own_reasons_and_everything_is_paged() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let rule = json!({
        "id": "quiet", "operation": "GET /health", "set": { "weight": 0.5 }, "owner": "ann",
        "reason": "probes are noise", "expires": "never", "expect": "later",
    });
    let added = app
        .client
        .post(format!("{}/v1/rules", app.admin))
        .json(&rule);
    assert_eq!(added.send().await.unwrap().status(), 201);
    let url = format!("{}/v1/rules/quiet?reason=they+are+gone", app.admin);
    let deleted = app.client.delete(url).header("If-Match", "*");
    assert_eq!(deleted.send().await.unwrap().status(), 200);
    let said = |entry: &Value| (entry["action"].clone(), entry["reason"].clone());
    let both = entries(&app, "?subject=quiet").await;
    assert_eq!(both.len(), 2);
    assert_eq!(
        said(&both[0]),
        (json!("rule.deleted"), json!("they are gone"))
    );
    assert_eq!(
        said(&both[1]),
        (json!("rule.added"), json!("probes are noise"))
    );
    for budget in [1.0, 2.0, 3.0] {
        set(&app, "", budget).await;
    }
    let (mut found, mut before) = (Vec::new(), String::new());
    loop {
        let (_, page) = app.admin_get(&format!("/v1/audit?limit=2{before}")).await;
        found.extend(page["entries"].as_array().unwrap().clone());
        match page["next"].as_u64() {
            Some(next) => before = format!("&before={next}"),
            None => break,
        }
    }
    assert_eq!(found, entries(&app, "").await, "pages fit together");
    let url = format!("{}/v1/audit?format=ndjson", app.admin);
    let text = app
        .client
        .get(url)
        .send()
        .await
        .unwrap()
        .text()
        .await
        .unwrap();
    let lines = text.lines().map(|line| serde_json::from_str(line).unwrap());
    assert_eq!(lines.collect::<Vec<Value>>(), found);
    app.stop().await;
}

#[tokio::test]
async fn tokens_are_recorded_without_their_secrets() {
    let door = Door::open(&[]).await;
    let (admin, viewer) = (
        door.token("admin", &[]).await,
        door.token("viewer", &[]).await,
    );
    let tokens = format!("{}/v1/tokens?reason=for+CI", door.app.admin);
    let new = json!({ "name": "pipeline", "role": "operator" });
    let created = door.app.client.post(tokens).bearer(&admin).json(&new);
    let created: Value = created.send().await.unwrap().json().await.unwrap();
    let id = created["id"].as_str().unwrap();
    let url = format!("{}/v1/tokens/{id}", door.app.admin);
    for _ in 0..2 {
        let revoked = door.app.client.delete(&url).bearer(&admin);
        assert_eq!(revoked.send().await.unwrap().status(), 200);
    }
    let audit = format!("{}/v1/audit?subject={id}", door.app.admin);
    let shown = door
        .app
        .client
        .get(&audit)
        .bearer(&viewer)
        .send()
        .await
        .unwrap();
    assert_eq!(shown.status(), 200, "a viewer reads it");
    let text = shown.text().await.unwrap();
    assert!(!text.contains(created["token"].as_str().unwrap()));
    let page: Value = serde_json::from_str(&text).unwrap();
    let all = page["entries"].as_array().unwrap();
    let actions: Vec<&Value> = all.iter().map(|entry| &entry["action"]).collect();
    assert_eq!(actions, ["token.revoked", "token.created"], "revoked once");
    assert_eq!(all[1]["reason"], "for CI");
    assert_eq!(
        (&all[1]["by_kind"], &all[1]["role"]),
        (&json!("token"), &json!("admin"))
    );
    assert!(!text.contains("digest"), "{text}");
    door.app.stop().await;
}

/// A change is expected to have an effect, and some windows later it has had it; of two changes in a row, nobody
/// knows what the first did.
#[tokio::test(flavor = "multi_thread")]
async fn what_a_change_did_is_measured_once() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 400.0), ("POST /buy", 40.0)])];
    let mut reported = async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
    };
    eventually(DEADLINE, "a plan that spends the budget", async || {
        reported().await;
        let plan = app.plan().await?;
        let expected = plan["expected_sampled_traces_per_second"].as_f64()?;
        ((expected - 10.0).abs() < 0.5).then_some(())
    })
    .await;
    set(&app, "", 20.0).await;
    let revision = set(&app, "", 30.0).await;
    let measured = eventually(DEADLINE, "both are measured", async || {
        reported().await;
        let both = entries(&app, "").await;
        both.iter()
            .all(|entry| entry["measured"].is_object())
            .then_some(both)
    })
    .await;
    let (last, first) = (&measured[0], &measured[1]);
    let after = &last["predicted"]["expected_sampled_traces_per_second"]["after"];
    assert!((after.as_f64().unwrap() - 30.0).abs() < 0.5, "{last}");
    let moved = &last["predicted"]["operations"][0];
    assert_eq!(moved["service"], "shop", "{last}");
    let effect = &last["measured"];
    assert_eq!(effect["known"], true, "{last}");
    let expected = &effect["expected_sampled_traces_per_second"]["after"];
    assert!((expected.as_f64().unwrap() - 30.0).abs() < 1.0, "{last}");
    assert_eq!(effect["budget_traces_per_second"]["after"], 30.0, "{last}");
    assert_eq!(effect["plans_after"].as_array().unwrap().len(), 3, "{last}");
    assert_eq!(effect["operations"].as_array().unwrap().len(), 2, "{last}");
    let unknown = first["measured"]["why_unknown"]
        .as_str()
        .unwrap_or_default();
    assert!(
        unknown == format!("revision {revision} of the configuration came between"),
        "{first}"
    );
    let (_, again) = app.admin_get(&format!("/v1/audit/{}", last["id"])).await;
    assert_eq!(again["measured"], *effect, "it is filled in once");
    app.stop().await;
}

/// After a kill in the middle of writes, each revision but the first has its entry, and no entry is without its
/// revision.
#[tokio::test(flavor = "multi_thread")]
async fn a_revision_and_its_entry_are_written_together_or_not_at_all() {
    let folder = TempDir::new().unwrap();
    for kill in 1..=3_u64 {
        let command = WeirProcess::command().flag("--data-dir", folder.path());
        let mut weir = command.start().await;
        let url = format!("{}/v1/budget", weir.admin_url());
        let client = reqwest::Client::new();
        let writing = tokio::spawn(async move {
            for budget in 1.. {
                let put = client.put(&url).header("If-Match", "*");
                let budget = kill as f64 * 1000.0 + f64::from(budget);
                let put = put.json(&json!({ "traces_per_second": budget }));
                if put.send().await.is_err() {
                    return;
                }
            }
        });
        let store = store(&folder).await;
        eventually(DEADLINE, "some are written", async || {
            let newest = store.configuration().await.unwrap().revision;
            (newest > 40 * kill + kill).then_some(())
        })
        .await;
        weir.kill9();
        writing.await.unwrap();
    }
    let store = store(&folder).await;
    let newest = store.configuration().await.unwrap().revision;
    let asked = AuditAsked {
        limit: 20_000,
        ..AuditAsked::default()
    };
    let recorded = store.audit(&asked).await.unwrap();
    let revisions = recorded.iter().rev();
    let revisions: Vec<u64> = revisions
        .filter_map(|entry| Some(entry.entry.revisions?.1))
        .collect();
    assert_eq!(revisions, (2..=newest).collect::<Vec<u64>>());
}

async fn store(folder: &TempDir) -> SqliteStore {
    let file = folder.path().join("weir.db");
    eventually(DEADLINE, "the database opens", async || {
        SqliteStore::open(&file).await.ok()
    })
    .await
}

#[tokio::test]
async fn plans_are_listed_and_compared() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 400.0)])];
    let mut planned = async |budget: f64| {
        eventually(DEADLINE, "a plan for this budget", async || {
            if let Some(report) = agent.next(rates) {
                assert_eq!(app.report(&report).await.0, 200);
            }
            let plan = app.plan().await?;
            let expected = plan["expected_sampled_traces_per_second"].as_f64()?;
            ((expected - budget).abs() < 0.5).then(|| plan["plan"].as_u64().unwrap())
        })
        .await
    };
    let before = planned(10.0).await;
    app.set_budget(40.0).await;
    let after = planned(40.0).await;
    let (_, plans) = app
        .admin_get(&format!("/v1/plans?limit=1&before={}", after + 1))
        .await;
    assert_eq!(
        plans["plans"][0]["summary"]["budget_traces_per_second"],
        40.0
    );
    let path = format!("/v1/plans/compare?from={before}&to={after}");
    let (_, compared) = app.admin_get(&path).await;
    let budget = &compared["budget_traces_per_second"];
    assert_eq!(*budget, json!({ "before": 10.0, "after": 40.0 }));
    let moved = &compared["operations"][0];
    let probability = |side: &str| moved["probability"][side].as_f64().unwrap();
    assert!(
        (probability("after") / probability("before") - 4.0).abs() < 0.8,
        "{moved}"
    );
    // The traffic of a stored plan under another configuration.
    let preview = format!("{}/v1/configuration/preview?plan={before}", app.admin);
    let wanted = json!({ "budget": { "traces_per_second": 20 } });
    let shown = app.client.post(preview).json(&wanted).send().await.unwrap();
    let shown: Value = shown.json().await.unwrap();
    assert_eq!(
        (
            &shown["plan"],
            shown["budget_traces_per_second"]["before"].as_f64()
        ),
        (&json!(before), Some(10.0))
    );
    assert!(
        shown["operations"][0]["expected_relative_error"]["after"].is_number(),
        "{shown}"
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_are_listed_while_they_are_there() {
    let directory = tempfile::tempdir().unwrap();
    let one = TestApp::start(directory.path(), &[]).await;
    let other = TestApp::start(directory.path(), &[]).await;
    let count = async |app: &TestApp, replicas: usize| {
        eventually(DEADLINE, "the replicas are listed", async || {
            let (_, listed) = app.admin_get("/v1/replicas").await;
            let listed = listed["replicas"].as_array()?.clone();
            let leaders = listed.iter().filter(|of| of["leads"] == true).count();
            (listed.len() == replicas && leaders == 1).then_some(())
        })
        .await;
    };
    count(&one, 2).await;
    one.stop().await;
    count(&other, 1).await;
    other.stop().await;
}
