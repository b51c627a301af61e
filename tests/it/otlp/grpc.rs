//! Exports over gRPC, as SDKs and Collectors send them.

use prost::Message;
use prost_reflect::prost_types::Any;
use serde_json::json;
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tonic::Code;

use super::messages::{METRICS, fixture, json as read, protobuf};
use super::{WITHOUT_A_TIME, gzip, start, without_a_time};
use crate::support::app::TestApp;
use crate::support::grpc::{Answer, Raw, framed};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const EXPORT: &str = "/opentelemetry.proto.collector.metrics.v1.MetricsService/Export";
const RESPONSE: &str = "opentelemetry.proto.collector.metrics.v1.ExportMetricsServiceResponse";
const GZIP: &[(&str, &str)] = &[("grpc-encoding", "gzip")];

/// The message of an answer.
fn message(answer: &Answer) -> &[u8] {
    assert_eq!(answer.code(), Some(0), "{answer:?}");
    &answer.body[5..]
}

async fn exports(app: &TestApp, outcome: &str) -> f64 {
    Scrape::of(app).await.value(&format!(
        "weir_otlp_exports_total{{outcome=\"{outcome}\",protocol=\"grpc\",signal=\"metrics\"}}"
    ))
}

#[tokio::test]
async fn exports_of_all_signals_are_taken() {
    let (app, _directory) = start(&[]).await;
    let mut raw = Raw::connect(app.grpc()).await;
    let body = protobuf(METRICS, &fixture("http-cumulative"));
    for (headers, framed) in [
        (&[][..], framed(0, &body)),
        (GZIP, framed(1, &gzip(&body))),
        (&[], framed(0, b"")),
    ] {
        let answer = raw.call(EXPORT, headers, framed).await;
        assert_eq!(message(&answer), b"");
    }
    assert_eq!(exports(&app, "accepted").await, 3.0);
    for service in ["trace.v1.TraceService", "logs.v1.LogsService"] {
        let path = format!("/opentelemetry.proto.collector.{service}/Export");
        let answer = raw.call(&path, &[], framed(0, b"\x0a\x00")).await;
        assert_eq!(message(&answer), b"");
    }
    let unknown = EXPORT.replace("/Export", "/Import");
    let answer = raw.call(&unknown, &[], framed(0, b"")).await;
    assert_eq!(answer.code(), Some(Code::Unimplemented as i32));
    app.stop().await;
}

#[tokio::test]
async fn points_that_are_not_counted_are_rejected_with_the_reason() {
    let (app, _directory) = start(&[]).await;
    let mut raw = Raw::connect(app.grpc()).await;
    let body = protobuf(METRICS, &without_a_time());
    let answer = raw.call(EXPORT, &[], framed(0, &body)).await;
    let expected = json!({ "partialSuccess": {
        "rejectedDataPoints": "2", "errorMessage": WITHOUT_A_TIME,
    } });
    assert_eq!(read(RESPONSE, message(&answer)), expected);
    assert_eq!(exports(&app, "partial").await, 1.0);
    app.stop().await;
}

#[tokio::test]
async fn what_cannot_be_read_must_not_be_sent_again() {
    let (app, _directory) = start(&["--max-report-bytes", "4096"]).await;
    let mut raw = Raw::connect(app.grpc()).await;
    let bomb = gzip(&vec![0; 1 << 20]);
    for (headers, body, code) in [
        (&[][..], framed(0, b"\x0b"), Code::InvalidArgument),
        (&[], framed(0, &[0; 4097]), Code::ResourceExhausted),
        (GZIP, framed(1, &bomb), Code::ResourceExhausted),
        (GZIP, framed(1, b"no gzip"), Code::Internal),
    ] {
        let answer = raw.call(EXPORT, headers, body).await;
        assert_eq!(answer.code(), Some(code as i32), "{answer:?}");
        // With these details a sender would send it again.
        assert_eq!(answer.headers.get("grpc-status-details-bin"), None);
    }
    assert_eq!(exports(&app, "malformed").await, 2.0);
    assert_eq!(exports(&app, "too_large").await, 2.0);
    app.stop().await;
}

#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Any>,
}

/// Bodies that stop one byte before their end fill the room that reports and exports share.
#[tokio::test(flavor = "multi_thread")]
async fn a_sender_that_finds_no_room_is_told_when_to_send_again() {
    let most: usize = 32 << 20;
    let (app, _directory) = start(&["--max-report-bytes", &most.to_string()]).await;
    let address = app.sdk.trim_start_matches("http://").to_owned();
    // Each sends all but the last byte, and begins again when it is given up.
    let mut stalling = tokio::task::JoinSet::new();
    for path in ["/v1/reports", "/v1/metrics", "/v1/traces", "/v1/metrics"] {
        let address = address.clone();
        let head = format!(
            "POST {path} HTTP/1.1\r\nHost: weir\r\nContent-Type: application/json\r\n\
             Content-Length: {most}\r\n\r\n"
        );
        stalling.spawn(async move {
            loop {
                let mut stream = TcpStream::connect(&address).await.unwrap();
                let sent = async {
                    stream.write_all(head.as_bytes()).await?;
                    stream.write_all(&vec![b' '; most - 1]).await?;
                    stream.read_to_string(&mut String::new()).await
                };
                // One that was given up may find its connection closed.
                let _ = sent.await;
            }
        });
    }
    let full = eventually(
        std::time::Duration::from_secs(60),
        "a full room",
        async || {
            let mut raw = Raw::connect(app.grpc()).await;
            let body = protobuf(METRICS, &fixture("http-cumulative"));
            let answer = raw.call(EXPORT, &[], framed(0, &body)).await;
            (answer.code() == Some(Code::Unavailable as i32)).then_some(answer)
        },
    )
    .await;
    assert_eq!(full.message(), "too many large bodies are being read");
    let details = full.headers["grpc-status-details-bin"].as_bytes();
    let config = base64::engine::general_purpose::STANDARD_NO_PAD;
    let details = base64::Engine::decode(&config, details).unwrap();
    let status = Status::decode(&details[..]).unwrap();
    assert_eq!(status.code, Code::Unavailable as i32);
    let [retry] = &status.details[..] else {
        panic!("{status:?}")
    };
    assert_eq!(retry.type_url, "type.googleapis.com/google.rpc.RetryInfo");
    // The delay, of 2 seconds.
    assert_eq!(retry.value, [10, 2, 8, 2]);
    assert!(exports(&app, "overloaded").await >= 1.0);
    stalling.abort_all();
    app.stop().await;
}
