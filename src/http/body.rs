//! Request bodies: bounded in bytes and in time, before and after decompression.

use std::io::Read;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::http::header::{CONTENT_ENCODING, CONTENT_TYPE};
use actix_web::web::{Bytes, Payload};
use futures_util::StreamExt;

use super::problem::Problem;

/// How long a whole body may take to arrive.
const TIME_LIMIT: Duration = Duration::from_secs(10);

/// The largest zstd window taken, as a power of two: 8 MiB, what zstd uses up to level 19.
const ZSTD_WINDOW_LOG: u32 = 23;

/// Reads a JSON body of at most `limit` bytes, before and after decompression.
///
/// # Errors
/// Says what is wrong with the body, its type or its encoding.
pub async fn read_json(
    request: &HttpRequest,
    payload: Payload,
    limit: usize,
) -> Result<Bytes, Problem> {
    let encoding = Encoding::of(request)?;
    check_type(request)?;
    let raw = tokio::time::timeout(TIME_LIMIT, read(payload, limit));
    let raw = raw.await.map_err(|_| Problem::TooSlow)??;
    match encoding {
        Encoding::Identity => Ok(raw),
        Encoding::Gzip => unpack(flate2::read::MultiGzDecoder::new(&raw[..]), limit),
        Encoding::Zstd => {
            let mut decoder = zstd::Decoder::new(&raw[..]).map_err(|_| Problem::Internal)?;
            decoder
                .window_log_max(ZSTD_WINDOW_LOG)
                .map_err(|_| Problem::Internal)?;
            unpack(decoder, limit)
        }
    }
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

async fn read(mut payload: Payload, limit: usize) -> Result<Bytes, Problem> {
    let mut body = Vec::new();
    while let Some(chunk) = payload.next().await {
        let chunk = chunk.map_err(|error| Problem::Malformed {
            field: String::new(),
            detail: format!("the body broke off: {error}"),
        })?;
        if body.len() + chunk.len() > limit {
            return Err(Problem::TooLarge(limit));
        }
        body.extend_from_slice(&chunk);
    }
    Ok(body.into())
}

fn unpack(packed: impl Read, limit: usize) -> Result<Bytes, Problem> {
    let mut body = Vec::new();
    let read = packed.take(limit as u64 + 1).read_to_end(&mut body);
    read.map_err(|error| Problem::Malformed {
        field: String::new(),
        detail: format!("the body does not decompress: {error}"),
    })?;
    if body.len() > limit {
        return Err(Problem::TooLarge(limit));
    }
    Ok(body.into())
}
