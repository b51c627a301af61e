//! The messages of answers, in both encodings.
//!
//! # Source
//! OTLP 1.9, "OTLP/HTTP Response": an answer is in the encoding of its request, and an error is a
//! `google.rpc.Status`. `google/rpc/status.proto` and `error_details.proto` for that.

use actix_web::web::Bytes;
use prost::Message;
use serde_json::json;
use tonic::Code;

use super::Encoding;
use super::exports::Taken;
use crate::telemetry::metrics::Signal;

/// `Export…ServiceResponse` of any signal. An empty message says that all was accepted.
#[derive(Clone, PartialEq, Message)]
struct Response {
    #[prost(message, optional, tag = "1")]
    partial_success: Option<PartialSuccess>,
}

/// `Export…PartialSuccess` of any signal.
#[derive(Clone, PartialEq, Message)]
struct PartialSuccess {
    #[prost(int64, tag = "1")]
    rejected: i64,
    #[prost(string, tag = "2")]
    error_message: String,
}

/// `google.rpc.Status`.
#[derive(Clone, PartialEq, Message)]
struct Status {
    #[prost(int32, tag = "1")]
    code: i32,
    #[prost(string, tag = "2")]
    message: String,
    #[prost(message, repeated, tag = "3")]
    details: Vec<Detail>,
}

/// `google.protobuf.Any`.
#[derive(Clone, PartialEq, Message)]
struct Detail {
    #[prost(string, tag = "1")]
    type_url: String,
    #[prost(bytes = "vec", tag = "2")]
    value: Vec<u8>,
}

/// `google.rpc.RetryInfo`.
#[derive(Clone, Copy, PartialEq, Message)]
struct RetryInfo {
    #[prost(message, optional, tag = "1")]
    retry_delay: Option<Duration>,
}

/// `google.protobuf.Duration`.
#[derive(Clone, Copy, PartialEq, Message)]
struct Duration {
    #[prost(int64, tag = "1")]
    seconds: i64,
}

/// The answer to an export that was stored.
pub(super) fn success(signal: Signal, encoding: Encoding, taken: &Taken) -> Vec<u8> {
    let rejected = i64::try_from(taken.rejected).unwrap_or(i64::MAX);
    let is_whole = rejected == 0 && taken.said.is_empty();
    match encoding {
        Encoding::Protobuf => {
            let partial_success = (!is_whole).then(|| PartialSuccess {
                rejected,
                error_message: taken.said.clone(),
            });
            Response { partial_success }.encode_to_vec()
        }
        Encoding::Json if is_whole => b"{}".to_vec(),
        Encoding::Json => {
            let of = match signal {
                Signal::Metrics => "rejectedDataPoints",
                Signal::Traces => "rejectedSpans",
                Signal::Logs => "rejectedLogRecords",
            };
            // Numbers of 64 bits are texts in protobuf's JSON.
            let partial = json!({ of: rejected.to_string(), "errorMessage": taken.said });
            json!({ "partialSuccess": partial }).to_string().into()
        }
    }
}

/// The body of an answer to an export that was refused.
pub(super) fn failure(encoding: Encoding, code: Code, message: &str) -> Vec<u8> {
    match encoding {
        Encoding::Protobuf => status(code, message, Vec::new()).encode_to_vec(),
        Encoding::Json => json!({ "code": code as i32, "message": message })
            .to_string()
            .into(),
    }
}

/// The details of a gRPC status that tells the sender when to send again.
pub(super) fn retry(code: Code, message: &str, after_seconds: u32) -> Bytes {
    let retry = RetryInfo {
        retry_delay: Some(Duration {
            seconds: after_seconds.into(),
        }),
    };
    let detail = Detail {
        type_url: "type.googleapis.com/google.rpc.RetryInfo".into(),
        value: retry.encode_to_vec(),
    };
    status(code, message, vec![detail]).encode_to_vec().into()
}

fn status(code: Code, message: &str, details: Vec<Detail>) -> Status {
    Status {
        code: code as i32,
        message: message.to_owned(),
        details,
    }
}
