//! What is known of a source between its exports.

use super::deltas::Deltas;
use super::seen::Seen;
use super::sorted::Sorted;
use crate::ingest::source::{Convention, Counted, Family};

/// Streams of one source. Those that were not heard for longest are forgotten first.
pub const STREAMS: usize = 2000;

/// Names whose share of the requests is remembered, and their length in bytes together.
const WEIGHTS: usize = 100;
const WEIGHT_BYTES: usize = 4096;

/// By what a source's requests are counted, from the worst to the best.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
pub enum Measure {
    /// By all spans of servers after sampling.
    #[default]
    Calls,
    /// By the root spans that were sampled.
    Spans,
    /// By requests, whether they are roots or not.
    Requests,
    /// By root requests.
    Roots,
    /// By what the sampler decided.
    Decisions,
}

impl Measure {
    /// All of them, by number.
    pub const ALL: [Self; 5] = [
        Self::Calls,
        Self::Spans,
        Self::Requests,
        Self::Roots,
        Self::Decisions,
    ];

    /// What a point counts by.
    pub fn of(counted: &Counted<'_>) -> Self {
        match counted {
            Counted::Calls { .. } => Self::Calls,
            Counted::Span { .. } => Self::Spans,
            Counted::Requests { .. } => Self::Requests,
            Counted::Roots { .. } | Counted::Children { .. } => Self::Roots,
            Counted::Decisions { .. } => Self::Decisions,
        }
    }
}

/// The conventions by which a source has named its requests, a bit for each of each family.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Conventions(pub u8);

impl Conventions {
    fn bit(family: Family, convention: Convention) -> u8 {
        1 << (2 * family as u8 + convention as u8)
    }

    /// Whether requests of this family were named so.
    pub fn has(self, family: Family, convention: Convention) -> bool {
        self.0 & Self::bit(family, convention) != 0
    }
}

/// A stream is known by its series and its start.
pub type StreamKey = (u64, u64);

/// What of a cumulative stream was counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counter {
    /// The time of its newest value.
    pub time_ns: u64,
    /// Its highest value.
    pub value: u64,
}

/// What is known of a source.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct SourceState {
    /// When it was first heard; 0 if it never was.
    pub since_ns: u64,
    /// The newest time of a stream that was forgotten.
    pub forgotten_ns: u64,
    /// The best measure that it has ever sent. Only this one counts.
    pub best: Measure,
    /// How it names its requests.
    pub conventions: Conventions,
    /// Up to when its requests were counted.
    pub counted_until_ns: u64,
    /// Up to when they were counted by a worse measure than the best.
    pub other_until_ns: u64,
    /// Its cumulative streams.
    pub counters: Sorted<StreamKey, Counter>,
    /// Its streams of deltas.
    pub deltas: Deltas,
    /// The requests by name at start of the last export that had some.
    pub weights: Vec<(String, u64)>,
    /// Its root spans that were counted.
    pub seen: Seen,
    /// The part of a request that its spans stand for beside those that were counted, in parts of a
    /// [`Weight`](crate::ingest::Weight).
    pub rest: u64,
}

impl SourceState {
    /// The state of a source of which something is lost: nothing of its streams counts before `now`.
    pub fn lost(now_ns: u64) -> Self {
        Self {
            since_ns: now_ns,
            forgotten_ns: now_ns,
            deltas: Deltas::lost(now_ns),
            seen: Seen::lost(now_ns),
            ..Self::default()
        }
    }

    /// Notes what the points of an export of this time count by. What was counted by a worse measure is not
    /// counted again: the first export by a better one only begins to count.
    pub fn measured<'p>(&mut self, points: impl Iterator<Item = &'p Counted<'p>>, time_ns: u64) {
        let before = (self.best, self.conventions);
        let mut better = false;
        for counted in points {
            self.best = self.best.max(Measure::of(counted));
            if let Counted::Requests {
                family, convention, ..
            } = counted
            {
                self.conventions.0 |= Conventions::bit(*family, *convention);
                better |= *convention == Convention::Stable
                    && !before.1.has(*family, Convention::Stable)
                    && before.1.has(*family, Convention::Old);
            }
        }
        let better = self.best > before.0 || better && self.best == Measure::Requests;
        if better && self.counted_until_ns > 0 {
            self.other_until_ns = self.counted_until_ns.max(time_ns);
        }
    }

    /// Whether points of this kind are read: those of the best measure, and requests beside roots, because
    /// they say how roots are split.
    pub fn reads(&self, counted: &Counted<'_>) -> bool {
        let measure = Measure::of(counted);
        match counted {
            Counted::Requests {
                family, convention, ..
            } => {
                matches!(self.best, Measure::Requests | Measure::Roots)
                    && (*convention == Convention::Stable
                        || !self.conventions.has(*family, Convention::Stable))
            }
            _ => measure == self.best,
        }
    }

    /// Whether the requests of a point since `from_ns` were counted by another measure.
    pub fn counted_otherwise(&self, counted: &Counted<'_>, from_ns: u64) -> bool {
        let better = match counted {
            Counted::Requests { convention, .. } => {
                self.best == Measure::Requests && *convention == Convention::Stable
            }
            _ => Measure::of(counted) == self.best,
        };
        better && from_ns < self.other_until_ns
    }

    /// Remembers the requests by name, those of the busiest names.
    pub fn weigh(&mut self, mut weights: Vec<(&str, u64)>) {
        if self.best != Measure::Roots {
            // Requests are counted under their own names.
            self.weights.clear();
            return;
        }
        weights.sort_by(|one, other| other.1.cmp(&one.1).then_with(|| one.0.cmp(other.0)));
        weights.truncate(WEIGHTS);
        let mut bytes = 0;
        weights.retain(|(name, _)| {
            bytes += name.len();
            bytes <= WEIGHT_BYTES
        });
        self.weights.truncate(weights.len());
        let (known, new) = weights.split_at(self.weights.len());
        // Mostly they are the same as before.
        for (held, (name, weight)) in self.weights.iter_mut().zip(known) {
            if held.0 != *name {
                held.0 = (*name).to_owned();
            }
            held.1 = *weight;
        }
        let new = new
            .iter()
            .map(|(name, weight)| ((*name).to_owned(), *weight));
        self.weights.extend(new);
    }

    /// Forgets streams if there are too many.
    pub fn shrink(&mut self) {
        self.forget(self.counters.len().saturating_sub(STREAMS));
    }

    /// Forgets the streams that were not heard for longest.
    pub fn forget(&mut self, streams: usize) {
        if streams == 0 {
            return;
        }
        let mut oldest: Vec<(u64, StreamKey)> = self
            .counters
            .iter()
            .map(|(key, counter)| (counter.time_ns, *key))
            .collect();
        oldest.sort_unstable();
        let Some(newest) = oldest.get(streams.min(oldest.len()).wrapping_sub(1)) else {
            return;
        };
        self.forgotten_ns = self.forgotten_ns.max(newest.0);
        self.counters
            .retain(|key, counter| (counter.time_ns, key) > *newest);
    }
}
