//! Exports as large and as varied as SDKs make them: as many attributes, metrics and points as the
//! packages of each language send that were recorded under load.

use std::slice::IterMut;

use super::Body;
use super::message::{
    Attribute, Exemplar, ExemplarNumber, Export, Gauge, Histogram, HistogramPoint, Kind, List,
    Metric, Number, NumberPoint, OneValue, Resource, ResourceMetrics, Scope, ScopeMetrics, Sum,
    Value,
};

const CUMULATIVE: i32 = 2;

/// What a process is written in.
#[derive(Debug, Clone, Copy)]
pub enum Language {
    Java,
    JavaScript,
    Go,
    Python,
}

impl Language {
    pub const ALL: [Self; 4] = [Self::Java, Self::JavaScript, Self::Go, Self::Python];
}

/// The export of a process that began at `start_ns`. [`Body::advance`] makes the later ones of it.
pub fn export(language: Language, process: usize, start_ns: u64) -> Export {
    let scopes = match language {
        Language::Java => java(),
        Language::JavaScript => javascript(),
        Language::Go => go(),
        Language::Python => python(),
    };
    let mut export = Export {
        resources: vec![ResourceMetrics {
            resource: Some(resource(language, process)),
            scopes,
            schema_url: "https://opentelemetry.io/schemas/1.41.0".into(),
        }],
    };
    for point in numbers(&mut export) {
        point.start_ns = start_ns;
    }
    for point in histograms(&mut export) {
        point.start_ns = start_ns;
    }
    export
}

impl Body for Export {
    const PATH: &'static str = "/v1/metrics";

    /// Moves on to a time, with some new requests in each series.
    fn advance(&mut self, time_ns: u64, turn: u64) {
        let requests = 10 + turn % 7;
        for point in numbers(self) {
            point.time_ns = time_ns;
            match &mut point.value {
                Some(Number::Int(value)) => *value += requests.cast_signed(),
                Some(Number::Double(value)) => *value += requests as f64,
                None => {}
            }
        }
        for point in histograms(self) {
            point.time_ns = time_ns;
            point.count += requests;
            if let Some(bucket) = point.buckets.first_mut() {
                *bucket += requests;
            }
        }
    }
}

fn metrics(export: &mut Export) -> impl Iterator<Item = &mut Kind> {
    let scopes = export.resources.iter_mut().flat_map(|of| &mut of.scopes);
    let metrics = scopes.flat_map(|scope| &mut scope.metrics);
    metrics.filter_map(|metric| metric.kind.as_mut())
}

fn numbers(export: &mut Export) -> impl Iterator<Item = &mut NumberPoint> {
    metrics(export).flat_map(|kind| match kind {
        Kind::Gauge(gauge) => gauge.points.iter_mut(),
        Kind::Sum(sum) => sum.points.iter_mut(),
        Kind::Histogram(_) => IterMut::default(),
    })
}

fn histograms(export: &mut Export) -> impl Iterator<Item = &mut HistogramPoint> {
    metrics(export).flat_map(|kind| match kind {
        Kind::Histogram(histogram) => histogram.points.iter_mut(),
        _ => IterMut::default(),
    })
}

pub fn resource(language: Language, process: usize) -> Resource {
    let service = format!("service-{}", process % 100);
    let mut attributes = vec![
        text("service.name", &service),
        text(
            "telemetry.sdk.language",
            &format!("{language:?}").to_lowercase(),
        ),
        text("telemetry.sdk.name", "opentelemetry"),
        text("telemetry.sdk.version", "1.65.0"),
        // Not sent by Go, whose processes could not be told apart by their bodies here.
        text(
            "service.instance.id",
            &format!("5f1c9a52-7d0e-4a3b-9f0e-{process:012x}"),
        ),
    ];
    let more = match language {
        Language::Java => 13,
        Language::JavaScript => 11,
        Language::Go => {
            return Resource {
                attributes,
                dropped_attributes: 0,
            };
        }
        Language::Python => 1,
    };
    let arguments = [
        "/opt/app/bin/run",
        "--config",
        "/etc/app.yaml",
        "--port=8080",
    ];
    let values = arguments.map(|argument| value(OneValue::Text(argument.into())));
    let values = List {
        values: values.to_vec(),
    };
    attributes.push(Attribute {
        key: "process.command_args".into(),
        value: Some(value(OneValue::List(values))),
    });
    attributes.extend((1..more).map(|at| {
        let of_machine = format!("a description of the machine, part {at}");
        text(&format!("host.property.{at:02}"), &of_machine)
    }));
    Resource {
        attributes,
        dropped_attributes: 0,
    }
}

fn java() -> Vec<ScopeMetrics> {
    let pools = [8, 1, 8, 5, 5, 1, 1, 1, 1, 3];
    let pools = pools.iter().enumerate();
    let runtime = pools.map(|(at, points)| sum(&format!("jvm.memory.part{at}"), *points, 2));
    vec![
        scope(
            "io.opentelemetry.runtime-telemetry-java8",
            runtime.collect(),
        ),
        scope(
            "io.opentelemetry.sdk.trace",
            vec![gauge("queueSize", 1, 1), roots()],
        ),
        scope("io.opentelemetry.jetty-11.0", vec![requests(5, false)]),
        scope(
            "io.opentelemetry.exporters.otlp-http",
            vec![
                sum("otlp.exporter.exported", 2, 2),
                sum("otlp.exporter.seen", 2, 1),
            ],
        ),
    ]
}

fn javascript() -> Vec<ScopeMetrics> {
    let heap = (0..4).map(|at| gauge(&format!("v8js.memory.heap.part{at}"), 9, 1));
    let delays = (0..8).map(|at| gauge(&format!("nodejs.eventloop.delay.part{at}"), 1, 0));
    vec![
        scope(
            "@opentelemetry/instrumentation-http",
            vec![
                requests(5, false),
                histogram("http.client.request.duration", 2, 5, 14),
            ],
        ),
        scope(
            "@opentelemetry/sdk-trace",
            vec![roots(), sum("otel.sdk.span.live", 1, 1)],
        ),
        scope(
            "@opentelemetry/instrumentation-runtime-node",
            heap.chain(delays)
                .chain([histogram("v8js.gc.duration", 1, 1, 14)])
                .collect(),
        ),
    ]
}

fn go() -> Vec<ScopeMetrics> {
    let own = [4, 4, 4, 4, 2, 1].iter().enumerate();
    let own =
        own.map(|(at, attributes)| sum(&format!("otel.sdk.exporter.part{at}"), 1, *attributes));
    let durations = (0..3).map(|at| histogram(&format!("otel.sdk.duration.part{at}"), 1, 5, 15));
    let mut sizes = ["request", "response"]
        .map(|of| histogram(&format!("http.server.{of}.body.size"), 4, 8, 15));
    sizes.iter_mut().for_each(exemplify);
    let [request, response] = sizes;
    vec![
        scope(
            "go.opentelemetry.io/otel/sdk/trace/internal/observ",
            own.chain(durations).chain([roots()]).collect(),
        ),
        scope(
            "go.opentelemetry.io/contrib/instrumentation/net/http/otelhttp",
            vec![request, response, requests(8, true)],
        ),
    ]
}

fn python() -> Vec<ScopeMetrics> {
    let own = [2, 1, 2, 4, 4, 2, 2, 4, 4].iter().enumerate();
    let own =
        own.map(|(at, attributes)| sum(&format!("otel.sdk.exporter.part{at}"), 1, *attributes));
    let durations = (0..2).map(|at| histogram(&format!("otel.sdk.duration.part{at}"), 1, 4, 15));
    vec![
        scope(
            "opentelemetry-sdk",
            own.chain(durations).chain([roots()]).collect(),
        ),
        scope(
            "opentelemetry.instrumentation.flask",
            vec![sum("http.server.active_requests", 2, 2), requests(5, false)],
        ),
    ]
}

/// What is counted: the requests of four routes.
fn requests(attributes: usize, exemplars: bool) -> Metric {
    const ROUTES: [(&str, &str); 4] = [
        ("GET", "/hot"),
        ("GET", "/users/{id}"),
        ("POST", "/cart"),
        ("GET", "/nothing"),
    ];
    let mut metric = histogram(
        "http.server.request.duration",
        ROUTES.len(),
        attributes - 2,
        14,
    );
    let Some(Kind::Histogram(histogram)) = &mut metric.kind else {
        unreachable!("it is one");
    };
    for (point, (method, route)) in histogram.points.iter_mut().zip(ROUTES) {
        point.attributes.push(text("http.request.method", method));
        point.attributes.push(text("http.route", route));
    }
    if exemplars {
        exemplify(&mut metric);
    }
    metric
}

/// What says how many of them began traces.
fn roots() -> Metric {
    let mut metric = sum("otel.sdk.span.started", 2, 0);
    let Some(Kind::Sum(sum)) = &mut metric.kind else {
        unreachable!("it is one");
    };
    for (point, result) in sum.points.iter_mut().zip(["RECORD_AND_SAMPLE", "DROP"]) {
        point.attributes = vec![
            text("otel.span.parent.origin", "none"),
            text("otel.span.sampling_result", result),
        ];
    }
    metric
}

pub fn scope(name: &str, metrics: Vec<Metric>) -> ScopeMetrics {
    ScopeMetrics {
        scope: Some(Scope {
            name: name.into(),
            version: "2.33.1-alpha".into(),
            attributes: Vec::new(),
            dropped_attributes: 0,
        }),
        metrics,
        schema_url: String::new(),
    }
}

fn metric(name: &str, kind: Kind) -> Metric {
    Metric {
        name: name.into(),
        description: "What it measures, in a sentence of the usual length.".into(),
        unit: "{unit}".into(),
        kind: Some(kind),
        metadata: Vec::new(),
    }
}

fn gauge(name: &str, points: usize, attributes: usize) -> Metric {
    let points = number_points(points, attributes, Number::Double(0.25));
    metric(name, Kind::Gauge(Gauge { points }))
}

fn sum(name: &str, points: usize, attributes: usize) -> Metric {
    let sum = Sum {
        points: number_points(points, attributes, Number::Int(1_048_576)),
        temporality: CUMULATIVE,
        is_monotonic: true,
    };
    metric(name, Kind::Sum(sum))
}

fn number_points(points: usize, attributes: usize, value: Number) -> Vec<NumberPoint> {
    let points = (0..points).map(|at| NumberPoint {
        value: Some(value),
        attributes: described(at, attributes),
        ..NumberPoint::default()
    });
    points.collect()
}

fn histogram(name: &str, points: usize, attributes: usize, bounds: usize) -> Metric {
    let points = (0..points).map(|at| HistogramPoint {
        count: 100,
        sum: Some(0.5),
        buckets: vec![7; bounds + 1],
        bounds: (0..bounds).map(|at| 0.005 * at as f64).collect(),
        attributes: described(at, attributes),
        min: Some(0.001),
        max: Some(0.7),
        ..HistogramPoint::default()
    });
    let histogram = Histogram {
        points: points.collect(),
        temporality: CUMULATIVE,
    };
    metric(name, Kind::Histogram(histogram))
}

fn exemplify(metric: &mut Metric) {
    if let Some(Kind::Histogram(histogram)) = &mut metric.kind {
        for point in &mut histogram.points {
            point.exemplars.push(Exemplar {
                value: Some(ExemplarNumber::Double(0.01)),
                span_id: vec![7; 8],
                trace_id: vec![7; 16],
                ..Exemplar::default()
            });
        }
    }
}

/// Attributes of a point that say nothing about requests.
pub fn described(point: usize, attributes: usize) -> Vec<Attribute> {
    let attributes = (0..attributes).map(|at| match at {
        0 => Attribute {
            key: "http.response.status_code".into(),
            value: Some(value(OneValue::Int(200 + point as i64))),
        },
        _ => text(&format!("network.property.{at}"), "http or a kind"),
    });
    attributes.collect()
}

pub fn text(key: &str, text: &str) -> Attribute {
    Attribute {
        key: key.into(),
        value: Some(value(OneValue::Text(text.into()))),
    }
}

fn value(value: OneValue) -> Value {
    Value { value: Some(value) }
}
