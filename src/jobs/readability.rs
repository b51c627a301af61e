//! Whether this replica can read the stored plans, counts and configuration, and what it does if
//! not.
//!
//! A newer Weir may write formats that this one does not know, and a disk may damage data. A
//! replica that cannot read the current plan goes on with the newest one that it can read. If it
//! leads, it gives the lease up once, so that a replica that can read more may lead. If there is
//! none, it leads again, and continues from what it can read.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::health::PlanState;
use crate::store::{PlanMark, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::Metrics;

/// What is known about readability.
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
    /// Whether the lease was given up because of unreadable counts.
    gave_up_for_counts: bool,
}

/// A current plan that this replica cannot read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Unreadable {
    /// The plan.
    pub plan: PlanMark,
    /// Why it cannot be read, in a sentence.
    pub why: String,
}

impl Readability {
    /// Assumes that everything can be read. `told` shows whether the current plan can be read.
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

    /// Notes that the current plan cannot be read, and warns if that is new.
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

    /// Whether to give the lease up now: the first time that the current plan cannot be read. A
    /// replica that gets the lease again after that has found no other one.
    pub(super) fn gives_up(&self) -> bool {
        let mut state = self.state();
        let Some(plan) = state.unreadable.as_ref().map(|held| held.plan) else {
            return false;
        };
        state.gave_up_for.replace(plan) != Some(plan)
    }

    /// The same for counts, if some are in a newer format.
    pub(super) fn gives_up_for_counts(&self, newer: bool) -> bool {
        let mut state = self.state();
        let gave_up = std::mem::replace(&mut state.gave_up_for_counts, newer);
        newer && !gave_up
    }

    /// The state is replaced part by part, and each part is valid by itself.
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
