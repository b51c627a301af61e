//! `weir mode`: are plans served, or only computed and shown?

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use hyper::Method;
use serde_json::{Value, json};

use crate::change::CONFIGURATION;
use crate::client::Client;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::origin;
use crate::output::Output;
use crate::words::text;

/// Where the mode is.
const MODE: &[&str] = &["v1", "mode"];

/// Flags of `weir mode`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
While Weir observes, it counts, computes plans and shows them, and SDKs are served the initial
probability. `weir mode enforce` serves the next plan in full.")]
pub struct Args {
    /// The new mode; without it, the mode is shown
    mode: Option<Mode>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// What is done with plans.
#[derive(Debug, Clone, Copy, ValueEnum)]
enum Mode {
    /// They are served
    Enforce,
    /// They are computed and shown; SDKs are served the initial probability
    Observe,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let shown = match args.mode {
        None => client.get(MODE, &[]).await?,
        Some(mode) => {
            let mode = match mode {
                Mode::Enforce => "enforce",
                Mode::Observe => "observe",
            };
            let asked = json!({ "mode": mode });
            let written = client.change(Method::PUT, MODE, &[], "*", &asked).await?;
            written.ok_or_else(moved_on)?.body
        }
    };
    args.output.print(&shown, || {
        weir_terminal::sayln!("Mode: {}.", text(&shown, "mode"));
        tell_serving(&shown);
        let (asked, serving) = (shown["mode"].as_str(), shown["serving"].as_str());
        let observes = Some("observe");
        if serving != Some("freeze") && (asked == observes) != (serving == observes) {
            weir_terminal::sayln!("The next plan changes that.");
        }
    });
    if args.mode.is_some() && args.output.for_people() {
        tell_of_file(&client, "mode").await;
    }
    Ok(ExitCode::SUCCESS)
}

/// Tells who changed a setting without a preview if a file has it, too. The change is made: who cannot be told of a
/// file is not told that something failed.
pub async fn tell_of_file(client: &Client, setting: &str) {
    origin::tell_of_setting(in_file(client, setting).await);
}

/// Ends what a setting asks for, and tells if a file has it: the next time that it is applied, it comes back.
pub async fn end(client: &Client, path: &[&str], output: &Output, done: &str) -> Outcome {
    // Once it is ended, nothing says what it was.
    let setting = path.last().copied().unwrap_or_default();
    let in_file = in_file(client, setting).await;
    let ended = client.change(Method::DELETE, path, &[], "*", &Value::Null);
    let ended = ended.await?.ok_or_else(moved_on)?.body;
    output.print(&ended, || weir_terminal::sayln!("{done}"));
    if output.for_people() {
        origin::tell_of_setting(in_file);
    }
    Ok(ExitCode::SUCCESS)
}

async fn in_file(client: &Client, setting: &str) -> Option<Value> {
    let running = client.get(CONFIGURATION, &[("origins", "true")]).await;
    origin::in_file(&running.ok()?["origins"], setting)
}

/// `If-Match: *` holds for every revision.
pub fn moved_on() -> Failure {
    Failure::NotMade("the configuration is not there any more; nothing was changed".into())
}

/// What is served of the present plan.
pub fn tell_serving(shown: &Value) {
    let since = text(shown, "serving_since");
    match shown["serving"].as_str() {
        Some("freeze") => {
            weir_terminal::sayln!("SDKs are served what they were served before {since}.");
        }
        Some("observe") => {
            weir_terminal::sayln!("SDKs are served the initial probability, since {since}.");
        }
        _ => weir_terminal::sayln!("SDKs are served what the present plan decides."),
    }
}
