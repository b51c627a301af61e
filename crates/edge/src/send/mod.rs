//! Backends: each has a queue, batches and retries of its own, so one that is away holds up no other.

mod client;
mod queue;
mod retry;

use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use tokio::task::JoinSet;
use tokio::time::Instant;

use self::client::Client;
pub(crate) use self::client::{Http, words};
pub use self::queue::Body;
use self::queue::Queue;
use self::retry::Retries;
pub(crate) use self::retry::jitter;
use crate::metrics::Metrics;
use crate::otlp::json::Signal;
use crate::settings::{Backend, Compression, Protocol};
use crate::tls::Clients;

/// Batches of a backend that are on their way at the same time.
const AT_ONCE: usize = 4;

/// All backends.
pub(crate) struct Backends {
    all: Vec<Arc<Sender>>,
    /// Weir, if it gets metrics.
    weir: Option<Arc<Sender>>,
    metrics: Arc<Metrics>,
}

/// What is settable about sending.
#[derive(Debug, Clone, Copy)]
pub(crate) struct Sending {
    pub queue_bytes: usize,
    pub compression: Compression,
    pub batch_delay: Duration,
    pub retry_for: Duration,
}

/// Sends to a backend.
struct Sender {
    client: Client,
    queue: Queue,
    retries: Retries,
    batch_delay: Duration,
    metrics: Arc<Metrics>,
}

/// No backend has room.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) struct NoRoom;

impl Backends {
    pub fn new(
        backends: Vec<Backend>,
        weir: Option<Backend>,
        clients: &Clients,
        sending: Sending,
        metrics: &Arc<Metrics>,
    ) -> Self {
        let queues = backends.len() + usize::from(weir.is_some());
        let queue_bytes = sending.queue_bytes / queues.max(1);
        let sender = |backend: Backend| {
            let http = match backend.protocol {
                Protocol::Http => clients.http.clone(),
                Protocol::Grpc => clients.http2.clone(),
            };
            Arc::new(Sender {
                client: Client {
                    backend,
                    http,
                    compression: sending.compression,
                },
                queue: Queue::new(queue_bytes),
                retries: Retries::new(sending.retry_for),
                batch_delay: sending.batch_delay,
                metrics: Arc::clone(metrics),
            })
        };
        Self {
            weir: weir.map(&sender),
            all: backends.into_iter().map(&sender).collect(),
            metrics: Arc::clone(metrics),
        }
    }

    fn senders(&self) -> impl Iterator<Item = &Arc<Sender>> {
        self.all.iter().chain(&self.weir)
    }

    /// Whether Weir gets metrics.
    pub fn has_weir(&self) -> bool {
        self.weir.is_some()
    }

    /// Gives metrics to Weir, or counts them as lost, because of this.
    pub fn to_weir(&self, metrics: Result<Bytes, &str>) {
        let body = |bytes| Body {
            signal: Signal::Metrics,
            bytes,
            spans: 0,
        };
        let Some(weir) = &self.weir else {
            return;
        };
        match metrics.map(|bytes| weir.queue.push(body(bytes))) {
            Ok(Ok(())) => {}
            Ok(Err(body)) => weir.lost(&[body], "queue_full"),
            Err(reason) => weir.lost(&[body(Bytes::new())], reason),
        }
    }

    /// How full the fullest queue is.
    pub fn filled(&self) -> f64 {
        let filled = self.all.iter().map(|sender| sender.queue.filled());
        filled.fold(0.0, f64::max)
    }

    /// Brings the gauges up to date.
    pub fn observe(&self) {
        for sender in self.senders() {
            let gauge = self.metrics.queue_bytes.with_label_values(&[sender.name()]);
            gauge.set(sender.queue.bytes() as i64);
        }
    }

    /// Gives a body to all backends, if one of them has room: its sender can send it again.
    pub fn pass(&self, body: &Body) -> Result<(), NoRoom> {
        let has_room = |sender: &Arc<Sender>| sender.queue.has_room(body.bytes.len());
        if !self.all.iter().any(has_room) {
            return Err(NoRoom);
        }
        self.keep(body);
        Ok(())
    }

    /// Gives a body to all backends. What has no room is lost for that backend: nobody can send it again.
    pub fn keep(&self, body: &Body) {
        for sender in &self.all {
            if let Err(body) = sender.queue.push(body.clone()) {
                sender.lost(&[body], "queue_full");
            }
        }
    }

    /// Starts sending.
    pub fn start(&self, tasks: &mut JoinSet<()>) {
        for sender in self.senders() {
            for _ in 0..AT_ONCE {
                let sender = Arc::clone(sender);
                tasks.spawn(async move { sender.run().await });
            }
        }
    }

    /// Sends what waits until then, and says what is lost.
    pub async fn end(&self, mut tasks: JoinSet<()>, until: Instant) {
        for sender in self.senders() {
            sender.queue.end();
        }
        let all_sent = async { while tasks.join_next().await.is_some() {} };
        if tokio::time::timeout_at(until, all_sent).await.is_ok() {
            return;
        }
        // Batches that are on their way are counted as lost where they are dropped.
        tasks.shutdown().await;
        for sender in self.senders() {
            let rest = sender.queue.rest();
            sender.lost(&rest, "stop");
        }
    }
}

/// A batch that is on its way, in parts if it was refused. What is dropped before its end is lost.
struct OnItsWay<'a> {
    sender: &'a Sender,
    parts: Vec<Vec<Body>>,
}

impl Drop for OnItsWay<'_> {
    fn drop(&mut self) {
        for part in &self.parts {
            self.sender.lost(part, "stop");
            self.sender.queue.done(bytes(part));
        }
    }
}

fn bytes(bodies: &[Body]) -> usize {
    bodies.iter().map(|body| body.bytes.len()).sum()
}

impl Sender {
    fn name(&self) -> &str {
        &self.client.backend.name
    }

    async fn run(&self) {
        while let Some(batch) = self.queue.batch(self.batch_delay).await {
            let mut way = OnItsWay {
                sender: self,
                parts: vec![batch],
            };
            while let Some(part) = way.parts.last() {
                let cut = self.deliver(part).await;
                let Some(mut part) = way.parts.pop() else {
                    break;
                };
                match cut {
                    Some(middle) => {
                        let second = part.split_off(middle);
                        way.parts.extend([second, part]);
                    }
                    None => self.queue.done(bytes(&part)),
                }
            }
        }
    }

    /// Sends bodies until they are taken or lost. Returns where to cut them if the backend refuses them together.
    async fn deliver(&self, bodies: &[Body]) -> Option<usize> {
        let signal = bodies.first()?.signal;
        let joined = joined(bodies);
        let mut attempts = self.retries.begin();
        loop {
            let answer = self.client.send(signal, &joined).await;
            self.count(signal, &answer);
            match answer {
                client::Answer::Taken { rejected } => {
                    self.taken(bodies, signal, rejected);
                    return None;
                }
                client::Answer::Refused { .. } if bodies.len() > 1 => {
                    return Some(bodies.len() / 2);
                }
                client::Answer::Refused { why } => {
                    self.say("refused a body", &why);
                    self.lost(bodies, "refused");
                    return None;
                }
                client::Answer::Later { pause, why } => match attempts.pause(pause) {
                    Some(pause) => {
                        self.say("did not take a batch, which is tried again", &why);
                        tokio::time::sleep(pause).await;
                    }
                    None => {
                        self.say("did not take a batch in time", &why);
                        self.lost(bodies, "retries");
                        return None;
                    }
                },
            }
        }
    }

    fn count(&self, signal: Signal, answer: &client::Answer) {
        let outcome = match answer {
            client::Answer::Taken { rejected: 0 } => "taken",
            client::Answer::Taken { .. } => "taken_in_part",
            client::Answer::Later { .. } => "later",
            client::Answer::Refused { .. } => "refused",
        };
        let labels = [self.name(), signal.name(), outcome];
        self.metrics.batches.with_label_values(&labels).inc();
    }

    fn taken(&self, bodies: &[Body], signal: Signal, rejected: u64) {
        let spans: u64 = bodies.iter().map(|body| body.spans as u64).sum();
        if signal == Signal::Traces {
            let rejected = rejected.min(spans);
            self.metrics
                .sent
                .with_label_values(&[self.name()])
                .inc_by(spans - rejected);
            let lost = self
                .metrics
                .lost
                .with_label_values(&[self.name(), "rejected"]);
            lost.inc_by(rejected);
        }
    }

    fn lost(&self, bodies: &[Body], reason: &str) {
        for body in bodies {
            if body.signal == Signal::Traces {
                let lost = self.metrics.lost.with_label_values(&[self.name(), reason]);
                lost.inc_by(body.spans as u64);
            } else {
                let labels = [self.name(), body.signal.name(), reason];
                self.metrics.bodies_lost.with_label_values(&labels).inc();
            }
        }
    }

    fn say(&self, what: &str, why: &str) {
        if self.retries.may_say() {
            tracing::warn!(backend = self.name(), why, "a backend {what}");
        }
    }
}

/// Requests of protobuf one after the other are one request.
fn joined(bodies: &[Body]) -> Bytes {
    match bodies {
        [only] => only.bytes.clone(),
        several => {
            let mut joined = Vec::with_capacity(bytes(several));
            several
                .iter()
                .for_each(|body| joined.extend_from_slice(&body.bytes));
            joined.into()
        }
    }
}
