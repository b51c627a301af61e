//! Faults of the program itself: a job or a task that panics runs again, and a replica that cannot
//! compute leaves the lease to another.

use std::path::Path;
use std::sync::Arc;
use std::sync::atomic::Ordering;
use std::time::Duration;

use serde_json::json;
use sqlx::{Connection, SqliteConnection};
use tempfile::TempDir;
use uuid::Uuid;
use weir::store::sqlite::SqliteStore;

use crate::generated::faults::Faults;
use crate::generated::link::Link;
use crate::support::app::{TestApp, config, report};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);
const GIVEN_UP: &str = "weir_lease_given_up_total";
const PANICKED: &str = "weir_job_runs_total{name=\"recompute\",outcome=\"panicked\"}";

/// A Weir whose calls to the database panic when asked to.
pub struct Faulty {
    pub app: TestApp,
    pub faults: Arc<Faults>,
}

impl Faulty {
    /// Starts on a database in this directory, with an interval of a second.
    pub async fn start(directory: &Path, flags: &[&str]) -> Self {
        Self::start_broken(directory, flags, None).await
    }

    /// The same, where a call panics from the first on.
    pub async fn start_broken(
        directory: &Path,
        flags: &[&str],
        panic_in: Option<&'static str>,
    ) -> Self {
        let store = SqliteStore::open(&directory.join("weir.db")).await.unwrap();
        let faults = Faults::none();
        *faults.panic_in.lock().unwrap() = panic_in;
        let link = Link {
            of: 0,
            store: Arc::new(store),
            faults: Arc::clone(&faults),
            database_away: Arc::default(),
            ledger: Arc::default(),
            read: Arc::default(),
        };
        let folder = directory.to_str().unwrap();
        let own = ["--data-dir", folder, "--interval", "1s"];
        let config = config(&[&own, flags].concat());
        let app = TestApp::start_on(config, link).await;
        Self { app, faults }
    }

    /// Makes a call panic, or none.
    pub fn panic_in(&self, call: Option<&'static str>) {
        *self.faults.panic_in.lock().unwrap() = call;
    }

    async fn is(&self, series: &str, wanted: impl Fn(f64) -> bool) {
        eventually(DEADLINE, series, async || {
            let value = Scrape::of(&self.app).await.value(series);
            wanted(value).then_some(())
        })
        .await;
    }

    async fn leads(&self, leads: bool) {
        self.is("weir_leader", |told| (told == 1.0) == leads).await;
    }

    /// Waits for plans that are made now.
    async fn plans_go_on(&self) {
        let number = Scrape::of(&self.app).await.value("weir_plan_number");
        self.is("weir_plan_number", |told| told > number + 1.0)
            .await;
    }
}

fn directory() -> TempDir {
    tempfile::tempdir().unwrap()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_whose_computations_panic_leaves_the_lease_to_another() {
    let directory = directory();
    let broken = Faulty::start(directory.path(), &[]).await;
    broken.leads(true).await;
    let other = Faulty::start(directory.path(), &[]).await;
    broken.panic_in(Some("read_deltas"));
    other.leads(true).await;
    broken.leads(false).await;
    broken.is(PANICKED, |count| count >= 3.0).await;
    broken.is(GIVEN_UP, |count| count >= 1.0).await;
    other.plans_go_on().await;
    broken.plans_go_on().await;
    broken.app.stop().await;
    other.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_leader_that_cannot_read_the_plan_leaves_the_lease_to_a_replica_that_can() {
    let directory = directory();
    let unable = Faulty::start(directory.path(), &[]).await;
    unable.leads(true).await;
    unable.plans_go_on().await;
    let able = Faulty::start(directory.path(), &[]).await;
    unable.faults.unreadable.store(true, Ordering::Relaxed);
    // Another plan under the same number, which every replica has to read.
    let file = format!("sqlite://{}/weir.db", directory.path().display());
    let mut database = SqliteConnection::connect(&file).await.unwrap();
    let another = "update plan_head set identity = lower(hex(randomblob(16)))";
    sqlx::query(another).execute(&mut database).await.unwrap();
    database.close().await.unwrap();

    able.leads(true).await;
    unable.leads(false).await;
    unable.is("weir_plan_unreadable", |told| told == 1.0).await;
    unable.is(GIVEN_UP, |count| count == 1.0).await;
    able.plans_go_on().await;
    unable.faults.unreadable.store(false, Ordering::Relaxed);
    unable.plans_go_on().await;
    able.app.stop().await;
    unable.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_replica_that_is_alone_takes_the_lease_again() {
    let directory = directory();
    let weir = Faulty::start(directory.path(), &[]).await;
    weir.leads(true).await;
    weir.panic_in(Some("read_deltas"));
    weir.is(GIVEN_UP, |count| count >= 2.0).await;
    weir.panic_in(None);
    weir.plans_go_on().await;
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_task_that_panics_is_counted_and_started_again() {
    let directory = directory();
    let broken = Some("acquire_lease");
    let weir = Faulty::start_broken(directory.path(), &[], broken).await;
    let ends = "weir_task_ends_total{outcome=\"panicked\",task=\"lease_keeper\"}";
    weir.is(ends, |count| count >= 2.0).await;
    weir.panic_in(None);
    weir.leads(true).await;
    weir.plans_go_on().await;
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_group_of_reports_that_panics_is_answered_and_the_next_is_committed() {
    let directory = directory();
    let weir = Faulty::start(directory.path(), &[]).await;
    let epoch = Uuid::new_v4();
    weir.panic_in(Some("commit_reports"));
    let sent = report("a", epoch, 1, 5);
    for panics in 1..=3 {
        let (status, problem) = weir.app.report(&sent).await;
        let kind = json!("urn:weir:problem:internal");
        assert_eq!((status, &problem["type"]), (500, &kind), "{problem}");
        let panicked = |count| count == f64::from(panics);
        weir.is("weir_commits_total{outcome=\"panicked\"}", panicked)
            .await;
        let ends = "weir_task_ends_total{outcome=\"panicked\",task=\"commit\"}";
        weir.is(ends, panicked).await;
    }
    weir.panic_in(None);
    let (status, answer) = weir.app.report(&sent).await;
    assert_eq!((status, &answer["result"]), (200, &json!("counted")));
    weir.is("weir_reports_total{outcome=\"internal\"}", |count| {
        count == 3.0
    })
    .await;
    weir.app.stop().await;
}
