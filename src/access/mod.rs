//! Who may do what: tokens, their roles, and the check of a request.
//!
//! Begin with [`Guard`], which a listener asks about every request whose route needs somebody. It reads
//! [`Tokens`], a snapshot in memory that a job follows the database with, so a request never waits for the
//! database. Nothing here knows HTTP: a [`Refusal`] says why, and each protocol answers it in its own form.
//!
//! A token is 256 random bits. Nobody can guess it, so SHA-256 is enough for what is stored: a slow hash
//! protects passwords, which people choose. It is found by its digest, in a table of digests. What the
//! time of that look-up reveals is about the digest, and tells nothing of the token.

mod actor;
mod attempts;
mod guard;
mod issuer;
mod known;
mod role;
mod secret;
mod token;

pub use actor::Actor;
pub use guard::{Caller, Credentials, Guard, Refusal, Rules};
pub use issuer::{Claims, Expected, Identity, Issuer, JwtFault, Keys, KeysError};
pub use known::Tokens;
pub use role::{Need, Role};
pub use secret::{TokenDigest, TokenSecret};
pub use token::{SERVICES_MAX, Token, TokenKind, TokenName};

/// Who does something on this machine without a token.
pub const LOCAL: &str = "local";

/// Who created the session of somebody who signed in.
pub const SIGN_IN: &str = "sign-in";

/// The name of the token that the process was started with.
pub const BOOTSTRAP: &str = "bootstrap";
