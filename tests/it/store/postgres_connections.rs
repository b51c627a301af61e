//! Connections to PostgreSQL: statements that callers give up on are cancelled in the server too,
//! errors name the server and the cause, and changes of address or certificate are followed without
//! a restart.

use std::sync::Arc;
use std::time::Duration;

use futures_util::future::join_all;
use sqlx::{AssertSqlSafe, Connection, PgConnection, Row};
use weir::store::postgres::{PostgresSettings, PostgresStore, PreparedStatements, UrlSource};
use weir::store::{Admission, Passing, Store, StoreError};

use super::reports::{bucket, report};
use super::window;
use crate::support::postgres::Cluster;
use crate::support::process::eventually;
use crate::support::proxy::Proxy;

const DEADLINE: Duration = Duration::from_secs(60);

/// Weir's sessions, only those that wait for this kind of event if one is given.
const SESSIONS: &str =
    "select count(*), count(*) filter (where wait_event_type || ':' || wait_event
    like $1) from pg_stat_activity where application_name = 'weir'";

const WAITING_FOR_A_LOCK: &str = "Lock:%";
const WAITING_FOR_A_STANDBY: &str = "IPC:SyncRep";

/// An operator's session.
struct Operator(PgConnection);

impl Operator {
    async fn at(cluster: &Cluster) -> Self {
        let connection = PgConnection::connect(&cluster.url("postgres")).await;
        Self(connection.unwrap())
    }

    async fn run(&mut self, statements: &str) {
        let statements = AssertSqlSafe(statements.to_owned());
        let done = sqlx::raw_sql(statements).execute(&mut self.0).await;
        done.unwrap();
    }

    /// How many sessions Weir has, and how many of them are waiting.
    async fn sessions(&mut self, waiting: &str) -> (i64, i64) {
        let row = sqlx::query(SESSIONS).bind(waiting);
        let row = row.fetch_one(&mut self.0).await.unwrap();
        (row.get(0), row.get(1))
    }

    async fn waits(&mut self, waiting: &str, sessions: i64) {
        eventually(DEADLINE, waiting, async || {
            let (_, waits) = self.sessions(waiting).await;
            (waits == sessions).then_some(())
        })
        .await;
    }
}

async fn open(url: &str, connections: u32) -> Arc<PostgresStore> {
    Arc::new(PostgresStore::connect(url, connections).await.unwrap())
}

fn counts(sequence: u64) -> [weir::store::ResolvedReport; 1] {
    [report("a", sequence, vec![bucket(window(0), 1, &[])])]
}

/// Begins a commit whose caller gives up.
fn begin(store: &Arc<PostgresStore>, sequence: u64) -> tokio::task::JoinHandle<()> {
    let store = Arc::clone(store);
    tokio::spawn(async move {
        let outcome = store.commit_reports(&counts(sequence)).await;
        panic!("it ended: {outcome:?}");
    })
}

fn said(error: &StoreError) -> String {
    weir::telemetry::logging::chain(error)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_is_given_up_ends_on_the_server_and_keeps_its_place_until_then() {
    let cluster = Cluster::start();
    let store = open(&cluster.url("postgres"), 3).await;
    store.commit_reports(&counts(1)).await.unwrap();
    let (mut holder, mut operator) = (Operator::at(&cluster).await, Operator::at(&cluster).await);
    holder
        .run("begin; lock table mark in access exclusive mode")
        .await;
    for round in 0..4 {
        let given_up: Vec<_> = (0..3).map(|at| begin(&store, 10 * round + at)).collect();
        operator.waits(WAITING_FOR_A_LOCK, 3).await;
        for task in given_up {
            task.abort();
        }
        eventually(DEADLINE, "nothing waits any more", async || {
            let (sessions, waits) = operator.sessions(WAITING_FOR_A_LOCK).await;
            assert!(
                sessions <= 4,
                "three connections, and one that ends others: {sessions}"
            );
            (waits == 0).then_some(())
        })
        .await;
    }
    holder.run("rollback").await;
    let answer = store.commit_reports(&counts(2)).await.unwrap();
    assert_eq!(answer, [Admission::Counted]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_server_gives_up_before_the_caller_and_errors_say_why() {
    let cluster = Cluster::start_with_tcp();
    let store = open(&cluster.tcp_url("postgres"), 1).await;
    let mut holder = Operator::at(&cluster).await;
    holder
        .run("begin; lock table plan_head in access exclusive mode")
        .await;
    let waiting = tokio::spawn({
        let store = Arc::clone(&store);
        async move { store.current_plan_mark().await }
    });
    let mut operator = Operator::at(&cluster).await;
    operator.waits(WAITING_FOR_A_LOCK, 1).await;
    let without_place = store.current_plan_mark().await.unwrap_err();
    assert_eq!(without_place.passing(), Some(Passing::NoConnection));
    assert_eq!(
        said(&without_place),
        "the database is unavailable while reading which plan is current: \
         all 1 connections are in use"
    );
    let gave_up = waiting.await.unwrap().unwrap_err();
    assert_eq!(gave_up.passing(), Some(Passing::Busy));
    let host = cluster.tcp_url("postgres");
    let host = host.split(['@', '/']).nth(3).unwrap();
    let expected = format!("{host}: canceling statement due to lock timeout (55P03)");
    assert!(said(&gave_up).ends_with(&expected), "{}", said(&gave_up));

    let unreachable = PostgresStore::connect("postgres://u:hush@127.0.0.1:1/weir", 1).await;
    let unreachable = said(&unreachable.unwrap_err());
    assert!(
        unreachable.contains("127.0.0.1:1: Connection refused"),
        "{unreachable}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_commit_that_no_standby_confirms_is_ended_and_not_acknowledged_as_a_duplicate() {
    let cluster = Cluster::start();
    let store = open(&cluster.url("postgres"), 2).await;
    store.commit_reports(&counts(1)).await.unwrap();
    let mut operator = Operator::at(&cluster).await;
    operator
        .run("alter system set synchronous_standby_names = 'gone'")
        .await;
    operator.run("select pg_reload_conf()").await;
    // It is waited for once the checkpointer has read the setting, which no query shows.
    eventually(DEADLINE, "the standby is waited for", async || {
        let probe = counts(3);
        let commit = store.commit_reports(&probe);
        let ended = tokio::time::timeout(Duration::from_secs(1), commit).await;
        ended.is_err().then_some(())
    })
    .await;
    operator.waits(WAITING_FOR_A_STANDBY, 0).await;
    // The second finds that the first is already counted, and waits nevertheless: it is committed
    // here, but a failover could still lose it.
    for _ in 0..2 {
        let first = begin(&store, 2);
        operator.waits(WAITING_FOR_A_STANDBY, 1).await;
        first.abort();
        operator.waits(WAITING_FOR_A_STANDBY, 0).await;
    }
    let (sessions, _) = operator.sessions(WAITING_FOR_A_STANDBY).await;
    assert!(sessions <= 3, "{sessions}");
    operator
        .run("alter system reset synchronous_standby_names")
        .await;
    operator.run("select pg_reload_conf()").await;
    let answer = store.commit_reports(&counts(2)).await.unwrap();
    assert_eq!(answer, [Admission::Duplicate]);
    store.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_server_that_gives_fewer_connections_is_used_with_those() {
    let cluster = Cluster::start();
    let mut operator = Operator::at(&cluster).await;
    operator
        .run("create role few login connection limit 2")
        .await;
    operator.run("create database few owner few").await;
    let url = cluster.url("few").replace("//weir@", "//few@");
    let store = open(&url, 8).await;
    let calls = (0..40).map(|_| store.current_plan_mark());
    for answer in join_all(calls).await {
        assert_eq!(answer.unwrap(), None);
    }
    store.close().await;
}

/// Lets a role log in with a password only.
fn ask_for_a_password(cluster: &Cluster, role: &str) {
    let file = cluster.data().join("pg_hba.conf");
    let rest = std::fs::read_to_string(&file).unwrap();
    std::fs::write(&file, format!("local all {role} scram-sha-256\n{rest}")).unwrap();
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_password_that_changes_in_its_file_needs_no_restart() {
    let cluster = Cluster::start();
    let mut operator = Operator::at(&cluster).await;
    operator
        .run("create role rotating login password 'hush-1'; select pg_reload_conf()")
        .await;
    operator
        .run("create database rotating owner rotating")
        .await;
    ask_for_a_password(&cluster, "rotating");
    operator.run("select pg_reload_conf()").await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("url");
    let url = |password: &str| {
        let login = format!("//rotating:{password}@");
        cluster.url("rotating").replace("//weir@", &login) + "\n"
    };
    std::fs::write(&file, url("hush-1")).unwrap();
    let settings = PostgresSettings {
        url: UrlSource::File(file.clone()),
        connections: 2,
        prepared: PreparedStatements::Auto,
    };
    let store = PostgresStore::open(settings).await.unwrap();
    operator.run("alter role rotating password 'hush-2'").await;
    let end_all =
        "select pg_terminate_backend(pid) from pg_stat_activity where usename = 'rotating'";
    operator.run(end_all).await;
    let refused = eventually(DEADLINE, "the old password is refused", async || {
        store
            .current_plan_mark()
            .await
            .err()
            .filter(|error| said(error).contains("28P01"))
    })
    .await;
    assert_eq!(refused.passing(), Some(Passing::Away));
    assert!(!said(&refused).contains("hush"), "{}", said(&refused));
    std::fs::write(&file, url("hush-2")).unwrap();
    assert_eq!(store.current_plan_mark().await.unwrap(), None);
    std::fs::write(&file, "postgres://rotating:hush-3@localhost:x/rotating").unwrap();
    operator.run(end_all).await;
    let broken = eventually(DEADLINE, "the file's content is refused", async || {
        store
            .current_plan_mark()
            .await
            .err()
            .filter(|error| said(error).contains("a port"))
    })
    .await;
    let text = said(&broken);
    assert!(
        text.contains(file.to_str().unwrap()) && !text.contains("hush"),
        "{text}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn the_host_that_takes_writes_is_found_and_found_again() {
    let primary = Cluster::start_with_tcp();
    let standby = primary.standby();
    let hosts = [standby.host(), primary.host()];
    let url = format!(
        "postgres://weir@{}/postgres?target_session_attrs=read-write&sslmode=disable",
        hosts.join(",")
    );
    let store = open(&url, 2).await;
    store.commit_reports(&counts(1)).await.unwrap();
    standby.catches_up_with(&primary).await;
    primary.kill9();
    standby.promote().await;
    let admitted = eventually(DEADLINE, "the standby is used", async || {
        store.commit_reports(&counts(1)).await.ok()
    })
    .await;
    assert_eq!(admitted, [Admission::Duplicate], "it has what was stored");
    standby.stop();
    let neither = eventually(DEADLINE, "both are named", async || {
        let text = said(&store.current_plan_mark().await.unwrap_err());
        hosts.iter().all(|host| text.contains(host)).then_some(text)
    })
    .await;
    assert!(!neither.contains("timed out"), "{neither}");
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_proxy_without_a_server_is_one_to_wait_for() {
    let cluster = Cluster::start();
    let proxy = Proxy::to_unix(&cluster.socket()).await;
    proxy.cut();
    let address = proxy.address();
    // Without `sslmode`, the driver asks for TLS first.
    for url in [
        proxy.postgres_url("postgres"),
        format!("postgres://weir@{address}/postgres"),
    ] {
        let error = PostgresStore::connect(&url, 1).await.unwrap_err();
        assert_eq!(error.passing(), Some(Passing::Away), "{}", said(&error));
        assert!(
            said(&error).contains(&address.to_string()),
            "{}",
            said(&error)
        );
    }
    let missing = PostgresStore::connect(&cluster.url("missing"), 1).await;
    let missing = missing.unwrap_err();
    assert_eq!(missing.passing(), Some(Passing::Away));
    assert!(said(&missing).contains("(3D000)"), "{}", said(&missing));
}
