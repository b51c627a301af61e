//! Measures what changes of the configuration did, some windows after each, and fills it in where the change was
//! recorded.
//!
//! SDKs ask once in a while, so a plan acts in full one interval after it was published. What is compared: the
//! last windows before the change, and the first windows in which it acted in full. It is not known if another
//! change came between, or if something began or ran out by itself that the windows before do not show: nobody
//! could tell which of the two did it. An effect is written once, under the lease: a leader that has lost it
//! writes nothing.

mod before;
mod by_itself;
mod effect;
mod heard;

use std::error::Error;
use std::time::Duration;

use async_trait::async_trait;

use self::before::Before;
use self::effect::{Effect, Windows};
use self::heard::Heard;
use super::{Job, JobContext};
use crate::clock::Clock;
use crate::store::{AuditEntry, PlanRow, StoreError};
use crate::telemetry::metrics::JobName;

/// Changes that are looked at in one run. The next run continues.
const TOGETHER: u32 = 20;

/// Plans that are read at a time, and at most.
const PAGE: u32 = 200;
const PLANS_MAX: usize = 2000;

/// Windows before a change that are compared with as many after it.
const WINDOWS: usize = 3;

/// How many windows whose counts are missing are passed over.
const PASSED_OVER: usize = 10;

/// How long to wait for plans that follow a change.
const WAIT_SECONDS: i64 = 24 * 3600;

/// The job.
pub struct Measure {
    /// Shared with the other jobs.
    pub shared: JobContext,
}

/// What is known of a change's effect.
enum Known {
    /// The windows to compare.
    Windows(Windows),
    /// Nothing can be known, for this reason.
    Never(String),
    /// Nothing yet.
    NotYet,
}

#[async_trait]
impl Job for Measure {
    fn name(&self) -> JobName {
        JobName::Measure
    }

    fn schedule(&self) -> &'static str {
        "*/10 * * * * *"
    }

    fn time_limit(&self) -> Duration {
        Duration::from_secs(60)
    }

    async fn run(&self) -> Result<(), Box<dyn Error + Send + Sync>> {
        if self.shared.leadership.term().is_none() {
            return Ok(());
        }
        for entry in self.shared.store.unmeasured(TOGETHER).await? {
            let Some(revisions) = entry.entry.revisions else {
                continue;
            };
            let (_, revision) = revisions;
            let effect = match self.known(&entry, revisions).await? {
                Known::NotYet => continue,
                Known::Never(why) => Effect::unknown(why),
                Known::Windows(windows) => effect::measured(&self.shared, &entry, &windows).await?,
            };
            let Some(claim) = self.shared.leadership.claim() else {
                return Ok(());
            };
            let store = &self.shared.store;
            let document = effect.document();
            if store.write_measured(claim, entry.id, &document).await? {
                tracing::info!(
                    entry = entry.id,
                    revision,
                    unknown = effect.why_unknown(),
                    "measured what a change of the configuration did"
                );
            }
        }
        Ok(())
    }
}

impl Measure {
    /// The windows that show what the change from one revision to another did.
    async fn known(&self, entry: &AuditEntry, revisions: (u64, u64)) -> Result<Known, StoreError> {
        let (_, revision) = revisions;
        let plans = self.plans(revision).await?;
        let first = plans
            .iter()
            .position(|plan| plan.configuration_revision >= revision);
        let Some(first) = first else {
            let waited = self.shared.clock.now() - entry.at;
            return Ok(match waited.num_seconds() > WAIT_SECONDS {
                true => Known::Never("no plan followed it within a day".into()),
                false => Known::NotYet,
            });
        };
        let (earlier, following) = plans.split_at(first);
        let applied = &following[0];
        let acts = acts_from(applied);
        let full = following.iter().position(|of| of.window.start.0 >= acts);
        let full = full.unwrap_or(following.len());
        let after = compared(&following[full..]);
        let end = match after.get(WINDOWS - 1) {
            Some(last) => last.window.end,
            None => following
                .last()
                .map_or(applied.window.end, |of| of.window.end),
        };
        let mut seen = following.iter().filter(|of| of.window.end <= end);
        if let Some(other) = seen.find(|of| of.configuration_revision != revision) {
            let between = other.configuration_revision;
            return Ok(Known::Never(format!(
                "revision {between} of the configuration came between"
            )));
        }
        let waited = following.len() - full;
        if waited < WINDOWS {
            return Ok(Known::NotYet);
        }
        let before = Before::of(earlier, entry.at.timestamp_millis());
        let spans = by_itself::Spans {
            since: before.since.unwrap_or(applied.window.end),
            changed: entry.at,
            applied: applied.window.end,
            until: end,
        };
        if let Some(why) = by_itself::came(self.shared.store.as_ref(), revisions, &spans).await? {
            return Ok(Known::Never(why));
        }
        let before = before.windows;
        Ok(match after.len() {
            WINDOWS => Known::Windows(Windows { before, after }),
            _ if waited < WINDOWS + PASSED_OVER => Known::NotYet,
            _ => Known::Never("counts of most windows after it were missing".into()),
        })
    }

    /// The plans from some before a revision on, oldest first.
    async fn plans(&self, revision: u64) -> Result<Vec<PlanRow>, StoreError> {
        let mut plans: Vec<PlanRow> = Vec::new();
        let is_earlier = |plan: &&PlanRow| plan.configuration_revision < revision;
        loop {
            let before = plans.last().map(|plan| plan.number);
            let page = self.shared.store.plans(before, PAGE).await?;
            let is_last = page.len() < PAGE as usize;
            plans.extend(page);
            let enough = plans.iter().filter(is_earlier).count() >= 2 * WINDOWS;
            if is_last || enough || plans.len() >= PLANS_MAX {
                plans.reverse();
                return Ok(plans);
            }
        }
    }
}

/// The first windows whose counts were in.
fn compared(full: &[PlanRow]) -> Vec<PlanRow> {
    let full = full.iter().take(WINDOWS + PASSED_OVER);
    let heard = full.filter(|of| Heard::is_enough(of));
    heard.take(WINDOWS).cloned().collect()
}

/// When SDKs have taken over a plan in full, in milliseconds: they ask once an interval.
fn acts_from(plan: &PlanRow) -> i64 {
    let length = plan.window.end.0 - plan.window.start.0;
    plan.published_at.timestamp_millis() + length
}
