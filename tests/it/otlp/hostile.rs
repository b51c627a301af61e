//! Bodies that no sender makes are refused, or read in part; none ends the process.

use proptest::prelude::*;
use serde_json::{Value, json};
use weir::protocols::otlp::{Encoding, Unreadable, check_export, read_metrics, read_traces};

use super::messages::{FIXTURES, METRICS, SPANS, TRACES, fixture, protobuf};
use super::spans::in_base64;

fn refused(encoding: Encoding, body: &[u8]) -> Unreadable {
    match read_metrics(encoding, body) {
        Err(refused) => refused,
        Ok(said) => panic!("{body:?} is read as {said:?}"),
    }
}

#[test]
fn what_is_no_export_is_refused_with_the_reason() {
    for (body, reason) in [
        (&b""[..], "EOF"),
        (b"{", "EOF"),
        (b"[]", "an object was expected"),
        (b"null", "an object was expected"),
        (b"{\"resourceMetrics\":7}", "invalid type"),
        (b"{\"resourceMetrics\":[7]}", "an object was expected"),
        (b"{\"resourceMetrics\":[[]]}", "an object was expected"),
        (b"{\"resourceMetrics\":[]} x", "trailing"),
        (b"{\"a\":\"\xff\"}", "not valid UTF-8"),
    ] {
        let said = refused(Encoding::Json, body).to_string();
        assert!(said.contains(reason), "{said}");
        assert!(!said.contains("line"), "{said}");
    }
    for (body, reason) in [
        (&b"\x0a"[..], "early"),
        (b"\x0a\x05\x0a", "early"),
        (b"\x08\x01", "another type"),
        (b"\x0b\x0c", "no known type"),
        (b"\x02\x00", "no valid number"),
        (b"\x80\x80\x80\x80\x80\x80\x80\x80\x80\x80\x01", "too long"),
        (b"{\"resourceMetrics\":[]}", "a"),
    ] {
        let said = refused(Encoding::Protobuf, body).to_string();
        assert!(said.contains(reason), "{said}");
    }
}

fn with_value(value: &Value) -> Value {
    let mut export = fixture("exponential");
    export["resourceMetrics"][0]["resource"]["attributes"][0]["value"] = value.clone();
    export
}

#[test]
fn nesting_and_attributes_are_bounded() {
    let nested = |depth| {
        let innermost = json!({ "boolValue": true });
        let around = |value, at: usize| match at % 2 {
            0 => json!({ "arrayValue": { "values": [value] } }),
            _ => json!({ "kvlistValue": { "values": [{ "key": "a", "value": value }] } }),
        };
        with_value(&(0..depth).fold(innermost, around))
    };
    let wide = |width| {
        let values = vec![json!({ "intValue": 1 }); width];
        with_value(&json!({ "arrayValue": { "values": values } }))
    };
    let many = |count| {
        let mut export = fixture("exponential");
        let attribute = json!({ "key": "a", "value": { "intValue": 1 } });
        export["resourceMetrics"][0]["resource"]["attributes"] = vec![attribute; count].into();
        export
    };
    let is_read = |export: &Value| {
        let json = read_metrics(Encoding::Json, export.to_string().as_bytes()).is_ok();
        let bytes = read_metrics(Encoding::Protobuf, &protobuf(METRICS, export)).is_ok();
        assert_eq!(json, bytes);
        json
    };
    assert!(is_read(&nested(16)));
    assert!(!is_read(&nested(17)));
    assert!(is_read(&wide(1024)));
    assert!(!is_read(&wide(1025)));
    assert!(is_read(&many(1024)));
    assert!(!is_read(&many(1025)));
    // Deeper than any stack.
    let open = "[".repeat(1 << 20);
    let body = format!("{{\"resourceMetrics\":{open}");
    refused(Encoding::Json, body.as_bytes());
    let body = format!("{{\"x\":{open}{}}}", "]".repeat(1 << 20));
    assert!(read_metrics(Encoding::Json, body.as_bytes()).is_ok());
}

#[test]
fn exports_of_traces_and_logs_are_checked() {
    let logs =
        json!({ "resourceLogs": [{ "resource": {}, "scopeLogs": [{ "logRecords": [{}] }] }] });
    let spans = json!({ "resourceSpans": [{ "resource": {}, "scopeSpans": [{ "spans": [{}] }] }] });
    let is_read = |signal: &str, encoding, body: &[u8]| match signal {
        "logs" => check_export(encoding, body).is_ok(),
        _ => read_traces(encoding, body).is_ok(),
    };
    let name = "opentelemetry.proto.collector.logs.v1.ExportLogsServiceRequest";
    for (signal, name, export) in [("logs", name, logs), ("traces", TRACES, spans)] {
        assert!(is_read(
            signal,
            Encoding::Json,
            export.to_string().as_bytes()
        ));
        let mut bytes = protobuf(name, &export);
        assert!(is_read(signal, Encoding::Protobuf, &bytes));
        bytes.pop();
        assert!(!is_read(signal, Encoding::Protobuf, &bytes));
    }
    for body in [
        &b"{\"resourceSpans\":7}"[..],
        b"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[7]}]}]}",
        b"{\"resourceSpans\":[{\"scopeSpans\":[{\"spans\":[{\"kind\":[]}]}]}]}",
        b"[]",
        b"",
    ] {
        assert!(read_traces(Encoding::Json, body).is_err());
    }
    assert!(check_export(Encoding::Json, b"{\"resourceLogs\":7}").is_err());
}

/// One change of a body's bytes.
#[derive(Debug, Clone)]
enum Damage {
    Set(prop::sample::Index, u8),
    Cut(prop::sample::Index),
    Insert(prop::sample::Index, Vec<u8>),
    Repeat(prop::sample::Index, prop::sample::Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let at = any::<prop::sample::Index>;
    prop_oneof![
        (at(), any::<u8>()).prop_map(|(at, byte)| Damage::Set(at, byte)),
        at().prop_map(Damage::Cut),
        (at(), any::<Vec<u8>>()).prop_map(|(at, bytes)| Damage::Insert(at, bytes)),
        (at(), at()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

fn damaged(mut body: Vec<u8>, damages: &[Damage]) -> Vec<u8> {
    for damage in damages {
        if body.is_empty() {
            break;
        }
        match damage {
            Damage::Set(at, byte) => {
                let at = at.index(body.len());
                body[at] = *byte;
            }
            Damage::Cut(at) => body.truncate(at.index(body.len())),
            Damage::Insert(at, bytes) => {
                let at = at.index(body.len());
                body.splice(at..at, bytes.iter().copied());
            }
            Damage::Repeat(from, to) => {
                let (from, to) = (from.index(body.len()), to.index(body.len()));
                let piece = body[from.min(to)..from.max(to)].to_vec();
                body.splice(from..from, piece);
            }
        }
    }
    body
}

proptest! {
    /// What is left of a damaged body is read or refused, and what is read keeps the bounds.
    #[test]
    fn a_damaged_body_is_read_or_refused(
        name in prop::sample::select(&FIXTURES[..]),
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let export = fixture(name);
        for (encoding, body) in [
            (Encoding::Json, export.to_string().into_bytes()),
            (Encoding::Protobuf, protobuf(METRICS, &export)),
        ] {
            let body = damaged(body, &damages);
            if let Ok(said) = read_metrics(encoding, &body) {
                prop_assert!(said.sources.iter().all(|source| !source.points.is_empty()));
                prop_assert!(said.sources.iter().all(|source| source.agent.len() <= 256));
            }
            let _ = check_export(encoding, &body);
        }
    }

    /// The same of spans. One span claims a million requests at most, whatever it says.
    #[test]
    fn a_damaged_export_of_spans_is_read_or_refused(
        damages in prop::collection::vec(damage(), 1..6),
    ) {
        let export = fixture(SPANS);
        for (encoding, body) in [
            (Encoding::Json, export.to_string().into_bytes()),
            (Encoding::Protobuf, protobuf(TRACES, &in_base64(&export))),
        ] {
            let body = damaged(body, &damages);
            if let Ok(said) = read_traces(encoding, &body) {
                let points = said.sources.iter().flat_map(|source| &source.points);
                prop_assert!(points.clone().all(|point| point.value == 1 && point.time_ns > 0));
                prop_assert!(said.sources.iter().all(|source| source.agent.len() <= 256));
            }
        }
    }

    #[test]
    fn any_bytes_are_read_or_refused(body: Vec<u8>) {
        for encoding in [Encoding::Json, Encoding::Protobuf] {
            let _ = read_metrics(encoding, &body);
            let _ = read_traces(encoding, &body);
            let _ = check_export(encoding, &body);
        }
    }
}
