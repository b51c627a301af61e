//! Who may do what on each listener.

use std::sync::Arc;

use chrono::DateTime;
use uuid::Uuid;

use super::{AppError, Parts};
use crate::access::{BOOTSTRAP, Guard, LOCAL, Role, Rules, Token, TokenName, Tokens};
use crate::settings::Settings;
use crate::store::{Store, StoreError};
use crate::telemetry::metrics::ListenerName;

/// The token that the process is started with. It is not stored.
///
/// # Errors
/// Its file cannot be read, or holds no token.
pub(super) fn started_with(settings: &Settings) -> Result<Tokens, AppError> {
    let secret = settings.access.bootstrap().map_err(AppError::Bootstrap)?;
    let token = secret.map(|secret| Token {
        id: Uuid::nil(),
        digest: secret.digest(),
        name: TokenName::stored(BOOTSTRAP).expect("the name is sound"),
        role: Role::Admin,
        services: Vec::new(),
        created_at: DateTime::UNIX_EPOCH,
        created_by: LOCAL.into(),
        expires_at: None,
        revoked_at: None,
    });
    Ok(Tokens::new(token))
}

/// Reads the tokens, so that the first request finds them.
pub(super) async fn load(tokens: &Tokens, store: &dyn Store) -> Result<(), StoreError> {
    tokens.install(store.tokens().await?);
    Ok(())
}

impl Parts {
    /// The guard of the admin listener.
    pub(super) fn admin_guard(&self) -> Arc<Guard> {
        let (access, listeners) = (&self.settings.access, &self.settings.listeners);
        self.guard(
            ListenerName::Admin,
            Rules {
                anybody: access.admin_is_open(listeners),
                anybody_scrapes: access.metrics_without_token,
                heeds_tokens: true,
            },
        )
    }

    /// The guard of a listener for agents. Who has presented a certificate needs no token.
    pub(super) fn agent_guard(&self, listener: ListenerName) -> Arc<Guard> {
        let (required, tls) = (self.settings.access.require_agent_token, &self.settings.tls);
        let certified = match listener {
            ListenerName::Sdk => tls.client_ca.is_some(),
            ListenerName::Grpc => tls.grpc_client_ca.is_some(),
            ListenerName::Xray | ListenerName::Admin | ListenerName::Observe => false,
        };
        self.guard(
            listener,
            Rules {
                anybody: !required || certified,
                anybody_scrapes: false,
                heeds_tokens: required,
            },
        )
    }

    /// The guard of the listener for probes and Prometheus, where nobody needs a token.
    pub(super) fn observe_guard(&self) -> Arc<Guard> {
        self.guard(
            ListenerName::Observe,
            Rules {
                anybody: true,
                anybody_scrapes: true,
                heeds_tokens: false,
            },
        )
    }

    /// Who may do what on the admin listener, for the log.
    pub(super) fn admin_access(&self) -> &'static str {
        let listeners = &self.settings.listeners;
        match self.settings.access.admin_is_open(listeners) {
            false => "tokens",
            true if listeners.admin_listen.ip().is_loopback() => "everybody on this machine",
            true => "everybody (--insecure-admin)",
        }
    }

    fn guard(&self, listener: ListenerName, rules: Rules) -> Arc<Guard> {
        let (tokens, metrics) = (Arc::clone(&self.tokens), Arc::clone(&self.shared.metrics));
        Arc::new(Guard::new(tokens, self.clock(), metrics, listener, rules))
    }
}
