//! Signing in with a token, and out. People of a provider sign in at `/login`, which the API has.
//!
//! A session of the token's holder begins, so that no page and no script ever has the token: the browser keeps the
//! session's cookie, which no script can read and which no other site's page can use.

use actix_web::http::StatusCode;
use actix_web::http::header::{ACCEPT, HeaderMap, HeaderName, LOCATION, ORIGIN, SET_COOKIE};
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse, ResponseError};
use maud::{DOCTYPE, html};

use super::Console;
use super::call::Asker;
use super::form::Fields;
use super::page::trouble::Trouble;
use super::page::{Frame, link};
use crate::access::{Caller, Credentials, Need, Refusal, TokenKind, TokenSecret};
use crate::http::cookies::SESSION;
use crate::http::problem::{NOT_FOUND, Problem};
use crate::oidc::Return;

const SIGN_IN: &str = "/console/sign-in";

const SEC_FETCH_SITE: HeaderName = HeaderName::from_static("sec-fetch-site");

/// Whether a request comes from a browser that wants a page.
pub fn wants_page(headers: &HeaderMap) -> bool {
    let accepted = headers.get_all(ACCEPT);
    let mut accepted = accepted.filter_map(|value| value.to_str().ok());
    accepted.any(|value| value.contains("text/html"))
}

/// Answers who may not see a page: leads to where one signs in, or says what is missing.
pub fn refuse(request: &HttpRequest, refusal: Refusal) -> HttpResponse {
    if request.path() == "/" && !wants_page(request.headers()) {
        return no_page();
    }
    if refusal.is_about_rights() || refusal == Refusal::TooMany {
        return Trouble::from(Problem::from(refusal)).error_response();
    }
    let comes_from_elsewhere = request.headers().get(SEC_FETCH_SITE);
    let comes_from_elsewhere = comes_from_elsewhere.is_some_and(|site| site == "cross-site");
    let to = request.uri().path_and_query().map_or("/", |to| to.as_str());
    if comes_from_elsewhere && matches!(refusal, Refusal::NoToken(_)) {
        return once_more(to);
    }
    let place = link(SIGN_IN, &[("to", to)]);
    let mut response = HttpResponse::SeeOther();
    if !matches!(refusal, Refusal::NoToken(_))
        && let Some(console) = request.app_data::<Data<Console>>()
    {
        // Where nobody needs a session, one that has ended must not be in the way.
        response.insert_header((SET_COOKIE, SESSION.set(console.encrypted, "", 0)));
    }
    // htmx follows this one.
    response.insert_header(("HX-Redirect", place.as_str()));
    response.insert_header((LOCATION, place)).finish()
}

/// Browsers send no cookie of a session with a link of another site. A page of this site asks once more.
fn once_more(to: &str) -> HttpResponse {
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content=(format!("0;url={to}"));
                title { "Weir" }
            }
            body { p { a href=(to) { "Go on" } } }
        }
    };
    Frame::raw(StatusCode::OK, page)
}

/// Answers other clients than browsers as a path without a route.
pub fn no_page() -> HttpResponse {
    Problem::NotFound(NOT_FOUND.into()).error_response()
}

/// Shows where one signs in.
pub async fn show(request: HttpRequest, console: Data<Console>) -> HttpResponse {
    let to = Fields::of_query(&request).text("to").to_owned();
    page(&console, StatusCode::OK, &to, None)
}

/// Begins a session of a token's holder.
pub async fn begin(
    request: HttpRequest,
    payload: Payload,
    console: Data<Console>,
) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_form(&request, payload).await?;
    let to = fields.text("to");
    match session(&request, &fields, &console).await {
        Ok(cookie) => {
            let to = Return::parse(to).ok();
            let to = to.as_ref().map_or("/", Return::as_str).to_owned();
            Ok(HttpResponse::SeeOther()
                .insert_header((SET_COOKIE, cookie))
                .insert_header((LOCATION, to))
                .finish())
        }
        Err(trouble) => Ok(page(&console, trouble.status, to, Some(&trouble))),
    }
}

async fn session(
    request: &HttpRequest,
    fields: &Fields,
    console: &Console,
) -> Result<String, Trouble> {
    let given = fields.text("token").trim();
    let presented = TokenSecret::parse(given).map_or(Credentials::Malformed, Credentials::Token);
    let from = request.peer_addr().map(|from| from.ip());
    let checked = console.guard.check(presented, from, Need::Anyone, None);
    let caller = checked.map_err(Problem::from)?;
    let Caller::Holder(token) = caller else {
        return Err(Trouble::wrong("token", "nobody needs a token here"));
    };
    if !token.role.meets(Need::Viewer) {
        let has = token.role;
        let detail =
            format!("the console needs a token of role viewer; this one has the role {has}");
        return Err(Trouble::from(Problem::Forbidden(detail)));
    }
    Ok(console.admin.begin_session_with(&token).await?)
}

/// Ends the session.
pub async fn end(asker: Asker) -> Result<HttpResponse, Trouble> {
    let Caller::Holder(token) = asker.caller() else {
        return Err(Trouble::missing("nobody is signed in"));
    };
    if token.kind != TokenKind::Session {
        return Err(Trouble::missing(
            "only a session of a browser can be ended here",
        ));
    }
    let cookie = asker.console.admin.end_session(&token).await?;
    Ok(HttpResponse::SeeOther()
        .insert_header((SET_COOKIE, cookie))
        .insert_header((LOCATION, SIGN_IN))
        .finish())
}

/// Refuses what a page of Weir has not sent. The listener has refused what other sites' pages send.
///
/// # Errors
/// The request does not say which page sends it, as browsers do of each form.
pub fn check_page(request: &HttpRequest) -> Result<(), Trouble> {
    let headers = request.headers();
    if headers.contains_key(ORIGIN) || headers.contains_key(SEC_FETCH_SITE) {
        return Ok(());
    }
    let detail = "a form must say which page sends it (Origin), as browsers do";
    Err(Trouble::from(Problem::Forbidden(detail.into())))
}

fn page(
    console: &Console,
    status: StatusCode,
    to: &str,
    trouble: Option<&Trouble>,
) -> HttpResponse {
    let to = Return::parse(to).ok();
    let to = to.as_ref().map_or("/", Return::as_str);
    Frame::bare("Sign in").answer(
        status,
        html! {
            h1 { "Sign in" }
            @if let Some(trouble) = trouble { (trouble.sentence()) }
            @if console.signs_in {
                p { a.button href=(link("/login", &[("to", to)])) { "Sign in with your organisation's account" } }
                h2 { "Or with a token" }
            }
            form.narrow method="post" action=(SIGN_IN) {
                input type="hidden" name="to" value=(to);
                label for="token" { "Token" }
                input id="token" name="token" type="password" autocomplete="current-password" required
                    autofocus aria-describedby="token-hint";
                p.hint id="token-hint" {
                    "Of role viewer to look, operator to change. An admin creates one with "
                    code { "weir token create" } "."
                }
                button.main type="submit" { "Sign in" }
            }
        },
    )
}
