//! While the database is unreachable, polls are still answered and reports are refused; once it is
//! back, everything works again without a restart.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use weir::settings::Settings;
use weir::store::postgres::PostgresStore;

use crate::support::app::{Agent, TestApp, config, report};
use crate::support::postgres::{Cluster, TestDatabase};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;
use crate::support::stored::stored_totals;

const DEADLINE: Duration = Duration::from_secs(60);
const RATES: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 500.0), ("POST /buy", 20.0)])];

fn on(cluster: &Cluster) -> Settings {
    config(&[
        "--interval",
        "1s",
        "--database-url",
        &cluster.url("postgres"),
    ])
}

async fn has_plan_for_the_shop(app: &TestApp, agent: &mut Agent) {
    eventually(
        DEADLINE,
        "a plan that lists the shop's operations",
        async || {
            if let Some(report) = agent.next(RATES) {
                assert_eq!(app.report(&report).await.0, 200);
            }
            let body = app.poll("shop").await;
            let listed = body["operationSampling"]["perOperationStrategies"]
                .as_array()?
                .len();
            (listed == 2).then_some(())
        },
    )
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_last_plan_is_served_while_the_database_is_away() {
    let cluster = Cluster::start();
    let app = TestApp::start_with(on(&cluster)).await;
    has_plan_for_the_shop(&app, &mut Agent::new("a")).await;

    cluster.kill9();
    let epoch = Uuid::new_v4();
    let sent = report("b", epoch, 1, 7);
    let request = app
        .client
        .post(format!("{}/v1/reports", app.sdk))
        .json(&sent);
    let refused = request.send().await.unwrap();
    assert_eq!(refused.status(), 503);
    assert!(refused.headers().contains_key("retry-after"));
    assert_eq!(
        refused.headers()["content-type"],
        "application/problem+json"
    );

    eventually(DEADLINE, "the outage is noticed", async || {
        let (status, ready) = app.admin_get("/readyz").await;
        assert_eq!(
            status, 200,
            "polls are answered, so it stays ready: {ready}"
        );
        (ready["database"] == "unavailable").then_some(())
    })
    .await;
    let served = app.poll("shop").await;
    assert_eq!(
        served["operationSampling"]["perOperationStrategies"]
            .as_array()
            .unwrap()
            .len(),
        2
    );
    eventually(DEADLINE, "the plan grows stale and says so", async || {
        let polled = app
            .client
            .get(format!("{}/sampling?service=shop", app.sdk))
            .send();
        (polled.await.unwrap().headers()["weir-plan-stale"] == "true").then_some(())
    })
    .await;
    assert_eq!(app.poll("shop").await, served, "nothing moved meanwhile");
    let (status, problem) = app.admin_get("/v1/budget").await;
    assert_eq!(
        (status, &problem["type"]),
        (503, &json!("urn:weir:problem:unavailable"))
    );

    cluster.restart();
    eventually(DEADLINE, "the same report is taken", async || {
        let (status, answer) = app.report(&report("b", epoch, 1, 7)).await;
        (status == 200).then_some(answer)
    })
    .await;
    let before = app.plan().await.unwrap()["plan"].as_u64().unwrap();
    eventually(DEADLINE, "plans go on", async || {
        (app.plan().await?["plan"].as_u64()? > before).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn agents_that_go_quiet_raise_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    has_plan_for_the_shop(&app, &mut Agent::new("a")).await;
    let held = eventually(DEADLINE, "the silence is noticed", async || {
        let plan = app.plan().await?;
        (plan["hold"] == "frozen").then_some(plan["plan"].as_u64()?)
    })
    .await;
    let served = app.poll("shop").await;
    eventually(DEADLINE, "a few plans more", async || {
        (app.plan().await?["plan"].as_u64()? >= held + 3).then_some(())
    })
    .await;
    assert_eq!(app.poll("shop").await, served);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_database_restored_from_a_backup_is_followed() {
    let database = TestDatabase::create().await;
    let flags = ["--interval", "1s", "--database-url", database.url()];
    let app = TestApp::start_with(config(&flags)).await;
    let plan = async || app.plan().await?["plan"].as_u64();
    eventually(DEADLINE, "some plans", async || {
        (plan().await? >= 6).then_some(())
    })
    .await;

    let pool = sqlx::PgPool::connect(database.url()).await.unwrap();
    let go_back = "with kept as (delete from plan where number > 2), \
        kept_bodies as (delete from plan_body where number > 2) \
        update plan_head set (number, published_ms) = \
        (select number, published_ms from plan where number = 2)";
    sqlx::query(go_back).execute(&pool).await.unwrap();
    eventually(DEADLINE, "it is noticed", async || {
        let noticed = "weir_database_went_back_total{what=\"plan\"}";
        (Scrape::of(&app).await.value(noticed) == 1.0).then_some(())
    })
    .await;
    let next = "select min(number) from plan where number > 2";
    let next = eventually(DEADLINE, "the plan after it", async || {
        sqlx::query_scalar::<_, Option<i64>>(next)
            .fetch_one(&pool)
            .await
            .unwrap()
    })
    .await;
    assert!(next > 6, "{next} stands for two plans");
    eventually(DEADLINE, "plans go on", async || {
        plan().await.filter(|number| *number > 6)
    })
    .await;
    pool.close().await;
    app.stop().await;
}

/// The URL names both servers, as docs/postgresql.md says, the one that takes no writes first.
#[tokio::test(flavor = "multi_thread")]
async fn a_standby_that_takes_over_is_found_without_a_restart() {
    let primary = Cluster::start_with_tcp();
    let standby = primary.standby();
    let url = format!(
        "postgres://weir@{},{}/postgres?target_session_attrs=read-write&sslmode=disable",
        standby.host(),
        primary.host()
    );
    let flags = ["--interval", "1s", "--database-url", &url];
    let app = TestApp::start_with(config(&flags)).await;
    let mut agent = Agent::new("a");
    has_plan_for_the_shop(&app, &mut agent).await;
    let epoch = Uuid::new_v4();
    assert_eq!(app.report(&report("b", epoch, 1, 7)).await.0, 200);
    let before = app.plan().await.unwrap()["plan"].as_u64().unwrap();
    // The standby catches up first: what an asynchronous standby may lose is tested elsewhere.
    standby.catches_up_with(&primary).await;
    primary.kill9();
    assert_eq!(app.report(&report("b", epoch, 2, 11)).await.0, 503);
    app.poll("shop").await;

    standby.promote().await;
    for (sequence, offered, result) in [(1, 7, "duplicate"), (2, 11, "counted")] {
        let answer = eventually(DEADLINE, "reports are taken again", async || {
            let sent = report("b", epoch, sequence, offered);
            let (status, answer) = app.report(&sent).await;
            (status == 200).then_some(answer)
        })
        .await;
        assert_eq!(answer["result"], result, "{answer}");
    }
    eventually(DEADLINE, "plans go on", async || {
        if let Some(report) = agent.next(RATES) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        (app.plan().await?["plan"].as_u64()? > before + 1).then_some(())
    })
    .await;
    app.stop().await;
    let store = PostgresStore::connect(&standby.url("postgres"), 1).await;
    let totals = stored_totals(&store.unwrap()).await;
    let name = ("checkout".to_owned(), "POST /cart".to_owned());
    assert_eq!(totals[&name], (18, 0));
}
