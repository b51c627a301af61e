//! The `weir` program.

use std::process::ExitCode;

use clap::{Parser, Subcommand};

#[derive(Parser)]
#[command(name = "weir", version, about)]
struct Arguments {
    #[command(subcommand)]
    command: Command,
}

#[derive(Subcommand)]
enum Command {
    /// Play recorded traffic against a running server and judge what it kept
    Replay(weir::cli::replay::ReplayArgs),
}

#[tokio::main]
async fn main() -> ExitCode {
    match Arguments::parse().command {
        Command::Replay(args) => weir::cli::replay::run(args).await,
    }
}
