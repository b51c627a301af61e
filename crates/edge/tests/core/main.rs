//! Holding and deciding.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

mod caps;
mod model;
mod peers;
#[path = "../support/mod.rs"]
mod support;
mod tags;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use weir_edge::core::{Cause, Core, Counted, Figures, Limits, Outcome};
use weir_edge::otlp::Export;
use weir_edge::otlp::limit::AttributeLimits;
use weir_edge::otlp::trace_state::{Randomness, Said, Threshold};
use weir_edge::otlp::write::Told;
use weir_edge::plan::{Class, Plan};

use support::{bytes, failed, lasting, span, spans, text, trace_id};

/// As many attributes as come.
const NO_LIMITS: AttributeLimits = AttributeLimits {
    most: None,
    bytes: None,
};

const LIMITS: Limits = Limits {
    ring_bytes: 8 << 20,
    table_bytes: 1 << 20,
    decision_bytes: 1 << 20,
    peer_bytes: 1 << 20,
    edge_id: 1,
    operations_max: 100,
    decision_delay_ms: 2_000,
    trace_timeout_ms: 30_000,
    trace_spans_max: 50,
    span_bytes_max: 10_000,
    attributes: NO_LIMITS,
};

const PLAN: &str = r#"{
    "plan": 1,
    "default": {"governed": "tail", "probabilities": {"error": 1, "slow": 0.5, "tagged": 1, "rest": 0.25}},
    "services": [
        {"service": "shop", "governed": "tail", "operations": [{"operation": "GET /", "rest": 0.125}]},
        {"service": "old", "governed": "head"}],
    "tagged": [{"name": "actors", "attributes": {"test.actor": "*"}, "cap_traces_per_second": 1000}]}"#;

fn plan() -> Arc<Plan> {
    Arc::new(Plan::parse(PLAN.as_bytes()).unwrap())
}

fn core(limits: Limits) -> Core {
    Core::new(limits, Told::default(), plan())
}

fn push(core: &mut Core, service: &str, sent: Vec<Span>, now_ms: u64) {
    let body = bytes(service, sent);
    let plan = Arc::clone(core.plan());
    let export = Export::walk(&body, &plan.tagged).unwrap();
    core.push(&export, &plan, now_ms);
    balances(&core.figures());
}

/// Every span that came is held or has an outcome.
fn balances(figures: &Figures) {
    let known: u64 = figures.spans.iter().sum();
    assert_eq!(figures.received, known + figures.held_spans, "{figures:?}");
}

fn taken(core: &mut Core) -> Vec<Span> {
    let requests = core.take_output().into_iter();
    requests
        .flat_map(|written| {
            let spans = spans(&written.request);
            assert_eq!(spans.len(), written.spans);
            spans
        })
        .collect()
}

fn randomness(trace: u64) -> Randomness {
    Randomness::of_trace_id(u128::from_be_bytes(trace_id(trace).try_into().unwrap()))
}

fn threshold(span: &Span) -> Option<Threshold> {
    Said::read(span.trace_state.as_bytes()).threshold
}

#[test]
fn a_head_governed_trace_passes_as_it_came_as_soon_as_its_root_is_there() {
    let mut core = core(LIMITS);
    push(&mut core, "old", vec![span(1, 1), span(1, 2)], 0);
    assert!(taken(&mut core).is_empty());
    push(&mut core, "old", vec![span(1, 0)], 1);
    assert_eq!(taken(&mut core).len(), 3);
    push(&mut core, "old", vec![span(1, 3)], 2);
    let late = taken(&mut core);
    assert_eq!(late, [span(1, 3)]);
    assert!(core.take_counts(3).is_empty());
}

#[test]
fn a_trace_of_a_million_spans_is_decided_at_the_limit() {
    let mut core = core(LIMITS);
    push(&mut core, "shop", vec![failed(span(1, 0))], 0);
    for number in 1..2_000 {
        push(&mut core, "shop", vec![span(1, number)], 1);
    }
    let figures = core.figures();
    assert_eq!(figures.of(Outcome::Kept), 50);
    assert_eq!(figures.of(Outcome::LateKept), 50);
    assert_eq!(figures.of(Outcome::LateExcess), 1_900);
    assert_eq!(figures.decided[Cause::SpanLimit as usize], 1);
}

#[test]
fn damaged_and_doubled_spans_have_an_outcome_each() {
    let mut core = core(LIMITS);
    let no_id = Span {
        trace_id: vec![0; 16],
        ..span(1, 1)
    };
    let mut long = span(1, 1);
    long.attributes.push(text("filler", &"x".repeat(20_000)));
    let backwards = Span {
        end_time_unix_nano: 1,
        ..failed(span(2, 0))
    };
    push(
        &mut core,
        "shop",
        vec![
            no_id,
            long,
            backwards,
            failed(span(2, 0)),
            span(2, 1),
            span(2, 1),
        ],
        0,
    );
    core.advance(5_000, 10);
    let figures = core.figures();
    for (outcome, spans) in [
        (Outcome::NoId, 1),
        (Outcome::TooLarge, 1),
        (Outcome::Duplicate, 2),
        (Outcome::Kept, 2),
    ] {
        assert_eq!(figures.of(outcome), spans, "{outcome:?}");
    }
    assert_eq!(figures.clock_backwards, 1);
    assert_eq!(taken(&mut core).len(), 2);
    // A root that is sent once more after the decision is not offered once more.
    push(&mut core, "shop", vec![failed(span(2, 0))], 6_000);
    let counts = core.take_counts(6_000);
    assert_eq!(
        (counts.len(), counts[0].offered, counts[0].sampled),
        (1, 1, 1)
    );
}

#[test]
fn a_span_that_a_backend_would_refuse_is_left_out() {
    let mut core = core(LIMITS);
    let plan = plan();
    let mut body = bytes(
        "shop",
        vec![
            failed(span(1, 0)),
            Span {
                name: "#BAD#".into(),
                ..span(1, 1)
            },
        ],
    );
    let at = body.windows(5).position(|five| five == b"#BAD#").unwrap();
    body[at] = 0xff;
    core.push(&Export::walk(&body, &plan.tagged).unwrap(), &plan, 0);
    core.advance(5_000, 10);
    assert_eq!(taken(&mut core).len(), 1);
    assert_eq!(core.figures().of(Outcome::Malformed), 1);
}

#[test]
fn a_head_samplers_threshold_counts_and_is_never_lowered() {
    let mut core = core(LIMITS);
    for trace in 0..1_000 {
        let mut root = span(trace, 0);
        root.trace_state = "ot=th:c".into();
        if Threshold::of_probability(0.25).keeps(randomness(trace)) {
            push(&mut core, "shop", vec![failed(root)], 0);
        }
    }
    core.advance(5_000, 10_000);
    let kept = taken(&mut core);
    assert!(kept.iter().all(|span| span.trace_state == "ot=th:c"));
    let counts = core.take_counts(5_000);
    assert_eq!(counts[0].offered, 4 * kept.len() as u64);
    assert_eq!(counts[0].sampled, kept.len() as u64);
}

/// Totals from the thresholds of kept spans are those of all, within five standard deviations.
#[test]
fn weights_of_kept_roots_add_up_to_all_of_them() {
    let (mut core, all) = (core(LIMITS), 40_000);
    for trace in 0..all {
        push(&mut core, "shop", vec![span(trace, 0)], trace);
        core.advance(trace, 100);
    }
    core.advance(all + 10_000, 100_000);
    let weights: f64 = taken(&mut core)
        .iter()
        .map(|span| threshold(span).unwrap().weight().unwrap())
        .sum();
    let deviation = (all as f64 * 0.875 / 0.125).sqrt();
    assert!((weights - all as f64).abs() < 5.0 * deviation, "{weights}");
}

#[test]
fn a_leaked_header_keeps_its_cap_and_little_more() {
    let mut core = core(Limits {
        table_bytes: 16 << 20,
        ring_bytes: 64 << 20,
        ..LIMITS
    });
    for trace in 0..60_000_u64 {
        let mut root = span(trace, 0);
        root.attributes.push(text("test.actor", "x"));
        let now_ms = trace / 10;
        push(&mut core, "shop", vec![root], now_ms);
        core.advance(now_ms, 1_000);
    }
    for now_ms in 6_000..9_000 {
        core.advance(now_ms, 1_000);
    }
    let kept = taken(&mut core).len() as f64;
    // Six seconds of 1,000, and what the first one kept beside: ten times the cap came.
    let most = 1_000.0 * (6.0 + 10_f64.ln());
    assert!(kept < 1.1 * most && kept > 0.9 * 6_000.0, "{kept}");
}

#[test]
fn relief_halves_what_is_kept_and_says_so() {
    let mut core = core(LIMITS);
    core.relieve(0.9, 0);
    core.relieve(0.9, 1_000);
    for trace in 0..1_000 {
        push(&mut core, "shop", vec![failed(span(trace, 0))], 2_000);
    }
    core.advance(10_000, 10_000);
    let kept = taken(&mut core);
    assert!((150..350).contains(&kept.len()), "{}", kept.len());
    assert!(kept.iter().all(|span| span.trace_state == "ot=th:c"));
}

#[test]
fn names_beyond_their_bound_are_other_and_give_way_when_idle() {
    let mut core = core(LIMITS);
    for number in 0..500 {
        let root = Span {
            name: format!("GET /{number}"),
            ..span(number, 0)
        };
        push(&mut core, "shop", vec![root], 0);
    }
    core.advance(5_000, 10_000);
    let counts = core.take_counts(5_000);
    let other: u64 = counts
        .iter()
        .filter(|of| &*of.operation == "__other__")
        .map(|of| of.offered)
        .sum();
    assert!(core.figures().operations <= 101);
    assert_eq!(counts.iter().map(|of| of.offered).sum::<u64>(), 500);
    assert!(other > 390, "{other}");
    core.take_counts(1_000_000);
    assert!(
        core.figures().operations <= 3,
        "{}",
        core.figures().operations
    );
    push(
        &mut core,
        "shop",
        vec![Span {
            name: "GET /new".into(),
            ..span(900, 0)
        }],
        1_000_000,
    );
    core.advance(1_010_000, 10);
    assert_eq!(&*core.take_counts(1_010_000)[0].operation, "GET /new");
}
