//! Follows the emergency of the configuration: every replica cuts what it serves within 2 s, whoever leads and
//! whatever is reported, and stops when the emergency runs out.

use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::JobContext;
use crate::clock::Clock;
use crate::configuration::{Emergency, emergency_of};
use crate::snapshot::Cut;
use crate::store::StoreError;
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::worker::blocking;

/// How often the follower looks at the clock, and asks which revision is the newest.
const PERIOD: Duration = Duration::from_millis(500);

/// The newest revision: its number, and when it was written. After a restore, a number may come again.
type Mark = (u64, DateTime<Utc>);

/// Reads the emergency when the configuration has changed, and cuts what is served while it lasts. What is known
/// stays while the database is away, and runs out by the clock.
pub struct EmergencyFollower {
    shared: JobContext,
    known: Option<Mark>,
    emergency: Option<Emergency>,
}

impl EmergencyFollower {
    /// A follower that has not asked yet.
    #[must_use]
    pub fn new(shared: JobContext) -> Self {
        Self {
            shared,
            known: None,
            emergency: None,
        }
    }

    /// Follows until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            if stop.run_until_cancelled(self.follow()).await.is_none() {
                break;
            }
        }
    }

    /// Asks once, and applies what is known.
    pub async fn follow(&mut self) {
        if self.known.is_some() {
            // What is known may run out while the database does not answer.
            self.apply().await;
        }
        match self.ask().await {
            Ok(false) => {}
            Ok(true) => self.apply().await,
            Err(error) => {
                tracing::debug!(error = chain(&error), "the emergency could not be read");
            }
        }
    }

    /// Whether the configuration has changed.
    async fn ask(&mut self) -> Result<bool, StoreError> {
        let store = &self.shared.store;
        let newest = store.configuration_revisions(None, 1).await?;
        let newest = newest.first().map(|mark| (mark.revision, mark.written_at));
        if newest.is_none() || newest == self.known {
            return Ok(false);
        }
        let revision = store.configuration().await?;
        match emergency_of(&revision.document) {
            Ok(emergency) => self.emergency = emergency,
            Err(error) => log_seldom!(
                warn,
                revision = revision.revision,
                error,
                "the emergency of the configuration cannot be read: the one that is known stays"
            ),
        }
        self.known = Some((revision.revision, revision.written_at));
        Ok(true)
    }

    /// Makes what is served agree with what is known.
    async fn apply(&self) {
        let now = self.shared.clock.timestamp();
        let emergency = self.emergency.as_ref();
        let active = emergency.filter(|emergency| emergency.is_active(now));
        let cut = active.map(|emergency| Cut {
            factor: emergency.factor,
            since: emergency.since(),
            until: None,
        });
        let factor = self.shared.served.load().cuts().factor();
        if cut.map_or(1.0, |cut| cut.factor) == factor {
            return;
        }
        // Encoding all bodies again keeps a core busy.
        let served = Arc::clone(&self.shared.served);
        blocking(move || served.cut(cut, now)).await;
        match (active, emergency) {
            (Some(emergency), _) => tracing::warn!(
                factor = emergency.factor,
                owner = emergency.owner,
                reason = emergency.reason,
                expires = emergency.expires.map(|at| at.to_rfc3339()),
                "an emergency cuts everything that is served"
            ),
            (None, Some(_)) => {
                tracing::info!("the emergency ran out: the plan is served in full again");
            }
            (None, None) => {
                tracing::info!("the emergency was ended: the plan is served in full again");
            }
        }
    }
}
