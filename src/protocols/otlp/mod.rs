//! OTLP: reads what OpenTelemetry's SDKs and Collectors export.
//!
//! Metrics say how many requests there were before sampling, so no agent is needed; where there are none, the
//! root spans that were sampled say it. Begin with [`read_metrics`], which gives the points that count, by source. Nothing here takes differences: what
//! a stream said before is known where reports are taken in ([`crate::ingest`]).

mod answer;
mod attribute;
mod digest;
mod exported;
mod exports;
mod extract;
pub mod grpc;
mod http;
mod json;
mod left_out;
mod measure;
mod protobuf;
mod source;
mod span;

pub use exported::SpansOf;
pub use exports::Exports;
pub use extract::{Extracted, POINTS_MAX, SOURCES_MAX};
pub use http::ROUTES;
pub use left_out::LeftOut;

use attribute::{ATTRIBUTES_MAX, DEPTH_MAX};
use extract::Extraction;

/// How a body is encoded.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Encoding {
    /// Protobuf's own bytes.
    Protobuf,
    /// Protobuf's JSON, as OTLP changes it.
    Json,
}

/// Why a body cannot be read.
#[derive(Debug, thiserror::Error)]
pub enum Unreadable {
    /// It is not protobuf, or not of this message.
    #[error("the body is not a valid message of protobuf: {0}")]
    Protobuf(&'static str),
    /// It is not JSON, or not of this message.
    #[error("the body is not a valid message in JSON: {}", without_place(.0))]
    Json(serde_json::Error),
    /// It is JSON, but not in UTF-8.
    #[error("the body is not valid UTF-8")]
    NotUnicode,
    /// More attributes than any SDK sends.
    #[error("a resource, a scope, a point or a list has more than {ATTRIBUTES_MAX} attributes")]
    TooManyAttributes,
    /// Values in values in values.
    #[error("lists and maps are nested more than {DEPTH_MAX} deep")]
    TooDeep,
}

/// The line and the column would be those of the part that was read, not of the body.
fn without_place(error: &serde_json::Error) -> String {
    let mut text = error.to_string();
    if let Some(place) = text.rfind(" at line ") {
        text.truncate(place);
    }
    text
}

/// Reads an export of metrics. The result borrows from the body.
///
/// # Errors
/// The body is not such an export, or exceeds a bound that no sender comes near.
pub fn read_metrics(encoding: Encoding, body: &[u8]) -> Result<Extracted<'_>, Unreadable> {
    let mut extraction = Extraction::new();
    match encoding {
        Encoding::Protobuf => protobuf::metrics(body, &mut extraction),
        Encoding::Json => json::metrics(body, &mut extraction),
    }?;
    Ok(extraction.finish())
}

/// Reads an export of traces: its root spans, each a point. The result borrows from the body.
///
/// # Errors
/// The body is not such an export, or exceeds a bound that no sender comes near.
pub fn read_traces(encoding: Encoding, body: &[u8]) -> Result<Extracted<'_>, Unreadable> {
    let mut extraction = Extraction::new();
    match encoding {
        Encoding::Protobuf => protobuf::traces(body, &mut extraction),
        Encoding::Json => json::traces(body, &mut extraction),
    }?;
    Ok(extraction.finish())
}

/// Checks that a body is an export of logs, of which nothing is counted.
///
/// # Errors
/// It is not.
pub fn check_export(encoding: Encoding, body: &[u8]) -> Result<(), Unreadable> {
    match encoding {
        Encoding::Protobuf => protobuf::check(body),
        Encoding::Json => json::check(body),
    }
}
