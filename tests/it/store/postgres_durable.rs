//! Commits are durable, whatever the server's own settings are.

use std::sync::Arc;
use std::time::Duration;

use uuid::Uuid;
use weir::allocation::{OperationName, ServiceName};
use weir::store::postgres::PostgresStore;
use weir::store::{Admission, ConfigurationWrite, DictionaryLimits, Publication, Store};

use super::plans::{new, plan};
use super::reports::{bucket, report};
use super::{instant, window};
use crate::support::postgres::Cluster;

const LONG: Duration = Duration::from_secs(600);

async fn open(cluster: &Cluster) -> Arc<dyn Store> {
    let store = PostgresStore::connect(&cluster.url("postgres"), 2).await;
    Arc::new(store.unwrap())
}

async fn commit(store: &dyn Store, sequence: u64) -> Admission {
    let batch = [report("a", sequence, vec![bucket(window(0), 1, &[])])];
    store.commit_reports(&batch).await.unwrap()[0]
}

/// The server flushes its log only every ten seconds by itself, so that a commit that did not wait
/// for the flush is lost if the server is killed.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_acknowledged_outlives_a_crash_though_synchronous_commit_is_off() {
    let cluster = Cluster::start();
    let careless = [
        "alter system set synchronous_commit = off",
        "alter system set wal_writer_delay = '10s'",
    ];
    cluster.execute("postgres", &careless).await;
    cluster.stop();
    cluster.restart();
    let crashed = async || {
        cluster.kill9();
        cluster.restart();
        open(&cluster).await
    };
    let store = open(&cluster).await;
    assert_eq!(commit(&*store, 1).await, Admission::Counted);

    let store = crashed().await;
    assert_eq!(commit(&*store, 1).await, Admission::Duplicate, "a report");
    let names = [(
        ServiceName::parse("shop").unwrap(),
        OperationName::parse("GET /").unwrap(),
    )];
    let limits = DictionaryLimits {
        services: 9,
        operations_per_service: 9,
        operations: 9,
    };
    store.add_names(&names, limits).await.unwrap();

    let store = crashed().await;
    let page = store.read_dictionary(None, None).await;
    assert_eq!(page.unwrap().entries.len(), 3, "names");
    let first = store.create_configuration("1", instant(0)).await.unwrap();

    let store = crashed().await;
    assert_eq!(store.configuration().await.unwrap(), first);
    let written = store
        .write_configuration(1, "2", "a test", instant(1), None, None)
        .await
        .unwrap();
    let ConfigurationWrite::Written(second) = written else {
        panic!("{written:?}");
    };

    let store = crashed().await;
    assert_eq!(store.configuration().await.unwrap(), second);
    let holder = Uuid::from_u128(1);
    let lease = store.acquire_lease("leader", holder, LONG).await.unwrap();

    let store = crashed().await;
    let other = Uuid::from_u128(2);
    let taken = store.acquire_lease("leader", other, LONG).await.unwrap();
    assert_eq!(taken.term, None, "the lease");
    let published = plan(1, lease.term.unwrap());
    let outcome = store.publish_plan(new(&published)).await.unwrap();
    assert_eq!(outcome, Publication::Published);

    let store = crashed().await;
    let current = store.current_plan().await.unwrap();
    assert_eq!(current.map(|plan| plan.body), Some(published.body));
}

/// `local` waits for the local disk and not for the standbys; `on` would wait forever.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_level_that_an_operator_chose_is_left() {
    let cluster = Cluster::start();
    let local = [
        "alter system set synchronous_commit = local",
        "alter system set synchronous_standby_names = 'nobody'",
        "select pg_reload_conf()",
    ];
    cluster.execute("postgres", &local).await;
    let store = open(&cluster).await;
    assert_eq!(commit(&*store, 1).await, Admission::Counted);
}
