//! The answer to clients that do not speak TLS on a port that does.
//!
//! Nothing of what they ask is read further than to see what they speak.

use std::time::Duration;

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::time::timeout;

use crate::http::problem::Problem;
use crate::net::http2::PREFACE;

/// How long a client may take to close, once it was answered.
const LEAVE_TIME_LIMIT: Duration = Duration::from_secs(1);

/// The most bytes that are read from it.
const MOST_BYTES: u64 = 64 * 1024;

/// What it is told.
const SAID: &str = "this port speaks TLS: use https";

/// An empty SETTINGS frame, with which a server begins (RFC 9113, 3.4).
const SETTINGS: [u8; 9] = [0, 0, 0, 4, 0, 0, 0, 0, 0];

/// `INADEQUATE_SECURITY` (RFC 9113, 7).
const INADEQUATE_SECURITY: u32 = 12;

/// Answers in the client's protocol, if it is one of those that a listener speaks, and waits until
/// the client has closed: otherwise the answer could be lost.
pub(super) async fn refuse(io: &mut TcpStream) {
    let mut first = [0; 512];
    let Ok(length) = io.read(&mut first).await else {
        return;
    };
    let Some(answer) = answer_to(&first[..length]) else {
        return;
    };
    if io.write_all(&answer).await.is_err() || io.shutdown().await.is_err() {
        return;
    }
    let (mut rest, mut nowhere) = (io.take(MOST_BYTES), tokio::io::sink());
    let _ = timeout(LEAVE_TIME_LIMIT, tokio::io::copy(&mut rest, &mut nowhere)).await;
}

fn answer_to(first: &[u8]) -> Option<Vec<u8>> {
    let compared = first.len().min(PREFACE.len());
    if first[..compared] == PREFACE[..compared] {
        return Some(goodbye());
    }
    // A method of HTTP/1.1.
    first
        .first()
        .is_some_and(u8::is_ascii_uppercase)
        .then(problem)
}

fn problem() -> Vec<u8> {
    let problem = Problem::Malformed {
        field: String::new(),
        detail: SAID.into(),
    };
    let document = problem.document();
    let head = format!(
        "HTTP/1.1 400 Bad Request\r\nContent-Type: {}\r\nContent-Length: {}\r\nConnection: close\r\n\r\n",
        Problem::MEDIA_TYPE,
        document.len()
    );
    [head.into_bytes(), document].concat()
}

/// A GOAWAY frame that says why (RFC 9113, 6.8).
fn goodbye() -> Vec<u8> {
    const LAST_STREAM: u32 = 0;
    let length = (8 + SAID.len()) as u32;
    let [_, length @ ..] = length.to_be_bytes();
    let head = [7, 0, 0, 0, 0, 0];
    [
        &SETTINGS[..],
        &length,
        &head,
        &LAST_STREAM.to_be_bytes(),
        &INADEQUATE_SECURITY.to_be_bytes(),
        SAID.as_bytes(),
    ]
    .concat()
}
