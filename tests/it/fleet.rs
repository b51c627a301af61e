//! The settings that all replicas of a database share: agreed on at the start, changed for all.

use std::time::Duration;

use chrono::{DateTime, Utc};
use weir::app::{App, AppError};
use weir::store::postgres::PostgresStore;
use weir::store::{FleetSettings, Store};
use weir::telemetry::logging::chain;
use weir::telemetry::metrics::TaskName;

use crate::support::app::{Agent, TestApp, config};
use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;

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
    let age = ["--report-age-max", "2h"];
    let said = chain(&start(&database, &age).await.err().unwrap());
    assert!(said.contains("--report-age-max 1h"), "{said}");
    // The grace is checked against the interval that the database says.
    let grace = start(&database, &["--grace", "31s"]).await.err().unwrap();
    assert!(chain(&grace).contains("--grace 31s"));
    drop(start(&database, &["--interval", "3s"]).await.unwrap());
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
        report_age_max: Duration::from_secs(3600),
    };
    assert_eq!(store.fleet_settings().await.unwrap(), Some(expected));
}
