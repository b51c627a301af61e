//! Says which edges ask this replica for the plan, and learns how many there are at all replicas.
//!
//! An edge that is new is counted at once. While the database is away, what was known stays.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use chrono::{DateTime, Utc};
use tokio_util::sync::CancellationToken;

use super::JobContext;
use crate::allocation::Timestamp;
use crate::clock::Clock;
use crate::snapshot::{EdgeAsk, Edges, FOLLOWS_MS};
use crate::store::{EdgeBeat, StoreError};
use crate::telemetry::logging::chain;
use crate::worker::blocking;

/// How often the edges of all replicas are read.
const PERIOD: Duration = Duration::from_secs(2);

/// How often it is said of an edge that it is still there.
const SAID_MS: i64 = 10_000;

/// Follows which edges there are.
pub struct EdgeFollower {
    shared: JobContext,
    /// What was said of each edge, and when.
    said: BTreeMap<String, (Timestamp, u64)>,
}

impl EdgeFollower {
    /// A follower that has not asked yet.
    #[must_use]
    pub fn new(shared: JobContext) -> Self {
        Self {
            shared,
            said: BTreeMap::new(),
        }
    }

    /// Follows until told to stop.
    pub async fn run(mut self, stop: CancellationToken) {
        let asks = self.shared.served.edge_asks();
        let mut ticks = tokio::time::interval(PERIOD);
        ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
        loop {
            tokio::select! {
                () = stop.cancelled() => break,
                _ = ticks.tick() => {}
                () = asks.one_is_new() => {}
            }
            let Some(followed) = stop.run_until_cancelled(self.follow()).await else {
                break;
            };
            if let Err(error) = followed {
                tracing::debug!(error = chain(&error), "the edges could not be read");
            }
        }
    }

    /// Says which edges ask here, and reads how many there are.
    ///
    /// # Errors
    /// The store's. What was known stays.
    pub async fn follow(&mut self) -> Result<(), StoreError> {
        let now = self.shared.clock.timestamp();
        let lately = self.shared.served.edge_asks().lately(now);
        let store = &self.shared.store;
        let beats: Vec<EdgeBeat> = lately.iter().filter_map(|ask| self.beat(ask)).collect();
        if !beats.is_empty() {
            store.note_edges(&beats).await?;
            for ask in &lately {
                if beats.iter().any(|beat| beat.edge == ask.edge) {
                    self.said.insert(ask.edge.clone(), (ask.at, ask.plan));
                }
            }
        }
        self.said
            .retain(|_, (at, _)| at.0 >= now.0.saturating_sub(FOLLOWS_MS));
        let stored = store.edges().await?;
        let now = self.shared.clock.now();
        let follows = |seen: DateTime<Utc>| (now - seen).num_milliseconds() <= FOLLOWS_MS;
        let following = stored.iter().filter(|of| follows(of.seen_at)).count();
        let edges = Edges { following };
        let before = self.shared.served.load().edges();
        if before == edges {
            return Ok(());
        }
        let served = Arc::clone(&self.shared.served);
        if blocking(move || served.follow_edges(edges)).await {
            tracing::info!(
                edges = following,
                before = before.following,
                "another number of edges follows the plan"
            );
        }
        Ok(())
    }

    /// What is to be said of an edge; none if it was said lately.
    fn beat(&self, ask: &EdgeAsk) -> Option<EdgeBeat> {
        let is_new = self
            .said
            .get(&ask.edge)
            .is_none_or(|(at, plan)| *plan != ask.plan || ask.at.0.saturating_sub(at.0) >= SAID_MS);
        is_new.then(|| EdgeBeat {
            edge: ask.edge.clone(),
            version: ask.version.clone(),
            plan: ask.plan,
        })
    }
}
