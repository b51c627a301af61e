//! Recorded traces through an edge, of which it is known what they are: what is kept is what was decided, whole, and its
//! weights add up to what was sent.
//!
//! A recording has few traces, so each is sent often: with ids of its own, and as it was recorded otherwise. In a part
//! of them a span has failed, because none has in the recordings.

mod truth;

use std::collections::BTreeMap;
use std::path::{Path, PathBuf};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value;
use opentelemetry_proto::tonic::resource::v1::Resource;
use opentelemetry_proto::tonic::trace::v1::{ResourceSpans, ScopeSpans, Span};
use prost::Message;
use serde_json::{Value, json};
use weir_edge::otlp::json::{Signal, to_protobuf};

use super::support::server::{Running, Server, status, until};
use super::support::{export, failed, lasting, span};
use super::{following, reported, taken_spans, weir};
use truth::{
    Sent, Truth, assert_estimates, assert_kept_as_decided, counts, randomness, requests, threshold,
};

/// A trace that takes longer is slow, in milliseconds.
const SLOW_MS: u64 = 300;

/// One of this many copies has failed.
const FAILED_EACH: u64 = 8;

/// Traces in an export.
const TOGETHER: usize = 20;

/// What is kept of errors, slow traces and the rest: of the operation whose name comes first, and of all others.
const FIRST: [f64; 3] = [0.5, 0.4, 0.2];
const OTHERS: [f64; 3] = [1.0, 0.5, 0.1];

/// Spans of one trace, each with who sent it.
type Trace = Vec<(Resource, Span)>;

/// Numbers that are spread by chance, as ids are. SplitMix64.
struct Ids(u64);

impl Ids {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9E37_79B9_7F4A_7C15);
        let mixed = (self.0 ^ self.0 >> 30).wrapping_mul(0xBF58_476D_1CE4_E5B9);
        let mixed = (mixed ^ mixed >> 27).wrapping_mul(0x94D0_49BB_1331_11EB);
        mixed ^ mixed >> 31
    }

    /// One that a sampler with this threshold has kept.
    fn trace_id(&mut self, threshold: f64) -> Vec<u8> {
        loop {
            let id = [self.next().to_be_bytes(), self.next().to_be_bytes()].concat();
            if randomness(&id) >= threshold {
                return id;
            }
        }
    }
}

fn service_of(resource: &Resource) -> String {
    let name = resource
        .attributes
        .iter()
        .find(|of| of.key == "service.name");
    let value = name.and_then(|of| of.value.as_ref()?.value.clone());
    match value {
        Some(any_value::Value::StringValue(name)) => name,
        other => panic!("a resource is called {other:?}"),
    }
}

/// The traces of an export that have one root.
fn traces(export: ExportTraceServiceRequest) -> Vec<Trace> {
    let mut traces: BTreeMap<Vec<u8>, Trace> = BTreeMap::new();
    for of in export.resource_spans {
        let resource = of.resource.unwrap_or_default();
        for span in of.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            let trace = traces.entry(span.trace_id.clone()).or_default();
            trace.push((resource.clone(), span));
        }
    }
    let has_root = |trace: &Trace| {
        let roots = trace
            .iter()
            .filter(|(_, span)| span.parent_span_id.is_empty());
        roots.count() == 1
    };
    traces.into_values().filter(has_root).collect()
}

/// Each of these traces this often, with an id of its own.
fn copies(recorded: &[Trace], copies: u64) -> Vec<Trace> {
    let (mut ids, mut all) = (Ids(1), Vec::new());
    for copy in 0..copies {
        for (number, trace) in recorded.iter().enumerate() {
            let mut trace = trace.clone();
            let before = trace.iter().map(|(_, span)| threshold(&span.trace_state));
            let id = ids.trace_id(before.fold(0.0, f64::max));
            for (_, span) in &mut trace {
                span.trace_id.clone_from(&id);
            }
            if (copy + number as u64).is_multiple_of(FAILED_EACH) {
                let place = ids.next() as usize % trace.len();
                trace[place].1 = failed(trace[place].1.clone());
            }
            all.push(trace);
        }
    }
    all
}

/// Sends each service's spans of these traces in an export of its own, and the roots last: so however slow the machine is,
/// the edge decides about a trace of which it has every span.
async fn send(edge: &Running, together: &[Trace]) {
    let mut exports: Vec<(Resource, Vec<Span>)> = Vec::new();
    let roots_last = |last: bool| {
        let all = together.iter().flatten();
        all.filter(move |(_, span)| span.parent_span_id.is_empty() == last)
    };
    for (resource, span) in roots_last(false).chain(roots_last(true)) {
        let is_root = span.parent_span_id.is_empty();
        let same = |of: &&mut (Resource, Vec<Span>)| {
            of.0 == *resource && of.1[0].parent_span_id.is_empty() == is_root
        };
        match exports.iter_mut().find(same) {
            Some((_, spans)) => spans.push(span.clone()),
            None => exports.push((resource.clone(), vec![span.clone()])),
        }
    }
    for (resource, spans) in exports {
        let scope = ScopeSpans {
            spans,
            ..ScopeSpans::default()
        };
        let export = ExportTraceServiceRequest {
            resource_spans: vec![ResourceSpans {
                resource: Some(resource),
                scope_spans: vec![scope],
                ..ResourceSpans::default()
            }],
        };
        edge.traces(export.encode_to_vec()).await;
    }
}

fn plan(service: &str, first: &str) -> Value {
    let classes = |of: [f64; 3]| json!({"error": of[0], "slow": of[1], "tagged": 1, "rest": of[2]});
    let mut operation = classes(FIRST);
    operation["operation"] = json!(first);
    json!({
        "plan": 7,
        "default": {"governed": "tail", "slow_ms": SLOW_MS, "probabilities": classes(OTHERS)},
        "services": [{"service": service, "governed": "tail", "slow_ms": SLOW_MS, "operations": [operation]}],
        "tagged": []
    })
}

/// Plays each trace as often as asked.
async fn play(recorded: &[Trace], often: u64) {
    let root = |trace: &Trace| {
        let root = trace
            .iter()
            .find(|(_, span)| span.parent_span_id.is_empty());
        root.map(|(resource, span)| (service_of(resource), span.name.clone()))
    };
    let (service, first) = recorded.iter().filter_map(root).min().unwrap();
    let (weir, backend) = (
        Server::start(weir(plan(&service, &first))).await,
        Server::start(|_| status(200)).await,
    );
    // Roots come last, so nothing is decided before.
    let edge = following(&weir, &backend, &["--trace-timeout", "5m"]).await;
    let traces = copies(recorded, often);
    let of = |trace: &Trace| {
        (
            trace[0].1.trace_id.clone(),
            Sent::of(trace, (&service, &first)),
        )
    };
    let truth: Truth = traces.iter().map(of).collect();
    for together in traces.chunks(TOGETHER) {
        send(&edge, together).await;
    }
    let is_kept = |id: &[u8], sent: &Sent| randomness(id) >= 1.0 - sent.probability;
    let kept = truth.iter().filter(|(id, sent)| is_kept(id, sent));
    let kept: usize = kept.map(|(_, sent)| sent.spans.len()).sum();
    let dropped = truth.values().map(|sent| sent.spans.len()).sum::<usize>() - kept;
    let sent = |count: usize| move |value: f64| value == count as f64;
    edge.until_metric("weir_edge_spans_total", &["dropped"], sent(dropped))
        .await;
    edge.until_metric("weir_edge_spans_sent_total", &[], sent(kept))
        .await;
    let kept = taken_spans(&backend);
    assert_kept_as_decided(&truth, &kept);
    assert_estimates(&truth, &kept);
    // Before sampling, every request counts, in whichever service it was answered.
    let all = edge.metric("weir_edge_requests_total", &[]).await;
    assert_eq!(all, requests(&traces));
    let expected = counts(&truth);
    until("what is reported is what was sent", || {
        (reported(&weir) == expected).then_some(())
    })
    .await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn weights_of_what_is_kept_add_up_to_what_was_sent() {
    let mut recorded = Vec::new();
    for number in 0..25 {
        let mut root = lasting(span(number, 0), 15 * (number + 1));
        root.name = format!("GET /{}", number % 3);
        let mut trace = export("web", vec![root]).resource_spans;
        for child in 1..=number % 5 {
            let service = ["shop", "cart"][child as usize % 2];
            trace.extend(export(service, vec![span(number, child)]).resource_spans);
        }
        let mut trace = traces(ExportTraceServiceRequest {
            resource_spans: trace,
        })
        .remove(0);
        if number % 6 == 5 {
            // A sampler before has kept half of these.
            trace
                .iter_mut()
                .for_each(|(_, span)| span.trace_state = "ot=th:8".into());
        }
        recorded.push(trace);
    }
    play(&recorded, 40).await;
}

/// Files of a folder and its folders that hold traces.
fn recordings(folder: &Path) -> Vec<PathBuf> {
    let mut files = Vec::new();
    for entry in std::fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        if path.is_dir() {
            files.extend(recordings(&path));
        } else {
            files.push(path);
        }
    }
    files.sort();
    files
}

fn read(path: &Path) -> Vec<Trace> {
    let name = path.file_name().unwrap().to_str().unwrap();
    let bytes = std::fs::read(path).unwrap();
    let body = match name {
        name if !name.contains("trace") => return Vec::new(),
        name if name.ends_with(".otlp.json") => to_protobuf(Signal::Traces, &bytes).unwrap(),
        name if name.ends_with(".pb") => bytes,
        _ => return Vec::new(),
    };
    traces(ExportTraceServiceRequest::decode(&*body).unwrap())
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "make edge-recordings RECORDINGS=folder"]
async fn recorded_traces_are_kept_as_decided_and_their_weights_add_up() {
    let folder = std::env::var_os("RECORDINGS").expect("RECORDINGS names a folder of traces");
    let files = recordings(Path::new(&folder));
    let recorded: Vec<Trace> = files.iter().flat_map(|path| read(path)).collect();
    assert!(
        recorded.len() >= 100,
        "{} traces are too few",
        recorded.len()
    );
    let spans: usize = recorded.iter().map(Vec::len).sum();
    println!(
        "{} traces with {spans} spans, ten times each",
        recorded.len()
    );
    play(&recorded, 10).await;
}
