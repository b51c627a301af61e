//! Edges that have told of traces, and the decisions that wait for them.
//!
//! A decision waits until the edge that asked says that it has it, because an answer may be lost on its way.

use std::collections::VecDeque;

use super::PEERS_MAX;
use super::message::{Decided, RECORDS_MAX};

/// An edge that has said nothing for this long has gone.
const SILENT_MS: u64 = 60_000;

/// Counts do not wait longer for one that has said nothing: the others have taken it for gone after a second.
const UNHEARD_MS: u64 = 5_000;

/// Edges that are told of a trace one by one; if there are more, all are told.
const FEW: usize = 6;

/// The edges that hold spans of a trace, by their place in [`Senders`].
#[derive(Debug, Clone, Copy, Default)]
pub(in crate::core) struct Holders {
    few: [u16; FEW],
    /// More than [`FEW`]: all.
    count: u8,
}

impl Holders {
    /// Adds an edge, once.
    pub fn add(&mut self, sender: u16) {
        let count = usize::from(self.count);
        if count > FEW || self.few[..count].contains(&sender) {
            return;
        }
        if let Some(free) = self.few.get_mut(count) {
            *free = sender;
        }
        self.count += 1;
    }
}

struct Sender {
    id: u64,
    seen_ms: u64,
    /// The number of the first one that waits.
    first: u64,
    waiting: VecDeque<Decided>,
    /// The number after the last one that waited when counts were taken.
    marked: u64,
}

/// All edges that have told of traces.
pub(in crate::core) struct Senders {
    all: Vec<Sender>,
    /// Decisions that may wait, for all of them together.
    most: usize,
    /// Decisions that did not fit.
    pub lost: u64,
}

impl Senders {
    /// Decisions take this many bytes at most.
    pub fn of_bytes(bytes: usize) -> Self {
        Self {
            all: Vec::new(),
            most: (bytes / size_of::<Decided>()).max(RECORDS_MAX),
            lost: 0,
        }
    }

    /// The place of an edge that says something; none if there are too many.
    pub fn heard(&mut self, id: u64, now_ms: u64) -> Option<u16> {
        let known = self.all.iter().position(|sender| sender.id == id);
        let is_gone = |sender: &Sender| sender.seen_ms + SILENT_MS < now_ms;
        let place = known.or_else(|| {
            let new = Sender {
                id,
                seen_ms: now_ms,
                first: 0,
                waiting: VecDeque::new(),
                marked: 0,
            };
            if let Some(gone) = self.all.iter().position(is_gone) {
                self.all[gone] = new;
                return Some(gone);
            }
            (self.all.len() < PEERS_MAX).then(|| {
                self.all.push(new);
                self.all.len() - 1
            })
        })?;
        self.all[place].seen_ms = now_ms;
        Some(place as u16)
    }

    /// Forgets the decisions that an edge has.
    pub fn has(&mut self, sender: u16, next: u64) {
        let sender = &mut self.all[usize::from(sender)];
        let known = next.saturating_sub(sender.first);
        let known = usize::try_from(known).unwrap_or(usize::MAX);
        let known = known.min(sender.waiting.len());
        sender.waiting.drain(..known);
        sender.first += known as u64;
    }

    /// What waits for an edge, with the number of the first one.
    pub fn waiting_for(&self, sender: u16) -> (u64, Vec<Decided>) {
        let sender = &self.all[usize::from(sender)];
        let waiting = sender.waiting.iter().take(RECORDS_MAX);
        (sender.first, waiting.copied().collect())
    }

    /// A decision for one edge.
    pub fn tell(&mut self, sender: u16, decided: Decided) {
        let each = (self.most / self.all.len().max(1)).max(64);
        let sender = &mut self.all[usize::from(sender)];
        if sender.waiting.len() >= each {
            sender.waiting.pop_front();
            sender.first += 1;
            self.lost += 1;
        }
        sender.waiting.push_back(decided);
    }

    /// A decision for all edges that hold spans of the trace, but for the one that it is from.
    pub fn spread(&mut self, holders: Holders, decided: Decided, from: Option<u64>) {
        let count = usize::from(holders.count);
        let is_other = |sender: &Sender| Some(sender.id) != from;
        if count > FEW {
            for sender in 0..self.all.len() {
                if is_other(&self.all[sender]) {
                    self.tell(sender as u16, decided);
                }
            }
            return;
        }
        for sender in &holders.few[..count] {
            if is_other(&self.all[usize::from(*sender)]) {
                self.tell(*sender, decided);
            }
        }
    }

    /// Notes which decisions wait now.
    pub fn mark(&mut self) {
        for sender in &mut self.all {
            sender.marked = sender.first + sender.waiting.len() as u64;
        }
    }

    /// Whether the edges that are there have what was marked.
    pub fn have_marked(&self, now_ms: u64) -> bool {
        let mut there = self.all.iter();
        there.all(|sender| sender.first >= sender.marked || sender.seen_ms + UNHEARD_MS < now_ms)
    }

    /// Decisions that wait for edges that are there.
    pub fn waiting(&self, now_ms: u64) -> usize {
        let there = self.all.iter();
        let there = there.filter(|sender| sender.seen_ms + SILENT_MS >= now_ms);
        there.map(|sender| sender.waiting.len()).sum()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::core::decisions::Decision;

    fn decided(id: u128) -> Decided {
        Decided {
            id,
            decision: Decision::Drop,
        }
    }

    #[test]
    fn a_decision_waits_until_the_edge_has_it() {
        let mut senders = Senders::of_bytes(0);
        let one = senders.heard(7, 0).unwrap();
        for id in 1..=3 {
            senders.tell(one, decided(id));
        }
        senders.has(one, 2);
        assert_eq!(senders.waiting_for(one), (2, vec![decided(3)]));
        // What it cannot have is not forgotten, and what it has said before changes nothing.
        senders.has(one, 1);
        assert_eq!(senders.waiting_for(one), (2, vec![decided(3)]));
        senders.has(one, u64::MAX);
        assert_eq!(senders.waiting_for(one), (3, vec![]));
    }

    #[test]
    fn what_was_marked_is_known_once_each_edge_has_it_or_is_not_heard_any_more() {
        let mut senders = Senders::of_bytes(0);
        let [one, other] = [7, 8].map(|id| senders.heard(id, 0).unwrap());
        senders.mark();
        assert!(senders.have_marked(0));
        senders.tell(one, decided(1));
        senders.tell(other, decided(1));
        senders.mark();
        senders.tell(one, decided(2));
        senders.has(one, 1);
        assert!(!senders.have_marked(0), "the other one does not have it");
        assert!(senders.have_marked(UNHEARD_MS + 1), "nobody is there");
        senders.has(other, 1);
        assert!(senders.have_marked(0));
    }

    #[test]
    fn holders_are_told_once_and_all_edges_if_there_are_many() {
        let mut senders = Senders::of_bytes(0);
        let all: Vec<u16> = (0..9).map(|id| senders.heard(id, 0).unwrap()).collect();
        let mut few = Holders::default();
        for sender in [all[1], all[1], all[2]] {
            few.add(sender);
        }
        senders.spread(few, decided(1), Some(2));
        assert_eq!(senders.waiting(0), 1);
        let mut many = Holders::default();
        all[..7].iter().for_each(|sender| many.add(*sender));
        senders.spread(many, decided(2), None);
        assert_eq!(senders.waiting(0), 10);
    }

    #[test]
    fn an_edge_that_has_gone_makes_room_and_a_thousand_are_enough() {
        let mut senders = Senders::of_bytes(0);
        for id in 0..PEERS_MAX as u64 {
            assert!(senders.heard(id, 0).is_some());
        }
        assert_eq!(senders.heard(5_000, 1_000), None);
        assert_eq!(senders.heard(5_000, SILENT_MS + 1), Some(0));
    }
}
