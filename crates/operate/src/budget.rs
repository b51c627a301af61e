//! `weir budget`: the budget, and what is kept of it.

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::{Value, json};

use crate::Service;
use crate::change::{self, CONFIGURATION, Consent, Proposal, comparable};
use crate::client::Client;
use crate::connect::Connect;
use crate::failure::Outcome;
use crate::output::Output;
use crate::words::{a_month, change as moved, field, number, percent, text};

/// Flags of `weir budget`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The new budget, in traces per second; without it, the budget is shown
    #[arg(value_name = "TRACES_PER_SECOND")]
    budget: Option<f64>,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args, service: Service) -> Outcome {
    let client = args.connect.client()?;
    match args.budget {
        Some(budget) => set(&client, budget, args.consent, service).await,
        None => show(&client, args.output).await,
    }
}

async fn set(client: &Client, budget: f64, consent: Consent, service: Service) -> Outcome {
    let running = client.versioned(CONFIGURATION).await?;
    let mut document = comparable(&running.body);
    document["budget"]["traces_per_second"] = json!(budget);
    let proposal = Proposal::of(document, &running, service)?;
    change::propose(client, &running, &proposal, consent).await
}

async fn show(client: &Client, output: Output) -> Outcome {
    let budget = client.get(&["v1", "budget"], &[]).await?;
    let plan = client.find(&["v1", "plans", "current"], &[]).await?;
    let all = json!({"budget": budget, "plan": plan});
    output.print(&all, || {
        let traces = field(&budget, "traces_per_second");
        anstream::println!(
            "Budget: {} traces/s, {} traces a month.",
            number(traces),
            a_month(traces)
        );
        match &plan {
            None => anstream::println!(
                "There is no plan yet: SDKs are served the initial probability until counts have come in."
            ),
            Some(plan) => tell_plan(plan),
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// The figures of a plan, in sentences.
pub fn tell_plan(plan: &Value) {
    let budget = field(plan, "budget_traces_per_second");
    let kept = field(plan, "observed_sampled_traces_per_second");
    let expected = field(plan, "expected_sampled_traces_per_second");
    let part = match budget > 0.0 {
        true => format!(" ({} of the budget)", percent(kept / budget)),
        false => String::new(),
    };
    anstream::println!(
        "Kept: {} traces/s in the last window{part}; {} expected in the next ({}).",
        number(kept),
        number(expected),
        moved(budget, expected),
    );
    anstream::println!(
        "Offered: {} requests/s by {} operations of {} services.",
        number(field(plan, "offered_per_second")),
        number(field(plan, "operations")),
        number(field(plan, "services")),
    );
    let missing = field(plan, "missing_traces_per_second");
    if missing > 0.0 {
        anstream::println!("Floors are not met by {} traces/s.", number(missing));
    }
    let age = field(plan, "age_seconds");
    let stale = plan["stale"].as_bool() == Some(true);
    anstream::println!(
        "Plan {}, {} s old{}; hold: {}; agents missing: {}; agents are {} s late.",
        field(plan, "plan"),
        number(age),
        if stale { ", STALE" } else { "" },
        text(plan, "hold"),
        number(field(plan, "agents_missing")),
        number(field(plan, "agents_late_seconds")),
    );
}
