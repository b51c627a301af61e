//! `weir freeze`: plans stop changing what is served.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::mode::{end, moved_on, tell_of_file, tell_serving};
use crate::output::Output;
use crate::words::text;

/// Where the freeze is.
const FREEZE: &[&str] = &["v1", "freeze"];

/// Flags of `weir freeze`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    after_help = "\
  weir freeze --owner ann --reason 'release night' --for 4h
  weir freeze end

Weir goes on counting and computing plans, and shows what they would serve. An emergency and fixed or
highest probabilities that operators set cut at once all the same. When the freeze ends, the next plan is
served in full. Without flags, the freeze is shown."
)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Who answers questions about it
    #[arg(long, value_name = "NAME", requires = "reason")]
    owner: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", requires = "owner")]
    reason: Option<String>,
    /// How long, such as 4h [default: 24h]
    #[arg(long = "for", value_parser = humantime::parse_duration, value_name = "TIME", requires = "owner")]
    lasts: Option<Duration>,
    /// Until somebody ends it
    #[arg(long, conflicts_with = "lasts", requires = "owner")]
    never_expires: bool,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// What is done with a freeze.
#[derive(Debug, Subcommand)]
enum What {
    /// End it
    End {
        #[command(flatten)]
        output: Output,
        #[command(flatten)]
        connect: Connect,
    },
}

pub async fn run(args: Args) -> Outcome {
    if let Some(What::End { output, connect }) = args.what {
        let client = connect.client()?;
        let done = "The freeze is ended. The next plan is served in full.";
        return end(&client, FREEZE, &output, done).await;
    }
    let client = args.connect.client()?;
    let asks = args.owner.is_some();
    let shown = match (args.owner, args.reason) {
        (Some(owner), Some(reason)) => {
            let mut asked = json!({ "owner": owner, "reason": reason });
            if args.never_expires {
                asked["expires"] = json!("never");
            }
            if let Some(lasts) = args.lasts {
                asked["for_seconds"] = json!(seconds(lasts)?);
            }
            let written = client.change(Method::PUT, FREEZE, &[], "*", &asked).await?;
            written.ok_or_else(moved_on)?.body
        }
        _ => client.get(FREEZE, &[]).await?,
    };
    args.output.print(&shown, || tell(&shown));
    if asks && args.output.for_people() {
        tell_of_file(&client, "freeze").await;
    }
    Ok(ExitCode::SUCCESS)
}

/// A time in whole seconds, as the API takes it.
pub fn seconds(lasts: Duration) -> Result<u32, Failure> {
    let seconds = u32::try_from(lasts.as_secs());
    seconds.map_err(|_| Failure::Usage("--for is too long".into()))
}

fn tell(shown: &Value) {
    let freeze = &shown["freeze"];
    if !freeze.is_object() {
        weir_terminal::sayln!("There is no freeze.");
    } else {
        let is = match shown["active"].as_bool() {
            Some(true) => "Frozen",
            _ => "The freeze ran out. It was asked for",
        };
        weir_terminal::sayln!(
            "{is} by {}, until {}: {}.",
            text(freeze, "owner"),
            text(freeze, "expires"),
            text(freeze, "reason"),
        );
    }
    tell_serving(shown);
}
