//! The time that an export covers.

use super::Instants;
use crate::allocation::{Timestamp, Window};

/// The shortest window, unless the source was counted in it before.
const SHORTEST_MILLISECONDS: i64 = 1000;

/// The time of pieces.
#[derive(Debug, Clone, Copy)]
pub struct Span {
    pub from_ns: u64,
    pub until_ns: u64,
}

impl Span {
    pub fn and(this: Option<Self>, from_ns: u64, until_ns: u64) -> Self {
        let until_ns = until_ns.max(1);
        let from_ns = from_ns.min(until_ns);
        match this {
            None => Self { from_ns, until_ns },
            Some(span) => Self {
                from_ns: span.from_ns.min(from_ns),
                until_ns: span.until_ns.max(until_ns),
            },
        }
    }
}

/// The time that an export covers.
#[derive(Debug, Clone, Copy, Default)]
pub struct Spans {
    /// Of streams that go on.
    pub usual: Option<Span>,
    /// Of streams that are new.
    pub new: Option<Span>,
}

impl Spans {
    /// The time of streams that go on. A stream that is new beside them was not there at their value
    /// before, so its requests are as new as theirs.
    fn span(self) -> Option<Span> {
        let until_ns = self.new.map_or(0, |span| span.until_ns);
        let usual = self.usual.map(|span| Span {
            until_ns: span.until_ns.max(until_ns),
            ..span
        });
        usual.or(self.new)
    }

    pub fn until_ns(self) -> u64 {
        self.span().map_or(0, |span| span.until_ns)
    }

    /// The window of an export of a source that was counted up to a time before. What is older than the oldest that
    /// is counted, or in the future, is moved inside.
    ///
    /// SDKs may export several times a second. If windows reached back over those before, a part of each would be
    /// counted in a bucket of which all was said to be in.
    pub fn window(self, counted_until_ns: u64, instants: Instants) -> Option<Window> {
        let span = self.span()?;
        let until_ns = span.until_ns.min(instants.now_ns);
        let from_ns = span.from_ns.max(instants.oldest_ns);
        let end = milliseconds(until_ns);
        let shortest = (end - SHORTEST_MILLISECONDS).max(milliseconds(counted_until_ns));
        let start = milliseconds(from_ns).min(shortest).min(end - 1);
        Some(Window {
            start: Timestamp(start),
            end: Timestamp(end),
        })
    }
}

pub fn milliseconds(nanoseconds: u64) -> i64 {
    (nanoseconds / 1_000_000).cast_signed()
}
