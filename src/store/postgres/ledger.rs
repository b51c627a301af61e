//! The table of applied migrations, in the form that sqlx's migrator needs.
//!
//! The driver's own implementation names its statements, which does not work with a
//! transaction-pooling proxy. This one uses [`Connection`], which handles that.

use std::time::{Duration, Instant};

use futures_util::future::BoxFuture;
use sqlx::AssertSqlSafe;
use sqlx::migrate::{AppliedMigration, Migrate, MigrateError, Migration};

use super::connection::Connection;

const NO_LOCK: &str = "the transaction holds the lock";

impl Migrate for Connection {
    fn create_schema_if_not_exists<'e>(
        &'e mut self,
        schema: &'e str,
    ) -> BoxFuture<'e, Result<(), MigrateError>> {
        Box::pin(async move {
            let statement =
                format!("-- migrations: create schema\ncreate schema if not exists {schema}");
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(self)
                .await?;
            Ok(())
        })
    }

    fn ensure_migrations_table<'e>(
        &'e mut self,
        table: &'e str,
    ) -> BoxFuture<'e, Result<(), MigrateError>> {
        Box::pin(async move {
            let statement = format!(
                "-- migrations: create table
                create table if not exists {table} (
                    version bigint primary key,
                    description text not null,
                    installed_on timestamptz not null default now(),
                    success boolean not null,
                    checksum bytea not null,
                    execution_time bigint not null
                )"
            );
            sqlx::raw_sql(AssertSqlSafe(statement))
                .execute(self)
                .await?;
            Ok(())
        })
    }

    fn dirty_version<'e>(
        &'e mut self,
        table: &'e str,
    ) -> BoxFuture<'e, Result<Option<i64>, MigrateError>> {
        Box::pin(async move {
            let statement = format!(
                "-- migrations: find dirty
                select version from {table} where not success order by version limit 1"
            );
            let query = sqlx::query_scalar(AssertSqlSafe(statement));
            Ok(query.fetch_optional(self).await?)
        })
    }

    fn list_applied_migrations<'e>(
        &'e mut self,
        table: &'e str,
    ) -> BoxFuture<'e, Result<Vec<AppliedMigration>, MigrateError>> {
        Box::pin(async move {
            let statement = format!(
                "-- migrations: list applied
                select version, checksum from {table} order by version"
            );
            let query = sqlx::query_as(AssertSqlSafe(statement));
            let rows: Vec<(i64, Vec<u8>)> = query.fetch_all(self).await?;
            let applied = rows
                .into_iter()
                .map(|(version, checksum)| AppliedMigration {
                    version,
                    checksum: checksum.into(),
                });
            Ok(applied.collect())
        })
    }

    fn lock(&mut self) -> BoxFuture<'_, Result<(), MigrateError>> {
        Box::pin(async { Err(sqlx::Error::InvalidArgument(NO_LOCK.into()).into()) })
    }

    fn unlock(&mut self) -> BoxFuture<'_, Result<(), MigrateError>> {
        Box::pin(async { Err(sqlx::Error::InvalidArgument(NO_LOCK.into()).into()) })
    }

    fn apply<'e>(
        &'e mut self,
        table: &'e str,
        migration: &'e Migration,
    ) -> BoxFuture<'e, Result<Duration, MigrateError>> {
        Box::pin(async move {
            let began = Instant::now();
            sqlx::raw_sql(migration.sql.clone())
                .execute(&mut *self)
                .await
                .map_err(|error| MigrateError::ExecuteMigration(error, migration.version))?;
            let took = began.elapsed();
            let statement = format!(
                "-- migrations: insert applied
                insert into {table} (version, description, success, checksum, execution_time)
                values ($1, $2, true, $3, $4)"
            );
            sqlx::query(AssertSqlSafe(statement))
                .bind(migration.version)
                .bind(&*migration.description)
                .bind(&*migration.checksum)
                .bind(i64::try_from(took.as_nanos()).unwrap_or(i64::MAX))
                .execute(&mut *self)
                .await?;
            Ok(took)
        })
    }

    fn revert<'e>(
        &'e mut self,
        _table: &'e str,
        _migration: &'e Migration,
    ) -> BoxFuture<'e, Result<Duration, MigrateError>> {
        let forward_only = "migrations go forward only";
        Box::pin(async move { Err(sqlx::Error::InvalidArgument(forward_only.into()).into()) })
    }
}
