//! Replaces PostgreSQL's primary repeatedly while Weir is under load, and compares what is stored
//! with what was acknowledged.
//!
//! `make soak-ha` runs it: three PostgreSQL servers under Patroni with etcd, HAProxy before them,
//! two replicas of Weir, agents that report and repeat under names old and new, SDKs that poll.
//! Ten failovers with a synchronous standby, ten with asynchronous ones. It exits 1 and says what
//! is wrong if a count is lost that PostgreSQL kept, if anything is counted under another name or
//! twice, if a poll fails, or if plans stop.
//!
//! Read [`soak`] first. `patroni` runs the servers, `fleet` the agents, `wal` knows what
//! PostgreSQL lost, `checks` compares.

#![allow(clippy::unwrap_used, reason = "a test fails where it stands")]

mod checks;
mod failover;
mod figures;
mod fleet;
mod ledger;
mod node;
mod patroni;
mod polls;
mod soak;
#[allow(
    dead_code,
    unused_imports,
    reason = "the tests use more of it than this program does"
)]
mod support;
mod wal;

use std::process::ExitCode;
use std::time::{Duration, Instant};

use clap::{Parser, ValueEnum};

/// The time limit, in case something hangs.
const TIME_LIMIT: Duration = Duration::from_secs(20 * 60);

/// Replaces PostgreSQL's primary under a loaded Weir.
#[derive(Debug, Parser)]
struct Arguments {
    /// Failovers in each mode.
    #[arg(long, env = "WEIR_SOAK_FAILOVERS", default_value_t = 10)]
    failovers: usize,
    /// Only this mode; both if absent.
    #[arg(long)]
    mode: Option<Mode>,
}

/// What the standby that is promoted has received.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
pub enum Mode {
    /// Everything that was acknowledged.
    Synchronous,
    /// What reached it in time.
    Asynchronous,
}

#[tokio::main]
async fn main() -> ExitCode {
    let arguments = Arguments::parse();
    let modes = match arguments.mode {
        Some(mode) => vec![mode],
        None => vec![Mode::Synchronous, Mode::Asynchronous],
    };
    let started = Instant::now();
    let soaks = async {
        let mut outcomes = Vec::new();
        for mode in modes {
            outcomes.push(soak::run(mode, arguments.failovers).await);
        }
        outcomes
    };
    let Ok(outcomes) = tokio::time::timeout(TIME_LIMIT, soaks).await else {
        eprintln!("not finished within {TIME_LIMIT:?}");
        return ExitCode::FAILURE;
    };
    figures::print(&outcomes, started.elapsed());
    let faults: Vec<_> = outcomes.iter().flat_map(|soak| &soak.faults).collect();
    for fault in &faults {
        eprintln!("FAULT: {fault}");
    }
    if faults.is_empty() {
        ExitCode::SUCCESS
    } else {
        ExitCode::FAILURE
    }
}
