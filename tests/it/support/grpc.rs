//! gRPC clients: tonic's, and one that sends any bytes.

use actix_web::web::Bytes;
use h2::client::SendRequest;
use hyper::header::{CONTENT_TYPE, HeaderMap};
use hyper::{Method, Request};
use tokio::net::TcpStream;
use tonic::client::Grpc;
use tonic::codec::CompressionEncoding;
use tonic::codegen::http::uri::PathAndQuery;
use tonic::transport::Channel;
use tonic::{Response, Status};
use tonic_prost::ProstCodec;
use weir::protocols::jaeger::protobuf::{SamplingStrategyParameters, SamplingStrategyResponse};

/// The path of a poll.
pub const POLL: &str = "/jaeger.api_v2.SamplingManager/GetSamplingStrategy";

/// A channel as gRPC clients keep one.
pub async fn channel(url: &str) -> Channel {
    let endpoint = Channel::from_shared(url.to_owned()).expect("a URL");
    endpoint.connect().await.expect("the listener accepts")
}

/// Polls as a generated client does.
pub async fn poll(
    channel: &Channel,
    service: &str,
    compressed: Option<CompressionEncoding>,
) -> Result<Response<SamplingStrategyResponse>, Status> {
    let mut grpc = Grpc::new(channel.clone());
    if let Some(encoding) = compressed {
        grpc = grpc.send_compressed(encoding).accept_compressed(encoding);
    }
    grpc.ready().await.expect("the channel is open");
    let asked = SamplingStrategyParameters {
        service_name: service.into(),
    };
    let path = PathAndQuery::from_static(POLL);
    grpc.unary(tonic::Request::new(asked), path, ProstCodec::default())
        .await
}

/// A message with its header in front, as the protocol says.
pub fn framed(flag: u8, message: &[u8]) -> Vec<u8> {
    let length = u32::try_from(message.len()).expect("a short message");
    [&[flag], &length.to_be_bytes()[..], message].concat()
}

/// Everything that came back.
#[derive(Debug)]
pub struct Answer {
    pub status: u16,
    pub headers: HeaderMap,
    pub body: Bytes,
    pub trailers: HeaderMap,
}

impl Answer {
    /// The status of the call, wherever it is.
    pub fn code(&self) -> Option<i32> {
        let code = self.trailers.get("grpc-status");
        let code = code.or_else(|| self.headers.get("grpc-status"))?;
        code.to_str().ok()?.parse().ok()
    }

    /// Its message, decoded.
    pub fn message(&self) -> String {
        let message = self.headers.get("grpc-message");
        let message = message.map_or(&b""[..], |message| message.as_bytes());
        percent_encoding::percent_decode(message)
            .decode_utf8_lossy()
            .into_owned()
    }
}

/// A connection on which every byte is ours.
pub struct Raw {
    send: SendRequest<Bytes>,
}

impl Raw {
    /// Connects, and speaks HTTP/2 at once.
    pub async fn connect(url: &str) -> Self {
        let address = url.trim_start_matches("http://");
        let stream = TcpStream::connect(address).await.expect("a listener");
        let (send, connection) = h2::client::handshake(stream).await.expect("HTTP/2");
        tokio::spawn(async move {
            // It ends with an error in tests of just that.
            let _ = connection.await;
        });
        Self { send }
    }

    /// A call with this body, and these headers beside the usual ones.
    pub async fn call(&mut self, path: &str, headers: &[(&str, &str)], body: Vec<u8>) -> Answer {
        let mut request = Request::builder()
            .method(Method::POST)
            .uri(format!("http://weir{path}"))
            .header(CONTENT_TYPE, "application/grpc")
            .header("te", "trailers");
        for (name, value) in headers {
            if *name == "content-type" {
                request
                    .headers_mut()
                    .expect("no error so far")
                    .remove(CONTENT_TYPE);
            }
            request = request.header(*name, *value);
        }
        self.send(request.body(()).expect("a request"), body).await
    }

    /// Sends a request, and reads its answer to the end.
    pub async fn send(&mut self, request: Request<()>, body: Vec<u8>) -> Answer {
        let mut send = self
            .send
            .clone()
            .ready()
            .await
            .expect("the connection is open");
        let ends = body.is_empty() && request.method() == Method::GET;
        let (answered, mut stream) = send.send_request(request, ends).expect("sent");
        if !ends {
            // The server may have answered before it has read all.
            let _ = stream.send_data(body.into(), true);
        }
        let (head, mut body) = answered.await.expect("an answer").into_parts();
        let mut read = Vec::new();
        while let Some(data) = body.data().await {
            let data = data.expect("the rest of the answer");
            let _ = body.flow_control().release_capacity(data.len());
            read.extend_from_slice(&data);
        }
        let trailers = body.trailers().await.expect("the end of the answer");
        Answer {
            status: head.status.as_u16(),
            headers: head.headers,
            body: read.into(),
            trailers: trailers.unwrap_or_default(),
        }
    }
}
