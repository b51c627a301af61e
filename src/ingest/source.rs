//! What one source said in an export, independent of the protocol that it came in.
//!
//! A source is a process, as the resource of its telemetry describes it. It sends no counts of a
//! window, as an agent does, but the points of its streams.

use std::borrow::Cow;

use uuid::Uuid;

use super::weight::Weight;

/// The part of an export about one source.
#[derive(Debug, Clone, PartialEq)]
pub struct SourceExport<'a> {
    /// A digest of the resource. Exports with the same resource are of one source.
    pub key: Uuid,
    /// The name under which the source is known as an agent.
    pub agent: Cow<'a, str>,
    /// The service whose requests it counts.
    pub service: Cow<'a, str>,
    /// What it says. A stream may have several points.
    pub points: Vec<Point<'a>>,
}

impl SourceExport<'_> {
    /// Whether it is made of root spans.
    pub(super) fn is_of_spans(&self) -> bool {
        let mut points = self.points.iter();
        points.any(|point| matches!(point.counted, Counted::Span { .. }))
    }

    /// How many requests its spans stand for.
    pub(super) fn requests_of_spans(&self) -> u64 {
        let others = self.points.iter().map(|point| match point.counted {
            Counted::Span { weight, .. } => weight.map_or(0, Weight::beside_itself),
            _ => 0,
        });
        let (others, _) = Weight::whole(others.fold(0, u64::saturating_add));
        others.saturating_add(self.points.len() as u64)
    }
}

/// One value of one stream.
#[derive(Debug, Clone, PartialEq)]
pub struct Point<'a> {
    /// A digest of the metric's name, its scope, and the attributes.
    pub series: u64,
    /// What is counted.
    pub counted: Counted<'a>,
    /// From when on `value` counts.
    pub temporality: Temporality,
    /// The beginning of the stream, or of what a delta counts, in nanoseconds since 1970; 0 if unknown.
    pub start_ns: u64,
    /// When the value was read, in nanoseconds since 1970.
    pub time_ns: u64,
    /// How many.
    pub value: u64,
}

/// Where the counting of a value begins.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Temporality {
    /// At the start of the stream.
    Cumulative,
    /// At the value before.
    Delta,
}

/// What a stream counts.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Counted<'a> {
    /// Root requests of the whole service, exact and before sampling.
    Roots {
        /// Whether these were sampled; none if the stream does not say.
        sampled: Option<bool>,
    },
    /// Spans that are no roots. They add no request, but say that their source counts its roots.
    Children {
        /// Whether these were sampled; none if the stream does not say.
        sampled: Option<bool>,
    },
    /// Requests before sampling, whether they are roots or not.
    Requests {
        /// What was asked; each family has its own conventions.
        family: Family,
        /// How the metric is named; of two conventions of a family in one source, one counts.
        convention: Convention,
        /// The span's name when the sampler is asked.
        at_start: Cow<'a, str>,
        /// The span's name at its end, if the metric says it.
        at_end: Option<Cow<'a, str>>,
    },
    /// What a sampler decided itself: root requests before sampling, and how many of them it sampled.
    Decisions {
        /// The span's name at start; empty for the rest of the service.
        at_start: Cow<'a, str>,
        /// How many were sampled.
        sampled: u64,
    },
    /// A root request that was sampled, by its span. Such a point is one span: its series is a digest of the
    /// span's id, it began when its request did, and its time is the end of the request.
    Span {
        /// The span's name when the sampler is asked.
        at_start: Cow<'a, str>,
        /// How many requests it stands for; none if the span does not say with which probability it was
        /// sampled.
        weight: Option<Weight>,
    },
    /// Spans that a Collector saw, after sampling.
    Calls {
        /// The span's name at its end.
        at_end: Cow<'a, str>,
    },
}

/// The kinds of requests that have metrics of their own. A process may name those of one kind by the
/// stable convention and those of the other by the old one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Family {
    /// Requests over HTTP.
    Http,
    /// Remote procedure calls.
    Rpc,
}

/// The semantic conventions by which a metric is named.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Convention {
    /// Those before they were stable, such as `http.server.duration`.
    Old,
    /// The stable ones, such as `http.server.request.duration`.
    Stable,
}
