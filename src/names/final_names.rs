//! Final names: those that spans have at their end, such as `GET /users/{id}`, under the name that samplers were
//! asked with, such as `GET`.
//!
//! They are kept for people, beside the counts: no plan reads them. A replica counts what it hears, and a job writes
//! it at the end of each window. So they are an estimate: what a replica has heard since then is lost if it dies.
//! Nothing is counted twice.

use std::cmp::Reverse;
use std::collections::{BTreeMap, HashMap, HashSet};
use std::hash::{DefaultHasher, Hash, Hasher};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::allocation::{OVERFLOW_NAME, OperationName, ServiceName};
use crate::store::{FinalName, ServiceFinalNames};
use crate::telemetry::metrics::Metrics;

/// Final names of one service that are written, and shown. The others are summed in `__other__`.
const OF_SERVICE: usize = 200;

/// Final names of one service that are counted meanwhile. With more, the busiest of them stay.
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
pub struct FinalNames {
    counted: Mutex<Counted>,
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
    /// Digests of the names that were taken last. Ids in names do not come again, so these stay before others.
    before: HashSet<u64>,
}

/// Requests by name at start and final name.
type Service = HashMap<Box<str>, HashMap<Box<str>, u64>>;

impl FinalNames {
    pub(super) fn new(metrics: Arc<Metrics>) -> Self {
        Self {
            counted: Mutex::default(),
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
        let mut counted = self.counted();
        let folded = names.iter().map(|name| counted.add(service, name));
        let folded = folded.fold(0, u64::saturating_add);
        self.metrics.final_names_folded.inc_by(folded);
        self.metrics.final_names.set(counted.names as f64);
    }

    /// Takes what was counted since the last call: of each service its busiest names.
    #[must_use]
    pub fn take(&self) -> Vec<ServiceFinalNames> {
        let mut counted = std::mem::take(&mut *self.counted());
        let folded = counted.shrink();
        self.metrics.final_names_folded.inc_by(folded);
        let mut before = HashSet::with_capacity(counted.names);
        let services = counted.services.into_iter().map(|(service, starts)| {
            let names = starts.into_iter().flat_map(|(at_start, ends)| {
                let named = move |(at_end, requests): (Box<str>, u64)| FinalName {
                    at_start: at_start.clone().into(),
                    at_end: at_end.into(),
                    requests,
                };
                ends.into_iter().map(named)
            });
            let names: Vec<FinalName> = names.collect();
            let digests = names
                .iter()
                .map(|of| digest(&service, &of.at_start, &of.at_end));
            before.extend(digests);
            let service = service.into();
            ServiceFinalNames { service, names }
        });
        let services = services.collect();
        let mut now = self.counted();
        now.before = before;
        self.metrics.final_names.set(now.names as f64);
        services
    }
}

impl Counted {
    /// Adds requests. Returns how many were folded into `__other__`, or left out.
    fn add(&mut self, service: &str, of: &FinalCount<'_>) -> u64 {
        let is_valid = |name| OperationName::check(name).is_ok();
        if !is_valid(of.at_start) {
            return of.requests;
        }
        let mut folded = 0;
        if is_valid(of.at_end) {
            if self.add_named(service, of.at_start, of.at_end, of.requests) {
                return 0;
            }
            folded = self.make_room(service);
            if self.add_named(service, of.at_start, of.at_end, of.requests) {
                return folded;
            }
        }
        self.add_named(service, of.at_start, OVERFLOW_NAME, of.requests);
        folded.saturating_add(of.requests)
    }

    /// Adds requests if the name is known or there is room for it.
    fn add_named(&mut self, service: &str, at_start: &str, at_end: &str, requests: u64) -> bool {
        let starts = self.services.get_mut(service);
        let known = starts.and_then(|starts| starts.get_mut(at_start)?.get_mut(at_end));
        if let Some(known) = known {
            *known = known.saturating_add(requests);
            return true;
        }
        let names = self.services.get(service).map_or(0, names_of);
        let bytes = service.len() + at_start.len() + at_end.len();
        if names >= COUNTED_OF_SERVICE || self.names >= ALL || self.bytes + bytes > BYTES {
            return false;
        }
        self.names += 1;
        self.bytes += bytes;
        let starts = self.services.entry(service.into()).or_default();
        let ends = starts.entry(at_start.into()).or_default();
        ends.insert(at_end.into(), requests);
        true
    }

    /// Makes room for names of a service: its quiet names give way, then those of all services. Returns the requests
    /// that were folded.
    fn make_room(&mut self, service: &str) -> u64 {
        let of_service = self.services.get(service).map_or(0, names_of);
        if of_service >= COUNTED_OF_SERVICE {
            return self.shrink_service(service);
        }
        if std::mem::replace(&mut self.full, true) {
            return 0;
        }
        self.shrink()
    }

    /// Leaves the busiest names of every service.
    fn shrink(&mut self) -> u64 {
        let services: Vec<Box<str>> = self.services.keys().cloned().collect();
        let folded = services.iter().map(|service| self.shrink_service(service));
        folded.fold(0, u64::saturating_add)
    }

    /// Leaves the busiest names of a service, those first that were there before. Returns the requests of the others,
    /// which are folded.
    fn shrink_service(&mut self, service: &str) -> u64 {
        let Some(starts) = self.services.get_mut(service) else {
            return 0;
        };
        if names_of(starts) <= OF_SERVICE {
            return 0;
        }
        let before = &self.before;
        let mut names: Vec<_> = std::mem::take(starts)
            .into_iter()
            .flat_map(|(start, ends)| {
                let of = move |(end, requests)| (start.clone(), end, requests);
                ends.into_iter().map(of)
            })
            .collect();
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
        self.names -= names.len();
        let mut folded = 0_u64;
        for (place, (start, end, requests)) in names.into_iter().enumerate() {
            let ends = starts.entry(start.clone()).or_default();
            self.bytes -= service.len() + start.len() + end.len();
            let stays = place < OF_SERVICE;
            let end = if stays { end } else { OVERFLOW_NAME.into() };
            if !stays {
                folded = folded.saturating_add(requests);
            }
            let bytes = service.len() + start.len() + end.len();
            let sum = ends.entry(end).or_insert_with(|| {
                self.names += 1;
                self.bytes += bytes;
                0
            });
            *sum = sum.saturating_add(requests);
        }
        folded
    }
}

fn names_of(service: &Service) -> usize {
    service.values().map(HashMap::len).sum()
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
