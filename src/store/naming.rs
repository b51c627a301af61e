//! Decides which names are added to the dictionary, and under which numbers.
//!
//! Pure, and shared by both backends. They hold the dictionary's lock meanwhile.

use std::collections::{HashMap, HashSet};

use crate::allocation::{OVERFLOW_NAME, OperationName, ServiceName};

use super::{DictionaryLimits, Placement};

/// The dictionary's counters, locked by the caller.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Counters {
    /// The number of the next new service.
    pub next_service: u32,
    /// The number of the next new operation.
    pub next_operation: u32,
    /// Stored services, not counting the overflow service.
    pub services: u32,
    /// Stored operations, not counting overflow entries.
    pub operations: u32,
}

/// A service that exists already.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct KnownService {
    /// Its number.
    pub service: u32,
    /// Its operations, its overflow entry not counted.
    pub operations: u32,
}

/// Those of the names asked for that exist already.
#[derive(Debug, Default)]
pub struct Known {
    /// Services by name.
    pub services: HashMap<String, KnownService>,
    /// Operations by their service's number and their name.
    pub operations: HashSet<(u32, String)>,
}

/// The rows to write.
#[derive(Debug)]
pub struct Additions<'a> {
    /// New services: number and name.
    pub services: Vec<(u32, &'a str)>,
    /// New operations, including overflow entries: number, service, name, in ascending order of
    /// numbers.
    pub operations: Vec<(u32, u32, &'a str)>,
    /// The number of operations of each service afterwards, not counting its overflow entry.
    pub service_operations: Vec<(u32, u32)>,
    /// The counters afterwards.
    pub counters: Counters,
    /// The result for each name, in the order of the names.
    pub placements: Vec<Placement>,
}

impl Additions<'_> {
    /// Whether there is nothing to write.
    pub fn is_empty(&self) -> bool {
        self.services.is_empty() && self.operations.is_empty()
    }
}

/// Decides about names in the order given, services before operations.
///
/// Nothing is added to the overflow service. Its only entry counts the requests of services that do
/// not fit. The overflow entry of a service is added and removed with the service.
pub(super) fn additions<'a>(
    names: &'a [(ServiceName, OperationName)],
    limits: DictionaryLimits,
    counters: Counters,
    known: &Known,
) -> Additions<'a> {
    let mut added = Additions {
        services: Vec::new(),
        operations: Vec::new(),
        service_operations: Vec::new(),
        counters,
        placements: Vec::with_capacity(names.len()),
    };
    let mut services: HashMap<&str, KnownService> = known
        .services
        .iter()
        .map(|(name, service)| (name.as_str(), *service))
        .collect();
    for (service, _) in names {
        let name = service.as_str();
        if !services.contains_key(name)
            && let Some(new) = add_service(&mut added, limits, name)
        {
            services.insert(name, new);
        }
    }
    let mut decided: HashMap<(u32, &str), Placement> = HashMap::new();
    let mut grown = HashSet::new();
    for (service, operation) in names {
        let name = operation.as_str();
        let Some(entry) = services.get_mut(service.as_str()) else {
            added.placements.push(Placement::FleetFull);
            continue;
        };
        let key = (entry.service, name);
        let placement = match decided.get(&key) {
            Some(placement) => *placement,
            None if name == OVERFLOW_NAME => Placement::Placed,
            None if service.as_str() == OVERFLOW_NAME => Placement::ServiceFull,
            None if known.operations.contains(&(entry.service, name.to_owned())) => {
                Placement::Placed
            }
            None => {
                let placement = add_operation(&mut added, limits, *entry, name);
                if placement == Placement::Placed {
                    entry.operations += 1;
                    grown.insert(service.as_str());
                }
                placement
            }
        };
        decided.insert(key, placement);
        added.placements.push(placement);
    }
    added.service_operations = grown
        .into_iter()
        .filter_map(|name| services.get(name))
        .map(|entry| (entry.service, entry.operations))
        .collect();
    added.service_operations.sort_unstable();
    added
}

fn add_service<'a>(
    added: &mut Additions<'a>,
    limits: DictionaryLimits,
    name: &'a str,
) -> Option<KnownService> {
    let counters = &mut added.counters;
    let spent = counters.next_service == u32::MAX || counters.next_operation == u32::MAX;
    if spent || counters.services >= limits.services {
        return None;
    }
    let service = counters.next_service;
    added.services.push((service, name));
    added
        .operations
        .push((counters.next_operation, service, OVERFLOW_NAME));
    counters.next_service += 1;
    counters.next_operation += 1;
    counters.services += 1;
    Some(KnownService {
        service,
        operations: 0,
    })
}

fn add_operation<'a>(
    added: &mut Additions<'a>,
    limits: DictionaryLimits,
    service: KnownService,
    name: &'a str,
) -> Placement {
    let counters = &mut added.counters;
    if service.operations >= limits.operations_per_service {
        return Placement::ServiceFull;
    }
    if counters.next_operation == u32::MAX || counters.operations >= limits.operations {
        return Placement::FleetFull;
    }
    added
        .operations
        .push((counters.next_operation, service.service, name));
    counters.next_operation += 1;
    counters.operations += 1;
    Placement::Placed
}
