//! Names to numbers and back, in memory, with the database behind.
//!
//! A report whose names are all known touches no database. New names are added up to the
//! limits; what does not fit is counted in its service's overflow entry, or the fleet's. Once a
//! service is full, unknown names go there without asking the database again.

use std::collections::HashMap;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};

use crate::allocation::{
    OVERFLOW_NAME, OVERFLOW_OPERATION, OVERFLOW_SERVICE, OperationId, OperationName, ServiceId,
    ServiceName,
};
use crate::store::{DictionaryCursor, DictionaryLimits, DictionaryPage, Store, StoreError};

/// What an operation's number stands for, in numbers.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct OperationRow {
    /// The operation.
    pub operation: OperationId,
    /// Its service.
    pub service: ServiceId,
    /// Whether it is its service's counted overflow entry.
    pub overflow: bool,
}

impl OperationRow {
    /// The fleet's counted overflow entry.
    pub const OVERFLOW: Self = Self {
        operation: OVERFLOW_OPERATION,
        service: OVERFLOW_SERVICE,
        overflow: true,
    };
}

/// What an operation's number stands for, in names.
#[derive(Debug, Clone)]
pub struct NamedOperation {
    /// The service's name.
    pub service: Arc<str>,
    /// The operation's name.
    pub operation: Arc<str>,
}

/// Names and numbers at one moment.
#[derive(Debug, Default)]
pub struct Names {
    cursor: DictionaryCursor,
    services: HashMap<Arc<str>, Service>,
    service_names: HashMap<ServiceId, Arc<str>>,
    /// By rising number: what is asked for in that order lies side by side.
    operations: Vec<(OperationRow, Arc<str>)>,
    /// No further service fits.
    full: bool,
}

#[derive(Debug)]
struct Service {
    id: ServiceId,
    overflow: OperationId,
    operations: HashMap<Arc<str>, OperationId>,
    /// No further operation fits.
    full: bool,
}

impl Names {
    /// What an operation's number stands for, if it is known.
    #[must_use]
    pub fn row(&self, operation: OperationId) -> Option<OperationRow> {
        let at = self.place(operation).ok()?;
        Some(self.operations[at].0)
    }

    /// The names an operation's number stands for, if it is known.
    #[must_use]
    pub fn name(&self, operation: OperationId) -> Option<NamedOperation> {
        let (row, name) = &self.operations[self.place(operation).ok()?];
        Some(NamedOperation {
            service: self.service(row.service)?,
            operation: Arc::clone(name),
        })
    }

    /// An operation's name within its service, if it is known.
    #[must_use]
    pub fn operation(&self, operation: OperationId) -> Option<Arc<str>> {
        let at = self.place(operation).ok()?;
        Some(Arc::clone(&self.operations[at].1))
    }

    /// Where an operation stands, or would.
    fn place(&self, operation: OperationId) -> Result<usize, usize> {
        let operations = &self.operations;
        operations.binary_search_by_key(&operation, |(row, _)| row.operation)
    }

    /// A service's name, if it is known.
    #[must_use]
    pub fn service(&self, service: ServiceId) -> Option<Arc<str>> {
        self.service_names.get(&service).cloned()
    }

    /// A service's number, if its name is known.
    #[must_use]
    pub fn find_service(&self, service: &str) -> Option<ServiceId> {
        Some(self.services.get(service)?.id)
    }

    /// The number of a (service, operation) pair, if it is known.
    #[must_use]
    pub fn find(&self, service: &str, operation: &str) -> Option<OperationId> {
        self.services
            .get(service)?
            .operations
            .get(operation)
            .copied()
    }

    fn apply(&mut self, page: DictionaryPage) {
        if page.replaces {
            *self = Self::default();
        }
        for entry in page.entries {
            let overflow = entry.operation_name.as_str() == OVERFLOW_NAME;
            let names = &mut self.service_names;
            let service_name = names
                .entry(entry.service)
                .or_insert_with(|| entry.service_name.as_str().into());
            let service = self
                .services
                .entry(Arc::clone(service_name))
                .or_insert(Service {
                    id: entry.service,
                    overflow: OVERFLOW_OPERATION,
                    operations: HashMap::new(),
                    full: false,
                });
            if overflow {
                service.overflow = entry.operation;
            }
            let name: Arc<str> = entry.operation_name.as_str().into();
            service
                .operations
                .insert(Arc::clone(&name), entry.operation);
            let row = OperationRow {
                operation: entry.operation,
                service: entry.service,
                overflow,
            };
            // They come by rising number, so this is the end but for what is there already.
            match self.place(entry.operation) {
                Ok(at) => self.operations[at] = (row, name),
                Err(at) => self.operations.insert(at, (row, name)),
            }
        }
        self.cursor = page.cursor;
    }

    /// The row of a name, or why there is none.
    fn resolve(&self, service: &str, operation: &str) -> Result<OperationRow, Unknown> {
        let Some(known) = self.services.get(service) else {
            return if self.full {
                Ok(OperationRow::OVERFLOW)
            } else {
                Err(Unknown)
            };
        };
        match known.operations.get(operation) {
            Some(&id) => Ok(OperationRow {
                operation: id,
                service: known.id,
                overflow: id == known.overflow,
            }),
            None if known.full => Ok(known.overflow_row()),
            None => Err(Unknown),
        }
    }

    /// Notes that a name found no room, so that its like is not asked for again.
    fn mark_full(&mut self, service: &str) {
        match self.services.get_mut(service) {
            Some(known) => known.full = true,
            None => self.full = true,
        }
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

/// The name is not known, and there may be room for it.
struct Unknown;

/// The names known to this replica, kept up with the database's.
pub struct Dictionary {
    store: Arc<dyn Store>,
    limits: DictionaryLimits,
    names: RwLock<Names>,
    /// One task at a time asks the database; the others find the answer in memory, or the last
    /// error that said that the database is away.
    asking: tokio::sync::Mutex<Option<Arc<StoreError>>>,
    /// How often the database was away when names were to be added.
    failures: AtomicU64,
}

impl Dictionary {
    /// Starts with nothing known; [`Dictionary::refresh`] reads what is there.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, limits: DictionaryLimits) -> Self {
        Self {
            store,
            limits,
            names: RwLock::default(),
            asking: tokio::sync::Mutex::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// The names as they are now. The guard must not be held across an `await`.
    pub fn names(&self) -> RwLockReadGuard<'_, Names> {
        self.names.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn names_mut(&self) -> RwLockWriteGuard<'_, Names> {
        self.names.write().unwrap_or_else(PoisonError::into_inner)
    }

    /// Reads what was added or removed since the last time.
    ///
    /// # Errors
    /// The store's; what was known stays known.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let _one_at_a_time = self.asking.lock().await;
        self.read_on().await
    }

    async fn read_on(&self) -> Result<(), StoreError> {
        let cursor = self.names().cursor;
        let page = self.store.read_dictionary(cursor).await?;
        if page.replaces || !page.entries.is_empty() {
            self.names_mut().apply(page);
        }
        Ok(())
    }

    /// The numbers of (service, operation) names, in their order, adding names as far as they fit.
    ///
    /// The names must have been checked.
    ///
    /// # Errors
    /// The store's, when there were names to add. Whoever waits while somebody else is told that
    /// the database is away is told the same: it is not asked once for each who waits.
    pub async fn resolve<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<Vec<OperationRow>, Arc<StoreError>> {
        if let Ok(rows) = self.look_up(wanted.clone()) {
            return Ok(rows);
        }
        let failures = self.failures.load(Ordering::Relaxed);
        let mut failed = self.asking.lock().await;
        if let Err(missing) = self.look_up(wanted.clone()) {
            let meanwhile = self.failures.load(Ordering::Relaxed) != failures;
            if let Some(error) = failed.as_ref().filter(|_| meanwhile) {
                return Err(Arc::clone(error));
            }
            if let Err(error) = self.add(&missing).await {
                let error = Arc::new(error);
                // Any other error may be due to these very names.
                if matches!(
                    *error,
                    StoreError::Unavailable { .. } | StoreError::Unsound { .. }
                ) {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    *failed = Some(Arc::clone(&error));
                }
                return Err(error);
            }
        }
        Ok(self.look_up_or_overflow(wanted))
    }

    async fn add(&self, missing: &[(ServiceName, OperationName)]) -> Result<(), StoreError> {
        self.store.add_names(missing, self.limits).await?;
        self.read_on().await
    }

    /// Every operation's row, or the names that are missing.
    fn look_up<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Vec<OperationRow>, Vec<(ServiceName, OperationName)>> {
        let names = self.names();
        let mut rows = Vec::new();
        let mut missing = Vec::new();
        for (service, operation) in wanted {
            match names.resolve(service, operation) {
                Ok(row) => rows.push(row),
                Err(Unknown) => missing.extend(parse(service, operation)),
            }
        }
        if missing.is_empty() {
            Ok(rows)
        } else {
            Err(missing)
        }
    }

    /// Every operation's row; a name that is still not known found no room.
    fn look_up_or_overflow<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Vec<OperationRow> {
        let mut names = self.names_mut();
        let rows = wanted.map(|(service, operation)| {
            loop {
                match names.resolve(service, operation) {
                    Ok(row) => break row,
                    Err(Unknown) => names.mark_full(service),
                }
            }
        });
        rows.collect()
    }
}

fn parse(service: &str, operation: &str) -> Option<(ServiceName, OperationName)> {
    Some((
        ServiceName::parse(service).ok()?,
        OperationName::parse(operation).ok()?,
    ))
}
