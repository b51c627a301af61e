//! What Weir does if the database's tables or settings are not as it requires.

use std::sync::Arc;
use std::time::Duration;

use sqlx::{AssertSqlSafe, Connection, PgConnection};
use uuid::Uuid;
use weir::allocation::{OperationName, ServiceName};
use weir::store::postgres::PostgresStore;
use weir::store::{Admission, DictionaryLimits, HistoryRow, Publication, Store, StoreError};

use super::reports::{bucket, report};
use super::{instant, window};
use crate::support::postgres::{Cluster, TestDatabase};
use crate::support::stored::ReadWhole;

async fn execute(connection: &mut PgConnection, statement: &str) {
    let text = AssertSqlSafe(statement.to_owned());
    let done = sqlx::raw_sql(text).execute(connection).await;
    done.unwrap_or_else(|error| panic!("{statement}: {error}"));
}

/// Why the database is refused; panics if it is accepted.
pub fn unsound<T: std::fmt::Debug>(outcome: Result<T, StoreError>) -> String {
    match outcome {
        Err(StoreError::Unsound { why }) => why,
        other => panic!("it should be refused: {other:?}"),
    }
}

/// As in the middle of a restore, which adds the keys last: rows inserted now would be duplicated
/// in the end.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_table_without_its_key_takes_no_rows() {
    let database = TestDatabase::create().await;
    let store = PostgresStore::connect(database.url(), 2).await.unwrap();
    store.create_configuration("1", instant(0)).await.unwrap();
    let history = [HistoryRow {
        window: window(0),
        payload: vec![1],
    }];
    store.settle(&history, window(1).start).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    for table in ["mark", "configuration", "history", "lease", "operation"] {
        let drop = format!("alter table {table} drop constraint {table}_pkey");
        execute(&mut connection, &drop).await;
    }
    let batch = [report("a", 1, vec![bucket(window(0), 1, &[])])];
    let names = [(
        ServiceName::parse("shop").unwrap(),
        OperationName::parse("GET /").unwrap(),
    )];
    let limits = DictionaryLimits {
        services: 9,
        operations_per_service: 9,
        operations: 9,
    };
    for _ in 0..2 {
        store.commit_reports(&batch).await.unwrap_err();
        let next = store
            .write_configuration(1, "2", "a test", instant(1), None, None)
            .await;
        next.unwrap_err();
        store.settle(&history, window(1).start).await.unwrap_err();
        let holder = Uuid::from_u128(1);
        let lease = store.acquire_lease("leader", holder, Duration::from_secs(9));
        lease.await.unwrap_err();
        store.add_names(&names, limits).await.unwrap_err();
    }
    let rows: (i64, i64, i64, i64, i64) = sqlx::query_as(
        "select (select count(*) from mark), (select count(*) from configuration),
            (select count(*) from history), (select count(*) from lease),
            (select count(*) from operation)",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    assert_eq!(rows, (0, 1, 1, 0, 1));
    let why = unsound(store.inspect().await);
    assert!(why.contains("table mark has no valid primary key"), "{why}");
}

/// Drops each column and each index that the migrations create, one after the other.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn everything_that_the_migrations_make_is_checked() {
    let database = TestDatabase::create().await;
    let store = PostgresStore::connect(database.url(), 2).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let columns: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, a.attname::text
        from pg_class as c
        join pg_attribute as a on a.attrelid = c.oid and a.attnum > 0
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and not c.relispartition and c.relname <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(columns.len() > 40, "{columns:?}");
    for (table, column) in columns {
        let rename = |from: &str, to: &str| {
            format!("alter table {table} rename column \"{from}\" to \"{to}\"")
        };
        execute(&mut connection, &rename(&column, "gone")).await;
        let why = unsound(store.inspect().await);
        assert!(why.contains(&format!("table {table} ")), "{why}");
        execute(&mut connection, &rename("gone", &column)).await;
    }
    let indexes: Vec<(String, String)> = sqlx::query_as(
        "select c.relname::text, i.indexrelid::regclass::text
        from pg_class as c
        join pg_index as i on i.indrelid = c.oid
        where c.relnamespace = 'public'::regnamespace and c.relkind in ('r', 'p')
            and not c.relispartition and c.relname <> '_sqlx_migrations'",
    )
    .fetch_all(&mut connection)
    .await
    .unwrap();
    assert!(indexes.len() > 10, "{indexes:?}");
    for (table, index) in indexes {
        // The state of a partitioned table's index until each partition has its own.
        let valid = |valid| {
            format!(
                "update pg_index set indisvalid = {valid} where indexrelid = '{index}'::regclass"
            )
        };
        execute(&mut connection, &valid(false)).await;
        let why = unsound(store.inspect().await);
        assert!(
            why.contains(&format!("table {table} has no valid")),
            "{why}"
        );
        execute(&mut connection, &valid(true)).await;
    }
    store.inspect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_broken_restore_leaves_is_named() {
    let database = TestDatabase::create().await;
    let store = PostgresStore::connect(database.url(), 2).await.unwrap();
    let batch = [report("a", 1, vec![bucket(window(0), 1, &[])])];
    store.commit_reports(&batch).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    let partition: String = sqlx::query_scalar(
        "select inhrelid::regclass::text from pg_inherits where inhparent = 'delta'::regclass",
    )
    .fetch_one(&mut connection)
    .await
    .unwrap();
    let detach = format!("alter table delta detach partition {partition}");
    let attach = "alter table delta attach partition";
    let hour: i64 = partition.trim_start_matches("delta_p").parse().unwrap();
    let (start, end) = (hour * 3_600_000, (hour + 1) * 3_600_000);
    let attach = format!("{attach} {partition} for values from ({start}) to ({end})");
    let faults = [
        (
            detach.as_str(),
            format!("{partition} is not attached"),
            attach.as_str(),
        ),
        (
            "alter table mark set unlogged",
            "table mark is unlogged".into(),
            "alter table mark set logged",
        ),
        (
            "alter table dictionary disable trigger dictionary_change",
            "trigger dictionary_change on table dictionary is missing or disabled".into(),
            "alter table dictionary enable trigger dictionary_change",
        ),
        (
            "alter table plan_head disable trigger plan_head_change",
            "trigger plan_head_change on table plan_head is missing or disabled".into(),
            "alter table plan_head enable trigger plan_head_change",
        ),
        (
            "alter table dictionary rename to elsewhere",
            "table dictionary is missing".into(),
            "alter table elsewhere rename to dictionary",
        ),
        (
            "alter function weir_drop_partition rename to elsewhere",
            "function weir_drop_partition is missing".into(),
            "alter function elsewhere rename to weir_drop_partition",
        ),
        (
            "update plan_head set number = 0 where number = 0; create table kept as \
             select * from plan_head; delete from plan_head",
            "table plan_head has 0 rows".into(),
            "insert into plan_head select * from kept; drop table kept",
        ),
    ];
    for (damage, named, repair) in &faults {
        execute(&mut connection, damage).await;
        let why = unsound(store.inspect().await);
        assert!(why.contains(named), "{why}");
        let why = unsound(PostgresStore::connect(database.url(), 2).await);
        assert!(why.contains(named), "{why}");
        execute(&mut connection, repair).await;
        store.inspect().await.unwrap();
    }
    // Only the tables were restored: which migrations have been applied is unknown.
    execute(&mut connection, "drop table _sqlx_migrations").await;
    let why = unsound(PostgresStore::connect(database.url(), 2).await);
    assert!(why.contains("no record of how they were made"), "{why}");
}

/// A partition that is created before the keys are restored would never have them.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn no_partition_is_made_of_a_table_without_its_index() {
    let database = TestDatabase::create().await;
    let store = PostgresStore::connect(database.url(), 2).await.unwrap();
    let mut connection = PgConnection::connect(database.url()).await.unwrap();
    execute(&mut connection, "drop index delta_bucket_start_ms").await;
    let batch = [report("a", 1, vec![bucket(window(0), 1, &[])])];
    store.commit_reports(&batch).await.unwrap_err();
    let index = "create index delta_bucket_start_ms on delta (bucket_start_ms)";
    execute(&mut connection, index).await;
    let counted = store.commit_reports(&batch).await.unwrap();
    assert_eq!(counted, [Admission::Counted]);
    store.inspect().await.unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_database_that_is_not_in_utf_8_is_refused() {
    let cluster = Cluster::start();
    let latin = "create database latin encoding 'LATIN1' template template0";
    cluster.execute("postgres", &[latin]).await;
    let why = unsound(PostgresStore::connect(&cluster.url("latin"), 2).await);
    assert!(why.contains("encoded in LATIN1"), "{why}");
    assert!(why.contains("encoding 'UTF8' template template0"), "{why}");
    let tables = "create table none_of_ours (at bigint)";
    cluster.execute("latin", &[tables]).await;
}

/// One in `public`, which every role sees, and one in the role's own schema.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn two_weirs_in_two_schemas_of_one_database_are_apart() {
    let cluster = Cluster::start();
    let roles = [
        "create role two login",
        "create schema two authorization two",
        "grant usage on schema public to two",
    ];
    cluster.execute("postgres", &roles).await;
    let one = PostgresStore::connect(&cluster.url("postgres"), 2).await;
    let one = one.unwrap();
    let batch = [report("a", 1, vec![bucket(window(0), 1, &[])])];
    one.commit_reports(&batch).await.unwrap();
    let two = PostgresStore::connect(&cluster.url_as("two", "postgres"), 2).await;
    let two = two.unwrap();
    for store in [&two, &one] {
        let expected = [if std::ptr::eq(store, &two) {
            Admission::Counted
        } else {
            Admission::Duplicate
        }];
        assert_eq!(store.commit_reports(&batch).await.unwrap(), expected);
        store.inspect().await.unwrap();
        let starts = window(0).start..window(1).start;
        assert_eq!(store.read_deltas(starts).await.unwrap().len(), 1);
    }
    // From now on the role's search_path names another schema.
    let moved = [
        "create schema three authorization two",
        "alter role two set search_path = three",
    ];
    cluster.execute("postgres", &moved).await;
    two.close().await;
    let two = PostgresStore::connect(&cluster.url_as("two", "postgres"), 2).await;
    assert_eq!(
        two.unwrap().commit_reports(&batch).await.unwrap(),
        [Admission::Counted],
        "an empty schema is a new Weir"
    );
}

/// Results and commits are the same, whatever defaults a role, a database or a server has.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn defaults_of_a_role_change_nothing() {
    let cluster = Cluster::start();
    cluster
        .execute("postgres", &["create role odd login superuser"])
        .await;
    let defaults = [
        ("array_nulls", "off"),
        ("bytea_output", "escape"),
        ("client_encoding", "LATIN1"),
        ("datestyle", "German"),
        ("default_transaction_deferrable", "on"),
        ("default_transaction_isolation", "serializable"),
        ("extra_float_digits", "-15"),
        ("intervalstyle", "sql_standard"),
        ("quote_all_identifiers", "on"),
        ("row_security", "off"),
        ("standard_conforming_strings", "off"),
        ("timezone", "Asia/Kathmandu"),
        ("transform_null_equals", "on"),
    ];
    for (name, value) in defaults {
        let set = format!("alter role odd set {name} = '{value}'");
        cluster.execute("postgres", &[&set]).await;
    }
    let usual: Arc<dyn Store> = Arc::new(connect(&cluster.url("postgres")).await);
    let odd: Arc<dyn Store> = Arc::new(connect(&cluster.url_as("odd", "postgres")).await);
    let batch = [report("\u{4f60}\\'", 1, vec![bucket(window(0), 1, &[])])];
    let counted = odd.commit_reports(&batch).await.unwrap();
    assert_eq!(counted, [Admission::Counted]);
    let duplicate = usual.commit_reports(&batch).await.unwrap();
    assert_eq!(duplicate, [Admission::Duplicate]);
    let document = "{\"name\":\"\u{4f60}\\n'\"}";
    let written = odd.create_configuration(document, instant(5)).await;
    assert_eq!(written.unwrap(), usual.configuration().await.unwrap());
    let term = super::plans::lead(&odd, 1).await;
    let published = super::plans::plan(1, term);
    let outcome = super::plans::publish(&odd, &published).await;
    assert_eq!(outcome, Publication::Published);
    for store in [&usual, &odd] {
        assert_eq!(
            store.current_plan().await.unwrap().as_ref(),
            Some(&published)
        );
        let starts = window(0).start..window(1).start;
        assert_eq!(store.read_deltas(starts).await.unwrap().len(), 1);
        store.inspect().await.unwrap();
    }
}

async fn connect(url: &str) -> PostgresStore {
    PostgresStore::connect(url, 2).await.unwrap()
}
