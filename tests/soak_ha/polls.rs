//! SDKs that poll a replica continuously.

use std::time::{Duration, Instant};

use tokio::task::JoinHandle;
use tokio_util::sync::CancellationToken;

use crate::fleet::STEADY;

const EVERY: Duration = Duration::from_millis(50);
const TIMEOUT: Duration = Duration::from_secs(5);

/// The results of polling one replica.
#[derive(Debug, Default, Clone)]
pub struct Seen {
    pub polls: u64,
    pub failed: u64,
    pub slowest: Duration,
    /// Pairs of plan numbers that decreased from one answer to the next.
    pub back: Vec<(u64, u64)>,
}

/// Polls that go on until they are ended.
pub struct Polls {
    task: JoinHandle<Seen>,
    stop: CancellationToken,
}

impl Polls {
    pub fn start(sdk_url: String) -> Self {
        let stop = CancellationToken::new();
        let task = tokio::spawn(poll(sdk_url, stop.clone()));
        Self { task, stop }
    }

    pub async fn finish(self) -> Seen {
        self.stop.cancel();
        self.task.await.expect("polls do not panic")
    }
}

async fn poll(sdk_url: String, stop: CancellationToken) -> Seen {
    let http = reqwest::Client::builder().timeout(TIMEOUT).build().unwrap();
    let mut pace = tokio::time::interval(EVERY);
    pace.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    let mut seen = Seen::default();
    let mut last = 0;
    for service in STEADY.iter().cycle() {
        pace.tick().await;
        if stop.is_cancelled() {
            break;
        }
        let began = Instant::now();
        let plan = served_plan(&http, &format!("{sdk_url}/sampling?service={service}")).await;
        seen.polls += 1;
        seen.slowest = seen.slowest.max(began.elapsed());
        match plan {
            Some(plan) => {
                if plan < last {
                    seen.back.push((last, plan));
                }
                last = plan;
            }
            None => seen.failed += 1,
        }
    }
    seen
}

/// The number of the plan that answers a poll; none if it fails.
async fn served_plan(http: &reqwest::Client, url: &str) -> Option<u64> {
    let answer = http.get(url).send().await.ok()?;
    if answer.status() != 200 {
        return None;
    }
    let plan = answer.headers().get("Weir-Plan")?.to_str().ok()?.parse();
    answer.bytes().await.ok()?;
    plan.ok()
}
