//! Looks at what is served and known, again and again, and says what begins and what ends.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use super::{About, Judge, Notice, Seen, Severity, Turn, Webhook, Windows};
use crate::allocation::Plan;
use crate::clock::{Clock, FleetClock};
use crate::health::DatabaseState;
use crate::snapshot::{Served, Snapshot};
use crate::telemetry::metrics::Metrics;

/// How often it looks.
const PERIOD: Duration = Duration::from_secs(1);

/// Judges alerts for as long as the process runs.
#[derive(Clone)]
pub struct Watch {
    /// What is served.
    pub served: Arc<Served>,
    /// The time all replicas agree on.
    pub clock: Arc<FleetClock>,
    /// Whether the database answers, and is sound.
    pub database: DatabaseState,
    /// What else this process knows.
    pub metrics: Arc<Metrics>,
    /// Whether this replica leads.
    pub leads: Arc<dyn Fn() -> bool + Send + Sync>,
    /// How often a plan is computed.
    pub interval: Duration,
    /// A plan older than this is stale, in seconds.
    pub stale_after_seconds: f64,
    /// Where notices are sent; none if they are only logged.
    pub webhook: Option<Arc<Webhook>>,
}

/// What was seen of the plan, for as long as it is served.
struct OfPlan {
    mark: (u64, Option<chrono::DateTime<chrono::Utc>>),
    seen: Seen,
}

impl Watch {
    /// Watches until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut judge = Judge::new(self.interval);
        let (mut windows, mut last) = (Windows::default(), None);
        let mut looks = tokio::time::interval(PERIOD);
        looks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(looks.tick()).await.is_some() {
            let snapshot = self.served.snapshot();
            let seen = self.seen(&snapshot, &mut windows, &mut last);
            let (now, at) = (self.clock.counted(), self.clock.now());
            for notice in judge.look(&seen, now, at) {
                self.say(notice);
            }
        }
    }

    fn seen(&self, snapshot: &Snapshot, windows: &mut Windows, last: &mut Option<OfPlan>) -> Seen {
        let plan: &Plan = snapshot.plan();
        let mark = (plan.number, snapshot.published_at());
        if last.as_ref().is_none_or(|last| last.mark != mark) {
            windows.add(plan, snapshot.cuts().factor());
            let seen = Seen::of_plan(plan, windows);
            *last = Some(OfPlan { mark, seen });
        }
        let of_plan = last.as_ref().map(|last| last.seen.clone());
        let age = snapshot.age_seconds(self.clock.now()).unwrap_or(0.0);
        Seen {
            plan_stale: age > self.stale_after_seconds,
            plan_age_seconds: age,
            plan_unreadable: self.metrics.plan_unreadable.get() > 0.0,
            database_available: self.database.is_available(),
            database_sound: self.database.unsound().is_none(),
            clock_offset_seconds: self.clock.offset().num_milliseconds() as f64 / 1000.0,
            oidc_keys_failing: self.metrics.oidc_keys_failing.get() > 0.0,
            ..of_plan.unwrap_or_default().served(snapshot)
        }
    }

    fn say(&self, notice: Notice) {
        if notice.about == About::Fleet && !(self.leads)() {
            return;
        }
        let Notice {
            alert,
            text,
            subject,
            value,
            ..
        } = &notice;
        let subject = subject.as_deref();
        match (notice.state, notice.severity) {
            (Turn::Begun, Severity::Page) => {
                tracing::error!(alert, subject, value, runbook = notice.runbook, "{text}");
            }
            (Turn::Begun, Severity::Warn) => {
                tracing::warn!(alert, subject, value, runbook = notice.runbook, "{text}");
            }
            (Turn::Ended, _) => tracing::info!(alert, subject, value, "{text}"),
        }
        if let Some(webhook) = &self.webhook {
            webhook.push(notice);
        }
    }
}
