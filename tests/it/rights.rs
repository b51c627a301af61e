//! Two roles: one owns the tables and migrates them, the other only reads and writes rows.

use std::process::Command;

use serde_json::json;
use uuid::Uuid;
use weir::allocation::Timestamp;
use weir::configuration::Configuration;
use weir::store::postgres::PostgresStore;
use weir::store::{Retention, Store};

use crate::store::postgres_schema::unsound;
use crate::support::app::{TestApp, config, report};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;
use crate::support::stored::ReadWhole;

const DEADLINE: std::time::Duration = std::time::Duration::from_secs(60);

/// As docs/postgresql.md describes under «Rights».
const ROLES: [&str; 3] = [
    "create role weir_owner login",
    "create role weir_app login",
    "create database fleet owner weir_owner encoding 'UTF8' template template0",
];
const SCHEMA: [&str; 3] = [
    "create schema weir authorization weir_owner",
    "alter database fleet set search_path = weir",
    "grant usage on schema weir to weir_app",
];
const GRANTS: [&str; 2] = [
    "alter default privileges for role weir_owner in schema weir
        grant select, insert, update, delete on tables to weir_app",
    "grant select, insert, update, delete on all tables in schema weir to weir_app",
];

async fn split() -> Cluster {
    let cluster = Cluster::start();
    cluster.execute("postgres", &ROLES).await;
    cluster.execute("fleet", &SCHEMA).await;
    cluster
}

/// Runs `weir migrate`; returns its output and whether it succeeded.
fn migrate(url: &str) -> (bool, String) {
    let said = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args(["migrate", "--database-url", url])
        .env("NO_COLOR", "1")
        .output()
        .unwrap();
    let text = [said.stdout, said.stderr].concat();
    (
        said.status.success(),
        String::from_utf8_lossy(&text).into_owned(),
    )
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_role_that_only_reads_and_writes_rows_serves_for_good() {
    let cluster = split().await;
    let (owner, app) = (
        cluster.url_as("weir_owner", "fleet"),
        cluster.url_as("weir_app", "fleet"),
    );
    let why = unsound(PostgresStore::connect(&app, 2).await);
    assert!(why.contains("`weir migrate`"), "{why}");
    let (succeeded, said) = migrate(&app);
    assert!(!succeeded && said.contains("grant the rights"), "{said}");
    for _ in 0..2 {
        let (succeeded, said) = migrate(&owner);
        assert!(succeeded, "{said}");
    }
    let why = unsound(PostgresStore::connect(&app, 2).await);
    assert!(why.contains("may not"), "{why}");

    cluster.execute("fleet", &GRANTS).await;
    let flags = ["--interval", "1s", "--database-url", &app];
    let weir = TestApp::start_with(config(&flags)).await;
    let (status, answer) = weir.report(&report("a", Uuid::new_v4(), 1, 7)).await;
    assert_eq!((status, &answer["result"]), (200, &json!("counted")));
    eventually(DEADLINE, "a plan", async || weir.plan().await).await;
    // Creates the next hours' partitions and drops old ones, as maintenance does.
    let store = PostgresStore::connect(&app, 2).await.unwrap();
    let everything = Timestamp(i64::MAX);
    let none = Retention {
        deltas_before: everything,
        polls_before: everything,
        final_names_before: everything,
        observations_before: everything,
        history_before: everything,
        series_before: weir::store::SeriesBefore::all(everything),
        plan_bodies_before: everything,
        agents_before: everything,
        audit_before: everything,
        dictionary_states: 10,
        revisions: Configuration::REVISIONS,
    };
    let later = Timestamp(4_000_000_000_000);
    store.maintain(later, none).await.unwrap();
    let deltas = store.read_deltas(Timestamp(0)..everything).await.unwrap();
    assert_eq!(deltas, [], "its partition was dropped");
    store.inspect().await.unwrap();
    weir.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_right_that_is_missing_is_named() {
    let cluster = split().await;
    let app = cluster.url_as("weir_app", "fleet");
    assert!(migrate(&cluster.url_as("weir_owner", "fleet")).0);
    cluster.execute("fleet", &GRANTS).await;
    let store = PostgresStore::connect(&app, 2).await.unwrap();
    let function = "function weir.weir_drop_partition(text, text, bigint)";
    let stranger = "create role stranger; alter table weir.mark owner to stranger; \
                    alter table weir.delta owner to stranger";
    let stranger = format!("{stranger}; grant all on all tables in schema weir to weir_app");
    let owned = "alter table weir.mark owner to weir_owner; \
                 alter table weir.delta owner to weir_owner";
    let faults = [
        (
            "revoke delete, update on weir.mark from weir_app".to_owned(),
            "the role lacks UPDATE, DELETE on table mark",
            "grant delete, update on weir.mark to weir_app".to_owned(),
        ),
        (
            format!("revoke execute on {function} from public"),
            "may not execute function weir_drop_partition",
            format!("grant execute on {function} to public"),
        ),
        (stranger, "does not own the tables", owned.to_owned()),
        (
            "alter table weir.mark enable row level security".to_owned(),
            "row-level security hides rows of table mark",
            "alter table weir.mark disable row level security".to_owned(),
        ),
    ];
    for (damage, named, repair) in &faults {
        cluster.execute("fleet", &[damage]).await;
        let why = unsound(store.inspect().await);
        assert!(why.contains(named), "{why}");
        let why = unsound(PostgresStore::connect(&app, 2).await);
        assert!(why.contains(named), "{why}");
        cluster.execute("fleet", &[repair]).await;
        store.inspect().await.unwrap();
    }
}

/// The functions that create and drop partitions cannot be misused to get around the rights on the
/// tables.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_may_not_delete_rows_drops_no_partition() {
    let cluster = split().await;
    assert!(migrate(&cluster.url_as("weir_owner", "fleet")).0);
    cluster.execute("fleet", &GRANTS).await;
    let reader = [
        "create role reader login",
        "grant usage on schema weir to reader",
        "grant select on all tables in schema weir to reader",
        "create table weir.secret (at bigint primary key) partition by range (at)",
        "alter table weir.secret owner to weir_owner",
    ];
    cluster.execute("fleet", &reader).await;
    let refused = async |role: &str, call: &str| {
        let pool = sqlx::PgPool::connect(&cluster.url_as(role, "fleet")).await;
        let call = sqlx::AssertSqlSafe(call.to_owned());
        let outcome = sqlx::query(call).execute(&pool.unwrap()).await;
        let error = outcome.unwrap_err();
        error.as_database_error().unwrap().message().to_owned()
    };
    let create = "select weir_create_partition('weir', 'delta', 1, 3600000, 7200000)";
    let said = refused("reader", create).await;
    assert_eq!(said, "role reader may not insert into table delta");
    let drop = "select weir_drop_partition('weir', 'delta', 1)";
    let said = refused("reader", drop).await;
    assert_eq!(said, "role reader may not delete from table delta");
    let elsewhere = "select weir_create_partition('weir', 'secret', 1, 0, 1)";
    let said = refused("weir_app", elsewhere).await;
    assert_eq!(said, "table secret has no partitions of Weir");
}
