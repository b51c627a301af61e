//! `weir emergency`: cut everything that is served, at once.

use std::process::ExitCode;
use std::time::Duration;

use clap::{Args as ClapArgs, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::freeze::seconds;
use crate::mode::{end, moved_on, tell_of_file};
use crate::output::Output;
use crate::words::{field, number, text};

/// Where the emergency is.
const EMERGENCY: &[&str] = &["v1", "emergency"];

/// Flags of `weir emergency`.
#[derive(Debug, ClapArgs)]
#[command(
    args_conflicts_with_subcommands = true,
    subcommand_negates_reqs = true,
    after_help = "\
  weir emergency 0.1 --for 30m --owner ann --reason 'the backend is full'
  weir emergency end

Every replica multiplies all that it serves by the factor within seconds; SDKs apply it when they poll.
It never raises anything, and it runs out by itself. Without a factor, the emergency is shown."
)]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// What every probability is multiplied by, 0 to 1
    #[arg(requires = "owner", requires = "reason")]
    factor: Option<f64>,
    /// How long, such as 30m [default: 1h]
    #[arg(long = "for", value_parser = humantime::parse_duration, value_name = "TIME", requires = "factor")]
    lasts: Option<Duration>,
    /// Who answers questions about it
    #[arg(long, value_name = "NAME", requires = "factor")]
    owner: Option<String>,
    /// Why
    #[arg(long, value_name = "TEXT", requires = "factor")]
    reason: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// What is done with an emergency.
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
        let done = "The emergency is ended. The plan is served in full within seconds.";
        return end(&client, EMERGENCY, &output, done).await;
    }
    let client = args.connect.client()?;
    let shown = match args.factor {
        None => client.get(EMERGENCY, &[]).await?,
        Some(factor) => {
            let asked = asked(factor, args.owner, args.reason, args.lasts)?;
            let written = client.change(Method::PUT, EMERGENCY, &[], "*", &asked);
            written.await?.ok_or_else(moved_on)?.body
        }
    };
    args.output.print(&shown, || tell(&shown));
    if args.factor.is_some() && args.output.for_people() {
        tell_of_file(&client, "emergency").await;
    }
    Ok(ExitCode::SUCCESS)
}

fn asked(
    factor: f64,
    owner: Option<String>,
    reason: Option<String>,
    lasts: Option<Duration>,
) -> Result<Value, Failure> {
    let mut asked = json!({ "factor": factor, "owner": owner, "reason": reason });
    if let Some(lasts) = lasts {
        asked["for_seconds"] = json!(seconds(lasts)?);
    }
    Ok(asked)
}

fn tell(shown: &Value) {
    let emergency = &shown["emergency"];
    if !emergency.is_object() {
        weir_terminal::sayln!("There is no emergency: the plan is served in full.");
        return;
    }
    let is = match shown["active"].as_bool() {
        Some(true) => "Emergency",
        _ => "The emergency ran out. It was",
    };
    weir_terminal::sayln!(
        "{is}: everything that is served × {}, until {}. {} asked for it: {}.",
        number(field(emergency, "factor")),
        text(emergency, "expires"),
        text(emergency, "owner"),
        text(emergency, "reason"),
    );
}
