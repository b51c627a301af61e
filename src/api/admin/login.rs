//! Signing in and out with a browser.
//!
//! The provider sends the browser back by a redirect, with which the cookie of a session would not be sent: the
//! redirect begins on another site. So the answer is a page that leads on by itself, and what it leads to is asked
//! for by a page of this site.

use actix_web::http::header::{
    CACHE_CONTROL, CONTENT_SECURITY_POLICY, CONTENT_TYPE, HeaderName, HeaderValue, LOCATION,
    SET_COOKIE,
};
use actix_web::web::{Data, Query, ReqData};
use actix_web::{HttpRequest, HttpResponse, HttpResponseBuilder, ResponseError};
use chrono::TimeDelta;
use maud::{DOCTYPE, PreEscaped, html};
use serde::Deserialize;
use uuid::Uuid;

use super::Admin;
use crate::access::{Caller, Identity, Role, SIGN_IN, Token, TokenKind, TokenName, TokenSecret};
use crate::http::cookies::{ATTEMPT, SESSION, find};
use crate::http::problem::Problem;
use crate::oidc::{ATTEMPT_LASTS, Answer, FetchError, Return, SignIn, SignInError};
use crate::store::{SESSIONS_MAX, TokenCreation};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::SignInOutcome;
use crate::telemetry::seldom::log_seldom;

/// How long a session lasts. Nothing makes it longer: a role that the provider has taken away is gone by then.
const SESSION_LASTS: TimeDelta = TimeDelta::hours(8);

/// Where somebody goes who did not say.
const HOME: &str = "/";

/// The page that leads on loads nothing, and sits in no other page.
const POLICY: &str =
    "default-src 'none'; base-uri 'none'; form-action 'none'; frame-ancestors 'none'";

const REFERRER_POLICY: HeaderName = HeaderName::from_static("referrer-policy");

/// Where to go after signing in.
#[derive(Deserialize)]
pub(super) struct Begin {
    to: Option<String>,
}

/// Sends the browser to the provider.
pub(super) async fn begin(
    asked: Query<Begin>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let sign_in = admin.signs_in()?;
    let to = asked.into_inner().to.unwrap_or_else(|| HOME.to_owned());
    let to = Return::parse(&to).map_err(|detail| Problem::Malformed {
        field: "to".into(),
        detail: detail.into(),
    })?;
    let (place, attempt) = sign_in.begin(to)?;
    let seconds = ATTEMPT_LASTS.num_seconds();
    let cookie = ATTEMPT.set(sign_in.is_encrypted(), attempt.cookie(), seconds);
    let place = HeaderValue::try_from(place).map_err(|_| Problem::Internal)?;
    let mut response = private(HttpResponse::SeeOther());
    response.insert_header((SET_COOKIE, cookie));
    Ok(response.insert_header((LOCATION, place)).finish())
}

/// Takes the provider's answer, and begins a session.
pub(super) async fn finish(
    request: HttpRequest,
    answer: Query<Answer>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let sign_in = admin.signs_in()?;
    let encrypted = sign_in.is_encrypted();
    let kept = find(request.headers(), ATTEMPT.name(encrypted));
    let done = sign_in.finish(kept, answer.into_inner()).await;
    admin.count(&done);
    let answered = match done {
        Ok((identity, role, to)) => match admin.begin_session(identity, role).await {
            Ok(secret) => Ok(leads_on(&secret, encrypted, &to)),
            Err(problem) => Err(problem),
        },
        Err(error) => Err(Problem::from(error)),
    };
    let mut response = answered.unwrap_or_else(|problem| problem.error_response());
    // An attempt is good for one answer, whichever it was.
    let used = HeaderValue::try_from(ATTEMPT.set(encrypted, "", 0));
    let used = used.map_err(|_| Problem::Internal)?;
    response.headers_mut().append(SET_COOKIE, used);
    Ok(response)
}

/// Ends the session that the request comes with.
pub(super) async fn end(
    caller: ReqData<Caller>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let session = match &*caller {
        Caller::Holder(token) if token.kind == TokenKind::Session => token,
        _ => {
            return Err(Problem::Conflict(
                "only a session of a browser can be ended here; a token is revoked at /v1/tokens"
                    .into(),
            ));
        }
    };
    let cookie = admin.end_session(session).await?;
    let mut response = private(HttpResponse::NoContent());
    response.insert_header((SET_COOKIE, cookie));
    Ok(response.finish())
}

impl Admin {
    fn signs_in(&self) -> Result<&SignIn, Problem> {
        let missing = "nobody signs in here: weir serve has no --oidc-client-id";
        let sign_in = self.sign_in.as_deref();
        sign_in.ok_or_else(|| Problem::NotFound(missing.into()))
    }

    /// Begins a session of somebody who signed in; the secret for its cookie.
    async fn begin_session(&self, who: Identity, role: Role) -> Result<TokenSecret, Problem> {
        let session = self.session(who.name, role, SIGN_IN.into())?;
        self.begin(session).await
    }

    /// Begins a session of a token's holder: what it may do is what the token may, and it ends with it. Returns the
    /// value of `Set-Cookie`.
    ///
    /// # Errors
    /// There are too many sessions, or the database does not answer.
    pub async fn begin_session_with(&self, token: &Token) -> Result<String, Problem> {
        let (mut session, secret) =
            self.session(token.name.clone(), token.role, token.as_creator())?;
        session.services.clone_from(&token.services);
        session.expires_at = session
            .expires_at
            .min(token.expires_at.or(session.expires_at));
        let seconds = session.expires_at.unwrap_or_default() - session.created_at;
        let secret = self.begin((session, secret)).await?;
        Ok(SESSION.set(self.encrypted, secret.expose(), seconds.num_seconds()))
    }

    /// Ends a session. Returns the value of `Set-Cookie` that takes its cookie away.
    ///
    /// # Errors
    /// The database does not answer.
    pub async fn end_session(&self, session: &Token) -> Result<String, Problem> {
        self.store
            .revoke_token(session.id, self.now(), None)
            .await?;
        self.know_tokens().await?;
        tracing::info!(who = session.name.as_str(), "signed out");
        Ok(SESSION.set(self.encrypted, "", 0))
    }

    fn session(
        &self,
        name: TokenName,
        role: Role,
        created_by: String,
    ) -> Result<(Token, TokenSecret), Problem> {
        let secret = TokenSecret::draw().map_err(|_| Problem::Internal)?;
        let now = self.now();
        let session = Token {
            id: Uuid::new_v4(),
            digest: secret.digest(),
            kind: TokenKind::Session,
            name,
            role,
            services: Vec::new(),
            created_at: now,
            created_by,
            expires_at: Some(now + SESSION_LASTS),
            revoked_at: None,
        };
        Ok((session, secret))
    }

    async fn begin(&self, (session, secret): (Token, TokenSecret)) -> Result<TokenSecret, Problem> {
        match self.store.create_token(&session, None).await? {
            TokenCreation::Created => {}
            TokenCreation::Full => {
                return Err(Problem::Conflict(format!(
                    "there are {SESSIONS_MAX} sessions already; each ends after 8 hours, or when an admin revokes it \
                     (DELETE /v1/tokens/{{id}})"
                )));
            }
        }
        self.know_tokens().await?;
        let who = session.name.as_str();
        tracing::info!(who, role = session.role.name(), session = %session.id, "signed in");
        Ok(secret)
    }

    fn count(&self, done: &Result<(Identity, Role, Return), SignInError>) {
        let outcome = match done {
            Ok(_) => SignInOutcome::Succeeded,
            Err(SignInError::Declined(_) | SignInError::NoRole(_)) => SignInOutcome::Refused,
            Err(SignInError::Attempt(_) | SignInError::Answer) => SignInOutcome::Stray,
            Err(_) => SignInOutcome::Failed,
        };
        self.metrics.sign_ins.of(outcome).inc();
        if let Err(error) = done {
            log_seldom!(warn, error = chain(error), "somebody could not sign in");
        }
    }
}

/// A page that sets the session's cookie, and leads on.
fn leads_on(secret: &TokenSecret, encrypted: bool, to: &Return) -> HttpResponse {
    let to = to.as_str();
    let page = html! {
        (DOCTYPE)
        html lang="en" {
            head {
                meta charset="utf-8";
                meta http-equiv="refresh" content=(format!("0;url={to}"));
                title { "Signed in" }
            }
            body { p { "You are signed in. " a href=(to) { "Go on" } (PreEscaped(".")) } }
        }
    };
    let seconds = SESSION_LASTS.num_seconds();
    private(HttpResponse::Ok())
        .insert_header((SET_COOKIE, SESSION.set(encrypted, secret.expose(), seconds)))
        .insert_header((CONTENT_TYPE, "text/html; charset=utf-8"))
        .insert_header((CONTENT_SECURITY_POLICY, POLICY))
        .body(page.into_string())
}

/// An answer that nobody stores, and whose address nobody is told.
fn private(mut response: HttpResponseBuilder) -> HttpResponseBuilder {
    response.insert_header((CACHE_CONTROL, "no-store"));
    response.insert_header((REFERRER_POLICY, "no-referrer"));
    response
}

impl From<SignInError> for Problem {
    fn from(error: SignInError) -> Self {
        let detail = error.to_string();
        let unavailable = |detail| Self::Unavailable {
            detail,
            retry_after_seconds: 10,
        };
        match error {
            SignInError::NotReady => unavailable("the provider has not answered yet"),
            SignInError::Busy => unavailable("too many people sign in at this moment"),
            SignInError::Exchange(FetchError::Status { status: 400, .. }) => Self::Malformed {
                field: "code".into(),
                detail: "the provider does not accept this code; begin again at /login".into(),
            },
            SignInError::Exchange(_) | SignInError::Keys(_) => {
                unavailable("the provider could not be asked; the log says why")
            }
            SignInError::Secret(_) | SignInError::Random(_) => Self::Internal,
            SignInError::Attempt(_) | SignInError::Answer | SignInError::Nonce => Self::Malformed {
                field: String::new(),
                detail,
            },
            SignInError::Declined(_) | SignInError::NoRole(_) | SignInError::Token(_) => {
                Self::Forbidden(detail)
            }
        }
    }
}
