//! Exports over HTTP, as SDKs and Collectors send them.

use reqwest::Response;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;

use super::messages::{METRICS, fixture, json as read, protobuf};
use super::{WITHOUT_A_TIME, gzip, start, without_a_time};
use crate::support::app::TestApp;
use crate::support::scrape::Scrape;

const JSON: &str = "application/json";
const PROTOBUF: &str = "application/x-protobuf";
const RESPONSE: &str = "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse";

async fn send(app: &TestApp, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Response {
    let mut request = app.client.post(format!("{}{path}", app.sdk)).body(body);
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    request.send().await.expect("an answer")
}

fn kind(response: &Response) -> &str {
    response.headers()["content-type"].to_str().unwrap()
}

/// A `google.rpc.Status` in either encoding: its code and its message.
async fn status(response: Response) -> (i64, String) {
    if kind(&response) == JSON {
        let body: Value = response.json().await.unwrap();
        let message = body["message"].as_str().unwrap().to_owned();
        return (body["code"].as_i64().unwrap(), message);
    }
    let body = response.bytes().await.unwrap();
    let [8, code, 18, length, message @ ..] = &body[..] else {
        panic!("a code and a message: {body:?}")
    };
    assert_eq!(usize::from(*length), message.len());
    (
        i64::from(*code),
        String::from_utf8(message.to_vec()).unwrap(),
    )
}

#[tokio::test]
async fn an_export_is_taken_in_every_encoding_and_answered_in_its_own() {
    let (app, _directory) = start(&[]).await;
    let export = fixture("http-cumulative");
    let bodies = [
        (JSON, export.to_string().into_bytes()),
        (
            "application/json; charset=utf-8",
            export.to_string().into_bytes(),
        ),
        (PROTOBUF, protobuf(METRICS, &export)),
        ("Application/X-Protobuf", Vec::new()),
        (JSON, b"{}".to_vec()),
    ];
    for (sent, body) in bodies {
        for (encoding, body) in [
            ("identity", body.clone()),
            ("gzip", gzip(&body)),
            ("zstd", zstd::encode_all(&body[..], 3).unwrap()),
        ] {
            let headers = [("Content-Type", sent), ("Content-Encoding", encoding)];
            let answer = send(&app, "/v1/metrics", &headers, body).await;
            assert_eq!(answer.status(), 200, "{sent} {encoding}");
            let is_json = kind(&answer) == JSON;
            assert_eq!(is_json, sent.contains("json"));
            assert!(is_json || kind(&answer) == PROTOBUF);
            let expected = if is_json { "{}" } else { "" };
            assert_eq!(answer.text().await.unwrap(), expected);
        }
    }
    let counted = Scrape::of(&app).await;
    let of = |protocol: &str| {
        counted.value(&format!(
            "weir_otlp_exports_total{{outcome=\"accepted\",protocol=\"{protocol}\",signal=\"metrics\"}}"
        ))
    };
    assert_eq!((of("http/json"), of("http/protobuf")), (9.0, 6.0));
    assert_eq!(counted.value("weir_otlp_points_total"), 27.0);
    app.stop().await;
}

/// JavaScript sends chunks, without a length.
#[tokio::test]
async fn a_body_may_come_in_chunks() {
    let (app, _directory) = start(&[]).await;
    let body = fixture("http-cumulative").to_string();
    let address = app.sdk.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.unwrap();
    let mut sent = format!(
        "POST /v1/metrics HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\
         Content-Type: application/json\r\nTransfer-Encoding: chunked\r\n\r\n"
    );
    for chunk in body.as_bytes().chunks(100) {
        let chunk = std::str::from_utf8(chunk).unwrap();
        sent.push_str(&format!("{:x}\r\n{chunk}\r\n", chunk.len()));
    }
    sent.push_str("0\r\n\r\n");
    stream.write_all(sent.as_bytes()).await.unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 200"), "{answer}");
    assert!(answer.ends_with("\r\n\r\n{}"), "{answer}");
    assert_eq!(Scrape::of(&app).await.value("weir_otlp_points_total"), 3.0);
    app.stop().await;
}

#[tokio::test]
async fn points_that_are_not_counted_are_rejected_with_the_reason() {
    let (app, _directory) = start(&[]).await;
    let export = without_a_time();
    let json_type = [("Content-Type", JSON)];
    let answer = send(&app, "/v1/metrics", &json_type, export.to_string().into()).await;
    assert_eq!(answer.status(), 200);
    let expected = json!({ "partialSuccess": {
        "rejectedDataPoints": "2", "errorMessage": WITHOUT_A_TIME,
    } });
    assert_eq!(answer.json::<Value>().await.unwrap(), expected);
    let bytes = protobuf(METRICS, &export);
    let answer = send(&app, "/v1/metrics", &[("Content-Type", PROTOBUF)], bytes).await;
    let answer = answer.bytes().await.unwrap();
    assert_eq!(read(RESPONSE, &answer), expected);
    let counted = Scrape::of(&app).await;
    let left_out = "weir_otlp_points_left_out_total{reason=\"no_time\"}";
    assert_eq!(counted.value(left_out), 4.0);
    for protocol in ["http/json", "http/protobuf"] {
        let partial = format!(
            "weir_otlp_exports_total{{outcome=\"partial\",protocol=\"{protocol}\",signal=\"metrics\"}}"
        );
        assert_eq!(counted.value(&partial), 1.0);
    }
    app.stop().await;
}

/// One endpoint for all signals is what most SDKs are configured with.
#[tokio::test]
async fn traces_and_logs_are_accepted_and_count_nothing() {
    let (app, _directory) = start(&[]).await;
    for (path, name, field) in [
        (
            "/v1/traces",
            "trace.v1.ExportTraceServiceRequest",
            "resourceSpans",
        ),
        (
            "/v1/logs",
            "logs.v1.ExportLogsServiceRequest",
            "resourceLogs",
        ),
    ] {
        let export = json!({ field: [{ "resource": {} }] });
        let name = format!("opentelemetry.proto.collector.{name}");
        for (kind, body, expected) in [
            (JSON, export.to_string().into_bytes(), "{}"),
            (PROTOBUF, protobuf(&name, &export), ""),
        ] {
            let answer = send(&app, path, &[("Content-Type", kind)], body).await;
            assert_eq!(answer.status(), 200, "{path}");
            assert_eq!(answer.text().await.unwrap(), expected);
        }
        let answer = send(&app, path, &[("Content-Type", JSON)], b"[".to_vec()).await;
        assert_eq!(answer.status(), 400);
        assert_eq!(status(answer).await.0, 3);
    }
    app.stop().await;
}

#[tokio::test]
async fn errors_are_statuses_in_the_encoding_of_the_request() {
    let (app, _directory) = start(&["--max-report-bytes", "4096"]).await;
    let bomb = gzip(&vec![b' '; 1 << 20]);
    for kind in [JSON, PROTOBUF] {
        let of = |encoding| [("Content-Type", kind), ("Content-Encoding", encoding)];
        for (headers, body, expected, code, reason) in [
            (
                of("identity"),
                b"\x0b".to_vec(),
                400,
                3,
                "not a valid message",
            ),
            (of("gzip"), b"{}".to_vec(), 400, 3, "decompressed"),
            (of("identity"), vec![b' '; 4097], 413, 8, "4096 bytes"),
            (of("gzip"), bomb.clone(), 413, 8, "4096 bytes"),
            (of("br"), b"{}".to_vec(), 415, 12, "gzip, zstd or identity"),
        ] {
            let answer = send(&app, "/v1/metrics", &headers, body).await;
            assert_eq!(answer.status(), expected);
            assert_eq!(answer.headers()["content-type"], kind);
            let (given, message) = status(answer).await;
            assert_eq!(given, code, "{message}");
            assert!(message.contains(reason), "{message}");
        }
    }
    for headers in [&[][..], &[("Content-Type", "text/plain")]] {
        let answer = send(&app, "/v1/metrics", headers, b"{}".to_vec()).await;
        assert_eq!(answer.status(), 415);
        assert_eq!(kind(&answer), "application/problem+json");
    }
    app.stop().await;
}

/// A client that waits for `100 Continue` does not send what would be refused.
#[tokio::test]
async fn a_body_that_is_announced_as_too_large_is_not_asked_for() {
    let (app, _directory) = start(&[]).await;
    let address = app.sdk.trim_start_matches("http://");
    for (path, length, kind, expected) in [
        ("/v1/metrics", 5 << 20, JSON, "HTTP/1.1 413"),
        ("/v1/traces", 5 << 20, PROTOBUF, "HTTP/1.1 413"),
        ("/v1/metrics", 2, JSON, "HTTP/1.1 100"),
    ] {
        let mut stream = TcpStream::connect(address).await.unwrap();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: {address}\r\nContent-Type: {kind}\r\n\
             Content-Length: {length}\r\nExpect: 100-continue\r\n\r\n"
        );
        stream.write_all(head.as_bytes()).await.unwrap();
        let mut answer = vec![0; 1024];
        let read = stream.read(&mut answer).await.unwrap();
        let answer = String::from_utf8_lossy(&answer[..read]).to_lowercase();
        assert!(answer.starts_with(&expected.to_lowercase()), "{answer}");
        let own = format!("content-type: {kind}\r\n");
        assert_eq!(answer.contains(&own), length > 2, "{answer}");
    }
    app.stop().await;
}
