//! Signatures of JWTs, checked with ring.
//!
//! jsonwebtoken leaves the cryptography to others; ring is what TLS uses here, too. Only public keys are
//! used: a JWT that is signed with a shared secret, or with nothing, is refused before a key is looked for.

use std::sync::Once;

use jsonwebtoken::crypto::{CryptoProvider, JwtVerifier, KeyUtils};
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::signature::{Error, Verifier};
use jsonwebtoken::{
    Algorithm, DecodingKey, DecodingKeyKind, Header, Validation, decode, decode_header,
};
use ring::signature as ring;
use serde_json::{Map, Value};

use super::{JWT_MAX, JwtFault};

/// What a JWT may be signed with.
const ALLOWED: [Algorithm; 9] = [
    Algorithm::RS256,
    Algorithm::RS384,
    Algorithm::RS512,
    Algorithm::PS256,
    Algorithm::PS384,
    Algorithm::PS512,
    Algorithm::ES256,
    Algorithm::ES384,
    Algorithm::EdDSA,
];

/// What a JWT may be, by its header's `typ`: an ID token or an access token. Others are signed with the same
/// keys, such as those that tell of a logout.
const KINDS: [&str; 4] = ["jwt", "at+jwt", "application/jwt", "application/at+jwt"];

static RING: CryptoProvider = CryptoProvider {
    signer_factory: |_, _| Err(ErrorKind::UnsupportedAlgorithm.into()),
    verifier_factory: |algorithm, key| {
        Ok(Box::new(Signed {
            algorithm: *algorithm,
            key: key.clone(),
        }))
    },
    key_utils: KeyUtils::new_unimplemented(),
};

/// The header of a JWT that may be checked further.
pub fn header(jwt: &str) -> Result<Header, JwtFault> {
    if jwt.len() > JWT_MAX {
        return Err(JwtFault::Malformed);
    }
    let header = decode_header(jwt).map_err(|error| match error.kind() {
        ErrorKind::InvalidAlgorithmName | ErrorKind::InvalidAlgorithm | ErrorKind::Json(_) => {
            JwtFault::Algorithm
        }
        _ => JwtFault::Malformed,
    })?;
    if !ALLOWED.contains(&header.alg) {
        return Err(JwtFault::Algorithm);
    }
    let kind = header.typ.as_deref().unwrap_or("jwt");
    if !KINDS.iter().any(|known| known.eq_ignore_ascii_case(kind)) {
        return Err(JwtFault::Kind);
    }
    // An extension that must be understood, and is not.
    if header.crit.is_some() {
        return Err(JwtFault::Malformed);
    }
    Ok(header)
}

/// The claims of a JWT that a key has signed.
pub fn verified(
    jwt: &str,
    key: &DecodingKey,
    header: &Header,
) -> Result<Map<String, Value>, JwtFault> {
    static INSTALLED: Once = Once::new();
    // Another provider in this process would do as well.
    INSTALLED.call_once(|| {
        let _ = RING.install_default();
    });
    let mut signed_only = Validation::new(header.alg);
    // The claims are checked by the fleet's clock.
    signed_only.required_spec_claims.clear();
    signed_only.validate_exp = false;
    signed_only.validate_aud = false;
    let data = decode::<Map<String, Value>>(jwt, key, &signed_only);
    data.map(|data| data.claims)
        .map_err(|error| match error.kind() {
            ErrorKind::InvalidSignature | ErrorKind::InvalidAlgorithm => JwtFault::Signature,
            _ => JwtFault::Malformed,
        })
}

/// Checks signatures with one key.
struct Signed {
    algorithm: Algorithm,
    key: DecodingKey,
}

impl JwtVerifier for Signed {
    fn algorithm(&self) -> Algorithm {
        self.algorithm
    }
}

impl Verifier<Vec<u8>> for Signed {
    fn verify(&self, message: &[u8], signature: &Vec<u8>) -> Result<(), Error> {
        let checked = match self.key.kind() {
            DecodingKeyKind::RsaModulusExponent { n, e } => {
                let parameters = rsa(self.algorithm).ok_or_else(Error::new)?;
                let key = ring::RsaPublicKeyComponents {
                    n: trimmed(n),
                    e: trimmed(e),
                };
                key.verify(parameters, message, signature)
            }
            DecodingKeyKind::SecretOrDer(bytes) => {
                let algorithm = curve(self.algorithm).ok_or_else(Error::new)?;
                ring::UnparsedPublicKey::new(algorithm, bytes).verify(message, signature)
            }
        };
        checked.map_err(|_| Error::new())
    }
}

/// A number without leading zeros, which ring refuses and some issuers send.
fn trimmed(number: &[u8]) -> &[u8] {
    let first = number.iter().position(|byte| *byte != 0);
    &number[first.unwrap_or(number.len())..]
}

fn rsa(algorithm: Algorithm) -> Option<&'static ring::RsaParameters> {
    Some(match algorithm {
        Algorithm::RS256 => &ring::RSA_PKCS1_2048_8192_SHA256,
        Algorithm::RS384 => &ring::RSA_PKCS1_2048_8192_SHA384,
        Algorithm::RS512 => &ring::RSA_PKCS1_2048_8192_SHA512,
        Algorithm::PS256 => &ring::RSA_PSS_2048_8192_SHA256,
        Algorithm::PS384 => &ring::RSA_PSS_2048_8192_SHA384,
        Algorithm::PS512 => &ring::RSA_PSS_2048_8192_SHA512,
        _ => return None,
    })
}

fn curve(algorithm: Algorithm) -> Option<&'static dyn ring::VerificationAlgorithm> {
    Some(match algorithm {
        Algorithm::ES256 => &ring::ECDSA_P256_SHA256_FIXED,
        Algorithm::ES384 => &ring::ECDSA_P384_SHA384_FIXED,
        Algorithm::EdDSA => &ring::ED25519,
        _ => return None,
    })
}
