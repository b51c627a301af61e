//! A gRPC message on the wire: one byte that says whether it is compressed, four for its length,
//! and the message.
//!
//! # Source
//! gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`), and `statuscodes.md` for the code of each failure.

use std::io::Read;
use std::ops::Deref;

use actix_web::web::{Buf, Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use hyper::body::{Body, Frame};
use hyper::{HeaderMap, Request};
use tonic::Status;

use crate::http::body::{BodyRoom, NoRoom, Reservation, UNPACKED_AT_ONCE};

/// The bytes in front of a message.
pub const HEADER: usize = 5;

/// The request header that names the compression of its messages.
const ENCODING: &str = "grpc-encoding";

/// The header that lists the compressions a peer can read.
const ACCEPT_ENCODING: &str = "grpc-accept-encoding";

/// A message with its header in front.
#[must_use]
pub fn frame(message: &[u8], packed: bool) -> Bytes {
    let length = u32::try_from(message.len()).expect("a message has at most 4 MiB");
    let mut framed = Vec::with_capacity(HEADER + message.len());
    framed.push(u8::from(packed));
    framed.extend_from_slice(&length.to_be_bytes());
    framed.extend_from_slice(message);
    framed.into()
}

/// Whether the client can read gzip.
#[must_use]
pub fn accepts_gzip(headers: &HeaderMap) -> bool {
    let offered = headers.get_all(ACCEPT_ENCODING).into_iter();
    offered
        .filter_map(|offer| offer.to_str().ok())
        .flat_map(|offer| offer.split(','))
        .any(|offer| offer.trim() == "gzip")
}

/// The compression of a request's messages.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
enum Encoding {
    Identity,
    Gzip,
}

impl Encoding {
    fn of(headers: &HeaderMap) -> Result<Self, Status> {
        match headers.get(ENCODING).map(|named| named.as_bytes()) {
            None | Some(b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(_) => {
                let mut status =
                    Status::unimplemented("messages may be compressed with gzip, or not at all");
                let known = "gzip, identity".parse().expect("it is ASCII");
                status.metadata_mut().insert(ACCEPT_ENCODING, known);
                Err(status)
            }
        }
    }
}

/// Reads the message of a unary request, of at most `limit` bytes before and after decompression.
///
/// # Errors
/// gRPC's own status for what is wrong with it.
pub async fn read<B>(request: Request<B>, limit: usize) -> Result<Bytes, Status>
where
    B: Body<Data = Bytes> + Unpin,
{
    Ok(receive(request, Received::new(limit, None)).await?.bytes)
}

/// Reads the message of a unary request, of at most `limit` bytes before and after decompression, if
/// there is room for it.
///
/// # Errors
/// gRPC's own status for what is wrong with it; `UNAVAILABLE` if there is no room.
pub async fn read_in<B>(
    room: &BodyRoom,
    request: Request<B>,
    limit: usize,
) -> Result<Message, Status>
where
    B: Body<Data = Bytes> + Unpin,
{
    let room = room.reserve().map_err(no_room)?;
    receive(request, Received::new(limit, Some(room))).await
}

/// A message, with the room that it occupies while it exists.
#[derive(Debug)]
pub struct Message {
    bytes: Bytes,
    _room: Option<Reservation>,
}

impl Deref for Message {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

async fn receive<B>(request: Request<B>, mut received: Received) -> Result<Message, Status>
where
    B: Body<Data = Bytes> + Unpin,
{
    let encoding = Encoding::of(request.headers())?;
    let mut body = request.into_body();
    while let Some(frame) = next(&mut body).await {
        let frame = frame.map_err(|_| Status::cancelled("the request was not sent to its end"))?;
        if let Ok(data) = frame.into_data() {
            received.add(data)?;
        }
    }
    received.message(encoding)
}

async fn next<B: Body + Unpin>(body: &mut B) -> Option<Result<Frame<B::Data>, B::Error>> {
    std::future::poll_fn(|context| std::pin::Pin::new(&mut *body).poll_frame(context)).await
}

/// What has come of a message and its header. Never holds more than both may have.
struct Received {
    bytes: Pieces,
    limit: usize,
    room: Option<Reservation>,
}

/// Nearly every request comes in one piece, which is not copied.
enum Pieces {
    One(Bytes),
    Many(BytesMut),
}

impl Pieces {
    fn bytes(&self) -> &[u8] {
        match self {
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes,
        }
    }

    fn add(&mut self, data: Bytes) {
        match self {
            Self::One(before) if before.is_empty() => *self = Self::One(data),
            Self::One(before) => {
                let mut all = BytesMut::from(&before[..]);
                all.extend_from_slice(&data);
                *self = Self::Many(all);
            }
            Self::Many(all) => all.extend_from_slice(&data),
        }
    }

    fn into_bytes(self) -> Bytes {
        match self {
            Self::One(bytes) => bytes,
            Self::Many(bytes) => bytes.freeze(),
        }
    }
}

impl Received {
    fn new(limit: usize, room: Option<Reservation>) -> Self {
        Self {
            bytes: Pieces::One(Bytes::new()),
            limit,
            room,
        }
    }

    /// The flag and the announced length, once both are there.
    fn header(&self) -> Option<(u8, usize)> {
        let (header, _) = self.bytes.bytes().split_first_chunk::<HEADER>()?;
        let [packed, length @ ..] = *header;
        Some((packed, u32::from_be_bytes(length) as usize))
    }

    fn add(&mut self, data: Bytes) -> Result<(), Status> {
        let had = self.bytes.bytes().len();
        if had + data.len() > HEADER + self.limit && self.header().is_some() {
            return Err(Status::unimplemented("the method takes one message"));
        }
        if let Some(room) = &mut self.room {
            room.cover(had + data.len()).map_err(no_room)?;
        }
        self.bytes.add(data);
        match self.header() {
            Some((_, length)) if length > self.limit => Err(too_large(self.limit)),
            Some((_, length)) if self.bytes.bytes().len() > HEADER + length => {
                Err(Status::unimplemented("the method takes one message"))
            }
            _ => Ok(()),
        }
    }

    fn message(self, encoding: Encoding) -> Result<Message, Status> {
        let Some((packed, length)) = self.header() else {
            return Err(Status::unimplemented("the method takes one message"));
        };
        let mut message = self.bytes.into_bytes();
        message.advance(HEADER);
        if message.len() < length {
            return Err(Status::internal("the message ends early"));
        }
        match (packed, encoding) {
            (0, _) => Ok(Message {
                bytes: message,
                _room: self.room,
            }),
            (1, Encoding::Gzip) => unpack(&message, self.limit, self.room.as_ref()),
            (1, Encoding::Identity) => Err(Status::internal(
                "the message is marked as compressed, and grpc-encoding does not say how",
            )),
            _ => Err(Status::internal(
                "the first byte of a message must be 0 or 1",
            )),
        }
    }
}

fn unpack(packed: &[u8], limit: usize, room: Option<&Reservation>) -> Result<Message, Status> {
    let mut held = room
        .map(Reservation::another)
        .transpose()
        .map_err(no_room)?;
    let mut packed = MultiGzDecoder::new(packed).take(limit as u64 + 1);
    let mut message = Vec::new();
    loop {
        let before = message.len();
        if let Some(held) = &mut held {
            let more = (before + UNPACKED_AT_ONCE).min(limit);
            held.cover(more).map_err(no_room)?;
        }
        let mut step = (&mut packed).take(UNPACKED_AT_ONCE as u64);
        match step.read_to_end(&mut message) {
            Err(_) => return Err(Status::internal("the message is not valid gzip")),
            Ok(_) if message.len() > limit => return Err(too_large(limit)),
            Ok(0) => break,
            Ok(_) => {}
        }
    }
    Ok(Message {
        bytes: message.into(),
        _room: held,
    })
}

fn too_large(limit: usize) -> Status {
    Status::resource_exhausted(format!("the message has more than {limit} bytes"))
}

fn no_room(NoRoom: NoRoom) -> Status {
    Status::unavailable(NoRoom::DETAIL)
}
