//! The embedded backend: one file, no server, one replica.
//!
//! Read [`SqliteStore`] first; `connection` says who may write. A commit survives the loss of
//! power. Several processes may open the file, but nothing is made fast for that.

mod compatibility;
mod configuration;
mod connection;
mod dictionary;
mod fleet;
mod history;
mod lease;
mod maintenance;
mod migrations;
mod plans;
mod reports;
mod schema;

use std::fmt;
use std::ops::Range;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use uuid::Uuid;

use super::fault::{once, run};
use super::{
    Admission, ConfigurationRevision, ConfigurationWrite, DictionaryCursor, DictionaryLimits,
    DictionaryPage, FleetSettings, HistoryRow, Incarnation, LeaseAnswer, Maintained, NewPlan,
    Placement, PlanMark, PoolState, Publication, ResolvedReport, Retention, RevisionMark, Rows,
    Settlement, Settling, Store, StoreError, StoredDelta, StoredPlan, WriteFormat,
};
use crate::allocation::{OperationId, OperationName, ServiceName, Timestamp, Window};
use crate::clock::{Clock, SystemClock};
use connection::Connections;

/// A store in one SQLite file, for one replica.
pub struct SqliteStore {
    connections: Connections,
    /// The database's: what leases run out by.
    clock: Arc<dyn Clock>,
}

impl fmt::Debug for SqliteStore {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("SqliteStore")
            .field("connections", &self.connections)
            .finish_non_exhaustive()
    }
}

impl SqliteStore {
    /// Opens a file, making it if there is none, and brings the schema up to date.
    ///
    /// # Errors
    /// [`StoreError::Failed`] if the file cannot be made or opened or is something else;
    /// [`StoreError::Unavailable`] if another process holds it for too long;
    /// [`StoreError::Unsound`] if a table or key is missing.
    pub async fn open(path: &Path) -> Result<Self, StoreError> {
        Self::open_by(path, Arc::new(SystemClock)).await
    }

    /// Opens a file like [`SqliteStore::open`], with a clock of its own in place of the machine's.
    ///
    /// # Errors
    /// Those of [`SqliteStore::open`].
    pub async fn open_by(path: &Path, clock: Arc<dyn Clock>) -> Result<Self, StoreError> {
        let connections = run("opening the file", || Connections::open(path)).await?;
        run("bringing the schema up to date", || {
            migrations::run(&connections)
        })
        .await?;
        let store = Self { connections, clock };
        store.inspect().await?;
        Ok(store)
    }
}

#[async_trait]
impl Store for SqliteStore {
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        run("committing reports", || reports::commit(self, batch)).await
    }

    async fn stream_deltas(
        &self,
        starts: Range<Timestamp>,
        rows: Rows<StoredDelta>,
    ) -> Result<Incarnation, StoreError> {
        once("reading deltas", reports::stream(self, starts, &rows)).await
    }

    async fn next_bucket(&self, from: Timestamp) -> Result<Option<Window>, StoreError> {
        run("looking for the next bucket", || {
            reports::next_bucket(self, from)
        })
        .await
    }

    async fn read_dictionary(
        &self,
        at: Option<DictionaryCursor>,
        including: Option<Incarnation>,
    ) -> Result<DictionaryPage, StoreError> {
        run("reading the dictionary", || {
            dictionary::read(self, at, including)
        })
        .await
    }

    async fn add_names(
        &self,
        names: &[(ServiceName, OperationName)],
        limits: DictionaryLimits,
    ) -> Result<Vec<Placement>, StoreError> {
        if names.is_empty() {
            return Ok(Vec::new());
        }
        run("adding names", || dictionary::add(self, names, limits)).await
    }

    async fn remove_names(
        &self,
        under: Incarnation,
        operations: &[OperationId],
    ) -> Result<u64, StoreError> {
        if operations.is_empty() {
            return Ok(0);
        }
        run("removing names", || {
            dictionary::remove(self, under, operations)
        })
        .await
    }

    async fn acquire_lease(
        &self,
        name: &str,
        holder: Uuid,
        time_to_live: Duration,
    ) -> Result<LeaseAnswer, StoreError> {
        run("acquiring the lease", || {
            lease::acquire(self, name, holder, time_to_live)
        })
        .await
    }

    async fn release_lease(&self, name: &str, holder: Uuid) -> Result<(), StoreError> {
        run("releasing the lease", || lease::release(self, name, holder)).await
    }

    async fn publish_plan(&self, new: NewPlan<'_>) -> Result<Publication, StoreError> {
        run("publishing a plan", || plans::publish(self, new)).await
    }

    async fn current_plan_mark(&self) -> Result<Option<PlanMark>, StoreError> {
        run("reading which plan is current", || {
            plans::current_mark(self)
        })
        .await
    }

    async fn current_plan(&self) -> Result<Option<StoredPlan>, StoreError> {
        run("reading the current plan", || plans::current(self)).await
    }

    async fn readable_plan(&self, below: u64) -> Result<Option<StoredPlan>, StoreError> {
        run("reading the newest readable plan", || {
            plans::readable(self, below)
        })
        .await
    }

    async fn settled_until(&self) -> Result<Option<Timestamp>, StoreError> {
        run("reading up to where history is settled", || {
            history::settled(self)
        })
        .await
    }

    async fn settle_history(&self, settling: Settling<'_>) -> Result<Settlement, StoreError> {
        run("settling history", || history::settle(self, settling)).await
    }

    async fn stream_history(
        &self,
        starts: Range<Timestamp>,
        limit: u32,
        operation: Option<OperationId>,
        rows: Rows<HistoryRow>,
    ) -> Result<(), StoreError> {
        let sent = history::stream(self, starts, limit, operation, &rows);
        once("reading history", sent).await
    }

    async fn write_format(&self) -> Result<WriteFormat, StoreError> {
        run("reading which formats to write", || {
            compatibility::format(self)
        })
        .await
    }

    async fn set_write_format(&self, format: WriteFormat) -> Result<(), StoreError> {
        run("writing which formats to write", || {
            compatibility::set_format(self, format)
        })
        .await
    }

    async fn fleet_settings(&self) -> Result<Option<FleetSettings>, StoreError> {
        run("reading the shared settings", || fleet::read(self)).await
    }

    async fn write_fleet_settings(
        &self,
        settings: FleetSettings,
        replace: bool,
    ) -> Result<FleetSettings, StoreError> {
        run("writing the shared settings", || {
            fleet::write(self, settings, replace)
        })
        .await
    }

    async fn configuration(&self) -> Result<ConfigurationRevision, StoreError> {
        run("reading the configuration", || configuration::read(self)).await
    }

    async fn create_configuration(
        &self,
        initial: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationRevision, StoreError> {
        run("creating the configuration", || {
            configuration::create(self, initial, now)
        })
        .await
    }

    async fn write_configuration(
        &self,
        from: u64,
        document: &str,
        now: DateTime<Utc>,
    ) -> Result<ConfigurationWrite, StoreError> {
        run("writing the configuration", || {
            configuration::write(self, from, document, now)
        })
        .await
    }

    async fn configuration_revision(
        &self,
        revision: u64,
    ) -> Result<Option<ConfigurationRevision>, StoreError> {
        run("reading a revision of the configuration", || {
            configuration::revision(self, revision)
        })
        .await
    }

    async fn configuration_revisions(
        &self,
        before: Option<u64>,
        limit: u32,
    ) -> Result<Vec<RevisionMark>, StoreError> {
        run("listing the configuration's revisions", || {
            configuration::list(self, before, limit)
        })
        .await
    }

    async fn maintain(
        &self,
        _now: Timestamp,
        retention: Retention,
    ) -> Result<Maintained, StoreError> {
        run("maintaining the tables", || {
            maintenance::run(self, retention)
        })
        .await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        run("checking the tables", || schema::inspect(self)).await
    }

    fn pool(&self) -> PoolState {
        self.connections.state()
    }

    async fn close(&self) {
        self.connections.close().await;
    }
}
