//! `weir replicas`: which replicas are there, and who leads?

use std::process::ExitCode;

use clap::Args as ClapArgs;
use weir_terminal::Table;

use crate::connect::Connect;
use crate::failure::Outcome;
use crate::output::Output;
use crate::words::{field, number, text};

/// Flags of `weir replicas`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let replicas = client.get(&["v1", "replicas"], &[]).await?;
    args.output.print(&replicas, || {
        let titles = [
            "host",
            "state",
            ">plan",
            "version",
            ">seen s ago",
            "started at",
            "replica",
        ];
        let mut table = Table::new(&titles);
        for replica in replicas["replicas"].as_array().into_iter().flatten() {
            let is = |name: &str| replica[name].as_bool() == Some(true);
            table.row([
                text(replica, "host"),
                match (is("there"), is("leads")) {
                    (true, true) => "leads",
                    (true, false) => "follows",
                    (false, _) => "gone",
                }
                .into(),
                field(replica, "plan").to_string(),
                text(replica, "version"),
                number(field(replica, "seen_seconds_ago")),
                text(replica, "started_at"),
                text(replica, "replica"),
            ]);
        }
        table.print();
    });
    Ok(ExitCode::SUCCESS)
}
