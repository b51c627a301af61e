//! `weir history`: what was offered and what was sampled of it, by the fleet, a group, a service or an operation.

mod classes;
mod operation;
mod steps;

use std::time::Duration;

use chrono::SecondsFormat;
use clap::{Args as ClapArgs, ValueEnum};

use crate::Service;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::output::Output;

/// Flags of `weir history`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
  weir history                              # the fleet against its budget, and what was changed
  weir history --since 2w                   # steps of hours, for months back
  weir history checkout --since 1d --step 1h
  weir history --group tier-1 --since 30d
  weir history checkout 'POST /cart'        # one operation, window by window
  weir history checkout --by class          # errors, slow and tagged requests, and the rest
  weir history checkout 'POST /cart' --class error")]
pub struct Args {
    /// The service; the whole fleet without one
    service: Option<String>,
    /// The operation; the whole service without one
    operation: Option<String>,
    /// The group of services
    #[arg(long, value_name = "NAME", conflicts_with = "service")]
    group: Option<String>,
    /// How far back, such as 30m, 6h, 2d or 2w
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration, value_name = "TIME")]
    since: Duration,
    /// How long a step is, such as 10m or 1h; chosen by how far back it goes if absent
    #[arg(long, value_name = "TIME", conflicts_with = "operation")]
    step: Option<String>,
    /// What each class was offered and what was sampled of it, instead of the whole
    #[arg(long, value_name = "WHAT", conflicts_with = "operation")]
    by: Option<By>,
    /// A class of the operation: error, slow, tagged or rest
    #[arg(long, value_name = "CLASS", requires = "operation")]
    class: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// What steps are told apart by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum By {
    Class,
}

pub async fn run(args: Args, service: Service) -> Outcome {
    let client = args.connect.client()?;
    let back = chrono::Duration::from_std(args.since).ok();
    let start = back.and_then(|back| (service.now)().checked_sub_signed(back));
    let start = start.ok_or_else(|| Failure::Usage("--since is too long ago".into()))?;
    let start = start.to_rfc3339_opts(SecondsFormat::Millis, true);
    match (&args.service, &args.operation) {
        (Some(service), Some(operation)) => {
            let class = args.class.as_deref();
            let asked = operation::Asked {
                service,
                operation,
                class,
                start: &start,
            };
            operation::run(&client, &asked, &args.output).await
        }
        (Some(service), None) => {
            let path = ["v1", "services", service, "history"];
            steps::run(&client, &path, &start, &args).await
        }
        _ => match &args.group {
            Some(group) => {
                let path = ["v1", "groups", group, "history"];
                steps::run(&client, &path, &start, &args).await
            }
            None => steps::run(&client, &["v1", "history"], &start, &args).await,
        },
    }
}
