//! A source's state as bytes: the version, then columns.
//!
//! Starts and times are mostly the same for many streams, so each is written once and referred to.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use super::deltas::{Deltas, TIMES};
use super::seen::{SPANS, Seen, Slot};
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

#[derive(Debug, Default, Serialize, Deserialize)]
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

/// Encodes a state. Forgets the streams that were not heard for longest, if it is too large.
pub(in crate::ingest) fn encode(state: &mut SourceState, now_ns: u64) -> Vec<u8> {
    loop {
        let mut bytes = vec![VERSION];
        let columns = Columns::of(state);
        bytes = postcard::to_extend(&columns, bytes)
            .expect("numbers and text are serialized into memory");
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

impl Columns {
    fn of(state: &SourceState) -> Self {
        let starts = distinct(state.counters.keys().map(|(_, start_ns)| *start_ns));
        let times = distinct(state.counters.values().map(|counter| counter.time_ns));
        let mut before = 0;
        let counters = state.counters.iter().map(|((series, start_ns), counter)| {
            let gap = *series - before;
            before = *series;
            let (start, time) = (place(&starts, *start_ns), place(&times, counter.time_ns));
            (gap, start, time, counter.value)
        });
        let counters = counters.collect();
        let mut before = 0;
        let deltas = state.deltas.series.iter().map(|(series, seen)| {
            let gap = *series - before;
            before = *series;
            (gap, *seen)
        });
        Self {
            since_ns: state.since_ns,
            forgotten_ns: state.forgotten_ns,
            best: state.best as u8,
            conventions: state.conventions.0,
            counted_until_ns: state.counted_until_ns,
            other_until_ns: state.other_until_ns,
            counters,
            starts: gaps(starts),
            times: gaps(times),
            delta_forgotten_ns: state.deltas.forgotten_ns,
            delta_times: state.deltas.times.clone(),
            deltas: deltas.collect(),
            weights: state.weights.clone(),
            rest: state.rest,
            seen_forgotten_ns: state.seen.forgotten_ns,
            seen: state.seen.slots.iter().map(slot).collect(),
        }
    }

    fn state(self) -> Option<SourceState> {
        let (starts, times) = (sums(self.starts)?, sums(self.times)?);
        let mut series = 0_u64;
        let mut counters = BTreeMap::new();
        for (gap, start, time, value) in self.counters {
            series = series.checked_add(gap)?;
            let start_ns = *starts.get(usize::from(start))?;
            let time_ns = *times.get(usize::from(time))?;
            counters.insert((series, start_ns), Counter { time_ns, value });
        }
        let slots = self.seen.into_iter().map(|(heard_ns, until_ns, digests)| {
            Some(Slot {
                heard_ns,
                until_ns,
                digests: sums(digests)?.into_iter().collect(),
            })
        });
        let seen = Seen {
            slots: slots.collect::<Option<_>>()?,
            forgotten_ns: self.seen_forgotten_ns,
        };
        if seen.count() > SPANS {
            return None;
        }
        let mut series = 0_u64;
        let mut deltas = Deltas {
            times: self.delta_times,
            forgotten_ns: self.delta_forgotten_ns,
            ..Deltas::default()
        };
        if deltas.times.len() > TIMES {
            return None;
        }
        for (gap, seen) in self.deltas {
            series = series.checked_add(gap)?;
            deltas.series.insert(series, seen);
        }
        Some(SourceState {
            since_ns: self.since_ns,
            forgotten_ns: self.forgotten_ns,
            best: *Measure::ALL.get(usize::from(self.best))?,
            conventions: Conventions(self.conventions),
            counted_until_ns: self.counted_until_ns,
            other_until_ns: self.other_until_ns,
            counters,
            deltas,
            weights: self.weights,
            seen,
            rest: self.rest,
        })
    }
}

fn slot(slot: &Slot) -> (u64, u64, Vec<u64>) {
    let digests = slot.digests.iter().copied().collect();
    (slot.heard_ns, slot.until_ns, gaps(digests))
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

fn gaps(mut values: Vec<u64>) -> Vec<u64> {
    let mut before = 0;
    for value in &mut values {
        let gap = *value - before;
        before = *value;
        *value = gap;
    }
    values
}

fn sums(mut gaps: Vec<u64>) -> Option<Vec<u64>> {
    let mut sum = 0_u64;
    for gap in &mut gaps {
        sum = sum.checked_add(*gap)?;
        *gap = sum;
    }
    Some(gaps)
}
