//! A machine's clock that is set while Weir runs, by an hour and by a day, and back.
//!
//! With PostgreSQL, all replicas use the database's clock, so nothing happens. With SQLite they use
//! the machine's: while it is wrong, reports of agents with a right clock are refused as too old or
//! too new. Nothing else changes, and everything continues once the clock is right again.

use std::time::Duration;

use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;
use weir::store::postgres::PostgresStore;
use weir::store::sqlite::SqliteStore;

use super::{
    DEADLINE, OPERATION, Poller, SERVICE, assert_memory_bounded, count, metric, plans_go_on,
    serves_a_plan,
};
use crate::support::agents::Totals;
use crate::support::client::{Answer, Report, http_client, now, send};
use crate::support::postgres::Cluster;
use crate::support::process::{WallClock, WeirCommand, WeirProcess, eventually};
use crate::support::stored::stored_totals;

const HOUR: i64 = 3_600;
const DAY: i64 = 24 * HOUR;

/// The highest probability allowed while clocks jump; the budget allows a tenth.
const PROBABILITY_MAX: f64 = 0.2;

/// An agent with a right clock. It sends a report again until it is accepted, whatever the answers
/// are.
struct Patient {
    task: JoinHandle<(u64, u64)>,
    stop: CancellationToken,
}

impl Patient {
    fn start(weir: &WeirProcess) -> Self {
        let stop = CancellationToken::new();
        let (url, stopped) = (weir.sdk_url().to_owned(), stop.clone());
        let task = tokio::spawn(async move { report_until(stopped, &url).await });
        Self { task, stop }
    }

    /// Stops. Returns what was acknowledged, and how often a report was refused.
    async fn finish(self) -> (Totals, u64) {
        self.stop.cancel();
        let (offered, refused) = tokio::time::timeout(DEADLINE, self.task)
            .await
            .expect("the last report is taken")
            .expect("no answer is out of place");
        let name = (SERVICE.to_owned(), OPERATION.to_owned());
        let sampled = offered / 50;
        (Totals::from([(name, (offered, sampled))]), refused)
    }
}

/// Reports 500 requests a second; returns how many were acknowledged, and the refusals.
async fn report_until(stop: CancellationToken, url: &str) -> (u64, u64) {
    let (http, epoch) = (http_client(), Uuid::new_v4());
    let mut pace = tokio::time::interval(Duration::from_millis(100));
    let (mut offered, mut refused, mut sequence) = (0, 0, 0);
    while stop.run_until_cancelled(pace.tick()).await.is_some() {
        sequence += 1;
        let report = Report {
            agent: "a".into(),
            epoch,
            sequence,
            window_start: now() - Duration::from_millis(100),
            window_seconds: 0.1,
            counts: vec![count(50)],
        };
        offered += 50;
        let body = report.body();
        let before = refused;
        loop {
            match send(&http, url, &body).await {
                Answer::Counted | Answer::Duplicate => break,
                Answer::Again => {}
                Answer::Refused(status, problem) => {
                    let problem: Value = serde_json::from_str(&problem).unwrap();
                    assert_eq!((status, &problem["field"]), (422, &"window_start".into()));
                    refused += 1;
                }
            }
            pace.tick().await;
        }
        // What it did not report in the meantime uses a number up.
        sequence += u64::from(refused > before);
    }
    (offered, refused)
}

/// Sets the clock to each of these in turn, and back. Returns what was acknowledged, and the
/// refusals.
async fn survives(command: WeirCommand, steps: [i64; 2]) -> (Totals, u64) {
    let clock = WallClock::right();
    let weir = command
        .flag("--interval", "1s")
        .wall_clock_of(&clock)
        .start()
        .await;
    let agent = Patient::start(&weir);
    serves_a_plan(&weir).await;
    settles(&weir).await;
    let poller = Poller::start(&weir);
    let mut set = 0.0;
    for seconds in steps {
        for off_by in [seconds, 0] {
            clock.set_off_by(off_by);
            set += 1.0;
            metric(&weir, "weir_clock_steps_total", |steps| steps == set).await;
            poller.goes_on().await;
            plans_go_on(&weir).await;
        }
        let hold = "weir_hold{hold=\"none\"}";
        metric(&weir, hold, |holds| holds == 1.0).await;
    }
    let (acknowledged, refused) = agent.finish().await;
    let most = poller.all_answered().await;
    assert!(
        most <= PROBABILITY_MAX,
        "{most}: no jump raises a probability"
    );
    assert_memory_bounded(&weir, "a clock that jumps");
    assert!(weir.terminate().await.success());
    (acknowledged, refused)
}

/// Waits until the budget decides what is served.
async fn settles(weir: &WeirProcess) {
    let client = crate::support::client::Client::of(weir);
    eventually(DEADLINE, "the budget rules", async || {
        let served = client.strategy(SERVICE).await?.listed(OPERATION)?;
        (served < PROBABILITY_MAX / 1.5).then_some(())
    })
    .await;
}

async fn survives_on_sqlite(steps: [i64; 2]) {
    let folder = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", folder.path());
    let (acknowledged, refused) = survives(command, steps).await;
    assert!(refused > 0, "a wrong clock was seen");
    let store = SqliteStore::open(&folder.path().join("weir.db")).await;
    assert_eq!(stored_totals(&store.unwrap()).await, acknowledged);
}

async fn survives_on_postgres(steps: [i64; 2]) {
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let command = WeirProcess::command().flag("--database-url", &url);
    let (acknowledged, refused) = survives(command, steps).await;
    assert_eq!(refused, 0, "the database's clock is the fleet's");
    let store = PostgresStore::connect(&url, 2).await;
    assert_eq!(stored_totals(&store.unwrap()).await, acknowledged);
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_an_hour_stops_nothing_on_sqlite() {
    survives_on_sqlite([2 * HOUR, -HOUR]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_a_day_stops_nothing_on_sqlite() {
    survives_on_sqlite([DAY, -DAY]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_an_hour_is_not_even_noticed_by_agents_on_postgres() {
    survives_on_postgres([HOUR, -HOUR]).await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_clock_that_jumps_a_day_is_not_even_noticed_by_agents_on_postgres() {
    survives_on_postgres([-DAY, DAY]).await;
}

/// A process that starts after its machine's clock was set back finds a lease from the future.
#[tokio::test(flavor = "multi_thread")]
async fn a_start_after_the_clock_was_set_back_leads_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let command = WeirProcess::command()
        .flag("--data-dir", folder.path())
        .flag("--interval", "1s");
    let mut before = command.clone().wall_clock_off_by(HOUR).start().await;
    metric(&before, "weir_leader", |leads| leads == 1.0).await;
    metric(&before, "weir_plan_number", |number| number >= 1.0).await;
    before.kill9();
    let weir = command.start().await;
    metric(&weir, "weir_leader", |leads| leads == 1.0).await;
    plans_go_on(&weir).await;
}
