//! `weir export`, `validate`, `diff` and `apply`: configuration as a file.

use std::process::ExitCode;

use clap::Args;
use serde_json::json;

use crate::Service;
use crate::change::{self, CONFIGURATION, Consent, Proposal, Why, comparable};
use crate::connect::Connect;
use crate::difference;
use crate::document::{self, FileArg};
use crate::failure::{DIFFERENT, Failure, Outcome};
use crate::output::Output;
use crate::yaml;

/// Flags of `weir export`.
#[derive(Debug, Args)]
pub struct ExportArgs {
    #[command(flatten)]
    connect: Connect,
    /// Write JSON instead of YAML
    #[arg(long)]
    json: bool,
}

/// Flags of `weir validate`.
#[derive(Debug, Args)]
pub struct ValidateArgs {
    /// The file of configuration, in YAML or JSON; - is standard input
    #[arg(long, short, value_name = "FILE", required_unless_present = "schema")]
    file: Option<std::path::PathBuf>,
    /// Write the JSON Schema of the file to standard output, for editors, and check nothing
    #[arg(long, conflicts_with = "file")]
    schema: bool,
}

/// Flags of `weir diff`.
#[derive(Debug, Args)]
pub struct DiffArgs {
    #[command(flatten)]
    file: FileArg,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// Flags of `weir apply`.
#[derive(Debug, Args)]
#[command(after_help = "\
The file is the whole configuration: what it leaves out takes its default. So begin with the file that
`weir export` writes.

Exit status: 0 the file is the configuration now (or the dry run is over), 1 something failed, 2 the
file or the command line is wrong, 3 nothing was changed, because you said no or somebody else changed
the configuration meanwhile.

In a pipeline:
  weir validate -f weir.yaml
  weir apply -f weir.yaml --dry-run    # on a merge request
  weir apply -f weir.yaml --yes        # after the merge")]
pub struct ApplyArgs {
    #[command(flatten)]
    file: FileArg,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    connect: Connect,
}

pub async fn export(args: ExportArgs) -> Outcome {
    let running = args.connect.client()?.versioned(CONFIGURATION).await?;
    let document = comparable(&running.body);
    if args.json {
        anstream::println!("{document:#}");
    } else {
        anstream::print!("{}", yaml::write(&document));
    }
    Ok(ExitCode::SUCCESS)
}

pub fn validate(args: &ValidateArgs, service: Service) -> Outcome {
    let Some(file) = &args.file else {
        anstream::println!("{:#}", (service.schema)());
        return Ok(ExitCode::SUCCESS);
    };
    let read = document::read(file, service)?;
    let budget = &read.complete["budget"]["traces_per_second"];
    let count = |name: &str| {
        read.complete[name]
            .as_object()
            .map_or(0, serde_json::Map::len)
    };
    anstream::println!(
        "It is right: a budget of {budget} traces/s, {} groups, settings of {} services.",
        count("groups"),
        count("services")
    );
    Ok(ExitCode::SUCCESS)
}

pub async fn diff(args: DiffArgs, service: Service) -> Outcome {
    let wanted = document::read(&args.file.file, service)?;
    let running = args.connect.client()?.versioned(CONFIGURATION).await?;
    let wanted = (service.complete)(wanted.value, Some(&running.body))?;
    let differences = difference::between(&comparable(&running.body), &wanted);
    let listed: Vec<_> = differences
        .iter()
        .map(difference::Difference::json)
        .collect();
    args.output.print(&json!({"differences": listed}), || {
        if differences.is_empty() {
            anstream::println!("The running configuration is the same.");
        }
        change::tell(&differences);
    });
    match differences.is_empty() {
        true => Ok(ExitCode::SUCCESS),
        false => Err(Failure::Status(DIFFERENT)),
    }
}

pub async fn apply(args: ApplyArgs, service: Service) -> Outcome {
    let wanted = document::read(&args.file.file, service)?;
    let client = args.connect.client()?.for_file();
    let running = client.versioned(CONFIGURATION).await?;
    let proposal = Proposal::of(wanted.value, &running, service)?.because(args.why);
    change::propose(&client, &running, &proposal, args.consent).await
}
