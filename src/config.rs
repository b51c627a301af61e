//! The settings of a process: flags and environment, checked all at once.

mod check;

use std::fmt;
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::time::Duration;

use check::Checker;
use clap::Args;

use crate::store::DictionaryLimits;

/// Flags of `weir serve`, as text: what they mean is checked in one go by [`Config::from_args`].
#[derive(Debug, Clone, Args)]
pub struct ServeArgs {
    /// Address for SDKs and agents: sampling strategies out, reports in. Port 0 takes a free one
    #[arg(
        long,
        env = "WEIR_LISTEN",
        default_value = "127.0.0.1:5778",
        value_name = "ADDRESS"
    )]
    pub listen: String,
    /// Address for operators: the admin API and health. Only loopback unless --insecure-admin
    #[arg(
        long,
        env = "WEIR_ADMIN_LISTEN",
        default_value = "127.0.0.1:8778",
        value_name = "ADDRESS"
    )]
    pub admin_listen: String,
    /// How often a plan is computed, 1s to 1h
    #[arg(
        long,
        env = "WEIR_INTERVAL",
        default_value = "60s",
        value_name = "DURATION"
    )]
    pub interval: String,
    /// How long after its end a window still waits for reports [default: a sixth of the interval]
    #[arg(long, env = "WEIR_GRACE", value_name = "DURATION")]
    pub grace: Option<String>,
    /// Where weir.db is kept when there is no --database-url
    #[arg(
        long,
        env = "WEIR_DATA_DIR",
        default_value = ".",
        value_name = "DIRECTORY"
    )]
    pub data_dir: PathBuf,
    /// PostgreSQL to keep everything in, for production and replicas:
    /// postgres://user:password@host:5432/database. Without it: SQLite, in the data directory
    #[arg(
        long,
        env = "WEIR_DATABASE_URL",
        value_name = "URL",
        hide_env_values = true
    )]
    pub database_url: Option<String>,
    /// Connections kept to PostgreSQL, 2 to 100
    #[arg(
        long,
        env = "WEIR_DATABASE_CONNECTIONS",
        default_value = "8",
        value_name = "N"
    )]
    pub database_connections: String,
    /// How long to wait at start for the database to come up
    #[arg(
        long,
        env = "WEIR_DATABASE_WAIT",
        default_value = "60s",
        value_name = "DURATION"
    )]
    pub database_wait: String,
    /// The oldest report taken, by the start of its window, 1m to 24h
    #[arg(
        long,
        env = "WEIR_REPORT_AGE_MAX",
        default_value = "1h",
        value_name = "DURATION"
    )]
    pub report_age_max: String,
    /// How long per-operation history is kept, 1h to 90d
    #[arg(
        long,
        env = "WEIR_HISTORY",
        default_value = "24h",
        value_name = "DURATION"
    )]
    pub history: String,
    /// An operation that nobody reports for this long is forgotten, 1h to 90d
    #[arg(
        long,
        env = "WEIR_RETIRE_AFTER",
        default_value = "24h",
        value_name = "DURATION"
    )]
    pub retire_after: String,
    /// Services kept apart; the rest is counted as __other__
    #[arg(
        long,
        env = "WEIR_MAX_SERVICES",
        default_value = "10000",
        value_name = "N"
    )]
    pub max_services: String,
    /// Operations kept apart in one service; the rest is counted as its __other__
    #[arg(
        long,
        env = "WEIR_MAX_OPERATIONS_PER_SERVICE",
        default_value = "2000",
        value_name = "N"
    )]
    pub max_operations_per_service: String,
    /// Operations kept apart in the whole fleet
    #[arg(
        long,
        env = "WEIR_MAX_OPERATIONS",
        default_value = "1000000",
        value_name = "N"
    )]
    pub max_operations: String,
    /// Largest report taken, in bytes after decompression
    #[arg(
        long,
        env = "WEIR_MAX_REPORT_BYTES",
        default_value = "4194304",
        value_name = "BYTES"
    )]
    pub max_report_bytes: String,
    /// Open connections taken on the SDK listener
    #[arg(
        long,
        env = "WEIR_MAX_CONNECTIONS",
        default_value = "10000",
        value_name = "N"
    )]
    pub max_connections: String,
    /// Services with metrics of their own, those that spend most; the others are told together
    #[arg(
        long,
        env = "WEIR_METRICS_SERVICES",
        default_value = "20",
        value_name = "N"
    )]
    pub metrics_services: String,
    /// A database call that takes longer is logged as slow, 1ms to 1h
    #[arg(
        long,
        env = "WEIR_SLOW_CALL",
        default_value = "1s",
        value_name = "DURATION"
    )]
    pub slow_call: String,
    /// Let the admin listener, which has no authentication, listen on other than loopback
    #[arg(long, env = "WEIR_INSECURE_ADMIN")]
    pub insecure_admin: bool,
    /// How log lines look: text or json
    #[arg(
        long,
        env = "WEIR_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: String,
    /// What is logged, as tracing directives: info, weir=debug, …
    #[arg(
        long,
        env = "WEIR_LOG",
        default_value = "info,actix_server=warn,tokio_cron_scheduler=warn",
        value_name = "DIRECTIVES"
    )]
    pub log: String,
}

/// Checked settings.
#[derive(Debug, Clone)]
pub struct Config {
    /// The SDK listener.
    pub listen: SocketAddr,
    /// The admin listener.
    pub admin_listen: SocketAddr,
    /// How often a plan is computed; also the length of a bucket.
    pub interval: Duration,
    /// How long after its end a window waits for reports.
    pub grace: Duration,
    /// Where everything is kept.
    pub database: Database,
    /// How long to wait at start for the database.
    pub database_wait: Duration,
    /// The oldest report taken.
    pub report_age_max: Duration,
    /// How long history is kept.
    pub history: Duration,
    /// How long a silent operation is remembered.
    pub retire_after: Duration,
    /// How many names are kept apart.
    pub dictionary: DictionaryLimits,
    /// The largest report, in bytes after decompression.
    pub report_bytes_max: usize,
    /// Open connections on the SDK listener.
    pub connections_max: usize,
    /// Services with metrics of their own.
    pub metrics_services: usize,
    /// A database call that takes longer is logged as slow.
    pub slow_call: Duration,
}

/// Where everything is kept.
#[derive(Clone)]
pub enum Database {
    /// PostgreSQL, for production and replicas.
    Postgres {
        /// Holds the password: never printed.
        url: String,
        /// Connections in the pool.
        connections: u32,
    },
    /// SQLite in this file, the embedded default.
    Sqlite(PathBuf),
}

impl fmt::Debug for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.describe())
    }
}

impl Database {
    /// What a log may say of it.
    #[must_use]
    pub fn describe(&self) -> String {
        match self {
            Self::Postgres { .. } => "PostgreSQL".into(),
            Self::Sqlite(path) => format!("SQLite in {}", path.display()),
        }
    }
}

/// Everything that is wrong with the settings.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{}", .0.join("\n"))]
pub struct ConfigErrors(pub Vec<String>);

const MILLISECOND: Duration = Duration::from_millis(1);
const SECOND: Duration = Duration::from_secs(1);
const HOUR: Duration = Duration::from_secs(3600);
const DAY: Duration = Duration::from_secs(24 * 3600);

impl Config {
    /// An embedded Weir for a demonstration: free ports on loopback, SQLite in `data_dir`.
    #[must_use]
    pub fn embedded(interval: Duration, grace: Duration, data_dir: &Path) -> Self {
        let loopback = SocketAddr::from(([127, 0, 0, 1], 0));
        Self {
            listen: loopback,
            admin_listen: loopback,
            interval,
            grace,
            database: Database::Sqlite(data_dir.join("weir.db")),
            database_wait: Duration::ZERO,
            report_age_max: HOUR,
            history: DAY,
            retire_after: DAY,
            dictionary: DictionaryLimits {
                services: 10_000,
                operations_per_service: 2_000,
                operations: 1_000_000,
            },
            report_bytes_max: 4 << 20,
            connections_max: 10_000,
            metrics_services: 20,
            slow_call: SECOND,
        }
    }

    /// Checks all settings.
    ///
    /// # Errors
    /// Lists everything that is wrong, a line each, by flag.
    pub fn from_args(args: &ServeArgs) -> Result<Self, ConfigErrors> {
        let mut check = Checker::default();
        let listen = check.address("listen", &args.listen);
        let admin_listen = check.address("admin-listen", &args.admin_listen);
        if !admin_listen.ip().is_loopback() && !args.insecure_admin {
            check.wrong(
                "admin-listen",
                &args.admin_listen,
                "the admin API has no authentication and listens on loopback only; \
                 --insecure-admin says that you protect it yourself",
            );
        }
        let interval = check.duration("interval", &args.interval, SECOND, HOUR);
        if interval.subsec_nanos() % 1_000_000 != 0 {
            check.wrong("interval", &args.interval, "must be whole milliseconds");
        }
        let grace = args.grace.as_ref().map_or(interval / 6, |grace| {
            check.duration("grace", grace, Duration::ZERO, 10 * interval)
        });
        let report_age_max = &args.report_age_max;
        let config = Self {
            listen,
            admin_listen,
            interval,
            grace,
            database: database(&mut check, args),
            database_wait: check.duration(
                "database-wait",
                &args.database_wait,
                Duration::ZERO,
                DAY,
            ),
            report_age_max: check.duration("report-age-max", report_age_max, 60 * SECOND, DAY),
            history: check.duration("history", &args.history, HOUR, 90 * DAY),
            retire_after: check.duration("retire-after", &args.retire_after, HOUR, 90 * DAY),
            dictionary: limits(&mut check, args),
            report_bytes_max: check.count(
                "max-report-bytes",
                &args.max_report_bytes,
                1024,
                256 << 20,
            ) as usize,
            metrics_services: check.count("metrics-services", &args.metrics_services, 0, 1000)
                as usize,
            slow_call: check.duration("slow-call", &args.slow_call, MILLISECOND, HOUR),
            connections_max: check.count("max-connections", &args.max_connections, 1, 1_000_000)
                as usize,
        };
        if !["text", "json"].contains(&args.log_format.as_str()) {
            check.wrong("log-format", &args.log_format, "must be text or json");
        }
        if let Err(error) = tracing_subscriber::EnvFilter::try_new(&args.log) {
            check.wrong("log", &args.log, error);
        }
        if check.errors.is_empty() {
            Ok(config)
        } else {
            Err(ConfigErrors(check.errors))
        }
    }
}

fn limits(check: &mut Checker, args: &ServeArgs) -> DictionaryLimits {
    DictionaryLimits {
        services: check.count("max-services", &args.max_services, 1, 1_000_000),
        operations_per_service: check.count(
            "max-operations-per-service",
            &args.max_operations_per_service,
            1,
            100_000,
        ),
        operations: check.count("max-operations", &args.max_operations, 1, 10_000_000),
    }
}

fn database(check: &mut Checker, args: &ServeArgs) -> Database {
    let connections = check.count("database-connections", &args.database_connections, 2, 100);
    let Some(url) = &args.database_url else {
        if !args.data_dir.is_dir() {
            let given = args.data_dir.display().to_string();
            check.wrong("data-dir", &given, "is not a directory");
        }
        return Database::Sqlite(args.data_dir.join("weir.db"));
    };
    if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
        // The value may hold a password, so the message does not repeat it.
        check.wrong("database-url", "…", "must start with postgres://");
    }
    Database::Postgres {
        url: url.clone(),
        connections,
    }
}

#[cfg(test)]
mod tests {
    use clap::Parser;

    use super::*;

    #[derive(Parser)]
    struct Command {
        #[command(flatten)]
        serve: ServeArgs,
    }

    fn config(flags: &[&str]) -> Result<Config, ConfigErrors> {
        let given = ["weir"].iter().chain(flags);
        Config::from_args(&Command::try_parse_from(given).unwrap().serve)
    }

    #[test]
    fn the_defaults_are_sound() {
        let config = config(&[]).unwrap();
        assert_eq!(config.interval, Duration::from_secs(60));
        assert_eq!(config.grace, Duration::from_secs(10));
        assert!(matches!(config.database, Database::Sqlite(path) if path.ends_with("weir.db")));
    }

    #[test]
    fn everything_wrong_is_said_at_once() {
        let flags = [
            "--interval",
            "0s",
            "--listen",
            "here",
            "--admin-listen",
            "0.0.0.0:1",
            "--max-services",
            "-",
        ];
        let said = config(&flags).unwrap_err().0;
        let starts: Vec<_> = said
            .iter()
            .map(|line| line.split_whitespace().next().unwrap())
            .collect();
        assert_eq!(
            starts,
            ["--listen", "--admin-listen", "--interval", "--max-services"]
        );
    }

    #[test]
    fn a_database_url_is_never_repeated() {
        let said = config(&["--database-url", "mysql://weir:geheim@db/weir"]).unwrap_err();
        assert!(!said.to_string().contains("geheim"));
        let fine = config(&["--database-url", "postgres://weir:geheim@db/weir"]).unwrap();
        assert!(!format!("{fine:?}").contains("geheim"));
    }
}
