//! Agents that send reports, and repeat each until it is acknowledged.

use std::collections::BTreeMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};
use tokio::sync::watch;
use tokio::task::JoinSet;
use tokio::time::MissedTickBehavior;
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::client::{Answer, Count, Report, http_client, now, send};

/// How long an agent waits before it repeats a report that was not acknowledged.
const RETRY_AFTER: Duration = Duration::from_millis(20);

/// How long the last reports may take to be acknowledged.
const FINISH_DEADLINE: Duration = Duration::from_secs(60);

/// Offered and sampled requests by (service, operation).
pub type Totals = BTreeMap<(String, String), (u64, u64)>;

/// The contents of one report, drawn anew for each.
pub type Counts = dyn Fn(&mut StdRng) -> Vec<Count> + Send + Sync;

/// How agents behave.
#[derive(Clone)]
pub struct Behaviour {
    /// How many there are; each has one report outstanding.
    pub agents: u64,
    /// How often each reports; if absent, as soon as its last report is acknowledged.
    pub every: Option<Duration>,
    /// The length of each report's window, which ends when the report is made.
    pub window: Duration,
    /// The share of acknowledged reports that are sent a second time.
    pub repeated: f64,
    /// The contents of a report.
    pub counts: Arc<Counts>,
}

/// Running agents.
pub struct Agents {
    tasks: JoinSet<()>,
    stop: CancellationToken,
    targets: watch::Sender<Vec<String>>,
    ledger: Arc<Ledger>,
}

/// What has been acknowledged.
#[derive(Default)]
struct Ledger {
    reports: AtomicU64,
    repeats: AtomicU64,
    totals: Mutex<Totals>,
}

impl Agents {
    /// Starts agents that use these SDK addresses in turn.
    pub fn start(behaviour: Behaviour, targets: Vec<String>) -> Self {
        let (targets, _) = watch::channel(targets);
        let stop = CancellationToken::new();
        let ledger = Arc::new(Ledger::default());
        let mut tasks = JoinSet::new();
        for number in 0..behaviour.agents {
            let agent = Agent {
                name: format!("node-{number}"),
                epoch: Uuid::new_v4(),
                behaviour: behaviour.clone(),
                http: http_client(),
                targets: targets.subscribe(),
                turn: number as usize,
                random: StdRng::seed_from_u64(number),
                ledger: Arc::clone(&ledger),
            };
            tasks.spawn(agent.work(stop.clone()));
        }
        Self {
            tasks,
            stop,
            targets,
            ledger,
        }
    }

    /// Directs them to other addresses; reports not yet acknowledged are sent there too.
    pub fn redirect(&self, targets: Vec<String>) {
        self.targets.send_replace(targets);
    }

    /// How many reports have been acknowledged, not counting repeats.
    pub fn acknowledged(&self) -> u64 {
        self.ledger.reports.load(Ordering::Relaxed)
    }

    /// How many acknowledged reports have been sent again and recognised as repeats.
    pub fn repeats(&self) -> u64 {
        self.ledger.repeats.load(Ordering::Relaxed)
    }

    /// Waits until every agent's last report is acknowledged, and returns all that was
    /// acknowledged.
    pub async fn finish(&mut self) -> Totals {
        self.stop.cancel();
        let all_ended = async {
            while let Some(ended) = self.tasks.join_next().await {
                ended.expect("an agent failed");
            }
        };
        tokio::time::timeout(FINISH_DEADLINE, all_ended)
            .await
            .expect("the last reports are acknowledged");
        self.ledger.totals.lock().expect("no holder panics").clone()
    }
}

struct Agent {
    name: String,
    epoch: Uuid,
    behaviour: Behaviour,
    http: reqwest::Client,
    targets: watch::Receiver<Vec<String>>,
    turn: usize,
    random: StdRng,
    ledger: Arc<Ledger>,
}

impl Agent {
    async fn work(mut self, stop: CancellationToken) {
        let mut pace = self.behaviour.every.map(tokio::time::interval);
        if let Some(pace) = &mut pace {
            pace.set_missed_tick_behavior(MissedTickBehavior::Delay);
        }
        let mut sequence = 0;
        while !stop.is_cancelled() {
            if let Some(pace) = &mut pace {
                pace.tick().await;
            }
            let report = self.next_report(sequence);
            sequence += 1;
            self.deliver(&report).await;
            if self.random.random_bool(self.behaviour.repeated) {
                self.repeat(&report).await;
            }
        }
    }

    fn next_report(&mut self, sequence: u64) -> Report {
        let window = self.behaviour.window;
        Report {
            agent: self.name.clone(),
            epoch: self.epoch,
            sequence,
            window_start: now() - window,
            window_seconds: window.as_secs_f64(),
            counts: (self.behaviour.counts)(&mut self.random),
        }
    }

    /// Sends a report until it is acknowledged, and adds it to the totals.
    async fn deliver(&mut self, report: &Report) {
        let (attempts, answer) = self.send_until_answered(report).await;
        // A report whose answer was lost may have been counted nevertheless.
        if attempts == 1 {
            assert_eq!(answer, Answer::Counted, "{report:?} on its first way");
        }
        let mut totals = self.ledger.totals.lock().expect("no holder panics");
        for count in &report.counts {
            let key = (count.service.clone(), count.operation.clone());
            let total = totals.entry(key).or_default();
            total.0 += count.offered;
            total.1 += count.sampled;
        }
        drop(totals);
        self.ledger.reports.fetch_add(1, Ordering::Relaxed);
    }

    /// Sends an acknowledged report again; it must be recognised, even after crashes.
    async fn repeat(&mut self, report: &Report) {
        let (_, answer) = self.send_until_answered(report).await;
        assert_eq!(
            answer,
            Answer::Duplicate,
            "{report:?} was acknowledged before"
        );
        self.ledger.repeats.fetch_add(1, Ordering::Relaxed);
    }

    async fn send_until_answered(&mut self, report: &Report) -> (u32, Answer) {
        let body = report.body();
        for attempt in 1.. {
            let target = self.next_target();
            match send(&self.http, &target, &body).await {
                Answer::Again => tokio::time::sleep(RETRY_AFTER).await,
                Answer::Refused(status, text) => panic!("{report:?} was refused: {status} {text}"),
                answer => return (attempt, answer),
            }
        }
        unreachable!("the attempts do not end")
    }

    fn next_target(&mut self) -> String {
        let targets = self.targets.borrow_and_update();
        self.turn += 1;
        targets[self.turn % targets.len()].clone()
    }
}
