//! A gRPC message on the wire: one byte that says whether it is compressed, four for its length,
//! and the message.
//!
//! # Source
//! gRPC over HTTP/2 (`PROTOCOL-HTTP2.md`), and `statuscodes.md` for the code of each failure.

use std::io::Read;

use actix_web::web::{Buf, Bytes, BytesMut};
use flate2::read::MultiGzDecoder;
use hyper::body::{Body, Frame};
use hyper::{HeaderMap, Request};
use tonic::Status;

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
    let encoding = Encoding::of(request.headers())?;
    let mut body = request.into_body();
    let mut received = Received::new(limit);
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
    fn new(limit: usize) -> Self {
        Self {
            bytes: Pieces::One(Bytes::new()),
            limit,
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
        self.bytes.add(data);
        match self.header() {
            Some((_, length)) if length > self.limit => Err(too_large(self.limit)),
            Some((_, length)) if self.bytes.bytes().len() > HEADER + length => {
                Err(Status::unimplemented("the method takes one message"))
            }
            _ => Ok(()),
        }
    }

    fn message(self, encoding: Encoding) -> Result<Bytes, Status> {
        let Some((packed, length)) = self.header() else {
            return Err(Status::unimplemented("the method takes one message"));
        };
        let mut message = self.bytes.into_bytes();
        message.advance(HEADER);
        if message.len() < length {
            return Err(Status::internal("the message ends early"));
        }
        match (packed, encoding) {
            (0, _) => Ok(message),
            (1, Encoding::Gzip) => unpack(&message, self.limit),
            (1, Encoding::Identity) => Err(Status::internal(
                "the message is marked as compressed, and grpc-encoding does not say how",
            )),
            _ => Err(Status::internal(
                "the first byte of a message must be 0 or 1",
            )),
        }
    }
}

fn unpack(packed: &[u8], limit: usize) -> Result<Bytes, Status> {
    let mut message = Vec::new();
    let most = limit as u64 + 1;
    let unpacked = MultiGzDecoder::new(packed)
        .take(most)
        .read_to_end(&mut message);
    match unpacked {
        Err(_) => Err(Status::internal("the message is not valid gzip")),
        Ok(_) if message.len() > limit => Err(too_large(limit)),
        Ok(_) => Ok(message.into()),
    }
}

fn too_large(limit: usize) -> Status {
    Status::resource_exhausted(format!("the message has more than {limit} bytes"))
}
