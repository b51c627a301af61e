//! Reads exports of traces. Of most spans, the parent's id is all that matters.

use std::borrow::Cow;
use std::fmt;

use serde::Deserialize;
use serde::de::{Deserializer, Visitor};
use serde_json::value::RawValue;

use super::super::attribute::Attributes;
use super::super::extract::Extraction;
use super::super::span::{RootSpan, SPAN_ID, SpanKind, TRACE_ID, is_none, is_read};
use super::number::Any;
use super::{KeyValue, Read, Text, attributes, bytes, converted, each_scope, list, message, text};

#[derive(Deserialize)]
struct OfScope<'a> {
    #[serde(borrow, default, deserialize_with = "list")]
    spans: Vec<&'a RawValue>,
}

#[derive(Deserialize)]
#[serde(rename_all = "camelCase")]
struct Span<'a> {
    #[serde(borrow, default, alias = "trace_id")]
    trace_id: Option<Text<'a>>,
    #[serde(borrow, default, alias = "span_id")]
    span_id: Option<Text<'a>>,
    #[serde(borrow, default, alias = "parent_span_id")]
    parent_span_id: Option<Text<'a>>,
    #[serde(borrow, default, alias = "trace_state")]
    trace_state: Option<Text<'a>>,
    #[serde(borrow, default)]
    name: Option<Text<'a>>,
    #[serde(default)]
    kind: Kind,
    #[serde(default, alias = "start_time_unix_nano")]
    start_time_unix_nano: Any,
    #[serde(default, alias = "end_time_unix_nano")]
    end_time_unix_nano: Any,
    #[serde(borrow, default)]
    attributes: Option<&'a RawValue>,
}

/// The attributes of a span.
#[derive(Deserialize)]
#[serde(transparent)]
struct OfSpan<'a>(#[serde(borrow, deserialize_with = "attributes")] Vec<KeyValue<'a>>);

/// Reads an `ExportTraceServiceRequest`.
pub(in super::super) fn traces<'a>(body: &'a [u8], into: &mut Extraction<'a>) -> Read {
    each_scope(body, into, |of_scope: OfScope<'a>, into| {
        for one in of_scope.spans {
            let read = root(message(one.get())?)?;
            into.exported(None);
            if let Some(root) = read {
                into.span(&root);
            }
        }
        Ok(())
    })
}

/// A span, if it is a root.
fn root(span: Span<'_>) -> Read<Option<RootSpan<'_>>> {
    if !is_none(&id(span.parent_span_id, SPAN_ID)) {
        return Ok(None);
    }
    Ok(Some(RootSpan {
        trace_id: id(span.trace_id, TRACE_ID),
        span_id: id(span.span_id, SPAN_ID),
        trace_state: text(span.trace_state),
        name: text(span.name),
        kind: span.kind.0,
        start_ns: span.start_time_unix_nano.unsigned()?,
        end_ns: span.end_time_unix_nano.unsigned()?,
        attributes: span.attributes.map_or(Ok(Attributes::default()), read)?,
    }))
}

/// The attributes that something reads.
fn read(given: &RawValue) -> Read<Attributes<'_>> {
    let OfSpan(mut given) = serde_json::from_str(given.get()).map_err(super::Unreadable::Json)?;
    given.retain(|one| one.key.as_ref().is_some_and(|key| is_read(&key.0)));
    converted(given, 0)
}

/// The bytes of an id. OTLP writes it in hexadecimal digits, protobuf's JSON in base64; which of them it is
/// shows by its length. Any other text is an id that is not valid.
fn id(given: Option<Text<'_>>, length: usize) -> Cow<'_, [u8]> {
    let given = text(given);
    if given.is_empty() {
        return Cow::Borrowed(&[]);
    }
    let read = if given.len() == 2 * length {
        hexadecimal(&given)
    } else {
        bytes(&given).ok()
    };
    match read {
        Some(read) if read.len() == length => Cow::Owned(read),
        _ => Cow::Borrowed(b"not valid"),
    }
}

fn hexadecimal(digits: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16);
    let pair = |pair: &[u8]| match pair {
        [high, low] => u8::try_from(16 * digit(*high)? + digit(*low)?).ok(),
        _ => None,
    };
    digits.as_bytes().chunks(2).map(pair).collect()
}

/// The number or the name of a span's kind.
#[derive(Default)]
struct Kind(SpanKind);

impl<'de> Deserialize<'de> for Kind {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        deserializer.deserialize_any(KindVisitor)
    }
}

struct KindVisitor;

impl Visitor<'_> for KindVisitor {
    type Value = Kind;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("the number or the name of a kind")
    }

    fn visit_unit<E>(self) -> Result<Kind, E> {
        Ok(Kind::default())
    }

    fn visit_u64<E>(self, code: u64) -> Result<Kind, E> {
        Ok(Kind(SpanKind::numbered(code)))
    }

    fn visit_i64<E>(self, _negative: i64) -> Result<Kind, E> {
        Ok(Kind::default())
    }

    fn visit_str<E>(self, name: &str) -> Result<Kind, E> {
        Ok(Kind(SpanKind::named(name)))
    }
}
