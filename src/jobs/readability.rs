//! Whether this replica can read what it works from, and what it does where it cannot.
//!
//! A newer Weir may write plans, counts or a configuration that this one does not know; a disk may
//! damage them. Such a replica goes on serving the newest plan that it can read. If it leads, it
//! gives the lease up once, so that a replica that can read more may lead. Where none does, it
//! leads on, from what it can read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::health::PlanState;
use crate::store::{PlanMark, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::Metrics;

/// What is known of it.
#[derive(Clone, Default)]
pub struct Readability {
    state: Arc<Mutex<State>>,
    told: PlanState,
}

#[derive(Default)]
struct State {
    /// The current plan, while it cannot be read.
    unreadable: Option<Unreadable>,
    /// The last plan for which the lease was given up.
    gave_up_for: Option<PlanMark>,
    /// Whether the lease was given up because of counts that cannot be read.
    gave_up_for_counts: bool,
}

/// A current plan that this replica cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// Which one.
    pub plan: PlanMark,
    /// Why not, in a sentence.
    pub why: String,
}

impl Readability {
    /// Everything can be read so far; whether the current plan can is told to `told`.
    #[must_use]
    pub fn new(told: PlanState) -> Self {
        Self {
            state: Arc::default(),
            told,
        }
    }

    /// The current plan, if this replica cannot read it.
    #[must_use]
    pub fn unreadable(&self) -> Option<Unreadable> {
        self.state().unreadable.clone()
    }

    /// Notes that the current plan cannot be read, and warns when that is news.
    pub(super) fn cannot_read(&self, plan: PlanMark, error: &StoreError, metrics: &Metrics) {
        let why = error.to_string();
        let mut state = self.state();
        let known = state.unreadable.as_ref().map(|held| held.why.as_str());
        if known != Some(&why) {
            tracing::warn!(
                plan = plan.number,
                error = chain(error),
                "the current plan cannot be read; the newest one that can is served"
            );
        }
        self.told.set(Some(format!("plan {}: {why}", plan.number)));
        state.unreadable = Some(Unreadable { plan, why });
        metrics.plan_unreadable.set(1.0);
    }

    /// Notes that the current plan is served.
    pub(super) fn can_read(&self, plan: u64, metrics: &Metrics) {
        if self.state().unreadable.take().is_some() {
            tracing::info!(plan, "the current plan can be read again");
        }
        self.told.set(None);
        metrics.plan_unreadable.set(0.0);
    }

    /// Whether the lease is to be given up now: the first time that the current plan turns out to be
    /// unreadable. Who leads all the same afterwards has found nobody else.
    pub(super) fn gives_up(&self) -> bool {
        let mut state = self.state();
        let Some(plan) = state.unreadable.as_ref().map(|held| held.plan) else {
            return false;
        };
        state.gave_up_for.replace(plan) != Some(plan)
    }

    /// The same for counts, of which some are in a newer format or none is.
    pub(super) fn gives_up_for_counts(&self, newer: bool) -> bool {
        let mut state = self.state();
        let gave_up = std::mem::replace(&mut state.gave_up_for_counts, newer);
        newer && !gave_up
    }

    /// The state is replaced part by part, and each part is sound by itself.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use uuid::Uuid;

    use super::*;

    fn mark(number: u64) -> PlanMark {
        PlanMark {
            number,
            identity: Uuid::from_u128(number.into()),
        }
    }

    fn newer(found: u32) -> StoreError {
        StoreError::NewerFormat {
            what: "plan_body.body".into(),
            found,
            known: 6,
        }
    }

    #[test]
    fn the_lease_is_given_up_once_for_each_plan() {
        let (readability, metrics) = (Readability::default(), Metrics::new());
        assert!(!readability.gives_up());
        readability.cannot_read(mark(7), &newer(9), &metrics);
        assert_eq!(
            [readability.gives_up(), readability.gives_up()],
            [true, false]
        );
        // Somebody who could read it led for a while.
        readability.cannot_read(mark(8), &newer(9), &metrics);
        assert_eq!(
            [readability.gives_up(), readability.gives_up()],
            [true, false]
        );
        assert_eq!(metrics.plan_unreadable.get(), 1.0);
        readability.can_read(9, &metrics);
        assert_eq!(readability.unreadable(), None);
        assert!(!readability.gives_up());
        assert_eq!(metrics.plan_unreadable.get(), 0.0);
    }

    #[test]
    fn counts_in_a_newer_format_are_a_reason_once() {
        let readability = Readability::default();
        let seen = [false, true, true, false, true];
        let gives_up = seen.map(|newer| readability.gives_up_for_counts(newer));
        assert_eq!(gives_up, [false, true, false, false, true]);
    }
}
