//! The provider of OpenID Connect: what it publishes, read in the background, and people who sign in with a browser.
//!
//! Begin with [`Follower`], which keeps the provider's keys in [`Issuer`](crate::access::Issuer), and
//! [`SignIn`], the only part that a request waits for.
//!
//! # Source
//! OpenID Connect Core 1.0 and Discovery 1.0; RFC 6749 (OAuth 2.0), RFC 7636 (PKCE), RFC 9207 (`iss` in answers),
//! RFC 9700 (best practices).

mod attempt;
mod client;
mod follower;
mod metadata;
mod sign_in;

pub use attempt::{ATTEMPT_LASTS, Attempt, AttemptError, Return};
pub use client::{Client, FetchError, is_allowed};
pub use follower::Follower;
pub use metadata::{Metadata, MetadataError};
pub use sign_in::{Answer, Registration, SignIn, SignInError, read_secret};
