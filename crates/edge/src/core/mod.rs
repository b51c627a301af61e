//! Holds spans until their trace is decided. Pure: no I/O, no clock; time is an argument, in milliseconds.
//!
//! Begin with [`Core::push`], which takes the spans of an export, and [`Core::advance`], which decides what is due.
//! Whatever is kept is written into [`Core::take_output`].

mod caps;
mod decide;
mod decisions;
mod hold;
mod limits;
mod names;
mod outcome;
pub mod peers;
mod relief;
mod segments;
mod span_metrics;
mod table;

use std::sync::Arc;

pub use self::decisions::Decision;
use self::decisions::Decisions;
pub use self::limits::Limits;
pub use self::names::Counted;
use self::names::{Names, OperationId, ServiceId};
pub use self::outcome::{Cause, Figures, Outcome};
use self::peers::{OWN, Peers};
use self::relief::Relief;
use self::segments::{Owner, Place, Segments};
pub use self::span_metrics::{BOUNDS_SECONDS, SpanMetrics};
use self::table::{List, Root, Table, Trace};
use crate::otlp::trace_state::{Said, Threshold};
use crate::otlp::write::{Told, Writer, Written};
use crate::otlp::{Context, Export, Kind, Span, check};
use crate::plan::{Class, Plan};

/// How long after its own delays the owner of a trace may answer.
const OWNER_MS: u64 = 2_000;

/// What became of the spans of an export, for its sender.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Pushed {
    /// Spans without a valid id.
    pub no_id: u64,
    /// Spans that are too long.
    pub too_large: u64,
}

/// The traces that are held, and all that is known.
pub struct Core {
    limits: Limits,
    plan: Arc<Plan>,
    segments: Segments,
    table: Table,
    decisions: Decisions,
    names: Names,
    peers: Peers,
    relief: Relief,
    writer: Writer,
    figures: Figures,
    /// Traces that are to be decided once the export is taken.
    due: Vec<(Owner, Cause)>,
}

/// What the spans of an export share, as numbers.
struct Around<'a, 'b> {
    context: &'b Context<'a>,
    service: ServiceId,
    fits: bool,
    /// Where it was written last.
    at: Place,
}

/// What became of a span that was pushed.
enum Placed {
    /// It is in the ring.
    Held,
    /// Its trace was kept, with this threshold.
    Late(Option<Threshold>),
    /// Whatever else.
    Gone(Outcome),
}

impl Core {
    /// Holds nothing yet.
    #[must_use]
    pub fn new(limits: Limits, told: Told, plan: Arc<Plan>) -> Self {
        let each = limits.segment_bytes();
        Self {
            segments: Segments::new(each, (limits.ring_bytes / each).max(4)),
            table: Table::of_bytes(limits.table_bytes),
            decisions: Decisions::of_bytes(limits.decision_bytes),
            names: Names::new(limits.operations_max, &plan),
            peers: Peers::new(limits.edge_id, limits.peer_bytes),
            relief: Relief::default(),
            writer: Writer::new(told, limits.attributes),
            figures: Figures::default(),
            due: Vec::new(),
            limits,
            plan,
        }
    }

    /// Follows another plan. Held traces are decided by it, too.
    pub fn follow(&mut self, plan: Arc<Plan>) {
        let moved = |rule: u16| {
            let name = &self.plan.tagged.rules()[rule as usize].name;
            let mut rules = plan.tagged.rules().iter();
            rules
                .position(|rule| rule.name == *name)
                .map(|rule| rule as u16)
        };
        for slot in self.table.oldest(usize::MAX) {
            let trace = &mut self.table[slot];
            trace.tagged = trace.tagged.and_then(moved);
        }
        self.names.follow(&plan);
        self.plan = plan;
    }

    /// The plan that is followed. Exports are walked with its rules.
    #[must_use]
    pub fn plan(&self) -> &Arc<Plan> {
        &self.plan
    }

    /// Takes the spans of an export that was walked with the rules of `plan`.
    pub fn push(&mut self, export: &Export<'_>, plan: &Arc<Plan>, now_ms: u64) -> Pushed {
        let mut pushed = Pushed::default();
        let knows_rules = Arc::ptr_eq(plan, &self.plan);
        let mut around = self.around(export, now_ms);
        self.figures.received += export.spans.len() as u64;
        let mut late = Vec::new();
        for (index, span) in export.spans.iter().enumerate() {
            let of = &mut around[span.context as usize];
            // A rule of another plan may be another rule.
            let tagged = span.tagged.filter(|_| knows_rules);
            match self.place(&Span { tagged, ..*span }, of, now_ms) {
                Placed::Held => self.figures.held_spans += 1,
                Placed::Late(threshold) => late.push((index, threshold)),
                Placed::Gone(outcome) => {
                    self.figures.add(outcome, 1);
                    pushed.no_id += u64::from(outcome == Outcome::NoId);
                    pushed.too_large += u64::from(outcome == Outcome::TooLarge);
                }
            }
        }
        self.figures.add(Outcome::LateKept, late.len() as u64);
        self.write_late(&late, export);
        self.decide_due(now_ms);
        pushed
    }

    /// Counts the spans of an export that passes as it came.
    pub fn pass(&mut self, export: &Export<'_>, now_ms: u64) {
        let around = self.around(export, now_ms);
        self.figures.received += export.spans.len() as u64;
        self.figures.add(Outcome::Passed, export.spans.len() as u64);
        for span in &export.spans {
            let service = around[span.context as usize].service;
            let said = Said::read(span.trace_state);
            if let Some(operation) = self.measure(span, service, said, now_ms)
                && span.is_root
            {
                let class = self.class_of_late(span, service);
                self.names.count(operation, class, weight(said), true);
            }
        }
    }

    fn around<'a, 'b>(&mut self, export: &'b Export<'a>, now_ms: u64) -> Vec<Around<'a, 'b>> {
        let contexts = export.contexts.iter();
        contexts
            .map(|context| Around {
                context,
                service: self.names.find_service(context.service, &self.plan, now_ms),
                fits: self.segments.fits(context),
                at: Place::NONE,
            })
            .collect()
    }

    /// Decides what is due, at most this many traces. Says whether there is more.
    pub fn advance(&mut self, now_ms: u64, most: usize) -> bool {
        let Limits {
            trace_timeout_ms,
            decision_delay_ms,
            ..
        } = self.limits;
        let mut is_more = false;
        for (list, wait_ms, cause) in [
            (List::Waiting, trace_timeout_ms, Cause::Timeout),
            (List::Ended, decision_delay_ms, Cause::RootEnded),
            // Its owner decides after both at the latest.
            (
                List::Asked,
                trace_timeout_ms + decision_delay_ms + OWNER_MS,
                Cause::OwnerSilent,
            ),
        ] {
            let Some(since_ms) = now_ms.checked_sub(wait_ms) else {
                continue;
            };
            let due = self.table.due(list, since_ms, most);
            is_more |= due.len() == most;
            self.decide(&due, cause, now_ms);
        }
        self.hurry_oldest();
        is_more
    }

    /// Decides at most this many traces that are held, because the edge stops. Says whether there are more.
    pub fn drain(&mut self, now_ms: u64, most: usize) -> bool {
        let slots = self.table.oldest(most);
        self.decide(&slots, Cause::Stop, now_ms);
        self.table.len() > 0
    }

    /// Takes how full the fullest queue of a backend is, from 0 to 1.
    pub fn relieve(&mut self, filled: f64, now_ms: u64) {
        self.relief.follow(filled, now_ms);
    }

    /// The kept spans that were written since this was last asked: requests of some 512 KiB.
    pub fn take_output(&mut self) -> Vec<Written> {
        self.writer.cut(0);
        self.writer.take()
    }

    /// Roots that were counted since this was last asked, to be reported. Also forgets names that are idle.
    pub fn take_counts(&mut self, now_ms: u64) -> Vec<Counted> {
        let counts = self.names.take_counts();
        self.names.forget_idle(now_ms);
        self.peers.senders.mark();
        counts
    }

    /// Whether the other edges know what became of the roots in the last counts. Until then they would count them again
    /// if this edge died.
    #[must_use]
    pub fn are_counts_known(&self, now_ms: u64) -> bool {
        self.peers.senders.have_marked(now_ms)
    }

    /// Counts since the start.
    #[must_use]
    pub fn figures(&self) -> Figures {
        Figures {
            held_traces: self.table.len() as u64,
            ring_bytes: self.segments.allocated() as u64,
            remembered: self.decisions.len() as u64,
            operations: self.names.len() as u64,
            relief: self.relief.halvings,
            attributes: self.writer.taken_away(),
            edges: self.peers.deciding(),
            conflicts: self.peers.conflicts,
            peer_records_lost: self.peers.lost + self.peers.senders.lost,
            ..self.figures.clone()
        }
    }

    /// The metrics of requests, by service and operation.
    pub fn span_metrics(&self) -> impl Iterator<Item = (&str, &str, &SpanMetrics)> {
        let all = self.names.all();
        all.map(|(service, operation)| (service, &*operation.name, &operation.metrics))
    }

    /// Adds a span to the metrics of requests, if it answers one or is a root. Returns its operation then.
    fn measure(
        &mut self,
        span: &Span<'_>,
        service: ServiceId,
        said: Said,
        now_ms: u64,
    ) -> Option<OperationId> {
        if span.duration_ns.is_none() {
            self.figures.clock_backwards += 1;
        }
        let is_request = span.is_root || matches!(span.kind, Kind::Server | Kind::Consumer);
        if !is_request {
            return None;
        }
        let operation = self
            .names
            .find_operation(service, span.name, &self.plan, now_ms);
        let add = |metrics: &mut SpanMetrics| {
            metrics.add(weight(said), span.is_error, span.duration_ns);
        };
        self.names.measure(operation, add);
        Some(operation)
    }
}

/// How many requests a root stands for. One that a sampler cannot have kept stands for itself.
fn weight(said: Said) -> f64 {
    let weight = said.threshold.and_then(|threshold| threshold.weight());
    weight.unwrap_or(1.0)
}
