//! `weir migrate`: brings the tables in PostgreSQL up to date and exits.
//!
//! Needed if the role of `weir serve` does not own the tables: the owner runs this before a new
//! release starts. If `weir serve` runs as the owner, it does the same when it starts.

use std::path::PathBuf;
use std::process::ExitCode;

use clap::Args;

use super::block_on;
use crate::store::postgres::{PostgresSettings, PostgresStore, PreparedStatements, UrlSource};
use crate::store::{Store, StoreError};
use crate::telemetry::logging::chain;

/// Flags of `weir migrate`.
#[derive(Debug, Args)]
pub(super) struct MigrateArgs {
    /// The database, as the role that owns the tables, or will own them:
    /// postgres://owner:password@host:5432/database
    #[arg(
        long,
        env = "WEIR_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true,
        required_unless_present = "database_url_file"
    )]
    database_url: Option<String>,
    /// File that holds the URL, instead of --database-url
    #[arg(
        long,
        env = "WEIR_DATABASE_URL_FILE",
        value_name = "FILE",
        conflicts_with = "database_url"
    )]
    database_url_file: Option<PathBuf>,
}

impl MigrateArgs {
    fn settings(&self) -> PostgresSettings {
        let file = self.database_url_file.clone().map(UrlSource::File);
        let text = || UrlSource::Text(self.database_url.clone().unwrap_or_default());
        PostgresSettings {
            url: file.unwrap_or_else(text),
            connections: 1,
            prepared: PreparedStatements::Auto,
        }
    }
}

pub(super) fn run(args: &MigrateArgs) -> ExitCode {
    block_on(async {
        match migrate(args.settings()).await {
            Ok(()) => {
                println!("the tables are up to date");
                ExitCode::SUCCESS
            }
            Err(error) => {
                eprintln!("weir migrate failed: {}", chain(&error));
                ExitCode::FAILURE
            }
        }
    })
}

async fn migrate(settings: PostgresSettings) -> Result<(), StoreError> {
    let store = PostgresStore::open(settings).await?;
    store.close().await;
    Ok(())
}
