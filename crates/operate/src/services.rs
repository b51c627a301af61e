//! `weir services`: who spends the budget?

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};
use weir_terminal::Table;

use crate::connect::Connect;
use crate::failure::Outcome;
use crate::mode::tell_serving;
use crate::origin;
use crate::output::Output;
use crate::words::{a_month, field, number, percent, text};

/// Flags of `weir services`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  weir services             who spends the budget
  weir services check       those with check in their name
  weir services -o json     everything that the service says")]
pub struct Args {
    /// Only services whose names contain this, whatever the case
    #[arg(value_name = "TEXT")]
    search: Option<String>,
    /// What to sort by
    #[arg(long, value_enum, default_value_t = Sort::Kept, value_name = "COLUMN")]
    sort: Sort,
    /// How many to list
    #[arg(long, default_value_t = 50, value_name = "COUNT", value_parser = clap::value_parser!(u64).range(1..=10_000))]
    limit: u64,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// What services are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The most traces first, as the plan gives them
    Kept,
    /// The most traces first, as they were sampled
    Observed,
    /// The most requests first
    Offered,
    /// The lowest probability first
    Probability,
    /// Those whose floors miss most first
    Missing,
    /// By name
    Name,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let (sort, limit) = (args.sort.name(), args.limit.to_string());
    let mut query = vec![("sort", sort), ("limit", limit.as_str())];
    if let Some(search) = &args.search {
        query.push(("search", search));
    }
    let mut page = client.get(&["v1", "services"], &query).await?;
    let plan = client.find(&["v1", "plans", "current"], &[]).await?;
    let services = match page.get_mut("services").map(Value::take) {
        Some(Value::Array(services)) => services,
        _ => Vec::new(),
    };
    let found = field(&page, "found");
    let all = json!({"plan": page["plan"], "found": page["found"], "services": services});
    args.output.print(&all, || {
        if found == 0.0 && args.search.is_none() {
            weir_terminal::outln!("No service is known yet: no plan has been made of any count.");
            return;
        }
        let budget = plan.as_ref();
        let budget = budget.map_or(0.0, |plan| field(plan, "budget_traces_per_second"));
        table(&services, budget).print();
        if let Some(plan) = plan.as_ref().filter(|plan| plan["serving"] != "plan") {
            weir_terminal::outln!("This is what plans would keep.");
            tell_serving(plan);
        }
        let more = found - services.len() as f64;
        if more > 0.0 {
            weir_terminal::outln!("… and {} more (--limit)", number(more));
        }
    });
    Ok(ExitCode::SUCCESS)
}

impl Sort {
    fn name(self) -> &'static str {
        match self {
            Self::Kept => "kept",
            Self::Observed => "observed",
            Self::Offered => "offered",
            Self::Probability => "probability",
            Self::Missing => "missing",
            Self::Name => "name",
        }
    }
}

/// The mean probability of a service's requests.
fn probability(service: &Value) -> f64 {
    let offered = field(service, "offered_per_second");
    match offered > 0.0 {
        true => (field(service, "share_traces_per_second") / offered).min(1.0),
        false => field(service, "default_probability"),
    }
}

/// A table of services, with their parts of the budget.
pub fn table(services: &[Value], budget: f64) -> Table {
    let mut table = Table::new(&[
        "service",
        ">kept/s",
        ">of budget",
        ">observed/s",
        ">offered/s",
        ">probability",
        ">traces/month",
        ">operations",
        "group",
        "notes",
    ]);
    for service in services {
        let share = field(service, "share_traces_per_second");
        table.row([
            text(service, "service"),
            number(share),
            match budget > 0.0 {
                true => percent(share / budget),
                false => "–".into(),
            },
            match service["observed_sampled_traces_per_second"].as_f64() {
                Some(observed) => number(observed),
                None => "–".into(),
            },
            number(field(service, "offered_per_second")),
            percent(probability(service)),
            a_month(share),
            number(field(service, "operations")),
            text(service, "group"),
            notes(service),
        ]);
    }
    table
}

/// What is wrong with a service, in a few words.
fn notes(service: &Value) -> String {
    let mut notes = Vec::new();
    if service["applies_strategy"].as_bool() == Some(false) {
        notes.push("does not apply its strategy");
    }
    if field(service, "released") > 0.0 {
        notes.push("partly released");
    }
    if service["names_return"]
        .as_f64()
        .is_some_and(|part| part < 0.5)
    {
        notes.push("mints names");
    }
    let mut notes: Vec<String> = notes.into_iter().map(str::to_owned).collect();
    if service["origin"].is_object() {
        notes.push(format!("set by {}", origin::writer(&service["origin"])));
    }
    notes.join(", ")
}
