//! The check of a request.

use std::net::IpAddr;
use std::sync::Arc;

use super::{LOCAL, Need, Role, Token, TokenSecret, Tokens};
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
        if !scheme.eq_ignore_ascii_case("bearer") || !TokenSecret::is_meant(given) {
            return Self::Foreign;
        }
        TokenSecret::parse(given).map_or(Self::Malformed, Self::Token)
    }
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
    #[error("this token is not known")]
    Unknown,
    /// The token has run out.
    #[error("this token has expired")]
    Expired,
    /// The token was revoked.
    #[error("this token was revoked")]
    Revoked,
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
        matches!(self, Self::Role { .. } | Self::Scope(_))
    }

    fn label(&self) -> AccessRefusal {
        match self {
            Self::NoToken(_) => AccessRefusal::NoToken,
            Self::Malformed => AccessRefusal::Malformed,
            Self::Unknown => AccessRefusal::Unknown,
            Self::Expired => AccessRefusal::Expired,
            Self::Revoked => AccessRefusal::Revoked,
            Self::TooMany => AccessRefusal::TooMany,
            Self::Role { .. } => AccessRefusal::Role,
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
        let meant = matches!(presented, Credentials::Token(_) | Credentials::Malformed);
        if free && !(meant && self.rules.heeds_tokens) {
            return Ok(Caller::Anybody);
        }
        let checked = self.valid(presented, role).and_then(|token| {
            allowed(&token, need, service)?;
            Ok(Caller::Holder(token))
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
        let secret = match presented {
            Credentials::Token(secret) => secret,
            Credentials::None => return Err(Refusal::NoToken(needed)),
            Credentials::Malformed | Credentials::Foreign => return Err(Refusal::Malformed),
        };
        let token = self.tokens.find(&secret).ok_or(Refusal::Unknown)?;
        if token.revoked_at.is_some() {
            return Err(Refusal::Revoked);
        }
        let now = self.clock.now();
        match token.expires_at {
            Some(expires) if expires <= now => Err(Refusal::Expired),
            _ => Ok(token),
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
    if need == Need::Agent || token.is_for_all() {
        return Ok(());
    }
    match service {
        Some(service) if token.covers(service) => Ok(()),
        Some(service) => Err(Refusal::Scope(service.to_owned())),
        None => Err(Refusal::Scope("the whole fleet".into())),
    }
}
