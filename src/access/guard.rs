//! The check of a request.

use std::net::IpAddr;
use std::sync::Arc;

use super::issuer::JwtFault;
use super::{LOCAL, Need, Role, Token, TokenKind, TokenSecret, Tokens};
use crate::clock::Clock;
use crate::telemetry::metrics::{AccessRefusal, ListenerName, Metrics};
use crate::telemetry::seldom::log_seldom;

/// Who sent a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Caller {
    /// Somebody who needs no token here.
    Anybody,
    /// The holder of a token.
    Holder(Arc<Token>),
}

impl Caller {
    /// What is written beside what it does.
    #[must_use]
    pub fn name(&self) -> &str {
        match self {
            Self::Anybody => LOCAL,
            Self::Holder(token) => token.name.as_str(),
        }
    }

    /// Whether it may count requests of a service.
    #[must_use]
    pub fn may_count(&self, service: &str) -> bool {
        match self {
            Self::Anybody => true,
            Self::Holder(token) => token.covers(service),
        }
    }
}

/// What a request presents.
#[derive(Debug)]
pub enum Credentials {
    /// Nothing.
    None,
    /// A token.
    Token(TokenSecret),
    /// Something that looks like a JWT. It may be meant for a proxy in front where no issuer is known.
    Jwt(String),
    /// The session of a browser.
    Session {
        /// What its cookie holds.
        secret: TokenSecret,
        /// Whether the request changes nothing, or says which page sends it. Browsers say that of every change.
        names_page: bool,
    },
    /// Something that begins as a token does, but is none.
    Malformed,
    /// Something else, which may be meant for a proxy in front.
    Foreign,
}

impl Credentials {
    /// Reads the values of `Authorization`.
    ///
    /// # Source
    /// RFC 6750, 2.1; RFC 9110, 11.1: the scheme's case does not matter.
    #[must_use]
    pub fn of<'v>(mut values: impl Iterator<Item = &'v [u8]>) -> Self {
        let Some(first) = values.next() else {
            return Self::None;
        };
        if values.next().is_some() {
            return Self::Malformed;
        }
        let text = std::str::from_utf8(first).unwrap_or_default().trim();
        let (scheme, given) = text.split_once(' ').unwrap_or_default();
        let given = given.trim();
        if !scheme.eq_ignore_ascii_case("bearer") {
            return Self::Foreign;
        }
        if is_jwt(given) {
            return Self::Jwt(given.to_owned());
        }
        if !TokenSecret::is_meant(given) {
            return Self::Foreign;
        }
        TokenSecret::parse(given).map_or(Self::Malformed, Self::Token)
    }

    /// Takes the session of a browser into account, which counts if nothing else is presented: the value of its
    /// cookie.
    #[must_use]
    pub fn or_session(self, cookie: Option<&str>, names_page: bool) -> Self {
        match (self, cookie) {
            (Self::None | Self::Foreign, Some(cookie)) => match TokenSecret::parse(cookie) {
                Some(secret) => Self::Session { secret, names_page },
                None => Self::Malformed,
            },
            (presented, _) => presented,
        }
    }
}

/// Whether a text has the form of a signed JWT: three parts in base64url.
fn is_jwt(text: &str) -> bool {
    let is_sound = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_');
    let is_part = |part: &str| part.bytes().all(is_sound);
    text.starts_with("ey") && text.split('.').count() == 3 && text.split('.').all(is_part)
}

/// Why a request is refused.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// It presents no token.
    #[error("this needs a token of role {0}, as Authorization: Bearer weir_…")]
    NoToken(Role),
    /// What it presents is not a token.
    #[error(
        "Authorization must be given once, as Bearer and a token of Weir, which begins with weir_"
    )]
    Malformed,
    /// Nobody has this token.
    #[error("this token is not known, or it was a session that has ended")]
    Unknown,
    /// The token has run out.
    #[error("this token has expired")]
    Expired,
    /// The token was revoked.
    #[error("this token was revoked")]
    Revoked,
    /// A change in a session that no page of Weir has sent.
    #[error("a change in a session must say which page sends it (Origin), as browsers do")]
    NoPage,
    /// The issuer's JWT is not accepted.
    #[error(transparent)]
    Jwt(#[from] JwtFault),
    /// The issuer's JWT is for somebody without a role.
    #[error("{0} is in none of the groups that have a role here (--oidc-role)")]
    NoRole(String),
    /// Its address has presented too many tokens that are not valid.
    #[error("too many tokens that are not valid came from this address; wait a minute")]
    TooMany,
    /// The token is not for this.
    #[error("this needs a token of role {needed}; this one has the role {has}")]
    Role {
        /// The least role that is enough.
        needed: Role,
        /// The token's role.
        has: Role,
    },
    /// The token is not for this service, or not for the whole fleet.
    #[error("this token is limited to some services, and {0} is not among them")]
    Scope(String),
}

impl Refusal {
    /// Whether a valid token was presented, which is not enough.
    #[must_use]
    pub fn is_about_rights(&self) -> bool {
        matches!(
            self,
            Self::Role { .. } | Self::Scope(_) | Self::NoRole(_) | Self::NoPage
        )
    }

    fn label(&self) -> AccessRefusal {
        match self {
            Self::NoToken(_) => AccessRefusal::NoToken,
            Self::Malformed => AccessRefusal::Malformed,
            Self::Unknown => AccessRefusal::Unknown,
            Self::Expired | Self::Jwt(JwtFault::Expired) => AccessRefusal::Expired,
            Self::Revoked => AccessRefusal::Revoked,
            Self::TooMany => AccessRefusal::TooMany,
            Self::NoPage => AccessRefusal::NoPage,
            Self::Jwt(_) => AccessRefusal::Jwt,
            Self::Role { .. } | Self::NoRole(_) => AccessRefusal::Role,
            Self::Scope(_) => AccessRefusal::Scope,
        }
    }
}

/// Whom a listener answers without a token.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Rules {
    /// Whether everybody who reaches the listener may do everything without a token.
    pub anybody: bool,
    /// Whether everybody may read metrics.
    pub anybody_scrapes: bool,
    /// Whether a token counts that somebody presents who needs none.
    pub heeds_tokens: bool,
    /// The cookie that holds the session of a browser; none where nobody signs in.
    pub session_cookie: Option<&'static str>,
}

/// Checks the requests of one listener.
#[derive(Clone)]
pub struct Guard {
    tokens: Arc<Tokens>,
    clock: Arc<dyn Clock>,
    metrics: Arc<Metrics>,
    listener: ListenerName,
    rules: Rules,
}

impl Guard {
    /// A guard by these rules.
    #[must_use]
    pub fn new(
        tokens: Arc<Tokens>,
        clock: Arc<dyn Clock>,
        metrics: Arc<Metrics>,
        listener: ListenerName,
        rules: Rules,
    ) -> Self {
        Self {
            tokens,
            clock,
            metrics,
            listener,
            rules,
        }
    }

    /// The cookie that holds the session of a browser; none where nobody signs in.
    #[must_use]
    pub fn session_cookie(&self) -> Option<&'static str> {
        self.rules.session_cookie
    }

    /// Waits a moment for a session that is not known here, which may have begun on another replica.
    pub async fn catch_up(&self, presented: &Credentials, from: Option<IpAddr>) {
        if let Credentials::Session { secret, .. } = presented
            && self.tokens.find(secret).is_none()
            && !self
                .tokens
                .attempts
                .has_too_many(from, self.clock.counted())
        {
            self.tokens.caught_up().await;
        }
    }

    /// Checks who sends a request, and whether it may. `service` is the service that the path is about;
    /// none if it is about the whole fleet. A token that is limited to services may not do what is about
    /// the whole fleet, but an agent's is checked against what it counts.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(
        &self,
        presented: Credentials,
        from: Option<IpAddr>,
        need: Need,
        service: Option<&str>,
    ) -> Result<Caller, Refusal> {
        let Some(role) = need.role() else {
            return Ok(Caller::Anybody);
        };
        let free = self.rules.anybody || (self.rules.anybody_scrapes && need == Need::Scraper);
        let presented = match presented {
            Credentials::Jwt(_) if self.tokens.issuer.is_none() => Credentials::Foreign,
            presented => presented,
        };
        let meant = !matches!(presented, Credentials::None | Credentials::Foreign);
        if free && !(meant && self.rules.heeds_tokens) {
            return Ok(Caller::Anybody);
        }
        let checked = self.valid(presented, role).and_then(|token| {
            let checked = allowed(&token, need, service);
            if let Err(why) = &checked {
                let who = token.name.as_str();
                log_seldom!(info, who, %why, "refused somebody who has no right to it");
            }
            checked.map(|()| Caller::Holder(token))
        });
        checked.map_err(|refusal| self.refused(refusal, from))
    }

    /// A refusal for a service that the caller may not count for; it is counted.
    #[must_use]
    pub fn out_of_scope(&self, service: &str) -> Refusal {
        let refusal = Refusal::Scope(service.to_owned());
        self.count(&refusal);
        refusal
    }

    fn valid(&self, presented: Credentials, needed: Role) -> Result<Arc<Token>, Refusal> {
        let (secret, kind) = match presented {
            Credentials::Token(secret) => (secret, TokenKind::Token),
            Credentials::Session { secret, names_page } if names_page => {
                (secret, TokenKind::Session)
            }
            Credentials::Session { .. } => return Err(Refusal::NoPage),
            Credentials::Jwt(jwt) => return self.of_issuer(&jwt),
            Credentials::None => return Err(Refusal::NoToken(needed)),
            Credentials::Malformed | Credentials::Foreign => return Err(Refusal::Malformed),
        };
        let token = self.tokens.find(&secret);
        // A session is its cookie's alone, and a token no session.
        let token = token.filter(|of| of.kind == kind).ok_or(Refusal::Unknown)?;
        self.lasts(&token)?;
        // A session that began with a token ends with it.
        if let Some(id) = token.began_with() {
            let with = self.tokens.of_id(id).ok_or(Refusal::Revoked)?;
            self.lasts(&with)?;
        }
        Ok(token)
    }

    fn lasts(&self, token: &Token) -> Result<(), Refusal> {
        if token.revoked_at.is_some() {
            return Err(Refusal::Revoked);
        }
        let now = self.clock.now();
        match token.expires_at {
            Some(expires) if expires <= now => Err(Refusal::Expired),
            _ => Ok(()),
        }
    }

    /// The holder of a JWT of the issuer.
    fn of_issuer(&self, jwt: &str) -> Result<Arc<Token>, Refusal> {
        let issuer = self.tokens.issuer.as_ref().ok_or(Refusal::Malformed)?;
        let holder = issuer.holder(jwt, self.clock.now(), self.clock.counted())?;
        match holder.role {
            Some(role) => Ok(Arc::new(holder.token(role))),
            None => Err(Refusal::NoRole(holder.name.as_str().to_owned())),
        }
    }

    /// Counts and logs a refusal. Of an address with too many, only that is said. A valid token is
    /// never refused for it: many clients may share an address, and one must not lock out the others.
    fn refused(&self, refusal: Refusal, from: Option<IpAddr>) -> Refusal {
        let is_attempt = !refusal.is_about_rights() && !matches!(refusal, Refusal::NoToken(_));
        let attempts = &self.tokens.attempts;
        let too_many = is_attempt && attempts.are_too_many(from, self.clock.counted());
        let refusal = if too_many { Refusal::TooMany } else { refusal };
        self.count(&refusal);
        if let Refusal::NoRole(who) = &refusal {
            log_seldom!(warn, who, "refused somebody of the issuer who has no role");
        }
        if is_attempt {
            log_seldom!(
                warn,
                from = from.map(tracing::field::display),
                listener = crate::telemetry::metrics::Label::value(self.listener),
                why = %refusal,
                "refused a token"
            );
        }
        refusal
    }

    fn count(&self, refusal: &Refusal) {
        let series = (self.listener, refusal.label());
        self.metrics.access_refused.of(series).inc();
    }
}

fn allowed(token: &Token, need: Need, service: Option<&str>) -> Result<(), Refusal> {
    if !token.role.meets(need) {
        return Err(Refusal::Role {
            needed: need.role().unwrap_or(token.role),
            has: token.role,
        });
    }
    if matches!(need, Need::Agent | Need::Anyone) || token.is_for_all() {
        return Ok(());
    }
    match service {
        Some(service) if token.covers(service) => Ok(()),
        Some(service) => Err(Refusal::Scope(service.to_owned())),
        None => Err(Refusal::Scope("the whole fleet".into())),
    }
}
