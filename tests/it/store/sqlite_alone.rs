//! What only the SQLite backend guarantees.

use std::os::unix::fs::PermissionsExt;

use sqlx::Connection;
use weir::store::sqlite::SqliteStore;
use weir::store::{Store, StoreError};

use super::postgres_schema::unsound;

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn eight_handles_open_an_empty_file_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    let opening: Vec<_> = (0..8)
        .map(|_| {
            let path = path.clone();
            tokio::spawn(async move { SqliteStore::open(&path).await.unwrap() })
        })
        .collect();
    for handle in opening {
        let store = handle.await.unwrap();
        assert_eq!(store.current_plan_mark().await.unwrap(), None);
    }
}

#[tokio::test]
async fn its_files_are_for_their_owner_alone() {
    let folder = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&folder.path().join("weir.db"))
        .await
        .unwrap();
    store
        .create_configuration("{}", super::instant(0))
        .await
        .unwrap();
    let mut files = 0;
    for file in std::fs::read_dir(folder.path()).unwrap() {
        let file = file.unwrap();
        assert_eq!(
            file.metadata().unwrap().permissions().mode() & 0o777,
            0o600,
            "{file:?}"
        );
        files += 1;
    }
    assert!(files >= 2, "the log is not beside the file");
}

#[tokio::test]
async fn what_cannot_be_opened_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let nowhere = folder.path().join("missing").join("weir.db");
    let outcome = SqliteStore::open(&nowhere).await;
    assert!(
        matches!(outcome, Err(StoreError::Failed { .. })),
        "{outcome:?}"
    );
    let text = folder.path().join("text");
    std::fs::write(
        &text,
        "this is no database, though it is long enough to be one".repeat(100),
    )
    .unwrap();
    let outcome = SqliteStore::open(&text).await;
    assert!(
        matches!(outcome, Err(StoreError::Failed { .. })),
        "{outcome:?}"
    );
}

/// As in a file that was created from a dump of the rows only: such a table accepts a row twice.
#[tokio::test]
async fn a_file_whose_keys_are_gone_is_refused() {
    let folder = tempfile::tempdir().unwrap();
    let path = folder.path().join("weir.db");
    let store = SqliteStore::open(&path).await.unwrap();
    let file = format!("sqlite://{}", path.display());
    let mut connection = sqlx::SqliteConnection::connect(&file).await.unwrap();
    for (table, key) in [("mark", "agent, epoch"), ("lease", "name")] {
        let rows = format!("create table {table}_rows as select * from {table}");
        let names = format!(
            "alter table {table} rename to {table}_whole; \
             alter table {table}_rows rename to {table}"
        );
        for statement in [rows, names] {
            let damage = sqlx::raw_sql(sqlx::AssertSqlSafe(statement));
            damage.execute(&mut connection).await.unwrap();
        }
        let named = format!("table {table} is missing or has no primary key or unique index");
        let why = unsound(store.inspect().await);
        assert!(why.contains(&named), "{why}");
        let why = unsound(SqliteStore::open(&path).await);
        assert!(why.contains(&format!("on ({key})")), "{why}");
        let repair = format!("drop table {table}; alter table {table}_whole rename to {table}");
        let repair = sqlx::raw_sql(sqlx::AssertSqlSafe(repair));
        repair.execute(&mut connection).await.unwrap();
        store.inspect().await.unwrap();
    }
}
