//! A token, without its secret.

use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::{BOOTSTRAP, LOCAL, Role, TokenDigest};
use crate::allocation::ServiceName;

/// The most services that one token may be limited to.
pub const SERVICES_MAX: usize = 100;

/// A token, without its secret.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Token {
    /// What it is revoked by.
    pub id: Uuid,
    /// What it is found by.
    pub digest: TokenDigest,
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

    /// Parses a name from outside.
    ///
    /// # Errors
    /// Says what is wrong with it, in words that follow the field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        if [LOCAL, BOOTSTRAP].contains(&text) {
            return Err("is reserved: local and bootstrap have meanings of their own");
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
