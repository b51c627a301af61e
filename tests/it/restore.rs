//! A restore from a backup while a replica runs: nothing counts twice, and Weir goes on by itself.

use std::time::Duration;

use serde_json::json;
use uuid::Uuid;
use weir::store::postgres::PostgresStore;

use crate::support::app::{TestApp, config, report};
use crate::support::postgres::Cluster;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;
use crate::support::stored::stored_totals;

const DEADLINE: Duration = Duration::from_secs(60);

/// The requests of each report.
const OFFERED: u64 = 10;

/// A cluster with a Weir on database `fleet`, and reports that a backup holds.
struct Backup {
    cluster: Cluster,
    app: TestApp,
    /// The agents of the reports that the backup holds.
    before: Vec<Uuid>,
    file: String,
}

impl Backup {
    async fn taken() -> Self {
        let cluster = Cluster::start();
        cluster
            .execute("postgres", &["create database fleet"])
            .await;
        let url = cluster.url("fleet");
        let flags = ["--interval", "1s", "--database-url", &url];
        let app = TestApp::start_with(config(&flags)).await;
        let before: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
        for epoch in &before {
            let (status, answer) = app.report(&report("before", *epoch, 1, OFFERED)).await;
            assert_eq!((status, &answer["result"]), (200, &json!("counted")));
        }
        let file = cluster.file("backup").to_str().unwrap().to_owned();
        let to = format!("--file={file}");
        cluster.client("pg_dump", "fleet", &["--format=custom", &to]);
        Self {
            cluster,
            app,
            before,
            file,
        }
    }

    fn restore(&self, database: &str, arguments: &[&str]) {
        let arguments = [arguments, &["--exit-on-error", &self.file]].concat();
        self.cluster.client("pg_restore", database, &arguments);
    }

    /// Sends a report; gives whether it is known now to be stored.
    async fn stored(&self, agent: &str, epoch: Uuid) -> bool {
        let (status, answer) = self.app.report(&report(agent, epoch, 1, OFFERED)).await;
        assert!(status == 200 || status == 503, "{status} {answer}");
        status == 200
    }

    /// Repeats every report until it is taken, and checks that each is stored once.
    async fn counts_once(self, after: &[Uuid]) {
        let all = self.before.iter().map(|epoch| ("before", epoch));
        let all: Vec<_> = all
            .chain(after.iter().map(|epoch| ("after", epoch)))
            .collect();
        for (agent, epoch) in &all {
            eventually(DEADLINE, "the report is taken", async || {
                self.stored(agent, **epoch).await.then_some(())
            })
            .await;
        }
        eventually(DEADLINE, "a plan after the restore", async || {
            let (_, ready) = self.app.admin_get("/readyz").await;
            (ready["tables"] == "sound" && ready["database"] == "available").then_some(())
        })
        .await;
        self.app.stop().await;
        let store = PostgresStore::connect(&self.cluster.url("fleet"), 2).await;
        let totals = stored_totals(&store.unwrap()).await;
        let total = totals[&("checkout".to_owned(), "POST /cart".to_owned())];
        assert_eq!(total.0, all.len() as u64 * OFFERED);
    }
}

/// The way that docs/postgresql.md describes: into a database of its own, then swapped.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_restore_beside_the_database_is_swapped_in() {
    let backup = Backup::taken().await;
    let lost = Uuid::new_v4();
    assert!(backup.stored("after", lost).await);
    let cluster = &backup.cluster;
    let create = "create database restored encoding 'UTF8' template template0";
    cluster.execute("postgres", &[create]).await;
    backup.restore("restored", &[]);
    let swap = [
        "alter database fleet with allow_connections false",
        "select pg_terminate_backend(pid) from pg_stat_activity where datname = 'fleet'",
        "alter database fleet rename to fleet_before",
        "alter database restored rename to fleet",
    ];
    cluster.execute("postgres", &swap).await;
    // Counted after the backup was taken, so lost with the database before; here it comes again.
    backup.counts_once(&[lost]).await;
}

/// In place, and step by step, as `pg_restore` does it without being told otherwise.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn nothing_is_taken_between_the_rows_and_their_keys() {
    let backup = Backup::taken().await;
    let empty = ["drop schema public cascade", "create schema public"];
    backup.cluster.execute("fleet", &empty).await;
    let new: Vec<Uuid> = (0..5).map(|_| Uuid::new_v4()).collect();
    let refuses = async |step: &str| {
        for epoch in backup.before.iter().chain(&new) {
            assert!(!backup.stored("after", *epoch).await, "{step}");
        }
        let (status, problem) = backup.app.admin_get("/v1/configuration").await;
        // Reading goes on once there are rows.
        assert!(step == "data" || status == 503, "{step}: {problem}");
        let put = backup
            .app
            .client
            .put(format!("{}/v1/budget", backup.app.admin));
        let put = put.header("If-Match", "*");
        let put = put.json(&json!({ "traces_per_second": 5.0 })).send().await;
        assert_eq!(put.unwrap().status(), 503, "{step}");
        let (status, ready) = backup.app.admin_get("/readyz").await;
        assert_eq!((status, &ready["tables"]), (200, &json!("unsound")));
        let problem = ready["problem"].as_str().unwrap();
        assert!(problem.contains("Backup and restore"), "{step}: {problem}");
        let scrape = Scrape::of(&backup.app).await;
        assert_eq!(scrape.value("weir_database_sound"), 0.0, "{step}");
    };
    refuses("empty").await;
    backup.restore("fleet", &["--section=pre-data"]);
    refuses("pre-data").await;
    backup.restore("fleet", &["--section=data"]);
    refuses("data").await;
    backup.restore("fleet", &["--section=post-data"]);
    backup.counts_once(&new).await;
}
