//! A token as its owner presents it, and what is stored of it.

use std::fmt;
use std::fmt::Write;

use sha2::{Digest, Sha256};
use uuid::Uuid;

/// What every token begins with, so that people and scanners of secrets recognise one.
const PREFIX: &str = "weir_";

/// Random bytes of a token.
const BYTES: usize = 32;

/// A token as its owner presents it. It is shown once, when it is created, and never printed otherwise.
#[derive(Clone, PartialEq, Eq)]
pub struct TokenSecret(String);

impl TokenSecret {
    /// Draws a new one from the operating system.
    ///
    /// # Errors
    /// The operating system has no random numbers.
    pub fn draw() -> Result<Self, getrandom::Error> {
        let mut drawn = [0; BYTES];
        getrandom::fill(&mut drawn)?;
        let mut text = String::from(PREFIX);
        for byte in drawn {
            // Writing to a string never fails.
            let _ = write!(text, "{byte:02x}");
        }
        Ok(Self(text))
    }

    /// Reads one, as [`TokenSecret::draw`] writes it.
    #[must_use]
    pub fn parse(text: &str) -> Option<Self> {
        let digits = text.strip_prefix(PREFIX)?;
        let is_digit = |byte: u8| byte.is_ascii_digit() || (b'a'..=b'f').contains(&byte);
        let sound = digits.len() == 2 * BYTES && digits.bytes().all(is_digit);
        sound.then(|| Self(text.to_owned()))
    }

    /// Whether a text is meant as one, rightly or wrongly.
    #[must_use]
    pub fn is_meant(text: &str) -> bool {
        text.starts_with(PREFIX)
    }

    /// The text itself, for its owner alone.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }

    /// What is stored of it.
    #[must_use]
    pub fn digest(&self) -> TokenDigest {
        TokenDigest(Sha256::digest(&self.0).into())
    }
}

impl fmt::Debug for TokenSecret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// The SHA-256 of a token.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct TokenDigest(pub [u8; 32]);

impl TokenDigest {
    /// An id for a token that is not stored. It changes with the token, and tells nothing of the digest.
    #[must_use]
    pub fn id(&self) -> Uuid {
        let digest = Sha256::digest(self.0);
        let first = digest.first_chunk().expect("a SHA-256 has 32 bytes");
        uuid::Builder::from_custom_bytes(*first).into_uuid()
    }
}

impl fmt::Debug for TokenDigest {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_recognised_and_never_printed() {
        let [one, other] = [(); 2].map(|()| TokenSecret::draw().unwrap());
        assert_ne!(one, other);
        assert_ne!(one.digest(), other.digest());
        let text = one.expose();
        assert_eq!(TokenSecret::parse(text).as_ref(), Some(&one));
        assert!(TokenSecret::is_meant(text));
        assert!(!format!("{one:?} {:?}", one.digest()).contains(&text[5..13]));
        let upper = text.to_uppercase();
        for wrong in [
            "",
            "weir_",
            "weir_12",
            &text[1..],
            &upper,
            &format!("{text}0"),
        ] {
            assert_eq!(TokenSecret::parse(wrong), None, "{wrong}");
        }
    }

    /// The digest is stored, so it may never change.
    #[test]
    fn the_digest_is_the_sha_256_of_the_whole_text() {
        let token = TokenSecret::parse(&format!("weir_{}", "0".repeat(64))).unwrap();
        let expected = Sha256::digest(format!("weir_{}", "0".repeat(64)));
        assert_eq!(token.digest().0[..], expected[..]);
    }
}
