//! `weir boost`: more traces of an operation, for some time.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{SecondsFormat, TimeDelta};
use clap::Args as ClapArgs;
use hyper::Method;
use serde_json::json;

use crate::Service;
use crate::change::{self, CONFIGURATION, Consent, Part, Proposal, Settled, comparable};
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
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args, service: Service) -> Outcome {
    let seconds = u32::try_from(args.lasts.as_secs());
    let seconds = seconds.map_err(|_| Failure::Usage("--for is too long".into()))?;
    let ends = (service.now)() + TimeDelta::seconds(seconds.into());
    let mut boost = json!({
        "service": args.service,
        "operation": args.operation,
        "owner": args.owner,
        "reason": args.reason,
    });
    if let Some(extra) = args.extra {
        boost["extra_traces_per_second"] = json!(extra);
    }
    // The rule that it becomes, for the preview. Its real end is by the service's clock.
    let mut rule = boost.clone();
    rule["set"] = json!({ "probability": args.probability });
    rule["expires"] = json!(ends.to_rfc3339_opts(SecondsFormat::Millis, true));
    boost["probability"] = json!(args.probability);
    boost["for_seconds"] = json!(seconds);

    let client = args.connect.client()?;
    let running = client.versioned(CONFIGURATION).await?;
    let mut document = comparable(&running.body);
    document["rules"]["boost"] = rule;
    let part = Part {
        method: Method::POST,
        path: vec!["v1".into(), "boosts".into()],
        body: boost,
    };
    let proposal = Proposal::part(document, part, &running, service)?;
    let for_people = args.output.for_people();
    let settled = change::settle(&client, &running, &proposal, args.consent, for_people).await?;
    if let Settled::MovedOn = settled {
        return Err(change::moved_on());
    }
    if let Settled::Written(made) = settled {
        args.output.print(&made.body, || {
            weir_terminal::outln!();
            rules::tell(&made.body);
            change::tell_revision(&made);
        });
    }
    Ok(ExitCode::SUCCESS)
}
