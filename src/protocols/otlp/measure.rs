//! The metrics that are counted, and how the attributes of their points are read.
//!
//! # Source
//! Semantic conventions 1.44: "HTTP spans" and "RPC spans" for the names of spans, "SDK metrics" for
//! `otel.sdk.span.started`; the Collector's span metrics connector for the calls.

use std::borrow::Cow;

use super::attribute::Attributes;
use crate::ingest::{Convention, Counted, Family};
use crate::telemetry::metrics::LeftOutReason;

/// What the points of a metric are made of.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Kind {
    Sum,
    Histogram,
    Exponential,
}

impl Kind {
    /// What stands for it in digests. Histograms of both kinds are one: a process that changes from
    /// one to the other has begun again.
    pub fn code(self) -> u8 {
        match self {
            Self::Sum => 1,
            Self::Histogram | Self::Exponential => 2,
        }
    }
}

/// A metric that is counted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Measure {
    Roots,
    Requests(Family, Convention),
    Calls,
}

/// Methods and procedures that the instrumentation does not know.
const OTHER: &str = "_OTHER";

impl Measure {
    /// The metric of this name, if it is counted.
    pub fn of(name: &[u8], kind: Kind) -> Option<Self> {
        let is_sum = kind == Kind::Sum;
        Some(match name {
            b"otel.sdk.span.started" if is_sum => Self::Roots,
            b"traces.span.metrics.calls" | b"calls" if is_sum => Self::Calls,
            // A sum of durations is no count.
            _ if is_sum => return None,
            b"http.server.request.duration" => Self::Requests(Family::Http, Convention::Stable),
            b"http.server.duration" => Self::Requests(Family::Http, Convention::Old),
            b"rpc.server.call.duration" => Self::Requests(Family::Rpc, Convention::Stable),
            b"rpc.server.duration" => Self::Requests(Family::Rpc, Convention::Old),
            _ => return None,
        })
    }

    /// Its name in digests. Both names of the calls are of one connector, in different releases.
    pub fn name(self) -> &'static str {
        match self {
            Self::Roots => "otel.sdk.span.started",
            Self::Requests(Family::Http, Convention::Stable) => "http.server.request.duration",
            Self::Requests(Family::Http, Convention::Old) => "http.server.duration",
            Self::Requests(Family::Rpc, Convention::Stable) => "rpc.server.call.duration",
            Self::Requests(Family::Rpc, Convention::Old) => "rpc.server.duration",
            Self::Calls => "traces.span.metrics.calls",
        }
    }

    /// What a point with these attributes counts.
    pub fn counted<'a>(self, of: &Attributes<'a>) -> Result<Counted<'a>, LeftOutReason> {
        match self {
            Self::Roots => roots(of),
            Self::Requests(family, convention) => {
                let (at_start, at_end) = match family {
                    Family::Http => http(of, convention),
                    Family::Rpc => rpc(of),
                }?;
                Ok(Counted::Requests {
                    family,
                    convention,
                    at_start,
                    at_end,
                })
            }
            Self::Calls => calls(of),
        }
    }
}

fn roots<'a>(of: &Attributes<'a>) -> Result<Counted<'a>, LeftOutReason> {
    let sampled = match of.text("otel.span.sampling_result").as_deref() {
        Some("RECORD_AND_SAMPLE") => Some(true),
        Some("RECORD_ONLY" | "DROP") => Some(false),
        _ => None,
    };
    match of.text("otel.span.parent.origin").as_deref() {
        Some("none") => Ok(Counted::Roots { sampled }),
        // A service in which no trace begins counts no roots, but it would.
        Some("remote" | "local") => Ok(Counted::Children { sampled }),
        _ => Err(LeftOutReason::NotARequest),
    }
}

/// The names of a span at its start and at its end.
type Names<'a> = (Cow<'a, str>, Option<Cow<'a, str>>);

/// The name at start of a request by this method.
pub(super) fn at_start_of_http(method: Cow<'_, str>) -> Cow<'_, str> {
    match method {
        unknown if unknown == OTHER => Cow::Borrowed("HTTP"),
        method => method,
    }
}

/// HTTP servers ask the sampler with the method alone, and name the span again once it is routed.
fn http<'a>(of: &Attributes<'a>, convention: Convention) -> Result<Names<'a>, LeftOutReason> {
    let method = match convention {
        Convention::Stable => of.text("http.request.method"),
        Convention::Old => of.text("http.method"),
    };
    let method = at_start_of_http(method.ok_or(LeftOutReason::NoName)?);
    let mut route = of.text("http.route");
    if convention == Convention::Old {
        // Python's name for it.
        route = route.or_else(|| of.text("http.target"));
    }
    let at_end = route.map(|route| Cow::Owned([&*method, &*route].join(" ")));
    Ok((method, at_end))
}

/// A procedure is known before the call, so the span's name stays the same.
fn rpc<'a>(of: &Attributes<'a>) -> Result<Names<'a>, LeftOutReason> {
    let method = of.text("rpc.method").filter(|method| method != OTHER);
    let name = match (of.text("rpc.service"), method) {
        (Some(service), Some(method)) => Cow::Owned(format!("{service}/{method}")),
        // The newer conventions have the service in the method.
        (None, Some(method)) => method,
        (_, None) => {
            let system = of.text("rpc.system.name");
            let system = system.or_else(|| of.text("rpc.system"));
            system.ok_or(LeftOutReason::NoName)?
        }
    };
    Ok((name.clone(), Some(name)))
}

fn calls<'a>(of: &Attributes<'a>) -> Result<Counted<'a>, LeftOutReason> {
    let kind = of.text("span.kind");
    if !matches!(
        kind.as_deref(),
        Some("SPAN_KIND_SERVER" | "SPAN_KIND_CONSUMER")
    ) {
        return Err(LeftOutReason::NotARequest);
    }
    let at_end = of.text("span.name").ok_or(LeftOutReason::NoName)?;
    Ok(Counted::Calls { at_end })
}
