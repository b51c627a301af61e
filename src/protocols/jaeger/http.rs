//! Polls over HTTP. The only answers are 200 and 400, because clients understand no other.

use std::borrow::Cow;

use actix_web::http::header::{
    ACCEPT_ENCODING, AGE, AcceptEncoding, CONTENT_ENCODING, CONTENT_TYPE, Encoding, Header,
    HeaderName, HeaderValue, USER_AGENT, VARY,
};
use actix_web::web::{Data, to};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder};

use super::{Json, PLAN_HEADER, PlanAge, Polls, STALE_HEADER, file};
use crate::access::Need;
use crate::http::problem::Problem;
use crate::http::routes::Route;
use crate::protocols::encoded::Body;
use crate::snapshot::PollClient;
use crate::telemetry::metrics::{PollOutcome, PollProtocol};

const PLAN: HeaderName = HeaderName::from_static(PLAN_HEADER);
const STALE: HeaderName = HeaderName::from_static(STALE_HEADER);

/// The paths that the clients use, depending on the endpoint they are configured with, and the file
/// of all strategies. The routes need a [`Polls`] of [`Json`] and a [`file::File`] as application
/// data.
pub const ROUTES: &[Route] = &[
    polled("/"),
    polled("/sampling"),
    polled("/sampling/"),
    polled("/api/sampling"),
    polled("/api/sampling/sampling"),
    Route::new("GET", file::PATH, Need::Nothing, || to(file::send))
        .ignoring_others()
        .unidentified(),
];

/// Ignores other parameters, because some clients do not encode the service's name.
const fn polled(path: &'static str) -> Route {
    Route::new("GET", path, Need::Nothing, || to(strategy))
        .query(&["service"])
        .ignoring_others()
        .unidentified()
}

async fn strategy(request: HttpRequest, polls: Data<Polls<Json>>) -> Result<HttpResponse, Problem> {
    let service = service(request.query_string()).inspect_err(|_| {
        polls
            .about
            .count(PollProtocol::Http, PollOutcome::Malformed);
    })?;
    let client = request.headers().get(USER_AGENT);
    let client = PollClient::over_http(client.map(HeaderValue::as_bytes));
    Ok(
        polls.answer(PollProtocol::Http, client, &service, |body, plan| {
            let mut response = HttpResponse::Ok();
            describe(&mut response, plan);
            send(&request, response, body)
        }),
    )
}

/// Says which plan an answer is from.
pub(super) fn describe(response: &mut HttpResponseBuilder, plan: PlanAge) {
    response.insert_header((PLAN, HeaderValue::from(plan.number)));
    if let Some((age, is_stale)) = plan.age {
        let is_stale = if is_stale { "true" } else { "false" };
        response
            .insert_header((AGE, HeaderValue::from(age)))
            .insert_header((STALE, HeaderValue::from_static(is_stale)));
    }
}

/// Sends a body of JSON, compressed if the client prefers that.
pub(in crate::protocols) fn send(
    request: &HttpRequest,
    mut response: HttpResponseBuilder,
    body: &Body,
) -> HttpResponse {
    response
        .insert_header((CONTENT_TYPE, HeaderValue::from_static("application/json")))
        .insert_header((VARY, HeaderValue::from_static("accept-encoding")));
    if accepts_gzip(request) {
        response.insert_header((CONTENT_ENCODING, HeaderValue::from_static("gzip")));
        return response.body(body.gzip());
    }
    response.body(body.plain())
}

/// The `service` parameter, which must be given exactly once.
fn service(query: &str) -> Result<Cow<'_, str>, Problem> {
    // Nearly every poll looks like this. Anything else is decoded.
    let plain = query.strip_prefix("service=");
    if let Some(name) = plain.filter(|name| !name.contains(['&', '+', '%'])) {
        return Ok(Cow::Borrowed(name));
    }
    let mut found = form_urlencoded::parse(query.as_bytes())
        .filter(|(name, _)| name == "service")
        .map(|(_, value)| value);
    match (found.next(), found.next()) {
        (Some(service), None) => Ok(service),
        _ => Err(Problem::Malformed {
            field: "service".into(),
            detail: "must be given exactly once".into(),
        }),
    }
}

/// Whether the client prefers gzip.
fn accepts_gzip(request: &HttpRequest) -> bool {
    let offers = match request.headers().get(ACCEPT_ENCODING) {
        None => return false,
        // Most clients send exactly this, so it is answered without negotiation.
        Some(offer) if offer == "gzip" => return true,
        Some(_) => AcceptEncoding::parse(request).ok(),
    };
    let supported = [Encoding::gzip(), Encoding::identity()];
    offers.and_then(|offers| offers.negotiate(supported.iter())) == Some(Encoding::gzip())
}

#[cfg(test)]
mod tests {
    use actix_web::test::TestRequest;

    use super::*;

    #[test]
    fn the_service_stands_in_the_query_once() {
        for query in [
            "service=a+b",
            "service=a%20b",
            "x=1&service=a%20b&y",
            "service=a+b&Service=c",
        ] {
            assert_eq!(service(query).unwrap(), "a b", "{query}");
        }
        assert_eq!(service("service=").unwrap(), "");
        for query in [
            "",
            "services=a",
            "service=a&service=b",
            "service=a&service=a",
        ] {
            assert!(service(query).is_err(), "{query}");
        }
    }

    #[test]
    fn gzip_is_sent_to_those_who_offer_it() {
        let accepts = |offer: &str| {
            accepts_gzip(
                &TestRequest::get()
                    .insert_header((ACCEPT_ENCODING, offer))
                    .to_http_request(),
            )
        };
        assert!(accepts("gzip"));
        assert!(accepts("GZIP"));
        assert!(accepts("gzip, deflate, br, zstd"));
        assert!(accepts("deflate, gzip;q=0.5"));
        assert!(!accepts("identity, gzip;q=0"));
        assert!(!accepts("gzip;q=0"));
        assert!(
            !accepts("identity, gzip;q=0.5"),
            "the client prefers it plain"
        );
        assert!(!accepts("gzip;q=nonsense"));
        assert!(!accepts(""));
        assert!(!accepts_gzip(&TestRequest::get().to_http_request()));
    }
}
