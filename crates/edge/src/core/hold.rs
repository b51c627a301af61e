//! Takes spans into the ring, and learns what they say about their traces.

use super::names::{OperationId, ServiceId};
use super::peers::OWN;
use super::segments::{Place, Segments};
use super::table::{Root, Trace};
use super::{Around, Cause, Core, Outcome, Placed, Said};
use crate::otlp::Span;
use crate::otlp::trace_state::Randomness;
use crate::plan::Governed;

/// Traces that are decided at a time where the table is full.
const MADE_ROOM: usize = 16;

/// What a span, or another edge, says about a trace.
pub(super) struct News {
    pub is_error: bool,
    pub longest_ns: u64,
    pub randomness: Option<Randomness>,
    pub tagged: Option<u16>,
    pub root: Option<Root>,
    /// Why it is to be decided at once.
    pub urgent: Option<Cause>,
}

impl Core {
    /// Holds a span, or says what comes of it.
    pub(super) fn place(
        &mut self,
        span: &Span<'_>,
        of: &mut Around<'_, '_>,
        now_ms: u64,
    ) -> Placed {
        let said = Said::read(span.trace_state);
        let operation = self.measure(span, of.service, said, now_ms);
        let (Some(id), Some(span_id)) = (span.trace_id, span.span_id) else {
            return Placed::Gone(Outcome::NoId);
        };
        let longest = self.limits.span_bytes_max;
        let longest = longest.min(Segments::longest(self.limits.segment_bytes()));
        if span.raw.len() > longest || !of.fits {
            return Placed::Gone(Outcome::TooLarge);
        }
        let hash = self.table.hash(id);
        let root = operation.filter(|_| span.is_root).map(|operation| Root {
            operation,
            span_id,
            duration_ns: span.duration_ns,
            threshold: said.threshold,
        });
        loop {
            let slot = match self.table.find(hash, id) {
                Some(slot) => slot,
                None => match self.late((hash, id), span, root, now_ms) {
                    Some(placed) => return placed,
                    None => self.begin(hash, id, of.service, now_ms),
                },
            };
            if let (Some(root), Some(known)) = (root, self.table[slot].root)
                && root.span_id == known.span_id
                && self.table[slot].has_own_root
            {
                return Placed::Gone(Outcome::Duplicate);
            }
            let (owner, newest) = (self.table.owner(slot), self.table[slot].newest);
            let place = self
                .segments
                .append(owner, newest, of.context, &mut of.at, span.raw);
            match place {
                Some(place) => {
                    self.note(slot, place, span, said, root, now_ms);
                    return Placed::Held;
                }
                // This may decide the trace of this span, too.
                None => self.make_room(now_ms),
            }
        }
    }

    pub(super) fn begin(&mut self, hash: u64, id: u128, service: ServiceId, now_ms: u64) -> u32 {
        if self.table.is_full() {
            let oldest = self.table.oldest(MADE_ROOM);
            self.decide(&oldest, Cause::Memory, now_ms);
        }
        let mut trace = Trace::new(id, service);
        trace.peer = self.peers.owner(id);
        let peer = trace.peer;
        let slot = self.table.insert(hash, trace, now_ms);
        if peer != OWN {
            self.peers.others[usize::from(peer)].asked += 1;
            self.is_news(slot);
        }
        slot
    }

    /// Decides all traces in the oldest segment, so that it is free.
    fn make_room(&mut self, now_ms: u64) {
        let mut slots = Vec::new();
        for owner in self.segments.oldest() {
            if self.table.is_held(owner) {
                slots.push(owner.slot);
            }
        }
        slots.sort_unstable();
        slots.dedup();
        self.decide(&slots, Cause::Memory, now_ms);
    }

    /// Notes what a span says about its trace.
    fn note(
        &mut self,
        slot: u32,
        place: Place,
        span: &Span<'_>,
        said: Said,
        root: Option<Root>,
        now_ms: u64,
    ) {
        let trace = &mut self.table[slot];
        trace.moved_to(place);
        trace.spans += 1;
        trace.has_own_root |= root.is_some();
        let is_full = trace.spans >= self.limits.trace_spans_max;
        let news = News {
            is_error: span.is_error,
            longest_ns: span.duration_ns.unwrap_or(0),
            randomness: said.randomness,
            tagged: span.tagged,
            root,
            urgent: is_full.then_some(Cause::SpanLimit),
        };
        self.learn(slot, news, now_ms);
    }

    /// Learns something about a trace.
    pub(super) fn learn(&mut self, slot: u32, news: News, now_ms: u64) {
        let trace = &mut self.table[slot];
        let tagged = match (trace.tagged, news.tagged) {
            (Some(one), Some(other)) => Some(one.min(other)),
            (one, other) => one.or(other),
        };
        let is_first_root = news.root.is_some() && trace.root.is_none();
        let is_new = is_first_root
            || news.is_error && !trace.is_error
            || news.randomness.is_some() && trace.randomness.is_none()
            || tagged != trace.tagged
            // Not each time: it is told again when it is twice as long.
            || news.longest_ns / 2 > trace.longest_ns;
        trace.is_error |= news.is_error;
        if is_new || trace.peer == OWN {
            trace.longest_ns = trace.longest_ns.max(news.longest_ns);
        }
        trace.randomness = trace.randomness.or(news.randomness);
        trace.tagged = tagged;
        if is_first_root {
            trace.root = news.root;
        }
        if trace.peer != OWN {
            if is_new {
                self.is_news(slot);
            }
            if news.urgent.is_some() {
                self.hurry(slot);
            }
            return;
        }
        if is_first_root {
            self.table.ended(slot, now_ms);
        }
        let passes = news
            .root
            .is_some_and(|root| self.is_head_governed(root.operation));
        let cause = match (is_first_root && passes, news.urgent) {
            (true, _) => Cause::RootEnded,
            (_, Some(cause)) => cause,
            _ => return,
        };
        if !std::mem::replace(&mut self.table[slot].is_due, true) {
            self.due.push((self.table.owner(slot), cause));
        }
    }

    fn is_head_governed(&self, operation: OperationId) -> bool {
        let service = self.names.operation(operation).service;
        self.names.service(service).governed == Governed::Head
    }
}
