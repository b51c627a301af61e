//! The database of a command that works on it without a running Weir.

use std::path::PathBuf;

use clap::Args;

use super::TokenError;
use crate::settings::DatabaseUrl;
use crate::store::Store;
use crate::store::postgres::{PostgresSettings, PostgresStore, PreparedStatements, UrlSource};
use crate::store::sqlite::SqliteStore;

/// Where Weir keeps everything: the flags of `weir serve`.
#[derive(Debug, Args)]
pub(super) struct DatabaseArgs {
    /// The database: postgres://user:password@host:5432/database
    #[arg(
        long,
        env = "WEIR_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    database_url: Option<DatabaseUrl>,
    /// File that holds the URL, instead of --database-url
    #[arg(
        long,
        env = "WEIR_DATABASE_URL_FILE",
        value_name = "FILE",
        conflicts_with = "database_url"
    )]
    database_url_file: Option<PathBuf>,
    /// Directory of weir.db when there is no --database-url
    #[arg(
        long,
        env = "WEIR_DATA_DIR",
        default_value = ".",
        value_name = "DIRECTORY"
    )]
    data_dir: PathBuf,
}

impl DatabaseArgs {
    /// Opens the database, and brings its tables up to date if this role may.
    pub(super) async fn open(&self) -> Result<Box<dyn Store>, TokenError> {
        let text = self.database_url.as_ref();
        let text = text.map(|url| UrlSource::Text(url.expose().to_owned()));
        let url = text.or_else(|| self.database_url_file.clone().map(UrlSource::File));
        if let Some(url) = url {
            url.check()
                .map_err(|problem| TokenError::Refused(problem.to_string()))?;
            let settings = PostgresSettings {
                url,
                connections: 1,
                prepared: PreparedStatements::Auto,
            };
            return Ok(Box::new(PostgresStore::open(settings).await?));
        }
        let file = self.data_dir.join("weir.db");
        if !file.is_file() {
            return Err(TokenError::Refused(format!(
                "there is no {}: give --database-url, or the --data-dir of weir serve",
                file.display()
            )));
        }
        Ok(Box::new(SqliteStore::open(&file).await?))
    }
}
