//! Exports over gRPC: `MetricsService`, `TraceService` and `LogsService`.
//!
//! # Source
//! OTLP 1.9, "OTLP/gRPC": `UNAVAILABLE` asks the sender to send again, `RESOURCE_EXHAUSTED` without a
//! time does not.

use std::sync::Arc;

use hyper::body::Incoming;
use hyper::{Request, Response};
use tonic::body::Body;
use tonic::{Code, Status};

use super::Encoding;
use super::answer;
use super::exports::{Exports, RETRY_AFTER_SECONDS, Refused, Taken};
use crate::access::{Caller, Need};
use crate::grpc::{BODY_TIME_LIMIT, Service, failed, in_time, message, method, ready, unary};
use crate::net::http2::Answering;
use crate::telemetry::metrics::{ExportOutcome, ExportProtocol, Signal};

/// The descriptors of the services and of all their messages, for server reflection.
pub const DESCRIPTOR: &[u8] = include_bytes!("../../../proto/opentelemetry/otlp.binpb");

/// The only method of each.
const METHOD: &str = "Export";

/// The names of the services.
pub const SERVICES: [&str; 3] = [
    service(Signal::Metrics),
    service(Signal::Traces),
    service(Signal::Logs),
];

const fn service(signal: Signal) -> &'static str {
    match signal {
        Signal::Metrics => "opentelemetry.proto.collector.metrics.v1.MetricsService",
        Signal::Traces => "opentelemetry.proto.collector.trace.v1.TraceService",
        Signal::Logs => "opentelemetry.proto.collector.logs.v1.LogsService",
    }
}

/// The service of one signal.
struct OfSignal {
    signal: Signal,
    exports: Exports,
}

/// The services of all signals.
#[must_use]
pub fn services(exports: &Exports) -> [Arc<dyn Service>; 3] {
    [Signal::Metrics, Signal::Traces, Signal::Logs].map(|signal| {
        let exports = exports.clone();
        Arc::new(OfSignal { signal, exports }) as Arc<dyn Service>
    })
}

impl Service for OfSignal {
    fn name(&self) -> &'static str {
        service(self.signal)
    }

    fn need(&self) -> Need {
        Need::Agent
    }

    fn call(&self, request: Request<Incoming>) -> Answering {
        if method(&request) != METHOD {
            return ready(failed(Status::unimplemented("there is no such method")));
        }
        let (signal, exports) = (self.signal, self.exports.clone());
        let caller = request.extensions().get::<Caller>().cloned();
        let caller = caller.unwrap_or(Caller::Anybody);
        Box::pin(async move {
            let answered = match exports.read_message(request).await {
                Ok(message) => {
                    let taken = exports.take(signal, Encoding::Protobuf, &message, &caller);
                    let taken = taken.await;
                    exports.count(signal, ExportProtocol::Grpc, &taken);
                    taken.map_err(Status::from)
                }
                Err(status) => {
                    exports.count_refused(signal, status.code());
                    Err(status)
                }
            };
            answered.map_or_else(failed, |taken| success(signal, &taken))
        })
    }
}

impl Exports {
    async fn read_message(&self, request: Request<Incoming>) -> Result<message::Message, Status> {
        let reading = message::read_in(&self.room, request, self.bytes_max);
        let read = in_time(BODY_TIME_LIMIT, reading).await;
        read.map_err(|status| match status.code() {
            Code::Unavailable => later(Code::Unavailable, status.message()),
            _ => status,
        })
    }

    /// Counts a call whose message could not be received.
    fn count_refused(&self, signal: Signal, code: Code) {
        let outcome = match code {
            Code::ResourceExhausted => ExportOutcome::TooLarge,
            Code::DeadlineExceeded => ExportOutcome::TooSlow,
            Code::Unavailable => ExportOutcome::Overloaded,
            Code::Unimplemented => ExportOutcome::Unsupported,
            _ => ExportOutcome::Malformed,
        };
        let series = (signal, ExportProtocol::Grpc, outcome);
        self.metrics.otlp_exports.of(series).inc();
    }
}

fn success(signal: Signal, taken: &Taken) -> Response<Body> {
    let message = answer::success(signal, Encoding::Protobuf, taken);
    unary::answer(message::frame(&message, false), false)
}

fn later(code: Code, detail: &str) -> Status {
    let details = answer::retry(code, detail, RETRY_AFTER_SECONDS);
    Status::with_details(code, detail, details)
}

impl From<Refused> for Status {
    fn from(refused: Refused) -> Self {
        let detail = refused.to_string();
        match refused {
            Refused::Malformed(_) => Self::invalid_argument(detail),
            Refused::Forbidden => Self::permission_denied(detail),
            Refused::TooLarge(_) => Self::resource_exhausted(detail),
            Refused::Unsupported(_) | Refused::ExpectationFailed => Self::unimplemented(detail),
            Refused::Later { .. } => later(Code::Unavailable, &detail),
        }
    }
}
