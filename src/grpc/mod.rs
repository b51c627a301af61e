//! What gRPC services share: how a call finds its service, how a message is read within its bounds,
//! and how a failure is answered.
//!
//! A listener answers several services. Each is a [`Service`] in the list of a [`Services`]. Begin
//! there.

pub mod elsewhere;
pub mod health;
pub mod message;
pub mod reflection;
pub mod unary;

use std::convert::Infallible;
use std::net::SocketAddr;
use std::sync::Arc;
use std::time::Duration;

use actix_web::ResponseError;
use hyper::body::Incoming;
use hyper::header::{ALLOW, AUTHORIZATION, CONTENT_TYPE, HeaderValue};
use hyper::{Method, Request, Response, StatusCode};
use tonic::Status;
use tonic::body::Body;
use tonic::server::NamedService;

use crate::access::{Credentials, Guard, Need, Refusal};
use crate::http::problem::Problem;
use crate::net::http2::{Answering, Calls};

/// How long a request may take to arrive.
pub const BODY_TIME_LIMIT: Duration = Duration::from_secs(10);

/// The largest request of services that ask for something by its name, in bytes.
pub const SMALL_REQUEST: usize = 16 * 1024;

/// One gRPC service.
pub trait Service: Send + Sync + 'static {
    /// Its full name, as in its `.proto` file.
    fn name(&self) -> &'static str;

    /// What it needs from who calls it. The request then has a
    /// [`Caller`](crate::access::Caller) among its extensions.
    fn need(&self) -> Need;

    /// Answers a call of one of its methods.
    fn call(&self, request: Request<Incoming>) -> Answering;
}

/// A service that tonic generated. It needs nothing.
struct Generated<S>(S);

impl<S> Service for Generated<S>
where
    S: tonic::codegen::Service<Request<Incoming>, Response = Response<Body>, Error = Infallible>
        + NamedService
        + Clone
        + Send
        + Sync
        + 'static,
    S::Future: Send + 'static,
{
    fn name(&self) -> &'static str {
        S::NAME
    }

    fn need(&self) -> Need {
        Need::Nothing
    }

    fn call(&self, request: Request<Incoming>) -> Answering {
        let answering = self.0.clone().call(request);
        Box::pin(async { answering.await.unwrap_or_else(|never| match never {}) })
    }
}

/// The services of a listener, and who may call them.
pub struct Services {
    all: Vec<Arc<dyn Service>>,
    guard: Arc<Guard>,
}

impl Services {
    /// Answers these, whose calls the guard checks.
    #[must_use]
    pub fn new(all: Vec<Arc<dyn Service>>, guard: Arc<Guard>) -> Self {
        Self { all, guard }
    }

    fn find(&self, path: &str) -> Option<&dyn Service> {
        let (service, _) = parts(path)?;
        let found = self.all.iter().find(|known| known.name() == service);
        found.map(|found| &**found)
    }

    /// Answers who may call the service.
    fn checked(
        &self,
        service: &dyn Service,
        mut request: Request<Incoming>,
        from: Option<SocketAddr>,
    ) -> Answering {
        let need = service.need();
        if need != Need::Nothing {
            let values = request.headers().get_all(AUTHORIZATION).iter();
            let presented = Credentials::of(values.map(HeaderValue::as_bytes));
            let from = from.map(|from| from.ip());
            match self.guard.check(presented, from, need, None) {
                Ok(caller) => request.extensions_mut().insert(caller),
                Err(refusal) => return ready(failed(Status::from(refusal))),
            };
        }
        service.call(request)
    }
}

impl Calls for Services {
    fn answer(&self, request: Request<Incoming>, from: Option<SocketAddr>) -> Answering {
        if let Some(refused) = not_a_call(&request) {
            return ready(refused);
        }
        match self.find(request.uri().path()) {
            Some(service) => self.checked(service, request, from),
            None => ready(failed(Status::unimplemented("there is no such service"))),
        }
    }

    fn refuse(&self) -> Response<Body> {
        too_many()
    }
}

/// The service and the method of a path.
fn parts(path: &str) -> Option<(&str, &str)> {
    path.strip_prefix('/')?.split_once('/')
}

/// The method that a request calls.
#[must_use]
pub fn method(request: &Request<Incoming>) -> &str {
    parts(request.uri().path()).map_or("", |(_, method)| method)
}

fn too_many() -> Response<Body> {
    failed(Status::unavailable("too many requests are being answered"))
}

/// The answer to requests that are not gRPC, which their sender can read.
fn not_a_call(request: &Request<Incoming>) -> Option<Response<Body>> {
    if !is_grpc(request) {
        let detail = "over HTTP/2, this listener answers gRPC only; poll JSON over HTTP/1.1";
        return Some(problem(&Problem::Misdirected(detail.into())));
    }
    (request.method() != Method::POST).then(|| {
        let mut refused = problem(&Problem::MethodNotAllowed("POST".into()));
        let allowed = HeaderValue::from_static("POST");
        refused.headers_mut().insert(ALLOW, allowed);
        refused
    })
}

/// Whether a request is a gRPC call with messages of protobuf.
fn is_grpc(request: &Request<Incoming>) -> bool {
    let kind = request.headers().get(CONTENT_TYPE);
    let kind = kind.and_then(|kind| kind.to_str().ok()).unwrap_or_default();
    let kind = kind.split(';').next().unwrap_or_default().trim_end();
    matches!(kind, "application/grpc" | "application/grpc+proto")
}

/// An answer that is there already.
#[must_use]
pub fn ready(answer: Response<Body>) -> Answering {
    Box::pin(std::future::ready(answer))
}

/// Reads a request within a time limit.
///
/// # Errors
/// The reading's own, or `DEADLINE_EXCEEDED`.
pub async fn in_time<T>(
    limit: Duration,
    reading: impl Future<Output = Result<T, Status>>,
) -> Result<T, Status> {
    let read = tokio::time::timeout(limit, reading).await;
    read.unwrap_or_else(|_| Err(Status::deadline_exceeded("the request took too long")))
}

/// A failure, as gRPC clients read it.
#[must_use]
pub fn failed(status: Status) -> Response<Body> {
    status.into_http()
}

impl From<Refusal> for Status {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::TooMany => Self::resource_exhausted(detail),
            refusal if refusal.is_about_rights() => Self::permission_denied(detail),
            _ => Self::unauthenticated(detail),
        }
    }
}

/// A problem document, for clients that do not speak gRPC.
fn problem(problem: &Problem) -> Response<Body> {
    let document = unary::Whole::new(problem.document().into());
    let mut response = Response::new(Body::new(document));
    // The two HTTP servers have types of their own for the same number.
    let status = StatusCode::from_u16(problem.status_code().as_u16());
    *response.status_mut() = status.expect("a problem has a valid status");
    let kind = HeaderValue::from_static(Problem::MEDIA_TYPE);
    response.headers_mut().insert(CONTENT_TYPE, kind);
    response
}
