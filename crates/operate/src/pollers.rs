//! `weir pollers`: who polls, by what, and who does not take part?

use std::process::ExitCode;

use clap::{Args as ClapArgs, ValueEnum};
use serde_json::{Value, json};
use weir_terminal::Table;

use crate::connect::Connect;
use crate::failure::Outcome;
use crate::output::Output;
use crate::words::{field, number, text};

/// Flags of `weir pollers`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// Only services that poll and are counted, that only poll, or that are only counted
    #[arg(long, value_name = "PART")]
    part: Option<Part>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// How a service takes part.
#[derive(Debug, Clone, Copy, ValueEnum)]
#[value(rename_all = "snake_case")]
enum Part {
    /// It polls and is counted
    Both,
    /// It polls, and nothing counts its requests
    OnlyPolls,
    /// Its requests are counted, and it does not poll
    OnlyCounts,
}

impl Part {
    fn name(self) -> &'static str {
        match self {
            Self::Both => "both",
            Self::OnlyPolls => "only_polls",
            Self::OnlyCounts => "only_counts",
        }
    }
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let (mut services, page) = client.all(&["v1", "pollers"], "services").await?;
    if let Some(part) = args.part {
        services.retain(|of| of["part"] == part.name());
    }
    let counts = [
        "plan",
        "start",
        "end",
        "both",
        "only_polls",
        "only_counts",
        "polls_of_other_names",
    ];
    let counts = counts.map(|name| (name.to_owned(), page[name].clone()));
    let mut all = Value::Object(counts.into_iter().collect());
    all["services"] = json!(services);
    args.output.print(&all, || {
        weir_terminal::outln!(
            "{} services poll and are counted, {} only poll, {} are only counted.",
            number(field(&page, "both")),
            number(field(&page, "only_polls")),
            number(field(&page, "only_counts")),
        );
        if services.is_empty() {
            return;
        }
        let mut table = Table::new(&["service", "part", ">offered/s", ">polls", "clients"]);
        for of in &services {
            let clients = of["clients"].as_array().into_iter().flatten();
            let clients = clients.map(|client| text(client, "client"));
            table.row([
                text(of, "service"),
                text(of, "part").replace('_', " "),
                number(field(of, "offered_per_second")),
                number(field(of, "polls")),
                clients.collect::<Vec<_>>().join(", "),
            ]);
        }
        table.print();
    });
    Ok(ExitCode::SUCCESS)
}
