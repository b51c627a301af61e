//! `weir agents`: who reports, and how late?

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use weir_terminal::Table;

use crate::connect::Connect;
use crate::failure::Outcome;
use crate::output::Output;
use crate::words::{field, number, text};

/// Flags of `weir agents`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  weir agents                     who reports, and how late
  weir agents --state missing     who has stopped")]
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
    let unknown = &page["refused_unknown"];
    let all = json!({"plan": page["plan"], "agents": agents, "refused_unknown": unknown});
    args.output.print(&all, || {
        if agents.is_empty() {
            weir_terminal::outln!("No such agent is known.");
            tell_refused(&agents, unknown);
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
            ">refused",
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
                number(field(&agent["refused"], "reports")),
                text(agent, "heard_until"),
            ]);
        }
        table.print();
        tell_refused(&agents, unknown);
    });
    Ok(ExitCode::SUCCESS)
}

/// Says whose reports were refused in the last hour, and why.
fn tell_refused(agents: &[Value], unknown: &Value) {
    let known = agents.iter().map(|agent| (agent, &agent["refused"]));
    let unknown = unknown.as_array().into_iter().flatten();
    let unknown = unknown.map(|agent| (agent, agent));
    for (agent, refused) in known
        .chain(unknown)
        .filter(|(_, refused)| refused.is_object())
    {
        let name = match text(agent, "agent") {
            name if name.is_empty() => "agents that do not say their name".to_owned(),
            name => name,
        };
        weir_terminal::outln!(
            "Refused in the last hour: {} of {name}; the last one at {}: {}",
            number(field(refused, "reports")),
            text(refused, "last_at"),
            text(refused, "last_reason"),
        );
    }
}
