//! Any bytes as a request: each is read or refused, in whatever pieces it comes, within its bound.

use std::collections::VecDeque;
use std::convert::Infallible;
use std::pin::Pin;
use std::task::{Context, Poll};

use actix_web::web::Bytes;
use futures_util::FutureExt;
use hyper::Request;
use hyper::body::{Body, Frame};
use proptest::prelude::*;
use tonic::Code;
use weir::grpc::message::read;

use crate::support::grpc::framed;

/// The limit of the messages here.
const LIMIT: usize = 64;

/// A request's body, in pieces.
struct Pieces(VecDeque<Bytes>);

impl Body for Pieces {
    type Data = Bytes;
    type Error = Infallible;

    fn poll_frame(
        mut self: Pin<&mut Self>,
        _: &mut Context<'_>,
    ) -> Poll<Option<Result<Frame<Bytes>, Infallible>>> {
        Poll::Ready(self.0.pop_front().map(|piece| Ok(Frame::data(piece))))
    }
}

fn read_now(encoding: Option<&str>, pieces: &[&[u8]]) -> Result<Bytes, Code> {
    let pieces = pieces.iter().map(|piece| Bytes::copy_from_slice(piece));
    let mut request = Request::new(Pieces(pieces.collect()));
    if let Some(encoding) = encoding {
        let encoding = encoding.parse().unwrap();
        request.headers_mut().insert("grpc-encoding", encoding);
    }
    let read = read(request, LIMIT).now_or_never();
    read.expect("all of it is there")
        .map_err(|status| status.code())
}

/// Bytes that are nearly a message, or none at all.
fn bodies() -> impl Strategy<Value = Vec<u8>> {
    let noise = prop::collection::vec(any::<u8>(), 0..200);
    let message = (0..3_u8, prop::collection::vec(any::<u8>(), 0..100));
    let message = message.prop_map(|(flag, bytes)| framed(flag, &bytes));
    let two = (message.clone(), noise.clone()).prop_map(|(first, rest)| [first, rest].concat());
    let lied = (message.clone(), 0..5_usize, any::<u8>()).prop_map(|(mut bytes, at, byte)| {
        bytes[at] = byte;
        bytes
    });
    prop_oneof![noise, message, two, lied]
}

proptest! {
    #[test]
    fn every_body_is_read_or_refused_in_whatever_pieces_it_comes(
        body in bodies(),
        encoding in prop::option::of("gzip|identity|br|"),
        cuts in prop::collection::vec(any::<prop::sample::Index>(), 0..4),
    ) {
        let encoding = encoding.as_deref();
        let whole = read_now(encoding, &[&body]);
        if let Ok(message) = &whole {
            prop_assert!(message.len() <= LIMIT);
        }
        let mut cuts: Vec<usize> = cuts.iter().map(|cut| cut.index(body.len() + 1)).collect();
        cuts.sort_unstable();
        let starts = [0].into_iter().chain(cuts.iter().copied());
        let ends = cuts.iter().copied().chain([body.len()]);
        let pieces: Vec<&[u8]> = starts.zip(ends).map(|(from, to)| &body[from..to]).collect();
        prop_assert_eq!(read_now(encoding, &pieces), whole);
    }

    #[test]
    fn every_message_within_the_limit_is_read(message in prop::collection::vec(any::<u8>(), 0..=LIMIT)) {
        prop_assert_eq!(read_now(None, &[&framed(0, &message)]), Ok(Bytes::from(message)));
    }
}
