//! Brings the schema up to date: forward only, all or nothing, one replica at a time.

use std::borrow::Cow;

use sqlx::PgPool;
use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::connection::Session;
use crate::store::fault::Fault;

/// Stands for Weir's migrations among the advisory locks of a database: «weirmigr» in ASCII.
const LOCK: i64 = 0x7765_6972_6d69_6772;

/// Every migration, oldest first.
fn all() -> Vec<Migration> {
    let first = include_str!("../../../migrations/postgres/0001_first_tables.sql");
    let fleet = include_str!("../../../migrations/postgres/0006_fleet.sql");
    let simple = |version, name, sql: &'static str| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    vec![simple(1, "first tables", first), simple(6, "fleet", fleet)]
}

/// Applies what is missing.
///
/// The lock belongs to the transaction, so that it goes with it whatever happens and works
/// through a transaction-pooling proxy; sqlx's own belongs to the session. A replica that waited
/// finds nothing left to do.
pub(super) async fn run(pool: &PgPool) -> Result<(), Fault> {
    let mut session = Session::open(pool).await?;
    let mut transaction = session.begin_unbounded().await?;
    sqlx::query("-- migrations: lock\nselect pg_advisory_xact_lock($1)")
        .bind(LOCK)
        .execute(&mut *transaction)
        .await?;
    let mut migrator = Migrator::with_migrations(all());
    migrator.set_locking(false);
    // A newer replica may have been here: its schema suits this one, for changes expand first.
    migrator.set_ignore_missing(true);
    migrator
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(sqlx::Error::from)?;
    transaction.commit().await?;
    session.keep();
    Ok(())
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
