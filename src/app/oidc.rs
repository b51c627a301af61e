//! The provider of OpenID Connect.

use std::sync::Arc;

use arc_swap::ArcSwapOption;

use super::Parts;
use crate::access::Issuer;
use crate::oidc::{Client, Follower, Metadata, SignIn};
use crate::settings::Settings;
use crate::supervise::Supervisor;
use crate::telemetry::metrics::TaskName;

/// The provider: its keys, and what it says of itself.
pub(super) struct Provider {
    pub(super) issuer: Arc<Issuer>,
    metadata: Arc<ArcSwapOption<Metadata>>,
    client: Client,
}

impl Provider {
    /// A provider that was not asked yet; none if no flag names one.
    pub(super) fn of(settings: &Settings) -> Option<Self> {
        let expected = settings.access.oidc.expected()?;
        Some(Self {
            issuer: Arc::new(Issuer::new(expected)),
            metadata: Arc::default(),
            client: Client::new(),
        })
    }
}

impl Parts {
    /// What signs people in; none if nobody can.
    pub(super) fn sign_in(&self) -> Option<Arc<SignIn>> {
        let provider = self.provider.as_ref()?;
        Some(Arc::new(SignIn::new(
            Arc::clone(&provider.issuer),
            Arc::clone(&provider.metadata),
            provider.client.clone(),
            self.settings.access.oidc.registration()?,
            self.clock(),
        )))
    }

    /// Reads the provider's keys from now on.
    pub(super) fn follow_provider(&self, supervisor: &mut Supervisor) {
        let Some(provider) = &self.provider else {
            return;
        };
        let (issuer, metadata) = (&provider.issuer, &provider.metadata);
        let follower = Follower {
            issuer: Arc::clone(issuer),
            metadata: Arc::clone(metadata),
            client: provider.client.clone(),
            clock: self.clock(),
            metrics: Arc::clone(&self.shared.metrics),
        };
        supervisor.keep(TaskName::OidcFollower, move |stop| {
            let follower = follower.clone();
            async move {
                follower.run(stop).await;
                Ok(())
            }
        });
    }
}
