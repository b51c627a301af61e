//! `weir rollback`: an earlier revision becomes the newest again.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use weir_terminal::Table;

use crate::change::{self, CONFIGURATION, Consent, Proposal, Why, comparable};
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::words::{field, number, text};

/// How many revisions are listed.
const LISTED: &str = "20";

/// Flags of `weir rollback`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The revision to return to; without it, the newest ones are listed
    #[arg(value_name = "REVISION", value_parser = clap::value_parser!(u64).range(1..))]
    revision: Option<u64>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let revisions = [CONFIGURATION, &["revisions"]].concat();
    let Some(revision) = args.revision else {
        let page = client.get(&revisions, &[("limit", LISTED)]).await?;
        let mut table = Table::new(&[">revision", "written at", "written by"]);
        for entry in page["revisions"].as_array().into_iter().flatten() {
            table.row([
                number(field(entry, "revision")),
                text(entry, "written_at"),
                text(entry, "written_by"),
            ]);
        }
        table.print();
        return Ok(ExitCode::SUCCESS);
    };
    let running = client.versioned(CONFIGURATION).await?;
    let number = revision.to_string();
    let earlier = [revisions.as_slice(), &[number.as_str()]].concat();
    let earlier = client.find(&earlier, &[]).await?.ok_or_else(|| {
        Failure::Failed(format!(
            "there is no revision {revision}: it was never written, or it was deleted to make room"
        ))
    })?;
    let proposal = Proposal::back(comparable(&earlier), revision).because(args.why);
    change::propose(&client, &running, &proposal, args.consent).await
}
