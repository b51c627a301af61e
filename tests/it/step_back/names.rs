//! A restore takes names back under running replicas, and their numbers go to others.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use weir::allocation::{OperationName, ServiceName, Timestamp, Window};
use weir::clock::{Clock, SystemClock};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::postgres::PostgresStore;
use weir::store::{DictionaryLimits, HistoryRow, Store, WriteFormat};

use super::{Agent, DEADLINE};
use crate::support::app::{TestApp, config};
use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;
use crate::support::stored::ReadWhole;

/// The counts of an operation's history at a replica.
async fn offered(app: &TestApp, service: &str, operation: &str) -> Vec<u64> {
    let path = format!("/v1/services/{service}/history?operation={operation}");
    let (status, history) = app.admin_get(&path).await;
    assert_eq!(status, 200, "{history}");
    let points = history["points"].as_array().expect("points").iter();
    points
        .map(|point| point["offered"].as_u64().expect("a count"))
        .collect()
}

/// Takes everything back that is known of the last name added, as a restore of an older state does.
const FORGET_THE_LAST_NAME: &str = "\
    delete from dictionary_chain where incarnation = (select incarnation from dictionary);
    delete from operation where name = '/pay';
    update service set operations = operations - 1 where name = 'shop';
    update dictionary
    set next_operation_id = next_operation_id - 1, operations = operations - 1;
    delete from delta;
    delete from history";

async fn forget_the_last_name(session: &mut PgConnection) {
    let forget = AssertSqlSafe(format!("{FORGET_THE_LAST_NAME};commit"));
    sqlx::raw_sql(forget).execute(session).await.unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn a_plan_that_waits_while_its_names_are_lost_is_computed_again() {
    let database = TestDatabase::create().await;
    let flags = ["--interval", "1s", "--database-url", database.url()];
    let app = TestApp::start_with(config(&flags)).await;
    // A report may be spread over two windows.
    let counted = async |operation: &str, requests: u64| {
        eventually(DEADLINE, "plans with all counts", async || {
            let counted = offered(&app, "shop", operation).await;
            let sum: u64 = counted.iter().sum();
            (sum >= requests).then_some(sum)
        })
        .await
    };
    let mut kept = Agent::of("agent-kept", "shop", "/kept");
    kept.send(&app, 5).await;
    let mut lost = Agent::of("agent-lost", "shop", "/pay");
    lost.send(&app, 1000).await;
    counted("/pay", 1000).await;

    // The next plan waits for its turn to be published, and meanwhile its names are lost.
    let mut session = PgConnection::connect(database.url()).await.unwrap();
    let lock = "begin; lock table plan_head in share mode";
    sqlx::raw_sql(lock).execute(&mut session).await.unwrap();
    let waits = "select count(*) from pg_locks \
        where relation = 'plan_head'::regclass and not granted";
    eventually(DEADLINE, "a plan waits to be published", async || {
        let waiting = sqlx::query_scalar::<_, i64>(waits).fetch_one(&mut session);
        (waiting.await.unwrap() == 1).then_some(())
    })
    .await;
    forget_the_last_name(&mut session).await;

    let refused = "weir_plans_total{outcome=\"other_names\"}";
    eventually(DEADLINE, "the plan is refused", async || {
        (Scrape::of(&app).await.value(refused) == 1.0).then_some(())
    })
    .await;
    // The number of the name that was lost goes to another one.
    let mut new = Agent::of("agent-new", "shop", "/find");
    new.send(&app, 7).await;
    assert_eq!(counted("/find", 7).await, 7);
    session.close().await.unwrap();
    app.stop().await;
}

/// Adds an operation to the service, and a window in which it had requests.
async fn add_with_history(store: &PostgresStore, operation: &str, offered: u64) {
    let names = [(
        ServiceName::parse("shop").unwrap(),
        OperationName::parse(operation).unwrap(),
    )];
    let limits = DictionaryLimits {
        services: 10,
        operations_per_service: 10,
        operations: 10,
    };
    store.add_names(&names, limits).await.unwrap();
    let page = store.read_dictionary(None, None).await.unwrap();
    let mut entries = page.entries.iter();
    let added = entries.find(|entry| entry.operation_name.as_str() == operation);
    let counted = HistoryOperation {
        operation: added.expect("it was added").operation,
        offered,
        sampled: Some(0),
        probability: None,
    };
    let minute = SystemClock.timestamp().0 - 60_000;
    let row = HistoryRow {
        window: Window::aligned(Timestamp(minute), 60_000),
        payload: history_codec::encode(&[counted], WriteFormat::Newest),
    };
    store
        .settle(std::slice::from_ref(&row), row.window.start)
        .await
        .unwrap();
}

#[tokio::test(flavor = "multi_thread")]
async fn history_is_not_shown_under_a_name_whose_number_is_anothers() {
    let database = TestDatabase::create().await;
    // No plan is due, so nothing else reads the names again.
    let flags = ["--interval", "1h", "--database-url", database.url()];
    let app = TestApp::start_with(config(&flags)).await;
    Agent::of("agent-kept", "shop", "/kept").send(&app, 5).await;
    Agent::of("agent-lost", "shop", "/pay").send(&app, 9).await;
    let mut session = PgConnection::connect(database.url()).await.unwrap();
    sqlx::raw_sql("begin").execute(&mut session).await.unwrap();
    forget_the_last_name(&mut session).await;
    let store = PostgresStore::connect(database.url(), 2).await.unwrap();
    add_with_history(&store, "/find", 7).await;

    let lost = "/v1/services/shop/history?operation=/pay";
    let (status, answer) = app.admin_get(lost).await;
    assert_eq!(status, 503, "{answer}");
    assert_eq!(app.admin_get(lost).await.0, 404);
    assert_eq!(offered(&app, "shop", "/find").await, [7]);
    store.close().await;
    session.close().await.unwrap();
    app.stop().await;
}
