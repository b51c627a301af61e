//! Edges that have told of traces, and the decisions that wait for them.
//!
//! A decision waits until the edge that asked says that it has it, because an answer may be lost on its way.

use std::collections::VecDeque;

use super::PEERS_MAX;
use super::message::{Decided, RECORDS_MAX};

/// An edge that has said nothing for this long has gone.
const SILENT_MS: u64 = 60_000;

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
