//! One attempt to send a batch to a backend: over HTTP or gRPC.
//!
//! # Source
//! OTLP 1.9, "OTLP/HTTP" and "OTLP/gRPC": which answers may be tried again, and `partial_success`.

use std::io::Write;
use std::time::Duration;

use bytes::{BufMut, Bytes, BytesMut};
use flate2::write::GzEncoder;
use http_body_util::{BodyExt, Full, Limited};
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Method, Request, Response, StatusCode, Version};
use hyper_rustls::HttpsConnector;
use hyper_util::client::legacy;
use hyper_util::client::legacy::connect::HttpConnector;

use crate::grpc;
use crate::otlp::json::Signal;
use crate::otlp::wire::Fields;
use crate::settings::{Backend, Compression, Protocol};

/// How long an attempt may take: what SDKs and Collectors wait, too.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The largest answer that is read.
const ANSWER_MAX: usize = 1 << 20;

/// A longer pause that a backend asks for is cut to this.
const PAUSE_MAX: Duration = Duration::from_secs(30);

pub(crate) type Http = legacy::Client<HttpsConnector<HttpConnector>, Full<Bytes>>;

/// What a backend said of a batch.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Answer {
    /// It took the batch, but for this many spans, points or records.
    Taken { rejected: u64 },
    /// It may take it later, after a pause that it may name.
    Later {
        pause: Option<Duration>,
        why: String,
    },
    /// It will never take it.
    Refused { why: String },
}

/// Speaks to a backend.
pub(super) struct Client {
    pub backend: Backend,
    pub http: Http,
    pub compression: Compression,
}

impl Client {
    /// Sends a request in protobuf once.
    pub async fn send(&self, signal: Signal, message: &[u8]) -> Answer {
        let request = match self.backend.protocol {
            Protocol::Http => self.http_request(signal, message),
            Protocol::Grpc => self.grpc_request(signal, message),
        };
        let answered = async {
            let response = self
                .http
                .request(request)
                .await
                .map_err(|error| words(&error))?;
            let (head, body) = response.into_parts();
            let body = Limited::new(body, ANSWER_MAX).collect().await;
            let body = body.map_err(|error| error.to_string())?;
            let trailers = body.trailers().cloned().unwrap_or_default();
            Ok::<_, String>((Response::from_parts(head, ()), body.to_bytes(), trailers))
        };
        let later = |why| Answer::Later { pause: None, why };
        match tokio::time::timeout(TIME_LIMIT, answered).await {
            Ok(Ok((head, body, trailers))) => match self.backend.protocol {
                Protocol::Http => http_answer(&head, &body),
                Protocol::Grpc => grpc_answer(&head, &body, &trailers),
            },
            Ok(Err(why)) => later(why),
            Err(_) => later("no answer in time".into()),
        }
    }

    fn request(&self, path: &str, kind: &'static str, body: Bytes) -> Request<Full<Bytes>> {
        let mut request = Request::new(Full::new(body));
        *request.method_mut() = Method::POST;
        let uri = format!("{}{path}", self.backend.url);
        *request.uri_mut() = uri.parse().expect("the URL was parsed at the start");
        request.headers_mut().extend(self.backend.headers.clone());
        let kind = HeaderValue::from_static(kind);
        request.headers_mut().insert(CONTENT_TYPE, kind);
        request
    }

    fn http_request(&self, signal: Signal, message: &[u8]) -> Request<Full<Bytes>> {
        let path = format!("/v1/{}", signal.name());
        let kind = "application/x-protobuf";
        match self.compression {
            Compression::None => self.request(&path, kind, Bytes::copy_from_slice(message)),
            Compression::Gzip => {
                let mut request = self.request(&path, kind, gzip(message).into());
                let gzip = HeaderValue::from_static("gzip");
                request.headers_mut().insert(CONTENT_ENCODING, gzip);
                request
            }
        }
    }

    fn grpc_request(&self, signal: Signal, message: &[u8]) -> Request<Full<Bytes>> {
        let is_packed = self.compression == Compression::Gzip;
        let packed;
        let message = if is_packed {
            packed = gzip(message);
            &packed
        } else {
            message
        };
        let mut framed = BytesMut::with_capacity(grpc::HEADER + message.len());
        framed.put_u8(u8::from(is_packed));
        framed.put_u32(u32::try_from(message.len()).unwrap_or(u32::MAX));
        framed.put_slice(message);
        let mut request = self.request(grpc::path(signal), "application/grpc", framed.freeze());
        *request.version_mut() = Version::HTTP_2;
        let headers = request.headers_mut();
        headers.insert("te", HeaderValue::from_static("trailers"));
        headers.insert("grpc-timeout", HeaderValue::from_static("10S"));
        if is_packed {
            headers.insert("grpc-encoding", HeaderValue::from_static("gzip"));
        }
        request
    }
}

/// An error with what it is because of.
pub(crate) fn words(error: &dyn std::error::Error) -> String {
    let mut words = error.to_string();
    let mut source = error.source();
    while let Some(cause) = source {
        words = format!("{words}: {cause}");
        source = cause.source();
    }
    words
}

fn gzip(message: &[u8]) -> Vec<u8> {
    let mut encoder = GzEncoder::new(Vec::new(), flate2::Compression::fast());
    encoder
        .write_all(message)
        .expect("writing to memory cannot fail");
    encoder.finish().expect("writing to memory cannot fail")
}

fn pause(headers: &HeaderMap) -> Option<Duration> {
    let seconds = headers.get(RETRY_AFTER)?.to_str().ok()?.parse().ok()?;
    Some(Duration::from_secs(seconds).min(PAUSE_MAX))
}

fn http_answer(head: &Response<()>, body: &[u8]) -> Answer {
    let status = head.status();
    if status.is_success() {
        return Answer::Taken {
            rejected: rejected(body),
        };
    }
    let why = format!("status {}", status.as_u16());
    match status {
        StatusCode::TOO_MANY_REQUESTS
        | StatusCode::BAD_GATEWAY
        | StatusCode::SERVICE_UNAVAILABLE
        | StatusCode::GATEWAY_TIMEOUT => Answer::Later {
            pause: pause(head.headers()),
            why,
        },
        _ => Answer::Refused { why },
    }
}

fn grpc_answer(head: &Response<()>, body: &[u8], trailers: &HeaderMap) -> Answer {
    let status = |headers: &HeaderMap| headers.get("grpc-status")?.to_str().ok()?.parse().ok();
    let code: Option<u32> = status(trailers).or_else(|| status(head.headers()));
    match (head.status(), code) {
        (_, Some(0)) => Answer::Taken {
            rejected: rejected(body.get(grpc::HEADER..).unwrap_or_default()),
        },
        // CANCELLED, DEADLINE_EXCEEDED, RESOURCE_EXHAUSTED, ABORTED, OUT_OF_RANGE, UNAVAILABLE, DATA_LOSS.
        (_, Some(code @ (1 | 4 | 8 | 10 | 11 | 14 | 15))) => Answer::Later {
            pause: None,
            why: format!("gRPC status {code}"),
        },
        (_, Some(code)) => Answer::Refused {
            why: format!("gRPC status {code}"),
        },
        (status, None) if status.is_server_error() || status == StatusCode::TOO_MANY_REQUESTS => {
            Answer::Later {
                pause: pause(head.headers()),
                why: format!("status {} without a gRPC status", status.as_u16()),
            }
        }
        (status, None) => Answer::Refused {
            why: format!("status {} without a gRPC status", status.as_u16()),
        },
    }
}

/// How many a `partial_success` rejects: field 1 of field 1, in all three answers. What is not protobuf says none.
fn rejected(answer: &[u8]) -> u64 {
    let inside = |message, number| {
        let mut fields = Fields::of(message).map_while(Result::ok);
        fields
            .find(|field| field.number == number)
            .map(|field| field.value)
    };
    let partial = inside(answer, 1).and_then(|value| value.bytes().ok());
    let rejected = partial.and_then(|partial| inside(partial, 1));
    rejected.and_then(|value| value.varint().ok()).unwrap_or(0)
}
