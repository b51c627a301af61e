//! OTLP's JSON becomes the protobuf that says the same.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

use std::fs;

use opentelemetry_proto::tonic::collector::logs::v1::ExportLogsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use prost::Message;
use weir_edge::otlp::json::{Signal, to_protobuf};

/// Exports of real programs, which were recorded in both encodings. They are not part of the sources.
fn recordings() -> Vec<(Vec<u8>, Vec<u8>, String)> {
    let folder = std::env::var_os("RECORDINGS").expect("RECORDINGS names a folder of exports");
    let mut found = Vec::new();
    for entry in fs::read_dir(folder).unwrap() {
        let path = entry.unwrap().path();
        let (json, protobuf) = (path.with_extension("json"), path.with_extension("pb"));
        if path == json && protobuf.exists() {
            let name = path.file_stem().unwrap().to_string_lossy().into_owned();
            found.push((fs::read(json).unwrap(), fs::read(protobuf).unwrap(), name));
        }
    }
    found
}

#[test]
#[ignore = "make otlp-recordings RECORDINGS=folder"]
fn recorded_exports_read_the_same_in_both_encodings() {
    let all = recordings();
    assert!(all.len() >= 4, "{}", all.len());
    for (json, protobuf, name) in all {
        if name.contains("traces") {
            let read = to_protobuf(Signal::Traces, &json).unwrap();
            let decoded = |bytes: &[u8]| ExportTraceServiceRequest::decode(bytes).unwrap();
            assert_eq!(decoded(&read), decoded(&protobuf), "{name}");
        } else {
            let read = to_protobuf(Signal::Metrics, &json).unwrap();
            let decoded = |bytes: &[u8]| ExportMetricsServiceRequest::decode(bytes).unwrap();
            assert_eq!(decoded(&read), decoded(&protobuf), "{name}");
        }
    }
}

#[test]
fn every_spelling_of_a_value_is_read() {
    let json = br#"{"resource_logs": [{"scopeLogs": [{"logRecords": [{
        "timeUnixNano": 17, "observedTimeUnixNano": "18", "severityNumber": "SEVERITY_NUMBER_WARN",
        "body": {"bytesValue": "aGk"}, "traceId": "0A000000000000000000000000000001", "flags": 1.0,
        "attributes": [{"key": "d", "value": {"doubleValue": "NaN"}}, {"key": "i", "value": {"intValue": "-3"}},
            {"key": "n", "value": null}], "newer": {"a": [1]}}]}]}]}"#;
    let read = to_protobuf(Signal::Logs, json).unwrap();
    let read = ExportLogsServiceRequest::decode(read.as_slice()).unwrap();
    let record = &read.resource_logs[0].scope_logs[0].log_records[0];
    assert_eq!(
        (record.time_unix_nano, record.observed_time_unix_nano),
        (17, 18)
    );
    assert_eq!(
        (record.severity_number, record.flags, record.trace_id[0]),
        (13, 1, 10)
    );
    let said = format!("{:?} {:?}", record.body, record.attributes);
    for part in ["BytesValue([104, 105])", "DoubleValue(NaN)", "IntValue(-3)"] {
        assert!(said.contains(part), "{said}");
    }
}

#[test]
fn what_is_wrong_is_named() {
    for (body, part) in [
        ("[]", "an object"),
        (r#"{"resourceSpans": 7}"#, "a list for resourceSpans"),
        (
            r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"traceId": "xyz"}]}]}]}"#,
            "traceId",
        ),
        (
            r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"kind": "SPAN"}]}]}]}"#,
            "kind",
        ),
        (
            r#"{"resourceSpans": [{"scopeSpans": [{"spans": [{"startTimeUnixNano": -1}]}]}]}"#,
            "startTimeUnixNano",
        ),
        (r#"{"resourceSpans": []} x"#, "trailing"),
    ] {
        let error = to_protobuf(Signal::Traces, body.as_bytes())
            .unwrap_err()
            .to_string();
        assert!(error.contains(part), "{error}");
    }
    let deep = "[".repeat(100_000);
    assert!(to_protobuf(Signal::Traces, format!("{{\"a\":{deep}").as_bytes()).is_err());
}
