//! Brings the schema up to date: forward only, all or nothing.

use std::borrow::Cow;

use sqlx::SqlSafeStr;
use sqlx::migrate::{Migration, MigrationType, Migrator};

use super::compatibility;
use super::connection::Connections;
use crate::store::fault::Fault;

/// A migration from its file.
macro_rules! migration {
    ($version:literal, $name:literal, $file:literal) => {
        Migration::new(
            $version,
            Cow::Borrowed($name),
            MigrationType::Simple,
            include_str!(concat!("../../../migrations/sqlite/", $file)).into_sql_str(),
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
