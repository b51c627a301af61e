//! `weir boost`: more traces of an operation, for some time.

use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::json;

use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::rules;

/// Flags of `weir boost`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
  weir boost checkout 'POST /pay' --for 20m --owner ann --reason 'payments fail for some customers'

A boost is a rule that runs out. To extend it, boost again; `weir rules delete ID` ends it now.")]
pub struct Args {
    /// The service, or a pattern of names with * and ?
    service: String,
    /// The operation, or a pattern
    operation: String,
    /// How long, such as 20m or 2h
    #[arg(long = "for", value_parser = humantime::parse_duration, value_name = "TIME")]
    lasts: Duration,
    /// The probability
    #[arg(long, default_value_t = 1.0, value_name = "PROBABILITY")]
    probability: f64,
    /// Who answers questions about it
    #[arg(long, value_name = "NAME")]
    owner: String,
    /// Why
    #[arg(long, value_name = "TEXT")]
    reason: String,
    /// Add this many traces per second to the budget meanwhile, so that the others need not give
    #[arg(long, value_name = "TRACES_PER_SECOND")]
    extra: Option<f64>,
    /// Make it although it leaves another operation with less than half of its share
    #[arg(long)]
    force: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args) -> Outcome {
    let seconds = u32::try_from(args.lasts.as_secs());
    let seconds = seconds.map_err(|_| Failure::Usage("--for is too long".into()))?;
    let mut boost = json!({
        "service": args.service,
        "operation": args.operation,
        "for_seconds": seconds,
        "probability": args.probability,
        "owner": args.owner,
        "reason": args.reason,
    });
    if let Some(extra) = args.extra {
        boost["extra_traces_per_second"] = json!(extra);
    }
    let client = args.connect.client()?;
    let force: &[(&str, &str)] = if args.force {
        &[("force", "true")]
    } else {
        &[]
    };
    let made = client.post(&["v1", "boosts"], force, &boost).await?;
    args.output.print(&made, || rules::tell(&made));
    Ok(ExitCode::SUCCESS)
}
