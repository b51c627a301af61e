//! Processor time a span, and memory a held byte, beside decoding and encoding the same bytes in the same run.
//!
//! `cargo bench --package weir-edge`. Only ratios of one run count: machines differ, and are shared.

#![allow(clippy::unwrap_used, reason = "a failed bench says where")]
#![allow(missing_docs, reason = "a program")]

#[path = "../tests/support/mod.rs"]
mod support;

use std::hint::black_box;
use std::sync::Arc;

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use rustix::time::{ClockId, clock_gettime};
use weir_edge::core::{Core, Limits};
use weir_edge::otlp::Export;
use weir_edge::otlp::limit::AttributeLimits;
use weir_edge::otlp::write::Told;
use weir_edge::plan::{Plan, Tagged};

use support::{bytes, span, text};

/// Spans of an export, and of a trace.
const SPANS: u64 = 500;
const OF_TRACE: u64 = 7;

/// Exports of a round: 25,000 spans.
const EXPORTS: u64 = 50;

const ROUNDS: usize = 15;

/// As many attributes as come.
const NO_LIMITS: AttributeLimits = AttributeLimits {
    most: None,
    bytes: None,
};

const LIMITS: Limits = Limits {
    ring_bytes: 256 << 20,
    table_bytes: 32 << 20,
    decision_bytes: 32 << 20,
    peer_bytes: 1 << 20,
    edge_id: 1,
    operations_max: 5_000,
    decision_delay_ms: 2_000,
    trace_timeout_ms: 30_000,
    trace_spans_max: 10_000,
    span_bytes_max: 256 << 10,
    attributes: NO_LIMITS,
};

/// A span of some 414 bytes, as an SDK sends it.
fn like_an_sdks(number: u64) -> Span {
    let mut one = span(number / OF_TRACE, number % OF_TRACE);
    for (key, value) in [
        ("http.request.method", "GET"),
        ("http.route", "/api/v1/products/{id}"),
        ("url.path", "/api/v1/products/0123456789"),
        ("url.scheme", "https"),
        ("server.address", "shop.example.com"),
        ("user_agent.original", "Mozilla/5.0 (X11; Linux)"),
        ("network.protocol.version", "1.1"),
        ("http.response.status_code", "200"),
    ] {
        one.attributes.push(text(key, value));
    }
    one
}

fn exports(first: u64) -> Vec<Vec<u8>> {
    let export = |index| {
        let begin = first + index * SPANS;
        bytes("shop", (begin..begin + SPANS).map(like_an_sdks).collect())
    };
    (0..EXPORTS).map(export).collect()
}

fn processor_ns() -> f64 {
    let now = clock_gettime(ClockId::ThreadCPUTime);
    now.tv_sec as f64 * 1e9 + now.tv_nsec as f64
}

/// Nanoseconds a span, the median of the rounds.
fn measure(mut round: impl FnMut(u64)) -> f64 {
    let mut all: Vec<f64> = (0..ROUNDS as u64)
        .map(|number| {
            let begin = processor_ns();
            round(number);
            (processor_ns() - begin) / (EXPORTS * SPANS) as f64
        })
        .collect();
    all.sort_by(f64::total_cmp);
    all[ROUNDS / 2]
}

fn plan(rest: f64) -> Arc<Plan> {
    let document = format!(
        r#"{{"plan": 1, "default": {{"governed": "tail",
            "probabilities": {{"error": 1, "slow": 1, "tagged": 1, "rest": {rest}}}}}}}"#
    );
    Arc::new(Plan::parse(document.as_bytes()).unwrap())
}

/// Takes exports and decides about their traces; each round is a second.
fn held(rounds: &[Vec<Vec<u8>>], rest: f64) -> f64 {
    let plan = plan(rest);
    let mut core = Core::new(LIMITS, Told::default(), Arc::clone(&plan));
    measure(|number| {
        for (index, body) in rounds[number as usize].iter().enumerate() {
            let now_ms = 100_000 + number * 1_000 + index as u64 * 20;
            let export = Export::walk(body, &plan.tagged).unwrap();
            core.push(&export, &plan, now_ms);
            while core.advance(now_ms, 64) {}
            black_box(core.take_output());
        }
    })
}

fn resident_bytes() -> f64 {
    let statm = std::fs::read_to_string("/proc/self/statm").unwrap();
    let pages: f64 = statm.split(' ').nth(1).unwrap().parse().unwrap();
    pages * 4096.0
}

/// Bytes of memory for each byte of held spans on the wire.
fn memory() -> f64 {
    let plan = plan(0.1);
    let body_of = |index| exports(index * EXPORTS * SPANS);
    let before = resident_bytes();
    let mut core = Core::new(LIMITS, Told::default(), Arc::clone(&plan));
    let mut wire = 0;
    for index in 0..8 {
        for body in body_of(index) {
            wire += body.len();
            core.push(&Export::walk(&body, &plan.tagged).unwrap(), &plan, 0);
        }
    }
    let held = resident_bytes() - before;
    black_box(core.figures());
    held / wire as f64
}

fn main() {
    let rounds: Vec<_> = (0..ROUNDS as u64)
        .map(|round| exports(round * EXPORTS * SPANS))
        .collect();
    let first = &rounds[0];
    let wire = first.iter().map(Vec::len).sum::<usize>() as f64 / (EXPORTS * SPANS) as f64;
    let each = |read: &dyn Fn(&[u8])| {
        measure(|number| rounds[number as usize].iter().for_each(|body| read(body)))
    };
    let decode = |body: &[u8]| ExportTraceServiceRequest::decode(body).unwrap();
    let copy = each(&|body| drop(black_box(body.to_vec())));
    let decoded = each(&|body| drop(black_box(decode(body))));
    let both = each(&|body| drop(black_box(decode(body).encode_to_vec())));
    let walk = each(&|body| drop(black_box(Export::walk(body, &Tagged::default()).unwrap())));
    let none = held(&rounds, 0.0);
    let tenth = held(&rounds, 0.1);
    let all = held(&rounds, 1.0);
    println!("{wire:.0} bytes a span on the wire, {SPANS} spans an export, {OF_TRACE} a trace\n");
    println!("| what | ns a span | of decoding and encoding |\n|---|---|---|");
    for (what, ns) in [
        ("copy the body", copy),
        ("decode with prost", decoded),
        ("decode and encode with prost", both),
        ("walk", walk),
        ("walk, hold, decide, keep none", none),
        ("walk, hold, decide, write a tenth", tenth),
        ("walk, hold, decide, write all", all),
    ] {
        println!("| {what} | {ns:.0} | {:.2} |", ns / both);
    }
    println!(
        "\n{:.2} bytes of memory a byte of held spans on the wire",
        memory()
    );
}
