//! Exports over HTTP.
//!
//! # Source
//! OTLP 1.9, "OTLP/HTTP". Senders repeat an export after 429, 502, 503 and 504, and drop it after every
//! other error. So whatever may count later is answered with 503.

use actix_web::body::BoxBody;
use actix_web::dev::RequestHead;
use actix_web::http::StatusCode;
use actix_web::http::header::{CONTENT_TYPE, HeaderMap, HeaderValue, RETRY_AFTER};
use actix_web::web::{Data, Payload, to};
use actix_web::{HttpMessage, HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use tonic::{Code, Status};

use super::Encoding;
use super::answer;
use super::exports::{Exports, RETRY_AFTER_SECONDS, Refused, Taken};
use crate::access::{Caller, Need, Refusal};
use crate::http::authorize::as_problem;
use crate::http::body::{Body, check_announced, media_type, read_in};
use crate::http::problem::Problem;
use crate::http::request_id::{REQUEST_ID, id_of};
use crate::http::routes::Route;
use crate::telemetry::metrics::{ExportOutcome, ExportProtocol, Signal};

/// The routes; they need [`Exports`] as application data. Senders show ids of requests to nobody, and lines of the
/// log name the source. So an id is in the answer only: a span for the log costs a twentieth of an export.
pub const ROUTES: &[Route] = &[
    Route::new("POST", METRICS, Need::Agent, || to(metrics))
        .ignoring_others()
        .refusing(refuse)
        .unidentified(),
    Route::new("POST", TRACES, Need::Agent, || to(traces))
        .ignoring_others()
        .refusing(refuse)
        .unidentified(),
    Route::new("POST", LOGS, Need::Agent, || to(logs))
        .ignoring_others()
        .refusing(refuse)
        .unidentified(),
];

const METRICS: &str = "/v1/metrics";
const TRACES: &str = "/v1/traces";
const LOGS: &str = "/v1/logs";

async fn metrics(request: HttpRequest, body: Payload, exports: Data<Exports>) -> HttpResponse {
    exports.answer(Signal::Metrics, &request, body).await
}

async fn traces(request: HttpRequest, body: Payload, exports: Data<Exports>) -> HttpResponse {
    exports.answer(Signal::Traces, &request, body).await
}

async fn logs(request: HttpRequest, body: Payload, exports: Data<Exports>) -> HttpResponse {
    exports.answer(Signal::Logs, &request, body).await
}

impl Encoding {
    /// The encoding that the headers name.
    fn of(headers: &HeaderMap) -> Option<Self> {
        let given = media_type(headers)?;
        [Self::Protobuf, Self::Json]
            .into_iter()
            .find(|encoding| given.eq_ignore_ascii_case(encoding.media_type()))
    }

    fn media_type(self) -> &'static str {
        match self {
            Self::Protobuf => "application/x-protobuf",
            Self::Json => "application/json",
        }
    }

    fn protocol(self) -> ExportProtocol {
        match self {
            Self::Protobuf => ExportProtocol::HttpProtobuf,
            Self::Json => ExportProtocol::HttpJson,
        }
    }
}

impl Exports {
    /// Whether the announced body of an export will be read; none if the request is no export.
    #[must_use]
    pub fn expects(&self, head: &RequestHead) -> Option<Result<(), Box<HttpResponse>>> {
        let signal = match head.uri.path() {
            METRICS => Signal::Metrics,
            TRACES => Signal::Traces,
            LOGS => Signal::Logs,
            _ => return None,
        };
        let checked = check_announced(head.headers(), self.bytes_max).map_err(|problem| {
            // The handler says that an encoding is not known.
            let encoding = Encoding::of(head.headers()).unwrap_or(Encoding::Json);
            Box::new(self.respond(signal, encoding, Err(problem.into())))
        });
        Some(checked)
    }

    async fn answer(&self, signal: Signal, request: &HttpRequest, body: Payload) -> HttpResponse {
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.unwrap_or(Caller::Anybody);
        let response = match Encoding::of(request.headers()) {
            Some(encoding) => {
                let taken = async {
                    let body = self.read(request, body).await?;
                    self.take(signal, encoding, &body, &caller).await
                };
                self.respond(signal, encoding, taken.await)
            }
            None => self.unknown(signal),
        };
        identified(request, response)
    }

    async fn read(&self, request: &HttpRequest, body: Payload) -> Result<Body, Refused> {
        let read = read_in(&self.room, request, body, self.bytes_max).await;
        read.map_err(Refused::from)
    }

    fn respond(
        &self,
        signal: Signal,
        encoding: Encoding,
        taken: Result<Taken, Refused>,
    ) -> HttpResponse {
        self.count(signal, encoding.protocol(), &taken);
        match taken {
            Ok(taken) => HttpResponse::Ok()
                .insert_header((CONTENT_TYPE, encoding.media_type()))
                .body(answer::success(signal, encoding, &taken)),
            Err(refused) => refused.response(encoding),
        }
    }

    /// The answer to a client whose encoding is not known: what other paths answer.
    fn unknown(&self, signal: Signal) -> HttpResponse {
        let detail = "Content-Type must be application/x-protobuf or application/json";
        let refused = Err(Refused::Unsupported(detail.into()));
        self.count(signal, ExportProtocol::HttpOther, &refused);
        Problem::Unsupported(detail.into()).error_response()
    }
}

/// Refuses as OTLP does: with a `google.rpc.Status` in the encoding of the request. Senders do not repeat it,
/// but after 429.
fn refuse(request: &HttpRequest, refusal: Refusal) -> HttpResponse {
    let Some(encoding) = Encoding::of(request.headers()) else {
        return identified(request, as_problem(request, refusal));
    };
    let (said, problem) = (refusal.to_string(), Problem::from(refusal.clone()));
    let body = answer::failure(encoding, Status::from(refusal).code(), &said);
    let mut response = problem.error_response();
    let kind = HeaderValue::from_static(encoding.media_type());
    response.headers_mut().insert(CONTENT_TYPE, kind);
    identified(request, response.set_body(BoxBody::new(body)))
}

/// An answer with the id of its request.
fn identified(request: &HttpRequest, mut response: HttpResponse) -> HttpResponse {
    let id = id_of(request.headers());
    response.headers_mut().insert(REQUEST_ID, id);
    response
}

impl Refused {
    fn response(&self, encoding: Encoding) -> HttpResponse {
        let (status, code) = match self {
            Self::Malformed(_) => (StatusCode::BAD_REQUEST, Code::InvalidArgument),
            Self::Forbidden => (StatusCode::FORBIDDEN, Code::PermissionDenied),
            Self::TooLarge(_) => (StatusCode::PAYLOAD_TOO_LARGE, Code::ResourceExhausted),
            Self::Unsupported(_) => (StatusCode::UNSUPPORTED_MEDIA_TYPE, Code::Unimplemented),
            Self::ExpectationFailed => (StatusCode::EXPECTATION_FAILED, Code::Unimplemented),
            Self::Later { .. } => (StatusCode::SERVICE_UNAVAILABLE, Code::Unavailable),
        };
        let mut response = HttpResponseBuilder::new(status);
        response.insert_header((CONTENT_TYPE, encoding.media_type()));
        if let Self::Later { .. } = self {
            response.insert_header((RETRY_AFTER, RETRY_AFTER_SECONDS.to_string()));
        }
        response.body(answer::failure(encoding, code, &self.to_string()))
    }
}

/// What is wrong with a body, as the reading of bodies says it.
impl From<Problem> for Refused {
    fn from(problem: Problem) -> Self {
        let later = |detail, outcome| Self::Later { detail, outcome };
        match problem {
            Problem::Malformed { detail, .. } | Problem::Invalid { detail, .. } => {
                Self::Malformed(detail)
            }
            Problem::TooLarge(most) => Self::TooLarge(most),
            Problem::Unsupported(detail) => Self::Unsupported(detail),
            Problem::ExpectationFailed => Self::ExpectationFailed,
            Problem::TooSlow => later("the body took too long to arrive", ExportOutcome::TooSlow),
            Problem::Unavailable { detail, .. } => later(detail, ExportOutcome::Overloaded),
            _ => later("the body could not be read", ExportOutcome::Internal),
        }
    }
}
