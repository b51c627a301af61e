//! Who needs a token, and the token that a process is started with.

use std::fmt;
use std::path::PathBuf;

use clap::Args;

use super::{ListenerSettings, OidcSettings, TlsListener, TlsSettings};
use crate::access::TokenSecret;

/// Who needs a token.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Tokens")]
pub struct AccessSettings {
    /// Ask for a token on a loopback admin listener, too. Beyond loopback, the admin API always asks for
    /// one, unless --insecure-admin is given
    #[arg(long, env = "WEIR_REQUIRE_ADMIN_TOKEN")]
    pub require_admin_token: bool,
    /// Allow an address other than loopback for the admin listener without TLS. Tokens are then sent in
    /// the clear: for a proxy that ends TLS, or a network that nobody else reads
    #[arg(long, env = "WEIR_ADMIN_WITHOUT_TLS")]
    pub admin_without_tls: bool,
    /// Answer /metrics on the admin listener to everybody who reaches it
    #[arg(long, env = "WEIR_METRICS_WITHOUT_TOKEN")]
    pub metrics_without_token: bool,
    /// Take reports, exports and X-Ray's statistics only with a token of role agent, or from clients whose
    /// certificate the listener has checked (--client-ca, --grpc-client-ca). Polls need none
    #[arg(long, env = "WEIR_REQUIRE_AGENT_TOKEN")]
    pub require_agent_token: bool,
    /// Token with role admin that this process accepts while it runs: weir_ and 64 hexadecimal digits.
    /// Better from the environment or a file, because everybody on the machine sees flags
    #[arg(
        long,
        env = "WEIR_BOOTSTRAP_TOKEN",
        value_name = "TOKEN",
        hide_env_values = true
    )]
    pub bootstrap_token: Option<BootstrapToken>,
    /// File that contains this token, instead of --bootstrap-token. Read again when it changes; a token that is
    /// no longer in it is no longer accepted
    #[arg(
        long,
        env = "WEIR_BOOTSTRAP_TOKEN_FILE",
        value_name = "FILE",
        conflicts_with = "bootstrap_token"
    )]
    pub bootstrap_token_file: Option<PathBuf>,
    /// The provider of OpenID Connect.
    #[command(flatten)]
    pub oidc: OidcSettings,
}

/// What was given as a token. It is never printed, not even if it is none.
#[derive(Clone)]
pub struct BootstrapToken(String);

impl From<&str> for BootstrapToken {
    fn from(text: &str) -> Self {
        Self(text.into())
    }
}

impl fmt::Debug for BootstrapToken {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

impl AccessSettings {
    /// The token that the process is started with.
    ///
    /// # Errors
    /// Says what is wrong, with the flag and without the token.
    pub fn bootstrap(&self) -> Result<Option<TokenSecret>, String> {
        let (flag, text) = match (&self.bootstrap_token, &self.bootstrap_token_file) {
            (Some(given), _) => ("--bootstrap-token".to_owned(), given.0.clone()),
            (None, Some(file)) => {
                let flag = format!("--bootstrap-token-file {}", file.display());
                let text = std::fs::read_to_string(file);
                (
                    flag.clone(),
                    text.map_err(|error| format!("{flag}: {error}"))?,
                )
            }
            (None, None) => return Ok(None),
        };
        let secret = TokenSecret::parse(text.trim());
        secret.map(Some).ok_or_else(|| {
            format!(
                "{flag}: a token is weir_ and 64 hexadecimal digits in lower case; make one with \
                 echo weir_$(openssl rand -hex 32)"
            )
        })
    }

    pub(super) fn check(
        &self,
        listeners: &ListenerSettings,
        tls: &TlsSettings,
        problems: &mut Vec<String>,
    ) {
        problems.extend(self.bootstrap().err());
        self.oidc.check(listeners.insecure_admin, problems);
        if listeners.insecure_admin && self.require_admin_token {
            problems.push(
                "--require-admin-token: contradicts --insecure-admin, which asks nobody for a token"
                    .into(),
            );
        }
        let address = listeners.admin_listen;
        let encrypted = tls.tls_cert.is_some() && tls.tls_listeners.contains(&TlsListener::Admin);
        let stated = listeners.insecure_admin || self.admin_without_tls;
        if !address.ip().is_loopback() && !encrypted && !stated {
            problems.push(format!(
                "--admin-listen {address}: beyond loopback the admin API needs TLS (--tls-cert, \
                 --tls-key) and asks for tokens (docs/access.md); add --admin-without-tls if a proxy \
                 in front ends TLS, or --insecure-admin if you protect it yourself and want no tokens"
            ));
        }
    }

    /// Whether everybody who reaches the admin listener may do everything without a token.
    #[must_use]
    pub fn admin_is_open(&self, listeners: &ListenerSettings) -> bool {
        let asks = self.require_admin_token || self.oidc.oidc_issuer.is_some();
        let local = listeners.admin_listen.ip().is_loopback() && !asks;
        listeners.insecure_admin || local
    }
}
