//! Decides about traces, and writes what is kept.

use super::names::ServiceId;
use super::peers::message::Decided;
use super::relief::Relief;
use super::{
    Cause, Class, Core, Decision, OWN, Outcome, Place, Placed, Root, Trace, check, weight,
};
use crate::otlp::trace_state::{Randomness, Said, Threshold};
use crate::otlp::{Export, Span, read_span};
use crate::plan::Governed;

/// A span of a kept trace.
pub(super) struct Gathered {
    context: Place,
    /// In the order in which it came.
    place: Place,
    threshold: Option<Threshold>,
}

impl Core {
    /// Decides what an export has made due.
    pub(super) fn decide_due(&mut self, now_ms: u64) {
        for (owner, cause) in std::mem::take(&mut self.due) {
            if self.table.is_held(owner) {
                self.decide(&[owner.slot], cause, now_ms);
            }
        }
    }

    /// Decides about these traces, each of which is held.
    pub(super) fn decide(&mut self, slots: &[u32], cause: Cause, now_ms: u64) {
        let mut gathered = Vec::new();
        for slot in slots {
            let decision = self.decision(*slot, now_ms);
            self.settle(*slot, decision, cause, None, &mut gathered);
        }
        self.finish(gathered, slots);
    }

    /// Does what was decided about a trace, here or by the edge `from`, and tells those that wait for it.
    pub(super) fn settle(
        &mut self,
        slot: u32,
        decision: Decision,
        cause: Cause,
        from: Option<u64>,
        gathered: &mut Vec<Gathered>,
    ) {
        let trace = &mut self.table[slot];
        trace.is_decided = true;
        let (id, peer, holders) = (trace.id, trace.peer, trace.holders);
        let (spans, has_root) = (u64::from(trace.spans), trace.root.is_some());
        self.figures.held_spans -= spans;
        self.figures.decided[cause as usize] += 1;
        if peer == OWN {
            self.tally(slot, decision);
        } else {
            self.figures.alone += u64::from(from.is_none());
            self.tell_owner(slot, decision, from);
        }
        match decision {
            Decision::Keep(threshold) => self.gather(slot, threshold, gathered),
            Decision::Drop => self.figures.add(Outcome::Dropped, spans),
        }
        let hash = self.table.hash(id);
        self.decisions.remember(hash, decision, has_root);
        let decided = Decided { id, decision };
        self.peers.senders.spread(holders, decided, from);
    }

    /// Writes what was gathered, and takes the traces out.
    pub(super) fn finish(&mut self, gathered: Vec<Gathered>, slots: &[u32]) {
        self.write(gathered);
        for slot in slots {
            self.release(*slot);
            self.table.remove(*slot);
        }
    }

    /// What comes of a trace.
    fn decision(&mut self, slot: u32, now_ms: u64) -> Decision {
        let trace = &self.table[slot];
        let (root, tagged) = (trace.root, trace.tagged);
        let service = self.service_of(trace);
        if self.names.service(service).governed == Governed::Head {
            return Decision::Keep(None);
        }
        let class = self.class(trace, service);
        let threshold = self.threshold(root, service, class, tagged, now_ms);
        let trace = &self.table[slot];
        let randomness = trace.randomness;
        let randomness = randomness.unwrap_or(Randomness::of_trace_id(trace.id));
        if threshold != Threshold::NONE && threshold.keeps(randomness) {
            Decision::Keep(Some(threshold))
        } else {
            Decision::Drop
        }
    }

    fn service_of(&self, trace: &Trace) -> ServiceId {
        match trace.root {
            Some(root) => self.names.operation(root.operation).service,
            None => trace.service,
        }
    }

    /// Counts a trace that this edge owns, and its root.
    fn tally(&mut self, slot: u32, decision: Decision) {
        let trace = &self.table[slot];
        let class = self.class(trace, self.service_of(trace));
        self.figures.no_root += u64::from(trace.root.is_none());
        self.figures.traces[class as usize][usize::from(decision.keeps())] += 1;
        if let Some(root) = trace.root {
            self.count(root, class, decision);
        }
    }

    fn count(&mut self, root: Root, class: Class, decision: Decision) {
        let said = Said {
            threshold: root.threshold,
            randomness: None,
        };
        let is_kept = decision.keeps();
        self.names
            .count(root.operation, class, weight(said), is_kept);
    }

    fn threshold(
        &mut self,
        root: Option<Root>,
        service: ServiceId,
        class: Class,
        tagged: Option<u16>,
        now_ms: u64,
    ) -> Threshold {
        let operation = root.map(|root| root.operation);
        let planned = match operation {
            Some(operation) => self.names.operation(operation).classes,
            None => self.names.service(service).default,
        };
        let planned = planned.of(class);
        let relief = self.peers.relief(now_ms).max(self.relief.halvings);
        let mut factor = Relief::factor(relief);
        if let Some(rule) = tagged {
            let cap = self.plan.tagged.rules()[rule as usize].cap_traces_per_second;
            let rules = &mut self.names.service_mut(service).rules;
            factor *= rules.factor(rule, cap, now_ms);
        }
        // From the inside to the outside: what its own cap takes from an operation is left to the others.
        if let Some(operation) = operation
            && let Some(held) = &mut self.names.operation_mut(operation).held
        {
            factor *= held.factor(class, planned.probability() * factor, now_ms);
        }
        let classes = &mut self.names.service_mut(service).classes;
        factor *= classes.factor(class, planned.probability() * factor, now_ms);
        if factor >= 1.0 {
            planned
        } else {
            Threshold::of_probability(planned.probability() * factor)
        }
    }

    fn class(&self, trace: &Trace, service: ServiceId) -> Class {
        let duration_ns = match trace.root {
            Some(root) => root.duration_ns.unwrap_or(0),
            None => trace.longest_ns,
        };
        self.class_by(trace.tagged.is_some(), trace.is_error, duration_ns, service)
    }

    /// The class of a root by what it says itself.
    pub(super) fn class_of_late(&self, span: &Span<'_>, service: ServiceId) -> Class {
        let duration_ns = span.duration_ns.unwrap_or(0);
        self.class_by(span.tagged.is_some(), span.is_error, duration_ns, service)
    }

    /// Counts a root that came after its trace was decided, or lets the edge do so that owns it.
    pub(super) fn count_late(
        &mut self,
        id: u128,
        root: Root,
        is_error: bool,
        tagged: Option<u16>,
        decision: Decision,
        now_ms: u64,
    ) {
        if self.peers.owner(id) != OWN {
            self.late_root(id, root, is_error, tagged, now_ms);
            return;
        }
        let service = self.names.operation(root.operation).service;
        let duration_ns = root.duration_ns.unwrap_or(0);
        let class = self.class_by(tagged.is_some(), is_error, duration_ns, service);
        self.count(root, class, decision);
    }

    fn class_by(
        &self,
        is_tagged: bool,
        is_error: bool,
        duration_ns: u64,
        service: ServiceId,
    ) -> Class {
        if is_tagged {
            Class::Tagged
        } else if is_error {
            Class::Error
        } else if duration_ns > self.names.service(service).slow_ns {
            Class::Slow
        } else {
            Class::Rest
        }
    }

    /// Collects the spans of a kept trace, but for those that came twice and those that are not valid.
    fn gather(&mut self, slot: u32, threshold: Option<Threshold>, into: &mut Vec<Gathered>) {
        let begin = into.len();
        let mut ids = Vec::new();
        let mut place = self.table[slot].newest;
        while place != Place::NONE {
            let record = self.segments.record(place);
            let valid = check::span(record.raw).and_then(|()| read_span(record.raw));
            match valid {
                Ok(span) => {
                    ids.push((span.span_id, place));
                    into.push(Gathered {
                        context: record.context,
                        place,
                        threshold,
                    });
                }
                Err(_) => self.figures.add(Outcome::Malformed, 1),
            }
            place = record.previous;
        }
        // The first one of each id stays.
        ids.sort_unstable();
        let is_again = |pair: &[(Option<u64>, Place)]| pair[0].0 == pair[1].0;
        let mut again: Vec<Place> = ids
            .windows(2)
            .filter(|pair| is_again(pair))
            .map(|pair| pair[1].1)
            .collect();
        if !again.is_empty() {
            again.sort_unstable();
            let ours = into.split_off(begin);
            let once = |one: &Gathered| again.binary_search(&one.place).is_err();
            into.extend(ours.into_iter().filter(once));
            self.figures.add(Outcome::Duplicate, again.len() as u64);
        }
        let kept = into.len() - begin;
        self.figures.add(Outcome::Kept, kept as u64);
    }

    /// Writes spans, those of a resource and scope together.
    fn write(&mut self, mut gathered: Vec<Gathered>) {
        gathered.sort_unstable_by_key(|one| (one.context, one.place));
        for group in gathered.chunk_by(|one, other| one.context == other.context) {
            for one in group {
                let raw = self.segments.record(one.place).raw;
                let trace_state = read_span(raw).map_or(&b""[..], |span| span.trace_state);
                self.writer.span(raw, trace_state, one.threshold);
                if self.writer.is_long() {
                    let (resource, scope) = self.segments.context(one.context);
                    self.writer.end([resource], [scope]);
                }
            }
            let (resource, scope) = self.segments.context(group[0].context);
            self.writer.end([resource], [scope]);
        }
    }

    /// Gives back the segments of a trace.
    fn release(&mut self, slot: u32) {
        if let Some(segments) = self.table[slot].segments() {
            segments.for_each(|segment| self.segments.release(segment));
            return;
        }
        let mut place = self.table[slot].newest;
        let mut segments = vec![place.segment];
        while place != Place::NONE {
            if segments.last() != Some(&place.segment) {
                segments.push(place.segment);
            }
            place = self.segments.record(place).previous;
        }
        segments
            .into_iter()
            .for_each(|segment| self.segments.release(segment));
    }

    /// What comes of a span whose trace was decided before; none if it was not.
    pub(super) fn late(
        &mut self,
        (hash, id): (u64, u128),
        span: &Span<'_>,
        root: Option<Root>,
        now_ms: u64,
    ) -> Option<Placed> {
        let known = self.decisions.late(hash, root.is_some())?;
        if let (Some(root), false) = (root, known.had_root) {
            self.count_late(id, root, span.is_error, span.tagged, known.decision, now_ms);
        }
        let Decision::Keep(threshold) = known.decision else {
            return Some(Placed::Gone(Outcome::LateDropped));
        };
        if known.late > self.limits.trace_spans_max {
            return Some(Placed::Gone(Outcome::LateExcess));
        }
        if check::span(span.raw).is_err() {
            return Some(Placed::Gone(Outcome::Malformed));
        }
        Some(Placed::Late(threshold))
    }

    /// Writes the late spans of an export that are kept, those of a resource and scope together.
    pub(super) fn write_late(&mut self, late: &[(usize, Option<Threshold>)], export: &Export<'_>) {
        let context = |index: usize| export.spans[index].context;
        for group in late.chunk_by(|one, other| context(one.0) == context(other.0)) {
            for (index, threshold) in group {
                let span = &export.spans[*index];
                self.writer.span(span.raw, span.trace_state, *threshold);
            }
            let around = &export.contexts[context(group[0].0) as usize];
            let (resource, scope) = (&around.resource, &around.scope);
            self.writer
                .end(resource.iter().copied(), scope.iter().copied());
        }
    }
}
