//! `weir rules`: what have we asked for?

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use hyper::Method;
use serde_json::{Value, json};

use crate::client::Client;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::table::Table;
use crate::words::{field, number, text};

/// Where rules are.
const RULES: &[&str] = &["v1", "rules"];

/// What an answer says beside a rule, which is not a part of it.
const NOT_OF_THE_RULE: [&str; 4] = ["id", "state", "matches", "effect"];

/// Flags of `weir rules`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
`weir boost` adds a rule that raises a probability for some time. Others are written into the
configuration: `weir export > weir.yaml`, add them under rules, `weir apply -f weir.yaml`.")]
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
    /// Turn one off; it still shows what it would do
    Off {
        /// Its id
        id: String,
    },
    /// Turn one on again
    On {
        /// Its id
        id: String,
    },
    /// Delete one
    Delete {
        /// Its id
        id: String,
        /// Why; `weir audit` shows it
        #[arg(long, value_name = "TEXT")]
        reason: Option<String>,
    },
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    match args.what.unwrap_or(What::List) {
        What::List => list(&client, args.output).await?,
        What::Show { id } => show(&client, &id, args.output).await?,
        What::Off { id } => turn(&client, &id, false, args.output).await?,
        What::On { id } => turn(&client, &id, true, args.output).await?,
        What::Delete { id, reason } => delete(&client, &id, reason.as_deref()).await?,
    }
    Ok(ExitCode::SUCCESS)
}

async fn list(client: &Client, output: Output) -> Result<(), Failure> {
    let (rules, _) = client.all(RULES, "rules").await?;
    output.print(&json!({ "rules": rules }), || {
        if rules.is_empty() {
            anstream::println!("There are no rules.");
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

async fn turn(client: &Client, id: &str, on: bool, output: Output) -> Result<(), Failure> {
    let path = [RULES, &[id]].concat();
    let mut held = client.versioned(&path).await?;
    if let Value::Object(fields) = &mut held.body {
        fields.retain(|name, _| !NOT_OF_THE_RULE.contains(&name.as_str()));
        fields.insert("enabled".into(), json!(on));
    }
    let written = client
        .change(Method::PUT, &path, &[], &held.tag, &held.body)
        .await?;
    let written = written.ok_or_else(moved_on)?;
    output.print(&written.body, || tell(&written.body));
    Ok(())
}

async fn delete(client: &Client, id: &str, reason: Option<&str>) -> Result<(), Failure> {
    let path = [RULES, &[id]].concat();
    let held = client.versioned(&path).await?;
    let gone = client
        .delete(
            &path,
            reason.map(|why| ("reason", why)).as_slice(),
            &held.tag,
        )
        .await?;
    if !gone {
        return Err(moved_on());
    }
    anstream::println!("{id} is deleted. The next plan shares as without it.");
    Ok(())
}

fn moved_on() -> Failure {
    Failure::NotMade(
        "somebody else changed the configuration meanwhile; nothing was changed".into(),
    )
}

/// One rule in sentences.
pub fn tell(rule: &Value) {
    anstream::println!(
        "{} ({}): {} {} sets {}, until {}.",
        text(rule, "id"),
        text(rule, "state"),
        text(rule, "service"),
        text(rule, "operation"),
        sets(rule),
        text(rule, "expires"),
    );
    anstream::println!(
        "{} asked for it: {}.",
        text(rule, "owner"),
        text(rule, "reason")
    );
    if let Some(attributes) = rule["attributes"].as_object() {
        let attributes = attributes.iter().map(|(key, value)| {
            format!(
                "{} like {}",
                crate::words::printable(key),
                crate::words::printable(value.as_str().unwrap_or_default())
            )
        });
        let attributes: Vec<String> = attributes.collect();
        anstream::println!(
            "It is for tagged requests alone: {}.",
            attributes.join(", ")
        );
    }
    let matches = &rule["matches"];
    if let Some(said) = matches["tagged"]["said"].as_str() {
        anstream::println!("It {}.", crate::words::printable(said));
    }
    anstream::println!(
        "It matches {} operations of {} services.",
        number(field(matches, "operations")),
        number(field(matches, "services")),
    );
    tell_effect(&rule["effect"]);
}

/// What a rule takes and gives.
fn tell_effect(effect: &Value) {
    if effect.is_object() {
        anstream::println!("Effect:");
        for line in crate::yaml::write(effect).lines() {
            anstream::println!("  {}", crate::words::printable(line));
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
