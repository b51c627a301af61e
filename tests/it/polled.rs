//! Polls as evidence: which are counted, and what follows when agents fall silent with or without them.

use std::cell::Cell;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use weir::allocation::{PollCount, Timestamp};
use weir::store::sqlite::SqliteStore;
use weir::store::{PollsAsked, Store, StoredPolls};

use crate::support::app::{Agent, TestApp};
use crate::support::grpc;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(90);

/// Root requests a second that each agent sees of each operation.
const RATES: &[(&str, f64)] = &[("GET /", 1500.0), ("POST /buy", 500.0)];

async fn report(app: &TestApp, agents: &mut [Agent]) {
    for agent in agents {
        if let Some(report) = agent.next(&[("shop", RATES)]) {
            assert_eq!(app.report(&report).await.0, 200);
        }
    }
}

/// Waits until the plan knows the service.
async fn known(app: &TestApp, agents: &mut [Agent]) {
    eventually(DEADLINE, "a plan that knows the service", async || {
        report(app, agents).await;
        let body = app.poll("shop").await;
        let listed = body["operationSampling"]["perOperationStrategies"].as_array()?;
        (!listed.is_empty()).then_some(())
    })
    .await;
}

/// Everything that was written into an embedded database.
async fn written(directory: &Path) -> Vec<StoredPolls> {
    let store = SqliteStore::open(&directory.join("weir.db")).await.unwrap();
    let asked = PollsAsked {
        counted_from: Timestamp(0),
        polls_from: Timestamp(0),
        until: Timestamp(i64::MAX),
    };
    let (_, mut rows) = store.read_polls(asked).await.unwrap();
    rows.sort_by_key(|row| row.window);
    rows
}

#[tokio::test(flavor = "multi_thread")]
async fn polls_over_http_and_grpc_are_counted_and_the_file_of_strategies_is_not() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agents = [Agent::every("node", 0.25)];
    known(&app, &mut agents).await;
    app.stop().await;
    // One process after the other: the second one counts nothing but what follows.
    let first = written(directory.path()).await.pop().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let channel = grpc::channel(app.grpc()).await;
    for _ in 0..20 {
        app.poll("shop").await;
        app.poll("unknown").await;
        grpc::poll(&channel, "shop", None).await.unwrap();
        let file = app.client.get(format!("{}/strategies.json", app.sdk));
        assert_eq!(file.send().await.unwrap().status(), 200);
    }
    // The last window is written although it has not ended.
    app.stop().await;
    let rows = written(directory.path()).await;
    let own: Vec<&StoredPolls> = rows
        .iter()
        .filter(|row| row.replica != first.replica)
        .collect();
    let counts = own.iter().flat_map(|row| row.services().unwrap().unwrap());
    let polls: u32 = counts.map(|PollCount { polls, .. }| polls).sum();
    assert_eq!(polls, 40, "{own:?}");
    let last = own.last().unwrap();
    assert!(last.counted.end < last.window.end, "{last:?}");
    assert!(own.is_sorted_by(|one, other| one.window.end <= other.window.start));
}

/// A fleet of four agents. Its SDKs poll a hundred times a second, most of them over gRPC.
struct World {
    app: Arc<TestApp>,
    agents: Vec<Agent>,
    pollers: Vec<(CancellationToken, tokio::task::JoinHandle<()>)>,
    _directory: tempfile::TempDir,
}

impl World {
    /// The same, once it is known how often the SDKs usually poll.
    async fn settled() -> Self {
        let directory = tempfile::tempdir().unwrap();
        let app = Arc::new(TestApp::start(directory.path(), &[]).await);
        app.set_budget(100.0).await;
        let named = |number| Agent::every(&format!("node-{number}"), 0.25);
        let mut world = Self {
            app: Arc::clone(&app),
            agents: (0..4).map(named).collect(),
            pollers: vec![poller(&app, 10, false), poller(&app, 90, true)],
            _directory: directory,
        };
        world
            .until("the usual polls are known", async |_, shop| {
                let usual = shop["usual_polls_per_second"].as_f64()?;
                (usual > 50.0).then_some(())
            })
            .await;
        world
    }

    /// Reports until something holds of a plan and of the service in it.
    async fn until<T>(&mut self, what: &str, done: impl AsyncFn(u64, &Value) -> Option<T>) -> T {
        eventually(DEADLINE, what, async || {
            report(&self.app, &mut self.agents).await;
            let (_, services) = self.app.admin_get("/v1/services").await;
            done(services["plan"].as_u64()?, &services["services"][0]).await
        })
        .await
    }

    async fn stop(self) {
        for (stop, poller) in self.pollers {
            stop.cancel();
            poller.await.unwrap();
        }
        let app = Arc::into_inner(self.app).expect("nobody polls any more");
        app.stop().await;
    }
}

/// Polls this many times a second.
fn poller(
    app: &Arc<TestApp>,
    per_second: u32,
    by_grpc: bool,
) -> (CancellationToken, tokio::task::JoinHandle<()>) {
    let (stop, app) = (CancellationToken::new(), Arc::clone(app));
    let stopped = stop.clone();
    let polling = tokio::spawn(async move {
        let channel = grpc::channel(app.grpc()).await;
        let mut ticks = tokio::time::interval(Duration::from_secs(1) / per_second);
        ticks.set_missed_tick_behavior(MissedTickBehavior::Burst);
        while stopped.run_until_cancelled(ticks.tick()).await.is_some() {
            if by_grpc {
                grpc::poll(&channel, "shop", None).await.unwrap();
            } else {
                app.poll("shop").await;
            }
        }
    });
    (stop, polling)
}

/// Three of four agents fall silent, with most of the SDKs or without. Returns the largest part of their traffic that
/// has been released 25 plans later, or at which half of it was.
async fn falls_silent(sdks_too: bool) -> f64 {
    let mut world = World::settled().await;
    world.agents.truncate(1);
    if sdks_too {
        let (stop, poller) = world.pollers.pop().unwrap();
        stop.cancel();
        poller.await.unwrap();
    }
    let begun = world.app.plan().await.unwrap()["plan"].as_u64().unwrap();
    let most = Cell::new(0.0);
    world
        .until("what became of the traffic is known", async |plan, shop| {
            most.set(f64::max(most.get(), shop["released"].as_f64()?));
            let done = if sdks_too {
                most.get() >= 0.5
            } else {
                plan >= begun + 25
            };
            done.then_some(())
        })
        .await;
    let scrape = Scrape::of(&world.app).await;
    if sdks_too {
        assert_eq!(scrape.value("weir_services_released"), 1.0);
    }
    let plan = world.app.plan().await.unwrap();
    assert_eq!(plan["agents_missing"], 3, "{plan}");
    world.stop().await;
    most.get()
}

#[tokio::test(flavor = "multi_thread")]
async fn only_agents_whose_sdks_stop_asking_are_no_longer_waited_for() {
    let (with, without) = tokio::join!(falls_silent(true), falls_silent(false));
    assert!(with >= 0.5, "the SDKs have stopped asking: {with}");
    assert!(without <= 0.15, "the SDKs still ask: {without}");
}
