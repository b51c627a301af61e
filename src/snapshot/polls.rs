//! Counts the polls of each service.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Snapshot;
use crate::allocation::PollCount;

/// The polls of one service since they were last taken. Snapshots share it, so that none is lost between two.
///
/// It has a cache line of its own: polls of one service do not slow down those of another.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PollCounter(AtomicU32);

impl PollCounter {
    /// Counts a poll: one relaxed addition.
    pub fn count(&self) {
        self.0.fetch_add(1, Ordering::Relaxed);
    }

    /// The polls since the last call. Most services of a large fleet are polled by nobody in a window.
    fn take(&self) -> u32 {
        match self.0.load(Ordering::Relaxed) {
            0 => 0,
            _ => self.0.swap(0, Ordering::Relaxed),
        }
    }
}

impl Snapshot {
    /// Goes on counting where an earlier snapshot has counted. Services are matched by their names, because the
    /// numbers may be others if the database went back in time.
    pub(super) fn count_on(&mut self, before: &Self) {
        let services = Arc::get_mut(&mut self.services);
        for (name, service) in services.expect("a snapshot is shared once it is served") {
            service.polls = match before.services.get(name) {
                Some(known) => Arc::clone(&known.polls),
                None => Arc::default(),
            };
        }
    }

    /// Takes the polls since the last call, of the services that were polled.
    #[must_use]
    pub fn take_polls(&self) -> Vec<PollCount> {
        let taken = self.services.values().map(|service| PollCount {
            service: service.id,
            polls: service.polls.take(),
        });
        taken.filter(|count| count.polls > 0).collect()
    }
}
