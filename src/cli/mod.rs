//! The command line: one file a command.

#[cfg(feature = "simulate")]
pub mod demo;
mod health;
mod migrate;
#[cfg(feature = "simulate")]
pub mod replay;
mod serve;
#[cfg(feature = "simulate")]
mod signals;
#[cfg(feature = "simulate")]
pub mod simulate;

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
#[allow(clippy::large_enum_variant, reason = "there is one, parsed once")]
enum Command {
    /// Run the service: take reports, compute plans, serve sampling strategies
    Serve(crate::settings::Settings),
    /// Play recorded traffic against a running Weir and judge what it kept
    #[cfg(feature = "simulate")]
    Replay(replay::ReplayArgs),
    /// Play recorded traffic against the engine alone, a day in seconds
    #[cfg(feature = "simulate")]
    Simulate(simulate::SimulateArgs),
    /// Run Weir and a made-up fleet together for a minute, ending in a verdict
    #[cfg(feature = "simulate")]
    Demo(demo::DemoArgs),
    /// Bring the tables in PostgreSQL up to date as their owner, then end
    Migrate(migrate::MigrateArgs),
    /// Ask a running service whether it is ready; exit status 0 if so
    Health(health::HealthArgs),
}

/// Runs the command that was asked for.
#[must_use]
pub fn run() -> ExitCode {
    match Cli::parse().command {
        Command::Serve(settings) => serve::run(settings),
        #[cfg(feature = "simulate")]
        Command::Replay(args) => block_on(replay::run(args)),
        #[cfg(feature = "simulate")]
        Command::Simulate(args) => simulate::run(&args),
        #[cfg(feature = "simulate")]
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Migrate(args) => migrate::run(&args),
        Command::Health(args) => health::run(&args),
    }
}

/// Writes a line to standard error, for people who may have gone: unlike `eprintln!`, it does not
/// panic where the terminal is closed.
#[cfg(feature = "simulate")]
fn say(line: &str) {
    use std::io::Write;
    let _ = writeln!(std::io::stderr(), "{line}");
}

/// A runtime for a command.
fn runtime() -> std::io::Result<tokio::runtime::Runtime> {
    tokio::runtime::Builder::new_multi_thread()
        .enable_all()
        .build()
}

/// Runs a command to its end.
fn block_on(command: impl Future<Output = ExitCode>) -> ExitCode {
    match runtime() {
        Ok(runtime) => runtime.block_on(command),
        Err(error) => {
            eprintln!("weir: cannot start: {error}");
            ExitCode::FAILURE
        }
    }
}

/// Exit status of a command line that does not hold, as clap's own.
const USAGE: u8 = 2;
