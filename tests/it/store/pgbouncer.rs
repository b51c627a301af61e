//! Through PgBouncer, where each transaction may run in another session.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection};
use weir::allocation::{OperationName, ServiceName};
use weir::store::postgres::{PostgresSettings, PostgresStore, PreparedStatements, UrlSource};
use weir::store::{Admission, DictionaryLimits, Store, StoreError};

use super::reports::{bucket, report};
use super::window;
use crate::support::app::{Agent, TestApp, config};
use crate::support::pooler::{Pooler, keeps_prepared_statements};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;
use crate::support::stored::ReadWhole;

const DEADLINE: Duration = Duration::from_secs(30);

/// More tasks than the pooler has connections, so that they change sessions constantly.
const TASKS: u64 = 8;
const EACH: u64 = 25;

const LIMITS: DictionaryLimits = DictionaryLimits {
    services: 100,
    operations_per_service: 100,
    operations: 1000,
};

/// Everything that an agent's task does, repeatedly.
async fn work(store: Arc<dyn Store>, task: u64) {
    let agent = format!("agent-{task}");
    for sequence in 1..=EACH {
        let batch = [report(&agent, sequence, vec![bucket(window(0), task, &[])])];
        let answer = store.commit_reports(&batch).await.unwrap();
        assert_eq!(answer, [Admission::Counted]);
        let service = ServiceName::parse(&agent).unwrap();
        let operation = OperationName::parse(&format!("operation {sequence}")).unwrap();
        store
            .add_names(&[(service, operation)], LIMITS)
            .await
            .unwrap();
        assert_eq!(store.current_plan_mark().await.unwrap(), None);
    }
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn replicas_that_share_few_sessions_mix_nothing_up() {
    let cluster = Cluster::start();
    let pooler = Pooler::start(&cluster, "transaction", 3);
    // Another spelling that people use to turn off prepared statements; it means the same.
    let uncached = pooler.url("postgres") + "?statement-cache-capacity=0";
    let mut stores: Vec<Arc<dyn Store>> = Vec::new();
    for url in [pooler.url("postgres"), uncached] {
        stores.push(Arc::new(PostgresStore::connect(&url, 4).await.unwrap()));
    }
    let tasks = (0..TASKS).map(|task| work(Arc::clone(&stores[task as usize % 2]), task));
    join_all(tasks).await;

    let direct = PostgresStore::connect(&cluster.url("postgres"), 2)
        .await
        .unwrap();
    let deltas = direct
        .read_deltas(window(0).start..window(1).start)
        .await
        .unwrap();
    let mut agents = std::collections::BTreeMap::new();
    for report in deltas.iter().flat_map(|delta| &delta.reports) {
        *agents.entry(report.agent.0).or_insert(0) += report.span.milliseconds();
    }
    let expected = (0..TASKS).map(|task| (task, EACH as i64 * window(0).milliseconds()));
    assert_eq!(agents, expected.collect());
    let names = stores[0].read_dictionary(None, None).await.unwrap();
    // The overflow service and every service has an overflow entry.
    assert_eq!(names.entries.len() as u64, 1 + TASKS * (1 + EACH));
    for store in stores {
        store.close().await;
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn weir_starts_serves_and_plans_through_it() {
    let cluster = Cluster::start();
    let pooler = Pooler::start(&cluster, "transaction", 2);
    let url = pooler.url("postgres");
    let app = TestApp::start_with(config(&["--interval", "1s", "--database-url", &url])).await;
    let mut agent = Agent::new("a");
    eventually(DEADLINE, "a plan that lists the operation", async || {
        if let Some(report) = agent.next(&[("shop", &[("GET /", 500.0)])]) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let body = app.poll("shop").await;
        let listed = body["operationSampling"]["perOperationStrategies"].as_array()?;
        (listed.len() == 1).then_some(())
    })
    .await;
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_ends_behind_it() {
    let cluster = Cluster::start();
    let pooler = Pooler::start(&cluster, "transaction", 4);
    let store = PostgresStore::connect(&pooler.url("postgres"), 2)
        .await
        .unwrap();
    let store = Arc::new(store);
    let mut operator = PgConnection::connect(&cluster.url("postgres"))
        .await
        .unwrap();
    let mut holder = PgConnection::connect(&cluster.url("postgres"))
        .await
        .unwrap();
    sqlx::raw_sql("begin; lock table plan_head in access exclusive mode")
        .execute(&mut holder)
        .await
        .unwrap();
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.current_plan_mark().await }
    });
    let mut waits = async |count: i64| {
        eventually(DEADLINE, "so many wait", async || {
            let waiting = "select count(*) from pg_stat_activity
                where wait_event_type = 'Lock' and query like '%plan_head%'";
            let found: i64 = sqlx::query_scalar(AssertSqlSafe(waiting))
                .fetch_one(&mut operator)
                .await
                .unwrap();
            (found == count).then_some(())
        })
        .await;
    };
    waits(1).await;
    waiting.abort();
    waits(0).await;
    sqlx::raw_sql("rollback")
        .execute(&mut holder)
        .await
        .unwrap();
    assert_eq!(store.current_plan_mark().await.unwrap(), None);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_pool_of_statements_is_refused_with_the_way_out() {
    let cluster = Cluster::start();
    let pooler = Pooler::start(&cluster, "statement", 2);
    let error = PostgresStore::connect(&pooler.url("postgres"), 2)
        .await
        .unwrap_err();
    assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
    let said = weir::telemetry::logging::chain(&error);
    assert!(said.contains("set pool_mode to transaction"), "{said}");
}

/// Old versions fail with an error that says what to do; from 1.21 on it works.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn statements_are_kept_prepared_where_the_pooler_can() {
    let cluster = Cluster::start();
    let pooler = Pooler::start(&cluster, "transaction", 1);
    let settings = |prepared| PostgresSettings {
        url: UrlSource::Text(pooler.url("postgres")),
        connections: 2,
        prepared,
    };
    let one = PostgresStore::open(settings(PreparedStatements::On)).await;
    let two = PostgresStore::open(settings(PreparedStatements::On)).await;
    if keeps_prepared_statements() {
        let stores: [Arc<dyn Store>; 2] = [Arc::new(one.unwrap()), Arc::new(two.unwrap())];
        let tasks = (0..TASKS).map(|task| work(Arc::clone(&stores[task as usize % 2]), task));
        join_all(tasks).await;
        for store in stores {
            store.close().await;
        }
    } else {
        let refused = [one, two].into_iter().find_map(Result::err);
        let refused = refused.expect("one has the other's statements");
        let said = weir::telemetry::logging::chain(&refused);
        assert!(said.contains("--database-prepared-statements"), "{said}");
    }
}
