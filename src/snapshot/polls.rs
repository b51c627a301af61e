//! Counts the polls of each service, by what asks.

use std::sync::Arc;
use std::sync::atomic::{AtomicU32, Ordering};

use super::Snapshot;
use super::clients::PollClient;
use crate::allocation::{PollCount, ServiceId};

/// The polls of one service since they were last taken, by client. Snapshots share it, so that none is lost between
/// two.
///
/// It has cache lines of its own: polls of one service do not slow down those of another.
#[derive(Debug, Default)]
#[repr(align(64))]
pub struct PollCounter([AtomicU32; PollClient::COUNT]);

impl PollCounter {
    /// Counts a poll: one relaxed addition.
    pub fn count(&self, client: PollClient) {
        self.0[client.place()].fetch_add(1, Ordering::Relaxed);
    }

    /// The polls since the last call, of the clients that polled. Most services of a large fleet are polled by nobody
    /// in a window.
    pub(super) fn take(&self) -> Vec<(PollClient, u32)> {
        let taken = PollClient::all().map(|client| {
            let counter = &self.0[client.place()];
            let polls = match counter.load(Ordering::Relaxed) {
                0 => 0,
                _ => counter.swap(0, Ordering::Relaxed),
            };
            (client, polls)
        });
        taken.filter(|(_, polls)| *polls > 0).collect()
    }
}

/// The polls of a service that the plan knows.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ServicePolls {
    /// The service.
    pub id: ServiceId,
    /// Its name.
    pub service: Arc<str>,
    /// Polls by client, at least one.
    pub polls: Vec<(PollClient, u32)>,
}

impl ServicePolls {
    /// The polls of all clients together.
    #[must_use]
    pub fn count(&self) -> PollCount {
        let polls = self.polls.iter().map(|(_, polls)| *polls);
        PollCount {
            service: self.id,
            polls: polls.fold(0, u32::saturating_add),
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
    pub fn take_polls(&self) -> Vec<ServicePolls> {
        let taken = self.services.iter().map(|(name, service)| ServicePolls {
            id: service.id,
            service: Arc::clone(name),
            polls: service.polls.take(),
        });
        taken.filter(|of| !of.polls.is_empty()).collect()
    }
}
