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
const UNPACKED_AT_ONCE: usize = 256 * 1024;

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

    fn none_yet(&self) -> Result<OwnedSemaphorePermit, Problem> {
        self.take(0)
    }

    fn take(&self, units: usize) -> Result<OwnedSemaphorePermit, Problem> {
        let units = u32::try_from(units).unwrap_or(u32::MAX);
        let taken = Arc::clone(&self.0).try_acquire_many_owned(units);
        taken.map_err(|_| Problem::Unavailable {
            detail: "too many large bodies are being read",
            retry_after_seconds: 2,
        })
    }

    /// Extends the reservation to this many bytes.
    fn cover(&self, held: &mut OwnedSemaphorePermit, bytes: usize) -> Result<(), Problem> {
        let units = bytes.div_ceil(UNIT_BYTES);
        let more = units.saturating_sub(held.num_permits());
        if more > 0 {
            held.merge(self.take(more)?);
        }
        Ok(())
    }
}

/// A body, with the room that it occupies while it exists.
#[derive(Debug)]
pub struct Body {
    bytes: Vec<u8>,
    _room: OwnedSemaphorePermit,
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
    let encoding = Encoding::of(request)?;
    check_type(request)?;
    check_announced(request.headers(), limit)?;
    let raw = tokio::time::timeout(TIME_LIMIT, read(payload, limit, room));
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
    let announced = headers.get(CONTENT_LENGTH);
    let length = announced.and_then(|length| length.to_str().ok()?.parse::<u64>().ok());
    if length.is_some_and(|length| length > limit as u64) {
        return Err(Problem::TooLarge(limit));
    }
    Ok(())
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
    let json = match request.headers().get(CONTENT_TYPE) {
        Some(given) => given.to_str().is_ok_and(|given| {
            let essence = given.split(';').next().unwrap_or_default().trim();
            essence.eq_ignore_ascii_case("application/json")
        }),
        None => false,
    };
    if json {
        Ok(())
    } else {
        Err(Problem::Unsupported(
            "Content-Type must be application/json".into(),
        ))
    }
}

async fn read(mut payload: Payload, limit: usize, room: &BodyRoom) -> Result<Body, Problem> {
    let (mut bytes, mut held) = (Vec::new(), room.none_yet()?);
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::Malformed {
            field: String::new(),
            detail: format!("the body ended early: {error}"),
        })?;
        if bytes.len() + chunk.len() > limit {
            return Err(Problem::TooLarge(limit));
        }
        room.cover(&mut held, bytes.len() + chunk.len())?;
        bytes.extend_from_slice(&chunk);
    }
    Ok(Body { bytes, _room: held })
}

fn unpack(packed: impl Read, limit: usize, room: &BodyRoom) -> Result<Body, Problem> {
    let (mut bytes, mut held) = (Vec::new(), room.none_yet()?);
    let mut packed = packed.take(limit as u64 + 1);
    loop {
        let before = bytes.len();
        room.cover(&mut held, (before + UNPACKED_AT_ONCE).min(limit))?;
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
