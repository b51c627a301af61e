//! Where data is stored.

use std::fmt;
use std::path::PathBuf;
use std::time::Duration;

use clap::Args;
use clap::builder::{PossibleValuesParser, TypedValueParser};

use crate::store::postgres::{PostgresSettings, PreparedStatements, UrlSource};

use super::parse::{DAY, HOUR, MILLISECOND, count, duration};
use crate::store::WriteFormat;

/// The database, and how it is used.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Database")]
pub struct DatabaseSettings {
    /// Directory of weir.db when there is no --database-url
    #[arg(
        long,
        env = "WEIR_DATA_DIR",
        default_value = ".",
        value_name = "DIRECTORY"
    )]
    pub data_dir: PathBuf,
    /// PostgreSQL to store everything in, for production and replicas:
    /// postgres://user:password@host:5432/database, or several hosts: host1,host2:5433. Without it: SQLite, in the data directory
    #[arg(
        long,
        env = "WEIR_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<DatabaseUrl>,
    /// File that contains the URL of the database, instead of --database-url. It is read again for
    /// every new connection, so the password can change without a restart
    #[arg(
        long,
        env = "WEIR_DATABASE_URL_FILE",
        value_name = "FILE",
        conflicts_with = "database_url"
    )]
    pub database_url_file: Option<PathBuf>,
    /// Whether PostgreSQL keeps statements prepared: auto, on or off. auto detects a connection
    /// pooler in between; use on with a pooler that supports prepared statements
    #[arg(
        long,
        env = "WEIR_DATABASE_PREPARED_STATEMENTS",
        default_value = "auto",
        value_name = "WHEN",
        value_parser = prepared_statements
    )]
    pub database_prepared_statements: PreparedStatements,
    /// Most open connections to PostgreSQL, 2 to 100
    #[arg(
        long,
        env = "WEIR_DATABASE_CONNECTIONS",
        default_value = "8",
        value_name = "N",
        value_parser = count(2_u32, 100)
    )]
    pub database_connections: u32,
    /// How long to wait for the database at start, up to 24h
    #[arg(
        long,
        env = "WEIR_DATABASE_WAIT",
        default_value = "60s",
        value_name = "DURATION",
        value_parser = duration(Duration::ZERO, DAY)
    )]
    pub database_wait: Duration,
    /// Formats in which all replicas write counts, plans and history from now on: previous, which the
    /// previous release can read, or newest, for after an upgrade. If absent, the last choice stays
    #[arg(
        long,
        env = "WEIR_WRITE_FORMAT",
        value_name = "FORMAT",
        value_parser = write_format()
    )]
    pub write_format: Option<WriteFormat>,
    /// A database call that takes longer is logged as slow, 1ms to 1h
    #[arg(
        long,
        env = "WEIR_SLOW_CALL",
        default_value = "1s",
        value_name = "DURATION",
        value_parser = duration(MILLISECOND, HOUR)
    )]
    pub slow_call: Duration,
}

fn write_format() -> impl TypedValueParser<Value = WriteFormat> {
    PossibleValuesParser::new(["previous", "newest"]).map(|name| match &*name {
        "newest" => WriteFormat::Newest,
        _ => WriteFormat::Previous,
    })
}

/// The URL of a database. It may contain a password, so it is never printed, not even if it is
/// wrong. Any value parses; [`super::Settings::check`] checks it.
#[derive(Clone)]
pub struct DatabaseUrl(String);

impl DatabaseUrl {
    /// The URL, with its password.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl From<&str> for DatabaseUrl {
    fn from(url: &str) -> Self {
        Self(url.into())
    }
}

impl fmt::Debug for DatabaseUrl {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("…")
    }
}

/// Where data is stored.
#[derive(Debug, Clone)]
pub enum Database {
    /// PostgreSQL, for production and replicas.
    Postgres(PostgresSettings),
    /// SQLite in this file, the embedded default.
    Sqlite(PathBuf),
}

impl Database {
    /// A description for the log, without secrets.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Postgres(_) => "PostgreSQL".into(),
            Self::Sqlite(path) => format!("SQLite in {}", path.display()),
        }
    }
}

impl DatabaseSettings {
    /// The database that the flags select.
    #[must_use]
    pub fn place(&self) -> Database {
        match self.url() {
            Some(url) => Database::Postgres(PostgresSettings {
                url,
                connections: self.database_connections,
                prepared: self.database_prepared_statements,
            }),
            None => Database::Sqlite(self.data_dir.join("weir.db")),
        }
    }

    fn url(&self) -> Option<UrlSource> {
        let text = self.database_url.as_ref();
        let text = text.map(|url| UrlSource::Text(url.expose().to_owned()));
        text.or_else(|| self.database_url_file.clone().map(UrlSource::File))
    }

    pub(super) fn check(&self, problems: &mut Vec<String>) {
        match self.url() {
            None if !self.data_dir.is_dir() => problems.push(format!(
                "--data-dir {}: is not a directory",
                self.data_dir.display()
            )),
            Some(url) => problems.extend(url.check().err().map(|problem| problem.to_string())),
            None => {}
        }
    }
}

fn prepared_statements(text: &str) -> Result<PreparedStatements, &'static str> {
    match text {
        "auto" => Ok(PreparedStatements::Auto),
        "on" => Ok(PreparedStatements::On),
        "off" => Ok(PreparedStatements::Off),
        _ => Err("must be auto, on or off"),
    }
}
