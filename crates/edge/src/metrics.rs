//! The metrics of an edge, and their text.

use prometheus::{
    Encoder, IntCounter, IntCounterVec, IntGauge, IntGaugeVec, Opts, Registry, TextEncoder,
};

use crate::core::{BOUNDS_SECONDS, Cause, Figures, Outcome, SpanMetrics};
use crate::plan::Class;

/// Everything that is counted. Names and labels are in `docs/edge.md`.
#[derive(Debug)]
pub struct Metrics {
    registry: Registry,
    /// Exports by signal, protocol and outcome.
    pub exports: IntCounterVec,
    /// Open connections of senders.
    pub connections: IntGauge,
    /// Connections that were closed at once, because there were too many.
    pub connections_refused: IntCounter,
    /// Batches by backend, signal and outcome.
    pub batches: IntCounterVec,
    /// Spans that a backend took.
    pub sent: IntCounterVec,
    /// Kept spans that a backend did not get, by backend and reason.
    pub lost: IntCounterVec,
    /// Bodies of metrics and logs that a backend did not get, by backend, signal and reason.
    pub bodies_lost: IntCounterVec,
    /// What waits for a backend, in bytes.
    pub queue_bytes: IntGaugeVec,
    /// Requests for plans, by outcome.
    pub plan_requests: IntCounterVec,
    /// The number of the plan that is followed.
    pub plan: IntGauge,
    /// Reports, by outcome.
    pub reports: IntCounterVec,
    /// Roots whose counts Weir did not get.
    pub report_roots_lost: IntCounter,
    /// Tasks that panicked.
    pub panics: IntCounter,
    /// Handshakes of TLS, by outcome.
    pub tls_handshakes: IntCounterVec,
    /// How often the files of TLS were read again, by outcome.
    pub tls_reloads: IntCounterVec,
    /// When the certificate ends.
    pub tls_not_after: IntGauge,
    /// Messages to other edges, by outcome.
    pub peer_messages: IntCounterVec,
    edges: IntGauge,
    attributes: IntCounterVec,
    alone: IntCounter,
    conflicts: IntCounter,
    peer_records_lost: IntCounter,
    spans_received: IntCounter,
    spans: IntCounterVec,
    decided: IntCounterVec,
    traces: IntCounterVec,
    no_root: IntCounter,
    clock_backwards: IntCounter,
    gauges: IntGaugeVec,
}

impl Metrics {
    /// Nothing was counted yet.
    ///
    /// # Panics
    /// Never: the names are constants.
    #[must_use]
    pub fn new() -> Self {
        let registry = Registry::new();
        let vector = |name: &str, help: &str, labels: &[&str]| {
            let vector = IntCounterVec::new(Opts::new(name, help), labels).expect("a valid name");
            registry
                .register(Box::new(vector.clone()))
                .expect("each name once");
            vector
        };
        let counter = |name: &str, help: &str| {
            let counter = IntCounter::new(name, help).expect("a valid name");
            registry
                .register(Box::new(counter.clone()))
                .expect("each name once");
            counter
        };
        let gauge = |name: &str, help: &str| {
            let gauge = IntGauge::new(name, help).expect("a valid name");
            registry
                .register(Box::new(gauge.clone()))
                .expect("each name once");
            gauge
        };
        let gauges = |name: &str, help: &str, label: &str| {
            let gauges = IntGaugeVec::new(Opts::new(name, help), &[label]).expect("a valid name");
            registry
                .register(Box::new(gauges.clone()))
                .expect("each name once");
            gauges
        };
        Self {
            exports: vector(
                "weir_edge_exports_total",
                "Exports of senders",
                &["signal", "protocol", "outcome"],
            ),
            connections: gauge("weir_edge_connections", "Open connections of senders"),
            connections_refused: counter(
                "weir_edge_connections_refused_total",
                "Connections of senders that were closed at once, because there were too many",
            ),
            batches: vector(
                "weir_edge_batches_total",
                "Batches that were sent to a backend, each attempt",
                &["backend", "signal", "outcome"],
            ),
            sent: vector(
                "weir_edge_spans_sent_total",
                "Spans that a backend took",
                &["backend"],
            ),
            lost: vector(
                "weir_edge_spans_lost_total",
                "Kept spans that a backend did not get",
                &["backend", "reason"],
            ),
            bodies_lost: vector(
                "weir_edge_bodies_lost_total",
                "Bodies of metrics and logs that a backend did not get",
                &["backend", "signal", "reason"],
            ),
            queue_bytes: gauges(
                "weir_edge_queue_bytes",
                "What waits for a backend or is being sent to it",
                "backend",
            ),
            plan_requests: vector(
                "weir_edge_plan_requests_total",
                "Requests to Weir for the plan",
                &["outcome"],
            ),
            plan: gauge(
                "weir_edge_plan",
                "The number of the plan that is followed, 0 before the first",
            ),
            reports: vector(
                "weir_edge_reports_total",
                "Reports to Weir, each attempt",
                &["outcome"],
            ),
            report_roots_lost: counter(
                "weir_edge_report_roots_lost_total",
                "Roots whose counts Weir did not get",
            ),
            panics: counter("weir_edge_panics_total", "Requests that ended in a panic"),
            tls_handshakes: vector(
                "weir_edge_tls_handshakes_total",
                "Handshakes of TLS with senders and other edges",
                &["listener", "outcome"],
            ),
            tls_reloads: vector(
                "weir_edge_tls_reloads_total",
                "Changes of the files of TLS",
                &["listener", "outcome"],
            ),
            tls_not_after: gauge(
                "weir_edge_tls_not_after_timestamp_seconds",
                "When the certificate of the listeners ends, 0 without TLS",
            ),
            peer_messages: vector(
                "weir_edge_peer_messages_total",
                "Messages to other edges",
                &["outcome"],
            ),
            attributes: vector(
                "weir_edge_attributes_total",
                "Attributes of kept spans beyond the limits",
                &["outcome"],
            ),
            edges: gauge(
                "weir_edge_edges",
                "Edges that decide together, this one included",
            ),
            alone: counter(
                "weir_edge_traces_alone_total",
                "Traces that were decided here though another edge owns them",
            ),
            conflicts: counter(
                "weir_edge_trace_conflicts_total",
                "Traces that were kept by one edge and dropped by another",
            ),
            peer_records_lost: counter(
                "weir_edge_peer_records_lost_total",
                "What was to be said to other edges, and waited for too long",
            ),
            spans_received: counter("weir_edge_spans_received_total", "Spans that came"),
            spans: vector(
                "weir_edge_spans_total",
                "Spans by what came of them",
                &["outcome"],
            ),
            decided: vector(
                "weir_edge_traces_decided_total",
                "Traces by why they were decided when they were",
                &["cause"],
            ),
            traces: vector(
                "weir_edge_traces_total",
                "Traces by class and decision",
                &["class", "decision"],
            ),
            no_root: counter(
                "weir_edge_traces_without_root_total",
                "Traces that were decided without a root",
            ),
            clock_backwards: counter(
                "weir_edge_spans_backwards_total",
                "Spans that end before they start",
            ),
            gauges: gauges(
                "weir_edge_held",
                "What is held: spans, traces, bytes of the ring, decisions, operations, and how often probabilities are halved (relief)",
                "what",
            ),
            registry,
        }
    }

    /// Everything as text, with the figures of the core and the metrics of requests.
    #[must_use]
    pub fn text(&self, figures: &Figures, requests: &[(String, String, SpanMetrics)]) -> Vec<u8> {
        self.follow(figures);
        let mut text = Vec::new();
        let families = self.registry.gather();
        if let Err(error) = TextEncoder::new().encode(&families, &mut text) {
            tracing::error!(%error, "could not write the metrics");
        }
        text.extend_from_slice(requests_text(requests).as_bytes());
        text
    }

    fn follow(&self, figures: &Figures) {
        // Scrapes may overlap: a counter never falls.
        let set = |counter: &IntCounter, value: u64| {
            counter.inc_by(value.saturating_sub(counter.get()));
        };
        set(&self.spans_received, figures.received);
        set(&self.no_root, figures.no_root);
        set(&self.clock_backwards, figures.clock_backwards);
        for (outcome, attributes) in [
            ("cut", figures.attributes.cut),
            ("dropped", figures.attributes.dropped),
        ] {
            set(&self.attributes.with_label_values(&[outcome]), attributes);
        }
        self.edges.set(figures.edges as i64);
        set(&self.alone, figures.alone);
        set(&self.conflicts, figures.conflicts);
        set(&self.peer_records_lost, figures.peer_records_lost);
        for outcome in Outcome::ALL {
            set(
                &self.spans.with_label_values(&[outcome.name()]),
                figures.of(outcome),
            );
        }
        for cause in Cause::ALL {
            let decided = figures.decided[cause as usize];
            set(&self.decided.with_label_values(&[cause.name()]), decided);
        }
        for class in Class::ALL {
            for (decision, traces) in ["dropped", "kept"]
                .iter()
                .zip(figures.traces[class as usize])
            {
                set(
                    &self.traces.with_label_values(&[class.name(), decision]),
                    traces,
                );
            }
        }
        for (what, value) in [
            ("spans", figures.held_spans),
            ("traces", figures.held_traces),
            ("ring_bytes", figures.ring_bytes),
            ("decisions", figures.remembered),
            ("operations", figures.operations),
            ("relief", u64::from(figures.relief)),
        ] {
            self.gauges.with_label_values(&[what]).set(value as i64);
        }
    }
}

impl Default for Metrics {
    fn default() -> Self {
        Self::new()
    }
}

/// The metrics of requests. Not by the library: spans stand for fractions of requests, and a histogram of it counts
/// whole ones.
fn requests_text(requests: &[(String, String, SpanMetrics)]) -> String {
    use std::fmt::Write;
    let mut text = String::new();
    let mut family =
        |name: &str, kind: &str, help: &str, lines: &dyn Fn(&mut String, &str, &SpanMetrics)| {
            let _ = writeln!(text, "# HELP {name} {help}\n# TYPE {name} {kind}");
            for (service, operation, metrics) in requests {
                let labels = format!(
                    "service=\"{}\",operation=\"{}\"",
                    escaped(service),
                    escaped(operation)
                );
                lines(&mut text, &labels, metrics);
            }
        };
    family(
        "weir_edge_requests_total",
        "counter",
        "Requests before sampling",
        &|text, labels, of| {
            let _ = writeln!(text, "weir_edge_requests_total{{{labels}}} {}", of.requests);
        },
    );
    family(
        "weir_edge_request_errors_total",
        "counter",
        "Requests before sampling that failed",
        &|text, labels, of| {
            let _ = writeln!(
                text,
                "weir_edge_request_errors_total{{{labels}}} {}",
                of.errors
            );
        },
    );
    let name = "weir_edge_request_duration_seconds";
    family(
        name,
        "histogram",
        "How long requests took, before sampling",
        &|text, labels, of| {
            let mut below = 0.0;
            for (bound, requests) in BOUNDS_SECONDS.iter().zip(of.buckets) {
                below += requests;
                let _ = writeln!(text, "{name}_bucket{{{labels},le=\"{bound}\"}} {below}");
            }
            let all = of.timed();
            let _ = writeln!(text, "{name}_bucket{{{labels},le=\"+Inf\"}} {all}");
            let _ = writeln!(text, "{name}_sum{{{labels}}} {}", of.seconds);
            let _ = writeln!(text, "{name}_count{{{labels}}} {all}");
        },
    );
    text
}

fn escaped(value: &str) -> String {
    value
        .replace('\\', "\\\\")
        .replace('"', "\\\"")
        .replace('\n', "\\n")
}
