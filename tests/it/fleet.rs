//! The settings that all replicas of a database share: agreed on at the start, changed for all.

use std::time::Duration;

use chrono::{DateTime, Utc};
use weir::app::{App, AppError};
use weir::settings::Settings;
use weir::store::postgres::PostgresStore;
use weir::store::{FleetSettings, Store};
use weir::telemetry::logging::chain;
use weir::telemetry::metrics::TaskName;

use crate::support::app::{Agent, TestApp, config};
use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);
const RATES: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 500.0)])];

/// A Weir on this database.
async fn start(database: &TestDatabase, flags: &[&str]) -> Result<App, AppError> {
    let place = ["--database-url", database.url()];
    App::build(config(&[&place, flags].concat())).await
}

/// The length of the window that a plan answers, in seconds.
async fn window_seconds(app: &TestApp) -> Option<f64> {
    let plan = app.plan().await?;
    let instant = |name: &str| {
        let date: DateTime<Utc> = plan["window"][name].as_str()?.parse().ok()?;
        Some(date.timestamp_millis())
    };
    Some((instant("end")? - instant("start")?) as f64 / 1000.0)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_with_another_interval_does_not_start() {
    let database = TestDatabase::create().await;
    drop(start(&database, &["--interval", "3s"]).await.unwrap());
    let refused = start(&database, &["--interval", "2s"]).await.err().unwrap();
    let said = chain(&refused);
    for part in ["--interval 3s", "--interval 2s", "--change-fleet-settings"] {
        assert!(said.contains(part), "{said}");
    }
    drop(start(&database, &["--interval", "3s"]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn whatever_a_replica_would_do_otherwise_than_the_others_it_does_not_start() {
    let database = TestDatabase::create().await;
    drop(start(&database, &["--interval", "3s"]).await.unwrap());
    for (flag, shared, other) in [
        ("--report-age-max", "1h", "2h"),
        ("--grace", "500ms", "1s"),
        ("--history", "1day", "2days"),
        ("--retire-after", "1day", "2days"),
        ("--max-services", "10000", "9"),
        ("--max-operations-per-service", "2000", "9"),
        ("--max-operations", "1000000", "9"),
    ] {
        drop(start(&database, &[flag, shared]).await.expect("the same"));
        let refused = start(&database, &[flag, other]).await.err();
        let said = chain(&refused.unwrap_or_else(|| panic!("{flag} {other} is taken")));
        assert!(said.contains(&format!("says {flag} {shared},")), "{said}");
        let given = format!("started with {flag} {other}:");
        assert!(said.contains(&given), "{said}");
    }
    // A changed value must fit the others in the database.
    let change = async |flag: &str, value: &str| {
        let changed = start(&database, &[flag, value, "--change-fleet-settings"]).await;
        changed.map(drop).map_err(|refused| chain(&refused))
    };
    change("--max-services", "1000000").await.unwrap();
    for (flag, value) in [("--grace", "31s"), ("--max-operations", "3000000")] {
        let said = change(flag, value).await.unwrap_err();
        assert!(said.contains(&format!("{flag} {value}")), "{said}");
    }
    let unchanged = ["--max-services", "1000000", "--max-operations", "1000000"];
    drop(start(&database, &unchanged).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_of_a_millisecond_makes_no_difference() {
    let database = TestDatabase::create().await;
    for _ in 0..2 {
        drop(start(&database, &["--grace", "333333us"]).await.unwrap());
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn replicas_count_apart_the_names_that_the_database_says() {
    let database = TestDatabase::create().await;
    let place = ["--interval", "1s", "--database-url", database.url()];
    let first = [&place[..], &["--max-services", "1"]].concat();
    let first = TestApp::start_with(config(&first)).await;
    let second = TestApp::start_with(config(&place)).await;
    let mut agent = Agent::new("a");
    let counted = async |app: &TestApp, agent: &mut Agent, service: &str| {
        let report = eventually(DEADLINE, "a report", async || {
            agent.next(&[(service, &[("GET /", 500.0)])])
        })
        .await;
        assert_eq!(app.report(&report).await.0, 200);
    };
    counted(&first, &mut agent, "shop").await;
    counted(&second, &mut agent, "stock").await;
    let folded = Scrape::of(&second).await;
    let folded = folded.value("weir_overflow_requests_total{entry=\"fleet\"}");
    assert!(folded > 0.0, "the second replica has no room of its own");

    // More room for all: the first replica ends, and the second's successor uses it.
    let more = [&place[..], &["--max-services", "2"]].concat();
    let refused = App::build(config(&more)).await.err().unwrap();
    assert!(chain(&refused).contains("--max-services 1"));
    let more = [&more[..], &["--change-fleet-settings"]].concat();
    let third = TestApp::start_with(config(&more)).await;
    for app in [first, second] {
        let ended = chain(&app.ended().await.unwrap_err());
        assert!(ended.contains("--max-services 2"), "{ended}");
    }
    counted(&third, &mut agent, "stock").await;
    let folded = Scrape::of(&third).await;
    assert_eq!(
        folded.value("weir_overflow_requests_total{entry=\"fleet\"}"),
        0.0
    );
    third.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_without_the_flag_runs_with_the_databases_interval() {
    let database = TestDatabase::create().await;
    drop(start(&database, &["--interval", "1s"]).await.unwrap());
    let app = TestApp::start_with(config(&["--database-url", database.url()])).await;
    let mut agent = Agent::new("a");
    let seconds = eventually(DEADLINE, "a plan", async || {
        if let Some(report) = agent.next(RATES) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        window_seconds(&app).await
    })
    .await;
    assert_eq!(seconds, 1.0);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_of_an_older_release_says_its_interval_by_its_last_plan() {
    let database = TestDatabase::create().await;
    let flags = ["--interval", "1s", "--database-url", database.url()];
    let app = TestApp::start_with(config(&flags)).await;
    eventually(DEADLINE, "a plan", async || app.plan().await).await;
    app.stop().await;
    let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
    sqlx::query("delete from fleet")
        .execute(&pool)
        .await
        .unwrap();
    pool.close().await;
    let refused = start(&database, &["--interval", "2s"]).await.err().unwrap();
    assert!(chain(&refused).contains("--interval 1s"));
    drop(start(&database, &[]).await.unwrap());
}

#[tokio::test(flavor = "multi_thread")]
async fn a_deliberate_change_ends_the_others_and_plans_go_on() {
    let database = TestDatabase::create().await;
    let flags = ["--interval", "1s", "--database-url", database.url()];
    let first = TestApp::start_with(config(&flags)).await;
    let mut agent = Agent::new("a");
    eventually(DEADLINE, "a plan", async || {
        if let Some(report) = agent.next(RATES) {
            assert_eq!(first.report(&report).await.0, 200);
        }
        window_seconds(&first)
            .await
            .filter(|seconds| *seconds == 1.0)
    })
    .await;
    let change = ["--interval", "2s", "--change-fleet-settings"];
    let place = ["--database-url", database.url()];
    let second = TestApp::start_with(config(&[&place[..], &change].concat())).await;
    let ended = first.ended().await.unwrap_err();
    let AppError::Ended(end) = ended else {
        panic!("{ended:?}");
    };
    assert_eq!(end.task, TaskName::FleetSettings);
    let said = end.to_string();
    assert!(said.contains("the shared settings were changed"), "{said}");
    eventually(DEADLINE, "a plan of a window of two seconds", async || {
        if let Some(report) = agent.next(RATES) {
            assert_eq!(second.report(&report).await.0, 200);
        }
        window_seconds(&second)
            .await
            .filter(|seconds| *seconds == 2.0)
    })
    .await;
    second.stop().await;
    let store = PostgresStore::connect(database.url(), 1).await.unwrap();
    let expected = FleetSettings {
        interval: Duration::from_secs(2),
        ..Settings::SHARED
    };
    assert_eq!(store.fleet_settings().await.unwrap(), Some(expected));
}
