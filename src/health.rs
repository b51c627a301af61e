//! The health of the process and of its database.

use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use tokio_util::sync::CancellationToken;

/// Whether the database answered the last time, and whether its tables are sound.
#[derive(Clone)]
pub struct DatabaseState {
    available: Arc<AtomicBool>,
    unsound: Arc<Mutex<Option<Arc<str>>>>,
}

impl Default for DatabaseState {
    /// At the start it answered and was sound, or the process would have ended.
    fn default() -> Self {
        Self {
            available: Arc::new(AtomicBool::new(true)),
            unsound: Arc::default(),
        }
    }
}

impl DatabaseState {
    /// Whether it answered.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.available.load(Ordering::Relaxed)
    }

    /// Notes whether it answered, and logs a change.
    pub fn note(&self, available: bool) {
        if self.available.swap(available, Ordering::Relaxed) != available {
            if available {
                tracing::info!("the database answers again");
            } else {
                tracing::warn!("the database does not answer; still serving the last plan");
            }
        }
    }

    /// What is wrong with its tables, keys or rights, in a sentence for operators.
    #[must_use]
    pub fn unsound(&self) -> Option<Arc<str>> {
        let unsound = self.unsound.lock();
        unsound.unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Notes what is wrong with its tables, or that nothing is, and logs a change.
    pub fn note_unsound(&self, why: Option<&str>) {
        let mut unsound = self.unsound.lock().unwrap_or_else(PoisonError::into_inner);
        if unsound.as_deref() == why {
            return;
        }
        match why {
            Some(why) => tracing::error!(why, "the database is not sound: nothing is written"),
            None => tracing::info!("the database is sound again"),
        }
        *unsound = why.map(Arc::from);
    }
}

/// Whether the process is about to stop, so that load balancers send no more requests.
#[derive(Debug, Clone, Default)]
pub struct Stopping(CancellationToken);

impl Stopping {
    /// Whether the stop has begun.
    #[must_use]
    pub fn has_begun(&self) -> bool {
        self.0.is_cancelled()
    }

    /// Waits until the stop has begun.
    pub async fn begun(&self) {
        self.0.cancelled().await;
    }

    /// Notes that the stop has begun.
    pub fn begin(&self) {
        self.0.cancel();
    }
}

/// Whether this replica can read the current plan.
#[derive(Debug, Clone, Default)]
pub struct PlanState(Arc<Mutex<Option<String>>>);

impl PlanState {
    /// Why the current plan cannot be read; none if it can.
    #[must_use]
    pub fn unreadable(&self) -> Option<String> {
        self.0
            .lock()
            .unwrap_or_else(PoisonError::into_inner)
            .clone()
    }

    /// Notes why the current plan cannot be read, or that it can.
    pub fn set(&self, unreadable: Option<String>) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = unreadable;
    }
}
