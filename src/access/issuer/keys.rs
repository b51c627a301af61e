//! An issuer's public keys.

use std::str::FromStr;
use std::time::Duration;

use jsonwebtoken::jwk::{AlgorithmParameters, EllipticCurve, Jwk, PublicKeyUse};
use jsonwebtoken::{Algorithm, AlgorithmFamily, DecodingKey, Header};
use serde::Deserialize;
use serde_json::Value;

/// The most keys that are read of an issuer. Most have two or three.
const KEYS_MAX: usize = 100;

/// An issuer's public keys, as it publishes them.
#[derive(Debug)]
pub struct Keys {
    keys: Vec<Key>,
    /// When they were read, at a monotonic time.
    pub(super) read_at: Duration,
}

#[derive(Debug)]
struct Key {
    id: Option<String>,
    /// The only algorithm that it may be used with, if it says one.
    algorithm: Option<String>,
    curve: Option<EllipticCurve>,
    decoding: DecodingKey,
}

/// Why keys cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum KeysError {
    /// They are not a list of keys.
    #[error("the keys are not a JSON Web Key Set")]
    Malformed(#[from] serde_json::Error),
    /// None of them can check signatures.
    #[error("none of the {0} keys can check a signature")]
    NoneFit(usize),
}

/// The key for a JWT.
pub(super) enum Found<'k> {
    /// This one.
    Key(&'k DecodingKey),
    /// There is no key with this name.
    Unknown,
    /// The key with this name is for something else.
    Unfit,
}

#[derive(Deserialize)]
struct Published {
    keys: Vec<Value>,
}

impl Keys {
    /// Reads what the issuer publishes. Keys of kinds that are not known here are left out.
    ///
    /// # Errors
    /// There is no key that could be used.
    ///
    /// # Source
    /// RFC 7517, 5.
    pub fn read(document: &[u8], read_at: Duration) -> Result<Self, KeysError> {
        let published: Published = serde_json::from_slice(document)?;
        let number = published.keys.len();
        let keys = published.keys.into_iter().take(KEYS_MAX);
        let keys: Vec<Key> = keys.filter_map(Key::read).collect();
        match keys.is_empty() {
            true => Err(KeysError::NoneFit(number)),
            false => Ok(Self { keys, read_at }),
        }
    }

    /// The key that has signed a JWT, by its header.
    pub(super) fn find(&self, header: &Header) -> Found<'_> {
        let mut named = self.keys.iter();
        let mut fit = self.keys.iter().filter(|key| key.fits(header.alg));
        match &header.kid {
            Some(id) => {
                let of_name = fit.find(|key| key.id.as_ref() == Some(id));
                match of_name {
                    Some(key) => Found::Key(&key.decoding),
                    None if named.any(|key| key.id.as_ref() == Some(id)) => Found::Unfit,
                    None => Found::Unknown,
                }
            }
            // Without a name, only if there is no choice.
            None => match (fit.next(), fit.next()) {
                (Some(only), None) => Found::Key(&only.decoding),
                _ => Found::Unfit,
            },
        }
    }
}

impl Key {
    fn read(published: Value) -> Option<Self> {
        let key: Jwk = serde_json::from_value(published).ok()?;
        let for_signatures = match &key.common.public_key_use {
            None | Some(PublicKeyUse::Signature) => true,
            Some(_) => false,
        };
        let curve = match &key.algorithm {
            AlgorithmParameters::EllipticCurve(of) => Some(of.curve.clone()),
            AlgorithmParameters::OctetKeyPair(of) => Some(of.curve.clone()),
            AlgorithmParameters::RSA(_) => None,
            // A shared secret is no public key.
            _ => return None,
        };
        let decoding = DecodingKey::from_jwk(&key).ok()?;
        for_signatures.then(|| Self {
            id: key.common.key_id,
            algorithm: key.common.key_algorithm.map(|of| of.to_string()),
            curve,
            decoding,
        })
    }

    /// Whether it may be used with an algorithm.
    fn fits(&self, algorithm: Algorithm) -> bool {
        let of_curve = match algorithm {
            Algorithm::ES256 => self.curve == Some(EllipticCurve::P256),
            Algorithm::ES384 => self.curve == Some(EllipticCurve::P384),
            Algorithm::EdDSA => self.curve == Some(EllipticCurve::Ed25519),
            _ => self.decoding.family() == AlgorithmFamily::Rsa,
        };
        let stated = self.algorithm.as_deref().map(Algorithm::from_str);
        let allowed = stated.is_none_or(|stated| stated.is_ok_and(|stated| stated == algorithm));
        of_curve && allowed && self.decoding.family() == algorithm.family()
    }
}
