//! The secret that edges share. Without it nobody may say what becomes of traces.

use std::path::Path;

use hyper::header::HeaderValue;

/// A shorter one could be guessed.
const LEAST: usize = 16;

/// What is wrong with the secret. What is in the file is not shown.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum WrongSecret {
    /// None was given.
    #[error(
        "--peers needs --peer-secret-file: a file with a secret that all edges share, such as 32 random bytes in base64"
    )]
    Missing,
    /// The file cannot be read.
    #[error("--peer-secret-file: {0}")]
    File(String),
    /// There is nothing in it that can be used.
    #[error(
        "--peer-secret-file: write one secret a line, of {LEAST} to 512 printable characters of ASCII without spaces"
    )]
    Line,
}

/// The secrets that are accepted. The first one is sent, so a new one can be made known everywhere before it is sent.
pub(super) struct Secret(Vec<HeaderValue>);

impl Secret {
    pub fn read(file: Option<&Path>) -> Result<Self, WrongSecret> {
        let file = file.ok_or(WrongSecret::Missing)?;
        let text = std::fs::read_to_string(file);
        Self::parse(&text.map_err(|error| WrongSecret::File(error.to_string()))?)
    }

    fn parse(text: &str) -> Result<Self, WrongSecret> {
        let lines = text.lines().map(str::trim).filter(|line| !line.is_empty());
        let secrets: Option<Vec<_>> = lines.map(header).collect();
        match secrets {
            Some(secrets) if !secrets.is_empty() => Ok(Self(secrets)),
            _ => Err(WrongSecret::Line),
        }
    }

    /// The header that says it.
    pub fn header(&self) -> HeaderValue {
        self.0[0].clone()
    }

    /// Whether a header says one of them. Takes as long for any header of the same length.
    pub fn is(&self, header: Option<&[u8]>) -> bool {
        let header = header.unwrap_or_default();
        let mut is_one = false;
        for secret in &self.0 {
            let secret = secret.as_bytes();
            let differing = secret
                .iter()
                .zip(header)
                .fold(0, |sum, (one, other)| sum | (one ^ other));
            is_one |= secret.len() == header.len() && differing == 0;
        }
        is_one
    }
}

fn header(secret: &str) -> Option<HeaderValue> {
    let is_text = secret.bytes().all(|byte| byte.is_ascii_graphic());
    if !is_text || !(LEAST..=512).contains(&secret.len()) {
        return None;
    }
    let mut value = HeaderValue::from_str(&format!("Bearer {secret}")).ok()?;
    value.set_sensitive(true);
    Some(value)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn each_line_is_accepted_and_the_first_one_sent() {
        let secret = Secret::parse("0123456789abcdef\n\n  fedcba9876543210 \n").unwrap();
        assert_eq!(secret.header(), "Bearer 0123456789abcdef");
        assert!(secret.is(Some(b"Bearer 0123456789abcdef")));
        assert!(secret.is(Some(b"Bearer fedcba9876543210")));
        for wrong in [
            "",
            "Bearer ",
            "Bearer 0123456789abcdee",
            "Bearer 0123456789abcdef0",
        ] {
            assert!(!secret.is(Some(wrong.as_bytes())), "{wrong}");
        }
        assert!(!secret.is(None));
    }

    #[test]
    fn a_weak_or_damaged_secret_is_refused() {
        for text in [
            "",
            "\n",
            "short",
            "0123456789abc def0123",
            "0123456789abcdef\nshort",
        ] {
            assert_eq!(Secret::parse(text).err(), Some(WrongSecret::Line), "{text}");
        }
    }
}
