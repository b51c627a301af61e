//! Finds the spans of an export of traces, and what a decision needs of each, without decoding the rest.
//!
//! A span stays the slice of bytes that it came in. Of its attributes only those are read that a rule for tagged
//! requests names; without such rules all of them are stepped over.
//!
//! # Source
//! `opentelemetry-proto` 1.9, `trace.proto`, `resource.proto`: the field numbers.

use super::wire::Fields;
use super::{Read, check};
use crate::plan::Tagged;

/// Fields of `ResourceSpans` and of `ScopeSpans` that hold what is inside: scopes, and spans.
const INSIDE: u32 = 2;

/// What the spans of one resource and scope share: the bytes of both without the spans. They are written around
/// kept spans again, fields that this release does not know included.
#[derive(Debug, Default, Clone)]
pub struct Context<'a> {
    /// The fields of `ResourceSpans` but its scopes, one after the other.
    pub resource: Vec<&'a [u8]>,
    /// The fields of `ScopeSpans` but its spans.
    pub scope: Vec<&'a [u8]>,
    /// The resource's `service.name`; empty if it has none.
    pub service: &'a [u8],
}

/// The span kinds that something depends on.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub enum Kind {
    /// Work within a process, and kinds that are not known.
    #[default]
    Internal,
    /// It answers a request.
    Server,
    /// It asks another.
    Client,
    /// It sends a message.
    Producer,
    /// It takes a message.
    Consumer,
}

/// What a decision needs of a span.
#[derive(Debug, Clone, Copy, PartialEq, Default)]
pub struct Span<'a> {
    /// All of its bytes.
    pub raw: &'a [u8],
    /// Its trace; none if the id is not 16 bytes or all zero.
    pub trace_id: Option<u128>,
    /// Its own id; none if it is not 8 bytes or all zero.
    pub span_id: Option<u64>,
    /// Whether it has no parent.
    pub is_root: bool,
    /// Its name.
    pub name: &'a [u8],
    /// What it does.
    pub kind: Kind,
    /// Nanoseconds from its start to its end, by the clock of its process; none if it ends before it starts.
    pub duration_ns: Option<u64>,
    /// Whether its status is an error.
    pub is_error: bool,
    /// Its trace state.
    pub trace_state: &'a [u8],
    /// The first rule for tagged requests that it fulfils.
    pub tagged: Option<u16>,
    /// Where its [`Context`] is.
    pub context: u32,
}

/// The spans of an export, in order.
#[derive(Debug, Default)]
pub struct Export<'a> {
    /// What spans share.
    pub contexts: Vec<Context<'a>>,
    /// The spans.
    pub spans: Vec<Span<'a>>,
}

impl<'a> Export<'a> {
    /// Walks an `ExportTraceServiceRequest`.
    ///
    /// # Errors
    /// The first thing that is not protobuf, or another message than OTLP's, outside of the spans' own events,
    /// links and attributes. These are [checked](check::span) when a span is kept.
    pub fn walk(body: &'a [u8], rules: &Tagged) -> Read<Self> {
        let mut export = Self::default();
        for field in Fields::of(body) {
            let field = field?;
            if field.number == 1 {
                export.resource(field.value.bytes()?, rules)?;
            }
        }
        Ok(export)
    }

    fn resource(&mut self, message: &'a [u8], rules: &Tagged) -> Read<()> {
        check::resource_spans(message)?;
        let (mut resource, mut service) = (Vec::new(), &b""[..]);
        for field in Fields::of(message) {
            let field = field?;
            match field.number {
                INSIDE => {}
                number => {
                    resource.push(field.raw);
                    if number == 1 {
                        service = service_name(field.value.bytes()?)?.unwrap_or(service);
                    }
                }
            }
        }
        for field in Fields::of(message) {
            let field = field?;
            if field.number == INSIDE {
                let context = Context {
                    resource: resource.clone(),
                    scope: Vec::new(),
                    service,
                };
                self.scope(field.value.bytes()?, context, rules)?;
            }
        }
        Ok(())
    }

    fn scope(&mut self, message: &'a [u8], mut context: Context<'a>, rules: &Tagged) -> Read<()> {
        let index = self.contexts.len() as u32;
        let resource = context.resource.iter().copied();
        let rules = rules.of_service(context.service, resource)?;
        for field in Fields::of(message) {
            let field = field?;
            if field.number == INSIDE {
                let mut span = span(field.value.bytes()?)?;
                span.context = index;
                if !rules.is_empty() {
                    span.tagged = rules.find(&span)?;
                }
                self.spans.push(span);
            } else {
                context.scope.push(field.raw);
            }
        }
        check::scope_spans(message)?;
        self.contexts.push(context);
        Ok(())
    }
}

/// Reads a span.
#[inline]
pub(crate) fn span(raw: &[u8]) -> Read<Span<'_>> {
    let mut read = Span {
        raw,
        is_root: true,
        ..Span::default()
    };
    let (mut start_ns, mut end_ns) = (0, 0);
    for field in Fields::of(raw) {
        let field = field?;
        match field.number {
            1 => read.trace_id = trace_id(field.value.bytes()?),
            2 => read.span_id = span_id(field.value.bytes()?),
            3 => read.trace_state = field.value.bytes()?,
            4 => read.is_root = field.value.bytes()?.iter().all(|byte| *byte == 0),
            5 => read.name = field.value.bytes()?,
            6 => read.kind = kind(field.value.varint()?),
            7 => start_ns = field.value.fixed64()?,
            8 => end_ns = field.value.fixed64()?,
            15 => read.is_error |= is_error(field.value.bytes()?)?,
            _ => {}
        }
    }
    read.duration_ns = end_ns.checked_sub(start_ns);
    Ok(read)
}

fn trace_id(bytes: &[u8]) -> Option<u128> {
    let id = u128::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(id)
}

fn span_id(bytes: &[u8]) -> Option<u64> {
    let id = u64::from_be_bytes(bytes.try_into().ok()?);
    (id != 0).then_some(id)
}

fn kind(number: u64) -> Kind {
    match number {
        2 => Kind::Server,
        3 => Kind::Client,
        4 => Kind::Producer,
        5 => Kind::Consumer,
        _ => Kind::Internal,
    }
}

/// `Status.code` 2 is `STATUS_CODE_ERROR`; the last one counts.
fn is_error(status: &[u8]) -> Read<bool> {
    let mut code = 0;
    for field in Fields::of(status) {
        let field = field?;
        if field.number == 3 {
            code = field.value.varint()?;
        }
    }
    Ok(code == 2)
}

/// The text of `service.name` in a `Resource`.
pub(super) fn service_name(resource: &[u8]) -> Read<Option<&[u8]>> {
    let mut name = None;
    for field in Fields::of(resource) {
        let field = field?;
        if field.number == 1 {
            let (key, value) = attribute(field.value.bytes()?)?;
            if key == b"service.name" {
                name = text(value)?.or(name);
            }
        }
    }
    Ok(name)
}

/// The key and the value of a `KeyValue`.
#[inline]
pub(crate) fn attribute(message: &[u8]) -> Read<(&[u8], &[u8])> {
    let (mut key, mut value) = (&b""[..], &b""[..]);
    for field in Fields::of(message) {
        let field = field?;
        match field.number {
            1 => key = field.value.bytes()?,
            2 => value = field.value.bytes()?,
            _ => {}
        }
    }
    Ok((key, value))
}

/// The text of an `AnyValue`, if it is one.
fn text(value: &[u8]) -> Read<Option<&[u8]>> {
    let mut text = None;
    for field in Fields::of(value) {
        let field = field?;
        text = match field.number {
            1 => Some(field.value.bytes()?),
            2..=7 => None,
            _ => text,
        };
    }
    Ok(text)
}
