//! `weir budget`: the budget, and what is kept of it.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use crate::Service;
use crate::change::{self, CONFIGURATION, Consent, Proposal, Why, comparable};
use crate::client::Client;
use crate::connect::Connect;
use crate::failure::Outcome;
use crate::mode::tell_serving;
use crate::output::Output;
use crate::words::{a_month, change as moved, field, number, percent, text};

/// Flags of `weir budget`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The new budget; without it, the budget is shown
    #[arg(value_name = "TRACES_PER_SECOND")]
    budget: Option<f64>,
    /// What the budget is stated in. Spans and bytes need `cost` in the configuration: what a trace costs
    #[arg(
        long,
        value_name = "UNIT",
        default_value = "traces_per_second",
        requires = "budget"
    )]
    unit: Unit,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    why: Why,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// The units of a budget, as the fields of the configuration.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Unit {
    /// Traces per second
    TracesPerSecond,
    /// Spans per second
    SpansPerSecond,
    /// Gigabytes a month
    GigabytesPerMonth,
}

pub async fn run(args: Args, service: Service) -> Outcome {
    let client = args.connect.client()?;
    match args.budget {
        Some(budget) => {
            let budget = match args.unit {
                Unit::TracesPerSecond => json!({ "traces_per_second": budget }),
                Unit::SpansPerSecond => json!({ "spans_per_second": budget }),
                Unit::GigabytesPerMonth => json!({ "gigabytes_per_month": budget }),
            };
            set(&client, budget, args.consent, args.why, service).await
        }
        None => show(&client, args.output).await,
    }
}

async fn set(
    client: &Client,
    budget: Value,
    consent: Consent,
    why: Why,
    service: Service,
) -> Outcome {
    let running = client.versioned(CONFIGURATION).await?;
    let mut document = comparable(&running.body);
    document["budget"] = budget;
    let proposal = Proposal::of(document, &running, service)?.because(why);
    change::propose(client, &running, &proposal, consent).await
}

async fn show(client: &Client, output: Output) -> Outcome {
    let budget = client.get(&["v1", "budget"], &[]).await?;
    let plan = client.find(&["v1", "plans", "current"], &[]).await?;
    let all = json!({"budget": budget, "plan": plan});
    output.print(&all, || {
        let traces = field(&budget, "traces_per_second");
        let stated = [
            ("spans_per_second", "spans/s"),
            ("gigabytes_per_month", "GB a month"),
        ];
        let stated = stated.iter().find_map(|(field, unit)| {
            Some(format!("{} {unit}, which is ", number(budget[*field].as_f64()?)))
        });
        anstream::println!(
            "Budget: {}{} traces/s, {} traces a month.",
            stated.unwrap_or_default(),
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
    if plan["serving"] != "plan" {
        tell_serving(plan);
        let served = field(plan, "served_sampled_traces_per_second");
        anstream::println!("Expected by what is served: {} traces/s.", number(served));
    }
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
