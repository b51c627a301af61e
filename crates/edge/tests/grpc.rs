//! Both sides of gRPC, with the client and the server that tonic generates.

#![allow(clippy::unwrap_used, reason = "a failed test says where")]

mod support;

use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::metrics::v1::ExportMetricsServiceRequest;
use opentelemetry_proto::tonic::collector::metrics::v1::metrics_service_client::MetricsServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_client::TraceServiceClient;
use opentelemetry_proto::tonic::collector::trace::v1::trace_service_server::{
    TraceService, TraceServiceServer,
};
use opentelemetry_proto::tonic::collector::trace::v1::{
    ExportTraceServiceRequest, ExportTraceServiceResponse,
};
use opentelemetry_proto::tonic::trace::v1::Span;
use tonic::codec::CompressionEncoding;
use tonic::{Code, Request, Response, Status};

use support::server::{Running, until};
use support::{export, span};

/// A backend that fails first, and then takes spans.
#[derive(Clone, Default)]
struct Backend(Arc<Mutex<Taken>>);

/// Calls, spans, and keys.
type Taken = (u32, Vec<Span>, Vec<String>);

#[tonic::async_trait]
impl TraceService for Backend {
    async fn export(
        &self,
        request: Request<ExportTraceServiceRequest>,
    ) -> Result<Response<ExportTraceServiceResponse>, Status> {
        let mut taken = self.0.lock().unwrap();
        taken.0 += 1;
        if taken.0 == 1 {
            return Err(Status::unavailable("not yet"));
        }
        let key = request
            .metadata()
            .get("api-key")
            .map(|key| key.to_str().unwrap().to_owned());
        taken.2.extend(key);
        let all = request.into_inner().resource_spans.into_iter();
        let scopes = all.flat_map(|of| of.scope_spans);
        taken.1.extend(scopes.flat_map(|scope| scope.spans));
        Ok(Response::new(ExportTraceServiceResponse::default()))
    }
}

#[tokio::test(flavor = "multi_thread")]
async fn spans_come_and_go_over_grpc() {
    let backend = Backend::default();
    let listener = tokio::net::TcpListener::bind("127.0.0.1:0").await.unwrap();
    let url = format!("grpc://{}", listener.local_addr().unwrap());
    let service =
        TraceServiceServer::new(backend.clone()).accept_compressed(CompressionEncoding::Gzip);
    let incoming = tonic::transport::server::TcpIncoming::from(listener);
    let server = tonic::transport::Server::builder().add_service(service);
    tokio::spawn(server.serve_with_incoming(incoming));
    let folder = tempfile::tempdir().unwrap();
    let headers = folder.path().join("headers");
    std::fs::write(&headers, "api-key: secret\n").unwrap();
    let flags = [
        "--backend",
        &url,
        "--backend-headers-file",
        headers.to_str().unwrap(),
        "--initial-probability",
        "1",
    ];
    let edge = Running::start(&flags).await;
    let address = format!("http://{}", edge.addresses.grpc);
    let client = TraceServiceClient::connect(address.clone()).await.unwrap();
    let mut client = client.send_compressed(CompressionEncoding::Gzip);
    let sent = export("shop", vec![span(1, 0), span(1, 1)]);
    let answer = client.export(sent).await.unwrap().into_inner();
    assert_eq!(answer.partial_success, None);
    let no_id = export(
        "shop",
        vec![Span {
            trace_id: vec![],
            ..span(2, 0)
        }],
    );
    let answer = client.export(no_id).await.unwrap().into_inner();
    assert_eq!(answer.partial_success.unwrap().rejected_spans, 1);
    let taken = until("the spans", || {
        let taken = backend.0.lock().unwrap();
        (taken.1.len() == 2).then(|| taken.clone())
    });
    let (_, spans, keys) = taken.await;
    assert!(spans.iter().all(|span| span.trace_state == "ot=th:0"));
    assert_eq!(keys, ["secret"]);
    // The backend has no service for metrics: they are lost, and counted.
    let mut metrics = MetricsServiceClient::connect(address).await.unwrap();
    metrics
        .export(ExportMetricsServiceRequest::default())
        .await
        .unwrap();
    edge.until_metric(
        "weir_edge_bodies_lost_total",
        &["refused", "metrics"],
        |lost| lost == 1.0,
    )
    .await;
    edge.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_call_that_is_wrong_gets_a_status() {
    let edge = Running::start(&[
        "--backend",
        "http://127.0.0.1:9",
        "--body-bytes-max",
        "64KiB",
    ])
    .await;
    let client = TraceServiceClient::connect(format!("http://{}", edge.addresses.grpc))
        .await
        .unwrap();
    let many = export("shop", (0..2_000).map(|trace| span(trace, 0)).collect());
    let status = client.clone().export(many).await.unwrap_err();
    assert_eq!(status.code(), Code::ResourceExhausted, "{status}");
    assert!(status.message().contains("65536"));
    let channel =
        tonic::transport::Channel::from_shared(format!("http://{}", edge.addresses.http)).unwrap();
    let mut other = tonic::client::Grpc::new(channel.connect().await.unwrap());
    other.ready().await.unwrap();
    let codec = tonic_codec();
    let path = tonic::codegen::http::uri::PathAndQuery::from_static("/some.Service/Call");
    let status = other.unary::<_, ExportTraceServiceResponse, _>(
        Request::new(ExportTraceServiceRequest::default()),
        path,
        codec,
    );
    assert_eq!(status.await.unwrap_err().code(), Code::Unimplemented);
    drop(client);
}

fn tonic_codec() -> tonic_prost::ProstCodec<ExportTraceServiceRequest, ExportTraceServiceResponse> {
    tonic_prost::ProstCodec::default()
}
