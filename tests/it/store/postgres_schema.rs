//! What Weir does where the database's tables, rights or settings are not what it relies on.

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;
use weir::allocation::{OperationName, ServiceName};
use weir::store::postgres::PostgresStore;
use weir::store::{DictionaryLimits, HistoryRow, Store};

use super::reports::{bucket, report};
use super::{instant, window};
use crate::support::postgres::TestDatabase;

async fn execute(url: &str, statement: &str) {
    let mut connection = PgConnection::connect(url).await.unwrap();
    let statement = AssertSqlSafe(statement.to_owned());
    let done = sqlx::raw_sql(statement).execute(&mut connection).await;
    done.unwrap();
    connection.close().await.unwrap();
}

/// As in the middle of a restore, which adds the keys last: rows that were taken now would stand
/// twice in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_its_key_takes_no_rows() {
    let database = TestDatabase::create().await;
    let store = PostgresStore::connect(database.url(), 2).await.unwrap();
    store.create_configuration("1", instant(0)).await.unwrap();
    let history = [HistoryRow {
        window: window(0),
        payload: vec![1],
    }];
    store.write_history(&history).await.unwrap();
    for table in ["mark", "configuration", "history", "lease", "operation"] {
        let drop = format!("alter table {table} drop constraint {table}_pkey");
        execute(database.url(), &drop).await;
    }
    let batch = [report("a", 1, vec![bucket(window(0), 1, &[])])];
    for _ in 0..2 {
        store.commit_reports(&batch).await.unwrap_err();
        let next = store.write_configuration(1, "2", instant(1)).await;
        next.unwrap_err();
        store.write_history(&history).await.unwrap_err();
        let holder = Uuid::from_u128(1);
        let lease = store.acquire_lease("leader", holder, std::time::Duration::from_secs(9));
        lease.await.unwrap_err();
        let names = [(
            ServiceName::parse("shop").unwrap(),
            OperationName::parse("GET /").unwrap(),
        )];
        let limits = DictionaryLimits {
            services: 9,
            operations_per_service: 9,
            operations: 9,
        };
        store.add_names(&names, limits).await.unwrap_err();
    }
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let rows: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from mark), (select count(*) from configuration),
            (select count(*) from history), (select count(*) from lease),
            (select count(*) from operation)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(rows, (0, 1, 1, 0, 1));
}
