//! Reports counts as any agent does: one report outstanding, repeated until it is acknowledged.

use std::collections::{BTreeMap, VecDeque};
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use chrono::{DateTime, SecondsFormat, Utc};
use http_body_util::Full;
use hyper::Method;
use hyper::header::{CONTENT_TYPE, HeaderValue};
use serde::Serialize;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{Pauses, Weir};
use crate::clock;
use crate::core::Counted;
use crate::engine::Engine;

/// How long an answer may take.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How old a report gets before it is given up: what Weir takes by default.
const AGE_MAX: Duration = Duration::from_secs(3600);

/// What waiting reports may take, in bytes.
const WAITING_BYTES_MAX: usize = 16 << 20;

/// Counts wait for so long at most until other edges know what they rest on.
const KNOWN_WITHIN: Duration = Duration::from_secs(5);

/// How often it is asked whether they know.
const ASK_EACH: Duration = Duration::from_millis(50);

/// A window of counts.
#[derive(Debug, Clone, Copy)]
struct Window {
    start: DateTime<Utc>,
    seconds: f64,
    ended: Instant,
}

/// A report that Weir has not acknowledged.
#[derive(Debug)]
struct Report {
    sequence: u64,
    window: Window,
    services: Bytes,
    roots: u64,
}

/// Counts that become a report once other edges know what they rest on: if this edge dies before, nobody has counted
/// these roots, and those edges do.
struct Taken {
    counts: Vec<Counted>,
    now: (DateTime<Utc>, Instant),
    began_at: Instant,
}

/// Who reports.
#[derive(Debug, Clone)]
pub(crate) struct Agent {
    /// This edge's name.
    pub name: String,
    epoch: Uuid,
}

impl Agent {
    pub fn new(name: String) -> Self {
        Self {
            name,
            epoch: Uuid::new_v4(),
        }
    }
}

/// Reports counts.
pub(crate) struct Reporter {
    weir: Weir,
    agent: Agent,
    interval: Duration,
    engine: Arc<Engine>,
    taken: Option<Taken>,
    waiting: VecDeque<Report>,
    sequence: u64,
    began: (DateTime<Utc>, Instant),
    is_away: bool,
}

#[derive(Serialize)]
struct Body<'a> {
    agent: &'a str,
    epoch: Uuid,
    sequence: u64,
    window_start: String,
    window_seconds: f64,
    #[serde(skip_serializing_if = "std::ops::Not::not")]
    last: bool,
    services: &'a serde_json::value::RawValue,
}

#[derive(Serialize)]
struct Service<'a> {
    service: &'a str,
    operations: Vec<Operation<'a>>,
}

#[derive(Serialize)]
struct Operation<'a> {
    operation: &'a str,
    class: &'static str,
    offered: u64,
    sampled: u64,
}

/// How an attempt ended.
enum Sent {
    Acknowledged,
    /// Weir will never take it.
    Refused,
    /// Weir knows other reports of this epoch.
    OtherEpoch,
    Later(String),
}

impl Reporter {
    pub fn new(weir: Weir, agent: Agent, interval: Duration, engine: Arc<Engine>) -> Self {
        Self {
            weir,
            agent,
            interval,
            engine,
            taken: None,
            waiting: VecDeque::new(),
            sequence: 0,
            began: (clock::now(), Instant::now()),
            is_away: false,
        }
    }

    /// Reports until the edge stops. Returns itself for the last report.
    pub async fn run(mut self, stop: CancellationToken) -> Self {
        let mut tick = tokio::time::interval_at(Instant::now() + self.interval, self.interval);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let mut ask = tokio::time::interval(ASK_EACH);
        ask.set_missed_tick_behavior(MissedTickBehavior::Delay);
        let (mut pauses, mut next) = (Pauses::new(), Instant::now());
        loop {
            let (may_send, has_taken) = (!self.waiting.is_empty(), self.taken.is_some());
            tokio::select! {
                () = stop.cancelled() => return self,
                _ = tick.tick(), if !has_taken => self.collect(),
                _ = ask.tick(), if has_taken => self.report_taken(false),
                () = tokio::time::sleep_until(next), if may_send => {
                    // Counts that come meanwhile wait in the core.
                    next = match stop.run_until_cancelled(self.send(false)).await {
                        None => return self,
                        Some(true) => {
                            pauses = Pauses::new();
                            Instant::now()
                        }
                        Some(false) => Instant::now() + pauses.next(),
                    };
                }
            }
        }
    }

    /// Reports what is left, as the last report. Says what is lost if Weir does not take it in time.
    pub async fn end(mut self, until: Instant) {
        // The other edges were told before.
        self.report_taken(true);
        self.take();
        self.report_taken(true);
        let mut pauses = Pauses::new();
        let sending = async {
            while !self.waiting.is_empty() {
                let last = self.waiting.len() == 1;
                if !self.send(last).await {
                    tokio::time::sleep(pauses.next()).await;
                }
            }
        };
        if tokio::time::timeout_at(until, sending).await.is_err() {
            let lost: u64 = self.waiting.iter().map(|report| report.roots).sum();
            self.engine.metrics.report_roots_lost.inc_by(lost);
            tracing::warn!(roots = lost, "Weir did not take the last counts");
        }
    }

    fn collect(&mut self) {
        self.take();
        // An empty report says that the edge is there, and that nothing came.
        let is_empty = |taken: &mut Taken| taken.counts.is_empty();
        if !self.waiting.is_empty() {
            self.taken.take_if(is_empty);
        }
        self.report_taken(false);
    }

    fn take(&mut self) {
        let counts = self.engine.take_counts();
        let now = (clock::now(), Instant::now());
        let (_, began_at) = std::mem::replace(&mut self.began, now);
        self.taken = Some(Taken {
            counts,
            now,
            began_at,
        });
    }

    /// Makes a report of what was taken, if other edges know what it rests on or have had their time.
    fn report_taken(&mut self, at_once: bool) {
        let may_leave = |taken: &mut Taken| {
            let is_over = at_once || taken.now.1.elapsed() >= KNOWN_WITHIN;
            is_over || self.engine.are_counts_known()
        };
        if let Some(taken) = self.taken.take_if(may_leave) {
            self.add(taken.counts, taken.now, taken.began_at);
        }
    }

    fn add(&mut self, counts: Vec<Counted>, now: (DateTime<Utc>, Instant), began_at: Instant) {
        let seconds = (now.1 - began_at).as_secs_f64().clamp(0.001, 300.0);
        let length = chrono::TimeDelta::from_std(Duration::from_secs_f64(seconds));
        self.sequence += 1;
        self.waiting.push_back(Report {
            sequence: self.sequence,
            window: Window {
                start: now.0 - length.unwrap_or_default(),
                seconds,
                ended: now.1,
            },
            roots: counts.iter().map(|counted| counted.offered).sum(),
            services: services(&counts),
        });
        let bytes = |of: &VecDeque<Report>| of.iter().map(|it| it.services.len()).sum::<usize>();
        let is_old = |report: &Report| report.window.ended.elapsed() > AGE_MAX;
        while let Some(first) = self.waiting.front()
            && (is_old(first) || bytes(&self.waiting) > WAITING_BYTES_MAX)
        {
            self.engine.metrics.report_roots_lost.inc_by(first.roots);
            self.waiting.pop_front();
        }
    }

    /// Sends the first report that waits. Says whether the next one may follow at once.
    async fn send(&mut self, last: bool) -> bool {
        let Some(report) = self.waiting.front() else {
            return true;
        };
        let sent = self.attempt(report, last).await;
        let outcome = match &sent {
            Sent::Acknowledged => "acknowledged",
            Sent::Refused => "refused",
            Sent::OtherEpoch => "other_epoch",
            Sent::Later(_) => "later",
        };
        self.engine
            .metrics
            .reports
            .with_label_values(&[outcome])
            .inc();
        match sent {
            Sent::Acknowledged => {
                self.waiting.pop_front();
                if std::mem::take(&mut self.is_away) {
                    tracing::info!("Weir takes counts again");
                }
                true
            }
            Sent::Refused => {
                if let Some(report) = self.waiting.pop_front() {
                    self.engine.metrics.report_roots_lost.inc_by(report.roots);
                    tracing::warn!(roots = report.roots, "Weir refused a report");
                }
                true
            }
            Sent::OtherEpoch => {
                self.agent.epoch = Uuid::new_v4();
                false
            }
            Sent::Later(why) => {
                if !std::mem::replace(&mut self.is_away, true) {
                    tracing::warn!(why, "Weir does not take counts: they wait");
                }
                false
            }
        }
    }

    async fn attempt(&self, report: &Report, last: bool) -> Sent {
        let services = std::str::from_utf8(&report.services).ok();
        let services = services.and_then(|text| serde_json::from_str(text).ok());
        let body = Body {
            agent: &self.agent.name,
            epoch: self.agent.epoch,
            sequence: report.sequence,
            window_start: report
                .window
                .start
                .to_rfc3339_opts(SecondsFormat::Micros, true),
            window_seconds: report.window.seconds,
            last,
            services: services.unwrap_or(serde_json::value::RawValue::NULL),
        };
        let body = serde_json::to_vec(&body).expect("it has no maps with other keys than text");
        let mut request = self.weir.request("/v1/reports");
        *request.method_mut() = Method::POST;
        *request.body_mut() = Full::new(body.into());
        let kind = HeaderValue::from_static("application/json");
        request.headers_mut().insert(CONTENT_TYPE, kind);
        match self.weir.send(request, TIME_LIMIT).await {
            Err(why) => Sent::Later(why),
            Ok(answered) => match answered.status {
                200 => Sent::Acknowledged,
                409 => Sent::OtherEpoch,
                // What is wrong with a report stays wrong. A token may become valid, and a proxy come back.
                400 | 413 | 415 | 422 => Sent::Refused,
                status => Sent::Later(format!("status {status}")),
            },
        }
    }
}

/// The part of a report that names services.
fn services(counts: &[Counted]) -> Bytes {
    let mut by_service: BTreeMap<&str, Vec<Operation<'_>>> = BTreeMap::new();
    for counted in counts {
        by_service
            .entry(&counted.service)
            .or_default()
            .push(Operation {
                operation: &counted.operation,
                class: counted.class.name(),
                offered: counted.offered,
                sampled: counted.sampled,
            });
    }
    let services: Vec<Service<'_>> = by_service
        .into_iter()
        .map(|(service, operations)| Service {
            service,
            operations,
        })
        .collect();
    serde_json::to_vec(&services)
        .expect("it is text and numbers")
        .into()
}
