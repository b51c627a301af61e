//! `weir rules`: what have we asked for?

mod added;

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use hyper::Method;
use serde_json::{Value, json};
use weir_terminal::Table;

use self::added::Added;
use crate::Service;
use crate::change::{self, CONFIGURATION, Consent, Part, Proposal, Why, comparable};
use crate::client::Client;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::origin;
use crate::output::Output;
use crate::words::{field, number, printable, text};

/// Where rules are.
const RULES: &[&str] = &["v1", "rules"];

/// Flags of `weir rules`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
  weir rules add quiet-health --operation 'GET /health*' --set probability_max=0.0001 \\
       --expires never --owner platform --reason 'probes are half of all traffic'

`weir boost` adds a rule that raises a probability for some time.")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

/// What is done with rules.
#[derive(Debug, Subcommand)]
enum What {
    /// List all (the default)
    List,
    /// Show one, what it matches, and what it does or would do
    Show {
        /// Its id
        id: String,
    },
    /// Add one
    Add(Added),
    /// Turn one off; it still shows what it would do
    Off(Named),
    /// Turn one on again
    On(Named),
    /// Delete one
    Delete(Named),
}

/// One rule that is there.
#[derive(Debug, ClapArgs)]
struct Named {
    /// Its id
    id: String,
    #[command(flatten)]
    consent: Consent,
    #[command(flatten)]
    why: Why,
}

pub async fn run(args: Args, service: Service) -> Outcome {
    let client = args.connect.client()?;
    match args.what.unwrap_or(What::List) {
        What::List => list(&client, args.output).await?,
        What::Show { id } => show(&client, &id, args.output).await?,
        What::Add(added) => return added.run(&client, service).await,
        What::Off(named) => return turn(&client, named, false, service).await,
        What::On(named) => return turn(&client, named, true, service).await,
        What::Delete(named) => return delete(&client, named, service).await,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let (rules, _) = client.all(RULES, "rules").await?;
    output.print(&json!({ "rules": rules }), || {
        if rules.is_empty() {
            weir_terminal::outln!("There are no rules.");
            return;
        }
        let titles = [
            "rule",
            "state",
            ">matches",
            "operations",
            "sets",
            "expires",
            "owner",
            "reason",
            "written by",
        ];
        let mut table = Table::new(&titles);
        for rule in &rules {
            table.row([
                text(rule, "id"),
                text(rule, "state"),
                number(field(&rule["matches"], "operations")),
                format!("{} {}", text(rule, "service"), text(rule, "operation")),
                sets(rule),
                text(rule, "expires"),
                text(rule, "owner"),
                text(rule, "reason"),
                origin::writer(&rule["origin"]),
            ]);
        }
        table.print();
    });
    Ok(())
}

async fn show(client: &Client, id: &str, output: Output) -> Result<(), Failure> {
    let rule = client.get(&[RULES, &[id]].concat(), &[]).await?;
    output.print(&rule, || tell(&rule));
    Ok(())
}

async fn turn(client: &Client, named: Named, on: bool, service: Service) -> Outcome {
    let running = client.versioned(CONFIGURATION).await?;
    let mut document = comparable(&running.body);
    let rule = known(&mut document, &named.id)?;
    rule["enabled"] = json!(on);
    let part = Part {
        method: Method::PUT,
        path: at(&named.id),
        body: rule.clone(),
    };
    let proposal = Proposal::part(document, part, &running, service)?.because(named.why);
    change::propose(client, &running, &proposal, named.consent).await
}

async fn delete(client: &Client, named: Named, service: Service) -> Outcome {
    let running = client.versioned(CONFIGURATION).await?;
    let mut document = comparable(&running.body);
    known(&mut document, &named.id)?;
    if let Value::Object(rules) = &mut document["rules"] {
        rules.remove(&named.id);
    }
    let part = Part {
        method: Method::DELETE,
        path: at(&named.id),
        body: Value::Null,
    };
    let proposal = Proposal::part(document, part, &running, service)?.because(named.why);
    change::propose(client, &running, &proposal, named.consent).await
}

/// A rule of the configuration.
fn known<'d>(document: &'d mut Value, id: &str) -> Result<&'d mut Value, Failure> {
    let rule = document["rules"].get_mut(id);
    rule.ok_or_else(|| Failure::Failed(format!("there is no rule {:?}", printable(id))))
}

/// Where a rule is.
fn at(id: &str) -> Vec<String> {
    RULES
        .iter()
        .chain([&id])
        .map(|of| (*of).to_owned())
        .collect()
}

/// One rule in sentences.
pub fn tell(rule: &Value) {
    weir_terminal::outln!(
        "{} ({}): {} {} sets {}, until {}.",
        text(rule, "id"),
        text(rule, "state"),
        text(rule, "service"),
        text(rule, "operation"),
        sets(rule),
        text(rule, "expires"),
    );
    weir_terminal::outln!(
        "{} asked for it: {}.",
        text(rule, "owner"),
        text(rule, "reason")
    );
    if rule["origin"].is_object() {
        weir_terminal::outln!("Last written by {}.", origin::line(&rule["origin"]));
    }
    if let Some(attributes) = rule["attributes"].as_object() {
        let attributes = attributes.iter().map(|(key, value)| {
            format!(
                "{} like {}",
                crate::words::printable(key),
                crate::words::printable(value.as_str().unwrap_or_default())
            )
        });
        let attributes: Vec<String> = attributes.collect();
        weir_terminal::outln!(
            "It is for tagged requests alone: {}.",
            attributes.join(", ")
        );
    }
    let matches = &rule["matches"];
    if let Some(said) = matches["tagged"]["said"].as_str() {
        weir_terminal::outln!("It {}.", crate::words::printable(said));
    }
    weir_terminal::outln!(
        "It matches {} operations of {} services.",
        number(field(matches, "operations")),
        number(field(matches, "services")),
    );
    tell_effect(&rule["effect"]);
}

/// What a rule takes and gives.
fn tell_effect(effect: &Value) {
    if effect.is_object() {
        weir_terminal::outln!("Effect:");
        for line in crate::yaml::write(effect).lines() {
            weir_terminal::outln!("  {}", crate::words::printable(line));
        }
    }
}

/// What a rule sets, in one line.
fn sets(rule: &Value) -> String {
    let set = rule["set"].as_object().into_iter().flatten();
    let mut set: Vec<_> = set.map(|(name, value)| format!("{name} {value}")).collect();
    if let Some(extra) = rule["extra_traces_per_second"].as_f64() {
        set.push(format!("budget +{}", number(extra)));
    }
    set.join(", ")
}
