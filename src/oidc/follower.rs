//! Reads the provider's keys in the background, again and again.

use std::sync::Arc;
use std::time::Duration;

use arc_swap::ArcSwapOption;
use tokio::time::{Instant, sleep_until};
use tokio_util::sync::CancellationToken;

use super::client::{Client, FetchError};
use super::metadata::{Metadata, MetadataError};
use crate::access::{Issuer, Keys, KeysError};
use crate::clock::Clock;
use crate::telemetry::logging::chain;
use crate::telemetry::metrics::Metrics;

/// How often the keys are read.
const PERIOD: Duration = Duration::from_secs(300);

/// How long to wait after a failure: twice as long after each, between these.
const RETRY: [Duration; 2] = [Duration::from_secs(2), Duration::from_secs(60)];

/// The shortest time between two readings. A JWT with a made-up key causes no more than this.
const SPACING: Duration = Duration::from_secs(5);

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
enum ReadError {
    #[error(transparent)]
    Metadata(#[from] MetadataError),
    #[error(transparent)]
    Fetch(#[from] FetchError),
    #[error(transparent)]
    Keys(#[from] KeysError),
}

/// Reads what the provider says of itself, and its keys: every five minutes, and soon after a JWT has named a key
/// that is not known. What is known stays while the provider is away.
#[derive(Clone)]
pub struct Follower {
    /// Whose keys they are.
    pub issuer: Arc<Issuer>,
    /// What the provider says of itself.
    pub metadata: Arc<ArcSwapOption<Metadata>>,
    /// What asks it.
    pub client: Client,
    /// The time.
    pub clock: Arc<dyn Clock>,
    /// Where it is told how this goes.
    pub metrics: Arc<Metrics>,
}

impl Follower {
    /// Follows until told to stop.
    pub async fn run(self, stop: CancellationToken) {
        let mut failures = 0_u32;
        while let Some(read) = stop.run_until_cancelled(self.read()).await {
            failures = self.tell(read, failures);
            let now = Instant::now();
            let due = now + pause(failures);
            let woken = async {
                self.issuer.missed().await;
                sleep_until(now + SPACING).await;
            };
            let waited = stop.run_until_cancelled(async {
                tokio::select! {
                    () = sleep_until(due) => {}
                    () = woken => {}
                }
            });
            if waited.await.is_none() {
                break;
            }
        }
    }

    /// Counts and logs how a reading went, once for each time that the provider goes away or comes back; the
    /// failures in a row.
    fn tell(&self, read: Result<(), ReadError>, failures: u32) -> u32 {
        let failed = f64::from(u8::from(read.is_err()));
        self.metrics.oidc_keys_failing.set(failed);
        match read {
            Ok(()) => {
                let now = self.clock.now().timestamp() as f64;
                self.metrics.oidc_keys_read_at.set(now);
                if failures > 0 {
                    tracing::info!(
                        issuer = self.issuer.url(),
                        "the provider's keys can be read again"
                    );
                }
                0
            }
            Err(error) => {
                let error = chain(&error);
                match failures {
                    0 => tracing::warn!(
                        issuer = self.issuer.url(),
                        error,
                        "the provider's keys could not be read: those that are known are used for a day, and nobody \
                         can sign in"
                    ),
                    _ => tracing::debug!(error, "the provider's keys could not be read"),
                }
                failures.saturating_add(1)
            }
        }
    }

    async fn read(&self) -> Result<(), ReadError> {
        let metadata = Metadata::read(&self.client, self.issuer.url()).await?;
        let keys = self.client.bytes(&metadata.jwks_uri).await?;
        self.issuer
            .install(Keys::read(&keys, self.clock.counted())?);
        self.metadata.store(Some(metadata.into()));
        Ok(())
    }
}

/// How long to wait for the next reading after this many failures in a row.
fn pause(failures: u32) -> Duration {
    let [shortest, longest] = RETRY;
    match failures.checked_sub(1) {
        None => PERIOD,
        Some(repeated) => (shortest * (1 << repeated.min(10))).min(longest),
    }
}
