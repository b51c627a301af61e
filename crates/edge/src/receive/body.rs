//! Reads bodies within their bounds: a longest size before and after decompression, and the room that all bodies share.

use std::io::Read;
use std::sync::Arc;
use std::time::Duration;

use bytes::Bytes;
use flate2::read::MultiGzDecoder;
use http_body_util::BodyExt;
use hyper::StatusCode;
use hyper::body::Incoming;
use tokio::sync::{OwnedSemaphorePermit, Semaphore};

/// The unit of room.
const UNIT: usize = 1 << 10;

/// Room is taken in steps of this.
const STEP: usize = 64 << 10;

/// How long a body may take to arrive.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// How long a body waits for room.
const WAIT: Duration = Duration::from_secs(1);

/// The window of zstd that is accepted: 8 MiB, as its specification asks for.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Why an export was not taken.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub(crate) enum Refused {
    /// The body cannot be read as what it is said to be.
    #[error("{0}")]
    Malformed(String),
    /// It is too long, packed or unpacked.
    #[error("the body has more than {0} bytes")]
    TooLarge(usize),
    /// Its media type or compression is not known.
    #[error("{0}")]
    Unsupported(String),
    /// It took too long.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// There is no room now.
    #[error("there is no room for more at the moment")]
    Overloaded,
}

impl Refused {
    /// The status that says it.
    pub fn status(&self) -> StatusCode {
        match self {
            Self::Malformed(_) => StatusCode::BAD_REQUEST,
            Self::TooLarge(_) => StatusCode::PAYLOAD_TOO_LARGE,
            Self::Unsupported(_) => StatusCode::UNSUPPORTED_MEDIA_TYPE,
            Self::TooSlow | Self::Overloaded => StatusCode::SERVICE_UNAVAILABLE,
        }
    }
}

/// How a body is compressed.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Encoding {
    Identity,
    Gzip,
    Zstd,
}

impl Encoding {
    pub fn named(name: Option<&[u8]>) -> Result<Self, Refused> {
        match name {
            None | Some(b"" | b"identity") => Ok(Self::Identity),
            Some(b"gzip") => Ok(Self::Gzip),
            Some(b"zstd") => Ok(Self::Zstd),
            Some(_) => Err(Refused::Unsupported(
                "the body may be compressed with gzip or zstd, or not at all".into(),
            )),
        }
    }
}

/// The room that all bodies share.
#[derive(Debug, Clone)]
pub(crate) struct Room(Arc<Semaphore>);

/// What a body occupies.
#[derive(Debug, Default)]
pub(crate) struct Reservation(Option<OwnedSemaphorePermit>);

impl Room {
    pub fn new(bytes: usize) -> Self {
        Self(Arc::new(Semaphore::new(
            (bytes / UNIT).min(Semaphore::MAX_PERMITS),
        )))
    }

    /// Takes more room, up to this many bytes together.
    async fn cover(&self, held: &mut Reservation, bytes: usize) -> Result<(), Refused> {
        let Some(more) = held.missing(bytes) else {
            return Ok(());
        };
        let taken = Arc::clone(&self.0).acquire_many_owned(more);
        match tokio::time::timeout(WAIT, taken).await {
            Ok(Ok(permit)) => held.add(permit),
            _ => Err(Refused::Overloaded),
        }
    }

    /// The same, without waiting.
    fn try_cover(&self, held: &mut Reservation, bytes: usize) -> Result<(), Refused> {
        let Some(more) = held.missing(bytes) else {
            return Ok(());
        };
        let taken = Arc::clone(&self.0).try_acquire_many_owned(more);
        held.add(taken.map_err(|_| Refused::Overloaded)?)
    }
}

impl Reservation {
    fn missing(&self, bytes: usize) -> Option<u32> {
        let needed = bytes.div_ceil(STEP) * (STEP / UNIT);
        let has = self.0.as_ref().map_or(0, OwnedSemaphorePermit::num_permits);
        let more = needed.checked_sub(has).filter(|more| *more > 0)?;
        u32::try_from(more).ok()
    }

    fn add(&mut self, permit: OwnedSemaphorePermit) -> Result<(), Refused> {
        match &mut self.0 {
            Some(held) => held.merge(permit),
            None => self.0 = Some(permit),
        }
        Ok(())
    }
}

/// A body that was read, with the room that it occupies.
#[derive(Debug)]
pub(crate) struct Received {
    pub bytes: Bytes,
    _room: Reservation,
}

/// Reads a body to its end.
pub(crate) async fn read(room: &Room, body: Incoming, most: usize) -> Result<Received, Refused> {
    let reading = tokio::time::timeout(TIME_LIMIT, collect(room, body, most));
    reading.await.unwrap_or(Err(Refused::TooSlow))
}

async fn collect(room: &Room, mut body: Incoming, most: usize) -> Result<Received, Refused> {
    use hyper::body::Body;
    let announced = body.size_hint().lower();
    if announced > most as u64 {
        return Err(Refused::TooLarge(most));
    }
    let mut held = Reservation::default();
    let mut pieces: Vec<Bytes> = Vec::new();
    let mut length = 0;
    while let Some(frame) = body.frame().await {
        let cut_off = |_| Refused::Malformed("the body was not sent to its end".into());
        let Ok(data) = frame.map_err(cut_off)?.into_data() else {
            continue;
        };
        length += data.len();
        if length > most {
            return Err(Refused::TooLarge(most));
        }
        room.cover(&mut held, length).await?;
        pieces.push(data);
    }
    let bytes = match pieces.len() {
        1 => pieces.remove(0),
        _ => pieces.concat().into(),
    };
    Ok(Received { bytes, _room: held })
}

/// Unpacks a body.
pub(super) fn unpack(
    room: &Room,
    packed: Received,
    encoding: Encoding,
    most: usize,
) -> Result<Received, Refused> {
    match encoding {
        Encoding::Identity => Ok(packed),
        Encoding::Gzip => unpack_from(room, MultiGzDecoder::new(&*packed.bytes), most, "gzip"),
        Encoding::Zstd => {
            let wrong = |_| Refused::Malformed("the body is not valid zstd".into());
            let mut decoder = zstd::stream::read::Decoder::new(&*packed.bytes).map_err(wrong)?;
            decoder.window_log_max(ZSTD_WINDOW_LOG).map_err(wrong)?;
            unpack_from(room, decoder, most, "zstd")
        }
    }
}

fn unpack_from(
    room: &Room,
    unpacking: impl Read,
    most: usize,
    name: &str,
) -> Result<Received, Refused> {
    let mut held = Reservation::default();
    let mut bytes = Vec::new();
    let mut unpacking = unpacking.take(most as u64 + 1);
    loop {
        let before = bytes.len();
        room.try_cover(&mut held, (before + STEP).min(most))?;
        let read = (&mut unpacking).take(STEP as u64).read_to_end(&mut bytes);
        match read {
            Err(_) => {
                return Err(Refused::Malformed(format!("the body is not valid {name}")));
            }
            Ok(_) if bytes.len() > most => return Err(Refused::TooLarge(most)),
            Ok(0) => break,
            Ok(_) => {}
        }
    }
    Ok(Received {
        bytes: bytes.into(),
        _room: held,
    })
}
