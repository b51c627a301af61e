//! Follows the tokens: every replica knows a new one, and refuses a revoked one, within 2 s.

use std::sync::Arc;
use std::time::Duration;

use tokio_util::sync::CancellationToken;

use crate::access::Tokens;
use crate::store::{Store, StoreError, TokensMark};
use crate::telemetry::logging::chain;

/// How often the follower asks whether tokens changed.
const PERIOD: Duration = Duration::from_millis(500);

/// After this number of questions, half a minute, they are read whatever the answer: when the database has gone
/// back in time, the mark may be the same by chance.
const READ_ANYWAY: u32 = 60;

/// Asks whether tokens changed, and reads them if so. What is known stays while the database is away.
pub struct TokenFollower {
    store: Arc<dyn Store>,
    tokens: Arc<Tokens>,
    known: Option<TokensMark>,
    asked: u32,
}

impl TokenFollower {
    /// A follower that has not asked yet.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, tokens: Arc<Tokens>) -> Self {
        Self {
            store,
            tokens,
            known: None,
            asked: 0,
        }
    }

    /// Follows until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        while stop.run_until_cancelled(ticks.tick()).await.is_some() {
            let Some(followed) = stop.run_until_cancelled(self.follow()).await else {
                break;
            };
            if let Err(error) = followed {
                tracing::debug!(error = chain(&error), "the tokens could not be read");
            }
        }
    }

    /// Asks once.
    async fn follow(&mut self) -> Result<(), StoreError> {
        self.asked += 1;
        // The mark is read first: a change in between is seen the next time.
        let mark = self.store.tokens_mark().await?;
        if self.known == Some(mark) && self.asked < READ_ANYWAY {
            self.tokens.asked();
            return Ok(());
        }
        self.tokens.install(self.store.tokens().await?);
        self.tokens.asked();
        (self.known, self.asked) = (Some(mark), 0);
        Ok(())
    }
}
