//! A source's state as bytes: the version, then columns.
//!
//! Starts and times are mostly the same for many streams, so each is written once and referred to.

use serde::{Deserialize, Serialize, Serializer};

use super::deltas::{Deltas, TIMES};
use super::seen::{SPANS, Seen, Slot};
use super::sorted::Sorted;
use super::state::{Conventions, Counter, Measure, SourceState};

const VERSION: u8 = 1;

/// The largest state that is stored.
pub(in crate::ingest) const LARGEST: usize = 64 * 1024;

/// Why a state cannot be read.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(in crate::ingest) enum Unreadable {
    /// A newer release wrote it.
    Newer(u8),
    /// It is damaged.
    Damaged,
}

impl Unreadable {
    /// The newest version that can be read.
    pub const KNOWN: u8 = VERSION;
}

/// What a state is written as. The order of the fields is the format, here and in [`Written`].
#[derive(Deserialize)]
struct Columns {
    since_ns: u64,
    forgotten_ns: u64,
    best: u8,
    conventions: u8,
    counted_until_ns: u64,
    other_until_ns: u64,
    /// Distinct starts and times, as gaps.
    starts: Vec<u64>,
    times: Vec<u64>,
    /// Of each stream: the gap of its series, its start, its time, its value.
    counters: Vec<(u64, u16, u16, u64)>,
    delta_forgotten_ns: u64,
    delta_times: Vec<u64>,
    deltas: Vec<(u64, u64)>,
    weights: Vec<(String, u64)>,
    rest: u64,
    seen_forgotten_ns: u64,
    /// Slots of spans: when they were heard, until when they ended, and the gaps of their digests.
    seen: Vec<(u64, u64, Vec<u64>)>,
}

/// The [`Columns`] of a state that is written as it is, without a copy.
#[derive(Serialize)]
struct Written<'s, Starts, Times, Counters, Series, Slots> {
    since_ns: u64,
    forgotten_ns: u64,
    best: u8,
    conventions: u8,
    counted_until_ns: u64,
    other_until_ns: u64,
    starts: Starts,
    times: Times,
    counters: Counters,
    delta_forgotten_ns: u64,
    delta_times: &'s [u64],
    deltas: Series,
    weights: &'s [(String, u64)],
    rest: u64,
    seen_forgotten_ns: u64,
    seen: Slots,
}

/// A list that is written element by element, and begun again each time.
struct Each<F>(F);

impl<I: Iterator<Item: Serialize>, F: Fn() -> I> Serialize for Each<F> {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.collect_seq((self.0)())
    }
}

/// Encodes a state. Forgets the streams that were not heard for longest, if it is too large.
pub(in crate::ingest) fn encode(state: &mut SourceState, now_ns: u64) -> Vec<u8> {
    loop {
        let mut bytes = written(state).expect("numbers and text are serialized into memory");
        if bytes.len() <= LARGEST {
            // It is remembered.
            bytes.shrink_to_fit();
            return bytes;
        }
        match state.counters.len() {
            0 => state.deltas.forget_oldest(now_ns),
            streams => state.forget(streams.div_ceil(4)),
        }
    }
}

/// Decodes a state.
pub(in crate::ingest) fn decode(bytes: &[u8]) -> Result<SourceState, Unreadable> {
    let (version, columns) = bytes.split_first().ok_or(Unreadable::Damaged)?;
    match *version {
        VERSION => {}
        0 => return Err(Unreadable::Damaged),
        newer => return Err(Unreadable::Newer(newer)),
    }
    let columns: Columns = postcard::from_bytes(columns).map_err(|_| Unreadable::Damaged)?;
    columns.state().ok_or(Unreadable::Damaged)
}

fn written(state: &SourceState) -> Result<Vec<u8>, postcard::Error> {
    let starts = distinct(state.counters.iter().map(|((_, start_ns), _)| *start_ns));
    let times = distinct(state.counters.iter().map(|(_, counter)| counter.time_ns));
    let (starts, times) = (&starts, &times);
    let counters = || {
        let mut gap = gap();
        let counters = state.counters.iter();
        counters.map(move |((series, start_ns), counter)| {
            let (start, time) = (place(starts, *start_ns), place(times, counter.time_ns));
            (gap(*series), start, time, counter.value)
        })
    };
    let deltas = || {
        let mut gap = gap();
        let series = state.deltas.series.iter();
        series.map(move |(series, seen)| (gap(*series), *seen))
    };
    let slots = || {
        let slots = state.seen.slots.iter();
        slots.map(|slot| (slot.heard_ns, slot.until_ns, gaps(&slot.digests)))
    };
    let columns = Written {
        since_ns: state.since_ns,
        forgotten_ns: state.forgotten_ns,
        best: state.best as u8,
        conventions: state.conventions.0,
        counted_until_ns: state.counted_until_ns,
        other_until_ns: state.other_until_ns,
        starts: gaps(starts),
        times: gaps(times),
        counters: Each(counters),
        delta_forgotten_ns: state.deltas.forgotten_ns,
        delta_times: &state.deltas.times,
        deltas: Each(deltas),
        weights: &state.weights,
        rest: state.rest,
        seen_forgotten_ns: state.seen.forgotten_ns,
        seen: Each(slots),
    };
    let room = Vec::with_capacity(usual_bytes(state));
    postcard::to_extend(&(VERSION, columns), room)
}

/// About as many bytes as a state takes, and mostly more: a stream takes 20 at most, and a digest 6.
fn usual_bytes(state: &SourceState) -> usize {
    let names = state.weights.iter().map(|(name, _)| name.len() + 8);
    128 + 24 * state.counters.len()
        + 16 * (state.deltas.series.len() + state.deltas.times.len())
        + names.sum::<usize>()
        + 6 * state.seen.count()
}

impl Columns {
    fn state(self) -> Option<SourceState> {
        let (starts, times) = (sums(self.starts)?, sums(self.times)?);
        let mut series = 0_u64;
        let mut counters = Vec::with_capacity(self.counters.len());
        for (gap, start, time, value) in self.counters {
            series = series.checked_add(gap)?;
            let start_ns = *starts.get(usize::from(start))?;
            let time_ns = *times.get(usize::from(time))?;
            counters.push(((series, start_ns), Counter { time_ns, value }));
        }
        let slots = self.seen.into_iter().map(|(heard_ns, until_ns, digests)| {
            Some(Slot {
                heard_ns,
                until_ns,
                digests: sums(digests)?,
            })
        });
        let seen = Seen {
            slots: slots.collect::<Option<_>>()?,
            forgotten_ns: self.seen_forgotten_ns,
        };
        if seen.count() > SPANS {
            return None;
        }
        if self.delta_times.len() > TIMES {
            return None;
        }
        let mut series = 0_u64;
        let mut deltas = self.deltas;
        for (gap, _) in &mut deltas {
            series = series.checked_add(*gap)?;
            *gap = series;
        }
        let deltas = Deltas {
            times: self.delta_times,
            forgotten_ns: self.delta_forgotten_ns,
            series: Sorted::of(deltas)?,
        };
        Some(SourceState {
            since_ns: self.since_ns,
            forgotten_ns: self.forgotten_ns,
            best: *Measure::ALL.get(usize::from(self.best))?,
            conventions: Conventions(self.conventions),
            counted_until_ns: self.counted_until_ns,
            other_until_ns: self.other_until_ns,
            counters: Sorted::of(counters)?,
            deltas,
            weights: self.weights,
            seen,
            rest: self.rest,
        })
    }
}

fn distinct(values: impl Iterator<Item = u64>) -> Vec<u64> {
    let mut values: Vec<u64> = values.collect();
    values.sort_unstable();
    values.dedup();
    values
}

/// There are fewer streams than 16 bits can number.
fn place(values: &[u64], value: u64) -> u16 {
    values.partition_point(|of| *of < value) as u16
}

/// A function that takes numbers in their order, and gives the gap of each from the one before.
fn gap() -> impl FnMut(u64) -> u64 {
    let mut before = 0;
    move |value| value - std::mem::replace(&mut before, value)
}

/// The gaps of sorted numbers.
fn gaps(values: &[u64]) -> impl Serialize {
    Each(|| values.iter().copied().map(gap()))
}

fn sums(mut gaps: Vec<u64>) -> Option<Vec<u64>> {
    let mut sum = 0_u64;
    for gap in &mut gaps {
        sum = sum.checked_add(*gap)?;
        *gap = sum;
    }
    Some(gaps)
}
