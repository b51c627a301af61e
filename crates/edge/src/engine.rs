//! What takes exports: the core behind a lock, and the backends behind their queues.
//!
//! The lock is held while the spans of one export are copied, or while a few traces are decided: microseconds. Nothing
//! waits for I/O under it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use bytes::Bytes;
use tokio::time::{Instant, MissedTickBehavior};
use tokio_util::sync::CancellationToken;

use crate::core::peers::Edge;
use crate::core::peers::message::{Answer, Message};
use crate::core::{Core, Counted, Figures, Limits, Pushed, SpanMetrics};
use crate::metrics::Metrics;
use crate::otlp::json::Signal;
use crate::otlp::write::{Told, Written};
use crate::otlp::{Export, Unreadable, services};
use crate::plan::{Governed, Plan};
use crate::send::{Backends, Body, NoRoom};

/// How often what is due is decided.
const TICK: Duration = Duration::from_millis(50);

/// Traces that are decided under one lock.
const AT_ONCE: usize = 64;

/// The edge's own time begins here, so that there is a time before.
const BEGIN_MS: u64 = 3_600_000;

/// Why an export was not taken.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(crate) enum NotTaken {
    Unreadable(Unreadable),
    NoRoom,
}

/// Takes exports.
pub(crate) struct Engine {
    core: Mutex<Core>,
    /// The same plan, for walks without the lock.
    plan: arc_swap::ArcSwap<Plan>,
    started: Instant,
    edge_id: u64,
    pub backends: Backends,
    pub metrics: Arc<Metrics>,
}

impl Engine {
    pub fn new(
        limits: Limits,
        told: Told,
        plan: Arc<Plan>,
        backends: Backends,
        metrics: Arc<Metrics>,
    ) -> Self {
        Self {
            core: Mutex::new(Core::new(limits, told, Arc::clone(&plan))),
            plan: plan.into(),
            started: Instant::now(),
            edge_id: limits.edge_id,
            backends,
            metrics,
        }
    }

    fn core(&self) -> MutexGuard<'_, Core> {
        // A panic is counted where the request ends; the figures of one export may be off.
        self.core.lock().unwrap_or_else(PoisonError::into_inner)
    }

    fn now_ms(&self) -> u64 {
        BEGIN_MS + self.started.elapsed().as_millis() as u64
    }

    /// Follows another plan.
    pub fn follow(&self, plan: Plan) {
        let plan = Arc::new(plan);
        self.metrics.plan.set(plan.number as i64);
        self.core().follow(Arc::clone(&plan));
        self.plan.store(plan);
    }

    /// Takes an export of traces in protobuf.
    pub fn take_traces(&self, body: &[u8]) -> Result<Pushed, NotTaken> {
        let plan = self.plan.load_full();
        let export = Export::walk(body, &plan.tagged).map_err(NotTaken::Unreadable)?;
        if plan.passes_everything() {
            let spans = export.spans.len();
            let passed = Body {
                signal: Signal::Traces,
                bytes: whole(body),
                spans,
            };
            self.backends
                .pass(&passed)
                .map_err(|NoRoom| NotTaken::NoRoom)?;
            self.core().pass(&export, self.now_ms());
            return Ok(Pushed::default());
        }
        let mut core = self.core();
        let pushed = core.push(&export, &plan, self.now_ms());
        let written = core.take_output();
        drop(core);
        self.keep(written);
        Ok(pushed)
    }

    /// Passes on metrics or logs in protobuf.
    pub fn pass(&self, signal: Signal, bytes: &[u8]) -> Result<(), NotTaken> {
        let body = Body {
            signal,
            bytes: whole(bytes),
            spans: 0,
        };
        self.backends
            .pass(&body)
            .map_err(|NoRoom| NotTaken::NoRoom)?;
        if signal == Signal::Metrics && self.backends.has_weir() {
            self.metrics_to_weir(bytes);
        }
        Ok(())
    }

    /// Gives metrics to Weir, but for those of services whose roots are counted here.
    fn metrics_to_weir(&self, bytes: &[u8]) {
        let plan = self.plan.load();
        let is_counted_here = |service: &[u8]| {
            let name = std::str::from_utf8(service).unwrap_or_default();
            plan.service(name).governed == Governed::Tail
        };
        match services::without(bytes, is_counted_here) {
            Ok(left) if left.is_empty() => {}
            Ok(left) => self.backends.to_weir(Ok(left.into())),
            Err(_) => self.backends.to_weir(Err("malformed")),
        }
    }

    fn keep(&self, written: Vec<Written>) {
        for written in written {
            self.backends.keep(&Body {
                signal: Signal::Traces,
                bytes: written.request.into(),
                spans: written.spans,
            });
        }
    }

    /// Decides what is due, until the edge stops.
    pub async fn decide(&self, stop: CancellationToken) {
        let mut tick = tokio::time::interval(TICK);
        tick.set_missed_tick_behavior(MissedTickBehavior::Delay);
        while stop.run_until_cancelled(tick.tick()).await.is_some() {
            let filled = self.backends.filled();
            self.core().relieve(filled, self.now_ms());
            self.in_steps(|core, now_ms| core.advance(now_ms, AT_ONCE))
                .await;
        }
    }

    /// Decides everything that is held, because the edge stops.
    pub async fn drain(&self) {
        self.in_steps(|core, now_ms| core.drain(now_ms, AT_ONCE))
            .await;
    }

    async fn in_steps(&self, mut step: impl FnMut(&mut Core, u64) -> bool) {
        loop {
            let (is_more, written) = {
                let mut core = self.core();
                let is_more = step(&mut core, self.now_ms());
                (is_more, core.take_output())
            };
            self.keep(written);
            if !is_more {
                return;
            }
            tokio::task::yield_now().await;
        }
    }

    /// What this edge is among others.
    pub fn edge_id(&self) -> u64 {
        self.edge_id
    }

    /// Decides together with these edges from now on.
    pub fn meet(&self, edges: Vec<Edge>) {
        self.with_core(|core, now_ms| core.meet(edges, now_ms));
    }

    /// What begins a conversation with another edge.
    pub fn greeting(&self) -> Message {
        self.core().greeting()
    }

    /// What is to be said to another edge.
    pub fn message_for_peer(&self, id: u64) -> Option<Message> {
        self.core().message(id)
    }

    /// Takes back what another edge did not get.
    pub fn not_sent_to_peer(&self, id: u64, message: Message) {
        self.with_core(|core, now_ms| core.not_sent(id, message, now_ms));
    }

    /// Takes what another edge has answered.
    pub fn hear_peer(&self, answer: &Answer) {
        self.with_core(|core, now_ms| core.hear(answer, now_ms));
    }

    /// Answers another edge.
    pub fn answer_peer(&self, message: &Message) -> Option<Answer> {
        self.with_core(|core, now_ms| core.answer(message, now_ms))
    }

    /// Leaves the other edges: decides what this one owns, and waits until they have answered, and were.
    pub async fn leave(&self, until: Instant) {
        loop {
            self.in_steps(|core, now_ms| core.leave(now_ms, AT_ONCE))
                .await;
            let has_settled = self.with_core(|core, now_ms| core.has_settled(now_ms));
            if has_settled || Instant::now() >= until {
                return;
            }
            tokio::time::sleep(TICK).await;
        }
    }

    /// Does something to the core, and sends what it has written.
    fn with_core<T>(&self, act: impl FnOnce(&mut Core, u64) -> T) -> T {
        let (done, written) = {
            let mut core = self.core();
            let now_ms = self.now_ms();
            let done = act(&mut core, now_ms);
            (done, core.take_output())
        };
        self.keep(written);
        done
    }

    /// Roots that were counted since this was last asked.
    pub fn take_counts(&self) -> Vec<Counted> {
        self.core().take_counts(self.now_ms())
    }

    /// Whether the other edges know what the last counts rest on.
    pub fn are_counts_known(&self) -> bool {
        self.core().are_counts_known(self.now_ms())
    }

    /// Counts since the start.
    pub fn figures(&self) -> Figures {
        self.core().figures()
    }

    /// The text of all metrics.
    pub fn metrics_text(&self) -> Vec<u8> {
        let (figures, requests) = {
            let core = self.core();
            let requests = core.span_metrics();
            let requests: Vec<(String, String, SpanMetrics)> = requests
                .filter(|(_, _, metrics)| metrics.requests > 0.0)
                .map(|(service, operation, metrics)| (service.into(), operation.into(), *metrics))
                .collect();
            (core.figures(), requests)
        };
        self.backends.observe();
        self.metrics.text(&figures, &requests)
    }
}

/// A body in memory of its own. What was received may be a part of a larger buffer, which would wait with it.
fn whole(body: &[u8]) -> Bytes {
    Bytes::copy_from_slice(body)
}
