//! People who sign in with a browser: the authorization code flow, with PKCE.

use std::path::{Path, PathBuf};
use std::sync::Arc;

use arc_swap::ArcSwapOption;
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use form_urlencoded::Serializer;
use hyper::header::HeaderValue;
use serde::Deserialize;
use tokio::sync::Semaphore;

use super::attempt::{Attempt, AttemptError, Return, is_code};
use super::client::{Client, FetchError};
use super::metadata::Metadata;
use crate::access::{Claims, Identity, Issuer, JwtFault, Keys, KeysError, Role};
use crate::clock::Clock;
use crate::worker;

/// How many sign in at the same moment. Each asks the provider one to three things.
const AT_ONCE: usize = 8;

/// The path that the provider sends browsers back to.
pub const CALLBACK: &str = "/login/callback";

/// The longest secret of a client, in bytes.
const SECRET_MAX: usize = 4096;

/// What Weir is to the provider.
#[derive(Debug, Clone)]
pub struct Registration {
    /// Its name there.
    pub client_id: String,
    /// The file with its secret; none for a public client.
    pub secret_file: Option<PathBuf>,
    /// Where browsers reach this Weir: scheme, host and port.
    pub public_url: String,
    /// What it asks to be told, separated by spaces.
    pub scope: String,
}

impl Registration {
    /// Whether browsers reach this Weir over TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.public_url.starts_with("https:")
    }
}

/// Why somebody could not sign in.
#[derive(Debug, thiserror::Error)]
pub enum SignInError {
    /// The provider has not been reached yet.
    #[error("the provider has not answered yet; try again in a minute")]
    NotReady,
    /// The operating system has no random numbers.
    #[error("could not draw a secret")]
    Random(#[from] getrandom::Error),
    /// The browser's answer belongs to no attempt.
    #[error(transparent)]
    Attempt(#[from] AttemptError),
    /// The provider refuses.
    #[error("the provider refused to sign you in: {0}")]
    Declined(String),
    /// The answer has no code, or names another provider.
    #[error("the provider's answer has no code, or is of another provider")]
    Answer,
    /// Too many sign in at this moment.
    #[error("too many people sign in at this moment; try again")]
    Busy,
    /// The provider could not be asked.
    #[error("could not ask the provider")]
    Exchange(#[from] FetchError),
    /// Its keys cannot be used.
    #[error("could not use the provider's keys")]
    Keys(#[from] KeysError),
    /// The secret cannot be read.
    #[error("could not read --oidc-client-secret-file")]
    Secret(#[source] std::io::Error),
    /// The ID token cannot be accepted.
    #[error("the provider's ID token is not accepted: {0}")]
    Token(#[from] JwtFault),
    /// The ID token is of another attempt.
    #[error("the provider's ID token is of another attempt to sign in; begin again at /login")]
    Nonce,
    /// They are in no group that has a role.
    #[error("{0} is in none of the groups that have a role here (--oidc-role)")]
    NoRole(String),
}

/// What the provider's answer says, as the browser brings it.
#[derive(Debug, Default, Deserialize)]
#[serde(default)]
pub struct Answer {
    /// Of which attempt it is.
    pub state: Option<String>,
    /// What is exchanged for the ID token.
    pub code: Option<String>,
    /// Who answers.
    pub iss: Option<String>,
    /// Why it refuses.
    pub error: Option<String>,
}

/// What the provider gives for a code.
#[derive(Deserialize)]
struct Exchanged {
    id_token: String,
    #[serde(default)]
    access_token: Option<String>,
}

/// Signs people in.
pub struct SignIn {
    issuer: Arc<Issuer>,
    metadata: Arc<ArcSwapOption<Metadata>>,
    client: Client,
    registration: Registration,
    clock: Arc<dyn Clock>,
    at_once: Semaphore,
}

impl SignIn {
    /// Signs people in at a provider that a [`Follower`](super::Follower) reads.
    #[must_use]
    pub fn new(
        issuer: Arc<Issuer>,
        metadata: Arc<ArcSwapOption<Metadata>>,
        client: Client,
        registration: Registration,
        clock: Arc<dyn Clock>,
    ) -> Self {
        Self {
            issuer,
            metadata,
            client,
            registration,
            clock,
            at_once: Semaphore::new(AT_ONCE),
        }
    }

    /// Whether browsers reach this Weir over TLS.
    #[must_use]
    pub fn is_encrypted(&self) -> bool {
        self.registration.is_encrypted()
    }

    /// Begins: where the browser goes, and what it keeps.
    ///
    /// # Errors
    /// The provider is not known yet.
    pub fn begin(&self, to: Return) -> Result<(String, Attempt), SignInError> {
        let metadata = self.metadata.load_full().ok_or(SignInError::NotReady)?;
        let attempt = Attempt::begin(to, self.clock.now())?;
        let query = Serializer::new(String::new())
            .append_pair("response_type", "code")
            .append_pair("client_id", &self.registration.client_id)
            .append_pair("redirect_uri", &self.callback())
            .append_pair("scope", &self.registration.scope)
            .append_pair("state", &attempt.state())
            .append_pair("nonce", &attempt.nonce())
            .append_pair("code_challenge", &attempt.challenge())
            .append_pair("code_challenge_method", "S256")
            .finish();
        let place = &metadata.authorization_endpoint;
        let begins = if place.contains('?') { '&' } else { '?' };
        Ok((format!("{place}{begins}{query}"), attempt))
    }

    /// Ends: who it is, and where the browser goes.
    ///
    /// # Errors
    /// Nobody was signed in.
    pub async fn finish(
        &self,
        cookie: Option<&str>,
        answer: Answer,
    ) -> Result<(Identity, Role, Return), SignInError> {
        let attempt = Attempt::resume(cookie, answer.state.as_deref(), self.clock.now())?;
        let metadata = self.metadata.load_full().ok_or(SignInError::NotReady)?;
        let expects_issuer = metadata.authorization_response_iss_parameter_supported;
        match &answer.iss {
            Some(named) if named != self.issuer.url() => return Err(SignInError::Answer),
            None if expects_issuer => return Err(SignInError::Answer),
            _ => {}
        }
        if let Some(code) = answer.error {
            let shown = if is_code(&code) { code } else { "error".into() };
            return Err(SignInError::Declined(shown));
        }
        let code = answer.code.ok_or(SignInError::Answer)?;
        let place = self.at_once.try_acquire().map_err(|_| SignInError::Busy)?;
        let exchanged = self.exchange(&metadata, &attempt, &code).await?;
        let claims = self.checked(&metadata, &attempt, exchanged).await?;
        drop(place);
        let identity = self.issuer.identity(&claims)?;
        match identity.role {
            Some(role) => Ok((identity, role, attempt.to().clone())),
            None => Err(SignInError::NoRole(identity.name.as_str().to_owned())),
        }
    }

    fn callback(&self) -> String {
        format!("{}{CALLBACK}", self.registration.public_url)
    }

    /// Exchanges a code.
    ///
    /// # Source
    /// RFC 6749, 2.3.1 and 4.1.3; RFC 7636, 4.5.
    async fn exchange(
        &self,
        metadata: &Metadata,
        attempt: &Attempt,
        code: &str,
    ) -> Result<Exchanged, SignInError> {
        let id = &*self.registration.client_id;
        let mut form = Serializer::new(String::new());
        form.append_pair("grant_type", "authorization_code")
            .append_pair("code", code)
            .append_pair("redirect_uri", &self.callback())
            .append_pair("code_verifier", &attempt.verifier());
        let mut head = None;
        match &self.registration.secret_file {
            Some(file) if metadata.takes_basic() => {
                head = basic(id, &secret(file).await?);
            }
            Some(file) => {
                form.append_pair("client_id", id)
                    .append_pair("client_secret", &secret(file).await?);
            }
            None => {
                form.append_pair("client_id", id);
            }
        }
        let asked = self
            .client
            .post(&metadata.token_endpoint, form.finish(), head);
        Ok(asked.await?)
    }

    /// Checks the ID token, and asks for what it does not say.
    async fn checked(
        &self,
        metadata: &Metadata,
        attempt: &Attempt,
        exchanged: Exchanged,
    ) -> Result<Claims, SignInError> {
        let claims = match self.check(&exchanged.id_token) {
            // Here somebody waits for the provider anyway.
            Err(JwtFault::UnknownKey | JwtFault::NoKeys) => {
                let keys = self.client.bytes(&metadata.jwks_uri).await?;
                let keys = Keys::read(&keys, self.clock.counted())?;
                self.issuer.install(keys);
                self.check(&exchanged.id_token)?
            }
            checked => checked?,
        };
        if claims.text("nonce") != Some(&attempt.nonce()) {
            return Err(SignInError::Nonce);
        }
        if !claims.is_meant_for(&self.registration.client_id) {
            return Err(JwtFault::Audience.into());
        }
        let (Some(place), Some(token)) = (&metadata.userinfo_endpoint, exchanged.access_token)
        else {
            return Ok(claims);
        };
        let head = HeaderValue::try_from(format!("Bearer {token}"));
        match head {
            Ok(mut head) if self.issuer.misses_groups(&claims) => {
                head.set_sensitive(true);
                let more = self.client.get_with(place, head).await?;
                claims.completed(more).ok_or(SignInError::Nonce)
            }
            _ => Ok(claims),
        }
    }

    fn check(&self, token: &str) -> Result<Claims, JwtFault> {
        let (now, counted) = (self.clock.now(), self.clock.counted());
        let client = &self.registration.client_id;
        self.issuer.check(token, client, now, counted)
    }
}

/// The secret, read each time: a new one needs no restart.
async fn secret(file: &Path) -> Result<String, SignInError> {
    let file = file.to_owned();
    let read = worker::blocking(move || read_secret(&file)).await;
    read.map_err(SignInError::Secret)
}

/// Reads the secret of a client.
///
/// # Errors
/// The file cannot be read, or holds no secret.
pub fn read_secret(file: &Path) -> std::io::Result<String> {
    let text = std::fs::read_to_string(file)?;
    let secret = text.trim();
    let sound = !secret.is_empty() && secret.len() <= SECRET_MAX;
    let wrong = || std::io::Error::other("it must hold a secret of 1 to 4096 bytes");
    sound.then(|| secret.to_owned()).ok_or_else(wrong)
}

fn basic(id: &str, secret: &str) -> Option<HeaderValue> {
    let encoded =
        |text: &str| -> String { form_urlencoded::byte_serialize(text.as_bytes()).collect() };
    let both = format!("{}:{}", encoded(id), encoded(secret));
    let mut head = HeaderValue::try_from(format!("Basic {}", STANDARD.encode(both))).ok()?;
    head.set_sensitive(true);
    Some(head)
}
