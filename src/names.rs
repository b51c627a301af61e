//! Maps names to numbers and back: an immutable snapshot in memory, with the database behind it.
//!
//! [`Names`] never change. A reader takes the current snapshot and waits for nobody. A writer
//! builds the next snapshot aside and swaps it in. A report whose names are all known uses no
//! database. New names are added up to the limits. Operations that do not fit are counted in the
//! overflow entry of their service, or of the fleet, until names are removed.

mod agents;
mod dictionary;
mod final_names;
mod forget;
mod rising;
mod shards;

use std::hash::RandomState;
use std::sync::Arc;

use crate::allocation::{
    Class, OVERFLOW_NAME, OVERFLOW_OPERATION, OVERFLOW_SERVICE, OperationId, ServiceId,
};
use crate::store::{DictionaryCursor, DictionaryEntry, DictionaryPage, Incarnation, Step};

pub use agents::{AgentNames, NamesOfAgents, agent_id};
pub use dictionary::{Dictionary, ResolveError, Resolved};
pub use final_names::{FinalCount, FinalNames, Heard};
pub use forget::{Forgotten, forget, silent};
use rising::{Numbered, Rising};
use shards::{Keyed, Shard, Shards, hash_of_name};

/// An operation, by number.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationRow {
    /// The operation.
    pub operation: OperationId,
    /// Its service.
    pub service: ServiceId,
    /// Whether it is the overflow entry of its service.
    pub overflow: bool,
}

impl OperationRow {
    /// The overflow entry of the fleet.
    pub const OVERFLOW: Self = Self {
        operation: OVERFLOW_OPERATION,
        service: OVERFLOW_SERVICE,
        overflow: true,
    };
}

/// An operation, by name.
#[derive(Debug, Clone)]
pub struct NamedOperation {
    /// The service's name.
    pub service: Arc<str>,
    /// The operation's name.
    pub operation: Arc<str>,
}

/// Names and numbers at one moment. A copy with a few more names shares the rest.
#[derive(Debug, Clone, Default)]
pub struct Names {
    cursor: Option<DictionaryCursor>,
    services: Shards<Service>,
    operations: Shards<Operation>,
    service_names: Rising<NamedService>,
    operation_names: Rising<NamedRow>,
    /// Whether no more services fit.
    full: bool,
}

/// A service, found by its name.
#[derive(Debug, Clone)]
struct Service {
    name: Arc<str>,
    id: ServiceId,
    overflow: OperationId,
    /// Whether no more of its operations fit.
    full: bool,
}

/// An operation, found by its service and name.
#[derive(Debug, Clone)]
struct Operation {
    service: ServiceId,
    name: Arc<str>,
    id: OperationId,
}

/// A service, found by its number.
#[derive(Debug, Clone)]
struct NamedService {
    id: ServiceId,
    name: Arc<str>,
}

/// An operation, found by its number.
#[derive(Debug, Clone)]
struct NamedRow {
    row: OperationRow,
    name: Arc<str>,
}

impl Keyed for Service {
    type Key<'a> = &'a str;
    type Group<'a> = &'a str;

    fn group(key: Self::Key<'_>) -> Self::Group<'_> {
        key
    }

    fn hash(hasher: &RandomState, name: &str) -> u64 {
        hash_of_name(hasher, name)
    }

    fn key(&self) -> &str {
        &self.name
    }

    fn is(&self, key: &str) -> bool {
        *self.name == *key
    }
}

impl Keyed for Operation {
    type Key<'a> = (ServiceId, &'a str);
    type Group<'a> = ServiceId;

    fn group((service, _): Self::Key<'_>) -> Self::Group<'_> {
        service
    }

    fn hash(hasher: &RandomState, (service, name): (ServiceId, &str)) -> u64 {
        // The same names occur in many services. Spreads them; the number is not an outsider's choice.
        let spread = u64::from(service.0).wrapping_mul(0x9E37_79B9_7F4A_7C15);
        hash_of_name(hasher, name) ^ spread
    }

    fn key(&self) -> (ServiceId, &str) {
        (self.service, &self.name)
    }

    fn is(&self, (service, name): (ServiceId, &str)) -> bool {
        self.service == service && *self.name == *name
    }
}

impl Numbered for NamedService {
    fn number(&self) -> u32 {
        self.id.0
    }
}

impl Numbered for NamedRow {
    fn number(&self) -> u32 {
        self.row.operation.0
    }
}

impl Names {
    /// The state of the dictionary that these names are from.
    #[must_use]
    pub fn incarnation(&self) -> Incarnation {
        self.cursor
            .map_or(Incarnation::EMPTY, |cursor| cursor.incarnation)
    }

    /// The operation with a number, if it is known.
    #[must_use]
    pub fn row(&self, operation: OperationId) -> Option<OperationRow> {
        Some(self.operation_names.get(operation.0)?.row)
    }

    /// The names of the operation with a number, if it is known.
    #[must_use]
    pub fn name(&self, operation: OperationId) -> Option<NamedOperation> {
        let named = self.operation_names.get(operation.0)?;
        Some(NamedOperation {
            service: self.service(named.row.service)?,
            operation: Arc::clone(&named.name),
        })
    }

    /// An operation's name within its service, if it is known.
    #[must_use]
    pub fn operation(&self, operation: OperationId) -> Option<Arc<str>> {
        Some(Arc::clone(&self.operation_names.get(operation.0)?.name))
    }

    /// A service's name, if it is known.
    #[must_use]
    pub fn service(&self, service: ServiceId) -> Option<Arc<str>> {
        Some(Arc::clone(&self.service_names.get(service.0)?.name))
    }

    /// A service's name for as long as the names, if it is known.
    #[must_use]
    pub fn service_name(&self, service: ServiceId) -> Option<&str> {
        Some(&self.service_names.get(service.0)?.name)
    }

    /// Whether a service's number has a name.
    #[must_use]
    pub fn has_service(&self, service: ServiceId) -> bool {
        self.service_names.get(service.0).is_some()
    }

    /// All services, in ascending order of their numbers.
    pub fn services(&self) -> impl Iterator<Item = (ServiceId, &Arc<str>)> {
        self.service_names
            .iter()
            .map(|named| (named.id, &named.name))
    }

    /// All operations, in ascending order of their numbers.
    pub fn operations(&self) -> impl Iterator<Item = (OperationRow, &Arc<str>)> {
        self.operation_names
            .iter()
            .map(|named| (named.row, &named.name))
    }

    /// A service's number, if its name is known.
    #[must_use]
    pub fn find_service(&self, service: &str) -> Option<ServiceId> {
        Some(self.services.get(service)?.id)
    }

    /// The number of a (service, operation) pair, if it is known.
    #[must_use]
    pub fn find(&self, service: &str, operation: &str) -> Option<OperationId> {
        let service = self.find_service(service)?;
        Some(self.operations.get((service, operation))?.id)
    }

    /// The numbers of an operation and of its classes.
    pub fn find_all<'n>(
        &'n self,
        service: &str,
        operation: &str,
    ) -> impl Iterator<Item = OperationId> + use<'n> {
        let classes = Class::ALL.map(|class| self.find(service, &class.entry(operation)));
        let all = [self.find(service, operation)].into_iter().chain(classes);
        all.flatten()
    }

    /// Names for a test: operations by service and name, numbered from 1.
    #[cfg(test)]
    pub(crate) fn numbered(operations: &[(&str, &str)]) -> Self {
        use crate::allocation::{OperationName, ServiceName};
        let mut names = Self::default();
        for (number, (service, operation)) in (1..).zip(operations) {
            let id = names.find_service(service);
            names.put(&DictionaryEntry {
                service: id.unwrap_or(ServiceId(number)),
                service_name: ServiceName::parse(service).expect("a name"),
                operation: OperationId(number),
                operation_name: OperationName::parse(operation).expect("a name"),
            });
        }
        names
    }

    /// Adds a page of the dictionary, or begins again with it.
    fn take(&mut self, page: &DictionaryPage) {
        if page.step != Step::Forward {
            *self = Self::default();
        }
        for entry in &page.entries {
            self.put(entry);
        }
        self.cursor = Some(page.cursor);
    }

    fn put(&mut self, entry: &DictionaryEntry) {
        let id = entry.service;
        let overflow = entry.operation_name.as_str() == OVERFLOW_NAME;
        let known = self.services.get(entry.service_name.as_str());
        if overflow || known.is_none() {
            let name: Arc<str> = match known {
                Some(known) => Arc::clone(&known.name),
                None => entry.service_name.as_str().into(),
            };
            let overflow = if overflow {
                entry.operation
            } else {
                OVERFLOW_OPERATION
            };
            self.service_names.put(NamedService {
                id,
                name: Arc::clone(&name),
            });
            self.services.put(Service {
                name,
                id,
                overflow,
                full: false,
            });
        }
        let name: Arc<str> = entry.operation_name.as_str().into();
        self.operations.put(Operation {
            service: id,
            name: Arc::clone(&name),
            id: entry.operation,
        });
        let row = OperationRow {
            operation: entry.operation,
            service: id,
            overflow,
        };
        self.operation_names.put(NamedRow { row, name });
    }

    /// These names, with a note that names like `full` did not fit, so that they are not asked for
    /// again.
    fn with_full<'a>(&self, full: impl Iterator<Item = &'a str>) -> Self {
        let mut next = self.clone();
        for service in full {
            match next.services.get(service) {
                Some(known) if known.full => {}
                Some(known) => {
                    let full = Service {
                        full: true,
                        ..known.clone()
                    };
                    next.services.put(full);
                }
                None => next.full = true,
            }
        }
        next
    }
}

impl Service {
    fn overflow_row(&self) -> OperationRow {
        OperationRow {
            operation: self.overflow,
            service: self.id,
            overflow: true,
        }
    }
}

/// Looks up operations one after the other. The service is looked up only when it changes.
struct LookUp<'n, 'w> {
    names: &'n Names,
    service: Option<(&'w str, Option<Found<'n>>)>,
}

/// A service that was looked up, and where its operations are.
#[derive(Clone, Copy)]
struct Found<'n> {
    service: &'n Service,
    operations: Shard<'n, Operation>,
}

impl<'n, 'w> LookUp<'n, 'w> {
    fn new(names: &'n Names) -> Self {
        Self {
            names,
            service: None,
        }
    }

    /// An operation's row; none if it has no number and there may be room for it.
    fn row(&mut self, service: &'w str, operation: &str) -> Option<OperationRow> {
        let found = match self.service {
            Some((name, found)) if name == service => found,
            _ => self.names.services.get(service).map(|service| Found {
                service,
                operations: self.names.operations.shard(service.id),
            }),
        };
        self.service = Some((service, found));
        let Some(Found {
            service,
            operations,
        }) = found
        else {
            return self.names.full.then_some(OperationRow::OVERFLOW);
        };
        match operations.get((service.id, operation)) {
            Some(known) => Some(OperationRow {
                operation: known.id,
                service: service.id,
                overflow: known.id == service.overflow,
            }),
            None if !service.full => None,
            // What does not fit is counted by class, too, if there is an entry for that.
            None => {
                let class = Class::of(operation).1;
                let entry = class.map(|class| class.entry(OVERFLOW_NAME));
                let found = entry.and_then(|entry| operations.get((service.id, &*entry)));
                let classed = found.map(|known| OperationRow {
                    operation: known.id,
                    service: service.id,
                    overflow: false,
                });
                Some(classed.unwrap_or_else(|| service.overflow_row()))
            }
        }
    }
}
