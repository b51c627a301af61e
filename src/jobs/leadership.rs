//! Whether this replica computes the plans: what it knows of the lease, and when it gives it up.
//!
//! A replica that cannot compute plans gives the lease up, so that another can try, and pauses
//! before it asks again. [`Leadership`] learns how the computations end; [`super::LeaseKeeper`] acts
//! on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::{LeaseKeeper, PLAN_LEASE};
use crate::clock::{Clock, FleetClock};
use crate::store::Claim;

/// The number of failed computations in a row after which the lease is given up.
const FAILURES_MAX: u32 = 3;

/// Whether this replica computes plans, and under which term.
///
/// This is only a hint that saves work. The database's check when a plan is published decides.
#[derive(Clone)]
pub struct Leadership {
    state: Arc<Mutex<State>>,
    clock: Arc<FleetClock>,
    asked: CancellationToken,
}

/// Instants are readings of [`Clock::counted`].
#[derive(Default)]
struct State {
    held: Option<HeldLease>,
    /// Computations in a row that failed.
    failures: u32,
    /// When the last computation ended, or the lease was taken.
    heard_at: Duration,
    /// Why the lease is to be given up; the keeper has not done it yet.
    giving_up: Option<&'static str>,
    /// Until then, the lease is not asked for.
    paused_until: Duration,
    /// How often the lease was given up since the last successful computation.
    pauses: u32,
}

#[derive(Clone, Copy)]
pub(super) struct HeldLease {
    /// The holder.
    pub holder: Uuid,
    /// Its fencing number.
    pub term: u64,
    /// When it ends, unless it is renewed.
    pub until: Duration,
}

/// This replica gave the lease up and does not ask for it for a while.
#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error(
    "this replica could not compute plans and gave the lease up; it will ask for it again soon"
)]
pub struct GivenUp;

/// How long a replica that cannot compute keeps the lease, and for how long it leaves it to others.
#[derive(Debug, Clone, Copy)]
pub struct Patience {
    /// The longest time in which no computation ends, successful or not.
    pub silence: Duration,
    /// The first pause. Each further one is twice as long.
    pub pause: Duration,
    /// The longest pause.
    pub longest_pause: Duration,
}

impl Patience {
    /// Fits an interval: another replica still has time to plan the same window, and a replica that
    /// is alone tries again within an interval.
    #[must_use]
    pub fn of(interval: Duration) -> Self {
        let time_to_live = LeaseKeeper::time_to_live(interval);
        Self {
            silence: 3 * interval.max(Duration::from_secs(30)),
            pause: 2 * time_to_live,
            longest_pause: interval.max(4 * time_to_live),
        }
    }

    fn pause(&self, pauses: u32) -> Duration {
        let factor = 2_u32.saturating_pow(pauses);
        self.pause.saturating_mul(factor).min(self.longest_pause)
    }
}

impl Leadership {
    /// Holds no lease yet. `clock` decides when a lease has expired.
    #[must_use]
    pub fn new(clock: Arc<FleetClock>) -> Self {
        Self {
            state: Arc::default(),
            clock,
            asked: CancellationToken::new(),
        }
    }

    /// Returns after the lease was asked for, with or without an answer. From then on the clock
    /// follows the database's time, if that is known.
    pub async fn asked(&self) {
        self.asked.cancelled().await;
    }

    /// Notes that the lease has been asked for.
    pub(super) fn note_asked(&self) {
        self.asked.cancel();
    }

    /// The term, while the lease is believed to be held.
    #[must_use]
    pub fn term(&self) -> Option<u64> {
        self.claim().map(|claim| claim.term)
    }

    /// The identity under which the lease is held, while it is believed to be held.
    #[must_use]
    pub fn claim(&self) -> Option<Claim> {
        let held = self.state().held;
        held.filter(|held| self.clock.counted() < held.until)
            .map(|held| Claim {
                lease: PLAN_LEASE,
                holder: held.holder,
                term: held.term,
            })
    }

    /// Notes that a computation succeeded, or that there was nothing to do.
    pub fn note_success(&self) {
        let now = self.clock.counted();
        let mut state = self.state();
        if state.held.is_some() {
            state.heard_at = now;
            state.failures = 0;
            state.pauses = 0;
        }
    }

    /// Notes that a computation failed, took too long or panicked. After several in a row, the
    /// lease is given up.
    pub fn note_failure(&self) {
        let now = self.clock.counted();
        let mut state = self.state();
        if state.held.is_some() {
            state.heard_at = now;
            state.failures += 1;
            if state.failures >= FAILURES_MAX {
                state.give_up("its computations failed");
            }
        }
    }

    /// Gives the lease up because this replica knows that it cannot compute. The reason is logged.
    pub fn give_up(&self, reason: &'static str) {
        let mut state = self.state();
        if state.held.is_some() {
            state.give_up(reason);
        }
    }

    /// Whether this replica may compute if it gets the lease.
    ///
    /// # Errors
    /// It gave the lease up because it could not compute.
    pub fn check(&self) -> Result<(), GivenUp> {
        let state = self.state();
        if state.giving_up.is_some() || self.clock.counted() < state.paused_until {
            return Err(GivenUp);
        }
        Ok(())
    }

    pub(super) fn set(&self, held: Option<HeldLease>) -> Option<u64> {
        let now = self.clock.counted();
        let mut state = self.state();
        // Ignores an answer that was on its way while the lease was given up.
        let held = held.filter(|_| state.giving_up.is_none());
        if state.held.is_none() && held.is_some() {
            state.heard_at = now;
            state.failures = 0;
        }
        std::mem::replace(&mut state.held, held).map(|held| held.term)
    }

    /// Gives the lease up if no computation has ended for too long.
    pub(super) fn check_silence(&self, patience: Patience) {
        let now = self.clock.counted();
        let mut state = self.state();
        if state.held.is_some() && now.saturating_sub(state.heard_at) > patience.silence {
            state.give_up("no computation ended");
        }
    }

    /// Begins the pause if the lease is to be given up. Returns the reason and the length of the
    /// pause.
    pub(super) fn begin_pause(&self, patience: Patience) -> Option<(&'static str, Duration)> {
        let now = self.clock.counted();
        let mut state = self.state();
        let reason = state.giving_up.take()?;
        let pause = patience.pause(state.pauses);
        state.paused_until = now + pause;
        state.pauses = state.pauses.saturating_add(1);
        Some((reason, pause))
    }

    /// Every change of the state is a series of assignments that cannot panic in between, so the
    /// state behind a poisoned lock is valid.
    fn state(&self) -> MutexGuard<'_, State> {
        self.state.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

impl State {
    fn give_up(&mut self, reason: &'static str) {
        self.held = None;
        self.giving_up = Some(reason);
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::clock::SystemClock;

    const PATIENCE: Patience = Patience {
        silence: Duration::from_secs(3600),
        pause: Duration::from_secs(10),
        longest_pause: Duration::from_secs(35),
    };

    fn leading() -> Leadership {
        let clock = Arc::new(FleetClock::new(Arc::new(SystemClock)));
        let leadership = Leadership::new(clock);
        lead(&leadership);
        leadership
    }

    fn lead(leadership: &Leadership) {
        leadership.set(Some(HeldLease {
            holder: Uuid::nil(),
            term: 7,
            until: Duration::MAX,
        }));
    }

    fn fail(leadership: &Leadership, times: u32) {
        (0..times).for_each(|_| leadership.note_failure());
    }

    #[test]
    fn failures_in_a_row_give_the_lease_up_and_a_late_answer_does_not_bring_it_back() {
        let leadership = leading();
        fail(&leadership, FAILURES_MAX - 1);
        leadership.note_success();
        fail(&leadership, FAILURES_MAX - 1);
        assert_eq!((leadership.term(), leadership.check()), (Some(7), Ok(())));
        fail(&leadership, 1);
        lead(&leadership);
        assert_eq!(leadership.term(), None);
        assert_eq!(leadership.check(), Err(GivenUp));
        assert!(leadership.begin_pause(PATIENCE).is_some());
        assert!(
            leadership.begin_pause(PATIENCE).is_none(),
            "it is counted once"
        );
        assert_eq!(leadership.check(), Err(GivenUp), "for a while");
    }

    #[test]
    fn pauses_grow_to_a_limit_until_a_computation_succeeds() {
        let leadership = leading();
        let pause = || {
            lead(&leadership);
            leadership.give_up("as asked");
            leadership
                .begin_pause(PATIENCE)
                .map(|(_, pause)| pause.as_secs())
        };
        assert_eq!([pause(), pause(), pause()], [Some(10), Some(20), Some(35)]);
        lead(&leadership);
        leadership.note_success();
        leadership.give_up("as asked");
        let pause = leadership.begin_pause(PATIENCE).map(|(_, pause)| pause);
        assert_eq!(pause, Some(PATIENCE.pause));
    }

    #[test]
    fn a_lease_under_which_nothing_ends_is_given_up() {
        let leadership = leading();
        leadership.check_silence(PATIENCE);
        assert_eq!(leadership.term(), Some(7));
        let none = Patience {
            silence: Duration::ZERO,
            ..PATIENCE
        };
        // The clock counts in nanoseconds; the state was heard of at an earlier one.
        while leadership.clock.counted() == leadership.state().heard_at {}
        leadership.check_silence(none);
        assert_eq!(leadership.term(), None);
    }

    #[test]
    fn who_does_not_lead_gives_nothing_up() {
        let leadership = leading();
        leadership.set(None);
        fail(&leadership, 10);
        leadership.give_up("as asked");
        assert_eq!(leadership.check(), Ok(()));
    }
}
