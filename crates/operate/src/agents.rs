//! `weir agents`: who reports, and how late?

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::json;

use crate::connect::Connect;
use crate::failure::Outcome;
use crate::output::Output;
use crate::table::Table;
use crate::words::{field, number, text};

/// Flags of `weir agents`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only agents in this state: live, missing, and whatever else the service names
    #[arg(long, value_name = "STATE")]
    state: Option<String>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let (mut agents, page) = client.all(&["v1", "agents"], "agents").await?;
    if let Some(state) = &args.state {
        agents.retain(|agent| agent["state"].as_str() == Some(state));
    }
    agents.sort_by(|one, other| {
        let missing = |agent| field(agent, "missing_seconds");
        missing(other).total_cmp(&missing(one))
    });
    let all = json!({"plan": page["plan"], "agents": agents});
    args.output.print(&all, || {
        if agents.is_empty() {
            anstream::println!("No such agent is known.");
            return;
        }
        let titles = [
            "agent",
            "state",
            ">late s",
            ">usually s",
            ">missing s",
            ">offered/s",
            ">services",
            "heard until",
        ];
        let mut table = Table::new(&titles);
        for agent in &agents {
            let name = text(agent, "agent");
            table.row([
                if name.is_empty() {
                    text(agent, "number")
                } else {
                    name
                },
                text(agent, "state"),
                number(field(agent, "late_seconds")),
                number(field(agent, "usual_late_seconds")),
                number(field(agent, "missing_seconds")),
                number(field(agent, "offered_per_second")),
                number(field(agent, "service_count")),
                text(agent, "heard_until"),
            ]);
        }
        table.print();
    });
    Ok(ExitCode::SUCCESS)
}
