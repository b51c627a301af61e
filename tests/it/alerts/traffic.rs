//! A small fleet that polls and reports, correctly or not.

use std::collections::VecDeque;
use std::time::Duration;

use serde_json::Value;
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::{Instant, MissedTickBehavior};
use uuid::Uuid;

use crate::support::client::{Answer, Count, Report, Strategy, http_client, now, send};

pub const SERVICE: &str = "checkout";

/// Agents in a fleet.
pub const AGENTS: usize = 4;

/// Operations and the root requests a second that each agent sees of them.
const RATES: [(&str, f64); 2] = [("GET /", 400.0), ("POST /buy", 40.0)];

/// How often an agent reports.
const EVERY: Duration = Duration::from_millis(250);

/// The reports that an agent holds until they are acknowledged.
const REPORTS: usize = 20;

/// How a fleet behaves.
#[derive(Debug, Clone, Copy)]
pub struct Manners {
    /// The number of agents that report; the others are silent.
    pub heard: usize,
    /// The number of agents whose SDKs poll.
    pub polling: usize,
    /// How often they poll each time.
    pub polls: usize,
    /// How long after its end a report is delivered.
    pub late: Duration,
    /// Whether the first agent reports a million times what it counted.
    pub exaggerates: bool,
    /// Whether everything is sampled, whatever probability is served.
    pub keeps_everything: bool,
    /// The number of operations.
    pub operations: usize,
    /// Whether each report of the first agent has an operation that never comes back.
    pub mints: bool,
}

impl Default for Manners {
    fn default() -> Self {
        Self {
            heard: AGENTS,
            polling: AGENTS,
            polls: 1,
            late: Duration::ZERO,
            exaggerates: false,
            keeps_everything: false,
            operations: RATES.len(),
            mints: false,
        }
    }
}

/// A running fleet. It stops when this value is dropped.
pub struct Fleet {
    manners: watch::Sender<Manners>,
    _agents: JoinSet<()>,
}

impl Fleet {
    /// Starts a fleet on a Weir.
    pub fn start(sdk_url: &str, manners: Manners) -> Self {
        let (manners, seen) = watch::channel(manners);
        let mut agents = JoinSet::new();
        for number in 0..AGENTS {
            let agent = Agent {
                number,
                epoch: Uuid::new_v4(),
                sequence: 0,
                sdk_url: sdk_url.to_owned(),
                http: http_client(),
                manners: seen.clone(),
                carried: [[0.0; 2]; RATES.len()],
                strategy: None,
                pending: VecDeque::new(),
            };
            agents.spawn(agent.work());
        }
        Self {
            manners,
            _agents: agents,
        }
    }

    /// Changes its behaviour from now on.
    pub fn behave(&self, change: impl FnOnce(&mut Manners)) {
        self.manners.send_modify(change);
    }
}

struct Agent {
    number: usize,
    epoch: Uuid,
    sequence: u64,
    sdk_url: String,
    http: reqwest::Client,
    manners: watch::Receiver<Manners>,
    /// Fractions of offered and sampled requests that were not reported yet.
    carried: [[f64; 2]; RATES.len()],
    strategy: Option<Strategy>,
    /// Reports that were not acknowledged yet, and when they were made. The first is sent again before
    /// anything else.
    pending: VecDeque<(Instant, Value)>,
}

impl Agent {
    async fn work(mut self) {
        let mut pace = tokio::time::interval(EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        pace.tick().await;
        let mut reported_until = now();
        loop {
            pace.tick().await;
            let manners = *self.manners.borrow();
            if self.number < manners.polling {
                for _ in 0..manners.polls {
                    self.poll().await;
                }
            }
            let until = now();
            let from = std::mem::replace(&mut reported_until, until);
            if self.number >= manners.heard {
                continue;
            }
            // A few at most, unless they are delivered late.
            if self.pending.len() < REPORTS {
                let seconds = (until - from).num_milliseconds() as f64 / 1000.0;
                let counts = self.counts(seconds, manners);
                self.sequence += 1;
                let report = Report {
                    agent: format!("node-{}", self.number),
                    epoch: self.epoch,
                    sequence: self.sequence,
                    window_start: from,
                    window_seconds: seconds,
                    counts,
                };
                self.pending.push_back((Instant::now(), report.body()));
            }
            self.deliver(manners.late).await;
        }
    }

    async fn poll(&mut self) {
        let url = format!("{}/sampling?service={SERVICE}", self.sdk_url);
        let Ok(answer) = self.http.get(url).send().await else {
            return;
        };
        if let Ok(body) = answer.json().await {
            self.strategy = Some(Strategy { plan: 0, body });
        }
    }

    /// The counts of a number of seconds.
    fn counts(&mut self, seconds: f64, manners: Manners) -> Vec<Count> {
        let mut counts = Vec::new();
        for ((operation, rate), carried) in RATES.iter().zip(&mut self.carried) {
            let served = self.strategy.as_ref();
            let probability = if manners.keeps_everything {
                1.0
            } else {
                served.map_or(0.0, |strategy| strategy.probability(operation))
            };
            let offered = whole(&mut carried[0], rate * seconds);
            let sampled = whole(&mut carried[1], offered as f64 * probability);
            let exaggerates = manners.exaggerates && self.number == 0;
            let offered = if exaggerates {
                offered * 1_000_000
            } else {
                offered
            };
            counts.push(Count {
                service: SERVICE.to_owned(),
                operation: (*operation).to_owned(),
                offered,
                sampled: sampled.min(offered),
            });
        }
        counts.truncate(manners.operations);
        if manners.mints && self.number == 0 {
            counts.push(Count {
                service: SERVICE.to_owned(),
                operation: format!("GET /user/{}", self.sequence),
                offered: 1,
                sampled: 0,
            });
        }
        counts
    }

    async fn deliver(&mut self, late: Duration) {
        while let Some((_, report)) = self
            .pending
            .front()
            .filter(|(made, _)| made.elapsed() >= late)
        {
            match send(&self.http, &self.sdk_url, report).await {
                Answer::Counted | Answer::Duplicate => self.pending.pop_front(),
                // Any error: it is sent again.
                Answer::Again | Answer::Refused(..) => return,
            };
        }
    }
}

/// The whole part of the carried fraction plus the new requests.
fn whole(carried: &mut f64, came: f64) -> u64 {
    *carried += came;
    let whole = carried.floor();
    *carried -= whole;
    whole as u64
}
