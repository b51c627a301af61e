//! The traces that are held: what is known of each, found by its id, and in the order in which they are due.

use std::hash::BuildHasher;

use hashbrown::{DefaultHashBuilder, HashTable};

use super::names::{OperationId, ServiceId};
use super::peers::{Holders, OWN};
use super::segments::{Owner, Place};
use crate::otlp::trace_state::{Randomness, Threshold};

const NONE: u32 = u32::MAX;

/// Segments of a trace that are remembered; its further ones are found by its records.
const SEGMENTS: usize = 3;

/// What is known of a root.
#[derive(Debug, Clone, Copy)]
pub(super) struct Root {
    pub operation: OperationId,
    pub span_id: u64,
    pub duration_ns: Option<u64>,
    /// What a head sampler has left out.
    pub threshold: Option<Threshold>,
}

/// What is known of a trace.
#[derive(Debug, Clone)]
pub(super) struct Trace {
    pub id: u128,
    /// Where its newest record is.
    pub newest: Place,
    pub spans: u32,
    pub root: Option<Root>,
    /// Whether the root is held here.
    pub has_own_root: bool,
    /// The service of its first span.
    pub service: ServiceId,
    pub longest_ns: u64,
    /// What its spans say; if they say nothing, it follows from the id.
    pub randomness: Option<Randomness>,
    /// The first rule for tagged requests that one of its spans fulfils.
    pub tagged: Option<u16>,
    pub is_error: bool,
    /// Whether it is to be decided as soon as the batch is taken.
    pub is_due: bool,
    /// Whether it is decided, and only to be taken out.
    pub is_decided: bool,
    /// The edge that decides about it, by its place in the list of peers.
    pub peer: u16,
    /// Whether that one is to hear of it.
    pub is_dirty: bool,
    /// Whether that one is to decide at once.
    pub is_urgent: bool,
    /// The edges that wait for the decision.
    pub holders: Holders,
    segments: [u32; SEGMENTS],
    generation: u32,
    list: List,
    /// When it entered its list.
    since_ms: u64,
    older: u32,
    newer: u32,
}

impl Trace {
    pub fn new(id: u128, service: ServiceId) -> Self {
        Self {
            id,
            newest: Place::NONE,
            spans: 0,
            root: None,
            has_own_root: false,
            service,
            longest_ns: 0,
            randomness: None,
            tagged: None,
            is_error: false,
            is_due: false,
            is_decided: false,
            peer: OWN,
            is_dirty: false,
            is_urgent: false,
            holders: Holders::default(),
            segments: [NONE; SEGMENTS],
            generation: 0,
            list: List::Waiting,
            since_ms: 0,
            older: NONE,
            newer: NONE,
        }
    }

    /// Notes where its newest record is.
    pub fn moved_to(&mut self, place: Place) {
        if self.newest.segment != place.segment
            && let Some(free) = self.segments.iter_mut().find(|segment| **segment == NONE)
        {
            *free = place.segment;
        }
        self.newest = place;
    }

    /// The segments that it has records in, unless there are more than are remembered.
    pub fn segments(&self) -> Option<impl Iterator<Item = u32> + use<>> {
        let is_all = self.segments.contains(&self.newest.segment);
        let known = self.segments.into_iter().filter(|segment| *segment != NONE);
        is_all.then_some(known)
    }
}

/// What a trace waits for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum List {
    /// Its root.
    Waiting,
    /// The delay after its root.
    Ended,
    /// The edge that owns it.
    Asked,
}

impl List {
    const ALL: [Self; 3] = [Self::Waiting, Self::Ended, Self::Asked];
}

/// The first and the last one of a list of traces, the oldest first.
#[derive(Debug, Clone, Copy)]
struct Ends {
    oldest: u32,
    newest: u32,
}

/// All traces that are held.
pub(super) struct Table {
    slots: Vec<Trace>,
    free: Vec<u32>,
    by_id: HashTable<u32>,
    hasher: DefaultHashBuilder,
    most: usize,
    /// By [`List`].
    lists: [Ends; 3],
}

impl Table {
    /// A table that takes this many bytes at most.
    pub fn of_bytes(bytes: usize) -> Self {
        // An entry in the list of free ones, and up to 2.3 times five bytes in the index.
        let each = size_of::<Trace>() + 4 + 12;
        let most = (bytes / each).max(16);
        Self {
            slots: Vec::with_capacity(most),
            free: Vec::new(),
            by_id: HashTable::with_capacity(most),
            hasher: DefaultHashBuilder::default(),
            most,
            lists: [Ends {
                oldest: NONE,
                newest: NONE,
            }; 3],
        }
    }

    pub fn hash(&self, id: u128) -> u64 {
        self.hasher.hash_one(id)
    }

    pub fn len(&self) -> usize {
        self.by_id.len()
    }

    pub fn is_full(&self) -> bool {
        self.len() >= self.most
    }

    pub fn find(&self, hash: u64, id: u128) -> Option<u32> {
        self.by_id
            .find(hash, |slot| self.slots[*slot as usize].id == id)
            .copied()
    }

    /// Adds a trace that is not there; there must be room.
    pub fn insert(&mut self, hash: u64, mut trace: Trace, now_ms: u64) -> u32 {
        trace.since_ms = now_ms;
        if trace.peer != OWN {
            trace.list = List::Asked;
        }
        let slot = match self.free.pop() {
            Some(slot) => {
                let generation = self.slots[slot as usize].generation.wrapping_add(1);
                self.slots[slot as usize] = Trace {
                    generation,
                    ..trace
                };
                slot
            }
            None => {
                self.slots.push(trace);
                self.slots.len() as u32 - 1
            }
        };
        let Self {
            by_id,
            slots,
            hasher,
            ..
        } = self;
        by_id.insert_unique(hash, slot, |slot| hasher.hash_one(slots[*slot as usize].id));
        self.link(slot);
        slot
    }

    /// Takes a trace out.
    pub fn remove(&mut self, slot: u32) {
        self.unlink(slot);
        let hash = self.hash(self[slot].id);
        if let Ok(entry) = self.by_id.find_entry(hash, |other| *other == slot) {
            entry.remove();
        }
        self.free.push(slot);
    }

    /// Notes that the root of a trace has ended.
    pub fn ended(&mut self, slot: u32, now_ms: u64) {
        self.wait(slot, List::Ended, now_ms);
    }

    /// Notes that another edge decides about a trace from now on.
    pub fn asked(&mut self, slot: u32, now_ms: u64) {
        if self[slot].list != List::Asked {
            self.wait(slot, List::Asked, now_ms);
        }
    }

    /// Notes that this edge decides about a trace from now on.
    pub fn owned(&mut self, slot: u32, now_ms: u64) {
        if self[slot].list == List::Asked {
            let has_root = self[slot].root.is_some();
            let list = if has_root { List::Ended } else { List::Waiting };
            self.wait(slot, list, now_ms);
        }
    }

    fn wait(&mut self, slot: u32, list: List, now_ms: u64) {
        self.unlink(slot);
        let trace = &mut self[slot];
        (trace.list, trace.since_ms) = (list, now_ms);
        self.link(slot);
    }

    pub fn owner(&self, slot: u32) -> Owner {
        Owner {
            slot,
            generation: self[slot].generation,
        }
    }

    /// Whether the trace that owned a record is still held.
    pub fn is_held(&self, owner: Owner) -> bool {
        let trace = &self.slots[owner.slot as usize];
        trace.generation == owner.generation && trace.is_linked(owner.slot, &self.lists)
    }

    /// The traces that are in a list since then, at most this many.
    pub fn due(&self, list: List, since_ms: u64, most: usize) -> Vec<u32> {
        let list = self.from(self.lists[list as usize].oldest);
        let due = list.take_while(|slot| self[*slot].since_ms <= since_ms);
        due.take(most).collect()
    }

    /// At most this many traces, those that have waited longest.
    pub fn oldest(&self, most: usize) -> Vec<u32> {
        self.oldest_of(&List::ALL, most)
    }

    /// The same of those that this edge decides about.
    pub fn oldest_own(&self, most: usize) -> Vec<u32> {
        self.oldest_of(&[List::Waiting, List::Ended], most)
    }

    fn oldest_of(&self, lists: &[List], most: usize) -> Vec<u32> {
        let from = |list: &List| self.from(self.lists[*list as usize].oldest).peekable();
        let mut lists: Vec<_> = lists.iter().map(from).collect();
        let mut found = Vec::new();
        while found.len() < most {
            let since = |slot: &u32| self[*slot].since_ms;
            let firsts = lists.iter_mut().enumerate();
            let firsts = firsts.filter_map(|(index, list)| Some((since(list.peek()?), index)));
            let Some((_, oldest)) = firsts.min() else {
                break;
            };
            found.extend(lists[oldest].next());
        }
        found
    }

    fn from(&self, first: u32) -> impl Iterator<Item = u32> {
        let present = |slot: u32| (slot != NONE).then_some(slot);
        std::iter::successors(present(first), move |slot| present(self[*slot].newer))
    }

    fn link(&mut self, slot: u32) {
        let list = self[slot].list as usize;
        let newest = std::mem::replace(&mut self.lists[list].newest, slot);
        (self[slot].older, self[slot].newer) = (newest, NONE);
        match newest {
            NONE => self.lists[list].oldest = slot,
            newest => self[newest].newer = slot,
        }
    }

    fn unlink(&mut self, slot: u32) {
        let list = self[slot].list as usize;
        let (older, newer) = (self[slot].older, self[slot].newer);
        match older {
            NONE => self.lists[list].oldest = newer,
            older => self[older].newer = newer,
        }
        match newer {
            NONE => self.lists[list].newest = older,
            newer => self[newer].older = older,
        }
        (self[slot].older, self[slot].newer) = (NONE, NONE);
    }
}

impl Trace {
    fn is_linked(&self, slot: u32, lists: &[Ends; 3]) -> bool {
        self.older != NONE || lists[self.list as usize].oldest == slot
    }
}

impl std::ops::Index<u32> for Table {
    type Output = Trace;

    fn index(&self, slot: u32) -> &Trace {
        &self.slots[slot as usize]
    }
}

impl std::ops::IndexMut<u32> for Table {
    fn index_mut(&mut self, slot: u32) -> &mut Trace {
        &mut self.slots[slot as usize]
    }
}
