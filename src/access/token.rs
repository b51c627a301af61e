//! A token, without its secret.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{BOOTSTRAP, LOCAL, Role, TokenDigest};
use crate::allocation::ServiceName;

/// What the creator of a session is called that began with a token, before the token's id.
const SIGN_IN_WITH: &str = "sign-in with token ";

/// The most services that one token may be limited to.
pub const SERVICES_MAX: usize = 100;

/// What sort of credential a token is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum TokenKind {
    /// A token that its owner presents.
    Token,
    /// The session of a browser, which its cookie holds.
    Session,
    /// A JWT of the issuer. It is stored nowhere.
    Jwt,
}

impl TokenKind {
    /// Every kind.
    pub const ALL: [Self; 3] = [Self::Token, Self::Session, Self::Jwt];

    /// Its name.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Token => "token",
            Self::Session => "session",
            Self::Jwt => "jwt",
        }
    }

    /// The kind with this name.
    #[must_use]
    pub fn named(name: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|kind| kind.name() == name)
    }
}

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is revoked by.
    pub id: Uuid,
    /// What it is found by.
    pub digest: TokenDigest,
    /// What sort of credential it is.
    pub kind: TokenKind,
    /// What its owner called it.
    pub name: TokenName,
    /// What it may do.
    pub role: Role,
    /// The services that it is limited to; none: all services.
    pub services: Vec<ServiceName>,
    /// When it was created, to the millisecond.
    pub created_at: DateTime<Utc>,
    /// Who created it.
    pub created_by: String,
    /// From when on it is refused.
    pub expires_at: Option<DateTime<Utc>>,
    /// When it was revoked.
    pub revoked_at: Option<DateTime<Utc>>,
}

impl Token {
    /// The holder of a JWT.
    pub(super) fn of_jwt(name: TokenName, role: Role, expires_at: DateTime<Utc>) -> Self {
        Self {
            id: Uuid::nil(),
            digest: TokenDigest([0; 32]),
            kind: TokenKind::Jwt,
            name,
            role,
            services: Vec::new(),
            created_at: DateTime::UNIX_EPOCH,
            created_by: String::new(),
            expires_at: Some(expires_at),
            revoked_at: None,
        }
    }

    /// Who is recorded as the creator of a session that began with this token.
    #[must_use]
    pub fn as_creator(&self) -> String {
        format!("{SIGN_IN_WITH}{}", self.id)
    }

    /// The token that a session began with, which it ends with.
    #[must_use]
    pub fn began_with(&self) -> Option<Uuid> {
        let began = self.kind == TokenKind::Session;
        let id = self.created_by.strip_prefix(SIGN_IN_WITH);
        id.filter(|_| began)?.parse().ok()
    }

    /// Whether it is for a service.
    #[must_use]
    pub fn covers(&self, service: &str) -> bool {
        self.is_for_all() || self.services.iter().any(|of| of.as_str() == service)
    }

    /// Whether it is for the whole fleet.
    #[must_use]
    pub fn is_for_all(&self) -> bool {
        self.services.is_empty()
    }
}

/// The name of a token: who or what it is for.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct TokenName(String);

impl TokenName {
    /// The longest name, in bytes of UTF-8.
    pub const LONGEST: usize = 100;

    /// What the name of somebody begins with whom an issuer names, so that nobody is taken for the holder of a
    /// token.
    const OF_ISSUER: &str = "oidc:";

    /// The longest name of an issuer's that fits, in bytes of UTF-8.
    pub const LONGEST_SUBJECT: usize = Self::LONGEST - Self::OF_ISSUER.len();

    /// The name of somebody whom the issuer calls this; none if it does not fit.
    #[must_use]
    pub fn of_subject(subject: &str) -> Option<Self> {
        let whole = format!("{}{subject}", Self::OF_ISSUER);
        Self::stored(&whole)
            .ok()
            .filter(|_| !subject.trim().is_empty())
    }

    /// Parses a name from outside.
    ///
    /// # Errors
    /// Says what is wrong with it, in words that follow the field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if [LOCAL, BOOTSTRAP].contains(&text) {
            return Err("is reserved: local and bootstrap have meanings of their own");
        }
        if text.starts_with(Self::OF_ISSUER) {
            return Err("must not begin with oidc:, as the names of people do who sign in");
        }
        Self::stored(text)
    }

    /// Reads a name that was stored.
    ///
    /// # Errors
    /// As [`TokenName::parse`].
    pub fn stored(text: &str) -> Result<Self, &'static str> {
        if text.trim().is_empty() {
            return Err("must not be empty");
        }
        if text.len() > Self::LONGEST {
            return Err("must be at most 100 bytes long");
        }
        if text.chars().any(char::is_control) {
            return Err("must not contain control characters");
        }
        Ok(Self(text.to_owned()))
    }

    /// The name as text.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}
