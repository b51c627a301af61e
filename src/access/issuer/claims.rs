//! What a JWT says.

use chrono::{DateTime, Utc};
use serde_json::{Map, Value};

use super::{JwtFault, LEEWAY};
use crate::access::TokenName;

/// The claims that name somebody, in this order. An address that the issuer has not verified names nobody.
const EMAIL: &str = "email";
const USERNAME: &str = "preferred_username";
const SUBJECT: &str = "sub";

/// What a JWT says, once its signature is checked.
#[derive(Debug, Clone)]
pub struct Claims(Map<String, Value>);

impl Claims {
    pub(super) fn new(claims: Map<String, Value>) -> Self {
        Self(claims)
    }

    /// A claim that is a text.
    #[must_use]
    pub fn text(&self, claim: &str) -> Option<&str> {
        self.0.get(claim)?.as_str()
    }

    /// Whether it makes a claim.
    #[must_use]
    pub fn has(&self, claim: &str) -> bool {
        self.0.contains_key(claim)
    }

    /// Whether it is for this client alone, or says that this client asked for it.
    #[must_use]
    pub fn is_meant_for(&self, client: &str) -> bool {
        match (self.0.get("aud"), self.text("azp")) {
            (_, Some(party)) => party == client,
            (Some(Value::Array(several)), None) => several.len() == 1,
            (_, None) => true,
        }
    }

    /// Takes over what it does not say itself, if it is about the same subject.
    #[must_use]
    pub fn completed(mut self, other: Map<String, Value>) -> Option<Self> {
        let subject = self.text(SUBJECT)?;
        if other.get(SUBJECT).and_then(Value::as_str) != Some(subject) {
            return None;
        }
        for (claim, value) in other {
            self.0.entry(claim).or_insert(value);
        }
        Some(self)
    }

    /// Checks by whom, for whom and when it is valid.
    pub(super) fn check(
        &self,
        issuer: &str,
        audience: &str,
        now: DateTime<Utc>,
    ) -> Result<(), JwtFault> {
        if self.text("iss").ok_or(JwtFault::Claim("iss"))? != issuer {
            return Err(JwtFault::Issuer);
        }
        let is_for_us = match self.0.get("aud") {
            Some(Value::String(only)) => only == audience,
            Some(Value::Array(several)) => several.iter().any(|one| one == audience),
            _ => return Err(JwtFault::Claim("aud")),
        };
        if !is_for_us {
            return Err(JwtFault::Audience);
        }
        if self.expires_at()? + LEEWAY <= now {
            return Err(JwtFault::Expired);
        }
        match self.0.get("nbf") {
            Some(from) if instant(from).ok_or(JwtFault::Claim("nbf"))? > now + LEEWAY => {
                Err(JwtFault::NotYet)
            }
            _ => Ok(()),
        }
    }

    /// When it runs out.
    pub(super) fn expires_at(&self) -> Result<DateTime<Utc>, JwtFault> {
        let expires = self.0.get("exp").and_then(instant);
        expires.ok_or(JwtFault::Claim("exp"))
    }

    /// The groups that a claim lists: texts, or one.
    pub(super) fn groups(&self, claim: &str) -> Vec<&str> {
        match self.0.get(claim) {
            Some(Value::String(only)) => vec![only],
            Some(Value::Array(several)) => several.iter().filter_map(Value::as_str).collect(),
            _ => Vec::new(),
        }
    }

    /// What its subject is called.
    pub(super) fn name(&self) -> Result<TokenName, JwtFault> {
        let subject = self.text(SUBJECT).filter(|subject| !subject.is_empty());
        let subject = subject.ok_or(JwtFault::Claim(SUBJECT))?;
        let is_verified = self.0.get("email_verified") != Some(&Value::Bool(false));
        let email = self.text(EMAIL).filter(|_| is_verified);
        let mut names = [email, self.text(USERNAME)].into_iter().flatten();
        names
            .find_map(TokenName::of_subject)
            .or_else(|| TokenName::of_subject(&shortened(subject)))
            .ok_or(JwtFault::Claim(SUBJECT))
    }
}

/// An instant as JWTs have it: seconds since 1970, with a fraction or without. One after the year 9999 is that.
fn instant(value: &Value) -> Option<DateTime<Utc>> {
    const LAST: i64 = 253_402_300_799;
    let seconds = value.as_f64().filter(|seconds| seconds.is_finite())?;
    // Saturates.
    DateTime::from_timestamp((seconds.floor() as i64).clamp(0, LAST), 0)
}

/// As much of a text as fits a name, without control characters.
fn shortened(text: &str) -> String {
    let mut short = String::new();
    for character in text.chars().filter(|character| !character.is_control()) {
        if short.len() + character.len_utf8() > TokenName::LONGEST_SUBJECT {
            break;
        }
        short.push(character);
    }
    short
}
