//! Spans for tests, as programs send them.

#![allow(dead_code, reason = "each test uses a part")]

pub mod server;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use prost::Message;

/// An attribute of text.
pub fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.into())),
        }),
        ..KeyValue::default()
    }
}

/// The id of a trace whose randomness is spread evenly over the numbers.
pub fn trace_id(number: u64) -> Vec<u8> {
    let mixed = u128::from(number + 1).wrapping_mul(0x9E37_79B9_7F4A_7C15_F39C_C060_5CED_C835);
    mixed.to_be_bytes().to_vec()
}

/// A span of 1 ms; a root if it is the first one of its trace.
pub fn span(trace: u64, number: u64) -> Span {
    Span {
        trace_id: trace_id(trace),
        span_id: (trace << 20 | number << 1 | 1).to_be_bytes().to_vec(),
        parent_span_id: if number == 0 { vec![] } else { vec![7; 8] },
        name: if number == 0 {
            "GET /".into()
        } else {
            "work".into()
        },
        kind: if number == 0 { 2 } else { 1 },
        start_time_unix_nano: 1_000_000_000,
        end_time_unix_nano: 1_001_000_000,
        ..Span::default()
    }
}

/// The same span, failed.
pub fn failed(span: Span) -> Span {
    Span {
        status: Some(Status {
            code: 2,
            ..Status::default()
        }),
        ..span
    }
}

/// The same span, so long.
pub fn lasting(span: Span, milliseconds: u64) -> Span {
    Span {
        end_time_unix_nano: span.start_time_unix_nano + milliseconds * 1_000_000,
        ..span
    }
}

/// An export of a service.
pub fn export(service: &str, spans: Vec<Span>) -> ExportTraceServiceRequest {
    ExportTraceServiceRequest {
        resource_spans: vec![ResourceSpans {
            resource: Some(Resource {
                attributes: vec![text("service.name", service)],
                ..Resource::default()
            }),
            scope_spans: vec![ScopeSpans {
                spans,
                ..ScopeSpans::default()
            }],
            ..ResourceSpans::default()
        }],
    }
}

/// Its bytes.
pub fn bytes(service: &str, spans: Vec<Span>) -> Vec<u8> {
    export(service, spans).encode_to_vec()
}

/// All spans of a body.
pub fn spans(body: &[u8]) -> Vec<Span> {
    let decoded = ExportTraceServiceRequest::decode(body).unwrap();
    let scopes = decoded.resource_spans.into_iter();
    let scopes = scopes.flat_map(|of| of.scope_spans);
    scopes.flat_map(|scope| scope.spans).collect()
}
