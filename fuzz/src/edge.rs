//! What must hold of everything that an edge reads.

use std::sync::Arc;

use weir_edge::core::peers::message::{Answer, Message};
use weir_edge::core::{Core, Figures, Limits};
use weir_edge::otlp::json::{Signal, to_protobuf};
use weir_edge::otlp::limit::AttributeLimits;
use weir_edge::otlp::write::Told;
use weir_edge::otlp::{Export, check, services};
use weir_edge::plan::{Plan, Tagged};

const LIMITS: Limits = Limits {
    ring_bytes: 256 << 10,
    table_bytes: 20_000,
    decision_bytes: 20_000,
    peer_bytes: 20_000,
    edge_id: 1,
    operations_max: 20,
    decision_delay_ms: 2_000,
    trace_timeout_ms: 30_000,
    trace_spans_max: 20,
    span_bytes_max: 4_000,
    attributes: AttributeLimits {
        most: Some(3),
        bytes: Some(40),
    },
};

/// Rules of every kind, and a service of each kind.
const PLAN: &str = r#"{
    "plan": 1,
    "default": {"governed": "tail", "probabilities": {"error": 1, "slow": 0.5, "tagged": 1, "rest": 0.5}},
    "services": [{"service": "old", "governed": "head"}],
    "tagged": [
        {"name": "actors", "service": "s*", "attributes": {"test.actor": "*"}, "cap_traces_per_second": 5},
        {"name": "vendor", "attributes": {"tracestate.acme": "g?ld*"}, "cap_traces_per_second": 5}]}"#;

fn core() -> (Core, Arc<Plan>) {
    let plan = Arc::new(Plan::parse(PLAN.as_bytes()).expect("it is valid"));
    let told = Told {
        jaeger_attributes: true,
    };
    (Core::new(LIMITS, told, Arc::clone(&plan)), plan)
}

/// Every span that came is held or has an outcome.
fn balances(figures: &Figures) {
    let known: u64 = figures.spans.iter().sum();
    assert_eq!(figures.received, known + figures.held_spans);
    assert!(figures.ring_bytes <= LIMITS.ring_bytes as u64);
}

/// Takes an export of traces twice, and decides. What is written can be read, is valid, and is as much as is said.
pub fn traces(body: &[u8]) {
    let (mut core, plan) = core();
    let Ok(export) = Export::walk(body, &plan.tagged) else {
        return;
    };
    core.push(&export, &plan, 100_000);
    core.push(&export, &plan, 103_000);
    while core.advance(150_000, 7) {}
    core.push(&export, &plan, 150_000);
    while core.drain(151_000, 7) {}
    balances(&core.figures());
    assert_eq!(core.figures().held_spans, 0);
    for written in core.take_output() {
        let again =
            Export::walk(&written.request, &Tagged::default()).expect("it was written here");
        assert_eq!(again.spans.len(), written.spans);
        for span in again.spans {
            check::span(span.raw).expect("a span that was kept was checked");
        }
    }
    let _ = services::without(body, |service| service == b"old");
}

/// Reads each signal in JSON. What is read is protobuf that can be walked.
pub fn json(body: &[u8]) {
    for signal in Signal::ALL {
        let Ok(read) = to_protobuf(signal, body) else {
            continue;
        };
        if signal == Signal::Traces {
            let export = Export::walk(&read, &Tagged::default()).expect("it was written here");
            for span in export.spans {
                check::span(span.raw).expect("it was written here");
            }
        }
    }
}

/// Reads a plan.
pub fn plan(body: &[u8]) {
    if let Ok(plan) = Plan::parse(body) {
        let (mut core, _) = core();
        core.follow(Arc::new(plan));
    }
}

/// Reads what other edges say. What is read says the same again, and is taken.
pub fn peers(body: &[u8]) {
    let (mut core, _) = core();
    if let Ok(message) = Message::decode(body) {
        let again = Message::decode(&message.encode()).expect("it was written here");
        assert_eq!(again, message);
        let answer = core.answer(&message, 100_000).expect("there is room");
        let again = Answer::decode(&answer.encode()).expect("it was written here");
        assert_eq!(again, answer);
        while core.drain(200_000, 7) {}
        balances(&core.figures());
    }
    if let Ok(answer) = Answer::decode(body) {
        let again = Answer::decode(&answer.encode()).expect("it was written here");
        assert_eq!(again, answer);
        core.hear(&answer, 100_000);
    }
}
