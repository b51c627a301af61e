//! The names that this replica knows, kept in step with the database's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, MutexGuard};

use super::{FinalNames, LookUp, Names, OperationRow};
use crate::allocation::{Class, OVERFLOW_NAME, OperationName, ServiceName};
use crate::store::{
    DictionaryCursor, DictionaryLimits, DictionaryPage, Incarnation, Placement, Step, Store,
    StoreError,
};
use crate::telemetry::metrics::{Metrics, WentBack};
use crate::worker;

/// How often names are added and read again before their report is refused: the database may just
/// be going back in time, or names may be removed.
const ATTEMPTS: usize = 3;

/// Up to this many entries are added to the names on the thread that read them. More would delay
/// the other tasks of that thread.
const FEW: usize = 500;

/// The names known to this replica.
pub struct Dictionary {
    store: Arc<dyn Store>,
    limits: DictionaryLimits,
    metrics: Arc<Metrics>,
    names: ArcSwap<Names>,
    /// One task at a time asks the database and swaps the names. The others then find the answer in
    /// memory, or the last error that said that the database is away.
    asking: Mutex<LastError>,
    /// How often the database was away when names had to be added.
    failures: AtomicU64,
    final_names: FinalNames,
}

type LastError = Option<Arc<StoreError>>;

/// Rows of operations, and the names in which they were found.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// In the order in which they were asked for.
    pub rows: Vec<OperationRow>,
    /// One snapshot for all rows.
    pub names: Arc<Names>,
}

/// Why names have no numbers. A retry later helps.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// The database did not add them.
    #[error("new names could not be added")]
    Store(#[source] Arc<StoreError>),
    /// They were added, but could not be read afterwards, again and again.
    #[error("new names cannot be read yet")]
    Unsettled,
}

impl Dictionary {
    /// Knows nothing yet; [`Dictionary::refresh`] reads the names.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, limits: DictionaryLimits, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            limits,
            final_names: FinalNames::new(Arc::clone(&metrics)),
            metrics,
            names: ArcSwap::default(),
            asking: Mutex::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// The current names. Never waits.
    #[must_use]
    pub fn names(&self) -> Arc<Names> {
        self.names.load_full()
    }

    /// The final names that were heard of.
    #[must_use]
    pub fn final_names(&self) -> &FinalNames {
        &self.final_names
    }

    /// Reads the names that were added or removed since the last time.
    ///
    /// # Errors
    /// The store's. The names that are known stay.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let asking = self.asking.lock().await;
        self.read_on(&asking, None).await?;
        Ok(())
    }

    /// Reads the names again, if they still are in a state that the database does not accept any
    /// more.
    ///
    /// # Errors
    /// The store's. The names that are known stay.
    pub async fn leave(&self, state: Incarnation) -> Result<(), StoreError> {
        let asking = self.asking.lock().await;
        if self.names.load().incarnation() == state {
            self.read_on(&asking, None).await?;
        }
        Ok(())
    }

    /// Names that include those of every given state of the dictionary, for numbers that were read
    /// in these states. None if the database has gone back behind one of them since; then the
    /// numbers must be read again.
    ///
    /// # Errors
    /// The store's. The names that are known stay.
    pub async fn names_of(&self, states: &[Incarnation]) -> Result<Option<Arc<Names>>, StoreError> {
        let names = self.names();
        if states.iter().all(|state| *state == names.incarnation()) {
            return Ok(Some(names));
        }
        // Nobody else swaps the names meanwhile.
        let asking = self.asking.lock().await;
        for state in states {
            if self.names.load().incarnation() == *state {
                continue;
            }
            let (_, includes) = self.read_on(&asking, Some(*state)).await?;
            if !includes {
                return Ok(None);
            }
        }
        Ok(Some(self.names()))
    }

    /// Reads what is new. Returns how the names have changed, and whether their past includes a
    /// state.
    async fn read_on(
        &self,
        asking: &MutexGuard<'_, LastError>,
        including: Option<Incarnation>,
    ) -> Result<(Step, bool), StoreError> {
        let at = self.names.load().cursor;
        self.read(asking, at, including).await
    }

    /// Reads what a reader in the state `at` does not know, page by page. The names are built from each
    /// page as it comes, so that they are in memory once.
    async fn read(
        &self,
        _asking: &MutexGuard<'_, LastError>,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<(Step, bool), StoreError> {
        let mut page = self.store.read_dictionary(at, including).await?;
        if at == Some(page.cursor) {
            return Ok((page.step, page.includes));
        }
        let mut step = page.step;
        let mut names = (*self.names()).clone();
        loop {
            let (more, cursor, includes) = (page.more, page.cursor, page.includes);
            names = taken(names, page).await;
            if !more {
                self.swap(step, names);
                return Ok((step, includes));
            }
            page = self.store.read_dictionary(Some(cursor), including).await?;
            step = step.then(page.step);
        }
    }

    fn swap(&self, step: Step, names: Names) {
        if step == Step::Back {
            self.metrics.went_back.of(WentBack::Names).inc();
            tracing::warn!("the database has gone back in time: read all names again");
        }
        self.names.store(Arc::new(names));
    }

    /// The numbers of (service, operation) names, in the same order; none if some may be added.
    pub fn known<'a>(&self, wanted: impl Iterator<Item = (&'a str, &'a str)>) -> Option<Resolved> {
        self.look_up(wanted).ok()
    }

    /// The numbers of (service, operation) names, in the same order. Adds names as long as they
    /// fit.
    ///
    /// The names must have been checked.
    ///
    /// # Errors
    /// If there were names to add. If one task learns that the database is away, the tasks that
    /// wait get the same error: the database is not asked again for each of them.
    pub async fn resolve<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a str, &'a str)> + Clone,
    ) -> Result<Resolved, ResolveError> {
        if let Ok(resolved) = self.look_up(wanted.clone()) {
            return Ok(resolved);
        }
        let failures = self.failures.load(Ordering::Relaxed);
        let mut asking = self.asking.lock().await;
        for attempt in 0..ATTEMPTS {
            let missing = match self.look_up(wanted.clone()) {
                Ok(resolved) => return Ok(resolved),
                Err(missing) => missing,
            };
            let meanwhile = self.failures.load(Ordering::Relaxed) != failures;
            if let Some(error) = asking.as_ref().filter(|_| meanwhile) {
                return Err(ResolveError::Store(Arc::clone(error)));
            }
            // Names that were added but are not among those read: a restore has put them there, in
            // a state that had been read without them.
            let read_all = attempt > 0;
            if let Err(error) = self.add(&asking, &missing, read_all).await {
                let error = Arc::new(error);
                // Any other error may be caused by these very names.
                if matches!(
                    *error,
                    StoreError::Unavailable { .. } | StoreError::Unsound { .. }
                ) {
                    self.failures.fetch_add(1, Ordering::Relaxed);
                    *asking = Some(Arc::clone(&error));
                }
                return Err(ResolveError::Store(error));
            }
        }
        let resolved = self.look_up(wanted);
        resolved.map_err(|_| ResolveError::Unsettled)
    }

    /// Adds names, reads them, and notes which of them did not fit.
    async fn add(
        &self,
        asking: &MutexGuard<'_, LastError>,
        missing: &[(ServiceName, OperationName)],
        read_all: bool,
    ) -> Result<(), StoreError> {
        let placements = self.store.add_names(missing, self.limits).await?;
        let at = self.names.load().cursor.filter(|_| !read_all);
        let (step, _) = self.read(asking, at, None).await?;
        // Names that were removed meanwhile may have made room.
        if step == Step::Forward || read_all {
            let full = missing.iter().zip(placements);
            let mut full = full
                .filter(|(_, placement)| *placement != Placement::Placed)
                .map(|((service, _), _)| service.as_str())
                .peekable();
            if full.peek().is_some() {
                self.names.store(Arc::new(self.names().with_full(full)));
            }
        }
        Ok(())
    }

    /// Every operation's row, or the names that are missing.
    fn look_up<'a>(
        &self,
        wanted: impl Iterator<Item = (&'a str, &'a str)>,
    ) -> Result<Resolved, Vec<(ServiceName, OperationName)>> {
        let names = self.names();
        // The callers' iterators know how many they have at most.
        let mut rows = Vec::with_capacity(wanted.size_hint().1.unwrap_or_default());
        let mut missing = Vec::new();
        let mut look_up = LookUp::new(&names);
        for (service, operation) in wanted {
            match look_up.row(service, operation) {
                Some(row) => rows.push(row),
                None => match parse(service, operation) {
                    Some(name) => {
                        missing.extend(overflow_of_class(service, operation));
                        missing.push(name);
                    }
                    // The name is empty, so there is never room for it.
                    None => rows.push(OperationRow::OVERFLOW),
                },
            }
        }
        if missing.is_empty() {
            Ok(Resolved { rows, names })
        } else {
            Err(missing)
        }
    }
}

/// Names with a page.
async fn taken(mut names: Names, page: DictionaryPage) -> Names {
    if page.entries.len() <= FEW {
        names.take(&page);
        return names;
    }
    let build = move || {
        names.take(&page);
        names
    };
    worker::blocking(build).await
}

/// The overflow entry of an entry's class. It is added first, so that what does not fit later is counted by class.
fn overflow_of_class(service: &str, operation: &str) -> Option<(ServiceName, OperationName)> {
    let class = Class::of(operation).1?;
    parse(service, &class.entry(OVERFLOW_NAME))
}

fn parse(service: &str, operation: &str) -> Option<(ServiceName, OperationName)> {
    Some((
        ServiceName::parse(service).ok()?,
        OperationName::parse(operation).ok()?,
    ))
}
