//! How long an answer waits for what the database tells beside what it is asked for.

use std::sync::{Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use tokio::time::Instant;

/// The longest that an answer waits.
const PATIENT: Duration = Duration::from_secs(2);

/// The longest after one has waited in vain.
const IMPATIENT: Duration = Duration::from_millis(100);

/// For how long that one is remembered.
const REMEMBERED: Duration = Duration::from_secs(10);

/// Waits for the database, and less long while it is silent: its answers would be missing all the same.
#[derive(Debug, Default)]
pub struct Patience(Mutex<Option<Instant>>);

impl Patience {
    /// What was asked for; none if it does not come in time.
    pub(super) async fn wait<T>(&self, asked: impl Future<Output = T>) -> Option<T> {
        let answered = tokio::time::timeout(self.limit(Instant::now()), asked).await;
        self.note(answered.is_ok(), Instant::now());
        answered.ok()
    }

    fn limit(&self, now: Instant) -> Duration {
        match *self.lost() {
            Some(at) if now.duration_since(at) < REMEMBERED => IMPATIENT,
            _ => PATIENT,
        }
    }

    fn note(&self, answered: bool, now: Instant) {
        *self.lost() = (!answered).then_some(now);
    }

    /// When somebody waited in vain, unless there was an answer since.
    fn lost(&self) -> MutexGuard<'_, Option<Instant>> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn after_one_has_waited_in_vain_the_next_ones_wait_less_until_there_is_an_answer() {
        let (patience, now) = (Patience::default(), Instant::now());
        assert_eq!(patience.limit(now), PATIENT);
        patience.note(false, now);
        assert_eq!(patience.limit(now + REMEMBERED / 2), IMPATIENT);
        assert_eq!(patience.limit(now + REMEMBERED), PATIENT);
        patience.note(true, now);
        assert_eq!(patience.limit(now), PATIENT);
    }
}
