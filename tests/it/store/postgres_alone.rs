//! What only the PostgreSQL backend guarantees.

use std::error::Error;

use sqlx::{Connection, PgConnection};
use weir::store::postgres::PostgresStore;
use weir::store::{Admission, Store, StoreError};

use super::reports::{bucket, report};
use super::window;
use crate::support::postgres::{Cluster, TestDatabase};

/// Everything that an error prints, for people and in logs.
fn everything(error: &StoreError) -> String {
    let mut text = format!("{error} {error:?}");
    let mut source = error.source();
    while let Some(error) = source {
        text += &format!(" {error} {error:?}");
        source = error.source();
    }
    text
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_replicas_start_at_once_on_an_empty_database() {
    let database = TestDatabase::create().await;
    let starting: Vec<_> = (0..8)
        .map(|_| {
            let url = database.url().to_owned();
            tokio::spawn(async move { PostgresStore::connect(&url, 2).await.unwrap() })
        })
        .collect();
    for replica in starting {
        let store = replica.await.unwrap();
        assert_eq!(store.current_plan_mark().await.unwrap(), None);
    }
}

#[tokio::test]
async fn every_table_and_column_is_commented() {
    let database = TestDatabase::create().await;
    PostgresStore::connect(database.url(), 1).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let silent: Vec<String> = sqlx::query_scalar(
        "select c.relname || coalesce('.' || a.attname, '')
        from pg_class as c
        left join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and not c.relispartition and c.relname <> '_sqlx_migrations'
            and (col_description(c.oid, a.attnum) is null
                or obj_description(c.oid, 'pg_class') is null)",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert_eq!(silent, Vec::<String>::new());
}

#[tokio::test]
async fn no_error_holds_the_url() {
    let unreachable = "postgres://weir:hush-hush@127.0.0.1:1/weir";
    let malformed = [
        "postgres://weir:hush-hush@127.0.0.1:not-a-port/weir",
        "postgres://weir:hush-hush@127.0.0.1/weir?sslmode=never",
    ];
    let error = PostgresStore::connect(unreachable, 1).await.unwrap_err();
    assert!(matches!(error, StoreError::Unavailable { .. }), "{error:?}");
    assert!(
        !everything(&error).contains("hush"),
        "{}",
        everything(&error)
    );
    for url in malformed {
        let error = PostgresStore::connect(url, 1).await.unwrap_err();
        assert!(matches!(error, StoreError::Failed { .. }), "{error:?}");
        assert!(
            !everything(&error).contains("hush"),
            "{}",
            everything(&error)
        );
    }
}

/// The server is killed while everything is running; acknowledged reports are there when it is
/// back, and the store reconnects without being opened again.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn it_outlives_its_server() {
    let cluster = Cluster::start_with_tcp();
    let store = PostgresStore::connect(&cluster.tcp_url("postgres"), 4)
        .await
        .unwrap();
    let counts = |sequence| [report("a", sequence, vec![bucket(window(0), 1, &[])])];
    let answer = store.commit_reports(&counts(1)).await.unwrap();
    assert_eq!(answer, [Admission::Counted]);
    cluster.kill9();
    let lost = store.commit_reports(&counts(2)).await;
    assert!(
        matches!(lost, Err(StoreError::Unavailable { .. })),
        "{lost:?}"
    );
    cluster.restart();
    let mut answer = store.commit_reports(&counts(1)).await;
    // The pool may still hold connections from before; each fails once.
    for _ in 0..4 {
        if matches!(answer, Err(StoreError::Unavailable { .. })) {
            answer = store.commit_reports(&counts(1)).await;
        }
    }
    assert_eq!(answer.unwrap(), [Admission::Duplicate]);
    cluster.stop();
    let away = store.current_plan_mark().await;
    assert!(
        matches!(away, Err(StoreError::Unavailable { .. })),
        "{away:?}"
    );
}
