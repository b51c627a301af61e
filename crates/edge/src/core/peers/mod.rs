//! Several edges that decide together: which of them decides about a trace, and what waits to be said to each.
//!
//! Spans stay where they came. The edge that owns a trace, by rendezvous hashing of its id over the edges that are
//! there, is told what the others know of it, decides, and tells them. Nothing here does I/O: messages are values.

mod exchange;
mod membership;
pub mod message;
mod read;
mod senders;

use std::collections::VecDeque;

use self::message::{Decided, Head, RECORDS_MAX, Summary};
pub(super) use self::senders::{Holders, Senders};
use super::segments::Owner;

/// The owner of a trace if this edge is it; otherwise a place in [`Peers`].
pub(super) const OWN: u16 = u16::MAX;

/// The most other edges.
pub const PEERS_MAX: usize = 1000;

/// What waits for an edge that does not answer, of each kind.
const WAITING_MAX: usize = 4 * RECORDS_MAX;

/// What an edge has said of its relief is true for this long.
const RELIEF_MS: u64 = 5_000;

/// Another edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub struct Edge {
    /// What it is among others.
    pub id: u64,
    /// Whether it stops: it owns nothing any more, and says what it has decided.
    pub is_leaving: bool,
}

/// Another edge, and what waits for it.
pub(super) struct Other {
    pub edge: Edge,
    /// Traces of which it is to hear.
    dirty: VecDeque<Owner>,
    /// Roots that came after the decision.
    late: VecDeque<Summary>,
    /// What was decided elsewhere.
    decided: VecDeque<Decided>,
    /// Traces whose decision is waited for.
    pub asked: u64,
    /// The number of its next decision for this edge.
    next: u64,
    /// The one that it was told last: it keeps decisions until it knows that they are here.
    next_told: u64,
    relief: u8,
    relief_ms: u64,
}

/// The edges that decide together.
pub(super) struct Peers {
    /// This one.
    pub own: u64,
    /// The others, in the order of their ids.
    pub others: Vec<Other>,
    pub senders: Senders,
    pub is_leaving: bool,
    /// Traces that were kept by one edge and dropped by another.
    pub conflicts: u64,
    /// Records that waited for too long.
    pub lost: u64,
}

impl Other {
    fn new(edge: Edge) -> Self {
        Self {
            edge,
            dirty: VecDeque::new(),
            late: VecDeque::new(),
            decided: VecDeque::new(),
            asked: 0,
            next: 0,
            next_told: 0,
            relief: 0,
            relief_ms: 0,
        }
    }
}

impl Peers {
    /// An edge without others. Its id is random.
    pub fn new(own: u64, bytes: usize) -> Self {
        Self {
            own,
            others: Vec::new(),
            senders: Senders::of_bytes(bytes),
            is_leaving: false,
            conflicts: 0,
            lost: 0,
        }
    }

    /// Edges that decide, this one included.
    pub fn deciding(&self) -> u64 {
        let others = self.others.iter();
        1 + others.filter(|other| !other.edge.is_leaving).count() as u64
    }

    /// Who decides about a trace.
    pub fn owner(&self, id: u128) -> u16 {
        if self.others.is_empty() {
            return OWN;
        }
        let stay = self.others.iter().enumerate();
        let stay = stay.filter(|(_, other)| !other.edge.is_leaving);
        let others = stay.map(|(place, other)| (score(other.edge.id, id), place as u16));
        let own = (!self.is_leaving).then(|| (score(self.own, id), OWN));
        others.chain(own).max().map_or(OWN, |(_, owner)| owner)
    }

    /// An edge by its id.
    pub fn place(&self, id: u64) -> Option<usize> {
        self.others
            .binary_search_by_key(&id, |other| other.edge.id)
            .ok()
    }

    /// Notes that an edge is to hear of a trace.
    pub fn tell_of(&mut self, peer: u16, trace: Owner) {
        self.others[usize::from(peer)].dirty.push_back(trace);
    }

    /// A root that came after the decision, for the edge that counts it.
    pub fn tell_late(&mut self, peer: u16, summary: Summary) {
        let late = &mut self.others[usize::from(peer)].late;
        self.lost += u64::from(push(late, summary));
    }

    /// A decision for the edge that owns the trace.
    pub fn tell_decided(&mut self, peer: u16, decided: Decided) {
        let waiting = &mut self.others[usize::from(peer)].decided;
        self.lost += u64::from(push(waiting, decided));
    }

    /// Notes what an edge says about itself.
    fn hear(&mut self, head: Head, now_ms: u64) {
        if let Some(place) = self.place(head.sender) {
            let other = &mut self.others[place];
            (other.relief, other.relief_ms) = (head.relief, now_ms);
        }
    }

    /// How often the others halve probabilities, the one that does so most.
    pub fn relief(&self, now_ms: u64) -> u32 {
        let newly = |other: &&Other| other.relief_ms + RELIEF_MS >= now_ms;
        let newly = self.others.iter().filter(newly);
        newly
            .map(|other| u32::from(other.relief))
            .max()
            .unwrap_or(0)
    }
}

/// Adds a record; the oldest one gives way if there are too many.
fn push<T>(waiting: &mut VecDeque<T>, record: T) -> bool {
    let is_full = waiting.len() >= WAITING_MAX;
    if is_full {
        waiting.pop_front();
    }
    waiting.push_back(record);
    is_full
}

/// The rank of an edge for a trace: SplitMix64 over both.
fn score(edge: u64, trace: u128) -> u64 {
    mix(edge ^ mix(trace as u64 ^ mix((trace >> 64) as u64)))
}

fn mix(value: u64) -> u64 {
    let value = value.wrapping_add(0x9E37_79B9_7F4A_7C15);
    let value = (value ^ (value >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let value = (value ^ (value >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    value ^ (value >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn other(id: u64, is_leaving: bool) -> Other {
        Other::new(Edge { id, is_leaving })
    }

    fn peers(own: u64, others: &[u64]) -> Peers {
        let mut peers = Peers::new(own, 0);
        peers.others = others.iter().map(|id| other(*id, false)).collect();
        peers
    }

    fn owner(peers: &Peers, trace: u128) -> u64 {
        match peers.owner(trace) {
            OWN => peers.own,
            place => peers.others[usize::from(place)].edge.id,
        }
    }

    #[test]
    fn all_edges_agree_who_decides_and_a_leaving_one_moves_its_traces_alone() {
        let (one, two, three) = (peers(1, &[2, 3]), peers(2, &[1, 3]), peers(3, &[1, 2]));
        let without = peers(1, &[2]);
        let mut leaving = peers(3, &[1, 2]);
        leaving.is_leaving = true;
        let mut left = peers(1, &[2]);
        left.others.push(other(3, true));
        let mut owned = [0; 4];
        for trace in 1..30_000_u128 {
            let of = owner(&one, trace);
            assert_eq!((owner(&two, trace), owner(&three, trace)), (of, of));
            owned[of as usize] += 1;
            if of != 3 {
                assert_eq!(owner(&without, trace), of);
            }
            assert_eq!(owner(&leaving, trace), owner(&without, trace));
            assert_eq!(owner(&left, trace), owner(&without, trace));
        }
        assert!(
            owned[1..]
                .iter()
                .all(|owned| (9_500..10_500).contains(owned)),
            "{owned:?}"
        );
    }
}
