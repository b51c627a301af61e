//! What a point adds to what was counted.

use std::collections::HashSet;

use super::Instants;
use super::said::{Reason, Said};
use super::state::{Counter, STREAMS, SourceState, StreamKey};
use super::time::{Span, Spans};
use crate::ingest::source::{Counted, Point, Temporality};

/// What is new in a point.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Piece {
    /// When its counting began.
    pub from_ns: u64,
    /// How many were counted.
    pub count: u64,
    /// How many its stream had counted before anything of it is counted here.
    pub baseline: u64,
}

/// Takes the points of an export, in the order of their times.
pub struct Differences {
    /// The state after the points so far.
    pub next: SourceState,
    /// The time that they cover.
    pub span: Spans,
    /// What is not counted.
    pub said: Said,
    instants: Instants,
    /// When processes were heard before this export, by start and time, sorted: streams of one process have the
    /// same start. Nothing if no stream is new.
    heard: Vec<(u64, u64)>,
    /// New streams for which there is still room.
    room: usize,
}

impl Differences {
    pub fn new(mut state: SourceState, points: &[&Point<'_>], instants: Instants) -> Self {
        if state.since_ns == 0 {
            state.since_ns = points.last().map_or(0, |point| point.time_ns);
        }
        Self {
            heard: heard(&state, points),
            room: STREAMS - known(&state, points),
            next: state,
            span: Spans::default(),
            said: Said::default(),
            instants,
        }
    }

    /// What a point adds; none if nothing of it can be counted.
    pub fn take(&mut self, point: &Point<'_>) -> Option<Piece> {
        if point.time_ns == 0 {
            return self.refuse(Reason::NoTime);
        }
        if let Counted::Span { .. } = point.counted {
            return self.span(point);
        }
        match point.temporality {
            // The stream's next value has the requests of this one in it.
            Temporality::Cumulative if point.time_ns < self.instants.oldest_ns => None,
            Temporality::Cumulative => match self.next.counters.get(key(point)).copied() {
                Some(known) => self.go_on(point, known),
                None => self.begin(point),
            },
            Temporality::Delta if point.time_ns < self.instants.oldest_ns => {
                self.refuse(Reason::TooOld)
            }
            Temporality::Delta => self.delta(point),
        }
    }

    /// A further value of a stream. Values of a process rise, so an older one is one that was overtaken,
    /// whatever the clock says. Only where the start is unknown does the clock tell a restart.
    fn go_on(&mut self, point: &Point<'_>, known: Counter) -> Option<Piece> {
        let newer = point.time_ns > known.time_ns;
        let restarted = point.start_ns == 0 && newer && point.value < known.value;
        if point.start_ns == 0 && !newer {
            return None;
        }
        if point.value < known.value && !restarted {
            return if newer {
                self.refuse(Reason::Shared)
            } else {
                None
            };
        }
        let count = if restarted {
            point.value
        } else {
            point.value - known.value
        };
        if !newer && count == 0 {
            return None;
        }
        let next = Counter {
            time_ns: point.time_ns.max(known.time_ns),
            value: point.value,
        };
        self.next.counters.insert(key(point), next);
        Some(self.usual(known.time_ns, point.time_ns, count))
    }

    /// The first value of a stream. It counts whole if nothing of it can have been counted before.
    fn begin(&mut self, point: &Point<'_>) -> Option<Piece> {
        if self.room == 0 {
            return self.refuse(Reason::TooMany);
        }
        self.room -= 1;
        let from_ns = self.begins_at(point);
        let next = Counter {
            time_ns: point.time_ns,
            value: point.value,
        };
        self.next.counters.insert(key(point), next);
        let Some(from_ns) = from_ns else {
            self.said.note(Reason::Baseline);
            return Some(Piece {
                from_ns: point.time_ns,
                count: 0,
                baseline: point.value,
            });
        };
        let new = &mut self.span.new;
        *new = Some(Span::and(*new, from_ns, point.time_ns));
        Some(Piece {
            from_ns,
            count: point.value,
            baseline: 0,
        })
    }

    /// From when on the requests of a new stream are not counted yet; none if nobody knows.
    fn begins_at(&self, point: &Point<'_>) -> Option<u64> {
        let start_ns = point.start_ns;
        if self.next.forgotten_ns > 0 && start_ns <= self.next.forgotten_ns {
            return None;
        }
        // The process was heard before without this stream, so the stream was not there yet.
        let before = |heard: &(u64, u64)| *heard < (start_ns, point.time_ns);
        let before = &self.heard[..self.heard.partition_point(before)];
        if let Some((_, heard_ns)) = before.last().filter(|(start, _)| *start == start_ns) {
            return Some(*heard_ns);
        }
        let recent = start_ns >= self.instants.oldest_ns;
        // The source was known when this process began, so nothing of it is missing.
        let followed = self.next.since_ns <= start_ns;
        (start_ns > 0 && (recent || followed)).then_some(start_ns)
    }

    fn delta(&mut self, point: &Point<'_>) -> Option<Piece> {
        let before = self.next.deltas.time_before(point.time_ns);
        let now_ns = self.instants.now_ns;
        let noted = self.next.deltas.note(point.series, point.time_ns, now_ns);
        match noted {
            Ok(true) => {}
            Ok(false) => return None,
            Err(reason) => return self.refuse(reason),
        }
        let from_ns = match point.start_ns {
            0 => before.unwrap_or(point.time_ns.saturating_sub(self.instants.interval_ns)),
            start_ns => start_ns,
        };
        Some(self.usual(from_ns, point.time_ns, point.value))
    }

    /// A span counts once, at its end.
    fn span(&mut self, point: &Point<'_>) -> Option<Piece> {
        if point.time_ns < self.instants.oldest_ns {
            return self.refuse(Reason::TooOld);
        }
        let now_ns = self.instants.now_ns;
        match self.next.seen.note(point.series, point.time_ns, now_ns) {
            Ok(true) => Some(self.usual(point.time_ns, point.time_ns, point.value)),
            Ok(false) => None,
            Err(reason) => self.refuse(reason),
        }
    }

    fn usual(&mut self, from_ns: u64, until_ns: u64, count: u64) -> Piece {
        let usual = &mut self.span.usual;
        *usual = Some(Span::and(*usual, from_ns, until_ns));
        Piece {
            from_ns,
            count,
            baseline: 0,
        }
    }

    fn refuse<T>(&mut self, reason: Reason) -> Option<T> {
        self.said.note(reason);
        None
    }
}

/// When processes were heard, if that is needed: there are streams that are new.
fn heard(state: &SourceState, points: &[&Point<'_>]) -> Vec<(u64, u64)> {
    let mut cumulative = points
        .iter()
        .filter(|point| point.temporality == Temporality::Cumulative);
    if !cumulative.any(|point| !state.counters.contains(key(point))) {
        return Vec::new();
    }
    let counters = state.counters.iter();
    let mut heard: Vec<_> = counters
        .map(|((_, start_ns), counter)| (*start_ns, counter.time_ns))
        .collect();
    heard.sort_unstable();
    heard
}

/// How many streams of these points are in the state, if that is needed: there may be too many new ones.
fn known(state: &SourceState, points: &[&Point<'_>]) -> usize {
    if points.len() <= STREAMS {
        return 0;
    }
    let keys = points.iter().map(|point| key(point));
    let known: HashSet<StreamKey> = keys.filter(|key| state.counters.contains(*key)).collect();
    known.len().min(STREAMS)
}

fn key(point: &Point<'_>) -> StreamKey {
    (point.series, point.start_ns)
}
