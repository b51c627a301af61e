//! Makes counts of a window from the values of a source's streams.
//!
//! A stream says how many requests there were since its start, or since the value before. What is new
//! in an export is the difference from what was counted, and that is known from the source's state
//! ([`state::SourceState`]). Everything here is pure: a state and an export give counts and the next state.
//! Begin with [`take`]. How a state is stored so that each difference counts once is in
//! [`export`](super::export).

mod codec;
mod deltas;
mod differences;
mod said;
mod seen;
mod sorted;
mod split;
mod state;
#[cfg(test)]
mod tests;
mod time;
mod weighed;

use std::borrow::Cow;
use std::collections::BTreeMap;

pub(super) use codec::{Unreadable, decode, encode};
pub(super) use said::{Said, Unit};
#[cfg(test)]
pub(super) use state::Counter;
pub(super) use state::{Measure, SourceState};

use super::source::{Counted, Point, SourceExport};
use crate::allocation::{OVERFLOW_NAME, Window};
use crate::store::SpanSums;
use differences::{Differences, Piece};
use split::Split;
#[cfg(test)]
use time::milliseconds;
use weighed::Weighed;

/// Names at start that one export is counted under. What others counted is in `__other__`.
const NAMES: usize = 1000;

/// When an export is read.
#[derive(Debug, Clone, Copy)]
pub(super) struct Instants {
    /// When it arrived, in nanoseconds since 1970.
    pub now_ns: u64,
    /// The oldest time that is still counted.
    pub oldest_ns: u64,
    /// How long a delta is taken for if it does not say when it began, and nothing came before it.
    pub interval_ns: u64,
}

/// What an export adds, and the state after it.
#[derive(Debug)]
pub(super) struct Taken<'a> {
    /// The source's next state.
    pub next: SourceState,
    /// What is new; none if there is no time that the export covers.
    pub counts: Option<Counts<'a>>,
    /// New requests by name at start and final name, where the two may differ.
    pub final_names: FinalCounts<'a>,
    /// New spans that were sampled, of sources that count them.
    pub spans: SpanSums,
    /// What is not counted, and why.
    pub said: Said,
}

/// Requests by name at start and final name.
pub(super) type FinalCounts<'a> = BTreeMap<(&'a str, &'a str), u64>;

/// Counts of a window.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Counts<'a> {
    /// The time in which they were counted.
    pub window: Window,
    /// By what they were counted.
    pub measure: Measure,
    /// Whether the source says which were sampled.
    pub sampled_known: bool,
    /// Root requests by name at start, each name once.
    pub entries: Vec<Entry<'a>>,
}

/// The counts under one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Entry<'a> {
    /// The name at start.
    pub name: Cow<'a, str>,
    /// Root requests before sampling.
    pub offered: u64,
    /// Those that were sampled; 0 where the source does not say.
    pub sampled: u64,
}

/// Sums of one export.
#[derive(Debug, Default)]
struct Sums<'a> {
    roots: u64,
    sampled: u64,
    /// Whether a stream of roots does not say if they were sampled.
    sampled_unknown: bool,
    /// Requests by name.
    requests: BTreeMap<&'a str, u64>,
    /// The same by name at start and final name.
    final_names: FinalCounts<'a>,
    /// Sampled spans, roots or not, where the source counts all of them.
    of_all: SpanSums,
    /// What the streams that are not counted yet have counted so far, by name.
    baselines: BTreeMap<&'a str, u64>,
    calls: u64,
    /// Root requests that were sampled.
    spans: Weighed<'a>,
    /// What the sampler decided, by name: requests, and how many of them were sampled.
    decisions: BTreeMap<&'a str, (u64, u64)>,
}

/// Takes an export of a source.
pub(super) fn take<'a>(
    state: SourceState,
    export: &'a SourceExport<'_>,
    instants: Instants,
) -> Taken<'a> {
    let mut points: Vec<&Point<'_>> = export.points.iter().collect();
    points.sort_by_key(|point| point.time_ns);
    let newest_ns = points.last().map_or(0, |point| point.time_ns);
    let mut differences = Differences::new(state, &points, instants);
    let counted = points.iter().map(|point| &point.counted);
    differences.next.measured(counted, newest_ns);
    let mut sums = Sums::default();
    for point in points {
        let Some(mut piece) = differences.take(point) else {
            continue;
        };
        let next = &differences.next;
        if next.counted_otherwise(&point.counted, piece.from_ns) {
            piece.count = 0;
        }
        if next.reads(&point.counted) {
            sums.add(&point.counted, piece);
        }
    }
    let Differences {
        mut next,
        span,
        said,
        ..
    } = differences;
    let phase = phase(export.key.as_u64_pair().0, newest_ns);
    let names_seen = sums.names_seen();
    let final_names = std::mem::take(&mut sums.final_names);
    let spans = sums.of_all;
    let counts = span
        .window(next.counted_until_ns, instants)
        .map(|window| Counts {
            window,
            measure: next.best,
            sampled_known: next.best >= Measure::Roots && !sums.sampled_unknown,
            entries: sums.entries(&mut next, phase),
        });
    if counts.is_some() {
        next.counted_until_ns = next.counted_until_ns.max(span.until_ns());
    }
    if let Some(weights) = names_seen {
        next.weigh(weights);
    }
    next.shrink();
    Taken {
        next,
        counts,
        final_names,
        spans,
        said,
    }
}

impl<'a> Sums<'a> {
    fn add(&mut self, counted: &'a Counted<'_>, piece: Piece) {
        let count = piece.count;
        match counted {
            Counted::Roots { sampled } => {
                add(&mut self.roots, count);
                match sampled {
                    Some(true) => {
                        add(&mut self.sampled, count);
                        add(&mut self.of_all.roots, count);
                        add(&mut self.of_all.spans, count);
                    }
                    Some(false) => {}
                    None => self.sampled_unknown = true,
                }
            }
            Counted::Children { sampled } => {
                if *sampled == Some(true) {
                    add(&mut self.of_all.spans, count);
                }
            }
            Counted::Requests {
                at_start, at_end, ..
            } => {
                add(self.requests.entry(at_start).or_default(), count);
                self.name(at_start, at_end.as_deref(), count);
                if piece.baseline > 0 {
                    add(self.baselines.entry(at_start).or_default(), piece.baseline);
                }
            }
            Counted::Calls { .. } => add(&mut self.calls, count),
            Counted::Span { at_start, weight } => self.spans.add(at_start, *weight, count),
            Counted::Decisions { at_start, sampled } => {
                let name = if at_start.is_empty() {
                    OVERFLOW_NAME
                } else {
                    at_start
                };
                let sums = self.decisions.entry(name).or_default();
                add(&mut sums.0, count);
                add(&mut sums.1, count.min(*sampled));
            }
        }
    }

    /// Counts requests under their final name. Without a route, that is the name at start. A procedure has one name
    /// from beginning to end.
    fn name(&mut self, at_start: &'a str, at_end: Option<&'a str>, count: u64) {
        if count > 0 && at_end != Some(at_start) {
            let key = (at_start, at_end.unwrap_or(at_start));
            add(self.final_names.entry(key).or_default(), count);
        }
    }

    /// What says how roots are split: the new requests, or else all so far. None if the export has no
    /// requests.
    fn names_seen(&self) -> Option<Vec<(&'a str, u64)>> {
        if self.requests.is_empty() {
            return None;
        }
        let new = self.requests.values().any(|count| *count > 0);
        let chosen = if new { &self.requests } else { &self.baselines };
        let weights = chosen.iter().filter(|(_, count)| **count > 0);
        let weights: Vec<_> = weights.map(|(name, count)| (*name, *count)).collect();
        (!weights.is_empty()).then_some(weights)
    }

    fn entries(self, state: &mut SourceState, phase: u64) -> Vec<Entry<'a>> {
        match state.best {
            Measure::Roots if self.requests.is_empty() => {
                let weights = state.weights.iter();
                let weights = weights.map(|(name, weight)| (Cow::Owned(name.clone()), *weight));
                self.split(weights.collect(), u64::MAX, phase)
            }
            Measure::Roots => {
                let all = self.requests.values().copied().fold(0, u64::saturating_add);
                let weights = self.requests.iter();
                let weights = weights.map(|(name, count)| (Cow::Borrowed(*name), *count));
                self.split(bounded(weights.collect()), all, phase)
            }
            Measure::Requests => {
                let requests = self.requests.into_iter();
                let counts = requests.map(|(name, count)| (Cow::Borrowed(name), count));
                let entries = bounded(counts.collect()).into_iter();
                entries
                    .map(|(name, offered)| Entry {
                        name,
                        offered,
                        sampled: 0,
                    })
                    .collect()
            }
            Measure::Decisions => {
                let decisions = self.decisions.into_iter();
                decisions
                    .map(|(name, (offered, sampled))| Entry {
                        name: Cow::Borrowed(name),
                        offered,
                        sampled,
                    })
                    .collect()
            }
            Measure::Spans => self.spans.entries(&mut state.rest, phase),
            Measure::Calls => vec![Entry {
                name: OVERFLOW_NAME.into(),
                offered: self.calls,
                sampled: self.calls,
            }],
        }
    }

    /// Splits the roots over names: at most `named` of them. The rest has no name.
    fn split(&self, weights: Vec<(Cow<'a, str>, u64)>, named: u64, phase: u64) -> Vec<Entry<'a>> {
        let all = weights.iter().map(|(_, weight)| *weight);
        let all = all.fold(0, u64::saturating_add);
        let named = if all == 0 { 0 } else { self.roots.min(named) };
        let mut offered = Split::new(named, all, phase);
        let mut sampled = Split::new(self.sampled, self.roots, phase.rotate_left(32));
        let mut entries: Vec<Entry<'a>> = Vec::with_capacity(weights.len() + 1);
        let mut push = |name: Cow<'a, str>, offered: u64| {
            let sampled = sampled.next(offered);
            entries.push(Entry {
                name,
                offered,
                sampled,
            });
        };
        for (name, weight) in weights {
            push(name, offered.next(weight));
        }
        push(OVERFLOW_NAME.into(), self.roots - named);
        merged(entries)
    }
}

/// Saturates.
fn add(sum: &mut u64, count: u64) {
    *sum = sum.saturating_add(count);
}

/// What is counted under one name.
trait Amount: Copy + Default {
    /// How many requests.
    fn requests(self) -> u64;

    /// The sum. Saturates.
    fn and(self, more: Self) -> Self;
}

impl Amount for u64 {
    fn requests(self) -> u64 {
        self
    }

    fn and(self, more: Self) -> Self {
        self.saturating_add(more)
    }
}

/// The names with the most counts. The rest is summed in `__other__`.
fn bounded<'a, T: Amount>(mut counts: Vec<(Cow<'a, str>, T)>) -> Vec<(Cow<'a, str>, T)> {
    if counts.len() <= NAMES {
        return counts;
    }
    counts.sort_by(|(one, of_one), (other, of_other)| {
        let by_count = of_other.requests().cmp(&of_one.requests());
        by_count.then_with(|| one.cmp(other))
    });
    let rest = counts.split_off(NAMES - 1);
    let rest = rest.iter().map(|(_, count)| *count);
    counts.push((OVERFLOW_NAME.into(), rest.fold(T::default(), T::and)));
    counts
}

/// Joins what is counted in `__other__` in two places.
fn merged(mut entries: Vec<Entry<'_>>) -> Vec<Entry<'_>> {
    let Some(last) = entries.pop() else {
        return entries;
    };
    match entries.iter_mut().find(|entry| entry.name == last.name) {
        Some(entry) => {
            add(&mut entry.offered, last.offered);
            add(&mut entry.sampled, last.sampled);
        }
        None => entries.push(last),
    }
    entries
}

/// Evenly distributed, and the same for the same export: SplitMix64.
fn phase(source: u64, at: u64) -> u64 {
    let mixed = source ^ at.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    let mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xBF58_476D_1CE4_E5B9);
    let mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94D0_49BB_1331_11EB);
    mixed ^ (mixed >> 31)
}
