//! `weir top`: the budget, who spends it, and what moves.

use std::collections::HashMap;
use std::io::{IsTerminal, Write};
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::Value;

use crate::budget::tell_plan;
use crate::client::Client;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::table::Table;
use crate::words::{change, field, number, percent, text};

/// Moves the cursor to the first line and clears what is below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Lines that are not the table's: the figures above it, its title, and the prompt.
const OTHER_LINES: usize = 9;

/// Flags of `weir top`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// How often to ask
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration, value_name = "TIME")]
    every: Duration,
    /// Show it once and end, as when the output is no terminal
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The shares of services in a plan.
type Shares = HashMap<String, f64>;

/// What two plans show together.
#[derive(Default)]
struct Seen {
    plan: Option<u64>,
    now: Shares,
    before: Shares,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let once = args.once || !std::io::stdout().is_terminal();
    let every = args.every.max(Duration::from_millis(500));
    let mut seen = Seen::default();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            _ = ticks.tick() => {}
        }
        let shown = show(&client, &mut seen, once).await;
        if once {
            return shown.map(|()| ExitCode::SUCCESS);
        }
        // A service that is away for a moment comes back; what was last seen stays.
        if let Err(failure) = shown {
            if matches!(failure, Failure::Usage(_)) {
                return Err(failure);
            }
            anstream::println!("\n{failure}; asking again");
        }
    }
}

async fn show(client: &Client, seen: &mut Seen, once: bool) -> Result<(), Failure> {
    let plan = client.find(&["v1", "plans", "current"], &[]).await?;
    let (services, _) = match plan {
        Some(_) => client.all(&["v1", "services"], "services").await?,
        None => (Vec::new(), Value::Null),
    };
    if !once {
        anstream::print!("{CLEAR}");
    }
    match &plan {
        None => anstream::println!("There is no plan yet: no count has come in."),
        Some(plan) => {
            tell_plan(plan);
            seen.take(plan, &services);
            anstream::println!();
            let lines = terminal_size::terminal_size().map_or(24, |(_, lines)| lines.0.into());
            let rows: usize = if once { 20 } else { lines };
            seen.table(plan, services, rows.saturating_sub(OTHER_LINES).max(3))
                .print();
        }
    }
    let _ = std::io::stdout().flush();
    Ok(())
}

impl Seen {
    /// Notes the shares of a plan. Those of the plan before stay until the next one comes.
    fn take(&mut self, plan: &Value, services: &[Value]) {
        let number = plan["plan"].as_u64();
        if self.plan == number {
            return;
        }
        self.plan = number;
        let now = services
            .iter()
            .map(|it| (text(it, "service"), field(it, "share_traces_per_second")));
        self.before = std::mem::replace(&mut self.now, now.collect());
    }

    fn table(&self, plan: &Value, mut services: Vec<Value>, rows: usize) -> Table {
        services.sort_by(|one, other| {
            let share = |it| field(it, "share_traces_per_second");
            share(other).total_cmp(&share(one))
        });
        let budget = field(plan, "budget_traces_per_second");
        let titles = [
            "service",
            ">kept/s",
            ">of budget",
            ">moved",
            ">offered/s",
            ">operations",
        ];
        let mut table = Table::new(&titles);
        for service in services.iter().take(rows) {
            let name = text(service, "service");
            let share = field(service, "share_traces_per_second");
            let moved = match self.before.get(&name) {
                Some(before) => change(*before, share),
                None if self.before.is_empty() => "–".into(),
                None => "new".into(),
            };
            table.row([
                name,
                number(share),
                match budget > 0.0 {
                    true => percent(share / budget),
                    false => "–".into(),
                },
                moved,
                number(field(service, "offered_per_second")),
                number(field(service, "operations")),
            ]);
        }
        table
    }
}
