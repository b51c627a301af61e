//! Answers while something is wrong: the database, the process, or data that a newer Weir wrote.

use sqlx::Connection;
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};
use weir::store::Store;
use weir::store::sqlite::SqliteStore;

use super::whole::{self, REVISION, REVISIONS, WHOLE, preview_fails, rollback_fails};
use super::{
    Answer, DEADLINE, FLEET_HISTORY, FORGET, GROUP_HISTORY, Given, HISTORY, PARTS, POLLED, TRIAL,
    access, apart, audit, controls, post, put, rules,
};
use crate::support::app::{TestApp, config, report};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;

/// The database goes away under a Weir that knows an operation.
pub async fn without_the_database(given: &mut Given) {
    let cluster = apart(Cluster::start).await;
    let url = cluster.url("postgres");
    let app = TestApp::start_with(config(&["--interval", "1s", "--database-url", &url])).await;
    let known = report("a", Uuid::new_v4(), 1, 100);
    assert_eq!(app.report(&known).await.0, 200);
    let cluster = apart(move || {
        cluster.kill9();
        cluster
    })
    .await;
    for part in &PARTS {
        given.get(&app, part.path, "", 503).await;
        let write = put(&app, part, Some("*")).json(&(part.fine)());
        given.put(part, write, 503).await;
    }
    rules::failing(given, &app, 503).await;
    controls::failing(given, &app, 503).await;
    rollback_fails(given, &app, 1, 503).await;
    preview_fails(given, &app, 503).await;
    given.get(&app, REVISIONS, "", 503).await;
    given.get(&app, REVISION, "/1", 503).await;
    tokens(given, &app, 503).await;
    audit::failing(given, &app, 503).await;
    given.forget(&app, FORGET, 503).await;
    given.post(post(&app).json(&known), 503).await;
    given.get(&app, HISTORY, "?operation=POST+/cart", 503).await;
    given.get(&app, "/v1/pollers", "", 503).await;
    series_fail(given, &app, 503).await;
    for path in POLLED {
        given.get(&app, path, "?service=checkout", 200).await;
    }
    given.get(&app, "/livez", "", 200).await;
    given.get(&app, "/readyz", "", 200).await;
    let _cluster = apart(move || {
        cluster.restart();
        cluster
    })
    .await;
    app.stop().await;
}

/// Everything that reads steps of history fails.
async fn series_fail(given: &mut Given, app: &TestApp, expected: u16) {
    for path in [FLEET_HISTORY, GROUP_HISTORY, HISTORY] {
        given.get(app, path, "", expected).await;
    }
    given
        .get(app, "/v1/services", "?sparkline=24h", expected)
        .await;
    let trial = "?traces_per_second=50";
    given.get(app, TRIAL, trial, expected).await;
}

/// Everything about tokens fails.
async fn tokens(given: &mut Given, app: &TestApp, expected: u16) {
    given.get(app, access::TOKENS, "", expected).await;
    let new = access::post(app).json(&access::sound());
    given.create_token(new, expected).await;
    let id = Uuid::new_v4().to_string();
    given.revoke_token(app, &id, expected).await;
}

/// The process was told to stop, and continues to serve for a while.
pub async fn while_stopping(given: &mut Given) {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &["--stop-delay", "1h"]).await;
    app.begin_stop();
    let ready = format!("{}/readyz", app.sdk);
    eventually(DEADLINE, "the stop is announced", async || {
        let answer = app.client.get(&ready).send().await.ok()?;
        (answer.status() == 503).then_some(())
    })
    .await;
    let answer = Answer::of(app.client.get(&ready)).await;
    given.note("GET", "/readyz", 503, &answer);
    given.get(&app, "/readyz", "", 503).await;
    given.get(&app, "/livez", "", 200).await;
    too_many_edges(given, &app).await;
}

/// More edges ask than a replica remembers.
async fn too_many_edges(given: &mut Given, app: &TestApp) {
    for edge in 0..1024 {
        let url = format!("{}/v1/edges/plan?edge=edge-{edge}", app.sdk);
        let answer = app.client.get(url).send().await.unwrap();
        assert_eq!(answer.status(), 200);
    }
    given
        .get(app, "/v1/edges/plan", "?edge=one-more", 503)
        .await;
}

/// Columns were renamed: an error that a retry does not solve.
pub async fn with_a_broken_database(given: &mut Given) {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let known = report("a", Uuid::new_v4(), 1, 100);
    assert_eq!(app.report(&known).await.0, 200);
    let file = format!("sqlite://{}/weir.db", directory.path().display());
    let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
    for (table, column) in [
        ("configuration", "written_ms"),
        ("history", "payload"),
        ("mark", "seen"),
        ("token", "name"),
        ("audit", "change"),
        ("plan", "window_end_ms"),
        ("replica", "host"),
        ("edge", "version"),
        ("observation", "payload"),
        ("series_mark", "until_ms"),
    ] {
        let statement = format!("alter table {table} rename column {column} to away");
        let taken = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
        taken.execute(&mut connection).await.unwrap();
    }
    for part in &PARTS {
        given.get(&app, part.path, "", 500).await;
        let write = put(&app, part, Some("*")).json(&(part.fine)());
        given.put(part, write, 500).await;
    }
    rules::failing(given, &app, 500).await;
    controls::failing(given, &app, 500).await;
    rollback_fails(given, &app, 1, 500).await;
    preview_fails(given, &app, 500).await;
    given.get(&app, REVISIONS, "", 500).await;
    given.get(&app, REVISION, "/1", 500).await;
    tokens(given, &app, 500).await;
    audit::failing(given, &app, 500).await;
    given.forget(&app, FORGET, 500).await;
    given.post(post(&app).json(&known), 500).await;
    given.get(&app, HISTORY, "?operation=POST+/cart", 500).await;
    given.get(&app, "/v1/pollers", "", 500).await;
    series_fail(given, &app, 500).await;
    app.stop().await;
}

/// A newer Weir wrote the configuration.
pub async fn with_a_newer_configuration(given: &mut Given) {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let store = SqliteStore::open(&directory.path().join("weir.db"))
        .await
        .unwrap();
    let newer = r#"{"budget":{"traces_per_second":5,"burst":9}}"#;
    store
        .write_configuration(1, newer, "a test", SystemClock.now(), None, None)
        .await
        .unwrap();
    for part in PARTS.iter().filter(|part| part.path != "/v1/configuration") {
        let shown = given.get(&app, part.path, "", 409).await.json();
        let detail = shown["detail"].as_str().unwrap();
        assert!(
            detail.contains("budget") && detail.contains("burst"),
            "{detail}"
        );
        let write = put(&app, part, Some("*")).json(&(part.fine)());
        given.put(part, write, 409).await;
    }
    given.get(&app, WHOLE, "?origins=true", 409).await;
    whole::a_part_fails(given, &app, 409).await;
    rules::failing(given, &app, 409).await;
    controls::failing(given, &app, 409).await;
    rollback_fails(given, &app, 2, 409).await;
    given.forget(&app, FORGET, 409).await;
    app.stop().await;
}
