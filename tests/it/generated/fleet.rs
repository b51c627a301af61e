//! The fleet around Weir: its traffic, SDKs that sample as they are served, agents that report.

use std::collections::{BTreeMap, BTreeSet, HashMap};

use chrono::{DateTime, Utc};
use serde_json::{Value, json};
use uuid::Uuid;
use weir::allocation::Timestamp;
use weir::clock::date;

use super::checks::{self, Strategy};
use super::ledger::Key;

pub const SERVICES: [&str; 3] = ["checkout", "search", "mail"];

/// How long a window is, in milliseconds.
const WINDOW: i64 = 60_000;

/// The windows of the agents' reports end this many milliseconds before a bucket does.
const PHASES: [i64; 3] = [0, 20_000, 45_500];

/// One operation's traffic.
#[derive(Debug, Clone)]
pub struct Stream {
    pub service: usize,
    pub name: String,
    /// Root requests a second, of the whole fleet.
    pub rate: f64,
}

/// Offered and sampled requests by (service, operation).
pub type Counts = BTreeMap<(String, String), (u64, u64)>;

/// A report that is not acknowledged yet.
#[derive(Clone)]
pub struct Report {
    pub key: Key,
    pub body: Vec<u8>,
    /// The window in which it is sent first.
    due: u64,
}

pub struct Agent {
    number: usize,
    pub to: usize,
    epoch: Uuid,
    sequence: u64,
    clock_off: i64,
    /// Whether it has stopped, with its traffic.
    stopped: Option<Stopped>,
    /// How often it has restarted under another name.
    lives: u32,
    /// Whether its next report is its last one.
    ends: bool,
    /// How often it reports, in milliseconds.
    every: i64,
    /// What it has counted since its last report, and in how many milliseconds.
    gathered: (Counts, i64),
    lose: bool,
    delay: u64,
    pub twice: bool,
    pub waiting: Vec<Report>,
    pub acknowledged: Vec<Report>,
    /// Fractions of requests that were not counted yet, by stream, for offered and for sampled
    /// ones.
    offered_left: HashMap<String, f64>,
    sampled_left: HashMap<String, f64>,
}

#[derive(Clone, Copy)]
struct Stopped {
    moves: bool,
}

pub struct Fleet {
    pub streams: Vec<Stream>,
    /// Names that occur once.
    once: Vec<(usize, String)>,
    pub agents: Vec<Agent>,
    /// The last strategy of each service's SDKs.
    pub told: BTreeMap<usize, Strategy>,
    /// The counts of all reports ever made.
    pub made: HashMap<Key, Counts>,
    named: u64,
    epochs: u128,
}

impl Fleet {
    pub fn new() -> Self {
        let stream = |(number, rate): (usize, f64)| Stream {
            service: number % SERVICES.len(),
            name: format!("operation {number}"),
            rate,
        };
        let rates = [200.0, 30.0, 5.0, 1.0, 60.0, 0.5];
        let agent = |number| Agent {
            number,
            to: number,
            epoch: Uuid::from_u128(number as u128),
            sequence: 0,
            clock_off: 0,
            stopped: None,
            lives: 0,
            ends: false,
            every: WINDOW,
            gathered: (Counts::new(), 0),
            lose: false,
            delay: 0,
            twice: false,
            waiting: Vec::new(),
            acknowledged: Vec::new(),
            offered_left: HashMap::new(),
            sampled_left: HashMap::new(),
        };
        Self {
            streams: rates.into_iter().enumerate().map(stream).collect(),
            once: Vec::new(),
            agents: (0..PHASES.len()).map(agent).collect(),
            told: BTreeMap::new(),
            made: HashMap::new(),
            named: 0,
            epochs: 1000,
        }
    }

    fn new_name(&mut self) -> String {
        self.named += 1;
        format!("new {}", self.named)
    }

    pub fn stream(&mut self, number: u8) -> Option<&mut Stream> {
        let among = self.streams.len().max(1);
        self.streams.get_mut(usize::from(number) % among)
    }

    pub fn agent(&mut self, number: u8) -> &mut Agent {
        let among = self.agents.len();
        &mut self.agents[usize::from(number) % among]
    }

    pub fn appear(&mut self, service: u8, rate: f64) {
        let service = usize::from(service) % SERVICES.len();
        let name = self.new_name();
        self.streams.push(Stream {
            service,
            name,
            rate,
        });
    }

    pub fn disappear(&mut self, number: u8) {
        if !self.streams.is_empty() {
            let among = self.streams.len();
            self.streams.remove(usize::from(number) % among);
        }
    }

    pub fn rename(&mut self, number: u8) {
        let name = self.new_name();
        if let Some(stream) = self.stream(number) {
            stream.name = name;
        }
    }

    pub fn name_many(&mut self, service: u8, count: u8) {
        let service = usize::from(service) % SERVICES.len();
        for _ in 0..count {
            let name = self.new_name();
            self.once.push((service, name));
        }
    }

    pub fn restart_agent(&mut self, number: u8) {
        self.epochs += 1;
        let epoch = Uuid::from_u128(self.epochs);
        let agent = self.agent(number);
        agent.waiting.clear();
        agent.renew(epoch);
    }

    pub fn replace_agent(&mut self, number: u8) {
        self.restart_agent(number);
        self.agent(number).lives += 1;
    }

    /// Gives an agent a new epoch, as an agent takes one that has lost its counter.
    pub fn renew(&mut self, agent: usize) {
        self.epochs += 1;
        self.agents[agent].renew(Uuid::from_u128(self.epochs));
    }

    /// Makes the reports of all agents for the window that ends at an instant.
    pub fn make_reports(&mut self, number: u64, end: i64) {
        let gone = |agent: &Agent| agent.stopped.is_some_and(|stopped| stopped.moves);
        let stayed = self.agents.iter().filter(|agent| !gone(agent)).count();
        let part = 1.0 / stayed.max(1) as f64;
        let mut once = std::mem::take(&mut self.once);
        let running = self.agents.iter_mut();
        for agent in running.filter(|agent| agent.stopped.is_none()) {
            let step = agent.every.min(WINDOW);
            for passed in 1..=WINDOW / step {
                if agent.stopped.is_some() {
                    break;
                }
                let counts = agent.count(&self.streams, part, &self.told, step);
                agent.gather(counts, &std::mem::take(&mut once), step);
                let end = end - WINDOW + passed * step;
                let Some((report, counts)) = agent.report(number, end) else {
                    continue;
                };
                self.made.insert(report.key.clone(), counts);
                if !std::mem::take(&mut agent.lose) {
                    agent.waiting.push(report);
                }
            }
        }
    }

    /// The offered rate of the streams, in root requests per second.
    pub fn offered(&self) -> f64 {
        self.streams.iter().map(|stream| stream.rate).sum()
    }

    /// Ends the faults of agents, and makes the traffic steady and large enough to measure.
    pub fn calm(&mut self) {
        let mut seen = BTreeSet::new();
        self.once.clear();
        for stream in &mut self.streams {
            stream.rate = stream.rate.clamp(1.0, 10_000.0);
            seen.insert(stream.service);
        }
        if seen.is_empty() {
            self.appear(0, 100.0);
        }
        for agent in &mut self.agents {
            agent.stopped = None;
            agent.ends = false;
            agent.clock_off = 0;
            agent.every = WINDOW;
            agent.lose = false;
            agent.delay = 0;
            agent.to = agent.number;
        }
    }
}

impl Agent {
    fn renew(&mut self, epoch: Uuid) {
        self.epoch = epoch;
        self.sequence = 0;
        self.gathered = (Counts::new(), 0);
    }

    pub fn lose(&mut self) {
        self.lose = true;
    }

    pub fn delay(&mut self, windows: u8) {
        self.delay = u64::from(windows);
    }

    pub fn stop(&mut self, moves: bool) {
        self.stopped = Some(Stopped { moves });
        self.gathered = (Counts::new(), 0);
        self.waiting.clear();
    }

    /// Makes the next report the last one.
    pub fn end(&mut self) {
        self.ends = true;
    }

    fn name(&self) -> String {
        match self.lives {
            0 => format!("agent-{}", self.number),
            lives => format!("agent-{}-{lives}", self.number),
        }
    }

    pub fn start(&mut self) {
        self.stopped = None;
    }

    pub fn report_every(&mut self, seconds: u8) {
        self.every = i64::from(seconds) * 1000;
    }

    pub fn set_off(&mut self, seconds: i32) {
        self.clock_off = i64::from(seconds) * 1000;
    }

    /// The reports to send in a window. They are removed from those that wait.
    pub fn due(&mut self, window: u64) -> Vec<Report> {
        let (due, held) = std::mem::take(&mut self.waiting)
            .into_iter()
            .partition(|report| report.due <= window);
        self.waiting = held;
        due
    }

    /// What it sees in this many milliseconds.
    fn count(
        &mut self,
        streams: &[Stream],
        part: f64,
        told: &BTreeMap<usize, Strategy>,
        milliseconds: i64,
    ) -> Counts {
        let mut counts = Counts::new();
        let seconds = milliseconds as f64 / 1000.0;
        for Stream {
            service,
            name,
            rate,
        } in streams
        {
            let offered = whole(&mut self.offered_left, name, rate * part * seconds);
            let probability = told.get(service);
            let probability = probability.map_or(0.001, |told| told.probability(name));
            let sampled = whole(&mut self.sampled_left, name, offered as f64 * probability);
            let service = SERVICES[*service].to_owned();
            if offered > 0 {
                counts.insert((service, name.clone()), (offered, sampled.min(offered)));
            }
        }
        counts
    }

    fn gather(&mut self, counts: Counts, once: &[(usize, String)], milliseconds: i64) {
        let once = once
            .iter()
            .map(|(service, name)| ((SERVICES[*service].to_owned(), name.clone()), (1, 0)));
        let once = once.collect();
        let (gathered, passed) = &mut self.gathered;
        *gathered = sum([&*gathered, &counts, &once].into_iter());
        *passed += milliseconds;
    }

    /// The report that ends at an instant, if one is due, and its counts.
    fn report(&mut self, number: u64, end: i64) -> Option<(Report, Counts)> {
        if self.gathered.1 < self.every {
            return None;
        }
        let (counts, length) = std::mem::take(&mut self.gathered);
        self.sequence += 1;
        let start = end - length - PHASES[self.number] + self.clock_off;
        let start: DateTime<Utc> = date(Timestamp(start));
        let key = (self.name(), self.epoch, self.sequence);
        let last = std::mem::take(&mut self.ends);
        if last {
            self.stopped = Some(Stopped { moves: true });
        }
        let mut services: BTreeMap<&str, Vec<Value>> = BTreeMap::new();
        for ((service, operation), (offered, sampled)) in &counts {
            let counted = json!({ "operation": operation, "offered": offered, "sampled": sampled });
            services.entry(service).or_default().push(counted);
        }
        let services: Vec<Value> = services
            .into_iter()
            .map(|(service, operations)| json!({ "service": service, "operations": operations }))
            .collect();
        let body = json!({
            "agent": key.0, "epoch": key.1, "sequence": key.2,
            "last": last, "window_start": start, "window_seconds": length / 1000, "services": services,
        });
        let report = Report {
            key,
            body: serde_json::to_vec(&body).unwrap(),
            due: number + std::mem::take(&mut self.delay),
        };
        Some((report, counts))
    }
}

/// The whole part of the fraction that was left plus the new requests; the rest is left.
fn whole(left: &mut HashMap<String, f64>, name: &str, more: f64) -> u64 {
    let left = left.entry(name.to_owned()).or_default();
    *left += more;
    let whole = left.floor();
    *left -= whole;
    whole as u64
}

/// The sum of reports.
pub fn sum<'a>(reports: impl Iterator<Item = &'a Counts>) -> Counts {
    let mut sum = Counts::new();
    for counts in reports {
        for (name, (offered, sampled)) in counts {
            let total = sum.entry(name.clone()).or_default();
            total.0 += offered;
            total.1 += sampled;
        }
    }
    sum
}

pub fn read_strategy(body: &[u8]) -> Result<Strategy, String> {
    checks::strategy(body)
}
