//! Counts the polls of services that the plan does not know.
//!
//! Nobody reports them, or nobody has yet: their SDKs are served the fleet's default. Who looks for services that
//! take no part needs their names.

use std::hash::{BuildHasher, RandomState};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};

use arc_swap::ArcSwap;

use super::clients::PollClient;
use super::polls::PollCounter;
use crate::allocation::ServiceName;

/// Names that are counted in a window. Polls of others are counted together.
const NAMES: usize = 1024;

/// Places at which a name is looked for.
const PROBES: usize = 8;

/// The polls of services that are not known, by name, since they were last taken.
///
/// A poll claims a place by one exchange and then only adds. A name is copied when it is first seen in a window.
pub struct Strangers {
    current: ArcSwap<Table>,
    keys: RandomState,
}

struct Table {
    used: AtomicBool,
    places: Box<[Place]>,
    others: PollCounter,
}

#[derive(Default)]
struct Place {
    /// The digest of the name that has claimed it; 0 if none has.
    claimed: AtomicU64,
    name: OnceLock<Box<str>>,
    polls: PollCounter,
}

/// The polls of one name.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct StrangerPolls {
    /// The name that was asked for; none for all that had no place.
    pub service: Option<Box<str>>,
    /// Polls by client.
    pub polls: Vec<(PollClient, u32)>,
}

impl Default for Strangers {
    fn default() -> Self {
        Self {
            current: ArcSwap::from_pointee(Table::new()),
            keys: RandomState::new(),
        }
    }
}

impl Table {
    fn new() -> Self {
        Self {
            used: AtomicBool::new(false),
            places: (0..NAMES).map(|_| Place::default()).collect(),
            others: PollCounter::default(),
        }
    }

    fn place(&self, service: &str, digest: u64) -> Option<&Place> {
        (0..PROBES).find_map(|step| {
            let place = &self.places[(digest as usize).wrapping_add(step) % NAMES];
            let claimed = match place.claimed.load(Ordering::Acquire) {
                0 => place
                    .claimed
                    .compare_exchange(0, digest, Ordering::AcqRel, Ordering::Acquire),
                known => Err(known),
            };
            match claimed {
                // Nobody else sets the name of a claimed place, so this waits for nobody.
                Ok(_) => drop(place.name.set(service.into())),
                Err(other) if other != digest => return None,
                Err(_) => {}
            }
            Some(place)
        })
    }
}

impl Strangers {
    /// Counts a poll of a service that is not known.
    pub fn count(&self, service: &str, client: PollClient) {
        let table = self.current.load();
        table.used.store(true, Ordering::Relaxed);
        let digest = self.keys.hash_one(service).max(1);
        let place = match ServiceName::check(service) {
            Ok(()) => table.place(service, digest),
            Err(_) => None,
        };
        place
            .map_or(&table.others, |place| &place.polls)
            .count(client);
    }

    /// Takes the polls since the last call. A poll that is counted at this moment may be left out.
    #[must_use]
    pub fn take(&self) -> Vec<StrangerPolls> {
        if !self.current.load().used.load(Ordering::Relaxed) {
            return Vec::new();
        }
        let table = self.current.swap(Table::new().into());
        let named = table.places.iter().filter_map(|place| {
            let service = place.name.get()?.clone();
            Some((Some(service), &place.polls))
        });
        let all = named.chain([(None, &table.others)]);
        let taken = all.map(|(service, polls)| StrangerPolls {
            service,
            polls: polls.take(),
        });
        taken.filter(|of| !of.polls.is_empty()).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn client() -> PollClient {
        PollClient::over_http(Some(b"curl/8"))
    }

    #[test]
    fn each_name_is_counted_and_what_has_no_place_together() {
        let strangers = Strangers::default();
        assert_eq!(strangers.take(), []);
        for name in ["a", "b", "a", ""] {
            strangers.count(name, client());
        }
        let mut taken = strangers.take();
        taken.sort_by_key(|of| of.service.clone());
        let told = |of: &StrangerPolls| (of.service.clone(), of.polls[0].1);
        assert_eq!(
            taken.iter().map(told).collect::<Vec<_>>(),
            [(None, 1), (Some("a".into()), 2), (Some("b".into()), 1)]
        );
        assert_eq!(strangers.take(), [], "they are taken once");
    }

    #[test]
    fn names_without_end_take_no_more_places_and_lose_no_poll() {
        let strangers = Strangers::default();
        std::thread::scope(|scope| {
            for thread in 0..4 {
                let strangers = &strangers;
                scope.spawn(move || {
                    for name in 0..5000 {
                        strangers.count(&format!("name-{}", name + thread % 2), client());
                    }
                });
            }
        });
        let taken = strangers.take();
        assert!(taken.len() <= NAMES + 1, "{}", taken.len());
        let polls = taken.iter().flat_map(|of| &of.polls);
        assert_eq!(polls.map(|(_, polls)| polls).sum::<u32>(), 20_000);
    }
}
