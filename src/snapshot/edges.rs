//! Which edges follow the plan: who asked this replica for it, and how many there are at all replicas.

use std::collections::{BTreeMap, VecDeque};
use std::sync::{Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;
use tokio_util::sync::CancellationToken;

use crate::allocation::Timestamp;

/// An edge that has not asked for this long is taken to be gone. It may be asking again after a failure, which it does
/// after 36 s at the latest.
pub const FOLLOWS_MS: i64 = 60_000;

/// The most edges that are known by name. Each takes some hundred bytes.
const NAMES: usize = 1024;

/// The most edges that may wait for a change at once, each on a connection of its own.
const WAITING: usize = 1000;

/// How many plans an edge may be behind for its plan to be known by the tag.
const TAGS: usize = 64;

/// How many edges follow the plan, at all replicas.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default)]
pub struct Edges {
    /// How many asked for it lately.
    pub following: usize,
}

/// An edge that asked this replica.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct EdgeAsk {
    /// Its name.
    pub edge: String,
    /// What it calls itself, with its release; empty if it does not say.
    pub version: String,
    /// The number of the plan that it has; 0 for none, or an old one.
    pub plan: u64,
    /// When it last asked, or waited.
    pub at: Timestamp,
}

#[derive(Debug, Default)]
struct Asks {
    edges: BTreeMap<String, EdgeAsk>,
    waiting: BTreeMap<String, usize>,
    plans: VecDeque<(String, u64)>,
}

/// The edges that ask this replica.
#[derive(Debug, Default)]
pub struct EdgeAsks {
    asks: Mutex<Asks>,
    /// Told when an edge asks that was not known.
    new: Notify,
    stopping: CancellationToken,
}

/// There is no room for another edge.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct NoRoom;

/// The place of an edge that waits. Given back when dropped.
#[derive(Debug)]
pub struct Waiting<'a> {
    asks: &'a EdgeAsks,
    edge: String,
}

impl Drop for Waiting<'_> {
    fn drop(&mut self) {
        let mut asks = self.asks.asks();
        if let Some(places) = asks.waiting.get_mut(&self.edge) {
            *places -= 1;
            if *places == 0 {
                asks.waiting.remove(&self.edge);
            }
        }
    }
}

impl EdgeAsks {
    fn asks(&self) -> MutexGuard<'_, Asks> {
        self.asks.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Notes that an edge asked. `tag` is that of the plan it has.
    ///
    /// # Errors
    /// There are too many edges.
    pub fn note(
        &self,
        edge: &str,
        version: &str,
        tag: Option<&str>,
        now: Timestamp,
    ) -> Result<(), NoRoom> {
        let mut asks = self.asks();
        let plan = asks.plan(tag);
        let is_new = !asks.edges.contains_key(edge);
        if is_new && asks.edges.len() >= NAMES {
            let oldest = now.0.saturating_sub(FOLLOWS_MS);
            asks.edges.retain(|_, of| of.at.0 >= oldest);
            if asks.edges.len() >= NAMES {
                return Err(NoRoom);
            }
        }
        let ask = EdgeAsk {
            edge: edge.to_owned(),
            version: version.to_owned(),
            plan,
            at: now,
        };
        asks.edges.insert(edge.to_owned(), ask);
        drop(asks);
        if is_new {
            self.new.notify_one();
        }
        Ok(())
    }

    /// Lets an edge wait.
    ///
    /// # Errors
    /// Too many wait.
    pub fn wait(&self, edge: &str) -> Result<Waiting<'_>, NoRoom> {
        let mut asks = self.asks();
        if asks.waiting.values().sum::<usize>() >= WAITING {
            return Err(NoRoom);
        }
        *asks.waiting.entry(edge.to_owned()).or_default() += 1;
        Ok(Waiting {
            asks: self,
            edge: edge.to_owned(),
        })
    }

    /// Remembers which plan a tag is of.
    pub fn tagged(&self, tag: &str, plan: u64) {
        let mut asks = self.asks();
        if asks.plan(Some(tag)) == 0 {
            asks.plans.truncate(TAGS - 1);
            asks.plans.push_front((tag.to_owned(), plan));
        }
    }

    /// The edges that asked lately, or wait now.
    #[must_use]
    pub fn lately(&self, now: Timestamp) -> Vec<EdgeAsk> {
        let mut asks = self.asks();
        let Asks { edges, waiting, .. } = &mut *asks;
        for edge in waiting.keys() {
            if let Some(ask) = edges.get_mut(edge) {
                ask.at = now;
            }
        }
        edges.retain(|_, of| of.at.0 >= now.0.saturating_sub(FOLLOWS_MS));
        edges.values().cloned().collect()
    }

    /// Returns when an edge asks that was not known.
    pub async fn one_is_new(&self) {
        self.new.notified().await;
    }

    /// Answers those that wait: this replica stops.
    pub fn stop(&self) {
        self.stopping.cancel();
    }

    /// Whether this replica stops; a future ends when it does.
    #[must_use]
    pub fn stopping(&self) -> &CancellationToken {
        &self.stopping
    }
}

impl Asks {
    fn plan(&self, tag: Option<&str>) -> u64 {
        let known = tag.and_then(|tag| self.plans.iter().find(|(known, _)| known == tag));
        known.map_or(0, |(_, plan)| *plan)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn edges_are_known_while_they_ask_or_wait() {
        let asks = EdgeAsks::default();
        asks.tagged("\"a\"", 7);
        let at = |seconds: i64| Timestamp(seconds * 1000);
        asks.note("one", "weir/1", Some("\"a\""), at(0)).unwrap();
        asks.note("two", "", Some("\"b\""), at(0)).unwrap();
        let known = asks.lately(at(30));
        let told: Vec<_> = known.iter().map(|of| (&*of.edge, of.plan)).collect();
        assert_eq!(told, [("one", 7), ("two", 0)]);
        let waiting = asks.wait("two").unwrap();
        assert_eq!(asks.lately(at(61)).len(), 1, "one waits");
        drop(waiting);
        assert_eq!(asks.lately(at(61 + 61)), []);
    }

    #[test]
    fn names_and_places_are_bounded() {
        let asks = EdgeAsks::default();
        for number in 0..NAMES {
            asks.note(&number.to_string(), "", None, Timestamp(0))
                .unwrap();
        }
        assert_eq!(asks.note("x", "", None, Timestamp(1)), Err(NoRoom));
        asks.note("0", "", None, Timestamp(FOLLOWS_MS + 1)).unwrap();
        asks.note("x", "", None, Timestamp(FOLLOWS_MS + 1)).unwrap();
        let waiting: Vec<_> = (0..WAITING).map(|_| asks.wait("x").unwrap()).collect();
        assert!(asks.wait("y").is_err());
        drop(waiting);
        assert!(asks.wait("y").is_ok());
    }
}
