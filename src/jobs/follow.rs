//! Follows the current plan: every replica serves it within 2 s of its publication.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::Shared;
use crate::dictionary::Dictionary;
use crate::snapshot::{Served, Snapshot};
use crate::store::{Store, StoreError, StoredPlan, plan_codec};
use crate::telemetry::logging::chain;

/// How often the current plan's number is asked for.
const PERIOD: Duration = Duration::from_millis(500);

/// Asks which plan is current, and installs it when it is new.
pub struct Follower {
    /// What the jobs share.
    pub shared: Shared,
}

impl Follower {
    /// Follows until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(followed) = stop.run_until_cancelled(self.follow()).await else {
                break;
            };
            if let Err(error) = followed {
                tracing::debug!(error = chain(&error), "the current plan could not be read");
            }
        }
    }

    async fn follow(&self) -> Result<(), StoreError> {
        let Some(current) = self.shared.store.current_plan_number().await? else {
            return Ok(());
        };
        if current > self.shared.served.load().plan().number {
            let Shared {
                store,
                dictionary,
                served,
                ..
            } = &self.shared;
            load_current(&**store, dictionary, served).await?;
            tracing::info!(
                plan = current,
                "serving a plan that another replica published"
            );
        }
        Ok(())
    }
}

/// Reads the current plan and serves it; without one, what is served stays.
///
/// # Errors
/// The store's, or a plan that cannot be read; what is served stays.
pub async fn load_current(
    store: &dyn Store,
    dictionary: &Arc<Dictionary>,
    served: &Arc<Served>,
) -> Result<(), StoreError> {
    let Some(stored) = store.current_plan().await? else {
        return Ok(());
    };
    dictionary.refresh().await?;
    let (dictionary, served) = (Arc::clone(dictionary), Arc::clone(served));
    blocking(move || install(&stored, &dictionary, &served)).await
}

fn install(
    stored: &StoredPlan,
    dictionary: &Dictionary,
    served: &Served,
) -> Result<(), StoreError> {
    let plan = plan_codec::decode(&stored.body)?;
    let previous = served.snapshot();
    let snapshot = Snapshot::build(
        plan,
        Some(stored.published_at),
        &dictionary.names(),
        Some(&previous),
    );
    served.install(snapshot);
    Ok(())
}

/// Runs what keeps a core busy where it does not hold up the polls.
pub(super) async fn blocking<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    match tokio::task::spawn_blocking(work).await {
        Ok(done) => done,
        Err(error) => std::panic::resume_unwind(error.into_panic()),
    }
}
