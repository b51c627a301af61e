//! Request bodies: bounded in bytes and in time, before and after decompression, each of them and
//! all together.

use std::io::Read;
use std::ops::Deref;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_LENGTH, CONTENT_TYPE, EXPECT, HeaderMap};
use actix_web::web::Payload;
use flate2::read::MultiGzDecoder;
use futures_util::StreamExt;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

use super::problem::Problem;

/// How long a whole body may take to arrive.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The largest zstd window accepted, as a power of two: 8 MiB, which zstd uses up to level 19.
const ZSTD_WINDOW_LOG: u32 = 23;

/// The unit in which the room is counted.
const UNIT_BYTES: usize = 1024;

/// How many bytes are decompressed before more room is reserved.
pub const UNPACKED_AT_ONCE: usize = 256 * 1024;

/// The room that is made for a body with its first bytes, if so much is announced. Small beside what a
/// connection takes that has sent them.
const AT_ONCE_BYTES: usize = 16 * 1024;

/// The memory that all bodies may take together, from their arrival until they have been read.
///
/// The largest body times the number of connections is more memory than any machine has. A client
/// that finds no room is told to retry later.
#[derive(Debug, Clone)]
pub struct BodyRoom(Arc<Semaphore>);

impl BodyRoom {
    /// Room for this many bytes.
    #[must_use]
    pub fn of(bytes: usize) -> Self {
        let units = bytes.div_ceil(UNIT_BYTES).min(Semaphore::MAX_PERMITS);
        Self(Arc::new(Semaphore::new(units)))
    }

    /// A reservation of nothing yet.
    ///
    /// # Errors
    /// If the room is closed, which it never is.
    pub fn reserve(&self) -> Result<Reservation, NoRoom> {
        Ok(Reservation {
            room: self.clone(),
            held: self.take(0)?,
        })
    }

    fn take(&self, units: usize) -> Result<OwnedSemaphorePermit, NoRoom> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0).try_acquire_many_owned(units);
        taken.map_err(|_| NoRoom)
    }
}

/// There is no room for a body. It can be sent again.
#[derive(Debug, Clone, Copy, thiserror::Error)]
#[error("{}", Self::DETAIL)]
pub struct NoRoom;

impl NoRoom {
    /// What the sender reads.
    pub const DETAIL: &'static str = "too many large bodies are being read";
}

impl From<NoRoom> for Problem {
    fn from(NoRoom: NoRoom) -> Self {
        Self::Unavailable {
            detail: NoRoom::DETAIL,
            retry_after_seconds: 2,
        }
    }
}

/// The part of the room that one body takes, while this exists.
#[derive(Debug)]
pub struct Reservation {
    room: BodyRoom,
    held: OwnedSemaphorePermit,
}

impl Reservation {
    /// Another one in the same room.
    ///
    /// # Errors
    /// As [`BodyRoom::reserve`].
    pub fn another(&self) -> Result<Self, NoRoom> {
        self.room.reserve()
    }

    /// Extends it to this many bytes.
    ///
    /// # Errors
    /// If there is no room for them.
    pub fn cover(&mut self, bytes: usize) -> Result<(), NoRoom> {
        let units = bytes.div_ceil(UNIT_BYTES);
        let more = units.saturating_sub(self.held.num_permits());
        if more > 0 {
            self.held.merge(self.room.take(more)?);
        }
        Ok(())
    }
}

/// A body, with the room that it occupies while it exists.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    _room: Reservation,
}

impl Deref for Body {
    type Target = [u8];

    fn deref(&self) -> &[u8] {
        &self.bytes
    }
}

/// Reads a JSON body of at most `limit` bytes, before and after decompression. For routes with few
/// requests at a time.
///
/// # Errors
/// Says what is wrong with the body, its type or its encoding.
pub async fn read_json(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Body, Problem> {
    read_json_in(&BodyRoom::of(2 * limit), request, payload, limit).await
}

/// Reads a JSON body of at most `limit` bytes, before and after decompression, if there is room for
/// it.
///
/// # Errors
/// Says what is wrong with the body, its type or its encoding, or that there is no room for it.
pub async fn read_json_in(
    room: &BodyRoom,
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Body, Problem> {
    check_type(request)?;
    read_in(room, request, payload, limit).await
}

/// Reads a body of any type, of at most `limit` bytes before and after decompression, if there is room
/// for it.
///
/// # Errors
/// Says what is wrong with the body or its encoding, or that there is no room for it.
pub async fn read_in(
    room: &BodyRoom,
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Body, Problem> {
    let encoding = Encoding::of(request)?;
    check_announced(request.headers(), limit)?;
    let expected = announced(request.headers()).unwrap_or_default();
    let raw = tokio::time::timeout(TIME_LIMIT, read(payload, expected, limit, room));
    let raw = raw.await.map_err(|_| Problem::TooSlow)??;
    match encoding {
        Encoding::Identity => Ok(raw),
        Encoding::Gzip => unpack(MultiGzDecoder::new(&raw[..]), limit, room),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::new(&raw[..]).map_err(|_| Problem::Internal)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG)
                .map_err(|_| Problem::Internal)?;
            unpack(decoder, limit, room)
        }
    }
}

/// Checks what a request's head announces about its body, before the body is read.
///
/// # Errors
/// The body is longer than `limit` bytes, or the client expects something other than
/// `100-continue`.
pub fn check_announced(headers: &HeaderMap, limit: usize) -> Result<(), Problem> {
    let mut expectations = headers.get_all(EXPECT).map(|value| value.as_bytes());
    if expectations.any(|expected| !expected.eq_ignore_ascii_case(b"100-continue")) {
        return Err(Problem::ExpectationFailed);
    }
    if announced(headers).is_some_and(|length| length > limit as u64) {
        return Err(Problem::TooLarge(limit));
    }
    Ok(())
}

/// The length of a body as its head says it.
fn announced(headers: &HeaderMap) -> Option<u64> {
    headers.get(CONTENT_LENGTH)?.to_str().ok()?.parse().ok()
}

enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let Some(value) = request.headers().get(CONTENT_ENCODING) else {
            return Ok(Self::Identity);
        };
        match value.as_bytes() {
            value if value.eq_ignore_ascii_case(b"gzip") => Ok(Self::Gzip),
            value if value.eq_ignore_ascii_case(b"zstd") => Ok(Self::Zstd),
            value if value.eq_ignore_ascii_case(b"identity") => Ok(Self::Identity),
            _ => Err(Problem::Unsupported(
                "Content-Encoding must be gzip, zstd or identity".into(),
            )),
        }
    }
}

fn check_type(request: &HttpRequest) -> Result<(), Problem> {
    let given = media_type(request.headers());
    if given.is_some_and(|given| given.eq_ignore_ascii_case("application/json")) {
        Ok(())
    } else {
        Err(Problem::Unsupported(
            "Content-Type must be application/json".into(),
        ))
    }
}

/// The media type of a body, without its parameters.
#[must_use]
pub fn media_type(headers: &HeaderMap) -> Option<&str> {
    let given = headers.get(CONTENT_TYPE)?.to_str().ok()?;
    given.split(';').next().map(str::trim)
}

async fn read(
    mut payload: Payload,
    expected: u64,
    limit: usize,
    room: &BodyRoom,
) -> Result<Body, Problem> {
    let (mut bytes, mut held) = (Vec::new(), room.reserve()?);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::Malformed {
            field: String::new(),
            detail: format!("the body ended early: {error}"),
        })?;
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::TooLarge(limit));
        }
        held.cover(bytes.len() + chunk.len())?;
        if bytes.is_empty() {
            // A small body does not grow step by step; a large one takes room as it comes.
            let all = usize::try_from(expected).unwrap_or(usize::MAX);
            bytes.reserve(chunk.len().max(all.min(AT_ONCE_BYTES)));
        }
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body { bytes, _room: held })
}

fn unpack(packed: impl Read, limit: usize, room: &BodyRoom) -> Result<Body, Problem> {
    let (mut bytes, mut held) = (Vec::new(), room.reserve()?);
    let mut packed = packed.take(limit as u64 + 1);
    loop {
        let before = bytes.len();
        held.cover((before + UNPACKED_AT_ONCE).min(limit))?;
        let step = (&mut packed)
            .take(UNPACKED_AT_ONCE as u64)
            .read_to_end(&mut bytes);
        step.map_err(|error| Problem::Malformed {
            field: String::new(),
            detail: format!("the body cannot be decompressed: {error}"),
        })?;
        if bytes.len() > limit {
            return Err(Problem::TooLarge(limit));
        }
        if bytes.len() == before {
            return Ok(Body { bytes, _room: held });
        }
    }
}
