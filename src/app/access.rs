//! Who may do what on each listener.

use std::sync::Arc;

use super::bootstrap::Watch;
use super::oidc::Provider;
use super::{AppError, Parts, bootstrap};
use crate::access::{Guard, Rules, Tokens};
use crate::http::cookies::SESSION;
use crate::settings::Settings;
use crate::store::{Store, StoreError};
use crate::supervise::Supervisor;
use crate::telemetry::metrics::{ListenerName, TaskName};

/// Who is known before the database is read: the token that the process is started with, and the issuer.
///
/// # Errors
/// The token's file cannot be read, or holds no token.
pub(super) fn known(settings: &Settings, provider: Option<&Provider>) -> Result<Tokens, AppError> {
    let secret = settings.access.bootstrap().map_err(AppError::Bootstrap)?;
    let issuer = provider.map(|provider| Arc::clone(&provider.issuer));
    Ok(Tokens::new(secret.as_ref().map(bootstrap::token), issuer))
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
                session_cookie: Some(SESSION.name(self.admin_is_encrypted())),
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
                session_cookie: None,
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
                session_cookie: None,
            },
        )
    }

    /// Who may do what on the admin listener, for the log.
    pub(super) fn admin_access(&self) -> &'static str {
        let listeners = &self.settings.listeners;
        match self.settings.access.admin_is_open(listeners) {
            false if self.provider.is_some() => "tokens and OpenID Connect",
            false => "tokens",
            true if listeners.admin_listen.ip().is_loopback() => "everybody on this machine",
            true => "everybody (--insecure-admin)",
        }
    }

    /// Whether browsers come to the admin listener over TLS: its own, or that of a proxy whose URL people come back
    /// to from the provider.
    pub(super) fn admin_is_encrypted(&self) -> bool {
        match self.settings.access.oidc.registration() {
            Some(registration) => registration.is_encrypted(),
            None => self.encrypted.of(ListenerName::Admin).is_some(),
        }
    }

    /// Follows what is accepted outside the database: the file of the first token, and the provider's keys.
    pub(super) fn start_access(&self, supervisor: &mut Supervisor) {
        let access = self.settings.access.clone();
        let tokens = Arc::clone(&self.tokens);
        supervisor.keep(TaskName::BootstrapToken, move |stop| {
            let (access, tokens) = (access.clone(), Arc::clone(&tokens));
            async move {
                Watch { access, tokens }.run(stop).await;
                Ok(())
            }
        });
        self.follow_provider(supervisor);
    }

    fn guard(&self, listener: ListenerName, rules: Rules) -> Arc<Guard> {
        let (tokens, metrics) = (Arc::clone(&self.tokens), Arc::clone(&self.shared.metrics));
        Arc::new(Guard::new(tokens, self.clock(), metrics, listener, rules))
    }
}
