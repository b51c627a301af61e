//! How PostgreSQL's schema is migrated.

use std::time::Duration;

use sqlx::{Connection, PgConnection};
use weir::store::Store;
use weir::store::postgres::PostgresStore;

use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// A migration that cannot get a lock gives up and tries again: otherwise later sessions would
/// queue behind it for as long as another transaction holds the lock.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_start_does_not_queue_behind_a_long_lock() {
    let database = TestDatabase::create().await;
    let store = PostgresStore::connect(database.url(), 1).await.unwrap();
    store.close().await;
    let mut blocker = PgConnection::connect(database.url()).await.unwrap();
    // As the previous release left a database.
    let older = "drop table settlement, compatibility;
        delete from _sqlx_migrations where version = 5";
    let locked = "begin; lock table _sqlx_migrations in exclusive mode";
    for statements in [older, locked] {
        sqlx::raw_sql(statements)
            .execute(&mut blocker)
            .await
            .unwrap();
    }

    let url = database.url().to_owned();
    let start = tokio::spawn(async move { PostgresStore::connect(&url, 2).await });
    let mut watch = PgConnection::connect(database.url()).await.unwrap();
    let mut waits = async || -> bool {
        let waiting = sqlx::query_scalar(
            "select exists (
                select from pg_locks
                where not granted and relation = '_sqlx_migrations'::regclass
            )",
        );
        waiting.fetch_one(&mut watch).await.unwrap()
    };
    for waiting in [true, false, true] {
        eventually(DEADLINE, "it waits and lets go in turn", async || {
            assert!(!start.is_finished(), "nothing has changed yet");
            (waits().await == waiting).then_some(())
        })
        .await;
    }
    sqlx::raw_sql("commit").execute(&mut blocker).await.unwrap();
    let store = start.await.unwrap().unwrap();
    assert_eq!(store.settled_until().await.unwrap(), None);
}
