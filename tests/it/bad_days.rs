//! Bad days: a database that is slow, gone or full, clocks that jump, clients that hang, hostile
//! bodies. All the time polls are answered, memory stays bounded, and acknowledged reports are
//! counted once. Afterwards everything recovers by itself.
//!
//! `docs/limits.md` states what happens on each of these days; the tests measure it.

mod bodies;
mod clock;
mod connections;
mod database;
mod exports;

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};
use std::time::Duration;

use rand::rngs::StdRng;
use serde_json::Value;
use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::support::agents::{Agents, Behaviour};
use crate::support::client::{Client, Count};
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

/// How long Weir may take for anything that it does by itself.
const DEADLINE: Duration = Duration::from_secs(60);

/// The memory that the process may use, in KiB: the bound in `docs/limits.md` for these days.
const MEMORY_MAX_KIB: u64 = 192 * 1024;

const SERVICE: &str = "shop";
const OPERATION: &str = "GET /";
const BUDGET: f64 = 50.0;

/// Polls all the time; every poll must be answered.
struct Poller {
    task: JoinHandle<f64>,
    polls: Arc<AtomicU64>,
    stop: CancellationToken,
}

impl Poller {
    /// Polls a known service, on a connection that stays open.
    fn start(weir: &WeirProcess) -> Self {
        let url = format!("{}/sampling?service={SERVICE}", weir.sdk_url());
        let client = reqwest::Client::builder()
            .timeout(DEADLINE)
            .build()
            .unwrap();
        let (stop, polls) = (CancellationToken::new(), Arc::new(AtomicU64::new(0)));
        let task = tokio::spawn({
            let (stop, polls) = (stop.clone(), Arc::clone(&polls));
            let mut pace = tokio::time::interval(Duration::from_millis(20));
            async move {
                let mut most: f64 = 0.0;
                while stop.run_until_cancelled(pace.tick()).await.is_some() {
                    let answer = client.get(&url).send().await.expect("a poll is answered");
                    assert_eq!(answer.status(), 200);
                    let body: Value = answer.json().await.expect("the whole body comes");
                    most = most.max(probability(&body));
                    polls.fetch_add(1, Ordering::Relaxed);
                }
                most
            }
        });
        Self { task, polls, stop }
    }

    /// Waits for a few more answers.
    async fn goes_on(&self) {
        let until = self.polls.load(Ordering::Relaxed) + 10;
        eventually(DEADLINE, "polls are answered", async || {
            assert!(!self.task.is_finished(), "a poll was not answered");
            (self.polls.load(Ordering::Relaxed) >= until).then_some(())
        })
        .await;
    }

    /// Stops. Checks that every poll was answered, and returns the highest probability served.
    async fn all_answered(self) -> f64 {
        self.goes_on().await;
        self.stop.cancel();
        self.task.await.expect("every poll was answered")
    }
}

/// The probability of the only operation in the body.
fn probability(body: &Value) -> f64 {
    let listed = &body["operationSampling"]["perOperationStrategies"];
    let [operation] = listed
        .as_array()
        .expect("the list of operations")
        .as_slice()
    else {
        panic!("one operation is served: {body}");
    };
    assert_eq!(operation["operation"], OPERATION);
    let rate = &operation["probabilisticSampling"]["samplingRate"];
    rate.as_f64().expect("a number")
}

/// Four agents with traffic of ten times the budget; a fifth of their reports are sent twice.
fn agents(weir: &WeirProcess) -> Agents {
    let behaviour = Behaviour {
        agents: 4,
        every: Some(Duration::from_millis(100)),
        window: Duration::from_millis(100),
        repeated: 0.2,
        counts: Arc::new(|_: &mut StdRng| vec![count(13)]),
    };
    Agents::start(behaviour, vec![weir.sdk_url().to_owned()])
}

fn count(offered: u64) -> Count {
    Count {
        service: SERVICE.into(),
        operation: OPERATION.into(),
        offered,
        sampled: 1,
    }
}

/// Waits until the operation is served a lower probability than an unknown one.
async fn serves_a_plan(weir: &WeirProcess) {
    let client = Client::of(weir);
    client.set_budget(BUDGET).await;
    eventually(DEADLINE, "the operation is served", async || {
        let strategy = client.strategy(SERVICE).await?;
        strategy.listed(OPERATION)
    })
    .await;
}

/// Waits for new plans.
async fn plans_go_on(weir: &WeirProcess) {
    let client = Client::of(weir);
    let mut last = eventually(DEADLINE, "a plan", async || client.plan().await).await;
    for _ in 0..2 {
        last = eventually(DEADLINE, "plans go on", async || {
            let plan = client.plan().await?;
            (plan.number > last.number).then_some(plan)
        })
        .await;
    }
}

/// Waits until a metric has a value.
async fn metric(weir: &WeirProcess, series: &str, wanted: impl Fn(f64) -> bool) -> f64 {
    eventually(DEADLINE, series, async || {
        let answer = reqwest::get(format!("{}/metrics", weir.admin_url())).await;
        let text = answer.ok()?.text().await.ok()?;
        Some(Scrape::read(text).value(series)).filter(|value| wanted(*value))
    })
    .await
}

fn assert_memory_bounded(weir: &WeirProcess, day: &str) {
    let memory = weir.peak_memory_kib();
    eprintln!("{day}: {} MiB at most", memory / 1024);
    assert!(memory < MEMORY_MAX_KIB, "{day}: {memory} KiB");
}
