//! Holds the lease under which plans are computed, as long as this replica can compute them.
//!
//! A replica that cannot compute gives the lease up, so that another one may try, and does not ask
//! for it again for a while. [`Leadership`] learns how the computations end; [`LeaseKeeper`] acts
//! on it.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::PLAN_LEASE;
use crate::clock::{Clock, FleetClock};
use crate::health::DatabaseState;
use crate::store::{Claim, Store, StoreError};
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::Metrics;

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
struct HeldLease {
    holder: Uuid,
    term: u64,
    until: Duration,
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

    fn set(&self, held: Option<HeldLease>) -> Option<u64> {
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
    fn check_silence(&self, patience: Patience) {
        let now = self.clock.counted();
        let mut state = self.state();
        if state.held.is_some() && now.saturating_sub(state.heard_at) > patience.silence {
            state.give_up("no computation ended");
        }
    }

    /// Begins the pause if the lease is to be given up. Returns the reason and the length of the
    /// pause.
    fn begin_pause(&self, patience: Patience) -> Option<(&'static str, Duration)> {
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
            self.leadership.asked.cancel();
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
