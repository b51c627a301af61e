//! Writes the final names that this replica heard of: a row for each window and part of the services. Where there are
//! too many, it lets the quiet ones give way: whoever counts also answers polls, and so does not wait for that.
//!
//! Nobody's answer waits for it, and no plan reads it. A failure was logged by the store; then the names of one window
//! are missing.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::JobContext;
use super::polls::end_of;
use crate::allocation::Window;
use crate::clock::Clock;
use crate::store::ReplicaFinalNames;
use crate::worker::blocking;

/// How long writing may take. The next window is due then.
const WRITE: Duration = Duration::from_secs(5);

/// Writes final names at the end of each window.
pub struct FinalNameWriter {
    shared: JobContext,
    replica: Uuid,
}

impl FinalNameWriter {
    /// Writes as this replica.
    #[must_use]
    pub fn new(shared: JobContext, replica: Uuid) -> Self {
        Self { shared, replica }
    }

    /// Writes until told to stop, and then what was heard in the window that has begun.
    pub async fn run(self, stop: CancellationToken) {
        tokio::select! {
            () = self.write_windows(stop) => {}
            () = self.make_room() => {}
        }
    }

    async fn make_room(&self) {
        loop {
            self.shared.dictionary.final_names().crowded().await;
            let dictionary = Arc::clone(&self.shared.dictionary);
            blocking(move || dictionary.final_names().make_room()).await;
        }
    }

    async fn write_windows(&self, stop: CancellationToken) {
        loop {
            let now = self.shared.clock.timestamp();
            let window = Window::aligned(now, self.shared.interval.as_millis() as i64);
            let ended = end_of(&*self.shared.clock, window);
            let ended = stop.run_until_cancelled(ended).await;
            self.write(window).await;
            if ended.is_none() {
                return;
            }
        }
    }

    async fn write(&self, window: Window) {
        let dictionary = Arc::clone(&self.shared.dictionary);
        let services = blocking(move || dictionary.final_names().take()).await;
        let heard = ReplicaFinalNames {
            window,
            replica: self.replica,
            services,
        };
        let writing = self.shared.store.commit_final_names(&heard);
        let _ = tokio::time::timeout(WRITE, writing).await;
    }
}
