//! `weir services`: who spends the budget?

use std::cmp::Ordering;
use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};

use crate::connect::Connect;
use crate::failure::Outcome;
use crate::output::Output;
use crate::table::Table;
use crate::words::{a_month, field, number, percent, text};

/// Flags of `weir services`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only services whose names contain this, whatever the case
    #[arg(value_name = "TEXT")]
    search: Option<String>,
    /// What to sort by
    #[arg(long, value_enum, default_value_t = Sort::Kept, value_name = "COLUMN")]
    sort: Sort,
    /// How many to list
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// What services are sorted by.
#[derive(Debug, Clone, Copy, PartialEq, Eq, ValueEnum)]
enum Sort {
    /// The most traces first
    Kept,
    /// The most requests first
    Offered,
    /// The lowest probability first
    Probability,
    /// By name
    Name,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let (mut services, page) = client.all(&["v1", "services"], "services").await?;
    let plan = client.find(&["v1", "plans", "current"], &[]).await?;
    let known = services.len();
    if let Some(search) = &args.search {
        let search = search.to_lowercase();
        services.retain(|service| text(service, "service").to_lowercase().contains(&search));
    }
    sort(&mut services, args.sort);
    let found = services.len();
    services.truncate(args.limit);
    let all = json!({"plan": page["plan"], "services": services});
    args.output.print(&all, || {
        if known == 0 {
            anstream::println!("No service is known yet: no plan has been made of any count.");
            return;
        }
        let budget = plan.map_or(0.0, |plan| field(&plan, "budget_traces_per_second"));
        table(&services, budget).print();
        if found > services.len() {
            anstream::println!("… and {} more (--limit)", found - services.len());
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn sort(services: &mut [Value], by: Sort) {
    let number = |service: &Value| match by {
        Sort::Kept => -field(service, "share_traces_per_second"),
        Sort::Offered => -field(service, "offered_per_second"),
        Sort::Probability => probability(service),
        Sort::Name => 0.0,
    };
    services.sort_by(|one, other| {
        let order = number(one).total_cmp(&number(other));
        match order {
            Ordering::Equal => text(one, "service").cmp(&text(other, "service")),
            order => order,
        }
    });
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
    notes.join(", ")
}
