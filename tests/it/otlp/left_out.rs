//! A point that cannot be counted costs only itself.

use serde_json::{Value, json};
use weir::protocols::otlp::{Encoding, POINTS_MAX, SOURCES_MAX, read_metrics};
use weir::telemetry::metrics::LeftOutReason;

use super::messages::fixture;
use super::read::read;

const ROOTS: &str = "/resourceMetrics/0/scopeMetrics/0/metrics/0/sum";

/// What is left out of an export whose sum of roots was changed.
fn left_out(change: impl Fn(&mut Value)) -> Vec<(LeftOutReason, u64)> {
    let mut export = fixture("roots-delta");
    let sum = export.pointer_mut(ROOTS).unwrap();
    sum["dataPoints"].as_array_mut().unwrap().truncate(1);
    change(sum);
    read(&export, |said| {
        let left_out: Vec<_> = said.left_out.by_reason().collect();
        assert_eq!(said.points(), u64::from(left_out.is_empty()));
        left_out
    })
}

#[test]
fn each_reason_is_named() {
    use LeftOutReason::{NoTemporality, NoTime, NoValue, NotACount, NotMonotonic};
    type Change = fn(&mut Value);
    let cases: [(LeftOutReason, Change); 10] = [
        (NotMonotonic, |sum| sum["isMonotonic"] = json!(false)),
        (NotMonotonic, |sum| {
            drop(sum.as_object_mut().unwrap().remove("isMonotonic"))
        }),
        (NoTemporality, |sum| {
            sum["aggregationTemporality"] = json!(0)
        }),
        (NoTemporality, |sum| {
            sum["aggregationTemporality"] = json!(7)
        }),
        (NoTime, |sum| {
            sum["dataPoints"][0]["timeUnixNano"] = json!("0")
        }),
        (NoValue, |sum| sum["dataPoints"][0]["flags"] = json!(1)),
        (NoValue, |sum| {
            drop(
                sum["dataPoints"][0]
                    .as_object_mut()
                    .unwrap()
                    .remove("asDouble"),
            );
        }),
        (NotACount, |sum| {
            sum["dataPoints"][0]["asDouble"] = json!("NaN")
        }),
        (NotACount, |sum| {
            sum["dataPoints"][0]["asDouble"] = json!(1.9e19)
        }),
        (NotACount, |sum| {
            let point = sum["dataPoints"][0].as_object_mut().unwrap();
            point.remove("asDouble");
            point.insert("asInt".into(), json!("-1"));
        }),
    ];
    for (reason, change) in cases {
        assert_eq!(left_out(change), [(reason, 1)]);
    }
    assert_eq!(
        left_out(|sum| sum["dataPoints"][0]["asDouble"] = json!(0.4)),
        []
    );
}

#[test]
fn requests_without_a_name_are_left_out() {
    for (name, key) in [
        ("http-cumulative", "http.request.method"),
        ("calls", "span.name"),
    ] {
        let text = fixture(name).to_string().replace(key, "unknown");
        let said = read_metrics(Encoding::Json, text.as_bytes()).unwrap();
        let mut left_out = said.left_out.by_reason();
        assert!(left_out.any(|(reason, _)| reason == LeftOutReason::NoName));
        assert_eq!(said.points(), 0);
    }
}

/// A body with this many resources of this many points each.
fn many(resources: usize, points: usize) -> String {
    let export = fixture("roots-delta");
    let point = export.pointer(ROOTS).unwrap()["dataPoints"][0].clone();
    let one = |number: usize| {
        let mut one = export["resourceMetrics"][0].clone();
        one["resource"]["attributes"][1]["value"] = json!({ "intValue": number });
        let sum = one.pointer_mut("/scopeMetrics/0/metrics/0/sum").unwrap();
        sum["dataPoints"] = vec![point.clone(); points].into();
        one
    };
    json!({ "resourceMetrics": (0..resources).map(one).collect::<Vec<_>>() }).to_string()
}

#[test]
fn what_exceeds_the_bounds_of_an_export_is_left_out() {
    let (resources, points) = (many(SOURCES_MAX + 2, 1), many(2, POINTS_MAX / 2 + 3));
    for (text, kept, left_out) in [
        (resources, SOURCES_MAX as u64, 2),
        (points, POINTS_MAX as u64, 6),
    ] {
        let said = read_metrics(Encoding::Json, text.as_bytes()).unwrap();
        assert_eq!(said.points(), kept);
        let reasons: Vec<_> = said.left_out.by_reason().collect();
        assert_eq!(reasons, [(LeftOutReason::TooMany, left_out)]);
    }
}

#[test]
fn a_source_without_a_usable_name_gets_one_of_its_own() {
    let agents = |attribute: Value| {
        let mut export = fixture("exponential");
        export["resourceMetrics"][0]["resource"]["attributes"] = json!([attribute]);
        read(&export, |said| {
            (
                said.sources[0].agent.to_string(),
                said.sources[0].service.to_string(),
            )
        })
    };
    let named =
        |name: &str| agents(json!({ "key": "service.name", "value": { "stringValue": name } }));
    for service in [&"a".repeat(300), "a\nb"] {
        let (agent, kept) = named(service);
        assert!(agent.starts_with("otlp/"), "{agent}");
        assert_eq!(kept, *service);
    }
    let (agent, service) = named("unknown_service:java");
    assert!(agent.starts_with("unknown_service:java/"), "{agent}");
    assert_eq!(service, "unknown_service:java");
    let (agent, service) = agents(json!({ "key": "host.name", "value": { "stringValue": "vm" } }));
    assert!(agent.starts_with('/'), "{agent}");
    assert_eq!(service, "");
}
