//! Polls over gRPC: what Java's SDK, the Collector and Jaeger see.

mod anything;
mod bounds;
mod descriptor;
mod failures;
mod same;

use std::time::Duration;

use serde_json::Value;
use tonic::Code;
use tonic::codec::CompressionEncoding;
use tonic::codegen::tokio_stream::{self, StreamExt};
use tonic_health::pb::health_client::HealthClient;
use tonic_health::pb::{HealthCheckRequest, health_check_response::ServingStatus};
use tonic_reflection::pb::{v1, v1alpha};
use weir::settings::AddressOrOff;

use crate::support::app::{TestApp, config};
use crate::support::grpc::{POLL, Raw, channel, framed, poll};
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

async fn start(flags: &[&str]) -> (TestApp, tempfile::TempDir) {
    let directory = tempfile::tempdir().unwrap();
    (TestApp::start(directory.path(), flags).await, directory)
}

#[tokio::test]
async fn before_anything_is_known_everybody_gets_the_same_small_default() {
    let (app, _directory) = start(&[]).await;
    let channel = channel(app.grpc()).await;
    for service in ["checkout", "", "not known", "a\u{0}b"] {
        let answer = poll(&channel, service, None).await.unwrap();
        assert_eq!(answer.metadata().get("weir-plan").unwrap(), "0");
        let strategy = answer.into_inner();
        let default = f64::from(0.001_f32);
        assert_eq!(strategy.strategy_type, 0);
        let simple = strategy.probabilistic_sampling.unwrap();
        assert_eq!(simple.sampling_rate, default);
        let operations = strategy.operation_sampling.unwrap();
        assert_eq!(operations.default_sampling_probability, default);
        assert!(operations.per_operation_strategies.is_empty());
    }
    let counted = Scrape::of(&app).await;
    let unknown = "weir_polls_total{outcome=\"unknown\",protocol=\"grpc\"}";
    assert_eq!(counted.value(unknown), 4.0);
    assert_eq!(counted.value("weir_grpc_connections"), 1.0);
    app.stop().await;
}

#[tokio::test]
async fn an_answer_is_compressed_for_those_who_can_read_that() {
    let (app, _directory) = start(&[]).await;
    let mut raw = Raw::connect(app.grpc()).await;
    for (offered, packed) in [
        ("identity,gzip", true),
        ("gzip", true),
        ("deflate, gzip ,zstd", true),
        ("identity", false),
        ("x-gzip", false),
    ] {
        let headers = [("grpc-accept-encoding", offered)];
        let answer = raw.call(POLL, &headers, framed(0, b"")).await;
        assert_eq!(answer.code(), Some(0), "{offered}");
        assert_eq!(answer.body[0], u8::from(packed), "{offered}");
        let encoding = answer.headers.get("grpc-encoding");
        assert_eq!(encoding.is_some_and(|named| named == "gzip"), packed);
    }
    let channel = channel(app.grpc()).await;
    let plain = poll(&channel, "a", None).await.unwrap().into_inner();
    let gzip = Some(CompressionEncoding::Gzip);
    let packed = poll(&channel, "a", gzip).await.unwrap().into_inner();
    assert_eq!(packed, plain, "requests may be compressed, too");
    app.stop().await;
}

#[tokio::test]
async fn the_same_port_answers_json_over_http_1() {
    let (app, _directory) = start(&[]).await;
    for path in [
        "/?service=a",
        "/sampling?service=",
        "/api/sampling?service=a%20b",
    ] {
        let over_grpc = app.get(format!("{}{path}", app.grpc())).await;
        let usual = app.get(format!("{}{path}", app.sdk)).await;
        assert_eq!(over_grpc, usual, "{path}");
        assert_eq!(over_grpc.0, 200);
    }
    for path in ["/livez", "/readyz"] {
        assert_eq!(app.get(format!("{}{path}", app.grpc())).await.0, 200);
    }
    let report = app.client.post(format!("{}/v1/reports", app.grpc()));
    assert_eq!(report.send().await.unwrap().status(), 404);
    app.stop().await;
}

/// A client at the wrong port logs what it hears, so it hears where to go.
#[tokio::test]
async fn a_client_at_the_port_of_http_1_hears_where_grpc_is() {
    let (app, _directory) = start(&[]).await;
    let refused = poll(&channel(&app.sdk).await, "a", None).await.unwrap_err();
    assert_eq!(refused.code(), Code::Unimplemented);
    let (_, port) = app.grpc().rsplit_once(':').unwrap();
    let expected = format!("gRPC is on port {port} (--grpc-listen)");
    assert!(refused.message().contains(&expected), "{refused}");
    let mut raw = Raw::connect(&app.sdk).await;
    let get = hyper::Request::get("http://weir/sampling?service=a");
    let answer = raw.send(get.body(()).unwrap(), Vec::new()).await;
    assert_eq!(answer.status, 421);
    let problem: Value = serde_json::from_slice(&answer.body).unwrap();
    assert_eq!(problem["type"], "urn:weir:problem:misdirected");
    app.stop().await;

    let directory = tempfile::tempdir().unwrap();
    let mut settings = config(&["--data-dir", directory.path().to_str().unwrap()]);
    settings.listeners.grpc_listen = AddressOrOff(None);
    let off = TestApp::start_with(settings).await;
    assert_eq!(off.grpc, None);
    let refused = poll(&channel(&off.sdk).await, "a", None).await.unwrap_err();
    assert!(refused.message().contains("gRPC is off"), "{refused}");
    off.stop().await;
}

#[tokio::test]
async fn health_checks_are_answered_and_say_that_a_stop_has_begun() {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.flag("--stop-delay", "1h").start().await;
    let mut client = HealthClient::new(channel(weir.grpc_url()).await);
    let asked = |service: &str| HealthCheckRequest {
        service: service.into(),
    };
    for service in [
        "",
        "jaeger.api_v2.SamplingManager",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
    ] {
        let health = client.check(asked(service)).await.unwrap().into_inner();
        assert_eq!(health.status(), ServingStatus::Serving, "{service}");
    }
    let unknown = client.check(asked("jaeger.api_v2.Sampling")).await;
    assert_eq!(unknown.unwrap_err().code(), Code::NotFound);
    let watched = client.watch(asked("")).await;
    assert_eq!(watched.unwrap_err().code(), Code::Unimplemented);
    weir.signal("TERM");
    eventually(DEADLINE, "the stop is announced", async || {
        let health = client.check(asked("")).await.unwrap().into_inner();
        (health.status() == ServingStatus::NotServing).then_some(())
    })
    .await;
    let polled = poll(&channel(weir.grpc_url()).await, "a", None).await;
    assert!(polled.is_ok(), "polls are still answered");
}

#[tokio::test]
async fn reflection_lists_the_services_and_describes_them() {
    const SERVICES: [&str; 7] = [
        "grpc.health.v1.Health",
        "grpc.reflection.v1.ServerReflection",
        "grpc.reflection.v1alpha.ServerReflection",
        "jaeger.api_v2.SamplingManager",
        "opentelemetry.proto.collector.logs.v1.LogsService",
        "opentelemetry.proto.collector.metrics.v1.MetricsService",
        "opentelemetry.proto.collector.trace.v1.TraceService",
    ];
    let (app, _directory) = start(&[]).await;
    let channel = channel(app.grpc()).await;
    macro_rules! reflected {
        ($version:ident) => {{
            use $version::server_reflection_request::MessageRequest;
            use $version::server_reflection_response::MessageResponse;
            let ask = |asked: MessageRequest| $version::ServerReflectionRequest {
                host: String::new(),
                message_request: Some(asked),
            };
            let file = |symbol: &str| ask(MessageRequest::FileContainingSymbol(symbol.into()));
            let asked = tokio_stream::iter([
                ask(MessageRequest::ListServices(String::new())),
                file("jaeger.api_v2.SamplingManager.GetSamplingStrategy"),
                file("opentelemetry.proto.metrics.v1.Metric"),
            ]);
            let mut client =
                $version::server_reflection_client::ServerReflectionClient::new(channel.clone());
            let answers = client.server_reflection_info(asked).await.unwrap();
            let answers: Vec<_> = answers.into_inner().collect().await;
            let [listed, polls, exports] = &answers[..] else {
                panic!("an answer to each: {answers:?}");
            };
            let listed = listed.as_ref().unwrap().message_response.as_ref().unwrap();
            let MessageResponse::ListServicesResponse(listed) = listed else {
                panic!("services: {listed:?}");
            };
            let mut names: Vec<&str> = listed.service.iter().map(|one| one.name.as_str()).collect();
            names.sort_unstable();
            assert_eq!(names, SERVICES);
            for described in [polls, exports] {
                let described = described.as_ref().unwrap();
                let described = described.message_response.as_ref().unwrap();
                let is_described = matches!(described, MessageResponse::FileDescriptorResponse(_));
                assert!(is_described);
            }
        }};
    }
    reflected!(v1);
    reflected!(v1alpha);
    app.stop().await;
}
