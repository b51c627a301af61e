//! Blocks writes to tables that are not as Weir needs them.

use std::time::{Duration, Instant};

use async_trait::async_trait;
use tokio::sync::Mutex;

use super::StoreError;
use crate::health::DatabaseState;

/// How often the tables are checked while calls fail or wait for them.
const PAUSE: Duration = Duration::from_secs(1);

/// Can check whether the tables are as Weir needs them.
#[async_trait]
pub(super) trait Inspect: Send + Sync {
    /// Checks them.
    ///
    /// # Errors
    /// [`StoreError::Unsound`] with what is missing and the way out.
    async fn inspect(&self) -> Result<(), StoreError>;
}

/// Lets writes through while the tables are sound, as far as is known.
pub(super) struct Gate {
    database: DatabaseState,
    /// When a call last caused a check of the tables.
    looked: Mutex<Option<Instant>>,
}

impl Gate {
    /// Open until something is wrong.
    pub fn new(database: DatabaseState) -> Self {
        Self {
            database,
            looked: Mutex::new(None),
        }
    }

    /// Whether a write may proceed. A closed gate checks the tables again, so that it opens by
    /// itself after a repair.
    ///
    /// # Errors
    /// [`StoreError::Unsound`] while it is closed.
    pub async fn pass(&self, tables: &dyn Inspect) -> Result<(), StoreError> {
        self.reopen(tables).await;
        self.fault().map_or(Ok(()), Err)
    }

    /// Checks the tables again if the gate is closed. So a replica that gets no reports, but asks
    /// for plans, opens too.
    pub async fn reopen(&self, tables: &dyn Inspect) {
        if self.fault().is_some() {
            self.look(tables).await;
        }
    }

    /// Checks the tables if they may be the cause of an error; then returns that cause instead of
    /// the error.
    pub async fn explain(&self, tables: &dyn Inspect, error: StoreError) -> StoreError {
        if !error.blames_schema() {
            return error;
        }
        self.look(tables).await;
        self.fault().unwrap_or(error)
    }

    /// Notes the result of a check.
    pub fn note(&self, outcome: &Result<(), StoreError>) {
        match outcome {
            Ok(()) => self.database.note_unsound(None),
            Err(StoreError::Unsound { why }) => self.database.note_unsound(Some(why)),
            // Unknown.
            Err(_) => {}
        }
    }

    fn fault(&self) -> Option<StoreError> {
        let why = self.database.unsound()?.to_string();
        Some(StoreError::Unsound { why })
    }

    async fn look(&self, tables: &dyn Inspect) {
        let mut looked = self.looked.lock().await;
        if looked.is_none_or(|at| at.elapsed() >= PAUSE) {
            self.note(&tables.inspect().await);
            *looked = Some(Instant::now());
        }
    }
}
