//! Holds the lease under which plans are computed, for as long as this replica lives.

use std::sync::{Arc, Mutex, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::PLAN_LEASE;
use crate::clock::{Clock, FleetClock};
use crate::health::DatabaseState;
use crate::store::{Store, StoreError};
use crate::telemetry::logging::chain;

/// Whether this replica computes plans, and under which fencing epoch.
///
/// Only a hint that saves work: what counts is the database's check when a plan is published.
#[derive(Clone)]
pub struct Leadership {
    held: Arc<Mutex<Option<Held>>>,
    clock: Arc<FleetClock>,
}

#[derive(Clone, Copy)]
struct Held {
    epoch: u64,
    /// A reading of [`Clock::counted`].
    until: Duration,
}

impl Leadership {
    /// Holds nothing yet; the lease runs out by this clock.
    #[must_use]
    pub fn new(clock: Arc<FleetClock>) -> Self {
        Self {
            held: Arc::default(),
            clock,
        }
    }

    /// The epoch, while the lease is believed to be held.
    #[must_use]
    pub fn epoch(&self) -> Option<u64> {
        let held = *self.held.lock().unwrap_or_else(PoisonError::into_inner);
        held.filter(|held| self.clock.counted() < held.until)
            .map(|held| held.epoch)
    }

    fn set(&self, held: Option<Held>) -> Option<u64> {
        let mut place = self.held.lock().unwrap_or_else(PoisonError::into_inner);
        std::mem::replace(&mut *place, held).map(|held| held.epoch)
    }
}

/// Asks for the lease again and again.
pub struct LeaseKeeper {
    /// The database.
    pub store: Arc<dyn Store>,
    /// Set to the database's time along the way.
    pub clock: Arc<FleetClock>,
    /// Where the answer is kept.
    pub leadership: Leadership,
    /// Where it is kept whether the database answers.
    pub database: DatabaseState,
    /// Who asks; new with every process.
    pub holder: Uuid,
    /// How long the lease lasts without being renewed.
    pub time_to_live: Duration,
}

impl LeaseKeeper {
    /// The time to live that suits an interval: a dead leader costs half an interval at most,
    /// a busy one is not taken for dead.
    #[must_use]
    pub fn time_to_live(interval: Duration) -> Duration {
        (interval / 2).clamp(Duration::from_secs(1), Duration::from_secs(10))
    }

    /// Keeps asking until told to stop.
    pub async fn run(self: Arc<Self>, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(self.time_to_live / 4);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(asked) = stop.run_until_cancelled(self.ask()).await else {
                break;
            };
            self.database.note(asked.is_ok());
            if let Err(error) = asked {
                tracing::debug!(error = chain(&error), "the lease could not be asked for");
            }
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

    /// Asks for the lease once, and sets the clock by the answer.
    ///
    /// # Errors
    /// The store's; what is held runs out by itself.
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
                "time has moved: the database's clock says something else than this replica's"
            );
        }
        let until = asked_at + self.time_to_live;
        let held = answer.epoch.map(|epoch| Held { epoch, until });
        let before = self.leadership.set(held);
        match (before, answer.epoch) {
            (held, Some(epoch)) if held != Some(epoch) => {
                tracing::info!(epoch, "this replica computes the plans now");
            }
            (Some(_), None) => tracing::info!("another replica computes the plans now"),
            _ => {}
        }
        Ok(())
    }
}
