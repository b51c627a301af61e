//! What an edge says to others about traces, and what it does with what it hears.

use super::OWN;
use super::message::{Answer, Decided, Head, Message, RECORDS_MAX, SaidRoot, Summary};
use crate::core::hold::News;
use crate::core::names::{OperationId, ServiceId};
use crate::core::table::Root;
use crate::core::{Cause, Core, Decision};

/// Summaries of a message take some more than this at most, with their names.
const SUMMARIES_BYTES: usize = 2 << 20;

/// Traces that are asked for at once where the ring fills.
const HURRIED: usize = 256;

impl Core {
    /// Asks for early decisions where the ring is nearly full.
    pub(in crate::core) fn hurry_oldest(&mut self) {
        if self.peers.others.is_empty() || self.segments.filled() < 0.875 {
            return;
        }
        for slot in self.table.oldest(HURRIED) {
            self.hurry(slot);
        }
    }

    /// Asks the owner of a trace to decide now, if it is another edge.
    pub(in crate::core) fn hurry(&mut self, slot: u32) {
        let trace = &mut self.table[slot];
        if trace.peer != OWN && !std::mem::replace(&mut trace.is_urgent, true) {
            self.is_news(slot);
        }
    }

    /// Notes that the owner of a trace is to hear of it, if it is another edge.
    pub(in crate::core) fn is_news(&mut self, slot: u32) {
        let owner = self.table.owner(slot);
        let trace = &mut self.table[slot];
        if trace.peer != OWN && !std::mem::replace(&mut trace.is_dirty, true) {
            self.peers.tell_of(trace.peer, owner);
        }
    }

    fn head(&self) -> Head {
        Head {
            sender: self.peers.own,
            is_leaving: self.peers.is_leaving,
            relief: self.relief.halvings as u8,
        }
    }

    /// What begins a conversation.
    #[must_use]
    pub fn greeting(&self) -> Message {
        Message {
            head: self.head(),
            ..Message::default()
        }
    }

    /// What is to be said to another edge; none if nothing is, and it is not waited for.
    pub fn message(&mut self, to: u64) -> Option<Message> {
        let head = self.head();
        let place = self.peers.place(to)?;
        let other = &mut self.peers.others[place];
        let take = other.decided.len().min(RECORDS_MAX);
        let decided: Vec<Decided> = other.decided.drain(..take).collect();
        let (next, asked, is_leaving) = (other.next, other.asked, other.edge.is_leaving);
        let (mut summaries, mut bytes) = (Vec::new(), 0);
        while summaries.len() < RECORDS_MAX
            && bytes < SUMMARIES_BYTES
            && let Some(summary) = self.next_summary(place)
        {
            bytes += summary.bytes_at_most();
            summaries.push(summary);
        }
        let other = &mut self.peers.others[place];
        let is_waited_for = asked > 0 || is_leaving || next != other.next_told;
        if !is_waited_for && summaries.is_empty() && decided.is_empty() {
            return None;
        }
        other.next_told = next;
        Some(Message {
            head,
            next,
            summaries,
            decided,
        })
    }

    /// The next trace that another edge is to hear of: first those that are decided.
    fn next_summary(&mut self, place: usize) -> Option<Summary> {
        let late = self.peers.others[place].late.pop_front();
        if late.is_some() {
            return late;
        }
        while let Some(owner) = self.peers.others[place].dirty.pop_front() {
            let is_news = self.table.is_held(owner) && self.table[owner.slot].is_dirty;
            if is_news {
                self.table[owner.slot].is_dirty = false;
                return Some(self.summary(owner.slot));
            }
        }
        None
    }

    /// Takes back what another edge did not get.
    pub fn not_sent(&mut self, to: u64, message: Message, now_ms: u64) {
        if let Some(place) = self.peers.place(to) {
            self.peers.others[place].next_told = 0;
        }
        for summary in message.summaries {
            let hash = self.table.hash(summary.id);
            match self.table.find(hash, summary.id) {
                Some(slot) => self.is_news(slot),
                None if summary.root.is_some() => self.tell_late(summary, now_ms),
                None => {}
            }
        }
        for decided in message.decided {
            match self.peers.place(to) {
                Some(place) => self.peers.tell_decided(place as u16, decided),
                None => self.adopt(decided),
            }
        }
        self.decide_due(now_ms);
    }

    /// Takes an answer.
    pub fn hear(&mut self, answer: &Answer, now_ms: u64) {
        self.peers.hear(answer.head, now_ms);
        let Some(place) = self.peers.place(answer.head.sender) else {
            return;
        };
        let other = &mut self.peers.others[place];
        let known = other.next.saturating_sub(answer.first);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let new = answer.decided.get(known..).unwrap_or_default();
        if !new.is_empty() {
            other.next = answer.first.saturating_add(answer.decided.len() as u64);
        }
        self.follow_all(new, answer.head.sender);
    }

    /// Takes a message of another edge. None if there are too many of them.
    pub fn answer(&mut self, message: &Message, now_ms: u64) -> Option<Answer> {
        self.peers.hear(message.head, now_ms);
        let from = message.head.sender;
        let sender = self.peers.senders.heard(from, now_ms)?;
        self.peers.senders.has(sender, message.next);
        for summary in &message.summaries {
            self.hear_of(Some(sender), summary, now_ms);
        }
        self.follow_all(&message.decided, from);
        self.decide_due(now_ms);
        let (first, decided) = self.peers.senders.waiting_for(sender);
        Some(Answer {
            head: self.head(),
            first,
            decided,
        })
    }

    fn summary(&self, slot: u32) -> Summary {
        let trace = &self.table[slot];
        let rule = |rule: u16| self.plan.tagged.rules()[usize::from(rule)].name.clone();
        Summary {
            id: trace.id,
            service: self.names.service(trace.service).name.clone(),
            spans: trace.spans,
            longest_ns: trace.longest_ns,
            is_error: trace.is_error,
            is_urgent: trace.is_urgent,
            waits: true,
            tagged: trace.tagged.map(rule),
            randomness: trace.randomness,
            root: trace.root.map(|root| self.said(root)),
        }
    }

    fn said(&self, root: Root) -> SaidRoot {
        let operation = self.names.operation(root.operation);
        SaidRoot {
            service: self.names.service(operation.service).name.clone(),
            operation: operation.name.clone(),
            span_id: root.span_id,
            duration_ns: root.duration_ns,
            threshold: root.threshold,
        }
    }

    /// A root that came after the decision, for the edge that counts it.
    pub(in crate::core) fn late_root(
        &mut self,
        id: u128,
        root: Root,
        is_error: bool,
        tagged: Option<u16>,
        now_ms: u64,
    ) {
        let service = self.names.operation(root.operation).service;
        let summary = Summary {
            id,
            service: self.names.service(service).name.clone(),
            spans: 1,
            longest_ns: root.duration_ns.unwrap_or(0),
            is_error,
            is_urgent: false,
            waits: false,
            tagged: tagged.map(|rule| self.plan.tagged.rules()[usize::from(rule)].name.clone()),
            randomness: None,
            root: Some(self.said(root)),
        };
        self.tell_late(summary, now_ms);
    }

    pub(super) fn tell_late(&mut self, summary: Summary, now_ms: u64) {
        match self.peers.owner(summary.id) {
            OWN => self.hear_of(None, &summary, now_ms),
            peer => self.peers.tell_late(peer, summary),
        }
    }

    /// Hears of a trace that another edge holds; or of a root of its own that did not reach the edge that owned it.
    fn hear_of(&mut self, sender: Option<u16>, summary: &Summary, now_ms: u64) {
        let service = self.service(&summary.service, now_ms);
        let root = summary.root.as_ref().map(|root| Root {
            operation: self.operation(root, now_ms),
            span_id: root.span_id,
            duration_ns: root.duration_ns,
            threshold: root.threshold,
        });
        let tagged = summary.tagged.as_deref().and_then(|name| self.rule(name));
        let hash = self.table.hash(summary.id);
        let waits = sender.filter(|_| summary.waits);
        let slot = match self.table.find(hash, summary.id) {
            Some(slot) => slot,
            None => match self.decisions.recall(hash, root.is_some()) {
                Some(known) => {
                    // One that came back was noted, and counted by nobody.
                    let is_counted = known.had_root && sender.is_some();
                    if let (Some(root), false) = (root, is_counted) {
                        self.count_late(
                            summary.id,
                            root,
                            summary.is_error,
                            tagged,
                            known.decision,
                            now_ms,
                        );
                    }
                    if let Some(sender) = waits {
                        let decision = known.decision;
                        let decided = Decided {
                            id: summary.id,
                            decision,
                        };
                        self.peers.senders.tell(sender, decided);
                    }
                    return;
                }
                None => self.begin(hash, summary.id, service, now_ms),
            },
        };
        if let Some(sender) = waits {
            self.table[slot].holders.add(sender);
        }
        let is_long = summary.spans >= self.limits.trace_spans_max;
        let cause = if is_long {
            Cause::SpanLimit
        } else {
            Cause::Memory
        };
        self.learn(
            slot,
            News {
                is_error: summary.is_error,
                longest_ns: summary.longest_ns,
                randomness: summary.randomness,
                tagged,
                root,
                urgent: summary.is_urgent.then_some(cause),
            },
            now_ms,
        );
    }

    fn rule(&self, name: &str) -> Option<u16> {
        let mut rules = self.plan.tagged.rules().iter();
        let place = rules.position(|rule| *rule.name == *name)?;
        Some(place as u16)
    }

    fn service(&mut self, name: &str, now_ms: u64) -> ServiceId {
        self.names.find_service(name.as_bytes(), &self.plan, now_ms)
    }

    fn operation(&mut self, root: &SaidRoot, now_ms: u64) -> OperationId {
        let service = self.service(&root.service, now_ms);
        let name = root.operation.as_bytes();
        self.names.find_operation(service, name, &self.plan, now_ms)
    }

    /// Follows decisions of another edge.
    fn follow_all(&mut self, all: &[Decided], from: u64) {
        let (mut gathered, mut slots) = (Vec::new(), Vec::new());
        for decided in all {
            let hash = self.table.hash(decided.id);
            match self.table.find(hash, decided.id) {
                Some(slot) if !self.table[slot].is_decided => {
                    self.settle(
                        slot,
                        decided.decision,
                        Cause::Owner,
                        Some(from),
                        &mut gathered,
                    );
                    slots.push(slot);
                }
                Some(_) => {}
                None => self.compare(hash, *decided),
            }
        }
        self.finish(gathered, &slots);
    }

    /// What another edge says of a trace that is not held here.
    fn compare(&mut self, hash: u64, decided: Decided) {
        match self.decisions.recall(hash, false) {
            Some(known) if known.decision.keeps() != decided.decision.keeps() => {
                self.peers.conflicts += 1;
            }
            Some(_) => {}
            // Those that hold spans of it ask its owner.
            None if self.peers.owner(decided.id) == OWN => {
                self.decisions.remember(hash, decided.decision, false);
            }
            None => {}
        }
    }

    /// A decision that did not reach the edge that owned the trace, which has gone.
    pub(super) fn adopt(&mut self, decided: Decided) {
        match self.peers.owner(decided.id) {
            OWN => self.follow_all(&[decided], self.peers.own),
            peer => self.peers.tell_decided(peer, decided),
        }
    }

    /// Tells the owner of a trace, another edge, what was decided without it; and of the root, if it has not heard of it.
    pub(in crate::core) fn tell_owner(&mut self, slot: u32, decision: Decision, from: Option<u64>) {
        let trace = &self.table[slot];
        let (id, peer) = (trace.id, trace.peer);
        let is_untold = trace.is_dirty && trace.root.is_some();
        let summary = is_untold.then(|| Summary {
            waits: false,
            is_urgent: false,
            ..self.summary(slot)
        });
        if let Some(summary) = summary {
            self.peers.tell_late(peer, summary);
        }
        let owner = &mut self.peers.others[usize::from(peer)];
        owner.asked -= 1;
        if from != Some(owner.edge.id) {
            self.peers.tell_decided(peer, Decided { id, decision });
        }
    }
}
