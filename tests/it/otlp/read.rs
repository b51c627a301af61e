//! Both encodings say the same, whatever form a sender gives them.

use serde_json::{Value, json};
use weir::ingest::{Convention, Counted, Family, SourceExport, Temporality};
use weir::protocols::otlp::{Encoding, Extracted, read_metrics};

use super::messages::{FIXTURES, METRICS, fixture, protobuf};

/// What an export says, checked to be the same in both encodings.
pub fn read<T>(export: &Value, look: impl Fn(Extracted<'_>) -> T) -> T {
    let (json, bytes) = (export.to_string(), protobuf(METRICS, export));
    let of_json = read_metrics(Encoding::Json, json.as_bytes()).expect("JSON");
    let of_bytes = read_metrics(Encoding::Protobuf, &bytes).expect("protobuf");
    assert_eq!(of_json, of_bytes);
    look(of_json)
}

/// Every point of a source: what it counts, and how many.
fn counts(source: &SourceExport<'_>) -> Vec<(String, u64)> {
    let name = |counted: &Counted<'_>| match counted {
        Counted::Roots { sampled } => format!("roots {sampled:?}"),
        Counted::Children { .. } => "children".to_owned(),
        Counted::Requests {
            family,
            convention,
            at_start,
            at_end,
        } => format!("{family:?} {convention:?} {at_start} > {at_end:?}"),
        Counted::Calls { at_end } => format!("calls {at_end}"),
        Counted::Decisions { .. } | Counted::Span { .. } => {
            panic!("metrics have none: {counted:?}")
        }
    };
    let points = source.points.iter();
    points
        .map(|point| (name(&point.counted), point.value))
        .collect()
}

fn owned(list: &[(&str, u64)]) -> Vec<(String, u64)> {
    list.iter()
        .map(|(name, count)| ((*name).to_owned(), *count))
        .collect()
}

#[test]
fn a_servers_requests_are_read_by_their_names_at_start_and_at_end() {
    read(&fixture("http-cumulative"), |said| {
        let [source] = &said.sources[..] else {
            panic!("{said:?}")
        };
        assert_eq!(source.service, "shop");
        let digest = &source.key.simple().to_string()[..12];
        let agent = format!("shop/5f1c9a52-7d0e-4a3b-9f0e-6f6f0a6b1c01/{digest}");
        assert_eq!(source.agent, agent);
        let expected = [
            ("Http Stable GET > Some(\"GET /users/{id}\")", 100),
            ("Http Stable POST > Some(\"POST /cart\")", 40),
            ("Http Stable HTTP > None", 1),
        ];
        assert_eq!(counts(source), owned(&expected));
        let first = &source.points[0];
        assert_eq!(first.temporality, Temporality::Cumulative);
        assert_eq!(
            (first.start_ns, first.time_ns),
            (2_000_000_000, 61_000_000_000)
        );
        assert_eq!(said.left_out.by_reason().next(), None);
    });
}

#[test]
fn roots_are_read_with_what_the_sampler_decided() {
    read(&fixture("roots-delta"), |said| {
        let [source] = &said.sources[..] else {
            panic!("{said:?}")
        };
        let digest = &source.key.simple().to_string()[..12];
        assert_eq!(source.agent, format!("front/vm-2665/{digest}"));
        let expected = [
            ("roots Some(false)", 111),
            ("children", 330),
            ("children", 3),
            ("roots Some(true)", 8),
            ("roots None", 2),
        ];
        assert_eq!(counts(source), owned(&expected));
        assert!(
            source
                .points
                .iter()
                .all(|point| point.temporality == Temporality::Delta)
        );
        assert_eq!(said.left_out.by_reason().next(), None);
    });
}

#[test]
fn old_names_and_procedures_are_read_by_their_conventions() {
    read(&fixture("old-names"), |said| {
        let expected = [
            ("Http Old GET > Some(\"GET /hot\")", 101),
            ("Http Old GET > None", 1),
            (
                "Rpc Old bank.Accounts/Charge > Some(\"bank.Accounts/Charge\")",
                12,
            ),
            (
                "Rpc Stable bank.Accounts/Charge > Some(\"bank.Accounts/Charge\")",
                12,
            ),
            ("Rpc Stable grpc > Some(\"grpc\")", 2),
        ];
        assert_eq!(counts(&said.sources[0]), owned(&expected));
        let counted = &said.sources[0].points[2].counted;
        let Counted::Requests {
            family, convention, ..
        } = counted
        else {
            panic!("{counted:?}")
        };
        assert_eq!((*family, *convention), (Family::Rpc, Convention::Old));
    });
}

#[test]
fn a_collectors_calls_belong_to_the_services_of_their_spans() {
    read(&fixture("calls"), |said| {
        let services: Vec<_> = said.sources.iter().map(|source| &*source.service).collect();
        assert_eq!(services, ["shop", "mail", "queue"]);
        assert_eq!(counts(&said.sources[0]), owned(&[("calls POST /cart", 97)]));
        assert_eq!(counts(&said.sources[1]), owned(&[("calls receive", 7)]));
        let keys: std::collections::BTreeSet<_> = said.sources.iter().map(|s| s.key).collect();
        assert_eq!(keys.len(), 3);
    });
}

/// Digests are stored: a release that changed one would take every stream for a new one.
#[test]
fn digests_stay_the_same_over_releases() {
    let digests = |name: &str| {
        read(&fixture(name), |said| {
            let source = &said.sources[0];
            format!("{} {:016x}", source.key, source.points[0].series)
        })
    };
    let expected = [
        "5a169b3e-6bfc-826c-a04a-83406d56af3f 70775381f01af46f",
        "fa2e9ed2-f774-8e49-9451-521e5a437c67 d2a8f504b8b5c32c",
        "e3e556e7-5d70-828e-9648-8127cacbe653 6de53032f046f3d8",
        "8c0ba782-7c59-869d-9ce4-037a6fb30c82 45d2f38432b522e1",
        "0ecd32cb-fd4e-8ed2-a6cb-9702122b6d45 a2f016ae1b0e647a",
    ];
    assert_eq!(FIXTURES.map(digests), expected);
}

/// Every field in another form that senders use: snake case, numbers for texts and the other way round,
/// names of enums, null.
fn in_other_forms(value: Value) -> Value {
    match value {
        Value::Array(list) => list.into_iter().map(in_other_forms).collect(),
        Value::Object(fields) => {
            let other = |(name, value): (String, Value)| {
                let value = match (&*name, value) {
                    ("aggregationTemporality", Value::Number(code)) => match code.as_u64() {
                        Some(1) => json!("AGGREGATION_TEMPORALITY_DELTA"),
                        _ => json!("AGGREGATION_TEMPORALITY_CUMULATIVE"),
                    },
                    (
                        "intValue" | "asInt" | "count" | "timeUnixNano" | "startTimeUnixNano",
                        Value::String(number),
                    ) => json!(number.parse::<i64>().unwrap()),
                    ("intValue", Value::Number(number)) => json!(number.to_string()),
                    ("asDouble", number) => json!(number.to_string()),
                    (_, value) => in_other_forms(value),
                };
                (snake(&name), value)
            };
            let mut fields: serde_json::Map<_, _> = fields.into_iter().map(other).collect();
            fields.insert("of_a_later_release".into(), json!({ "a": [1, null] }));
            fields.into()
        }
        other => other,
    }
}

fn snake(camel: &str) -> String {
    let one = |c: char| match c.is_ascii_uppercase() {
        true => format!("_{}", c.to_ascii_lowercase()),
        false => c.to_string(),
    };
    camel.chars().map(one).collect()
}

#[test]
fn every_form_that_json_may_have_is_read() {
    for name in FIXTURES {
        let export = fixture(name);
        let other = in_other_forms(export.clone()).to_string();
        assert_ne!(other, export.to_string());
        let other = read_metrics(Encoding::Json, other.as_bytes()).expect(name);
        let export = export.to_string();
        let export = read_metrics(Encoding::Json, export.as_bytes()).expect(name);
        assert_eq!(export, other, "{name}");
    }
    let nulls = json!({ "resourceMetrics": [
        { "resource": null, "scopeMetrics": [
            { "scope": null, "metrics": [{ "name": null, "sum": null, "gauge": null },
                { "name": "calls", "sum": { "dataPoints": null, "isMonotonic": null } }] },
            { "metrics": null }] },
        { "scopeMetrics": null }, {},
    ] });
    for empty in [json!({}), json!({ "resourceMetrics": null }), nulls] {
        let empty = empty.to_string();
        let said = read_metrics(Encoding::Json, empty.as_bytes()).expect("it is JSON");
        assert_eq!(said.sources.len(), 0, "{empty}");
    }
    assert_eq!(
        read_metrics(Encoding::Protobuf, b"")
            .expect("empty")
            .points(),
        0
    );
}

/// Collectors put the exports of a process that came one after the other into one body.
#[test]
fn one_source_is_one_however_often_a_body_has_it_and_in_whatever_order() {
    let mut export = fixture("http-cumulative");
    let mut again = export["resourceMetrics"][0].clone();
    let attributes = again["resource"]["attributes"].as_array_mut().unwrap();
    attributes.reverse();
    for point in again["scopeMetrics"][1]["metrics"][0]["histogram"]["dataPoints"]
        .as_array_mut()
        .unwrap()
    {
        point["attributes"].as_array_mut().unwrap().reverse();
        point["timeUnixNano"] = json!("62000000000");
    }
    export["resourceMetrics"]
        .as_array_mut()
        .unwrap()
        .push(again);
    read(&export, |said| {
        let [source] = &said.sources[..] else {
            panic!("{said:?}")
        };
        let series: Vec<u64> = source.points.iter().map(|point| point.series).collect();
        assert_eq!(series.len(), 6);
        assert_eq!(series[..3], series[3..]);
        assert_ne!(series[0], series[1]);
    });
}

#[test]
fn what_tells_streams_apart_is_in_their_series() {
    let series = |change: &dyn Fn(&mut Value)| {
        let mut export = fixture("http-cumulative");
        change(&mut export["resourceMetrics"][0]["scopeMetrics"][1]);
        read(&export, |said| said.sources[0].points[0].series)
    };
    let point = "/metrics/0/histogram/dataPoints/0/attributes";
    let changes: [&dyn Fn(&mut Value); 6] = [
        &|_| (),
        &|scope| scope["scope"]["name"] = json!("tomcat"),
        &|scope| scope["scope"]["version"] = json!("3"),
        &|scope| scope["metrics"][0]["name"] = json!("rpc.server.duration"),
        &|scope| scope["metrics"][0]["histogram"]["aggregationTemporality"] = json!(1),
        &|scope| scope.pointer_mut(point).unwrap()[1]["value"] = json!({ "stringValue": "200" }),
    ];
    let mut all: Vec<_> = changes[..3]
        .iter()
        .chain(&changes[4..])
        .map(|change| series(change))
        .collect();
    all.sort_unstable();
    all.dedup();
    assert_eq!(all.len(), 5);
}
