//! The names that this replica knows, kept up with the database's.

use std::sync::Arc;
use std::sync::atomic::{AtomicU64, Ordering};

use arc_swap::ArcSwap;
use tokio::sync::{Mutex, MutexGuard};

use super::{LookUp, Names, OperationRow};
use crate::allocation::{OperationName, ServiceName};
use crate::store::{
    DictionaryCursor, DictionaryLimits, Incarnation, Placement, Step, Store, StoreError,
};
use crate::telemetry::metrics::{Metrics, WentBack};

/// How often names are added and read again before their report is refused: the database may be
/// going back in time just then, or names be removed.
const ATTEMPTS: usize = 3;

/// Entries that are built into the names where they were read. More would hold up whoever else
/// is served by that thread.
const FEW: usize = 500;

/// The names known to this replica.
pub struct Dictionary {
    store: Arc<dyn Store>,
    limits: DictionaryLimits,
    metrics: Arc<Metrics>,
    names: ArcSwap<Names>,
    /// One task at a time asks the database and swaps the names; the others find the answer in
    /// memory, or the last error that said that the database is away.
    asking: Mutex<LastError>,
    /// How often the database was away when names were to be added.
    failures: AtomicU64,
}

type LastError = Option<Arc<StoreError>>;

/// Rows of operations, and the names that they were found in.
#[derive(Debug, Clone)]
pub struct Resolved {
    /// In the order in which they were asked for.
    pub rows: Vec<OperationRow>,
    /// One snapshot for all of them.
    pub names: Arc<Names>,
}

/// Why names have no numbers. Trying again later helps.
#[derive(Debug, Clone, thiserror::Error)]
pub enum ResolveError {
    /// The database did not take them.
    #[error("new names could not be added")]
    Store(#[source] Arc<StoreError>),
    /// They were added and could not be read after, again and again.
    #[error("new names cannot be read yet")]
    Unsettled,
}

impl Dictionary {
    /// Starts with nothing known; [`Dictionary::refresh`] reads what is there.
    #[must_use]
    pub fn new(store: Arc<dyn Store>, limits: DictionaryLimits, metrics: Arc<Metrics>) -> Self {
        Self {
            store,
            limits,
            metrics,
            names: ArcSwap::default(),
            asking: Mutex::default(),
            failures: AtomicU64::new(0),
        }
    }

    /// The names as they are now. Never waits.
    #[must_use]
    pub fn names(&self) -> Arc<Names> {
        self.names.load_full()
    }

    /// Reads what was added or removed since the last time.
    ///
    /// # Errors
    /// The store's; what was known stays known.
    pub async fn refresh(&self) -> Result<(), StoreError> {
        let asking = self.asking.lock().await;
        self.read_on(&asking, None).await?;
        Ok(())
    }

    /// Reads the names again if they still are those of a state that the database does not take
    /// any more.
    ///
    /// # Errors
    /// The store's; what was known stays known.
    pub async fn leave(&self, state: Incarnation) -> Result<(), StoreError> {
        let asking = self.asking.lock().await;
        if self.names.load().incarnation() == state {
            self.read_on(&asking, None).await?;
        }
        Ok(())
    }

    /// Names that include those of every given state of the dictionary: what numbers stand for
    /// that were read in these states. None if the database has gone back behind one of them
    /// since; then what was read must be read again.
    ///
    /// # Errors
    /// The store's; what was known stays known.
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

    /// Reads what there is to read; says how the names have changed, and whether their past
    /// includes a state.
    async fn read_on(
        &self,
        asking: &MutexGuard<'_, LastError>,
        including: Option<Incarnation>,
    ) -> Result<(Step, bool), StoreError> {
        let at = self.names.load().cursor;
        self.read(asking, at, including).await
    }

    /// Reads what a reader at `at` does not know.
    async fn read(
        &self,
        _asking: &MutexGuard<'_, LastError>,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<(Step, bool), StoreError> {
        let page = self.store.read_dictionary(at, including).await?;
        let (step, includes) = (page.step, page.includes);
        if at == Some(page.cursor) {
            return Ok((step, includes));
        }
        let names = self.names();
        if step == Step::Back {
            self.metrics.went_back.of(WentBack::Names).inc();
            tracing::warn!(
                names = page.entries.len(),
                "the database has gone back in time: read all names again"
            );
        }
        let next = if page.entries.len() <= FEW {
            names.with(&page)
        } else {
            let build = tokio::task::spawn_blocking(move || names.with(&page));
            match build.await {
                Ok(built) => built,
                Err(error) => std::panic::resume_unwind(error.into_panic()),
            }
        };
        self.names.store(Arc::new(next));
        Ok((step, includes))
    }

    /// The numbers of (service, operation) names, in their order, adding names as far as they fit.
    ///
    /// The names must have been checked.
    ///
    /// # Errors
    /// When there were names to add. Whoever waits while somebody else is told that the database
    /// is away is told the same: it is not asked once for each who waits.
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
            // Names that were added and are not read: a restore has put them there, in a state that
            // had been read without them.
            let anew = attempt > 0;
            if let Err(error) = self.add(&asking, &missing, anew).await {
                let error = Arc::new(error);
                // Any other error may be due to these very names.
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

    /// Adds names, reads them, and notes which found no room.
    async fn add(
        &self,
        asking: &MutexGuard<'_, LastError>,
        missing: &[(ServiceName, OperationName)],
        anew: bool,
    ) -> Result<(), StoreError> {
        let placements = self.store.add_names(missing, self.limits).await?;
        let at = self.names.load().cursor.filter(|_| !anew);
        let (step, _) = self.read(asking, at, None).await?;
        // What was removed meanwhile may have made room.
        if step == Step::Forward || anew {
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
        let mut rows = Vec::new();
        let mut missing = Vec::new();
        let mut look_up = LookUp::new(&names);
        for (service, operation) in wanted {
            match look_up.row(service, operation) {
                Some(row) => rows.push(row),
                None => match parse(service, operation) {
                    Some(name) => missing.push(name),
                    // No name at all, so there is never room for it.
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

fn parse(service: &str, operation: &str) -> Option<(ServiceName, OperationName)> {
    Some((
        ServiceName::parse(service).ok()?,
        OperationName::parse(operation).ok()?,
    ))
}
