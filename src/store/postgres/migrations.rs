//! Brings the schema up to date: forward only, all or nothing, one replica at a time.

use std::borrow::Cow;
use std::collections::HashMap;
use std::time::Duration;

use sqlx::SqlSafeStr;
use sqlx::migrate::{MigrateError, Migration, MigrationType, Migrator};

use super::compatibility;
use super::connection::Connection;
use super::pool::Pool;
use super::schema::expected::TABLES;
use super::transaction::{Limits, Transaction};
use crate::store::fault::{self, Fault};

/// The number of the advisory lock for migrations in schema `public`: «weirmigr» in ASCII.
const LOCK: i64 = 0x7765_6972_6d69_6772;

/// A migration from its file.
macro_rules! migration {
    ($version:literal, $name:literal, $file:literal) => {
        Migration::new(
            $version,
            Cow::Borrowed($name),
            MigrationType::Simple,
            include_str!(concat!("../../../migrations/postgres/", $file)).into_sql_str(),
            false,
        )
    };
}

/// Every migration, oldest first.
fn all() -> Vec<Migration> {
    vec![
        migration!(1, "first tables", "0001_first_tables.sql"),
        migration!(2, "incarnations", "0002_incarnations.sql"),
        migration!(
            3,
            "partitions by their owner",
            "0003_partitions_by_their_owner.sql"
        ),
        migration!(
            5,
            "settlement and formats",
            "0005_settlement_and_formats.sql"
        ),
        migration!(6, "fleet", "0006_fleet.sql"),
        migration!(7, "plan identity", "0007_plan_identity.sql"),
        migration!(8, "more fleet settings", "0008_more_fleet_settings.sql"),
        migration!(9, "reports of a delta", "0009_reports_of_a_delta.sql"),
        migration!(10, "source states", "0010_source_states.sql"),
        migration!(11, "polls", "0011_polls.sql"),
        migration!(12, "final names", "0012_final_names.sql"),
        migration!(13, "tokens", "0013_tokens.sql"),
        migration!(15, "audit", "0015_audit.sql"),
        migration!(16, "sessions", "0016_sessions.sql"),
        migration!(17, "series", "0017_series.sql"),
        migration!(18, "observations", "0018_observations.sql"),
        migration!(19, "origins", "0019_origins.sql"),
        migration!(20, "edges", "0020_edges.sql"),
    ]
}

/// The tables of ours in a schema, and whether there is a record of the migrations that created
/// them.
const READ_STATE: &str = "\
-- migrations: read state
select exists (
    select from pg_class where relnamespace = n.oid and relname = '_sqlx_migrations'
) as recorded, (
    select count(*) from pg_class where relnamespace = n.oid and relname = any($2)
) as tables
from pg_namespace as n where n.nspname = $1";

/// How long a change of the schema may wait for a lock. Everybody who comes later queues behind it,
/// so the time is short, and the change is tried again.
const PATIENCE: &str = "-- migrations: patience\nset local lock_timeout = '2s'";

/// How often it is tried.
const ATTEMPTS: u32 = 15;

/// The pause between two attempts, in which others can proceed.
const PAUSE: Duration = Duration::from_secs(1);

/// SQLSTATE «lock not available».
const LOCK_NOT_AVAILABLE: &str = "55P03";

/// Applies missing migrations. A role that may only read and write rows finds none missing.
///
/// # Errors
/// A database that only newer programs can work with is refused.
pub(super) async fn run(pool: &Pool, schema: &str) -> Result<(), Fault> {
    let mut attempt = 1;
    loop {
        match bring_up_to_date(pool, schema).await {
            Err(Fault::Driver(error)) if attempt < ATTEMPTS && waits_for_a_lock(&error) => {
                tracing::warn!(
                    attempt,
                    "the schema cannot be changed yet: another session holds a lock on it"
                );
                tokio::time::sleep(PAUSE).await;
                attempt += 1;
            }
            outcome => return outcome,
        }
    }
}

/// Whether an error, or one inside it, says that a lock was not available in time.
fn waits_for_a_lock(error: &sqlx::Error) -> bool {
    match error {
        sqlx::Error::Migrate(inner) => match &**inner {
            MigrateError::Execute(error) | MigrateError::ExecuteMigration(error, _) => {
                waits_for_a_lock(error)
            }
            _ => false,
        },
        error => fault::code(error).as_deref() == Some(LOCK_NOT_AVAILABLE),
    }
}

/// Applies missing migrations. If none are missing, nothing waits for a lock.
///
/// The lock belongs to the transaction, so it is always released, and it works through a
/// transaction-pooling proxy; sqlx's own lock belongs to the session. A replica that waited finds
/// nothing left to do.
async fn bring_up_to_date(pool: &Pool, schema: &str) -> Result<(), Fault> {
    let mut glance = Transaction::begin(pool, Limits::Glance).await?;
    match compatibility::check(&mut glance, schema).await {
        Err(Fault::Driver(error)) => return Err(refused(error, schema)),
        checked => checked?,
    }
    let due = is_due(&mut glance, schema).await?;
    glance.commit().await?;
    if !due {
        return Ok(());
    }
    let mut transaction = Transaction::begin(pool, Limits::Unbounded).await?;
    sqlx::query(PATIENCE).execute(&mut *transaction).await?;
    sqlx::query("-- migrations: lock\nselect pg_advisory_xact_lock($1)")
        .bind(lock(schema))
        .execute(&mut *transaction)
        .await?;
    if is_due(&mut transaction, schema).await? {
        let mut migrator = Migrator::with_migrations(all());
        migrator.set_locking(false);
        // A newer replica may have applied more. Its schema suits this one, or it was refused
        // above.
        migrator.set_ignore_missing(true);
        migrator
            .run_direct(None, &mut *transaction, false)
            .await
            .map_err(|error| refused(error, schema))?;
    }
    transaction.commit().await
}

/// Whether a migration of ours is not recorded, or is recorded with another text.
///
/// # Errors
/// [`Fault::Unsound`] if there are tables without a record. A restore may create the record last.
async fn is_due(connection: &mut Connection, schema: &str) -> Result<bool, Fault> {
    let tables: Vec<&str> = TABLES.iter().map(|table| table.name).collect();
    let (recorded, tables): (bool, i64) = sqlx::query_as(READ_STATE)
        .bind(schema)
        .bind(tables)
        .fetch_one(&mut *connection)
        .await?;
    let mut applied = HashMap::new();
    if recorded {
        let read = "-- migrations: read applied\nselect version, checksum from _sqlx_migrations";
        let rows: Vec<(i64, Vec<u8>)> = sqlx::query_as(read)
            .fetch_all(connection)
            .await
            .map_err(|error| refused(error, schema))?;
        applied.extend(rows);
    }
    if applied.is_empty() && tables > 0 {
        return Err(Fault::Unsound(format!(
            "schema {schema} has tables of Weir, but no record of how they were made in table \
             _sqlx_migrations; wait for a restore that is running, repeat one that left it out \
             (docs/postgresql.md, Backup and restore)"
        )));
    }
    let is_applied = |migration: &Migration| {
        applied
            .get(&migration.version)
            .is_some_and(|checksum| checksum[..] == migration.checksum[..])
    };
    Ok(!all().iter().all(is_applied))
}

/// Names the missing right, if an error is about one.
fn refused(error: impl Into<sqlx::Error>, schema: &str) -> Fault {
    let error = error.into();
    if fault::is_denied(&error) {
        return Fault::Unsound(format!(
            "the tables in schema {schema} must be made or brought up to date, and this role may \
             not: run `weir migrate` with the URL of their owner, or grant the rights that are \
             missing (docs/postgresql.md, Rights)"
        ));
    }
    error.into()
}

/// The number of the advisory lock for a schema. Earlier releases use the same number for every
/// schema, and are mostly in `public`.
fn lock(schema: &str) -> i64 {
    if schema == "public" {
        return LOCK;
    }
    // FNV-1a, 64 bits: the same in every release, unlike the hash of the standard library.
    let hash = schema
        .bytes()
        .fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
            (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
        });
    LOCK ^ hash.cast_signed()
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/postgres");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(super::all().len(), files);
    }
}
