//! Agents that report under old and new names, to either replica, and repeat acknowledged reports.

use std::collections::{BTreeSet, VecDeque};
use std::sync::{Arc, Mutex};
use std::time::{Duration, Instant};

use chrono::{DateTime, Utc};
use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use crate::ledger::Ledger;
use crate::support::client::{Answer, Count, Report, http_client, now, send};

const AGENTS: usize = 8;

/// How often each agent reports, and how soon it tries again.
const EVERY: Duration = Duration::from_millis(250);
const RETRY_AFTER: Duration = Duration::from_millis(100);

/// The share of acknowledged reports that are sent a second time, and of reports that contain a new
/// name.
const REPEATED: f64 = 0.2;
const WITH_NEW_NAME: f64 = 0.3;

/// New names that any agent may use next: each is soon reported through both replicas.
const RECENT_NAMES: usize = 40;
const NEW_NAMES_IN_SERVICE: u64 = 200;

/// The longest time that one report may cover.
const WINDOW_MAX_SECONDS: f64 = 120.0;

const FINISH_DEADLINE: Duration = Duration::from_secs(60);

/// Services that exist from the start.
pub const STEADY: [&str; 3] = ["checkout", "cart", "search"];
const STEADY_OPERATIONS: u64 = 12;

/// Running agents.
pub struct Fleet {
    pub ledger: Arc<Ledger>,
    tasks: JoinSet<()>,
    stop: CancellationToken,
}

impl Fleet {
    /// Starts agents that use these SDK addresses in turn.
    pub fn start(targets: &[String]) -> Self {
        let names: Vec<_> = (0..AGENTS)
            .map(|number| (format!("node-{number}"), Uuid::new_v4()))
            .collect();
        let ledger = Arc::new(Ledger::new(&names));
        let stop = CancellationToken::new();
        let new_names = Arc::new(NewNames::default());
        let mut tasks = JoinSet::new();
        for (place, (name, epoch)) in names.into_iter().enumerate() {
            let agent = Agent {
                place,
                name,
                epoch,
                http: http_client(),
                targets: targets.to_vec(),
                turn: place,
                random: StdRng::seed_from_u64(place as u64),
                reported_until: now(),
                new_names: Arc::clone(&new_names),
                ledger: Arc::clone(&ledger),
            };
            tasks.spawn(agent.work(stop.clone()));
        }
        Self {
            ledger,
            tasks,
            stop,
        }
    }

    /// Waits until every agent's last report is acknowledged.
    pub async fn finish(&mut self) {
        self.stop.cancel();
        let all_ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.expect("an agent failed");
            }
        };
        tokio::time::timeout(FINISH_DEADLINE, all_ended)
            .await
            .expect("the last reports are acknowledged");
    }
}

/// Names that appear over time.
#[derive(Default)]
struct NewNames {
    state: Mutex<(u64, VecDeque<(String, String)>)>,
}

impl NewNames {
    /// A name that has not been used before.
    fn invent(&self) -> (String, String) {
        let mut state = self.state.lock().expect("no holder panics");
        let (invented, recent) = &mut *state;
        let number = *invented;
        *invented += 1;
        let service = format!("job-{}", number / NEW_NAMES_IN_SERVICE);
        let name = (service, format!("task {number}"));
        recent.push_back(name.clone());
        if recent.len() > RECENT_NAMES {
            recent.pop_front();
        }
        name
    }

    /// A name that was created recently.
    fn recent(&self, random: &mut StdRng) -> Option<(String, String)> {
        let state = self.state.lock().expect("no holder panics");
        let recent = &state.1;
        (!recent.is_empty()).then(|| recent[random.random_range(0..recent.len())].clone())
    }
}

struct Agent {
    place: usize,
    name: String,
    epoch: Uuid,
    http: reqwest::Client,
    targets: Vec<String>,
    turn: usize,
    random: StdRng,
    reported_until: DateTime<Utc>,
    new_names: Arc<NewNames>,
    ledger: Arc<Ledger>,
}

impl Agent {
    async fn work(mut self, stop: CancellationToken) {
        let mut pace = tokio::time::interval(EVERY);
        pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut sequence = 0;
        while !stop.is_cancelled() {
            pace.tick().await;
            let report = self.next_report(sequence);
            sequence += 1;
            self.deliver(&report).await;
            if self.random.random_bool(REPEATED) {
                self.repeat(&report).await;
            }
        }
    }

    /// Everything since the last report, however long ago that is.
    fn next_report(&mut self, sequence: u64) -> Report {
        let until = now();
        let seconds = (until - self.reported_until).as_seconds_f64();
        let seconds = seconds.clamp(0.001, WINDOW_MAX_SECONDS);
        self.reported_until = until;
        Report {
            agent: self.name.clone(),
            epoch: self.epoch,
            sequence,
            window_start: until - chrono::TimeDelta::milliseconds((seconds * 1000.0) as i64),
            window_seconds: seconds,
            counts: self.counts(),
        }
    }

    fn counts(&mut self) -> Vec<Count> {
        let mut names = BTreeSet::new();
        for service in STEADY {
            let operation = self.random.random_range(0..STEADY_OPERATIONS);
            names.insert((service.to_owned(), format!("GET /{operation}")));
        }
        if self.random.random_bool(WITH_NEW_NAME) {
            names.insert(self.new_names.invent());
        }
        for _ in 0..2 {
            names.extend(self.new_names.recent(&mut self.random));
        }
        let random = &mut self.random;
        let count = |(service, operation)| {
            let offered = random.random_range(1..5_000);
            Count {
                service,
                operation,
                offered,
                sampled: random.random_range(0..=offered),
            }
        };
        names.into_iter().map(count).collect()
    }

    /// Sends a report until it is acknowledged, and records it.
    async fn deliver(&mut self, report: &Report) {
        let (first, began, answer) = self.send_until_answered(report).await;
        match answer {
            Answer::Counted => {}
            // A report whose answer was lost may have been counted nevertheless.
            Answer::Duplicate if !first => {}
            other => return self.fault(report, &other),
        }
        self.ledger.acknowledged(self.place, report, began);
    }

    /// Sends an acknowledged report again.
    async fn repeat(&mut self, report: &Report) {
        match self.send_until_answered(report).await.2 {
            // PostgreSQL may have lost it since; whether that is possible is checked with the
            // marks.
            Answer::Counted => self.ledger.repeated(self.place, report.sequence, true),
            Answer::Duplicate => self.ledger.repeated(self.place, report.sequence, false),
            other => self.fault(report, &other),
        }
    }

    fn fault(&self, report: &Report, answer: &Answer) {
        let Report {
            agent, sequence, ..
        } = report;
        let what = format!("report {sequence} of {agent} was answered {answer:?}");
        self.ledger.fault(what);
    }

    /// The answer, whether it came at the first attempt, and when the last attempt began.
    async fn send_until_answered(&mut self, report: &Report) -> (bool, Instant, Answer) {
        let body = report.body();
        let mut first = true;
        loop {
            self.turn += 1;
            let target = &self.targets[self.turn % self.targets.len()];
            let began = Instant::now();
            match send(&self.http, target, &body).await {
                Answer::Again => tokio::time::sleep(RETRY_AFTER).await,
                // An unreachable database is no internal error; the report may have been counted.
                Answer::Refused(status @ 500.., text) => {
                    self.ledger
                        .fault(format!("reports are answered {status}: {text}"));
                    tokio::time::sleep(RETRY_AFTER).await;
                }
                answer => return (first, began, answer),
            }
            first = false;
        }
    }
}
