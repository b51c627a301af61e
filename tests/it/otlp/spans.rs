//! Root spans: which count, under which name, and how many requests each stands for.

use base64::Engine;
use base64::prelude::BASE64_STANDARD;
use serde_json::{Value, json};
use weir::ingest::{Counted, SourceExport, Weight};
use weir::protocols::otlp::{
    Encoding, Extracted, POINTS_MAX, SOURCES_MAX, read_metrics, read_traces,
};
use weir::telemetry::metrics::LeftOutReason;

use super::messages::{METRICS, SPANS, TRACES, fixture, protobuf};

/// Changes the text of every id.
fn with_ids(value: &mut Value, change: &impl Fn(&str) -> String) {
    match value {
        Value::Array(list) => list.iter_mut().for_each(|one| with_ids(one, change)),
        Value::Object(fields) => {
            for (name, value) in fields {
                match (&**name, value) {
                    ("traceId" | "spanId" | "parentSpanId", Value::String(id)) => *id = change(id),
                    (_, value) => with_ids(value, change),
                }
            }
        }
        _ => {}
    }
}

/// An export whose ids are in base64, as protobuf's JSON has them, instead of OTLP's digits.
pub fn in_base64(export: &Value) -> Value {
    let mut export = export.clone();
    with_ids(&mut export, &|id| {
        let byte = |at: usize| u8::from_str_radix(&id[at..at + 2], 16);
        let bytes: Result<Vec<u8>, _> = (0..id.len() / 2).map(|at| byte(2 * at)).collect();
        bytes.map_or_else(|_| id.to_owned(), |bytes| BASE64_STANDARD.encode(bytes))
    });
    export
}

/// What an export says, checked to be the same in both encodings, and with both forms of ids.
pub fn read_spans<T>(export: &Value, look: impl Fn(Extracted<'_>) -> T) -> T {
    let (digits, base64) = (export.to_string(), in_base64(export));
    let bytes = protobuf(TRACES, &base64);
    let base64 = base64.to_string();
    let of_digits = read_traces(Encoding::Json, digits.as_bytes()).expect("JSON");
    let of_base64 = read_traces(Encoding::Json, base64.as_bytes()).expect("JSON");
    let mut of_bytes = read_traces(Encoding::Protobuf, &bytes).expect("protobuf");
    // What a span takes is only known in protobuf.
    for sums in of_bytes.spans.iter_mut().map(|of| &mut of.sums) {
        assert_eq!(sums.weighed, sums.spans);
        assert!((sums.spans..=bytes.len() as u64).contains(&sums.bytes));
        (sums.weighed, sums.bytes) = (0, 0);
    }
    assert_eq!(of_digits, of_bytes);
    assert_eq!(of_digits, of_base64);
    look(of_digits)
}

/// Every span of a source: its name at start, and how many requests it stands for.
fn spans(source: &SourceExport<'_>) -> Vec<(String, Option<Weight>)> {
    let points = source.points.iter();
    let spans = points.map(|point| match &point.counted {
        Counted::Span { at_start, weight } => (at_start.to_string(), *weight),
        other => panic!("{other:?}"),
    });
    spans.collect()
}

fn weight(probability: f64) -> Option<Weight> {
    Some(Weight::of_probability(probability))
}

#[test]
fn roots_are_read_by_their_names_at_start_with_their_weights() {
    read_spans(&fixture(SPANS), |said| {
        let [source] = &said.sources[..] else {
            panic!("{said:?}")
        };
        assert_eq!(source.service, "shop");
        let expected = [
            ("GET", weight(0.25)),
            ("POST", weight(0.5)),
            ("GET", weight(0.125)),
            ("nightly", weight(1.0)),
            ("receive", weight(1.0)),
            ("HTTP", None),
            ("bank.Accounts/Charge", None),
        ];
        let expected = expected.map(|(name, weight)| (name.to_owned(), weight));
        assert_eq!(spans(source), expected);
        assert!(source.points.iter().all(|point| point.value == 1));
        let first = &source.points[0];
        assert_eq!(first.time_ns - first.start_ns, 511_583);
        let series: std::collections::BTreeSet<u64> =
            source.points.iter().map(|point| point.series).collect();
        assert_eq!(series.len(), 7);
        // What a process asks others by itself is not what it is asked.
        let left_out: Vec<_> = said.left_out.by_reason().collect();
        assert_eq!(left_out, [(LeftOutReason::NotARequest, 2)]);
    });
}

/// Digests are stored: a release that changed one would count spans again that come again.
#[test]
fn digests_of_spans_stay_the_same_over_releases() {
    let digests = read_spans(&fixture(SPANS), |said| {
        let source = &said.sources[0];
        format!("{} {:016x}", source.key, source.points[0].series)
    });
    assert_eq!(
        digests,
        "29cc4f68-25b6-8e27-8bf5-ef11dffab295 3a0f8ac8847a714d"
    );
}

/// A process is a source by its metrics, and another by its spans.
#[test]
fn spans_are_a_source_beside_the_metrics_of_their_process() {
    let metrics = fixture("http-cumulative");
    let mut traces = fixture(SPANS);
    traces["resourceSpans"][0]["resource"] = metrics["resourceMetrics"][0]["resource"].clone();
    let body = protobuf(METRICS, &metrics);
    let metrics = read_metrics(Encoding::Protobuf, &body).expect("protobuf");
    read_spans(&traces, |said| {
        let (one, other) = (&said.sources[0], &metrics.sources[0]);
        assert_eq!(one.service, other.service);
        assert_ne!(one.key, other.key);
        assert_ne!(one.agent, other.agent);
    });
}

/// Reads the first span after a change.
fn changed(change: impl Fn(&mut Value)) -> (usize, Vec<(LeftOutReason, u64)>) {
    let mut export = fixture(SPANS);
    let scopes = &mut export["resourceSpans"][0]["scopeSpans"];
    scopes.as_array_mut().unwrap().truncate(1);
    let spans = scopes[0]["spans"].as_array_mut().unwrap();
    spans.truncate(1);
    change(&mut spans[0]);
    read_spans(&export, |said| {
        (
            said.points() as usize,
            said.left_out.by_reason().collect::<Vec<_>>(),
        )
    })
}

#[test]
fn what_is_no_root_or_cannot_be_counted_is_left_out_with_the_reason() {
    use LeftOutReason::{NoId, NoName, NoTime};
    let field =
        |name: &'static str, value: Value| move |span: &mut Value| span[name] = value.clone();
    assert_eq!(changed(|_| ()), (1, vec![]));
    // A span with a parent says nothing, wherever the parent is.
    let child = field("parentSpanId", json!("00000000000000ff"));
    assert_eq!(changed(child), (0, vec![]));
    for (reason, name, value) in [
        (NoId, "traceId", json!("00000000000000000000000000000000")),
        (NoId, "traceId", json!("")),
        (NoId, "spanId", json!("8834f614")),
        (NoName, "name", json!("")),
    ] {
        let change = |span: &mut Value| {
            span[name] = value.clone();
            span["attributes"] = json!([]);
        };
        assert_eq!(changed(change), (0, vec![(reason, 1)]), "{name} {value}");
    }
    let without_times = |span: &mut Value| {
        span["startTimeUnixNano"] = json!("0");
        span["endTimeUnixNano"] = json!(0);
    };
    assert_eq!(changed(without_times), (0, vec![(NoTime, 1)]));
    // One of a clock that was set back while it went on, and one that has not ended.
    let back = field("endTimeUnixNano", json!("7"));
    let (endless, unsampled) = (
        field("endTimeUnixNano", json!("0")),
        field("flags", json!(0)),
    );
    assert_eq!(
        changed(back).0 + changed(endless).0 + changed(unsampled).0,
        3
    );
}

#[test]
fn every_form_that_json_may_have_of_a_span_is_read() {
    let export = fixture(SPANS).to_string();
    let expected = read_traces(Encoding::Json, export.as_bytes()).expect("JSON");
    let other = [
        ("resourceSpans", "resource_spans"),
        ("scopeSpans", "scope_spans"),
        ("traceId", "trace_id"),
        ("spanId", "span_id"),
        ("parentSpanId", "parent_span_id"),
        ("traceState", "trace_state"),
        ("startTimeUnixNano", "start_time_unix_nano"),
        ("endTimeUnixNano", "end_time_unix_nano"),
        ("\"kind\":1", "\"kind\":\"SPAN_KIND_INTERNAL\""),
        ("\"kind\":2", "\"kind\":\"SPAN_KIND_SERVER\""),
        ("\"kind\":3", "\"kind\":\"SPAN_KIND_CLIENT\""),
        ("\"kind\":4", "\"kind\":\"4\""),
        ("\"kind\":5", "\"kind\":\"SPAN_KIND_CONSUMER\""),
        ("8ed70904", "8ED70904"),
    ];
    let other = other
        .iter()
        .fold(export.clone(), |text, (from, to)| text.replace(from, to));
    assert_ne!(other, export);
    let other = read_traces(Encoding::Json, other.as_bytes()).expect("JSON");
    assert_eq!(expected, other);
    let nulls = json!({ "resourceSpans": [
        { "resource": null, "scopeSpans": [{ "scope": null, "spans": [{ "traceId": null,
            "parentSpanId": null, "kind": null, "attributes": null, "name": null }] },
            { "spans": null }] },
        { "scopeSpans": null }, {},
    ] });
    for empty in [json!({}), json!({ "resourceSpans": null }), nulls] {
        let empty = empty.to_string();
        let said = read_traces(Encoding::Json, empty.as_bytes()).expect("it is JSON");
        assert_eq!(said.sources.len(), 0, "{empty}");
    }
    let said = read_traces(Encoding::Protobuf, b"").expect("empty");
    assert_eq!(said.points(), 0);
}

#[test]
fn spans_of_an_export_are_bounded() {
    let export = fixture(SPANS);
    let span = export["resourceSpans"][0]["scopeSpans"][0]["spans"][0].clone();
    let many = |resources: usize, spans: usize| {
        let one = |number: usize| {
            let name = json!([{ "key": "service.name", "value": { "intValue": number } }]);
            let spans = vec![span.clone(); spans];
            json!({ "resource": { "attributes": name }, "scopeSpans": [{ "spans": spans }] })
        };
        json!({ "resourceSpans": (0..resources).map(one).collect::<Vec<_>>() }).to_string()
    };
    let (resources, spans) = (many(SOURCES_MAX + 2, 1), many(2, POINTS_MAX / 2 + 3));
    for (text, kept, left_out) in [
        (resources, SOURCES_MAX as u64, 2),
        (spans, POINTS_MAX as u64, 6),
    ] {
        let said = read_traces(Encoding::Json, text.as_bytes()).unwrap();
        assert_eq!(said.points(), kept);
        let reasons: Vec<_> = said.left_out.by_reason().collect();
        assert_eq!(reasons, [(LeftOutReason::TooMany, left_out)]);
    }
    let is_read = |count: usize| {
        let mut export = fixture(SPANS);
        let attribute = json!({ "key": "http.method", "value": { "stringValue": "GET" } });
        let span = export.pointer_mut("/resourceSpans/0/scopeSpans/0/spans/0");
        span.unwrap()["attributes"] = vec![attribute; count].into();
        let bytes = protobuf(TRACES, &in_base64(&export));
        let json = read_traces(Encoding::Json, export.to_string().as_bytes()).is_ok();
        assert_eq!(json, read_traces(Encoding::Protobuf, &bytes).is_ok());
        json
    };
    assert!(is_read(1024) && !is_read(1025));
}
