//! `weir budget`: the budget, and what is kept of it.

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use crate::Service;
use crate::change::{self, CONFIGURATION, Consent, Proposal, Why, comparable};
use crate::client::Client;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::mode::tell_serving;
use crate::output::Output;
use crate::words::{a_month, change as moved, field, number, percent, text};

/// Flags of `weir budget`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  weir budget                                 what it is, and what is kept of it
  weir budget 50                              change it: shows what that does, and asks
  weir budget 50 --yes --reason 'INC-4711'    without asking
  weir budget 400 --unit gigabytes_per_month")]
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
    /// Convert it with what sources tell of a trace's cost, once that can be trusted. What is stated is used until then;
    /// if nothing is, what they tell now is stated
    #[arg(long, requires = "budget")]
    measured: bool,
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
            let changed = Changed {
                budget,
                measured: args.measured,
            };
            set(&client, changed, args.consent, args.why, service).await
        }
        None => show(&client, args.output).await,
    }
}

/// What is asked for.
struct Changed {
    budget: Value,
    measured: bool,
}

async fn set(
    client: &Client,
    changed: Changed,
    consent: Consent,
    why: Why,
    service: Service,
) -> Outcome {
    let running = client.versioned(CONFIGURATION).await?;
    let mut document = comparable(&running.body);
    document["budget"] = changed.budget;
    if changed.measured {
        measure(client, &mut document).await?;
    }
    let proposal = Proposal::of(document, &running, service)?.because(why);
    change::propose(client, &running, &proposal, consent).await
}

/// Asks for what sources tell, and states it where nothing is stated.
async fn measure(client: &Client, document: &mut Value) -> Result<(), Failure> {
    let budget = client.get(&["v1", "budget"], &[]).await?;
    document["cost"]["measured"] = json!(true);
    let in_bytes = document["budget"]["gigabytes_per_month"].is_number();
    let needed = ["spans_per_trace", "bytes_per_span"];
    for name in &needed[..1 + usize::from(in_bytes)] {
        if document["cost"][*name].is_number() {
            continue;
        }
        let told = &budget["cost"]["measured"][*name];
        let mean = told["mean"].as_f64().filter(|_| told["trusted"] == true);
        let mean = mean.ok_or_else(|| {
            Failure::Failed(format!(
                "sources do not tell {name} well enough yet (GET /v1/budget says how well): state it in cost.{name}"
            ))
        })?;
        document["cost"][*name] = json!((mean.max(1.0) * 100.0).round() / 100.0);
    }
    Ok(())
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
        weir_terminal::sayln!(
            "Budget: {}{} traces/s, {} traces a month.",
            stated.unwrap_or_default(),
            number(traces),
            a_month(traces)
        );
        tell_cost(&budget["cost"]);
        match &plan {
            None => weir_terminal::sayln!(
                "There is no plan yet: SDKs are served the initial probability until counts have come in."
            ),
            Some(plan) => tell_plan(plan),
        }
    });
    Ok(ExitCode::SUCCESS)
}

/// What a trace costs, as it is stated and as sources tell it.
fn tell_cost(cost: &Value) {
    let (stated, measured) = (&cost["stated"], &cost["measured"]);
    for (name, what) in [
        ("spans_per_trace", "spans a trace"),
        ("bytes_per_span", "bytes a span"),
    ] {
        let told = &measured[name];
        let said = [
            stated[name]
                .as_f64()
                .map(|stated| format!("{} stated", number(stated))),
            told["mean"].as_f64().map(|mean| {
                let (error, coverage) = (field(told, "relative_error"), field(told, "coverage"));
                let trusted = if told["trusted"] == true {
                    ""
                } else {
                    ", not trusted"
                };
                format!(
                    "{} measured in the last hour (± {}, by {} of the services{trusted})",
                    number(mean),
                    percent(error),
                    percent(coverage)
                )
            }),
        ];
        let said: Vec<String> = said.into_iter().flatten().collect();
        if !said.is_empty() {
            weir_terminal::sayln!("Cost: {what}: {}.", said.join(", "));
        }
    }
    match cost["source"].as_str() {
        Some("measured") => weir_terminal::sayln!("The budget is converted with what is measured."),
        Some("held") => weir_terminal::sayln!(
            "The budget is converted as before: what is measured cannot be trusted now."
        ),
        Some("stated") => weir_terminal::sayln!("The budget is converted with what is stated."),
        _ => {}
    }
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
    weir_terminal::sayln!(
        "Kept: {} traces/s in the last window{part}; {} expected in the next ({}).",
        number(kept),
        number(expected),
        moved(budget, expected),
    );
    weir_terminal::sayln!(
        "Offered: {} requests/s by {} operations of {} services.",
        number(field(plan, "offered_per_second")),
        number(field(plan, "operations")),
        number(field(plan, "services")),
    );
    if plan["serving"] != "plan" {
        tell_serving(plan);
        let served = field(plan, "served_sampled_traces_per_second");
        weir_terminal::sayln!("Expected by what is served: {} traces/s.", number(served));
    }
    let missing = field(plan, "missing_traces_per_second");
    if missing > 0.0 {
        weir_terminal::sayln!("Floors are not met by {} traces/s.", number(missing));
    }
    let age = field(plan, "age_seconds");
    let stale = plan["stale"].as_bool() == Some(true);
    weir_terminal::sayln!(
        "Plan {}, {} s old{}; hold: {}; agents missing: {}; agents are {} s late.",
        field(plan, "plan"),
        number(age),
        if stale { ", STALE" } else { "" },
        text(plan, "hold"),
        number(field(plan, "agents_missing")),
        number(field(plan, "agents_late_seconds")),
    );
}
