//! What is known about the database's health.

use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};

/// Whether the database answered when it was last asked.
#[derive(Clone)]
pub struct DatabaseState(Arc<AtomicBool>);

impl Default for DatabaseState {
    /// It answered at start, or there would be no process to ask.
    fn default() -> Self {
        Self(Arc::new(AtomicBool::new(true)))
    }
}

impl DatabaseState {
    /// Whether it answered.
    #[must_use]
    pub fn is_available(&self) -> bool {
        self.0.load(Ordering::Relaxed)
    }

    /// Notes an answer, or its absence, and says so in the log when that is news.
    pub fn note(&self, available: bool) {
        if self.0.swap(available, Ordering::Relaxed) != available {
            if available {
                tracing::info!("the database answers again");
            } else {
                tracing::warn!("the database does not answer; the last plan goes on being served");
            }
        }
    }
}
