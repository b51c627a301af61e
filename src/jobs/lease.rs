//! Holds the lease under which plans are computed, as long as this replica can compute them.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::leadership::HeldLease;
use super::{GivenUp, Leadership, PLAN_LEASE, Patience};
use crate::clock::{Clock, FleetClock};
use crate::health::DatabaseState;
use crate::store::{Store, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::Metrics;

/// Asks for the lease again and again.
pub struct LeaseKeeper {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Adopts the database's time from each answer.
    pub clock: Arc<FleetClock>,
    /// Stores the answer.
    pub leadership: Leadership,
    /// Stores whether the database answers.
    pub database: DatabaseState,
    /// Identifies this process; a new one at every start.
    pub holder: Uuid,
    /// How long the lease lasts if it is not renewed.
    pub time_to_live: Duration,
    /// When the lease is given up.
    pub patience: Patience,
    /// Counts how often the lease is given up.
    pub metrics: Arc<Metrics>,
}

impl LeaseKeeper {
    /// The time to live that fits an interval: a dead leader costs at most half an interval, and a
    /// busy one is not mistaken for a dead one.
    #[must_use]
    pub fn time_to_live(interval: Duration) -> Duration {
        (interval / 2).clamp(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// Asks for the lease until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.time_to_live / 4);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(asked) = stop.run_until_cancelled(self.tick()).await else {
                break;
            };
            self.leadership.note_asked();
            // A database that is full, or blocked by locks, does answer.
            self.database
                .note(!asked.as_ref().is_err_and(StoreError::is_away));
            if let Err(error) = asked {
                tracing::debug!(error = chain(&error), "the lease could not be asked for");
            }
        }
    }

    /// Asks for the lease, unless this replica is to give it up or gave it up lately.
    ///
    /// # Errors
    /// The store's. A lease that is held expires by itself.
    pub async fn tick(&self) -> Result<(), StoreError> {
        self.leadership.check_silence(self.patience);
        if let Some((reason, pause)) = self.leadership.begin_pause(self.patience) {
            self.metrics.lease_given_up.inc();
            tracing::error!(
                reason,
                pause = %humantime::format_duration(pause),
                "gave the lease up: this replica cannot compute plans"
            );
            return self.store.release_lease(PLAN_LEASE, self.holder).await;
        }
        match self.leadership.check() {
            Ok(()) => self.ask().await,
            // Only checks whether the database answers.
            Err(GivenUp) => self.store.current_plan_mark().await.map(drop),
        }
    }

    /// Gives the lease back, so that another replica may compute at once.
    pub async fn release(&self) {
        if self.leadership.set(None).is_none() {
            return;
        }
        let released = self.store.release_lease(PLAN_LEASE, self.holder);
        match tokio::time::timeout(self.time_to_live, released).await {
            Ok(Ok(())) => tracing::info!("gave the lease back"),
            _ => tracing::warn!("could not give the lease back; it runs out by itself"),
        }
    }

    /// Asks for the lease once, and sets the clock according to the answer.
    ///
    /// # Errors
    /// The store's. A lease that is held expires by itself.
    pub async fn ask(&self) -> Result<(), StoreError> {
        let asked_at = self.clock.counted();
        let before = self.clock.counted_now();
        let acquired = self
            .store
            .acquire_lease(PLAN_LEASE, self.holder, self.time_to_live)
            .await;
        let answer = acquired?;
        let after = self.clock.counted_now();
        if let Some(moved) = self.clock.observe(before, answer.database_time, after) {
            tracing::warn!(
                moved_milliseconds = moved,
                "adjusted the fleet clock to the database's clock"
            );
        }
        let until = asked_at + self.time_to_live;
        let held = answer.term.map(|term| HeldLease {
            holder: self.holder,
            term,
            until,
        });
        let before = self.leadership.set(held);
        match (before, answer.term) {
            (held, Some(term)) if held != Some(term) => {
                tracing::info!(term, "this replica computes the plans now");
            }
            (Some(_), None) => tracing::info!("another replica computes the plans now"),
            _ => {}
        }
        Ok(())
    }
}
