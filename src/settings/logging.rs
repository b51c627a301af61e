//! What is logged, and how.

use clap::{Args, ValueEnum};
use tracing_subscriber::EnvFilter;

/// What is logged, and how.
#[derive(Debug, Clone, Args)]
#[command(next_help_heading = "Log")]
pub struct LogSettings {
    /// Format of log lines
    #[arg(
        long,
        env = "WEIR_LOG_FORMAT",
        default_value = "text",
        value_name = "FORMAT"
    )]
    pub log_format: LogFormat,
    /// What is logged, as tracing directives: info, weir=debug, …
    #[arg(
        long,
        env = "WEIR_LOG",
        default_value = "info,actix_server=warn,h2=error,tokio_cron_scheduler=warn",
        value_name = "DIRECTIVES",
        value_parser = directives
    )]
    pub log: String,
}

/// The format of log lines.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum LogFormat {
    /// For people.
    Text,
    /// One JSON object a line.
    Json,
}

/// Checks the directives. The subscriber parses them again when it starts.
fn directives(value: &str) -> Result<String, String> {
    match EnvFilter::try_new(value) {
        Ok(_) => Ok(value.into()),
        Err(error) => Err(error.to_string()),
    }
}
