//! Answers of one message, sent from bytes that are there already.
//!
//! tonic's own answers encode, copy and compress a message for each call. These send the bytes of a
//! message that was framed and compressed when the plan was installed.

use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::web::Bytes;
use hyper::body::{Body as HttpBody, Frame, SizeHint};
use hyper::header::{CONTENT_TYPE, HeaderName, HeaderValue};
use hyper::{HeaderMap, Response};
use tonic::body::Body;

const ENCODING: HeaderName = HeaderName::from_static("grpc-encoding");
const STATUS: HeaderName = HeaderName::from_static("grpc-status");

/// The answer of a call that succeeded: a framed message, and the trailers that say so.
#[must_use]
pub fn answer(framed: Bytes, packed: bool) -> Response<Body> {
    let mut response = Response::new(Body::new(Message(Next::Message(framed))));
    let headers = response.headers_mut();
    let kind = HeaderValue::from_static("application/grpc");
    headers.insert(CONTENT_TYPE, kind);
    if packed {
        headers.insert(ENCODING, HeaderValue::from_static("gzip"));
    }
    response
}

/// A message, and then the trailers.
struct Message(Next);

enum Next {
    Message(Bytes),
    Trailers,
    Nothing,
}

impl HttpBody for Message {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        let frame = match std::mem::replace(&mut self.0, Next::Nothing) {
            Next::Message(framed) => {
                self.0 = Next::Trailers;
                Some(Frame::data(framed))
            }
            Next::Trailers => {
                let ok = HeaderValue::from_static("0");
                let trailers = HeaderMap::from_iter([(STATUS, ok)]);
                Some(Frame::trailers(trailers))
            }
            Next::Nothing => None,
        };
        Poll::Ready(frame.map(Ok))
    }

    fn is_end_stream(&self) -> bool {
        matches!(self.0, Next::Nothing)
    }
}

/// A body of plain HTTP, in one piece.
pub(super) struct Whole(Option<Bytes>);

impl Whole {
    pub(super) fn new(bytes: Bytes) -> Self {
        Self(Some(bytes))
    }
}

impl HttpBody for Whole {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.take().map(|bytes| Ok(Frame::data(bytes))))
    }

    fn is_end_stream(&self) -> bool {
        self.0.is_none()
    }

    fn size_hint(&self) -> SizeHint {
        let length = self.0.as_ref().map_or(0, Bytes::len);
        SizeHint::with_exact(length as u64)
    }
}
