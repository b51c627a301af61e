//! What is known of traces that were sent, and what is to come of them.

use std::collections::{BTreeMap, BTreeSet};

use opentelemetry_proto::tonic::trace::v1::Span;

use super::{FIRST, OTHERS, SLOW_MS, Trace, service_of};

/// Estimates may be off by this many standard deviations of chance.
const DEVIATIONS: f64 = 4.0;

const CLASSES: [&str; 3] = ["error", "slow", "rest"];

/// The threshold of a trace state, as a part of all randomness; 0 without one.
pub fn threshold(trace_state: &str) -> f64 {
    let own = trace_state.split(',').find_map(|of| of.strip_prefix("ot="));
    let digits = own.and_then(|own| own.split(';').find_map(|of| of.strip_prefix("th:")));
    let digits = digits.unwrap_or("0");
    u64::from_str_radix(digits, 16).unwrap() as f64 / 16_f64.powi(digits.len() as i32)
}

/// The randomness of a trace id.
pub fn randomness(id: &[u8]) -> f64 {
    let last = id[9..]
        .iter()
        .fold(0, |sum, byte| sum << 8 | u64::from(*byte));
    last as f64 / 2_f64.powi(56)
}

/// What is known of a trace that was sent.
#[derive(Debug, Clone)]
pub struct Sent {
    service: String,
    operation: String,
    class: usize,
    /// How many requests it stands for: more than 1 if a sampler has been there before.
    requests: f64,
    /// How long its root took, in seconds.
    seconds: f64,
    /// Its spans.
    pub spans: BTreeSet<Vec<u8>>,
    /// The part of requests that is to be kept.
    pub probability: f64,
}

impl Sent {
    pub fn of(trace: &Trace, first: (&str, &str)) -> Self {
        let root = trace
            .iter()
            .find(|(_, span)| span.parent_span_id.is_empty());
        let (resource, root) = root.unwrap();
        let nanoseconds = root.end_time_unix_nano - root.start_time_unix_nano;
        let has_failed = |span: &Span| span.status.as_ref().is_some_and(|of| of.code == 2);
        let class = if trace.iter().any(|(_, span)| has_failed(span)) {
            0
        } else if nanoseconds > SLOW_MS * 1_000_000 {
            1
        } else {
            2
        };
        let before = 1.0 - threshold(&root.trace_state);
        let service = service_of(resource);
        let is_first = (&*service, &*root.name) == first;
        let planned = if is_first { FIRST } else { OTHERS };
        Self {
            service,
            operation: root.name.clone(),
            class,
            requests: 1.0 / before,
            seconds: nanoseconds as f64 / 1e9,
            spans: trace.iter().map(|(_, span)| span.span_id.clone()).collect(),
            probability: planned[class].min(before),
        }
    }

    /// Under what it is counted.
    fn key(&self) -> String {
        [&self.service, &self.operation, CLASSES[self.class]].join("|")
    }
}

/// What is known of all traces that were sent, by trace id.
pub type Truth = BTreeMap<Vec<u8>, Sent>;

/// The traces that were kept are those whose randomness says so, and each is whole.
pub fn assert_kept_as_decided(truth: &Truth, kept: &[Span]) {
    let mut whole: BTreeMap<&[u8], BTreeSet<Vec<u8>>> = BTreeMap::new();
    for span in kept {
        let is_new = whole
            .entry(&span.trace_id)
            .or_default()
            .insert(span.span_id.clone());
        assert!(is_new, "sent twice: {span:?}");
        let (said, planned) = (
            1.0 - threshold(&span.trace_state),
            truth[&span.trace_id].probability,
        );
        assert!(
            (said / planned - 1.0).abs() < 1e-4,
            "{said} is not {planned}: {span:?}"
        );
    }
    for (id, sent) in truth {
        let is_kept = randomness(id) >= 1.0 - sent.probability;
        let spans = whole.get(&**id);
        assert_eq!(spans, is_kept.then_some(&sent.spans), "{sent:?}");
    }
}

/// What is added up of each request: that it came, failed or was slow, and how long it took.
pub fn amounts(class: usize, seconds: f64) -> [(&'static str, f64); 4] {
    let is = |what: usize| f64::from(u8::from(class == what));
    [
        ("requests", 1.0),
        ("errors", is(0)),
        ("slow", is(1)),
        ("seconds", seconds),
    ]
}

/// Estimates by the weights of kept roots alone are what was sent, within what chance explains.
pub fn assert_estimates(truth: &Truth, kept: &[Span]) {
    let mut sums: BTreeMap<(String, &str), [f64; 3]> = BTreeMap::new();
    let name = |sent: &Sent| format!("{}|{}", sent.service, sent.operation);
    for sent in truth.values() {
        let conditional = sent.probability * sent.requests;
        for (what, amount) in amounts(sent.class, sent.seconds) {
            let [all, variance, _] = sums.entry((name(sent), what)).or_default();
            let counted = amount * sent.requests;
            *all += counted;
            *variance += counted * counted * (1.0 - conditional) / conditional;
        }
    }
    let failed: BTreeSet<&[u8]> = kept
        .iter()
        .filter(|span| span.status.as_ref().is_some_and(|of| of.code == 2))
        .map(|span| &*span.trace_id)
        .collect();
    for root in kept.iter().filter(|span| span.parent_span_id.is_empty()) {
        let seconds = (root.end_time_unix_nano - root.start_time_unix_nano) as f64 / 1e9;
        let class = match failed.contains(&*root.trace_id) {
            true => 0,
            false => 1 + usize::from(seconds * 1000.0 <= SLOW_MS as f64),
        };
        let weight = 1.0 / (1.0 - threshold(&root.trace_state));
        for (what, amount) in amounts(class, seconds) {
            let key = (name(&truth[&root.trace_id]), what);
            sums.entry(key).or_default()[2] += amount * weight;
        }
    }
    for ((operation, what), [all, variance, estimate]) in sums {
        let most = DEVIATIONS * variance.sqrt() + 1e-4 * all;
        println!(
            "{operation}: {what} {all:.1}, estimated {estimate:.1}, by chance within {most:.1}"
        );
        assert!((estimate - all).abs() <= most, "{operation}: {what}");
    }
}

/// Requests that any service of these traces answered.
pub fn requests(traces: &[Trace]) -> f64 {
    let spans = traces.iter().flatten().map(|(_, span)| span);
    let requests = spans.filter(|span| {
        let (server, consumer) = (2, 5);
        span.parent_span_id.is_empty() || span.kind == server || span.kind == consumer
    });
    requests
        .map(|span| 1.0 / (1.0 - threshold(&span.trace_state)))
        .sum()
}

/// Offered and sampled of the truth, as reports have them.
pub fn counts(truth: &Truth) -> BTreeMap<String, (u64, u64)> {
    let mut sums: BTreeMap<String, (f64, u64)> = BTreeMap::new();
    for (id, sent) in truth {
        let sum = sums.entry(sent.key()).or_default();
        sum.0 += sent.requests;
        sum.1 += u64::from(randomness(id) >= 1.0 - sent.probability);
    }
    let whole = sums.into_iter();
    whole
        .map(|(key, (offered, sampled))| (key, (offered.round() as u64, sampled)))
        .collect()
}
