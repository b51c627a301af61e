//! What makes a trace a tagged one, and limits of what kept spans say.

use opentelemetry_proto::tonic::common::v1::any_value::Value;
use opentelemetry_proto::tonic::common::v1::{AnyValue, ArrayValue, KeyValue};
use prost::Message;
use weir_edge::otlp::limit::TakenAway;

use super::*;

const PLAN: &str = r#"{
    "plan": 1,
    "default": {"governed": "tail", "probabilities": {"error": 0, "slow": 0, "tagged": 1, "rest": 0}},
    "tagged": [
        {"name": "actors", "attributes": {"test.actor": "*"}, "cap_traces_per_second": 1000},
        {"name": "vendor", "attributes": {"tracestate.acme": "gold*"}, "cap_traces_per_second": 1000},
        {"name": "canary", "attributes": {"deployment.environment": "canary", "http.route": "/pay"},
            "cap_traces_per_second": 1000}]}"#;

/// Whether a trace of this root is a tagged one.
fn is_tagged(root: Span, environment: &str) -> bool {
    let plan = Arc::new(Plan::parse(PLAN.as_bytes()).unwrap());
    let mut core = Core::new(LIMITS, Told::default(), Arc::clone(&plan));
    let mut sent = support::export("shop", vec![root]);
    let resource = sent.resource_spans[0].resource.as_mut().unwrap();
    resource
        .attributes
        .push(text("deployment.environment", environment));
    let body = sent.encode_to_vec();
    let export = Export::walk(&body, &plan.tagged).unwrap();
    core.push(&export, &plan, 0);
    core.advance(5_000, 10);
    core.figures().traces[Class::Tagged as usize][1] == 1
}

#[test]
fn tags_are_found_in_attributes_baggage_trace_states_and_resources() {
    let with = |key: &str, value: &str| Span {
        attributes: vec![text("other", "x"), text(key, value)],
        ..span(1, 0)
    };
    let stated = |trace_state: &str| Span {
        trace_state: trace_state.into(),
        ..span(1, 0)
    };
    for (root, environment, expected) in [
        (with("test.actor", "a"), "", true),
        (with("baggage.test.actor", "a"), "", true),
        (with("baggage.baggage.test.actor", "a"), "", false),
        (with("actor", "a"), "", false),
        (stated("a=b, acme=golden;x ,ot=th:0"), "", true),
        (stated("acme=silver"), "", false),
        (stated("xacme=gold"), "", false),
        (with("tracestate.acme", "gold"), "", true),
        (with("http.route", "/pay"), "canary", true),
        (with("http.route", "/pay"), "live", false),
        (with("http.route", "/cart"), "canary", false),
    ] {
        let said = format!("{root:?} {environment}");
        assert_eq!(is_tagged(root, environment), expected, "{said}");
    }
}

#[test]
fn attributes_beyond_the_limits_are_cut_or_dropped_and_counted() {
    let attributes = AttributeLimits {
        most: Some(4),
        bytes: Some(8),
    };
    let mut core = core(Limits {
        attributes,
        ..LIMITS
    });
    let of = |key: &str, value: Value| KeyValue {
        key: key.into(),
        value: Some(AnyValue { value: Some(value) }),
        ..KeyValue::default()
    };
    let list = (0..9)
        .map(|_| AnyValue {
            value: Some(Value::IntValue(7)),
        })
        .collect();
    let given = vec![
        text("short", "12345678"),
        text("long", "1234567ää"),
        of("bytes", Value::BytesValue(vec![7; 20])),
        of("list", Value::ArrayValue(ArrayValue { values: list })),
        text("fifth", "x"),
    ];
    let sent = Span {
        attributes: given,
        dropped_attributes_count: 3,
        ..failed(span(1, 0))
    };
    let small = failed(span(2, 0));
    push(&mut core, "shop", vec![sent.clone(), small.clone()], 0);
    core.advance(5_000, 10);
    let kept = taken(&mut core);
    let said = "ot=th:0".to_owned();
    let expected = Span {
        attributes: vec![
            text("short", "12345678"),
            text("long", "1234567"),
            of("bytes", Value::BytesValue(vec![7; 8])),
        ],
        dropped_attributes_count: 5,
        trace_state: said.clone(),
        ..sent
    };
    let small = Span {
        trace_state: said,
        ..small
    };
    assert!(kept.contains(&expected), "{kept:?}");
    assert!(kept.contains(&small));
    assert_eq!(core.figures().attributes, TakenAway { cut: 2, dropped: 2 });
}
