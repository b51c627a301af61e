//! How the configuration is changed: the difference, its previewed effect, a question, and a write
//! over the revision that was read.

use std::io::{BufRead, IsTerminal, Write};
use std::process::ExitCode;

use clap::Args;
use hyper::Method;
use serde_json::{Value, json};

use crate::client::{Client, Versioned};
use crate::difference::{self, Difference};
use crate::failure::{Failure, Outcome};
use crate::table::Table;
use crate::words::{change, field, number, percent, printable, text};
use crate::{Service, Wrong};

/// Where the configuration is.
pub const CONFIGURATION: &[&str] = &["v1", "configuration"];

/// How many services and operations of a preview are shown.
const SHOWN: &str = "10";

/// The most fields that are listed; a preview says what all of them do.
const FIELDS_SHOWN: usize = 200;

/// Flags of every command that changes something.
#[derive(Debug, Clone, Copy, Args)]
pub struct Consent {
    /// Make the change without asking
    #[arg(long, short, conflicts_with = "dry_run")]
    yes: bool,
    /// Show what would change, and change nothing
    #[arg(long)]
    dry_run: bool,
    /// Make it although a boost or a fixed probability leaves another operation with less than half of
    /// its share
    #[arg(long)]
    force: bool,
}

/// The flag of changes that have no reason of their own.
#[derive(Debug, Clone, Args)]
pub struct Why {
    /// Why; `weir audit` shows it
    #[arg(long, value_name = "TEXT")]
    reason: Option<String>,
}

impl Consent {
    /// Makes the change without asking, or only shows it.
    pub fn given(yes: bool) -> Self {
        Self {
            yes,
            dry_run: !yes,
            force: false,
        }
    }
}

/// A configuration that is to become the newest.
pub struct Proposal {
    /// The document to write.
    document: Value,
    /// The same with everything filled in, to compare.
    complete: Value,
    way: Way,
    /// Why, if it does not say so itself.
    reason: Option<String>,
}

/// How a proposal is written.
enum Way {
    /// As the whole configuration.
    Whole,
    /// As the revision that comes back.
    Back(u64),
    /// By the call of the part that changes.
    Part(Part),
}

/// A call that changes a part of the configuration.
pub struct Part {
    /// The method.
    pub method: Method,
    /// The path, a segment each.
    pub path: Vec<String>,
    /// What is sent.
    pub body: Value,
}

/// How a proposal ended.
pub enum Settled {
    /// The running configuration is the same.
    Same,
    /// It was only shown.
    Shown,
    /// It is written; this is the answer.
    Written(Versioned),
}

impl Proposal {
    /// A document that takes the place of the running one.
    pub fn of(document: Value, running: &Versioned, service: Service) -> Result<Self, Wrong> {
        Ok(Self {
            complete: (service.complete)(document.clone(), Some(&running.body))?,
            document,
            way: Way::Whole,
            reason: None,
        })
    }

    /// A document that comes of changing a part of it.
    pub fn part(
        document: Value,
        part: Part,
        running: &Versioned,
        service: Service,
    ) -> Result<Self, Wrong> {
        Ok(Self {
            way: Way::Part(part),
            ..Self::of(document, running, service)?
        })
    }

    /// Says why.
    pub fn because(self, why: Why) -> Self {
        let reason = why.reason;
        Self { reason, ..self }
    }

    /// The document of an earlier revision.
    pub fn back(document: Value, revision: u64) -> Self {
        Self {
            complete: document.clone(),
            document,
            way: Way::Back(revision),
            reason: None,
        }
    }
}

impl From<Wrong> for Failure {
    fn from(wrong: Wrong) -> Self {
        Self::Usage(format!("{} {}", wrong.field, wrong.problem))
    }
}

/// Shows what a proposal changes, asks, and writes it if the running configuration is still `before`.
pub async fn propose(
    client: &Client,
    before: &Versioned,
    proposal: &Proposal,
    consent: Consent,
) -> Outcome {
    if let Settled::Written(written) = settle(client, before, proposal, consent, true).await? {
        tell_revision(&written);
    }
    Ok(ExitCode::SUCCESS)
}

/// The same, and returns how it ended. Only `for_people` says what changes.
pub async fn settle(
    client: &Client,
    before: &Versioned,
    proposal: &Proposal,
    consent: Consent,
    for_people: bool,
) -> Result<Settled, Failure> {
    let differences = difference::between(&comparable(&before.body), &proposal.complete);
    if differences.is_empty() {
        if for_people {
            anstream::println!("Nothing to change: the running configuration is the same.");
        }
        return Ok(Settled::Same);
    }
    let previewed = [CONFIGURATION, &["preview"]].concat();
    let effect = client
        .post(&previewed, &[("limit", SHOWN)], &proposal.document)
        .await?;
    if for_people {
        tell(&differences);
        anstream::println!();
        tell_effect(&effect);
    } else if consent.dry_run {
        anstream::println!("{effect:#}");
    }
    if consent.dry_run {
        if for_people {
            anstream::println!("\nNothing was changed: this was a dry run.");
        }
        return Ok(Settled::Shown);
    }
    if !consent.yes {
        ask()?;
    }
    let written = write(client, before, proposal, &effect, consent).await?;
    written.map(Settled::Written).ok_or_else(|| {
        Failure::NotMade(
            "somebody else changed the configuration meanwhile; nothing was written. Run the command again to see what it would change now".into(),
        )
    })
}

/// Says which revision a change became.
pub fn tell_revision(written: &Versioned) {
    let tag = written.tag.trim_matches('"');
    let revision = tag.split('-').next().unwrap_or("?");
    anstream::println!(
        "\nThis is revision {revision} of the configuration. The next plan follows it."
    );
}

/// Writes what was previewed, and nothing else. Nothing is returned if the configuration has moved on.
async fn write(
    client: &Client,
    before: &Versioned,
    proposal: &Proposal,
    effect: &Value,
    consent: Consent,
) -> Result<Option<Versioned>, Failure> {
    let mut query = Vec::new();
    if let Some(reason) = &proposal.reason {
        query.push(("reason", reason.as_str()));
    }
    if let Way::Back(revision) = proposal.way {
        let path = [CONFIGURATION, &["rollback"]].concat();
        let asked = json!({ "revision": revision });
        return client
            .change(Method::POST, &path, &query, &before.tag, &asked)
            .await;
    }
    if consent.force {
        query.push(("force", "true"));
    }
    if let Way::Part(Part { method, path, body }) = &proposal.way {
        let path: Vec<&str> = path.iter().map(String::as_str).collect();
        return client
            .change(method.clone(), &path, &query, &before.tag, body)
            .await;
    }
    if let Some(id) = effect["id"].as_str() {
        query.push(("preview", id));
    }
    client
        .change(
            Method::PUT,
            CONFIGURATION,
            &query,
            &before.tag,
            &proposal.document,
        )
        .await
}

/// A configuration without what an answer adds to it.
pub fn comparable(document: &Value) -> Value {
    let mut document = document.clone();
    if let Value::Object(fields) = &mut document {
        fields.remove("warnings");
    }
    document
}

/// Lists the fields that differ.
pub fn tell(differences: &[Difference]) {
    for difference in differences.iter().take(FIELDS_SHOWN) {
        anstream::println!("{}", difference.line());
    }
    if let Some(more) = differences.len().checked_sub(FIELDS_SHOWN + 1) {
        anstream::println!("… and {} fields more", more + 1);
    }
}

fn ask() -> Result<(), Failure> {
    if !std::io::stdin().is_terminal() {
        return Err(Failure::NotMade(
            "nothing was changed: nobody can be asked here, so say --yes or --dry-run".into(),
        ));
    }
    anstream::print!("\nMake this change? [y/N] ");
    let _ = std::io::stdout().flush();
    let mut answer = String::new();
    let _ = std::io::stdin().lock().read_line(&mut answer);
    if ["y", "yes"].contains(&answer.trim().to_lowercase().as_str()) {
        return Ok(());
    }
    Err(Failure::NotMade("nothing was changed".into()))
}

/// Says what a preview foresees.
fn tell_effect(effect: &Value) {
    let pair = |value: &Value, name: &str| {
        let pair = &value[name];
        (field(pair, "before"), field(pair, "after"))
    };
    let (before, after) = pair(effect, "expected_sampled_traces_per_second");
    let budget = field(&effect["budget_traces_per_second"], "after");
    anstream::println!(
        "Effect, with the traffic of plan {}: {} of {} traces/s are kept ({} before, {}); {} operations change by more than 1 %.",
        field(effect, "plan"),
        number(after),
        number(budget),
        number(before),
        change(before, after),
        number(field(effect, "operations_changed")),
    );
    let missing = field(&effect["missing_traces_per_second"], "after");
    if missing > 0.0 {
        anstream::println!(
            "Floors are not met by {} traces/s: the budget or a cap is too small for them.",
            number(missing)
        );
    }
    for warning in warnings(&effect["warnings"]) {
        anstream::println!("Warning: {warning}");
    }
    tell_services(&effect["services"]);
    tell_operations(&effect["operations"]);
}

/// Says what moved between two plans.
pub fn tell_compared(compared: &Value) {
    let kept = &compared["expected_sampled_traces_per_second"];
    let (before, after) = (field(kept, "before"), field(kept, "after"));
    anstream::println!(
        "{} traces/s are kept ({} before, {}); {} operations change by more than 1 %.",
        number(after),
        number(before),
        change(before, after),
        number(field(compared, "operations_changed")),
    );
    tell_services(&compared["services"]);
    tell_operations(&compared["operations"]);
}

fn tell_services(services: &Value) {
    let mut table = Table::new(&["service", ">kept/s before", ">after", ">change"]);
    let moved = services.as_array().into_iter().flatten();
    let mut some = false;
    for service in moved {
        let share = &service["share_traces_per_second"];
        let (before, after) = (field(share, "before"), field(share, "after"));
        table.row([
            text(service, "service"),
            number(before),
            number(after),
            change(before, after),
        ]);
        some = true;
    }
    if some {
        anstream::println!("\nServices that move most:");
        table.print();
    }
}

fn tell_operations(operations: &Value) {
    let titles = [
        "operation",
        ">probability before",
        ">after",
        ">kept/s",
        "service",
        "reason",
    ];
    let mut table = Table::new(&titles);
    let mut some = false;
    for operation in operations.as_array().into_iter().flatten() {
        let probability = &operation["probability"];
        let reason = &operation["reason"];
        table.row([
            text(operation, "operation"),
            percent(field(probability, "before")),
            percent(field(probability, "after")),
            number(field(&operation["share_traces_per_second"], "after")),
            text(operation, "service"),
            text(reason, "binding"),
        ]);
        some = true;
    }
    if some {
        anstream::println!("\nOperations that move most:");
        table.print();
    }
}

/// Warnings of an answer, each with the field that it is about.
fn warnings(value: &Value) -> Vec<String> {
    match value {
        Value::Object(fields) => fields
            .iter()
            .map(|(name, said)| {
                let said = said
                    .as_str()
                    .map_or_else(|| said.to_string(), str::to_owned);
                printable(&format!("{name}: {said}"))
            })
            .collect(),
        Value::Array(entries) => entries
            .iter()
            .map(|it| printable(&it.to_string()))
            .collect(),
        _ => Vec::new(),
    }
}
