//! `weir audit`: who changed what, why, and what came of it.

use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};
use weir_terminal::Table;

use crate::client::Client;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::words::{change, field, number, printable, text};

const AUDIT: &[&str] = &["v1", "audit"];

/// The most that one request returns.
const PAGE: usize = 500;

/// Flags of `weir audit`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
  weir audit                                # the newest changes
  weir audit --by anna --action budget.changed
  weir audit show 17                        # what it changed, what was expected, what came of it
  weir audit export > audit.ndjson          # everything, one entry a line")]
pub struct Args {
    #[command(subcommand)]
    what: Option<What>,
    /// Only what this token, or this person, did
    #[arg(long, value_name = "NAME")]
    by: Option<String>,
    /// Only this action, such as budget.changed or rule.added
    #[arg(long, value_name = "ACTION")]
    action: Option<String>,
    /// Only what was done to this rule, token or service
    #[arg(long, value_name = "ID")]
    subject: Option<String>,
    /// How many to list
    #[arg(long, default_value_t = 20, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

#[derive(Debug, Subcommand)]
enum What {
    /// Show one entry
    Show {
        /// Its number
        id: u64,
    },
    /// Write every entry, newest first, as JSON: one a line
    Export,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let given = [
        ("by", &args.by),
        ("action", &args.action),
        ("subject", &args.subject),
    ];
    let given = given.into_iter();
    let filters: Vec<(&str, &str)> = given
        .filter_map(|(name, value)| Some((name, value.as_deref()?)))
        .collect();
    match args.what {
        Some(What::Show { id }) => {
            let entry = client
                .get(&[AUDIT, &[&*id.to_string()]].concat(), &[])
                .await?;
            args.output.print(&entry, || tell(&entry));
        }
        Some(What::Export) => {
            pages(&client, &filters, usize::MAX, |entry| {
                weir_terminal::outln!("{entry}");
            })
            .await?;
        }
        None => {
            let mut entries = Vec::new();
            pages(&client, &filters, args.limit, |entry| entries.push(entry)).await?;
            let all = json!({ "entries": entries });
            args.output.print(&all, || list(&entries));
        }
    }
    Ok(ExitCode::SUCCESS)
}

/// Reads entries page by page, up to a limit.
async fn pages(
    client: &Client,
    filters: &[(&str, &str)],
    limit: usize,
    mut take: impl FnMut(Value),
) -> Result<(), Failure> {
    let (mut left, mut before) = (limit, None::<String>);
    while left > 0 {
        let page = left.min(PAGE).to_string();
        let mut query = filters.to_vec();
        query.push(("limit", &page));
        if let Some(before) = &before {
            query.push(("before", before));
        }
        let mut answer = client.get(AUDIT, &query).await?;
        if let Some(Value::Array(entries)) = answer.get_mut("entries").map(Value::take) {
            left = left.saturating_sub(entries.len());
            entries.into_iter().for_each(&mut take);
        }
        match answer["next"].as_u64().map(|next| next.to_string()) {
            Some(next) if before.as_ref() != Some(&next) => before = Some(next),
            _ => break,
        }
    }
    Ok(())
}

fn list(entries: &[Value]) {
    if entries.is_empty() {
        weir_terminal::outln!("Nothing that fits was recorded.");
        return;
    }
    let titles = [
        ">id",
        "at",
        "by",
        "action",
        "what",
        "reason",
        ">revision",
        "origin",
        "address",
    ];
    let mut table = Table::new(&titles);
    for entry in entries {
        table.row([
            field(entry, "id").to_string(),
            text(entry, "at"),
            text(entry, "by"),
            text(entry, "action"),
            what(entry),
            text(entry, "reason"),
            entry["revision_after"]
                .as_u64()
                .map_or_else(String::new, |revision| revision.to_string()),
            text(entry, "origin"),
            text(entry, "address"),
        ]);
    }
    table.print();
}

/// What an entry changed, in a few words: its first field.
fn what(entry: &Value) -> String {
    let words = entry["change"]["words"].as_array();
    let words = words.map_or(&[][..], Vec::as_slice);
    let first = words.first().and_then(Value::as_str).unwrap_or_default();
    let more = words.len().saturating_sub(1) as f64 + field(&entry["change"], "fields_left_out");
    match more {
        0.0 => printable(first),
        more => format!("{} (and {} more)", printable(first), number(more)),
    }
}

fn tell(entry: &Value) {
    weir_terminal::outln!(
        "{} on {} by {} ({}{}), from {}, {}.",
        text(entry, "action"),
        text(entry, "at"),
        text(entry, "by"),
        text(entry, "by_kind"),
        match text(entry, "role") {
            role if role.is_empty() => role,
            role => format!(", {role}"),
        },
        match text(entry, "address") {
            address if address.is_empty() => "the host".to_owned(),
            address => address,
        },
        text(entry, "origin"),
    );
    match text(entry, "reason") {
        reason if reason.is_empty() => weir_terminal::outln!("No reason was given."),
        reason => weir_terminal::outln!("Why: {reason}"),
    }
    if let Some(after) = entry["revision_after"].as_u64() {
        weir_terminal::outln!("Revision {after} of the configuration.");
    }
    let words = entry["change"]["words"].as_array().into_iter().flatten();
    for word in words.filter_map(Value::as_str) {
        weir_terminal::outln!("  {}", printable(word));
    }
    tell_effect(
        "Expected",
        &entry["predicted"],
        "expected_sampled_traces_per_second",
    );
    let measured = &entry["measured"];
    if measured["known"].as_bool() == Some(false) {
        weir_terminal::outln!("Measured: not known, {}.", text(measured, "why_unknown"));
    } else if measured.is_null() && entry["revision_after"].is_u64() {
        weir_terminal::outln!("Measured: not yet; it takes a few intervals.");
    } else {
        tell_effect("Measured", measured, "observed_sampled_traces_per_second");
    }
}

/// The fleet's traces, then the operations that moved.
fn tell_effect(title: &str, effect: &Value, fleet: &str) {
    if !effect.is_object() {
        return;
    }
    let side = |value: &Value, name: &str| match value[name].as_f64() {
        Some(figure) => number(figure),
        None => "unknown".into(),
    };
    let kept = &effect[fleet];
    weir_terminal::outln!(
        "{title}: {} traces/s, {} before.",
        side(kept, "after"),
        side(kept, "before")
    );
    let titles = [
        "operation",
        ">kept/s before",
        ">after",
        ">change",
        "service",
    ];
    let mut table = Table::new(&titles);
    for operation in effect["operations"].as_array().into_iter().flatten() {
        let kept = match &operation["share_traces_per_second"] {
            Value::Null => &operation["sampled_traces_per_second"],
            share => share,
        };
        table.row([
            text(operation, "operation"),
            side(kept, "before"),
            side(kept, "after"),
            match (kept["before"].as_f64(), kept["after"].as_f64()) {
                (Some(before), Some(after)) => change(before, after),
                _ => "–".into(),
            },
            text(operation, "service"),
        ]);
    }
    if !effect["operations"].as_array().is_none_or(Vec::is_empty) {
        table.print();
    }
}
