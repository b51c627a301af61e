//! Errors as clients see them: `application/problem+json`.
//!
//! # Source
//! RFC 9457. A problem never contains a key of a sampling strategy: a legacy client ignores the
//! status and parses any body.

use actix_web::http::StatusCode;
use actix_web::http::header::{ALLOW, CONTENT_TYPE, RETRY_AFTER, WWW_AUTHENTICATE};
use actix_web::{HttpResponse, HttpResponseBuilder, ResponseError};
use serde::Serialize;

/// When an address that presented too many tokens may try again: the guard's period.
const ATTEMPTS_AGAIN_SECONDS: &str = "60";

/// One variant per kind of problem. It decides status, type and title.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Problem {
    /// The request cannot be read.
    #[error("the request is malformed: {detail}")]
    Malformed {
        /// The wrong field or parameter; may be empty.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The request can be read, but a value in it is wrong.
    #[error("{field} is invalid: {detail}")]
    Invalid {
        /// The wrong field.
        field: String,
        /// What is wrong with it.
        detail: String,
    },
    /// The client must present a token that is valid.
    #[error("unauthorized: {detail}")]
    Unauthorized {
        /// What is missing or wrong.
        detail: String,
        /// Whether it presented something.
        presented: bool,
    },
    /// The client has presented too many tokens that are not valid.
    #[error("too many attempts: {0}")]
    TooManyAttempts(String),
    /// The client may not do this.
    #[error("forbidden: {0}")]
    Forbidden(String),
    /// The request was meant for another server.
    #[error("misdirected: {0}")]
    Misdirected(String),
    /// The request has an expectation that this server cannot meet.
    #[error("the only supported expectation is 100-continue")]
    ExpectationFailed,
    /// Nothing exists under this name.
    #[error("not found: {0}")]
    NotFound(String),
    /// The path does not support this method.
    #[error("only these methods are allowed here: {0}")]
    MethodNotAllowed(String),
    /// The resource has changed since the client read it.
    #[error("the condition does not hold: {0}")]
    PreconditionFailed(String),
    /// A write without the required condition.
    #[error("a condition is required: {0}")]
    PreconditionRequired(String),
    /// The request contradicts an earlier one that was accepted.
    #[error("conflict: {0}")]
    Conflict(String),
    /// The body is larger than allowed.
    #[error("the body is larger than {0} bytes")]
    TooLarge(usize),
    /// The body took too long to arrive.
    #[error("the body took too long to arrive")]
    TooSlow,
    /// The body's type or encoding is not supported.
    #[error("unsupported: {0}")]
    Unsupported(String),
    /// The service cannot do it now. The client should retry later.
    #[error("unavailable: {detail}")]
    Unavailable {
        /// Why.
        detail: &'static str,
        /// How long to wait before a retry.
        retry_after_seconds: u32,
    },
    /// An internal error; the log says more.
    #[error("internal error")]
    Internal,
}

#[derive(Serialize)]
struct Document<'a> {
    #[serde(rename = "type")]
    kind: String,
    title: &'static str,
    status: u16,
    detail: String,
    #[serde(skip_serializing_if = "str::is_empty")]
    field: &'a str,
}

impl Problem {
    /// The media type of a problem document.
    pub const MEDIA_TYPE: &'static str = "application/problem+json";

    /// The document that clients read.
    #[must_use]
    pub fn document(&self) -> Vec<u8> {
        let (status, kind, title) = self.kind();
        let document = Document {
            kind: format!("urn:weir:problem:{kind}"),
            title,
            status: status.as_u16(),
            detail: self.detail(),
            field: self.field(),
        };
        serde_json::to_vec(&document).expect("strings and numbers serialise")
    }

    fn kind(&self) -> (StatusCode, &'static str, &'static str) {
        match self {
            Self::Malformed { .. } => (StatusCode::BAD_REQUEST, "malformed", "Malformed request"),
            Self::Invalid { .. } => (StatusCode::UNPROCESSABLE_ENTITY, "invalid", "Invalid value"),
            Self::Unauthorized { .. } => {
                (StatusCode::UNAUTHORIZED, "unauthorized", "Token required")
            }
            Self::TooManyAttempts(_) => (
                StatusCode::TOO_MANY_REQUESTS,
                "too-many-attempts",
                "Too many attempts",
            ),
            Self::Forbidden(_) => (StatusCode::FORBIDDEN, "forbidden", "Forbidden"),
            Self::Misdirected(_) => (
                StatusCode::MISDIRECTED_REQUEST,
                "misdirected",
                "Misdirected request",
            ),
            Self::ExpectationFailed => (
                StatusCode::EXPECTATION_FAILED,
                "expectation-failed",
                "Expectation failed",
            ),
            Self::NotFound(_) => (StatusCode::NOT_FOUND, "not-found", "Not found"),
            Self::MethodNotAllowed(_) => (
                StatusCode::METHOD_NOT_ALLOWED,
                "method-not-allowed",
                "Method not allowed",
            ),
            Self::PreconditionFailed(_) => (
                StatusCode::PRECONDITION_FAILED,
                "precondition-failed",
                "Precondition failed",
            ),
            Self::PreconditionRequired(_) => (
                StatusCode::PRECONDITION_REQUIRED,
                "precondition-required",
                "Precondition required",
            ),
            Self::Conflict(_) => (StatusCode::CONFLICT, "conflict", "Conflict"),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, "too-large", "Body too large"),
            Self::TooSlow => (StatusCode::REQUEST_TIMEOUT, "too-slow", "Body too slow"),
            Self::Unsupported(_) => (
                StatusCode::UNSUPPORTED_MEDIA_TYPE,
                "unsupported",
                "Unsupported body",
            ),
            Self::Unavailable { .. } => (
                StatusCode::SERVICE_UNAVAILABLE,
                "unavailable",
                "Unavailable",
            ),
            Self::Internal => (
                StatusCode::INTERNAL_SERVER_ERROR,
                "internal",
                "Internal error",
            ),
        }
    }

    fn field(&self) -> &str {
        match self {
            Self::Malformed { field, .. } | Self::Invalid { field, .. } => field,
            _ => "",
        }
    }

    fn detail(&self) -> String {
        match self {
            Self::Malformed { detail, .. }
            | Self::Invalid { detail, .. }
            | Self::Unauthorized { detail, .. }
            | Self::TooManyAttempts(detail)
            | Self::Forbidden(detail)
            | Self::Misdirected(detail)
            | Self::NotFound(detail)
            | Self::PreconditionFailed(detail)
            | Self::PreconditionRequired(detail)
            | Self::Conflict(detail)
            | Self::Unsupported(detail) => detail.clone(),
            Self::Unavailable { detail, .. } => (*detail).to_owned(),
            other => other.to_string(),
        }
    }
}

impl ResponseError for Problem {
    fn status_code(&self) -> StatusCode {
        self.kind().0
    }

    fn error_response(&self) -> HttpResponse {
        let mut response = HttpResponseBuilder::new(self.status_code());
        response.insert_header((CONTENT_TYPE, Self::MEDIA_TYPE));
        match self {
            Self::Unavailable {
                retry_after_seconds,
                ..
            } => {
                response.insert_header((RETRY_AFTER, retry_after_seconds.to_string()));
            }
            Self::TooManyAttempts(_) => {
                response.insert_header((RETRY_AFTER, ATTEMPTS_AGAIN_SECONDS));
            }
            Self::Unauthorized { presented, .. } => {
                response.insert_header((WWW_AUTHENTICATE, challenge(*presented)));
            }
            Self::MethodNotAllowed(allowed) => {
                response.insert_header((ALLOW, allowed.as_str()));
            }
            _ => {}
        }
        response.body(self.document())
    }
}

/// What a client has to present.
///
/// # Source
/// RFC 6750, 3.
#[must_use]
pub fn challenge(presented: bool) -> &'static str {
    if presented {
        "Bearer realm=\"weir\", error=\"invalid_token\""
    } else {
        "Bearer realm=\"weir\""
    }
}

/// What is said of paths without a route.
pub const NOT_FOUND: &str = "this path does not exist";

/// Answers paths without a route.
pub async fn not_found() -> Result<HttpResponse, Problem> {
    Err(Problem::NotFound(NOT_FOUND.into()))
}
