//! Request ids: they tie an answer to the log lines of its request.

use std::fmt::{self, Write};
use std::sync::atomic::{AtomicU64, Ordering};

use actix_web::Error;
use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{HeaderMap, HeaderName, HeaderValue};
use actix_web::middleware::Next;
use tracing::Instrument;
use uuid::Uuid;

/// The header that carries the id, in both directions.
pub const REQUEST_ID: HeaderName = HeaderName::from_static("x-request-id");

/// The longest id of our own: the digits of 32 and of 64 bits, and what separates them.
const LONGEST_OWN: usize = 8 + 1 + 16;

/// The longest id accepted from a client.
const LONGEST: usize = 64;

/// Gives a request its id: the client's, or a new one. The answer has it, and so has every line
/// that is logged for the request.
pub(super) async fn identify(
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let id = id_of(request.headers());
    let text = id.to_str().unwrap_or_default();
    let span = tracing::info_span!(
        "request",
        id = text,
        method = request.method().as_str(),
        path = request.path()
    );
    let answered = async {
        let answered = next.call(request).await;
        if let Ok(response) = &answered {
            tracing::debug!(status = response.status().as_u16(), "answered");
        }
        answered
    };
    let mut response = answered.instrument(span).await?.map_into_boxed_body();
    response.headers_mut().insert(REQUEST_ID, id);
    Ok(response)
}

/// The id of a request: the client's, or a new one.
pub fn id_of(headers: &HeaderMap) -> HeaderValue {
    let given = headers.get(REQUEST_ID).and_then(sound);
    given.unwrap_or_else(|| RequestId::next().header())
}

/// The client's id, if it can be written to a log line.
fn sound(given: &HeaderValue) -> Option<HeaderValue> {
    let is_sound = |byte: &u8| byte.is_ascii_alphanumeric() || b"-_.:".contains(byte);
    let bytes = given.as_bytes();
    let fits = (1..=LONGEST).contains(&bytes.len()) && bytes.iter().all(is_sound);
    fits.then(|| given.clone())
}

/// An id made by this process: random at the start, then counted, because drawing a random number
/// for each report costs more than parsing its head.
struct RequestId(u64);

impl RequestId {
    fn next() -> Self {
        static COUNT: AtomicU64 = AtomicU64::new(0);
        Self(COUNT.fetch_add(1, Ordering::Relaxed))
    }

    fn header(&self) -> HeaderValue {
        let mut text = String::with_capacity(LONGEST_OWN);
        write!(text, "{self}").expect("it is written into memory");
        HeaderValue::try_from(text).expect("hexadecimal digits fit a header")
    }
}

impl fmt::Display for RequestId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        static PROCESS: std::sync::OnceLock<u32> = std::sync::OnceLock::new();
        let process = PROCESS.get_or_init(|| Uuid::new_v4().as_fields().0);
        write!(f, "{process:08x}-{:x}", self.0)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_callers_id_is_taken_if_it_can_stand_in_a_line() {
        let taken = |given: &str| sound(&HeaderValue::try_from(given).unwrap()).is_some();
        assert!(taken("0b6fc9a2-0a53-4a7e-9d0c-5d0f0f6f9b11"));
        assert!(taken("Root=1:a_b.c".replace('=', "-").as_str()));
        for given in ["", "a b", "a\"b", "a=b", &"a".repeat(65)] {
            assert!(!taken(given), "{given:?}");
        }
    }

    #[test]
    fn ids_differ() {
        assert_ne!(RequestId::next().header(), RequestId::next().header());
    }
}
