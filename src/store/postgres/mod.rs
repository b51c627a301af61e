//! The backend for production and for several replicas: PostgreSQL 13 or newer.
//!
//! Read [`PostgresStore`] first; `connection` says how transactions are bounded, `partitions`
//! how old rows go. A commit is on disk when a call returns, also where the server's
//! `synchronous_commit` is `off`.

mod configuration;
mod connection;
mod dictionary;
mod fleet;
mod history;
mod lease;
mod maintenance;
mod migrations;
mod partitions;
mod plans;
mod reports;
mod schema;

use std::ops::Range;
use std::time::Duration;

use async_trait::async_trait;
use chrono::{DateTime, Utc};
use sqlx::PgPool;
use uuid::Uuid;

use super::fault::run;
use super::{
    Admission, BucketCounts, ConfigurationRevision, ConfigurationWrite, DictionaryCursor,
    DictionaryLimits, DictionaryPage, FleetSettings, HistoryRow, Incarnation, LeaseAnswer,
    Placement, PoolState, Publication, ResolvedReport, Retention, RevisionMark, Store, StoreError,
    StoredPlan,
};
use crate::allocation::{OperationId, OperationName, ServiceName, Timestamp};
use partitions::Partitions;

/// A store in a PostgreSQL database, which any number of replicas may share.
#[derive(Debug)]
pub struct PostgresStore {
    pool: PgPool,
    partitions: Partitions,
}

impl PostgresStore {
    /// Connects and brings the schema up to date. Several replicas may do so at once.
    ///
    /// Through a transaction-pooling proxy that does not keep prepared statements apart, the URL
    /// needs `?statement-cache-capacity=0`.
    ///
    /// # Errors
    /// [`StoreError::Unavailable`] if the database cannot be reached, [`StoreError::Failed`] if
    /// the URL or the credentials are wrong, [`StoreError::Unsound`] if the database, its tables or
    /// the role's rights do not suit. No error holds the URL.
    pub async fn connect(url: &str, pool_size: u32) -> Result<Self, StoreError> {
        let open = move || async move { Ok(connection::open(url, pool_size).await?) };
        let pool = run("connecting", open).await?;
        let schema = run("looking at the server", || schema::schema(&pool)).await?;
        migrations::run(&pool, &schema)
            .await
            .map_err(|fault| fault.during("bringing the schema up to date"))?;
        tracing::debug!(schema, "the schema is up to date");
        let partitions = Partitions::of(schema);
        let store = Self { pool, partitions };
        store.inspect().await?;
        Ok(store)
    }
}

#[async_trait]
impl Store for PostgresStore {
    async fn commit_reports(&self, batch: &[ResolvedReport]) -> Result<Vec<Admission>, StoreError> {
        if batch.is_empty() {
            return Ok(Vec::new());
        }
        run("committing reports", || reports::commit(self, batch)).await
    }

    async fn read_deltas(&self, starts: Range<Timestamp>) -> Result<Vec<BucketCounts>, StoreError> {
        run("reading deltas", || reports::read(self, starts.clone())).await
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

    async fn publish_plan(
        &self,
        lease: &str,
        plan: &StoredPlan,
        history: &[HistoryRow],
    ) -> Result<Publication, StoreError> {
        run("publishing a plan", || {
            plans::publish(self, lease, plan, history)
        })
        .await
    }

    async fn current_plan_number(&self) -> Result<Option<u64>, StoreError> {
        run("reading the current plan's number", || {
            plans::current_number(self)
        })
        .await
    }

    async fn current_plan(&self) -> Result<Option<StoredPlan>, StoreError> {
        run("reading the current plan", || plans::current(self)).await
    }

    async fn write_history(&self, rows: &[HistoryRow]) -> Result<(), StoreError> {
        if rows.is_empty() {
            return Ok(());
        }
        run("writing history", || history::write(self, rows)).await
    }

    async fn read_history(&self, starts: Range<Timestamp>) -> Result<Vec<HistoryRow>, StoreError> {
        run("reading history", || history::read(self, starts.clone())).await
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

    async fn maintain(&self, now: Timestamp, retention: Retention) -> Result<(), StoreError> {
        run("maintaining the tables", || {
            maintenance::run(self, now, retention)
        })
        .await
    }

    async fn inspect(&self) -> Result<(), StoreError> {
        run("checking the tables", || {
            schema::inspect(&self.pool, self.partitions.schema())
        })
        .await
    }

    fn pool(&self) -> PoolState {
        PoolState::of(&self.pool)
    }

    async fn close(&self) {
        self.pool.close().await;
    }
}
