//! Follows the current plan: every replica serves it within 2 s of its publication.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::JobContext;
use crate::allocation::Timestamp;
use crate::configuration::{Configuration, Governance, TaggedRules};
use crate::names::Names;
use crate::snapshot::{Published, Snapshot};
use crate::store::{ConfigurationRevision, StoreError, StoredPlan, plan_codec};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::WentBack;
use crate::worker::blocking;

/// How often the follower asks which plan is current.
const PERIOD: Duration = Duration::from_millis(500);

/// Asks which plan is current, and installs it if it is not the one that is served.
pub struct PlanFollower {
    shared: JobContext,
    /// Whether the database had no plan the last time, although one is served.
    without: bool,
}

impl PlanFollower {
    /// A follower that has not asked yet.
    #[must_use]
    pub fn new(shared: JobContext) -> Self {
        Self {
            shared,
            without: false,
        }
    }

    /// Follows until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
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

    /// Asks once.
    ///
    /// # Errors
    /// The store's, or the plan cannot be read. The served plan stays.
    pub async fn follow(&mut self) -> Result<(), StoreError> {
        let publishing = Arc::clone(&self.shared.publishing);
        let Ok(_not_meanwhile) = publishing.try_lock() else {
            return Ok(());
        };
        let head = self.shared.store.current_plan_mark().await?;
        let served = self.shared.served.load().mark();
        let without = head.is_none() && served.is_some();
        if without && !self.without {
            note_step_back(&self.shared, 0);
        }
        self.without = without;
        let Some(current) = head.filter(|_| head != served) else {
            return Ok(());
        };
        let unreadable = self.shared.readability.unreadable();
        if unreadable.is_some_and(|unreadable| unreadable.plan == current) {
            return Ok(());
        }
        load_current(&self.shared).await?;
        if self.shared.served.load().mark() == Some(current) {
            tracing::info!(
                plan = current.number,
                "serving a plan that another replica published"
            );
        }
        Ok(())
    }
}

/// Logs and counts that the database's plan is older than the served one, or another one under the
/// same number; 0 means none.
fn note_step_back(shared: &JobContext, plan: u64) {
    shared.metrics.went_back.of(WentBack::Plan).inc();
    tracing::warn!(
        plan,
        served = shared.served.load().plan().number,
        "the database has gone back to an older plan"
    );
}

/// How many unreadable plans are skipped at most, in search of one that can be read.
const LOOKED_PAST: usize = 20;

/// Reads the current plan and serves it. If there is none, the served plan stays. If it cannot be
/// read, the newest plan that can be read is served.
///
/// # Errors
/// The store's. The served plan stays.
pub async fn load_current(shared: &JobContext) -> Result<(), StoreError> {
    let loaded = match shared.store.current_plan().await {
        Ok(Some(stored)) => {
            let number = stored.number;
            serve(shared, stored)
                .await
                .map(|served| served.then_some(number))
        }
        Ok(None) => return Ok(()),
        Err(error) => Err(error),
    };
    match loaded {
        Ok(Some(number)) => {
            shared.readability.can_read(number, &shared.metrics);
            Ok(())
        }
        Ok(None) => Ok(()),
        Err(error) if error.is_unreadable() => load_readable(shared, &error).await,
        Err(error) => Err(error),
    }
}

/// Serves the newest plan that can be read, if it is newer than the served one.
async fn load_readable(shared: &JobContext, error: &StoreError) -> Result<(), StoreError> {
    let Some(current) = shared.store.current_plan_mark().await? else {
        return Ok(());
    };
    let readability = &shared.readability;
    readability.cannot_read(current, error, &shared.metrics);
    let mut below = current.number;
    for _ in 0..LOOKED_PAST {
        let found = match shared.store.readable_plan(below).await {
            Err(error) if error.is_unreadable() => None,
            found => found?,
        };
        let served = shared.served.load().plan().number;
        let Some(stored) = found.filter(|stored| stored.number > served) else {
            break;
        };
        below = stored.number;
        match serve(shared, stored).await {
            Err(error) if error.is_unreadable() => {}
            served => return served.map(drop),
        }
    }
    Ok(())
}

/// Decodes a stored plan and serves it, with the names that its numbers had where it was read. Not
/// if the database has gone back behind those since: then another plan is current.
async fn serve(shared: &JobContext, stored: StoredPlan) -> Result<bool, StoreError> {
    let Some(names) = shared.dictionary.names_of(&[stored.names]).await? else {
        return Ok(false);
    };
    let revision = stored.configuration_revision;
    let revision = shared.store.configuration_revision(revision).await?;
    let shared = shared.clone();
    blocking(move || {
        let plan = plan_codec::decode(&stored.body)?;
        let published = Published {
            identity: stored.identity,
            at: stored.published_at,
        };
        let served = shared.served.load().mark();
        let other = served.filter(|served| *served != stored.mark());
        if other.is_some_and(|served| stored.number <= served.number) {
            note_step_back(&shared, stored.number);
        }
        let at = plan.window.end;
        let (tagged, governance) = rules(&shared, revision.as_ref(), &names, at);
        let snapshot = Snapshot::build(plan, Some(published), &names).with_tagged(tagged);
        shared.served.install(snapshot.with_governance(governance));
        Ok(true)
    })
    .await
}

/// The rules for tagged requests that a plan was made with, and who decides about services. Those that are served stay if
/// the configuration cannot be read, or is not stored any more.
fn rules(
    shared: &JobContext,
    revision: Option<&ConfigurationRevision>,
    names: &Names,
    at: Timestamp,
) -> (TaggedRules, Governance) {
    let read = revision.map(Configuration::read).transpose();
    match read {
        Ok(Some(configuration)) => {
            return (
                TaggedRules::of(&configuration, at),
                configuration.governance(&shared.matches, names, at),
            );
        }
        Ok(None) => tracing::warn!("the configuration of the served plan is not stored any more"),
        Err(error) => tracing::warn!(error, "the configuration of the served plan cannot be read"),
    }
    let served = shared.served.load();
    (served.tagged().clone(), served.governance().clone())
}
