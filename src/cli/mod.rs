//! The command line: one file per command.

#[cfg(feature = "simulate")]
pub mod demo;
#[cfg(feature = "edge")]
mod edge;
mod environment;
mod health;
mod migrate;
#[cfg(feature = "operate")]
mod operate;
#[cfg(feature = "simulate")]
pub mod replay;
mod serve;
#[cfg(feature = "simulate")]
pub mod shown;
#[cfg(feature = "simulate")]
mod signals;
#[cfg(feature = "simulate")]
pub mod simulate;
mod token;

use std::process::ExitCode;

use clap::{CommandFactory, FromArgMatches, Parser, Subcommand};

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
    /// Run the edge: take spans in OTLP, decide about whole traces, send on what is kept
    #[cfg(feature = "edge")]
    Edge(edge::EdgeArgs),
    /// Play recorded traffic against a running Weir and judge what the fleet sampled
    #[cfg(feature = "simulate")]
    Replay(replay::ReplayArgs),
    /// Play recorded traffic against the allocation alone; a day takes seconds
    #[cfg(feature = "simulate")]
    Simulate(simulate::SimulateArgs),
    /// Run Weir and a simulated fleet together for a minute, and judge the result
    #[cfg(feature = "simulate")]
    Demo(demo::DemoArgs),
    /// Bring the tables in PostgreSQL up to date, as their owner, and exit
    Migrate(migrate::MigrateArgs),
    /// Create, list and revoke tokens in the database, on the host
    Token(token::TokenArgs),
    /// Ask a running service whether it is ready; exit status 0 if so
    Health(health::HealthArgs),
    #[cfg(feature = "operate")]
    #[command(flatten)]
    Operate(weir_operate::Command),
}

/// Runs the command that was asked for.
#[must_use]
pub fn run() -> ExitCode {
    let mut line = take_negative_numbers(Cli::command());
    let matches = line.get_matches_mut();
    let cli = Cli::from_arg_matches(&matches).map_err(|error| error.format(&mut line));
    let command = cli.unwrap_or_else(|error| error.exit()).command;
    let ignored = environment::unknown(&line, variables());
    // The service and the edge say it in their log.
    let serves = match &command {
        Command::Serve(_) => true,
        #[cfg(feature = "edge")]
        Command::Edge(_) => true,
        _ => false,
    };
    if !serves {
        ignored.iter().for_each(|what| eprintln!("weir: {what}"));
    }
    match command {
        Command::Serve(settings) => serve::run(settings, &ignored),
        #[cfg(feature = "edge")]
        Command::Edge(args) => edge::run(args, &ignored),
        #[cfg(feature = "simulate")]
        Command::Replay(args) => block_on(replay::run(args)),
        #[cfg(feature = "simulate")]
        Command::Simulate(args) => simulate::run(&args),
        #[cfg(feature = "simulate")]
        Command::Demo(args) => block_on(demo::run(args)),
        Command::Migrate(args) => migrate::run(&args),
        Command::Token(args) => token::run(args),
        Command::Health(args) => health::run(&args),
        #[cfg(feature = "operate")]
        Command::Operate(command) => block_on(weir_operate::run(command, operate::SERVICE)),
    }
}

/// The environment, without what is not Unicode: no setting is called so.
fn variables() -> impl Iterator<Item = (String, String)> {
    std::env::vars_os().filter_map(|(name, value)| {
        let value = value.into_string().unwrap_or_default();
        Some((name.into_string().ok()?, value))
    })
}

/// Lets every flag take a number below zero, so that its own check can say what is wrong with it. clap
/// takes `-5` for a flag otherwise, which it does not know.
fn take_negative_numbers(command: clap::Command) -> clap::Command {
    let takes = |flag: clap::Arg| match flag.get_action().takes_values() {
        true => flag.allow_negative_numbers(true),
        false => flag,
    };
    command
        .mut_args(takes)
        .mut_subcommands(take_negative_numbers)
}

/// Logs the names in the environment that look like settings and are none.
fn log_ignored(ignored: &[String]) {
    for what in ignored {
        tracing::warn!("{what}");
    }
}

/// Writes a line to standard error. Unlike `eprintln!`, it does not panic if the terminal is
/// closed.
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

/// Exit status for a wrong command line; the same as clap's.
const USAGE: u8 = 2;
