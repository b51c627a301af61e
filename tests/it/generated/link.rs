//! The connection of one replica to the database, and what it read last.

use std::ops::Range;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex};

use weir::allocation::Timestamp;
use weir::store::sqlite::SqliteStore;
use weir::store::{BucketCounts, ConfigurationRevision, StoreError};

use super::faults::Faults;
use super::ledger::Ledger;

/// The connection of one replica to the database.
#[derive(Clone)]
pub struct Link {
    /// The replica's number.
    pub of: usize,
    pub store: Arc<SqliteStore>,
    pub faults: Arc<Faults>,
    pub database_away: Arc<AtomicBool>,
    pub ledger: Arc<Ledger>,
    /// What the replica read last for a plan, which is its input.
    pub read: Arc<Mutex<Read>>,
}

#[derive(Default, Clone)]
pub struct Read {
    pub deltas: Vec<BucketCounts>,
    pub configuration: Option<ConfigurationRevision>,
}

impl Read {
    /// Forgets what was read of these buckets before.
    pub fn begin(&mut self, starts: Range<Timestamp>) {
        let deltas = &mut self.deltas;
        let kept = starts.start.0 - 1_800_000..;
        deltas.retain(|delta| {
            kept.contains(&delta.bucket.start.0) && !starts.contains(&delta.bucket.start)
        });
    }

    pub fn add(&mut self, counts: BucketCounts) {
        self.deltas.push(counts);
    }
}

impl Link {
    pub fn is_open(&self) -> bool {
        !self.database_away.load(Ordering::Relaxed) && !self.faults.cut.load(Ordering::Relaxed)
    }

    pub fn way(&self) -> Result<(), StoreError> {
        if self.is_open() {
            Ok(())
        } else {
            Err(self.faults.unavailable())
        }
    }

    /// The answer to a write that was done, if it arrives.
    pub fn heard<T>(&self, answer: T) -> Result<T, StoreError> {
        let unheard = &self.faults.unheard;
        let less = |left: u32| left.checked_sub(1);
        match unheard.fetch_update(Ordering::Relaxed, Ordering::Relaxed, less) {
            Ok(_) => Err(self.faults.unavailable()),
            Err(_) => Ok(answer),
        }
    }
}
