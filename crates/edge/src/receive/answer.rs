//! Answers to senders, in the encoding of their request.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use bytes::{BufMut, Bytes, BytesMut};
use hyper::body::{Body, Frame};
use hyper::header::{ALLOW, CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use hyper::{Response, StatusCode};

use super::{Protocol, Refused};
use crate::core::Pushed;
use crate::grpc;
use crate::otlp::wire::{put_bytes, put_varint};

/// When senders may try again, in seconds.
const RETRY_AFTER_SECONDS: &str = "1";

/// An answer: a body of HTTP, or a message and the trailers of gRPC.
pub(crate) struct Answer(pub Response<Whole>);

/// A body that is there, and the trailers after it.
pub(crate) struct Whole {
    data: Option<Bytes>,
    trailers: Option<HeaderMap>,
}

impl Body for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let data = self.data.take().map(Frame::data);
        let next = data.or_else(|| self.trailers.take().map(Frame::trailers));
        Poll::Ready(next.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        self.data.is_none() && self.trailers.is_none()
    }

    fn size_hint(&self) -> hyper::body::SizeHint {
        let bytes = self.data.as_ref().map_or(0, Bytes::len);
        hyper::body::SizeHint::with_exact(bytes as u64)
    }
}

/// The code of gRPC's statuses that are answered.
#[derive(Debug, Clone, Copy)]
enum Code {
    InvalidArgument = 3,
    ResourceExhausted = 8,
    Unimplemented = 12,
    Unavailable = 14,
}

impl Answer {
    fn new(status: StatusCode, kind: &'static str, body: Vec<u8>) -> Self {
        let mut response = Response::new(Whole {
            data: Some(body.into()),
            trailers: None,
        });
        *response.status_mut() = status;
        let kind = HeaderValue::from_static(kind);
        response.headers_mut().insert(CONTENT_TYPE, kind);
        Self(response)
    }

    /// A line for people.
    pub fn text(status: StatusCode, body: &str) -> Self {
        Self::new(
            status,
            "text/plain; charset=utf-8",
            format!("{body}\n").into(),
        )
    }

    /// A page of another kind, for the admin listener.
    pub fn page(status: StatusCode, body: Vec<u8>) -> Self {
        Self::new(status, "text/plain; version=0.0.4; charset=utf-8", body)
    }

    /// What another edge reads.
    pub fn bytes(body: Vec<u8>) -> Self {
        Self::new(StatusCode::OK, "application/octet-stream", body)
    }

    /// There is no such path.
    pub fn no_path() -> Self {
        Self::text(
            StatusCode::NOT_FOUND,
            "this path does not exist; OTLP over HTTP is at /v1/traces, /v1/metrics and /v1/logs",
        )
    }

    pub fn unknown_kind() -> Self {
        Self::text(
            StatusCode::UNSUPPORTED_MEDIA_TYPE,
            "Content-Type must be application/x-protobuf or application/json",
        )
    }

    pub fn not_post() -> Self {
        let mut answer = Self::text(StatusCode::METHOD_NOT_ALLOWED, "send a POST");
        let allowed = HeaderValue::from_static("POST");
        answer.0.headers_mut().insert(ALLOW, allowed);
        answer
    }

    pub fn no_method() -> Self {
        Self::grpc_failure(Code::Unimplemented, "there is no such method")
    }

    /// There was a panic.
    pub fn broken() -> Self {
        Self::text(
            StatusCode::SERVICE_UNAVAILABLE,
            "the request could not be answered",
        )
    }

    /// An export was taken, but for some of its spans.
    pub fn taken(protocol: Protocol, pushed: Pushed) -> Self {
        let rejected = pushed.no_id + pushed.too_large;
        let words = format!(
            "{} spans have no valid id of a trace or span, {} are too long",
            pushed.no_id, pushed.too_large
        );
        if let Protocol::HttpJson = protocol {
            let body = match rejected {
                0 => serde_json::json!({}),
                _ => serde_json::json!({
                    "partialSuccess": {"rejectedSpans": rejected.to_string(), "errorMessage": words}
                }),
            };
            return Self::new(StatusCode::OK, "application/json", body.to_string().into());
        }
        let mut message = Vec::new();
        if rejected > 0 {
            let mut partial = Vec::new();
            put_varint(&mut partial, 1 << 3);
            put_varint(&mut partial, rejected);
            put_bytes(&mut partial, 2, words.as_bytes());
            put_bytes(&mut message, 1, &partial);
        }
        match protocol {
            Protocol::Grpc => Self::grpc_message(&message),
            _ => Self::new(StatusCode::OK, "application/x-protobuf", message),
        }
    }

    /// An export was not taken.
    pub fn refused(protocol: Protocol, refused: &Refused) -> Self {
        let status = refused.status();
        let code = match refused {
            Refused::Malformed(_) => Code::InvalidArgument,
            Refused::TooLarge(_) => Code::ResourceExhausted,
            Refused::Unsupported(_) => Code::Unimplemented,
            Refused::TooSlow | Refused::Overloaded => Code::Unavailable,
        };
        let words = refused.to_string();
        let mut answer = match protocol {
            Protocol::Grpc => return Self::grpc_failure(code, &words),
            Protocol::HttpJson => {
                let body = serde_json::json!({"code": code as u32, "message": words});
                Self::new(status, "application/json", body.to_string().into())
            }
            Protocol::HttpProtobuf => {
                // `google.rpc.Status`.
                let mut body = Vec::new();
                put_varint(&mut body, 1 << 3);
                put_varint(&mut body, code as u64);
                put_bytes(&mut body, 2, words.as_bytes());
                Self::new(status, "application/x-protobuf", body)
            }
        };
        if status == StatusCode::SERVICE_UNAVAILABLE {
            let seconds = HeaderValue::from_static(RETRY_AFTER_SECONDS);
            answer.0.headers_mut().insert(RETRY_AFTER, seconds);
        }
        answer
    }

    fn grpc_message(message: &[u8]) -> Self {
        let mut framed = BytesMut::with_capacity(grpc::HEADER + message.len());
        framed.put_u8(0);
        framed.put_u32(message.len() as u32);
        framed.put_slice(message);
        let mut trailers = HeaderMap::new();
        trailers.insert("grpc-status", HeaderValue::from_static("0"));
        let mut answer = Self::new(StatusCode::OK, "application/grpc", Vec::new());
        *answer.0.body_mut() = Whole {
            data: Some(framed.freeze()),
            trailers: Some(trailers),
        };
        answer
    }

    /// A failure is in the headers alone.
    fn grpc_failure(code: Code, words: &str) -> Self {
        let mut answer = Self::new(StatusCode::OK, "application/grpc", Vec::new());
        answer.0.body_mut().data = None;
        let headers = answer.0.headers_mut();
        headers.insert("grpc-status", HeaderValue::from(code as u32));
        if let Ok(words) = percent(words).parse() {
            headers.insert("grpc-message", words);
        }
        answer
    }
}

/// What gRPC asks for in `grpc-message`.
fn percent(words: &str) -> String {
    let escaped = |byte: u8| match byte {
        b' '..=b'~' if byte != b'%' => (byte as char).to_string(),
        _ => format!("%{byte:02X}"),
    };
    words.bytes().map(escaped).collect()
}
