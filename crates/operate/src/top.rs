//! `weir top`: the budget, who spends it, and what moves.

use std::collections::HashMap;
use std::io::IsTerminal;
use std::process::ExitCode;
use std::time::Duration;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use weir_terminal::Table;

use crate::budget::tell_plan;
use crate::client::Client;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::words::{change, field, number, percent, text};

/// Moves the cursor to the first line and clears what is below it.
const CLEAR: &str = "\x1b[H\x1b[J";

/// Lines that are not the table's: the figures above it, its title, and the prompt.
const OTHER_LINES: usize = 9;

/// Flags of `weir top`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  weir top                        looks every two seconds, until Ctrl-C
  weir top --every 10s
  weir top --once --output json   one look, for programs")]
pub struct Args {
    /// How often to ask
    #[arg(long, default_value = "2s", value_parser = humantime::parse_duration, value_name = "TIME")]
    every: Duration,
    /// Show it once and end, as when the output is no terminal
    #[arg(long)]
    once: bool,
    #[command(flatten)]
    output: Output,
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
    let once = args.once || (args.output.for_people() && !std::io::stdout().is_terminal());
    let every = args.every.max(Duration::from_millis(500));
    let mut seen = Seen::default();
    let mut ticks = tokio::time::interval(every);
    ticks.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        tokio::select! {
            _ = tokio::signal::ctrl_c() => return Ok(ExitCode::SUCCESS),
            _ = ticks.tick() => {}
        }
        let shown = show(&client, &mut seen, args.output, once).await;
        if once || weir_terminal::is_closed() {
            return shown.map(|()| ExitCode::SUCCESS);
        }
        // A service that is away for a moment comes back; what was last seen stays.
        if let Err(failure) = shown {
            if matches!(failure, Failure::Usage(_)) {
                return Err(failure);
            }
            anstream::eprintln!("\nweir: {failure}; asking again");
        }
    }
}

async fn show(client: &Client, seen: &mut Seen, output: Output, once: bool) -> Result<(), Failure> {
    let plan = client.find(&["v1", "plans", "current"], &[]).await?;
    let (services, _) = match plan {
        Some(_) => client.all(&["v1", "services"], "services").await?,
        None => (Vec::new(), Value::Null),
    };
    if !output.for_people() {
        // A document for each plan, however often the service is asked.
        if seen.is_new(plan.as_ref()) || once {
            output.print(&json!({ "plan": plan, "services": services }), || {});
        }
        return Ok(());
    }
    if !once {
        weir_terminal::out!("{CLEAR}");
    }
    match &plan {
        None => weir_terminal::sayln!("There is no plan yet: no count has come in."),
        Some(plan) => {
            tell_plan(plan);
            seen.take(plan, &services);
            weir_terminal::outln!();
            let lines = weir_terminal::lines();
            let rows: usize = if once { 20 } else { lines };
            seen.table(plan, services, rows.saturating_sub(OTHER_LINES).max(3))
                .print();
        }
    }
    Ok(())
}

impl Seen {
    /// Whether this plan is another one than the last.
    fn is_new(&mut self, plan: Option<&Value>) -> bool {
        let number = plan.and_then(|plan| plan["plan"].as_u64());
        std::mem::replace(&mut self.plan, number) != number
    }

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
