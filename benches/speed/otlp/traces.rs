//! An export of traces, every field of it, as large and as varied as SDKs make them that were recorded.
//!
//! # Source
//! `opentelemetry-proto` 1.9, `trace.proto`.

use prost::Message;

use super::Body;
use super::bodies::{self, Language, text};
use super::message::{Attribute, Resource, Scope};

/// Traces in one export, and spans in each: a server's, and what it did meanwhile.
pub const TRACES: usize = 16;
pub const SPANS: usize = 4;

const SECOND: u64 = 1_000_000_000;

#[derive(Clone, PartialEq, Message)]
pub struct Export {
    #[prost(message, repeated, tag = "1")]
    resources: Vec<ResourceSpans>,
}

#[derive(Clone, PartialEq, Message)]
struct ResourceSpans {
    #[prost(message, optional, tag = "1")]
    resource: Option<Resource>,
    #[prost(message, repeated, tag = "2")]
    scopes: Vec<ScopeSpans>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
struct ScopeSpans {
    #[prost(message, optional, tag = "1")]
    scope: Option<Scope>,
    #[prost(message, repeated, tag = "2")]
    spans: Vec<Span>,
    #[prost(string, tag = "3")]
    schema_url: String,
}

#[derive(Clone, PartialEq, Message)]
struct Span {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(bytes = "vec", tag = "4")]
    parent_span_id: Vec<u8>,
    #[prost(string, tag = "5")]
    name: String,
    #[prost(int32, tag = "6")]
    kind: i32,
    #[prost(fixed64, tag = "7")]
    start_ns: u64,
    #[prost(fixed64, tag = "8")]
    end_ns: u64,
    #[prost(message, repeated, tag = "9")]
    attributes: Vec<Attribute>,
    #[prost(uint32, tag = "10")]
    dropped_attributes: u32,
    #[prost(message, repeated, tag = "11")]
    events: Vec<Event>,
    #[prost(uint32, tag = "12")]
    dropped_events: u32,
    #[prost(message, repeated, tag = "13")]
    links: Vec<Link>,
    #[prost(uint32, tag = "14")]
    dropped_links: u32,
    #[prost(message, optional, tag = "15")]
    status: Option<Status>,
    #[prost(fixed32, tag = "16")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Event {
    #[prost(fixed64, tag = "1")]
    time_ns: u64,
    #[prost(string, tag = "2")]
    name: String,
    #[prost(message, repeated, tag = "3")]
    attributes: Vec<Attribute>,
    #[prost(uint32, tag = "4")]
    dropped_attributes: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Link {
    #[prost(bytes = "vec", tag = "1")]
    trace_id: Vec<u8>,
    #[prost(bytes = "vec", tag = "2")]
    span_id: Vec<u8>,
    #[prost(string, tag = "3")]
    trace_state: String,
    #[prost(message, repeated, tag = "4")]
    attributes: Vec<Attribute>,
    #[prost(uint32, tag = "5")]
    dropped_attributes: u32,
    #[prost(fixed32, tag = "6")]
    flags: u32,
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(string, tag = "2")]
    message: String,
    #[prost(int32, tag = "3")]
    code: i32,
}

/// The export of a process that serves requests of four routes.
pub fn export(language: Language, process: usize) -> Export {
    let spans = |range: std::ops::Range<usize>| {
        let spans = (0..TRACES).flat_map(|trace| range.clone().map(move |at| span(trace, at)));
        spans.collect()
    };
    let scope = |name, spans| ScopeSpans {
        scope: Some(bodies::scope(name, Vec::new()).scope.unwrap()),
        spans,
        schema_url: String::new(),
    };
    Export {
        resources: vec![ResourceSpans {
            resource: Some(bodies::resource(language, process)),
            scopes: vec![
                scope("io.opentelemetry.jetty-11.0", spans(0..1)),
                scope("io.opentelemetry.servlet-5.0", spans(1..SPANS)),
            ],
            schema_url: "https://opentelemetry.io/schemas/1.41.0".into(),
        }],
    }
}

fn span(trace: usize, at: usize) -> Span {
    let is_root = at == 0;
    let attributes = if is_root { 10 } else { 4 };
    let mut attributes = bodies::described(trace, attributes);
    if is_root {
        attributes.push(text("http.request.method", ["GET", "POST"][trace % 2]));
        attributes.push(text("http.route", "/users/{id}"));
    }
    Span {
        trace_id: vec![7; 16],
        span_id: vec![7; 8],
        trace_state: if is_root { "ot=th:c" } else { "" }.into(),
        parent_span_id: if is_root { Vec::new() } else { vec![7; 8] },
        name: if is_root {
            "GET /users/{id}"
        } else {
            "request handler - /users/{id}"
        }
        .into(),
        kind: if is_root { 2 } else { 1 },
        attributes,
        status: Some(Status::default()),
        flags: 257,
        ..Span::default()
    }
}

impl Body for Export {
    const PATH: &'static str = "/v1/traces";

    /// Other requests, which ended by `time_ns`.
    fn advance(&mut self, time_ns: u64, turn: u64) {
        let scopes = self.resources.iter_mut().flat_map(|of| &mut of.scopes);
        for scope in scopes {
            let spans = scope.spans.len() / TRACES;
            for (place, span) in scope.spans.iter_mut().enumerate() {
                let trace = turn * TRACES as u64 + (place / spans) as u64;
                span.trace_id[8..].copy_from_slice(&trace.to_be_bytes());
                span.span_id[..].copy_from_slice(&(trace * SPANS as u64).to_be_bytes());
                span.start_ns = time_ns - SECOND / 5;
                span.end_ns = time_ns;
            }
        }
    }
}
