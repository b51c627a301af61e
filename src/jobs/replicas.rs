//! Says every few seconds that this replica is there, which plan it serves and what it runs on.

use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;
use uuid::Uuid;

use super::JobContext;
use crate::clock::Clock;
use crate::store::ReplicaBeat;
use crate::telemetry::logging::chain;

/// How often it says so.
const PERIOD: Duration = Duration::from_secs(5);

/// The longest name of a machine that is stored, in bytes.
const HOST_MAX: usize = 255;

/// Says that a replica is there.
pub struct ReplicaWriter {
    shared: JobContext,
    replica: Uuid,
    host: String,
    started_at: DateTime<Utc>,
}

impl ReplicaWriter {
    /// A writer for this replica, which starts now.
    #[must_use]
    pub fn new(shared: JobContext, replica: Uuid) -> Self {
        Self {
            started_at: shared.clock.now(),
            host: host(),
            shared,
            replica,
        }
    }

    /// Says it until told to stop, and then that it is there no longer.
    pub async fn run(self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(noted) = stop.run_until_cancelled(self.note()).await else {
                break;
            };
            if let Err(error) = noted {
                tracing::debug!(
                    error = chain(&error),
                    "this replica could not say it is there"
                );
            }
        }
        // Without this, it is listed for an hour as one that is not there.
        if let Err(error) = self.shared.store.remove_replica(self.replica).await {
            tracing::debug!(error = chain(&error), "this replica stays listed");
        }
    }

    async fn note(&self) -> Result<(), crate::store::StoreError> {
        let beat = ReplicaBeat {
            replica: self.replica,
            host: self.host.clone(),
            version: env!("CARGO_PKG_VERSION").to_owned(),
            started_at: self.started_at,
            plan: self.shared.served.load().plan().number,
        };
        self.shared.store.note_replica(&beat).await
    }
}

/// The name of this machine as Linux says it, and the number of this process.
#[must_use]
pub fn host() -> String {
    let name = std::fs::read_to_string("/proc/sys/kernel/hostname").unwrap_or_default();
    let name: String = name.chars().filter(|of| !of.is_control()).collect();
    let end = name.floor_char_boundary(HOST_MAX);
    let name = match &name[..end] {
        "" => "unknown",
        name => name,
    };
    format!("{name}:{}", std::process::id())
}
