//! The commands for operators. They ask a running Weir over its admin API, and change its
//! configuration.
//!
//! Every change takes one way, [`change::propose`]: read the configuration, make another one of it,
//! show the difference and its previewed effect, ask, and write it only over the revision that was
//! read.

mod agents;
mod apply;
mod audit;
mod boost;
mod budget;
mod change;
mod client;
mod connect;
mod difference;
mod document;
mod effect;
mod emergency;
mod explain;
mod failure;
mod freeze;
mod history;
mod jaeger;
mod manual;
mod mode;
mod origin;
mod output;
mod plans;
mod pollers;
mod replicas;
mod rollback;
mod rules;
mod services;
mod tls;
mod top;
mod words;
mod yaml;

use std::process::ExitCode;

use chrono::{DateTime, Utc};
use clap::Subcommand;
use serde_json::Value;

/// What these commands need of the service's own code.
#[derive(Clone, Copy)]
pub struct Service {
    /// Reads a configuration and returns it with everything filled in that the service sets itself. What
    /// the running configuration has like this stays as it is there. Of a part it is the running configuration
    /// with this part in its place.
    pub complete: fn(Value, Option<&Value>) -> Result<Value, Wrong>,
    /// Says which names two files own both.
    pub overlap: fn(&Value, &Value) -> Option<String>,
    /// The part of a configuration that is owned like this, as a file.
    pub extract: fn(&Value, &Value) -> Result<Value, Wrong>,
    /// The JSON Schema of a configuration.
    pub schema: fn() -> Value,
    /// The time on this machine.
    pub now: fn() -> DateTime<Utc>,
    /// The whole command line, for completions and manual pages.
    pub command_line: fn() -> clap::Command,
}

/// What is wrong with a configuration.
pub struct Wrong {
    /// The field, as a path in the document.
    pub field: String,
    /// What is wrong, in words that follow the field's name.
    pub problem: String,
}

/// The commands for operators.
#[derive(Debug, Subcommand)]
pub enum Command {
    /// Show the budget and what is kept of it, or change it
    Budget(budget::Args),
    /// List the services: who spends the budget?
    Services(services::Args),
    /// Say why a service's operations have the probabilities they have
    Explain(explain::Args),
    /// Show what was offered and sampled, for months back: the fleet, a group, a service, an operation
    History(history::Args),
    /// List the agents that report, with their lateness
    Agents(agents::Args),
    /// List the services that poll, by what, and those that take no part
    Pollers(pollers::Args),
    /// List the replicas: who is there, and who leads
    Replicas(replicas::Args),
    /// List the plans so far, or show what moved between two of them
    Plans(plans::Args),
    /// Show who changed what, why, and what came of it
    Audit(audit::Args),
    /// Watch the budget, who spends it, and what moves
    Top(top::Args),
    /// Write the configuration to standard output, as a file for `weir apply`
    Export(apply::ExportArgs),
    /// Check a file of configuration; no service is asked
    Validate(apply::ValidateArgs),
    /// Show how a file differs from the running configuration; exit status 1 if it does
    Diff(apply::DiffArgs),
    /// Make a file the configuration, after showing what that changes
    Apply(apply::ApplyArgs),
    /// List the rules, add one, show it, turn it off or on, or delete it
    Rules(rules::Args),
    /// Raise the probability of an operation for some time
    Boost(boost::Args),
    /// Stop plans from changing what is served, or end that
    Freeze(freeze::Args),
    /// Cut everything that is served at once, for some time, or end that
    Emergency(emergency::Args),
    /// Say whether plans are served, or only computed and shown
    Mode(mode::Args),
    /// Make an earlier revision of the configuration the newest again
    Rollback(rollback::Args),
    /// Take over the settings of another system
    Import(jaeger::Args),
    /// Write a script that completes this command line in a shell
    Completions(manual::CompletionsArgs),
    /// Write the manual pages into a directory
    Manual(manual::ManualArgs),
}

/// Runs a command to its end.
pub async fn run(command: Command, service: Service) -> ExitCode {
    let outcome = match command {
        Command::Budget(args) => budget::run(args, service).await,
        Command::Services(args) => services::run(args).await,
        Command::Explain(args) => explain::run(args).await,
        Command::History(args) => history::run(args, service).await,
        Command::Agents(args) => agents::run(args).await,
        Command::Pollers(args) => pollers::run(args).await,
        Command::Replicas(args) => replicas::run(args).await,
        Command::Plans(args) => plans::run(args).await,
        Command::Audit(args) => audit::run(args).await,
        Command::Top(args) => top::run(args).await,
        Command::Export(args) => apply::export(args, service).await,
        Command::Validate(args) => apply::validate(&args, service),
        Command::Diff(args) => apply::diff(args, service).await,
        Command::Apply(args) => apply::apply(args, service).await,
        Command::Rules(args) => rules::run(args, service).await,
        Command::Boost(args) => boost::run(args, service).await,
        Command::Freeze(args) => freeze::run(args).await,
        Command::Emergency(args) => emergency::run(args).await,
        Command::Mode(args) => mode::run(args).await,
        Command::Rollback(args) => rollback::run(args).await,
        Command::Import(args) => jaeger::run(args, service).await,
        Command::Completions(args) => manual::completions(&args, service),
        Command::Manual(args) => manual::pages(&args, service),
    };
    outcome.unwrap_or_else(|failure| failure.tell())
}
