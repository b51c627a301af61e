//! An attempt to sign in: what the browser keeps of it until it comes back from the provider.
//!
//! The browser keeps a random secret in a cookie of ten minutes. State, nonce and PKCE's verifier are digests of
//! that cookie, so no replica has to remember an attempt, and any of them may end it. The provider learns digests
//! alone. Another browser has another cookie, so nobody can be signed in by a link to somebody else's answer.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use chrono::{DateTime, TimeDelta, Utc};
use sha2::{Digest, Sha256};

/// How long somebody may take to sign in.
pub const ATTEMPT_LASTS: TimeDelta = TimeDelta::minutes(10);

/// Random bytes of an attempt.
const BYTES: usize = 32;

/// The longest path to return to, in bytes.
const RETURN_MAX: usize = 1024;

/// Where somebody goes after signing in: a path of this Weir.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Return(String);

impl Return {
    /// Reads one from outside. Only a path of this host may be given, or a link could lead elsewhere.
    ///
    /// # Errors
    /// Says what is wrong with it, in words that follow the field's name.
    pub fn parse(text: &str) -> Result<Self, &'static str> {
        let mut bytes = text.bytes();
        if text.len() > RETURN_MAX {
            return Err("must be at most 1024 bytes long");
        }
        // A browser reads `\` as `/`, and `//host` as a host.
        if bytes.next() != Some(b'/') || matches!(bytes.next(), Some(b'/' | b'\\')) {
            return Err("must be a path of this host, like /docs");
        }
        if !text.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err("must be of printable ASCII, without spaces");
        }
        Ok(Self(text.to_owned()))
    }

    /// The path.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

/// Why an answer of the provider belongs to no attempt.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum AttemptError {
    /// The browser has no cookie, or one that was not set here.
    #[error("this browser has not begun to sign in; begin again at /login")]
    None,
    /// It took too long.
    #[error("signing in took longer than ten minutes; begin again at /login")]
    Late,
    /// It belongs to another attempt.
    #[error("this answer belongs to another attempt to sign in; begin again at /login")]
    Other,
}

/// An attempt to sign in.
pub struct Attempt {
    cookie: String,
    to: Return,
}

impl Attempt {
    /// A new attempt.
    ///
    /// # Errors
    /// The operating system has no random numbers.
    pub fn begin(to: Return, now: DateTime<Utc>) -> Result<Self, getrandom::Error> {
        let mut drawn = [0; BYTES];
        getrandom::fill(&mut drawn)?;
        let ends = (now + ATTEMPT_LASTS).timestamp();
        let path = URL_SAFE_NO_PAD.encode(to.as_str());
        let secret = URL_SAFE_NO_PAD.encode(drawn);
        Ok(Self {
            cookie: format!("{ends}.{secret}.{path}"),
            to,
        })
    }

    /// The attempt that a browser's cookie is of, if an answer belongs to it.
    ///
    /// # Errors
    /// It belongs to none.
    pub fn resume(
        cookie: Option<&str>,
        state: Option<&str>,
        now: DateTime<Utc>,
    ) -> Result<Self, AttemptError> {
        let cookie = cookie.ok_or(AttemptError::None)?;
        let (ends, to) = parts(cookie).ok_or(AttemptError::None)?;
        if ends <= now.timestamp() {
            return Err(AttemptError::Late);
        }
        let attempt = Self {
            cookie: cookie.to_owned(),
            to,
        };
        match state == Some(&*attempt.state()) {
            true => Ok(attempt),
            false => Err(AttemptError::Other),
        }
    }

    /// What the browser keeps.
    #[must_use]
    pub fn cookie(&self) -> &str {
        &self.cookie
    }

    /// Where it goes afterwards.
    #[must_use]
    pub fn to(&self) -> &Return {
        &self.to
    }

    /// What the provider's answer repeats.
    pub(super) fn state(&self) -> String {
        self.derived("state")
    }

    /// What the ID token repeats.
    pub(super) fn nonce(&self) -> String {
        self.derived("nonce")
    }

    /// What proves that the code is exchanged by who asked for it.
    pub(super) fn verifier(&self) -> String {
        self.derived("verifier")
    }

    /// What the provider is told of the verifier (S256).
    pub(super) fn challenge(&self) -> String {
        URL_SAFE_NO_PAD.encode(Sha256::digest(self.verifier()))
    }

    fn derived(&self, what: &str) -> String {
        let digest = Sha256::new_with_prefix(what).chain_update([0]);
        URL_SAFE_NO_PAD.encode(digest.chain_update(&self.cookie).finalize())
    }
}

fn parts(cookie: &str) -> Option<(i64, Return)> {
    let mut parts = cookie.split('.');
    let ends = parts.next()?.parse().ok()?;
    let secret = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
    let path = URL_SAFE_NO_PAD.decode(parts.next()?).ok()?;
    let path = Return::parse(std::str::from_utf8(&path).ok()?).ok()?;
    (secret.len() == BYTES && parts.next().is_none()).then_some((ends, path))
}

/// Whether a text is an error code of OAuth, which may be repeated: a few words of ASCII.
pub(super) fn is_code(text: &str) -> bool {
    let is_sound = |byte: u8| byte.is_ascii_lowercase() || byte == b'_';
    (1..=64).contains(&text.len()) && text.bytes().all(is_sound)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn now() -> DateTime<Utc> {
        DateTime::from_timestamp(1_800_000_000, 0).unwrap()
    }

    #[test]
    fn an_attempt_is_resumed_by_its_own_answer_and_for_ten_minutes() {
        let to = Return::parse("/docs#tokens").unwrap();
        let begun = Attempt::begin(to.clone(), now()).unwrap();
        let state = begun.state();
        let resume = |cookie: Option<&str>, state: Option<&str>, now| {
            Attempt::resume(cookie, state, now).map(|attempt| attempt.to().clone())
        };
        let cookie = Some(begun.cookie());
        assert_eq!(resume(cookie, Some(&state), now()), Ok(to));
        let late = now() + ATTEMPT_LASTS;
        assert_eq!(resume(cookie, Some(&state), late), Err(AttemptError::Late));
        assert_eq!(resume(None, Some(&state), now()), Err(AttemptError::None));
        assert_eq!(resume(cookie, None, now()), Err(AttemptError::Other));
        let other = Attempt::begin(Return::parse("/").unwrap(), now()).unwrap();
        let of_other = resume(Some(other.cookie()), Some(&state), now());
        assert_eq!(of_other, Err(AttemptError::Other));
        let longer = begun.cookie().replacen("18", "19", 1);
        assert_eq!(
            resume(Some(&longer), Some(&state), now()),
            Err(AttemptError::Other),
            "its end is part of what the state is made of"
        );
        for damaged in ["", "1.2.3", "x", &"9".repeat(5000)] {
            assert_eq!(
                resume(Some(damaged), Some(&state), now()),
                Err(AttemptError::None)
            );
        }
        let all = [
            begun.state(),
            begun.nonce(),
            begun.verifier(),
            begun.challenge(),
        ];
        let distinct: std::collections::BTreeSet<_> = all.iter().collect();
        assert_eq!(distinct.len(), 4);
        assert!(all.iter().all(|of| of.len() == 43));
    }

    #[test]
    fn only_a_path_of_this_host_is_returned_to() {
        for sound in ["/", "/docs", "/v1/me?x=1#y"] {
            assert!(Return::parse(sound).is_ok(), "{sound}");
        }
        for wrong in [
            "",
            "docs",
            "//a.example",
            "/\\a.example",
            "https://a.example",
            "/a b",
            "/a\nb",
            "/ä",
            "javascript:alert(1)",
        ] {
            assert!(Return::parse(wrong).is_err(), "{wrong}");
        }
        assert!(Return::parse(&format!("/{}", "a".repeat(1024))).is_err());
    }
}
