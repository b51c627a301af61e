//! Edges join and go: traces get other owners.

use std::collections::VecDeque;

use super::{Edge, OWN, Other, PEERS_MAX};
use crate::core::{Cause, Core};

impl Core {
    /// The edges that are there from now on, beside this one. Traces get other owners, who hear of them.
    pub fn meet(&mut self, mut edges: Vec<Edge>, now_ms: u64) {
        edges.retain(|edge| edge.id != self.peers.own);
        edges.sort_unstable();
        edges.dedup_by_key(|edge| edge.id);
        edges.truncate(PEERS_MAX);
        if edges
            .iter()
            .eq(self.peers.others.iter().map(|other| &other.edge))
        {
            return;
        }
        let mut before = std::mem::take(&mut self.peers.others);
        let old: Vec<u64> = before.iter().map(|other| other.edge.id).collect();
        self.peers.others = edges.into_iter().map(Other::new).collect();
        let mut leftover = Vec::new();
        for other in before.drain(..) {
            match self.peers.place(other.edge.id) {
                Some(place) => {
                    let now = &mut self.peers.others[place];
                    // Its traces are found again below.
                    *now = Other {
                        edge: now.edge,
                        dirty: VecDeque::new(),
                        asked: 0,
                        ..other
                    };
                }
                None => leftover.push((other.late, other.decided)),
            }
        }
        self.own_again(&old, now_ms);
        for (late, decided) in leftover {
            late.into_iter()
                .for_each(|late| self.tell_late(late, now_ms));
            for decided in decided {
                self.adopt(decided);
            }
        }
        self.decide_due(now_ms);
    }

    /// Finds the owner of each trace again.
    fn own_again(&mut self, old: &[u64], now_ms: u64) {
        for slot in self.table.oldest(usize::MAX) {
            let owner = self.table.owner(slot);
            let peer = self.peers.owner(self.table[slot].id);
            let trace = &mut self.table[slot];
            let before = old.get(usize::from(trace.peer)).copied();
            let now = self.peers.others.get(usize::from(peer));
            let now = now.map(|other| other.edge.id);
            trace.peer = peer;
            let (service, root) = (trace.service, trace.root);
            if peer == OWN {
                trace.is_dirty = false;
                let is_urgent = trace.is_urgent && !std::mem::replace(&mut trace.is_due, true);
                self.table.owned(slot, now_ms);
                if is_urgent {
                    self.due.push((owner, Cause::Memory));
                }
            } else {
                trace.is_dirty |= before != now;
                if trace.is_dirty {
                    self.peers.tell_of(peer, owner);
                }
                self.peers.others[usize::from(peer)].asked += 1;
                self.table.asked(slot, now_ms);
            }
            // A trace that moves waits for longer: its names must not be forgotten meanwhile.
            self.names
                .used(service, root.map(|root| root.operation), now_ms);
        }
    }

    /// Decides what this edge owns, because it leaves, and asks the others to hurry. Says whether there is more.
    pub fn leave(&mut self, now_ms: u64, most: usize) -> bool {
        if !std::mem::replace(&mut self.peers.is_leaving, true) {
            for slot in self.table.oldest(usize::MAX) {
                self.hurry(slot);
            }
        }
        let own = self.table.oldest_own(most);
        self.decide(&own, Cause::Stop, now_ms);
        own.len() == most
    }

    /// Whether nothing waits for others, nor others for anything.
    #[must_use]
    pub fn has_settled(&self, now_ms: u64) -> bool {
        let mut others = self.peers.others.iter();
        let is_quiet =
            |other: &Other| other.asked == 0 && other.late.is_empty() && other.decided.is_empty();
        others.all(is_quiet) && self.peers.senders.waiting(now_ms) == 0
    }
}
