//! Root spans: which of them count, under which name, and how many requests each stands for.
//!
//! # Source
//! OpenTelemetry's "TraceState: Probability Sampling" (OTEP 235) for `ot=th`; the samplers of Jaeger's
//! clients and of OpenTelemetry Go for the attributes; semantic conventions 1.44, "HTTP spans".

use std::borrow::Cow;

use super::attribute::{Attributes, Value};
use super::digest::Digest;
use super::measure::at_start_of_http;
use crate::ingest::{Counted, Weight};
use crate::telemetry::metrics::LeftOutReason;

/// The lengths of the ids of traces and of spans, in bytes.
pub(super) const TRACE_ID: usize = 16;
pub(super) const SPAN_ID: usize = 8;

/// Digits of a threshold.
const DIGITS: usize = 14;

/// Where samplers say how they decided: the type, and its parameter.
const SAMPLERS: [(&str, &str); 2] = [
    ("jaeger.sampler.type", "jaeger.sampler.param"),
    ("sampler.type", "sampler.param"),
];

/// The method of a request, by the stable and by the old convention.
const METHODS: [&str; 2] = ["http.request.method", "http.method"];

/// What a span is to its trace; any other kind is taken for an internal one.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub(super) enum SpanKind {
    #[default]
    Internal,
    Server,
    Client,
    Producer,
    Consumer,
}

impl SpanKind {
    /// The kind with this number.
    pub fn numbered(code: u64) -> Self {
        match code {
            2 => Self::Server,
            3 => Self::Client,
            4 => Self::Producer,
            5 => Self::Consumer,
            _ => Self::Internal,
        }
    }

    /// The kind with this name, or this number in digits.
    pub fn named(name: &str) -> Self {
        match name {
            "SPAN_KIND_SERVER" => Self::Server,
            "SPAN_KIND_CLIENT" => Self::Client,
            "SPAN_KIND_PRODUCER" => Self::Producer,
            "SPAN_KIND_CONSUMER" => Self::Consumer,
            other => Self::numbered(other.parse().unwrap_or_default()),
        }
    }
}

/// A root span, as both encodings read it.
#[derive(Debug, Default)]
pub(super) struct RootSpan<'a> {
    pub trace_id: Cow<'a, [u8]>,
    pub span_id: Cow<'a, [u8]>,
    pub trace_state: Cow<'a, str>,
    pub name: Cow<'a, str>,
    pub kind: SpanKind,
    pub start_ns: u64,
    pub end_ns: u64,
    /// Those that are [read](is_read).
    pub attributes: Attributes<'a>,
}

/// Whether anything reads the attribute of this name.
pub(super) fn is_read(key: &str) -> bool {
    let mut samplers = SAMPLERS.iter();
    METHODS.contains(&key) || samplers.any(|(kind, parameter)| key == *kind || key == *parameter)
}

/// Whether the id of a span's parent says that there is none.
pub(super) fn is_none(parent_span_id: &[u8]) -> bool {
    parent_span_id.iter().all(|byte| *byte == 0)
}

impl<'a> RootSpan<'a> {
    /// What it counts.
    pub fn counted(&self) -> Result<Counted<'a>, LeftOutReason> {
        // What a process asks of others by itself, such as the polls of its sampler.
        if matches!(self.kind, SpanKind::Client | SpanKind::Producer) {
            return Err(LeftOutReason::NotARequest);
        }
        let method = match self.kind {
            SpanKind::Server => METHODS.iter().find_map(|key| self.attributes.text(key)),
            _ => None,
        };
        let at_start = match method {
            Some(method) => at_start_of_http(method),
            None if self.name.is_empty() => return Err(LeftOutReason::NoName),
            None => self.name.clone(),
        };
        Ok(Counted::Span {
            at_start,
            weight: self.weight(),
        })
    }

    /// A digest of its id.
    pub fn series(&self) -> Result<u64, LeftOutReason> {
        let is_valid = |id: &[u8], length: usize| id.len() == length && !is_none(id);
        if !is_valid(&self.trace_id, TRACE_ID) || !is_valid(&self.span_id, SPAN_ID) {
            return Err(LeftOutReason::NoId);
        }
        let mut digest = Digest::default();
        for id in [&self.trace_id, &self.span_id] {
            digest.value(&Value::Bytes(Cow::Borrowed(&**id)));
        }
        Ok(digest.number())
    }

    /// When it ended, or began if it does not say.
    pub fn time_ns(&self) -> u64 {
        if self.end_ns == 0 {
            self.start_ns
        } else {
            self.end_ns
        }
    }

    /// How many requests it stands for, by what it says itself.
    fn weight(&self) -> Option<Weight> {
        let threshold = probability(&self.trace_state).map(Weight::of_probability);
        threshold.or_else(|| SAMPLERS.iter().find_map(|of| self.sampler(*of)))
    }

    /// By what its sampler says. One that limits a rate does not say with which probability it sampled, and
    /// one that is constant samples everything: such spans stand for themselves.
    fn sampler(&self, (kind, parameter): (&str, &str)) -> Option<Weight> {
        match &*self.attributes.text(kind)? {
            "probabilistic" => {
                let probability = self.attributes.number(parameter)?;
                let is_valid = probability > 0.0 && probability <= 1.0;
                is_valid.then(|| Weight::of_probability(probability))
            }
            "const" | "ratelimiting" | "lowerbound" => Some(Weight::ONE),
            _ => None,
        }
    }
}

/// The probability of sampling that a trace state says: `th` of the vendor `ot` is the part of traces that are
/// rejected, as digits after the point of a hexadecimal number.
fn probability(trace_state: &str) -> Option<f64> {
    let mut vendors = trace_state.split(',');
    let values = vendors.find_map(|vendor| vendor.trim().strip_prefix("ot="))?;
    let digits = values
        .split(';')
        .find_map(|value| value.strip_prefix("th:"))?;
    let is_digit = |byte: u8| matches!(byte, b'0'..=b'9' | b'a'..=b'f');
    if !(1..=DIGITS).contains(&digits.len()) || !digits.bytes().all(is_digit) {
        return None;
    }
    let rejected = u64::from_str_radix(digits, 16).ok()?;
    let whole = 1_u64 << (4 * DIGITS);
    let rejected = rejected << (4 * (DIGITS - digits.len()));
    Some((whole - rejected) as f64 / whole as f64)
}

#[cfg(test)]
mod tests {
    use super::super::attribute::Attribute;
    use super::*;

    #[test]
    fn a_threshold_is_the_part_that_is_rejected() {
        for (trace_state, expected) in [
            ("ot=th:c", Some(0.25)),
            ("ot=th:8;rv:abcdefabcdefab", Some(0.5)),
            ("vendor=th:8, ot=rv:0123456789abcd;th:0 ,other=1", Some(1.0)),
            ("ot=th:ffffffffffffff", Some(2_f64.powi(-56))),
            ("ot=th:fd70a3d70a3d71", Some(0.01)),
            ("", None),
            ("ot=rv:0123456789abcd", None),
            ("ot=th:", None),
            ("ot=th:C", None),
            ("ot=th:+8", None),
            ("ot=th:000000000000000", None),
            ("ot=th:zz", None),
            ("xot=th:8", None),
        ] {
            let found = probability(trace_state);
            let is_same = match (found, expected) {
                (Some(found), Some(expected)) => (found / expected - 1.0).abs() < 1e-9,
                (found, expected) => found == expected,
            };
            assert!(is_same, "{trace_state}: {found:?}");
        }
    }

    #[test]
    fn a_sampler_says_how_it_decided_in_every_spelling() {
        let text = |value: &'static str| Value::Text(value.into());
        let weight = |kind: &'static str, sampler, parameter: &'static str, value| {
            let attribute = |key: &'static str, value| Attribute {
                key: key.into(),
                value,
            };
            let attributes = [attribute(kind, text(sampler)), attribute(parameter, value)];
            let span = RootSpan {
                attributes: attributes.into_iter().collect(),
                ..RootSpan::default()
            };
            span.weight()
        };
        let four = Some(Weight::of_probability(0.25));
        for (kind, parameter) in SAMPLERS {
            let of = |sampler, value| weight(kind, sampler, parameter, value);
            assert_eq!(of("probabilistic", Value::Double(0.25)), four);
            assert_eq!(of("probabilistic", text("0.25")), four);
            assert_eq!(of("probabilistic", Value::Int(1)), Some(Weight::ONE));
            let nothing = [
                Value::Double(0.0),
                Value::Double(f64::NAN),
                Value::Int(-3),
                text("a"),
            ];
            for nothing in nothing {
                assert_eq!(of("probabilistic", nothing), None);
            }
            for itself in ["const", "ratelimiting", "lowerbound"] {
                assert_eq!(of(itself, Value::Double(0.25)), Some(Weight::ONE));
            }
            assert_eq!(of("adaptive", Value::Double(0.25)), None);
        }
    }
}
