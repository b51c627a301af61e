//! `weir migrate`: brings the tables in PostgreSQL up to date, and ends.
//!
//! For databases where the role of `weir serve` reads and writes rows only: whoever owns the tables
//! runs this before a new release starts. Where `weir serve` runs as the owner, it does the same at
//! its start.

use std::process::ExitCode;

use clap::Args;

use super::block_on;
use crate::store::postgres::PostgresStore;
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
        hide_env_values = true
    )]
    database_url: String,
}

pub(super) fn run(args: &MigrateArgs) -> ExitCode {
    block_on(async {
        match migrate(&args.database_url).await {
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

async fn migrate(url: &str) -> Result<(), StoreError> {
    let store = PostgresStore::connect(url, 1).await?;
    store.close().await;
    Ok(())
}
