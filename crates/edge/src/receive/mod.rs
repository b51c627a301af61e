//! Exports of senders: OTLP over HTTP and gRPC, both on every listener.
//!
//! # Source
//! OTLP 1.9, "OTLP/HTTP" and "OTLP/gRPC". Senders repeat an export after 429, 502, 503 and 504, and after
//! `UNAVAILABLE`; they drop it after other errors.

mod answer;
mod body;
pub(crate) mod listener;
pub(crate) mod tls;

use std::sync::Arc;

use bytes::{Buf, Bytes};
use hyper::body::Incoming;
use hyper::header::{CONTENT_ENCODING, CONTENT_TYPE};
use hyper::{Method, Request};

pub(crate) use self::answer::Answer;
use self::body::{Encoding, Received, unpack};
pub(crate) use self::body::{Refused, Room, read};
use crate::core::Pushed;
use crate::engine::{Engine, NotTaken};
use crate::grpc;
use crate::otlp::json::{Signal, to_protobuf};

/// What answers exports.
pub(crate) struct Receiver {
    pub engine: Arc<Engine>,
    pub room: Room,
    pub bytes_max: usize,
}

/// How an export was sent.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Protocol {
    HttpProtobuf,
    HttpJson,
    Grpc,
}

impl Protocol {
    fn name(self) -> &'static str {
        match self {
            Self::HttpProtobuf => "http_protobuf",
            Self::HttpJson => "http_json",
            Self::Grpc => "grpc",
        }
    }
}

impl Receiver {
    /// Answers a request.
    pub async fn answer(&self, request: Request<Incoming>) -> Answer {
        let kind = request.headers().get(CONTENT_TYPE);
        let kind = kind.map_or(&b""[..], |kind| kind.as_bytes());
        let kind = kind.split(|byte| *byte == b';').next().unwrap_or_default();
        let kind = kind.trim_ascii();
        let is_grpc = kind == b"application/grpc" || kind == b"application/grpc+proto";
        let path = request.uri().path();
        let signal = Signal::ALL.into_iter().find(|signal| {
            if is_grpc {
                path == grpc::path(*signal)
            } else {
                path.strip_prefix("/v1/") == Some(signal.name())
            }
        });
        let protocol = match kind {
            _ if is_grpc => Protocol::Grpc,
            b"application/x-protobuf" => Protocol::HttpProtobuf,
            b"application/json" => Protocol::HttpJson,
            _ if signal.is_some() => return Answer::unknown_kind(),
            _ => return Answer::no_path(),
        };
        let Some(signal) = signal else {
            return if is_grpc {
                Answer::no_method()
            } else {
                Answer::no_path()
            };
        };
        if request.method() != Method::POST {
            return Answer::not_post();
        }
        let taken = self.take(signal, protocol, request).await;
        self.count(signal, protocol, &taken);
        match taken {
            Ok(pushed) => Answer::taken(protocol, pushed),
            Err(refused) => Answer::refused(protocol, &refused),
        }
    }

    fn count(&self, signal: Signal, protocol: Protocol, taken: &Result<Pushed, Refused>) {
        let outcome = match taken {
            Ok(pushed) if *pushed == Pushed::default() => "taken",
            Ok(_) => "taken_in_part",
            Err(Refused::Malformed(_)) => "malformed",
            Err(Refused::TooLarge(_)) => "too_large",
            Err(Refused::Unsupported(_)) => "unsupported",
            Err(Refused::TooSlow) => "too_slow",
            Err(Refused::Overloaded) => "overloaded",
        };
        let labels = [signal.name(), protocol.name(), outcome];
        self.engine.metrics.exports.with_label_values(&labels).inc();
    }

    async fn take(
        &self,
        signal: Signal,
        protocol: Protocol,
        request: Request<Incoming>,
    ) -> Result<Pushed, Refused> {
        let received = match protocol {
            Protocol::Grpc => self.grpc(request).await?,
            Protocol::HttpProtobuf | Protocol::HttpJson => self.http(request).await?,
        };
        let body = match protocol {
            Protocol::HttpJson => {
                let read = to_protobuf(signal, &received.bytes);
                let read = read.map_err(|error| Refused::Malformed(error.to_string()))?;
                Bytes::from(read)
            }
            _ => received.bytes.clone(),
        };
        let taken = match signal {
            Signal::Traces => self.engine.take_traces(&body),
            _ => self.engine.pass(signal, &body).map(|()| Pushed::default()),
        };
        taken.map_err(|not_taken| match not_taken {
            NotTaken::Unreadable(unreadable) => Refused::Malformed(unreadable.to_string()),
            NotTaken::NoRoom => Refused::Overloaded,
        })
    }

    async fn http(&self, request: Request<Incoming>) -> Result<Received, Refused> {
        let named = request.headers().get(CONTENT_ENCODING);
        let encoding = Encoding::named(named.map(|named| named.as_bytes()))?;
        let packed = read(&self.room, request.into_body(), self.bytes_max).await?;
        unpack(&self.room, packed, encoding, self.bytes_max)
    }

    async fn grpc(&self, request: Request<Incoming>) -> Result<Received, Refused> {
        let named = request.headers().get("grpc-encoding");
        let encoding = Encoding::named(named.map(|named| named.as_bytes()))?;
        let most = self.bytes_max + grpc::HEADER;
        let received = read(&self.room, request.into_body(), most).await;
        let mut framed = received.map_err(|refused| match refused {
            Refused::TooLarge(_) => Refused::TooLarge(self.bytes_max),
            other => other,
        })?;
        let wrong = |what: &str| Refused::Malformed(format!("gRPC: {what}"));
        if framed.bytes.len() < grpc::HEADER {
            return Err(wrong("there is no message"));
        }
        let is_packed = framed.bytes.get_u8();
        let length = framed.bytes.get_u32() as usize;
        if framed.bytes.len() != length {
            return Err(wrong("the method takes one whole message"));
        }
        match (is_packed, encoding) {
            (0, _) => Ok(framed),
            (1, Encoding::Identity) => Err(wrong(
                "grpc-encoding does not say how the message is compressed",
            )),
            (1, _) => unpack(&self.room, framed, encoding, self.bytes_max),
            _ => Err(wrong("the first byte of a message must be 0 or 1")),
        }
    }
}
