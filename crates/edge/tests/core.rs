//! Holding and deciding, beside a model that keeps everything in maps.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::collections::{BTreeMap, HashMap};
use std::sync::Arc;

use opentelemetry_proto::tonic::trace::v1::Span;
use proptest::prelude::*;
use weir_edge::core::{Cause, Core, Figures, Limits, Outcome};
use weir_edge::otlp::Export;
use weir_edge::otlp::trace_state::{Randomness, Said, Threshold};
use weir_edge::otlp::write::Told;
use weir_edge::plan::{Class, Plan};

use support::{bytes, failed, lasting, span, spans, text, trace_id};

const LIMITS: Limits = Limits {
    ring_bytes: 8 << 20,
    table_bytes: 1 << 20,
    decision_bytes: 1 << 20,
    operations_max: 100,
    decision_delay_ms: 2_000,
    trace_timeout_ms: 30_000,
    trace_spans_max: 50,
    span_bytes_max: 10_000,
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

/// A span that a test sends: of which trace, which number, failed or slow.
#[derive(Debug, Clone)]
struct Sent {
    trace: u64,
    number: u64,
    fails: bool,
    is_slow: bool,
    is_tagged: bool,
}

impl Sent {
    fn span(&self) -> Span {
        let mut sent = span(self.trace, self.number);
        if self.fails {
            sent = failed(sent);
        }
        if self.is_slow {
            sent = lasting(sent, 700);
        }
        if self.is_tagged {
            sent.attributes.push(text("test.actor", "a"));
        }
        sent
    }
}

/// What the model knows of a trace.
#[derive(Debug, Clone, Default)]
struct Known {
    held: Vec<Sent>,
    since_ms: u64,
    ended_ms: Option<u64>,
    root: Option<Sent>,
    decided: Option<Option<Threshold>>,
}

#[derive(Default)]
struct Model {
    traces: BTreeMap<u64, Known>,
    kept: Vec<(Vec<u8>, Threshold)>,
    counts: HashMap<Class, (u64, u64)>,
}

impl Model {
    fn count(&mut self, class: Class, is_kept: bool) {
        let count = self.counts.entry(class).or_default();
        count.0 += 1;
        count.1 += u64::from(is_kept);
    }

    fn push(&mut self, sent: &Sent, now_ms: u64) {
        let known = self.traces.entry(sent.trace).or_default();
        let is_new_root = sent.number == 0 && known.root.is_none();
        if let Some(decided) = known.decided {
            if is_new_root {
                known.root = Some(sent.clone());
                self.count(
                    class(std::slice::from_ref(sent), Some(sent)),
                    decided.is_some(),
                );
            }
            if let Some(threshold) = decided {
                self.kept.push((sent.span().span_id, threshold));
            }
            return;
        }
        if known.held.is_empty() {
            known.since_ms = now_ms;
        }
        if is_new_root {
            known.root = Some(sent.clone());
            known.ended_ms = Some(now_ms);
        }
        let is_again = |held: &Sent| held.number == sent.number;
        if !known.held.iter().any(is_again) {
            known.held.push(sent.clone());
        } else if sent.number != 0 {
            // The second one is held, says what it says, and is left out when the trace is written.
            let first = known
                .held
                .iter_mut()
                .find(|held| held.number == sent.number)
                .unwrap();
            first.fails |= sent.fails;
            first.is_slow |= sent.is_slow;
            first.is_tagged |= sent.is_tagged;
        }
    }

    fn advance(&mut self, now_ms: u64) {
        let due = |known: &Known| match (known.ended_ms, known.decided) {
            (_, Some(_)) => false,
            (Some(ended_ms), _) => ended_ms + LIMITS.decision_delay_ms <= now_ms,
            (None, _) => known.since_ms + LIMITS.trace_timeout_ms <= now_ms,
        };
        let all: Vec<u64> = self
            .traces
            .iter()
            .filter(|(_, known)| due(known))
            .map(|(id, _)| *id)
            .collect();
        for id in all {
            let known = self.traces[&id].clone();
            let class = class(&known.held, known.root.as_ref());
            let probability = match (class, known.root.is_some()) {
                (Class::Error | Class::Tagged, _) => 1.0,
                (Class::Slow, _) => 0.5,
                (Class::Rest, true) => 0.125,
                (Class::Rest, false) => 0.25,
            };
            let threshold = Threshold::of_probability(probability);
            let is_kept = threshold.keeps(randomness(id));
            if known.root.is_some() {
                self.count(class, is_kept);
            }
            if is_kept {
                self.kept.extend(
                    known
                        .held
                        .iter()
                        .map(|sent| (sent.span().span_id, threshold)),
                );
            }
            let known = self.traces.get_mut(&id).unwrap();
            known.decided = Some(is_kept.then_some(threshold));
            known.held.clear();
        }
    }
}

fn class(held: &[Sent], root: Option<&Sent>) -> Class {
    let is_slow = match root {
        Some(root) => root.is_slow,
        None => held.iter().any(|sent| sent.is_slow),
    };
    if held.iter().any(|sent| sent.is_tagged) {
        Class::Tagged
    } else if held.iter().any(|sent| sent.fails) {
        Class::Error
    } else if is_slow {
        Class::Slow
    } else {
        Class::Rest
    }
}

#[derive(Debug, Clone)]
enum Event {
    Push(Vec<Sent>),
    Wait(u64),
}

prop_compose! {
    fn a_sent()(trace in 0..60_u64, number in 0..4_u64, fails in 0..12_u8, slow in 0..6_u8, tagged in 0..20_u8) -> Sent {
        Sent { trace, number, fails: fails == 0, is_slow: slow == 0, is_tagged: tagged == 0 }
    }
}

fn an_event() -> impl Strategy<Value = Event> {
    prop_oneof![
        3 => prop::collection::vec(a_sent(), 1..12).prop_map(Event::Push),
        1 => (1..8_000_u64).prop_map(Event::Wait),
    ]
}

proptest! {
    #[test]
    fn traces_are_held_and_decided_as_in_the_model(events in prop::collection::vec(an_event(), 1..60)) {
        let (mut core, mut model, mut now_ms) = (core(LIMITS), Model::default(), 100_000);
        let mut written = Vec::new();
        for event in events.into_iter().chain([Event::Wait(40_000)]) {
            match event {
                Event::Push(sent) => {
                    // A root that is sent again is said to be the same one.
                    let sent: Vec<Sent> = sent.into_iter().map(|one| {
                        let root = model.traces.get(&one.trace).and_then(|known| known.root.clone());
                        if one.number == 0 { root.unwrap_or(one) } else { one }
                    }).collect();
                    let mut once = Vec::new();
                    for one in sent {
                        if !once.iter().any(|other: &Sent| (other.trace, other.number) == (one.trace, one.number)) {
                            once.push(one);
                        }
                    }
                    push(&mut core, "shop", once.iter().map(Sent::span).collect(), now_ms);
                    for one in &once {
                        model.push(one, now_ms);
                    }
                }
                Event::Wait(ms) => {
                    now_ms += ms;
                    while core.advance(now_ms, 7) {}
                    model.advance(now_ms);
                }
            }
            written.extend(taken(&mut core));
        }
        let said = |span: &Span| (span.span_id.clone(), threshold(span).unwrap());
        let mut written: Vec<_> = written.iter().map(said).collect();
        written.sort_unstable();
        model.kept.sort_unstable();
        prop_assert_eq!(written, model.kept);
        let mut counts = HashMap::new();
        for counted in core.take_counts(now_ms) {
            prop_assert_eq!((&*counted.service, &*counted.operation), ("shop", "GET /"));
            counts.insert(counted.class, (counted.offered, counted.sampled));
        }
        prop_assert_eq!(counts, model.counts);
        prop_assert_eq!(core.figures().held_spans, 0);
    }

    /// However small the ring, memory stays within it, every span has one outcome, and the same traces are kept.
    #[test]
    fn a_ring_that_is_too_small_decides_early_and_loses_nothing(
        traces in 100..600_u64,
        size in 100..3_000_usize,
        order in any::<u64>(),
    ) {
        let limits = Limits { ring_bytes: 256 << 10, table_bytes: 20_000, ..LIMITS };
        let mut core = core(limits);
        let mut sent: Vec<(u64, u64)> = (0..traces).flat_map(|trace| (0..3).map(move |number| (trace, number))).collect();
        sent.sort_by_key(|(trace, number)| (trace / 50, (trace * 31 + number * 17 + order) % 101));
        let mut kept = 0;
        for (trace, number) in sent {
            let mut one = span(trace, number);
            one.attributes.push(text("filler", &"x".repeat(size)));
            push(&mut core, "shop", vec![one], 1);
            prop_assert!(core.figures().ring_bytes <= limits.ring_bytes as u64);
            kept += taken(&mut core).len() as u64;
        }
        while core.drain(2, 10) {}
        kept += taken(&mut core).len() as u64;
        let figures = core.figures();
        balances(&figures);
        prop_assert_eq!(figures.held_spans, 0);
        prop_assert_eq!(kept, figures.of(Outcome::Kept) + figures.of(Outcome::LateKept));
        prop_assert!(figures.decided[Cause::Memory as usize] > 0 || traces < 200);
    }
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
