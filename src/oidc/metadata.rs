//! What the provider says of itself.

use hyper::Uri;
use serde::Deserialize;

use super::client::{Client, FetchError, is_allowed};

/// Where every provider says what it is.
const PLACE: &str = "/.well-known/openid-configuration";

/// What the provider says of itself.
///
/// # Source
/// OpenID Connect Discovery 1.0, 3; RFC 8414, 2.
#[derive(Debug, Clone, Deserialize)]
pub struct Metadata {
    issuer: String,
    /// Where people sign in.
    pub authorization_endpoint: String,
    /// Where a code is exchanged.
    pub token_endpoint: String,
    /// Its keys.
    pub jwks_uri: String,
    /// Where it says more about somebody.
    #[serde(default)]
    pub userinfo_endpoint: Option<String>,
    /// How a client says who it is.
    #[serde(default)]
    token_endpoint_auth_methods_supported: Option<Vec<String>>,
    /// Whether its answers name it.
    #[serde(default)]
    pub authorization_response_iss_parameter_supported: bool,
}

/// Why what the provider says cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum MetadataError {
    /// It could not be asked.
    #[error(transparent)]
    Fetch(#[from] FetchError),
    /// It is another one.
    #[error("the provider calls itself {0}: --oidc-issuer must be exactly that")]
    OtherIssuer(String),
    /// One of its URLs cannot be used.
    #[error("{0} of the provider must be an https URL; http is for loopback only")]
    Url(&'static str),
}

impl Metadata {
    /// Asks the provider.
    ///
    /// # Errors
    /// It cannot be asked, or says what cannot be used.
    pub async fn read(client: &Client, issuer: &str) -> Result<Self, MetadataError> {
        let place = format!("{}{PLACE}", issuer.trim_end_matches('/'));
        let read: Self = client.get(&place).await?;
        if read.issuer != issuer {
            let named: String = read.issuer.chars().take(200).collect();
            return Err(MetadataError::OtherIssuer(named));
        }
        let urls = [
            (
                "authorization_endpoint",
                Some(read.authorization_endpoint.as_str()),
            ),
            ("token_endpoint", Some(&read.token_endpoint)),
            ("jwks_uri", Some(&read.jwks_uri)),
            ("userinfo_endpoint", read.userinfo_endpoint.as_deref()),
        ];
        for (name, url) in urls {
            let parsed = url.map(|url| url.parse::<Uri>());
            if parsed.is_some_and(|parsed| !parsed.is_ok_and(|url| is_allowed(&url))) {
                return Err(MetadataError::Url(name));
            }
        }
        Ok(read)
    }

    /// Whether a client may say its secret in the head of its request, as all providers let it that say
    /// nothing else.
    pub(super) fn takes_basic(&self) -> bool {
        let methods = self.token_endpoint_auth_methods_supported.as_ref();
        methods.is_none_or(|methods| methods.iter().any(|method| method == "client_secret_basic"))
    }
}
