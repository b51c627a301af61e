//! An edge through its front doors: real sockets, a backend and a Weir that record what they are sent.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

mod faults;
mod peers;
mod recorded;
#[path = "../support/mod.rs"]
mod support;
mod tls;

use std::collections::BTreeMap;
use std::io::Write;
use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use bytes::Bytes;
use http_body_util::Full;
use hyper::Response;
use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::metrics::v1::ResourceMetrics;
use opentelemetry_proto::tonic::trace::v1::Span;
use prost::Message;
use serde_json::{Value, json};

use support::server::{Recorded, Running, Server, status, until};
use support::{bytes, export, failed, lasting, span, spans, text};

const PROTOBUF: (&str, &str) = ("content-type", "application/x-protobuf");

fn plan(number: u64, rest: f64) -> Value {
    json!({
        "plan": number,
        "default": {"governed": "head", "probabilities": {"error": 1, "slow": 1, "tagged": 1, "rest": 1}},
        "services": [{"service": "shop", "governed": "tail",
            "default": {"error": 1, "slow": 1, "tagged": 1, "rest": rest}}],
        "tagged": [{"name": "actors", "attributes": {"test.actor": "*"}, "cap_traces_per_second": 1000}]
    })
}

/// Answers plans and reports. The plan's tag is its number.
fn weir(plan: Value) -> impl Fn(&Recorded) -> Response<Full<Bytes>> + Send + Sync {
    move |request| {
        if !request.path.starts_with("/v1/edges/plan") {
            return status(200);
        }
        let tag = format!("\"{}\"", plan["plan"]);
        if request.headers.get("if-none-match") == Some(&tag) {
            return status(304);
        }
        let mut response = Response::new(Full::new(plan.to_string().into()));
        response.headers_mut().insert("etag", tag.parse().unwrap());
        response
    }
}

fn taken_spans(backend: &Server) -> Vec<Span> {
    let all = backend.at_path("/v1/traces");
    all.iter().flat_map(|one| spans(&one.body)).collect()
}

/// Offered and sampled by operation and class, of all reports.
fn reported(weir: &Server) -> BTreeMap<String, (u64, u64)> {
    let mut counts = BTreeMap::new();
    for report in weir.at_path("/v1/reports") {
        let report: Value = serde_json::from_slice(&report.body).unwrap();
        for service in report["services"].as_array().unwrap() {
            for of in service["operations"].as_array().unwrap() {
                let name = |value: &Value| value.as_str().unwrap().to_owned();
                let key = [
                    name(&service["service"]),
                    name(&of["operation"]),
                    name(&of["class"]),
                ]
                .join("|");
                let count: &mut (u64, u64) = counts.entry(key).or_default();
                count.0 += of["offered"].as_u64().unwrap();
                count.1 += of["sampled"].as_u64().unwrap();
            }
        }
    }
    counts
}

async fn following(weir: &Server, backend: &Server, flags: &[&str]) -> Running {
    let (weir, backend) = (weir.url(), backend.url());
    let mut line = vec!["--weir", &*weir, "--backend", &*backend, "--name", "edge-1"];
    line.extend(flags);
    let edge = Running::start(&line).await;
    edge.until_metric("weir_edge_plan", &[], |plan| plan > 0.0)
        .await;
    edge
}

#[tokio::test(flavor = "multi_thread")]
async fn every_class_is_kept_whole_and_counted() {
    let (weir, backend) = (
        Server::start(weir(plan(7, 0.0))).await,
        Server::start(|_| status(200)).await,
    );
    let edge = following(&weir, &backend, &[]).await;
    for trace in 0..100 {
        let mut root = span(trace, 0);
        match trace % 10 {
            0 => root = failed(root),
            1 => root = lasting(root, 900),
            2 => root.attributes.push(text("test.actor", "a")),
            _ => {}
        }
        // A trace comes in several exports.
        edge.traces(bytes("shop", vec![span(trace, 1), span(trace, 2)]))
            .await;
        edge.traces(bytes("shop", vec![root])).await;
    }
    edge.until_metric("weir_edge_spans_sent_total", &[], |sent| sent == 90.0)
        .await;
    edge.until_metric("weir_edge_spans_total", &["dropped"], |dropped| {
        dropped == 210.0
    })
    .await;
    let kept = taken_spans(&backend);
    assert!(kept.iter().all(|span| span.trace_state == "ot=th:0"));
    let counts = until("all counts", || {
        let counts = reported(&weir);
        (counts.values().map(|count| count.0).sum::<u64>() == 100).then_some(counts)
    });
    let counts = counts.await;
    let expected = [
        ("error", (10, 10)),
        ("rest", (70, 0)),
        ("slow", (10, 10)),
        ("tagged", (10, 10)),
    ];
    let expected = expected.map(|(class, count)| (format!("shop|GET /|{class}"), count));
    assert_eq!(counts, BTreeMap::from(expected));
    assert_eq!(
        edge.metric("weir_edge_requests_total", &["GET /"]).await,
        100.0
    );
    assert_eq!(
        edge.metric("weir_edge_request_errors_total", &["GET /"])
            .await,
        10.0
    );
    edge.stop().await;
    let last = weir.at_path("/v1/reports").pop().unwrap();
    let last: Value = serde_json::from_slice(&last.body).unwrap();
    assert_eq!(
        (&last["agent"], &last["last"]),
        (&json!("edge-1"), &json!(true))
    );
}

#[tokio::test(flavor = "multi_thread")]
async fn every_encoding_is_read() {
    let backend = Server::start(|_| status(200)).await;
    let url = backend.url();
    let edge = Running::start(&[
        "--backend",
        &url,
        "--initial-probability",
        "1",
        "--backend-compression",
        "none",
    ])
    .await;
    let gzip = |body: Vec<u8>| {
        let mut packed = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
        packed.write_all(&body).unwrap();
        packed.finish().unwrap()
    };
    let zstd = |body: Vec<u8>| zstd::encode_all(&body[..], 1).unwrap();
    let json = br#"{"resourceSpans": [{"scopeSpans": [{"spans": [{
        "traceId": "00000000000000000000000000000004", "spanId": "0000000000000004", "name": "GET /"}]}]}]}"#;
    for (headers, body) in [
        (vec![PROTOBUF], bytes("shop", vec![span(1, 0)])),
        (
            vec![PROTOBUF, ("content-encoding", "gzip")],
            gzip(bytes("shop", vec![span(2, 0)])),
        ),
        (
            vec![PROTOBUF, ("content-encoding", "zstd")],
            zstd(bytes("shop", vec![span(3, 0)])),
        ),
        (
            vec![("content-type", "application/json; charset=utf-8")],
            json.to_vec(),
        ),
    ] {
        let (status, answer) = edge.post("/v1/traces", &headers, body).await;
        assert_eq!(
            status,
            200,
            "{headers:?} {}",
            String::from_utf8_lossy(&answer)
        );
    }
    edge.until_metric("weir_edge_spans_sent_total", &[], |sent| sent == 4.0)
        .await;
    assert_eq!(taken_spans(&backend).len(), 4);
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_cannot_be_read_is_refused_with_a_reason() {
    let backend = Server::start(|_| status(200)).await;
    let url = backend.url();
    let edge = Running::start(&["--backend", &url, "--body-bytes-max", "64KiB"]).await;
    let mut bomb = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::best());
    bomb.write_all(&vec![0; 50 << 20]).unwrap();
    let bomb = bomb.finish().unwrap();
    let json = ("content-type", "application/json");
    for (path, headers, body, expected, part) in [
        (
            "/v1/traces",
            vec![PROTOBUF],
            vec![0x0a, 0xff],
            400,
            "ends early",
        ),
        (
            "/v1/traces",
            vec![json],
            b"{\"resourceSpans\": 7}".to_vec(),
            400,
            "resourceSpans",
        ),
        (
            "/v1/traces",
            vec![PROTOBUF, ("content-encoding", "gzip")],
            vec![1, 2, 3],
            400,
            "gzip",
        ),
        (
            "/v1/traces",
            vec![PROTOBUF, ("content-encoding", "gzip")],
            bomb,
            413,
            "65536",
        ),
        (
            "/v1/traces",
            vec![PROTOBUF],
            vec![0; 65 << 10],
            413,
            "65536",
        ),
        (
            "/v1/traces",
            vec![PROTOBUF, ("content-encoding", "br")],
            vec![],
            415,
            "zstd",
        ),
        (
            "/v1/traces",
            vec![("content-type", "text/plain")],
            vec![],
            415,
            "x-protobuf",
        ),
        ("/v1/else", vec![PROTOBUF], vec![], 404, "/v1/traces"),
    ] {
        let (status, answer) = edge.post(path, &headers, body).await;
        let answer = String::from_utf8_lossy(&answer);
        assert_eq!(status, expected, "{path} {headers:?} {answer}");
        assert!(answer.contains(part), "{answer}");
    }
    let no_id = Span {
        span_id: vec![],
        ..span(1, 1)
    };
    let (status, answer) = edge
        .post(
            "/v1/traces",
            &[PROTOBUF],
            bytes("shop", vec![no_id, span(1, 0)]),
        )
        .await;
    assert_eq!(status, 200);
    assert!(String::from_utf8_lossy(&answer).contains("1 spans have no valid id"));
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn nothing_is_held_where_no_service_is_tail_governed_and_senders_wait_for_a_slow_backend() {
    let mut head = plan(7, 0.0);
    head["services"] = json!([]);
    let (weir, backend) = (
        Server::start(weir(head)).await,
        Server::start(|_| status(503)).await,
    );
    let edge = following(
        &weir,
        &backend,
        &["--memory", "16MiB", "--backend-compression", "none"],
    )
    .await;
    let long = |trace| {
        let mut one = span(trace, 0);
        one.attributes.push(text("filler", &"x".repeat(200_000)));
        bytes("shop", vec![one])
    };
    let mut refused = None;
    for trace in 0..100 {
        let (status, _) = edge.post("/v1/traces", &[PROTOBUF], long(trace)).await;
        if status == 503 {
            refused = Some(trace);
            break;
        }
    }
    let taken = refused.unwrap();
    assert!(edge.metric("weir_edge_queue_bytes", &[]).await <= f64::from(4 << 20));
    backend.answer(|_| status(200));
    edge.until_metric("weir_edge_spans_sent_total", &[], |sent| {
        sent == taken as f64
    })
    .await;
    assert_eq!(edge.metric("weir_edge_spans_lost_total", &[]).await, 0.0);
    let third = spans(&long(3)).remove(0);
    assert!(taken_spans(&backend).contains(&third), "passed as it came");
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn metrics_and_logs_pass_untouched() {
    let backend = Server::start(|_| status(200)).await;
    let url = backend.url();
    let edge = Running::start(&["--backend", &url]).await;
    for signal in ["metrics", "logs"] {
        // A field that nobody knows: nothing is decoded.
        let body = vec![0x0a, 2, 0x7a, 0];
        let (status, _) = edge
            .post(&format!("/v1/{signal}"), &[PROTOBUF], body.clone())
            .await;
        assert_eq!(status, 200);
        let path = format!("/v1/{signal}");
        let sent = until("the body", || backend.at_path(&path).pop()).await;
        assert_eq!(sent.body, body);
    }
    edge.stop().await;
}

/// Weir counts head-governed services from their metrics, and this edge counts the others.
#[tokio::test(flavor = "multi_thread")]
async fn metrics_go_to_weir_too_but_for_services_that_are_counted_here() {
    let (weir, backend) = (
        Server::start(weir(plan(7, 0.0))).await,
        Server::start(|_| status(200)).await,
    );
    let folder = tempfile::tempdir().unwrap();
    let token = folder.path().join("token");
    std::fs::write(&token, "secret").unwrap();
    let flags = [
        "--metrics-to-weir",
        "--weir-token-file",
        token.to_str().unwrap(),
    ];
    let edge = following(&weir, &backend, &flags).await;
    let of = |service: &str| ResourceMetrics {
        resource: export(service, vec![]).resource_spans.remove(0).resource,
        ..ResourceMetrics::default()
    };
    let body = |services: &[&str]| {
        let resource_metrics = services.iter().map(|service| of(service)).collect();
        ExportMetricsServiceRequest { resource_metrics }.encode_to_vec()
    };
    for services in [&["shop"][..], &["shop", "old", "other"]] {
        let (status, _) = edge.post("/v1/metrics", &[PROTOBUF], body(services)).await;
        assert_eq!(status, 200);
    }
    let sent = until("the metrics at Weir", || weir.at_path("/v1/metrics").pop()).await;
    assert_eq!(sent.body, body(&["old", "other"]));
    assert_eq!(sent.headers["authorization"], "Bearer secret");
    // The backend has everything, as one body or two.
    let all = [body(&["shop"]), body(&["shop", "old", "other"])].concat();
    let taken = || {
        let bodies = backend.at_path("/v1/metrics").into_iter();
        let taken: Vec<u8> = bodies.flat_map(|one| one.body).collect();
        (taken == all).then_some(())
    };
    until("the metrics at the backend", taken).await;
    let (status, _) = edge.post("/v1/metrics", &[PROTOBUF], vec![0x0a, 9]).await;
    assert_eq!(status, 200);
    edge.until_metric(
        "weir_edge_bodies_lost_total",
        &["weir", "malformed"],
        |lost| lost == 1.0,
    )
    .await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_metric_is_documented() {
    let (weir, backend) = (
        Server::start(weir(plan(7, 0.0))).await,
        Server::start(|_| status(200)).await,
    );
    let edge = following(&weir, &backend, &[]).await;
    edge.traces(bytes("shop", vec![failed(span(1, 0))])).await;
    edge.until_metric("weir_edge_spans_sent_total", &[], |sent| sent == 1.0)
        .await;
    let (_, text) = edge.get("/metrics").await;
    let page = include_str!("../../../../docs/edge.md");
    for line in text
        .lines()
        .filter_map(|line| line.strip_prefix("# TYPE weir_edge"))
    {
        let name = format!("weir_edge{}", line.split(' ').next().unwrap());
        assert!(page.contains(&name), "docs/edge.md does not have {name}");
    }
    edge.stop().await;
}
