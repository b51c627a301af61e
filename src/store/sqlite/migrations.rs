//! Brings the schema up to date: forward only, all or nothing.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::compatibility;
use super::connection::Connections;
use crate::store::fault::Fault;

/// Every migration, oldest first.
fn all() -> Vec<Migration> {
    let first = include_str!("../../../migrations/sqlite/0001_first_tables.sql");
    let formats = include_str!("../../../migrations/sqlite/0005_settlement_and_formats.sql");
    let fleet = include_str!("../../../migrations/sqlite/0006_fleet.sql");
    let identity = include_str!("../../../migrations/sqlite/0007_plan_identity.sql");
    let shared = include_str!("../../../migrations/sqlite/0008_more_fleet_settings.sql");
    let simple = |version, name, sql: &'static str| {
        Migration::new(
            version,
            Cow::Borrowed(name),
            MigrationType::Simple,
            sql.into_sql_str(),
            false,
        )
    };
    let incarnations = include_str!("../../../migrations/sqlite/0002_incarnations.sql");
    vec![
        simple(1, "first tables", first),
        simple(2, "incarnations", incarnations),
        simple(5, "settlement and formats", formats),
        simple(6, "fleet", fleet),
        simple(7, "plan identity", identity),
        simple(8, "more fleet settings", shared),
    ]
}

/// Applies missing migrations while holding the file's write lock.
///
/// # Errors
/// A file that only newer programs can work with is refused.
pub(super) async fn run(connections: &Connections) -> Result<(), Fault> {
    let mut transaction = connections.write().await?;
    compatibility::check(&mut transaction).await?;
    let mut migrator = Migrator::with_migrations(all());
    migrator.set_locking(false);
    // A newer program may have applied more. Its schema suits this one, or the check has refused
    // it.
    migrator.set_ignore_missing(true);
    migrator
        .run_direct(None, &mut *transaction, false)
        .await
        .map_err(sqlx::Error::from)?;
    transaction.commit().await
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_file_is_listed() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/migrations/sqlite");
        let files = std::fs::read_dir(folder).unwrap().count();
        assert_eq!(super::all().len(), files);
    }
}
