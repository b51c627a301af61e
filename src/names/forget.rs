//! Removes names that nobody reports any more.

use std::collections::HashSet;
use std::ops::Range;

use tokio::sync::mpsc;

use crate::allocation::{OperationId, Timestamp};
use crate::store::{Incarnation, NewAuditEntry, Store, StoreError, StoredDelta};
use crate::telemetry::logging::chain;
use crate::worker;

/// Deltas that may wait to be looked through.
const DELTAS_AHEAD: usize = 16;

/// What was removed.
#[derive(Debug, Default)]
pub struct Forgotten {
    /// How many operations.
    pub removed: u64,
    /// Those that were to be removed, without those that were reported lately. Another replica may
    /// have removed some of them before.
    pub operations: Vec<OperationId>,
}

/// Removes operations, except those in counts of the buckets that start in `since`: reports may have
/// come after the plan that calls an operation silent. If some of these counts cannot be read, nothing
/// is removed. `record` is what is recorded of it, if somebody asked for it.
///
/// # Errors
/// The store's.
pub async fn forget(
    store: &dyn Store,
    under: Incarnation,
    since: Range<Timestamp>,
    mut operations: Vec<OperationId>,
    record: impl FnOnce(&[OperationId]) -> Option<NewAuditEntry>,
) -> Result<Forgotten, StoreError> {
    operations = silent(store, since, operations).await?;
    if operations.is_empty() {
        return Ok(Forgotten::default());
    }
    let record = record(&operations);
    let removed = store
        .remove_names(under, &operations, record.as_ref())
        .await?;
    Ok(Forgotten {
        removed,
        operations,
    })
}

/// The operations without those in counts of the buckets that start in `since`; none if some of these counts
/// cannot be read.
///
/// # Errors
/// The store's.
pub async fn silent(
    store: &dyn Store,
    since: Range<Timestamp>,
    mut operations: Vec<OperationId>,
) -> Result<Vec<OperationId>, StoreError> {
    if operations.is_empty() {
        return Ok(operations);
    }
    let (rows, read) = mpsc::channel(DELTAS_AHEAD);
    let silent: HashSet<OperationId> = operations.iter().copied().collect();
    let looking = worker::blocking(move || unreported(silent, read));
    let (read, silent) = tokio::join!(store.stream_deltas(since, rows), looking);
    read?;
    operations.retain(|operation| silent.contains(operation));
    Ok(operations)
}

/// Those of the operations that no delta names; none if a delta cannot be read.
fn unreported(
    mut silent: HashSet<OperationId>,
    mut read: mpsc::Receiver<StoredDelta>,
) -> HashSet<OperationId> {
    // Everything is received, so that the store does not take the reader for gone.
    while let Some(delta) = read.blocking_recv() {
        match delta.counts() {
            Ok(counts) => {
                for counted in &counts.operations {
                    silent.remove(&counted.operation);
                }
            }
            Err(error) if !silent.is_empty() => {
                tracing::warn!(
                    error = chain(&error),
                    "some counts cannot be read, so no silent operation is forgotten"
                );
                silent.clear();
            }
            Err(_) => {}
        }
    }
    silent
}
