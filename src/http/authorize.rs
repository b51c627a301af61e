//! Who may call a route: asks the guard before the handler runs.

use std::sync::Arc;

use actix_web::body::{BoxBody, MessageBody};
use actix_web::dev::{ServiceRequest, ServiceResponse};
use actix_web::http::header::{AUTHORIZATION, ORIGIN};
use actix_web::middleware::Next;
use actix_web::{Error, HttpMessage, HttpRequest, HttpResponse, ResponseError};
use percent_encoding::percent_decode_str;

use super::cookies;
use super::problem::Problem;
use crate::access::{Credentials, Guard, Need, Refusal};

/// How a route answers who may not call it, in the form that its clients read.
pub type Refuse = fn(&HttpRequest, Refusal) -> HttpResponse;

/// Refuses as a problem document.
pub fn as_problem(_: &HttpRequest, refusal: Refusal) -> HttpResponse {
    Problem::from(refusal).error_response()
}

/// Lets a request through whose sender may do what the route needs. Its handler finds a
/// [`Caller`](crate::access::Caller) among the request's data.
pub(super) async fn authorize(
    guard: Arc<Guard>,
    need: Need,
    refuse: Refuse,
    request: ServiceRequest,
    next: Next<impl MessageBody + 'static>,
) -> Result<ServiceResponse<BoxBody>, Error> {
    let values = request.headers().get_all(AUTHORIZATION);
    let presented = Credentials::of(values.map(|value| value.as_bytes()));
    let presented = match guard.session_cookie() {
        Some(name) => {
            let names_page = request.method().is_safe() || request.headers().contains_key(ORIGIN);
            presented.or_session(cookies::find(request.headers(), name), names_page)
        }
        None => presented,
    };
    let from = request.peer_addr().map(|from| from.ip());
    guard.catch_up(&presented, from).await;
    let service = request.match_info().get("service");
    let service = service.map(|of| percent_decode_str(of).decode_utf8_lossy());
    match guard.check(presented, from, need, service.as_deref()) {
        Ok(caller) => {
            request.extensions_mut().insert(caller);
            Ok(next.call(request).await?.map_into_boxed_body())
        }
        Err(refusal) => {
            let refused = refuse(request.request(), refusal);
            Ok(request.into_response(refused))
        }
    }
}

impl From<Refusal> for Problem {
    fn from(refusal: Refusal) -> Self {
        let detail = refusal.to_string();
        match refusal {
            Refusal::TooMany => Self::TooManyAttempts(detail),
            refusal if refusal.is_about_rights() => Self::Forbidden(detail),
            refusal => Self::Unauthorized {
                detail,
                presented: !matches!(refusal, Refusal::NoToken(_)),
            },
        }
    }
}
