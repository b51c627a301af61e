//! Final names: those that spans have at their end, such as `GET /users/{id}`, under the name that samplers were
//! asked with, such as `GET`.
//!
//! They are kept for people, beside the counts: no plan reads them. A replica counts what it hears, and a job writes
//! it at the end of each window. So they are an estimate: what a replica has heard since then is lost if it dies.
//! Nothing is counted twice.

use std::borrow::Cow;
use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::Notify;

use crate::allocation::{OVERFLOW_NAME, OperationName, ServiceName};
use crate::store::{FinalName, ServiceFinalNames};
use crate::telemetry::metrics::Metrics;

/// Final names of one service that are written, and shown. The others are summed in `__other__`.
const OF_SERVICE: usize = 200;

/// Final names of one service that are counted meanwhile. With more, the busiest of them stay, and until the quiet
/// ones have given way, new ones are summed in `__other__`.
const COUNTED_OF_SERVICE: usize = 4 * OF_SERVICE;

/// Final names of all services in a window.
const ALL: usize = 50_000;

/// The bytes of their texts.
const BYTES: usize = 4 << 20;

/// Requests under one final name, as they are heard.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct FinalCount<'a> {
    /// The span's name when the sampler was asked.
    pub at_start: &'a str,
    /// Its name at the end; the name at start if nothing gave it another one.
    pub at_end: &'a str,
    /// Requests.
    pub requests: u64,
}

/// Counts final names until they are written.
///
/// Threads that answer polls count. So counting takes a look-up and no more: quiet names give way elsewhere
/// ([`FinalNames::make_room`]), and the lock is not held while names are compared.
pub struct FinalNames {
    counted: Mutex<Counted>,
    /// Whether there may be something for [`FinalNames::make_room`] to do.
    crowded: Notify,
    metrics: Arc<Metrics>,
}

/// What was heard since it was last taken.
#[derive(Default)]
struct Counted {
    services: HashMap<Box<str>, Service>,
    names: usize,
    bytes: usize,
    /// Whether nothing new fits any more, even though quiet names gave way.
    full: bool,
    /// Services in which quiet names are to give way.
    crowded: HashSet<Box<str>>,
    /// Digests of the names that were taken last. Ids in names do not come again, so these stay before others.
    before: Arc<HashSet<u64>>,
}

/// The final names of one service.
#[derive(Default)]
struct Service {
    /// Requests by name at start and final name.
    starts: HashMap<Box<str>, HashMap<Box<str>, u64>>,
    names: usize,
    /// Those of its texts.
    bytes: usize,
}

impl FinalNames {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            counted: Mutex::default(),
            crowded: Notify::new(),
            metrics,
        }
    }

    fn counted(&self) -> MutexGuard<'_, Counted> {
        self.counted.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// Counts final names of a service.
    pub fn count(&self, service: &str, names: &[FinalCount<'_>]) {
        if names.is_empty() || ServiceName::check(service).is_err() {
            return;
        }
        let mut names = Cow::Borrowed(names);
        if names.len() > OF_SERVICE {
            // Those that come when there is no room are folded.
            names.to_mut().sort_by_key(|of| Reverse(of.requests));
        }
        let mut counted = self.counted();
        let unknown = counted.add_known(service, &names);
        let folded = unknown.into_iter().map(|name| counted.add(service, name));
        let folded = folded.fold(0, u64::saturating_add);
        self.metrics.final_names_folded.inc_by(folded);
        self.metrics.final_names.set(counted.names as f64);
        if !counted.crowded.is_empty() {
            self.crowded.notify_one();
        }
    }

    /// Waits until there may be too many names.
    pub async fn crowded(&self) {
        self.crowded.notified().await;
    }

    /// Lets quiet names give way where there are too many. Takes a while, in which others count.
    pub fn make_room(&self) {
        let crowded = std::mem::take(&mut self.counted().crowded);
        for service in crowded {
            let (taken, before) = self.counted().take_out(&service);
            let Some(taken) = taken else { continue };
            let (kept, folded) = taken.shrunk(&service, &before);
            self.metrics.final_names_folded.inc_by(folded);
            let mut counted = self.counted();
            counted.put_back(service, kept);
            self.metrics.final_names.set(counted.names as f64);
        }
    }

    /// Takes what was counted since the last call: of each service its busiest names.
    #[must_use]
    pub fn take(&self) -> Vec<ServiceFinalNames> {
        let counted = std::mem::take(&mut *self.counted());
        let mut before = HashSet::with_capacity(counted.names);
        let services = counted.services.into_iter().map(|(service, names)| {
            let (kept, folded) = names.shrunk(&service, &counted.before);
            self.metrics.final_names_folded.inc_by(folded);
            let names: Vec<FinalName> = kept.into_names().collect();
            let digests = names
                .iter()
                .map(|of| digest(&service, &of.at_start, &of.at_end));
            before.extend(digests);
            let service = service.into();
            ServiceFinalNames { service, names }
        });
        let services = services.collect();
        let mut now = self.counted();
        now.before = Arc::new(before);
        self.metrics.final_names.set(now.names as f64);
        services
    }
}

impl Counted {
    /// Adds requests under names that are known, and returns the others. Those of a name at start mostly come one
    /// after the other.
    fn add_known<'n, 'c>(
        &mut self,
        service: &str,
        names: &'n [FinalCount<'c>],
    ) -> Vec<&'n FinalCount<'c>> {
        let Some(of_service) = self.services.get_mut(service) else {
            return names.iter().collect();
        };
        let (mut unknown, mut under) = (Vec::new(), None);
        for name in names {
            if under
                .as_ref()
                .is_none_or(|(start, _)| *start != name.at_start)
            {
                let ends = of_service.starts.get_mut(name.at_start);
                under = ends.map(|ends| (name.at_start, ends));
            }
            let sum = under
                .as_mut()
                .and_then(|(_, ends)| ends.get_mut(name.at_end));
            match sum {
                Some(sum) => *sum = sum.saturating_add(name.requests),
                None => unknown.push(name),
            }
        }
        unknown
    }

    /// Adds requests. Returns how many were folded into `__other__`, or left out.
    fn add(&mut self, service: &str, of: &FinalCount<'_>) -> u64 {
        let is_valid = |name| OperationName::check(name).is_ok();
        if !is_valid(of.at_start) {
            return of.requests;
        }
        if is_valid(of.at_end) {
            if self.add_named(service, of.at_start, of.at_end, of.requests) {
                return 0;
            }
            self.note_crowd(service);
        }
        self.add_named(service, of.at_start, OVERFLOW_NAME, of.requests);
        of.requests
    }

    /// Adds requests if the name is known or there is room for it.
    fn add_named(&mut self, service: &str, at_start: &str, at_end: &str, requests: u64) -> bool {
        let of_service = self.services.get_mut(service);
        let names = of_service.as_ref().map_or(0, |of| of.names);
        let known = of_service.and_then(|of| of.starts.get_mut(at_start)?.get_mut(at_end));
        if let Some(known) = known {
            *known = known.saturating_add(requests);
            return true;
        }
        let bytes = service.len() + at_start.len() + at_end.len();
        let most = match at_end {
            OVERFLOW_NAME => COUNTED_OF_SERVICE + OF_SERVICE,
            _ => COUNTED_OF_SERVICE,
        };
        if names >= most || self.names >= ALL || self.bytes + bytes > BYTES {
            return false;
        }
        self.names += 1;
        self.bytes += bytes;
        let of_service = self.services.entry(service.into()).or_default();
        of_service.add(service, (at_start.into(), at_end.into()), requests);
        true
    }

    /// Notes where names are to give way: in a service with too many of its own, else in all.
    fn note_crowd(&mut self, service: &str) {
        let names = self.services.get(service).map_or(0, |of| of.names);
        if names >= COUNTED_OF_SERVICE {
            if !self.crowded.contains(service) {
                self.crowded.insert(service.into());
            }
        } else if !std::mem::replace(&mut self.full, true) {
            let large = self.services.iter().filter(|(_, of)| of.is_large());
            self.crowded.extend(large.map(|(name, _)| name.clone()));
        }
    }

    /// Takes the names of a service out, if there are too many. Requests are counted beside them meanwhile.
    fn take_out(&mut self, service: &str) -> (Option<Service>, Arc<HashSet<u64>>) {
        let held = self.services.get_mut(service);
        let taken = held.filter(|of| of.is_large()).map(std::mem::take);
        if let Some(of) = &taken {
            self.names -= of.names;
            self.bytes -= of.bytes;
        }
        (taken, Arc::clone(&self.before))
    }

    /// Puts the names of a service back, and adds what was counted meanwhile.
    fn put_back(&mut self, service: Box<str>, mut kept: Service) {
        let meanwhile = self.services.remove(&service).unwrap_or_default();
        self.names -= meanwhile.names;
        self.bytes -= meanwhile.bytes;
        for (at_start, at_end, requests) in meanwhile.into_counts() {
            kept.add(&service, (at_start, at_end), requests);
        }
        self.names += kept.names;
        self.bytes += kept.bytes;
        self.services.insert(service, kept);
    }
}

impl Service {
    fn is_large(&self) -> bool {
        self.names > OF_SERVICE
    }

    fn add(&mut self, service: &str, (at_start, at_end): (Box<str>, Box<str>), requests: u64) {
        let bytes = service.len() + at_start.len() + at_end.len();
        let sum = self.starts.entry(at_start).or_default().entry(at_end);
        let sum = sum.or_insert_with(|| {
            self.names += 1;
            self.bytes += bytes;
            0
        });
        *sum = sum.saturating_add(requests);
    }

    /// All counts: the name at start, the final name, the requests.
    fn into_counts(self) -> impl Iterator<Item = (Box<str>, Box<str>, u64)> {
        self.starts.into_iter().flat_map(|(at_start, ends)| {
            let of = move |(at_end, requests)| (at_start.clone(), at_end, requests);
            ends.into_iter().map(of)
        })
    }

    fn into_names(self) -> impl Iterator<Item = FinalName> {
        self.into_counts()
            .map(|(at_start, at_end, requests)| FinalName {
                at_start: at_start.into(),
                at_end: at_end.into(),
                requests,
            })
    }

    /// The busiest names, those first that were there before. Also returns the requests of the others, which are
    /// folded.
    fn shrunk(self, service: &str, before: &HashSet<u64>) -> (Self, u64) {
        if !self.is_large() {
            return (self, 0);
        }
        let mut names: Vec<_> = self.into_counts().collect();
        names.sort_by_cached_key(|(start, end, requests)| {
            let was_there = before.contains(&digest(service, start, end));
            // What is folded already needs its place.
            let first = **end == *OVERFLOW_NAME;
            (
                Reverse((first, was_there, *requests)),
                start.clone(),
                end.clone(),
            )
        });
        let (mut kept, mut folded) = (Self::default(), 0_u64);
        for (place, (start, end, requests)) in names.into_iter().enumerate() {
            let stays = place < OF_SERVICE;
            if !stays {
                folded = folded.saturating_add(requests);
            }
            let end = if stays { end } else { OVERFLOW_NAME.into() };
            kept.add(service, (start, end), requests);
        }
        (kept, folded)
    }
}

fn digest(service: &str, at_start: &str, at_end: &str) -> u64 {
    let mut hasher = DefaultHasher::new();
    (service, at_start, at_end).hash(&mut hasher);
    hasher.finish()
}

/// The final names of one service, summed over windows and replicas.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Heard {
    by_start: BTreeMap<String, BTreeMap<String, u64>>,
}

impl Heard {
    /// Adds what one replica heard in a window.
    pub fn add(&mut self, names: Vec<FinalName>) {
        for name in names {
            let ends = self.by_start.entry(name.at_start).or_default();
            let sum = ends.entry(name.at_end).or_default();
            *sum = sum.saturating_add(name.requests);
        }
    }

    /// Whether nothing was heard.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.by_start.is_empty()
    }

    /// Requests under the final names of a name at start, the busiest first, those without a name of their own last;
    /// none if no final name differs from the name at start.
    #[must_use]
    pub fn under(&self, at_start: &str) -> Option<Vec<(&str, u64)>> {
        let ends = self.by_start.get(at_start)?;
        if !has_others(at_start, ends) {
            return None;
        }
        let mut names: Vec<(&str, u64)> = ends
            .iter()
            .map(|(end, requests)| (end.as_str(), *requests))
            .collect();
        names.sort_by_key(|(end, requests)| (*end == OVERFLOW_NAME, Reverse(*requests)));
        if names.len() > OF_SERVICE + 1 {
            let rest = names.split_off(OF_SERVICE);
            let rest = rest.iter().map(|(_, requests)| *requests);
            names.push((OVERFLOW_NAME, rest.fold(0, u64::saturating_add)));
        }
        Some(names)
    }

    /// The name that samplers are asked with in place of this one: it is a final name, or has the form of one.
    #[must_use]
    pub fn asked_instead_of(&self, name: &str) -> Option<&str> {
        let mut starts = self.by_start.iter();
        let asked = starts.find(|(start, ends)| {
            let rest = name.strip_prefix(start.as_str());
            let has_its_form = rest.is_some_and(|rest| rest.starts_with(" /"));
            *start != name && has_others(start, ends) && (ends.contains_key(name) || has_its_form)
        });
        asked.map(|(start, _)| start.as_str())
    }
}

/// Whether a name at start has final names that differ from it.
fn has_others(at_start: &str, ends: &BTreeMap<String, u64>) -> bool {
    ends.keys().any(|end| end != at_start)
}

#[cfg(test)]
mod tests;
