//! `weir plans`: the plans so far, and what moved between two of them.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::Value;
use weir_terminal::Table;

use crate::connect::Connect;
use crate::effect;
use crate::failure::Outcome;
use crate::output::Output;
use crate::words::{field, number, percent, text};

/// Flags of `weir plans`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
  weir plans                # the newest plans
  weir plans 4810 4812      # what moved from one to the other; whole plans are kept for an hour
  weir plans 4810           # what moved from it to the current one")]
pub struct Args {
    /// The plan to compare from
    from: Option<u64>,
    /// The plan to compare with; without it, the current one
    #[arg(requires = "from")]
    to: Option<u64>,
    /// How many plans, or how many services and operations to list
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let limit = args.limit.to_string();
    let Some(from) = args.from.map(|from| from.to_string()) else {
        let plans = client.get(&["v1", "plans"], &[("limit", &limit)]).await?;
        args.output.print(&plans, || list(&plans));
        return Ok(ExitCode::SUCCESS);
    };
    let to = args.to.map(|to| to.to_string());
    let mut query = vec![("from", from.as_str()), ("limit", &limit)];
    if let Some(to) = &to {
        query.push(("to", to));
    }
    let compared = client.get(&["v1", "plans", "compare"], &query).await?;
    args.output.print(&compared, || {
        let side = |name: &str| {
            let side = &compared[name];
            let revision = field(side, "configuration_revision");
            format!("plan {} (revision {revision})", field(side, "plan"))
        };
        weir_terminal::outln!("From {} to {}:", side("from"), side("to"));
        effect::tell_compared(&compared);
    });
    Ok(ExitCode::SUCCESS)
}

fn list(plans: &Value) {
    let titles = [
        ">plan",
        "published at",
        ">revision",
        ">budget/s",
        ">expected/s",
        ">observed/s",
        ">offered/s",
        ">moved",
    ];
    let mut table = Table::new(&titles);
    for plan in plans["plans"].as_array().into_iter().flatten() {
        let summary = &plan["summary"];
        table.row([
            field(plan, "plan").to_string(),
            text(plan, "published_at"),
            field(plan, "configuration_revision").to_string(),
            number(field(summary, "budget_traces_per_second")),
            number(field(summary, "expected_sampled_traces_per_second")),
            number(field(summary, "observed_sampled_traces_per_second")),
            number(field(summary, "observed_offered_per_second")),
            percent(field(summary, "probabilities_changed")),
        ]);
    }
    table.print();
}
