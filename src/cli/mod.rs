//! The command line: one file a command.

mod health;
mod serve;

use std::process::ExitCode;

use clap::{Parser, Subcommand};

/// One trace budget for a whole fleet: the control plane for head sampling.
#[derive(Parser)]
#[command(version, about, max_term_width = 100)]
pub struct Cli {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Run the service: take reports, compute plans, serve sampling strategies
    Serve(Box<crate::config::ServeArgs>),
    /// Ask a running service whether it is ready; exit status 0 if so
    Health(health::HealthArgs),
}

/// Runs the command that was asked for.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(args) => serve::run(&args),
        Command::Health(args) => health::run(&args),
    }
}

/// A runtime for a command.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// Exit status of a command line that does not hold, as clap's own.
const USAGE: u8 = 2;
