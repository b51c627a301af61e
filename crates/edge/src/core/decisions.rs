//! What was decided, for spans that come later.
//!
//! There are two generations. When the newer one is full, the older one is forgotten and takes its place. So
//! between half and all of what fits is known, and nothing grows.

use hashbrown::HashTable;

use crate::otlp::trace_state::Threshold;

/// Bytes of an entry and of its byte in the index.
const DROPPED: usize = 8 + 1;
const KEPT: usize = size_of::<Kept>() + 1;

/// A trace that was kept.
#[derive(Debug, Clone, Copy)]
struct Kept {
    hash: u64,
    /// None if nobody here decided about it.
    threshold: Option<Threshold>,
    late: u32,
    has_root: bool,
}

/// What late spans of a trace follow.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Decision {
    /// It was dropped.
    Drop,
    /// It was kept, or passed if there is no threshold.
    Keep(Option<Threshold>),
}

impl Decision {
    /// Whether the trace is kept.
    #[must_use]
    pub fn keeps(self) -> bool {
        self != Self::Drop
    }
}

struct Generation {
    /// Hashes whose last bit says whether the root was there.
    dropped: HashTable<u64>,
    kept: HashTable<Kept>,
    dropped_max: usize,
    kept_max: usize,
}

/// What was decided of the newest traces, by 63 bits of a hash of their id.
pub(super) struct Decisions {
    newer: Generation,
    older: Generation,
}

/// A trace that was decided about.
pub(super) struct Known {
    pub decision: Decision,
    /// Whether its root had come before.
    pub had_root: bool,
    /// How many of its spans have come late, this one included; 0 if it was dropped.
    pub late: u32,
}

impl Decisions {
    /// A memory of this many bytes at most.
    pub fn of_bytes(bytes: usize) -> Self {
        Self {
            newer: Generation::of_bytes(bytes / 2),
            older: Generation::of_bytes(bytes / 2),
        }
    }

    pub fn remember(&mut self, hash: u64, decision: Decision, has_root: bool) {
        if self.newer.is_full() {
            std::mem::swap(&mut self.newer, &mut self.older);
            self.newer.dropped.clear();
            self.newer.kept.clear();
        }
        self.newer.insert(hash, decision, has_root);
    }

    /// Looks up a late span's trace, and notes the span.
    pub fn late(&mut self, hash: u64, is_root: bool) -> Option<Known> {
        self.find(hash, is_root, 1)
    }

    /// Looks up a trace, without a span of it.
    pub fn recall(&mut self, hash: u64, is_root: bool) -> Option<Known> {
        self.find(hash, is_root, 0)
    }

    fn find(&mut self, hash: u64, is_root: bool, spans: u32) -> Option<Known> {
        let found = self.newer.find(hash, is_root, spans);
        found.or_else(|| self.older.find(hash, is_root, spans))
    }

    pub fn len(&self) -> usize {
        let all = [&self.newer, &self.older];
        all.iter().map(|of| of.dropped.len() + of.kept.len()).sum()
    }
}

/// How many entries fit into a table of a power of two of buckets.
fn fitting(bytes: usize, each: usize) -> usize {
    let buckets = (bytes / each).max(16);
    let buckets = 1 << buckets.ilog2();
    buckets / 8 * 7
}

impl Generation {
    fn of_bytes(bytes: usize) -> Self {
        let dropped_max = fitting(bytes / 4 * 3, DROPPED);
        let kept_max = fitting(bytes / 4, KEPT);
        Self {
            dropped: HashTable::with_capacity(dropped_max),
            kept: HashTable::with_capacity(kept_max),
            dropped_max,
            kept_max,
        }
    }

    fn is_full(&self) -> bool {
        self.dropped.len() >= self.dropped_max || self.kept.len() >= self.kept_max
    }

    fn insert(&mut self, hash: u64, decision: Decision, has_root: bool) {
        match decision {
            Decision::Drop => {
                let entry = hash & !1 | u64::from(has_root);
                self.dropped
                    .insert_unique(hash & !1, entry, |entry| entry & !1);
            }
            Decision::Keep(threshold) => {
                let kept = Kept {
                    hash,
                    threshold,
                    late: 0,
                    has_root,
                };
                self.kept.insert_unique(hash, kept, |kept| kept.hash);
            }
        }
    }

    fn find(&mut self, hash: u64, is_root: bool, spans: u32) -> Option<Known> {
        if let Some(entry) = self
            .dropped
            .find_mut(hash & !1, |entry| entry & !1 == hash & !1)
        {
            let had_root = *entry & 1 == 1;
            *entry |= u64::from(is_root);
            return Some(Known {
                decision: Decision::Drop,
                had_root,
                late: 0,
            });
        }
        let kept = self.kept.find_mut(hash, |kept| kept.hash == hash)?;
        kept.late = kept.late.saturating_add(spans);
        let had_root = kept.has_root;
        kept.has_root |= is_root;
        Some(Known {
            decision: Decision::Keep(kept.threshold),
            had_root,
            late: kept.late,
        })
    }
}
