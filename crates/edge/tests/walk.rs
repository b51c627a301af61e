//! The walk of the bytes, beside the types that prost generates of OTLP's own files.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, InstrumentationScope, KeyValue};
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::span::Event;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span, Status};
use proptest::prelude::*;
use prost::Message;
use weir_edge::otlp::limit::AttributeLimits;
use weir_edge::otlp::trace_state::{Said, Threshold};
use weir_edge::otlp::write::{Told, Writer};
use weir_edge::otlp::{Export, Kind, check};
use weir_edge::plan::Tagged;

fn text(key: &str, value: &str) -> KeyValue {
    KeyValue {
        key: key.into(),
        value: Some(AnyValue {
            value: Some(Value::StringValue(value.into())),
        }),
        ..KeyValue::default()
    }
}

prop_compose! {
    fn a_span()(
        trace in prop_oneof![Just(vec![0; 16]), any::<[u8; 16]>().prop_map(|id| id.to_vec()), Just(vec![1; 3])],
        id in any::<[u8; 8]>(),
        parent in prop_oneof![Just(vec![]), Just(vec![0; 8]), any::<[u8; 8]>().prop_map(|id| id.to_vec())],
        name in "[a-zé /{}]{0,20}",
        trace_state in prop_oneof![Just(String::new()), Just("a=1,ot=th:8;rv:0123456789abcd".to_owned()), "[a-z=,;:]{0,30}"],
        kind in -1..8_i32,
        start in 0..1_000_u64,
        end in 0..1_000_u64,
        code in prop_oneof![Just(None), (0..4_i32).prop_map(Some)],
        attributes in prop::collection::vec(("[a-z.]{1,12}", "[a-z0-9]{0,12}"), 0..4),
        flags in any::<u32>(),
    ) -> Span {
        Span {
            trace_id: trace,
            span_id: id.to_vec(),
            parent_span_id: parent,
            name,
            trace_state,
            kind,
            start_time_unix_nano: start,
            end_time_unix_nano: end,
            status: code.map(|code| Status { code, message: "m".into() }),
            attributes: attributes.iter().map(|(key, value)| text(key, value)).collect(),
            events: vec![Event { name: "event".into(), ..Event::default() }],
            flags,
            ..Span::default()
        }
    }
}

prop_compose! {
    fn a_body()(
        resources in prop::collection::vec(
            (prop::option::of("[a-z]{0,8}"), prop::collection::vec(prop::collection::vec(a_span(), 0..4), 0..3)),
            0..4,
        ),
    ) -> ExportTraceServiceRequest {
        let scope = |spans| ScopeSpans {
            scope: Some(InstrumentationScope { name: "scope".into(), ..InstrumentationScope::default() }),
            spans,
            schema_url: "https://example.org/scope".into(),
        };
        let resource = |(service, scopes): (Option<String>, Vec<Vec<Span>>)| ResourceSpans {
            resource: service.map(|service| Resource {
                attributes: vec![text("host.name", "h"), text("service.name", &service)],
                ..Resource::default()
            }),
            scope_spans: scopes.into_iter().map(scope).collect(),
            schema_url: "https://example.org/resource".into(),
        };
        ExportTraceServiceRequest { resource_spans: resources.into_iter().map(resource).collect() }
    }
}

fn kind(number: i32) -> Kind {
    match number {
        2 => Kind::Server,
        3 => Kind::Client,
        4 => Kind::Producer,
        5 => Kind::Consumer,
        _ => Kind::Internal,
    }
}

/// Every span with its resource and scope, as prost decodes them.
fn flat(body: &ExportTraceServiceRequest) -> Vec<(&ResourceSpans, &ScopeSpans, &Span)> {
    let mut all = Vec::new();
    for resource in &body.resource_spans {
        for scope in &resource.scope_spans {
            all.extend(scope.spans.iter().map(|span| (resource, scope, span)));
        }
    }
    all
}

fn service(of: &ResourceSpans) -> &str {
    let attributes = of.resource.iter().flat_map(|resource| &resource.attributes);
    let mut names = attributes.filter(|attribute| attribute.key == "service.name");
    match names
        .next()
        .and_then(|name| name.value.as_ref()?.value.as_ref())
    {
        Some(Value::StringValue(name)) => name,
        _ => "",
    }
}

/// What is written of all spans with a threshold.
fn rewritten(export: &Export<'_>, threshold: Option<Threshold>) -> ExportTraceServiceRequest {
    let mut writer = Writer::new(Told::default(), AttributeLimits::default());
    for (index, context) in export.contexts.iter().enumerate() {
        for span in export
            .spans
            .iter()
            .filter(|span| span.context as usize == index)
        {
            writer.span(span.raw, span.trace_state, threshold);
        }
        writer.end(
            context.resource.iter().copied(),
            context.scope.iter().copied(),
        );
    }
    writer.cut(0);
    let written = writer
        .take()
        .pop()
        .map_or(Vec::new(), |written| written.request);
    ExportTraceServiceRequest::decode(written.as_slice()).unwrap()
}

proptest! {
    #[test]
    fn the_walk_reads_what_prost_decodes(body in a_body()) {
        let bytes = body.encode_to_vec();
        let export = Export::walk(&bytes, &Tagged::default()).unwrap();
        let expected = flat(&body);
        prop_assert_eq!(export.spans.len(), expected.len());
        for (read, (of, _, span)) in export.spans.iter().zip(expected) {
            let id = <[u8; 16]>::try_from(&span.trace_id[..]).ok().map(u128::from_be_bytes);
            prop_assert_eq!(read.trace_id, id.filter(|id| *id != 0));
            prop_assert_eq!(read.is_root, span.parent_span_id.iter().all(|byte| *byte == 0));
            prop_assert_eq!(read.name, span.name.as_bytes());
            prop_assert_eq!(read.trace_state, span.trace_state.as_bytes());
            prop_assert_eq!(read.kind, kind(span.kind));
            prop_assert_eq!(read.duration_ns, span.end_time_unix_nano.checked_sub(span.start_time_unix_nano));
            let is_error = span.status.as_ref().is_some_and(|status| status.code == 2);
            prop_assert_eq!(read.is_error, is_error);
            prop_assert_eq!(export.contexts[read.context as usize].service, service(of).as_bytes());
            prop_assert_eq!(Span::decode(read.raw).unwrap(), span.clone());
            check::span(read.raw).unwrap();
        }
    }

    #[test]
    fn what_is_written_differs_in_the_trace_state_alone(body in a_body()) {
        let bytes = body.encode_to_vec();
        let export = Export::walk(&bytes, &Tagged::default()).unwrap();
        let whole = rewritten(&export, None);
        let mut expected = body.clone();
        for of in &mut expected.resource_spans {
            of.scope_spans.retain(|scope| !scope.spans.is_empty());
        }
        // What is written has a resource for each scope.
        prop_assert_eq!(flat(&whole).len(), flat(&expected).len());
        for (written, expected) in flat(&whole).iter().zip(flat(&expected)) {
            prop_assert_eq!(&written.0.resource, &expected.0.resource);
            prop_assert_eq!(&written.0.schema_url, &expected.0.schema_url);
            prop_assert_eq!(&written.1.scope, &expected.1.scope);
            prop_assert_eq!(&written.1.schema_url, &expected.1.schema_url);
            prop_assert_eq!(written.2, expected.2);
        }
        let quarter = Threshold::of_probability(0.25);
        for (written, expected) in flat(&rewritten(&export, Some(quarter))).iter().zip(flat(&expected)) {
            let said = Said::read(written.2.trace_state.as_bytes());
            let before = Said::read(expected.2.trace_state.as_bytes());
            prop_assert_eq!(said.randomness, before.randomness);
            prop_assert!(said.threshold >= before.threshold.max(Some(quarter)));
            let same = Span { trace_state: expected.2.trace_state.clone(), ..written.2.clone() };
            prop_assert_eq!(&same, expected.2);
        }
    }

    /// Whatever was damaged, nothing panics, and what is called whole is whole for prost, too.
    #[test]
    fn damaged_bytes_are_refused_or_read_as_prost_reads_them(
        body in a_body(),
        damage in prop::collection::vec((any::<prop::sample::Index>(), any::<u8>()), 1..6),
        cut in any::<prop::sample::Index>(),
    ) {
        let mut bytes = body.encode_to_vec();
        prop_assume!(!bytes.is_empty());
        for (at, byte) in damage {
            let at = at.index(bytes.len());
            bytes[at] = byte;
        }
        if cut.index(4) == 0 {
            bytes.truncate(cut.index(bytes.len()));
        }
        let Ok(export) = Export::walk(&bytes, &Tagged::default()) else {
            // prost is no more lenient, but for groups, which OTLP does not have.
            return Ok(());
        };
        for span in &export.spans {
            if check::span(span.raw).is_ok() {
                prop_assert!(Span::decode(span.raw).is_ok());
            }
        }
        if let Ok(decoded) = ExportTraceServiceRequest::decode(bytes.as_slice()) {
            prop_assert_eq!(flat(&decoded).len(), export.spans.len());
            let all = export.spans.iter().zip(flat(&decoded));
            for (read, (_, _, span)) in all {
                prop_assert_eq!(read.name, span.name.as_bytes());
            }
        }
    }
}

#[test]
fn values_that_are_nested_too_deep_are_refused() {
    let mut value = AnyValue {
        value: Some(Value::BoolValue(true)),
    };
    for _ in 0..60 {
        let values = vec![value];
        value = AnyValue {
            value: Some(Value::ArrayValue(
                opentelemetry_proto::tonic::common::v1::ArrayValue { values },
            )),
        };
    }
    let attribute = KeyValue {
        key: "deep".into(),
        value: Some(value),
        ..KeyValue::default()
    };
    let span = Span {
        attributes: vec![attribute],
        ..Span::default()
    };
    assert!(check::span(&span.encode_to_vec()).is_err());
}
