//! What a replica does with what it cannot read: plans, counts and configurations that a newer Weir
//! wrote, or that are damaged.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::{Value, json};
use sqlx::{AssertSqlSafe, Connection, SqliteConnection};
use weir::clock::{Clock, SystemClock};
use weir::store::Store;
use weir::store::sqlite::SqliteStore;

use crate::support::agents::{Agents, Behaviour};
use crate::support::app::TestApp;
use crate::support::client::{Client, Count};
use crate::support::process::{WeirCommand, WeirProcess, eventually};
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);
const SERVICE: &str = "checkout";
const OPERATION: &str = "GET /";

fn command(directory: &Path) -> WeirCommand {
    WeirProcess::command()
        .flag("--interval", "1s")
        .flag("--data-dir", directory)
}

/// Traffic of which a small part fits the budget.
fn agents(weir: &WeirProcess) -> Agents {
    let every = Duration::from_millis(100);
    let count = || Count {
        service: SERVICE.to_owned(),
        operation: OPERATION.to_owned(),
        offered: 1000,
        sampled: 1,
    };
    let behaviour = Behaviour {
        agents: 2,
        every: Some(every),
        window: every,
        repeated: 0.0,
        counts: Arc::new(move |_| vec![count()]),
    };
    Agents::start(behaviour, vec![weir.sdk_url().to_owned()])
}

async fn execute(directory: &Path, statement: &str) -> u64 {
    let file = format!("sqlite://{}/weir.db", directory.display());
    let mut connection = SqliteConnection::connect(&file).await.unwrap();
    let statement = AssertSqlSafe(statement.to_owned());
    let done = sqlx::query(statement).execute(&mut connection).await;
    done.unwrap().rows_affected()
}

/// Waits for a plan after a number that lists the operation; gives its number and what is served.
async fn listed_after(weir: &WeirProcess, plan: u64) -> (u64, f64) {
    let client = Client::of(weir);
    eventually(DEADLINE, "a newer plan", async || {
        let strategy = client.strategy(SERVICE).await?;
        let served = strategy.listed(OPERATION)?;
        (strategy.plan > plan).then_some((strategy.plan, served))
    })
    .await
}

async fn scraped(weir: &WeirProcess, series: &str) -> Option<f64> {
    Some(Scrape::of_process(weir).await?.value(series))
}

/// Runs until some plans are there, and leaves; gives the last one served and its probability.
async fn some_plans(directory: &Path) -> (u64, f64) {
    let weir = command(directory).start().await;
    let mut agents = agents(&weir);
    let first = listed_after(&weir, 0).await.0;
    let last = listed_after(&weir, first + 4).await;
    agents.finish().await;
    weir.terminate().await;
    last
}

/// Makes the bodies of the plans after a number those of a newer Weir.
async fn newer_bodies(directory: &Path, after: u64) {
    let newer =
        format!("update plan_body set body = cast(x'c8' || body as blob) where number > {after}");
    assert!(execute(directory, &newer).await > 0);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_goes_on_from_the_newest_plan_it_can_read() {
    let directory = tempfile::tempdir().unwrap();
    let (last, served) = some_plans(directory.path()).await;
    newer_bodies(directory.path(), last - 1).await;
    let weir = command(directory.path()).start().await;
    // At once, before any plan of its own.
    let strategy = Client::of(&weir).strategy(SERVICE).await.unwrap();
    let at_once = strategy
        .listed(OPERATION)
        .expect("it is known from the start");
    assert!(at_once <= 4.0 * served, "{at_once}, and {served} before");
    let _agents = agents(&weir);
    let head = last_plan(directory.path()).await;
    let (plan, probability) = listed_after(&weir, head).await;
    assert!(plan > last && probability < 0.5, "{plan}: {probability}");
    let said = weir.logged("the current plan cannot be read; the newest one that can");
    assert_eq!(said.len(), 1, "{said:?}");
    assert!(
        said[0].contains("plan_body.body has format 200"),
        "{said:?}"
    );
    let readable = eventually(DEADLINE, "it can read its own", async || {
        scraped(&weir, "weir_plan_unreadable").await
    });
    assert_eq!(readable.await, 0.0);
}

async fn last_plan(directory: &Path) -> u64 {
    let store = SqliteStore::open(&directory.join("weir.db")).await.unwrap();
    store.current_plan_mark().await.unwrap().unwrap().number
}

#[tokio::test(flavor = "multi_thread")]
async fn a_start_without_any_readable_plan_begins_anew_above_them() {
    let directory = tempfile::tempdir().unwrap();
    let (last, _) = some_plans(directory.path()).await;
    newer_bodies(directory.path(), 0).await;
    let weir = command(directory.path()).start().await;
    let strategy = Client::of(&weir).strategy(SERVICE).await.unwrap();
    let at_once = strategy.probability(OPERATION);
    assert!(at_once <= 0.001, "{at_once} of what nobody knows");
    let _agents = agents(&weir);
    let (plan, probability) = listed_after(&weir, last).await;
    assert!(plan > last && probability < 0.5, "{plan}: {probability}");
}

#[tokio::test(flavor = "multi_thread")]
async fn counts_in_a_newer_format_are_left_out_and_nothing_is_raised() {
    let directory = tempfile::tempdir().unwrap();
    let weir = command(directory.path()).start().await;
    let _agents = agents(&weir);
    let (mut plan, _) = listed_after(&weir, 0).await;
    let newer = "update delta set payload = x'c8' where rowid % 2 = 0 and payload <> x'c8'";
    eventually(DEADLINE, "a plan without them", async || {
        execute(directory.path(), newer).await;
        let series = "weir_database_errors_total{call=\"read_deltas\",kind=\"newer_format\"}";
        let errors = scraped(&weir, series).await?;
        let held = scraped(&weir, "weir_hold{hold=\"none\"}").await?;
        (errors > 0.0 && held == 0.0).then_some(())
    })
    .await;
    for _ in 0..3 {
        execute(directory.path(), newer).await;
        plan = listed_after(&weir, plan).await.0;
    }
    let kept = "delete from delta where payload = x'c8'";
    execute(directory.path(), kept).await;
    eventually(DEADLINE, "plans without a hold", async || {
        (scraped(&weir, "weir_hold{hold=\"none\"}").await? == 1.0).then_some(())
    })
    .await;
}

#[tokio::test]
async fn a_newer_configuration_is_shown_as_it_is_and_replaced() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let file = directory.path().join("weir.db");
    let store = SqliteStore::open(&file).await.unwrap();
    let newer = r#"{"budget":{"traces_per_second":5,"burst":9}}"#;
    let written = store.write_configuration(1, newer, "a test", SystemClock.now(), None, None);
    written.await.unwrap();

    let raw: Value = serde_json::from_str(newer).unwrap();
    for path in ["/v1/configuration", "/v1/configuration/revisions/2"] {
        assert_eq!(app.admin_get(path).await, (200, raw.clone()), "{path}");
    }
    let shown = app.client.get(format!("{}/v1/configuration", app.admin));
    let tag = shown.send().await.unwrap().headers()["etag"].clone();
    let wanted = json!({ "budget": { "traces_per_second": 7 } });
    let put = app.client.put(format!("{}/v1/configuration", app.admin));
    let put = put
        .header("If-Match", tag)
        .json(&wanted)
        .send()
        .await
        .unwrap();
    assert_eq!(put.status(), 200, "{:?}", put.text().await);
    let (status, budget) = app.admin_get("/v1/budget").await;
    assert_eq!(
        (status, &budget["traces_per_second"]),
        (200, &json!(7.0)),
        "{budget}"
    );
    app.stop().await;
}
