//! What an issuer of OpenID Connect says of somebody: its signed JWTs, and the roles that its groups have here.
//!
//! Begin with [`Issuer::check`]. It reads the issuer's keys, a snapshot in memory that `oidc` replaces, so no
//! request waits for the issuer.
//!
//! # Source
//! RFC 7519 (JWT), RFC 8725 (its best practices), RFC 9068 (access tokens); OpenID Connect Core 1.0, 2 and 3.1.3.7.

mod algorithms;
mod claims;
mod keys;
#[cfg(test)]
mod tests;

use std::time::Duration;

use arc_swap::ArcSwapOption;
use chrono::{DateTime, TimeDelta, Utc};
use tokio::sync::Notify;

pub use claims::Claims;
pub use keys::{Keys, KeysError};

use self::keys::Found;
use super::{Role, Token, TokenName};

/// The longest JWT, in bytes. Those with hundreds of groups have half of it.
pub const JWT_MAX: usize = 16 << 10;

/// How far the issuer's clock may be off.
pub const LEEWAY: TimeDelta = TimeDelta::seconds(60);

/// How long keys are used after they were last read. Then one that the issuer has withdrawn would still be
/// accepted, so none is.
pub const KEYS_KEPT: Duration = Duration::from_secs(24 * 3600);

/// Why a JWT is refused. None of them repeats what it says.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
pub enum JwtFault {
    /// It is too long, or no JWT.
    #[error("this is not a JWT, or one that is too long")]
    Malformed,
    /// Its algorithm is not allowed.
    #[error(
        "a JWT must be signed with RS256, RS384, RS512, PS256, PS384, PS512, ES256, ES384 or EdDSA"
    )]
    Algorithm,
    /// It is a JWT for something else.
    #[error("this JWT is not an access token or an ID token (its header's typ)")]
    Kind,
    /// No keys are known.
    #[error("the issuer's keys could not be read lately, so no JWT is accepted; try again later")]
    NoKeys,
    /// The key is not among the known ones.
    #[error(
        "this JWT names a key that the issuer did not publish when its keys were last read; they are read again: \
         try again in some seconds"
    )]
    UnknownKey,
    /// The signature is not the key's.
    #[error("this JWT is not signed by the issuer")]
    Signature,
    /// Another issuer issued it.
    #[error("this JWT is of another issuer than --oidc-issuer")]
    Issuer,
    /// It is for somebody else.
    #[error("this JWT is for another audience than --oidc-audience")]
    Audience,
    /// It has run out.
    #[error("this JWT has expired")]
    Expired,
    /// It is not valid yet.
    #[error("this JWT is not valid yet (nbf)")]
    NotYet,
    /// A claim is missing or wrong.
    #[error("the claim {0} of this JWT is missing or wrong")]
    Claim(&'static str),
}

/// What is expected of an issuer's JWTs, and the roles that groups have.
#[derive(Debug, Clone)]
pub struct Expected {
    /// Its URL, as `iss` says it.
    pub issuer: String,
    /// What `aud` must contain of what a machine presents.
    pub audience: String,
    /// The claim that lists groups.
    pub groups_claim: String,
    /// The roles of groups. Who is in none of them may do nothing.
    pub roles: Vec<(String, Role)>,
}

/// An issuer whose JWTs are accepted.
#[derive(Debug)]
pub struct Issuer {
    expected: Expected,
    keys: ArcSwapOption<Keys>,
    /// Told when a JWT names a key that is not known.
    missed: Notify,
}

impl Issuer {
    /// An issuer whose keys are not known yet.
    #[must_use]
    pub fn new(expected: Expected) -> Self {
        Self {
            expected,
            keys: ArcSwapOption::empty(),
            missed: Notify::new(),
        }
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> &str {
        &self.expected.issuer
    }

    /// Replaces its keys.
    pub fn install(&self, keys: Keys) {
        self.keys.store(Some(keys.into()));
    }

    /// How long ago its keys were read, at a monotonic time; none if they never were.
    #[must_use]
    pub fn keys_age(&self, counted: Duration) -> Option<Duration> {
        let keys = self.keys.load();
        keys.as_ref()
            .map(|keys| counted.saturating_sub(keys.read_at))
    }

    /// Returns when a JWT has named a key that is not known.
    pub async fn missed(&self) {
        self.missed.notified().await;
    }

    /// Checks what a machine presents: the holder that it is for, as a token that is stored nowhere. Its role
    /// is none if the holder is in no group that has one.
    ///
    /// # Errors
    /// Why it is refused.
    pub(super) fn holder(
        &self,
        jwt: &str,
        now: DateTime<Utc>,
        counted: Duration,
    ) -> Result<Identity, JwtFault> {
        let claims = self.check(jwt, &self.expected.audience, now, counted)?;
        self.identity(&claims)
    }

    /// Checks a JWT: its signature, its audience, and that it is valid now.
    ///
    /// # Errors
    /// Why it is refused.
    pub fn check(
        &self,
        jwt: &str,
        audience: &str,
        now: DateTime<Utc>,
        counted: Duration,
    ) -> Result<Claims, JwtFault> {
        let header = algorithms::header(jwt)?;
        let keys = self.keys.load();
        let known = keys.as_ref();
        let known = known.filter(|keys| counted.saturating_sub(keys.read_at) < KEYS_KEPT);
        let known = known.ok_or(JwtFault::NoKeys)?;
        let claims = match known.find(&header) {
            Found::Key(key) => algorithms::verified(jwt, key, &header)?,
            Found::Unknown => {
                self.missed.notify_one();
                return Err(JwtFault::UnknownKey);
            }
            Found::Unfit => return Err(JwtFault::Algorithm),
        };
        let claims = Claims::new(claims);
        claims.check(&self.expected.issuer, audience, now)?;
        Ok(claims)
    }

    /// Who it is, and with which role.
    ///
    /// # Errors
    /// Claims that name nobody.
    pub fn identity(&self, claims: &Claims) -> Result<Identity, JwtFault> {
        let groups = claims.groups(&self.expected.groups_claim);
        let mapped = self.expected.roles.iter();
        let held = mapped.filter(|(group, _)| groups.contains(&group.as_str()));
        Ok(Identity {
            name: claims.name()?,
            // An agent's role is one that nobody has beside another.
            role: held.map(|(_, role)| *role).max_by_key(|role| rank(*role)),
            expires_at: claims.expires_at()?,
        })
    }

    /// Whether an ID token says nothing of groups, so that they have to be asked for.
    #[must_use]
    pub fn misses_groups(&self, claims: &Claims) -> bool {
        !claims.has(&self.expected.groups_claim)
    }
}

/// Who somebody is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// What is written beside what they do.
    pub name: TokenName,
    /// What they may do; none: nothing.
    pub role: Option<Role>,
    /// Until when the issuer vouches for it.
    pub expires_at: DateTime<Utc>,
}

impl Identity {
    /// The holder of a JWT, as that of a token.
    pub(super) fn token(self, role: Role) -> Token {
        Token::of_jwt(self.name, role, self.expires_at)
    }
}

/// Who has several roles has the highest.
fn rank(role: Role) -> u8 {
    match role {
        Role::Agent => 0,
        Role::Viewer => 1,
        Role::Operator => 2,
        Role::Admin => 3,
    }
}
