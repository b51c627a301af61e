//! `weir import jaeger`: a file of Jaeger's strategies becomes settings of services.
//!
//! # Source
//! Jaeger's `file` sampling strategy provider. A service without operations inherits those of the
//! default strategy; a service with some has both, and its own win.

mod read;

use std::path::PathBuf;
use std::process::ExitCode;

use clap::{Args as ClapArgs, Subcommand};
use serde_json::{Value, json};

use crate::change::{self, CONFIGURATION, Consent, Proposal, comparable};
use crate::connect::Connect;
use crate::document::read_text;
use crate::failure::{Failure, Outcome};
use crate::words::printable;
use crate::{Service, yaml};

use read::{File, Kind, Strategy};

/// Flags of `weir import`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    #[command(subcommand)]
    from: From,
}

/// Where settings come from.
#[derive(Debug, Subcommand)]
enum From {
    /// Jaeger's strategies file: prints what it would change, and does it with --apply
    Jaeger(JaegerArgs),
}

/// Flags of `weir import jaeger`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
A probability of Jaeger becomes the highest probability here: Weir samples less of it where the budget
asks for that. With --exactly it becomes a fixed probability, whatever that costs. A limit of traces/s
becomes the cap of the service: in Jaeger it holds for each process, here for all of them together.
The budget stays as it is; set it with `weir budget`.")]
struct JaegerArgs {
    /// The file of strategies
    #[arg(value_name = "FILE")]
    file: PathBuf,
    /// Fix probabilities, instead of limiting them
    #[arg(long)]
    exactly: bool,
    /// Make the change. Without it, nothing is written
    #[arg(long, conflicts_with = "print")]
    apply: bool,
    /// Write the settings to standard output, as a file for `weir apply`; no service is asked
    #[arg(long)]
    print: bool,
    #[command(flatten)]
    connect: Connect,
}

/// The settings that a file makes, and what could not be kept of it.
#[derive(Debug, Default, PartialEq)]
struct Imported {
    services: serde_json::Map<String, Value>,
    initial_probability: Option<f64>,
    lost: Vec<String>,
}

pub async fn run(args: Args, service: Service) -> Outcome {
    let From::Jaeger(args) = args.from;
    let text = read_text(&args.file)?;
    let file = File::read(&text)
        .map_err(|problem| Failure::Usage(format!("{}: {problem}", args.file.display())))?;
    let imported = import(&file, args.exactly);
    if args.print {
        for lost in &imported.lost {
            anstream::eprintln!("not kept: {}", printable(lost));
        }
        let document = merged(json!({}), &imported);
        (service.complete)(document.clone(), None)?;
        weir_terminal::out!("{}", yaml::write(&document));
        return Ok(ExitCode::SUCCESS);
    }
    weir_terminal::outln!(
        "Read the settings of {} services. Not kept: {}.",
        imported.services.len(),
        match imported.lost.len() {
            0 => "nothing".into(),
            lost => format!("{lost} things"),
        }
    );
    for lost in &imported.lost {
        weir_terminal::outln!("  {}", printable(lost));
    }
    weir_terminal::outln!();
    let client = args.connect.client()?;
    let running = client.versioned(CONFIGURATION).await?;
    let document = merged(comparable(&running.body), &imported);
    let proposal = Proposal::of(document, &running, service)?;
    let consent = Consent::given(args.apply);
    let done = change::propose(&client, &running, &proposal, consent).await?;
    if !args.apply {
        weir_terminal::outln!("With --apply it is made.");
    }
    Ok(done)
}

/// A configuration with the imported settings put over those that it has.
fn merged(mut document: Value, imported: &Imported) -> Value {
    if let Some(probability) = imported.initial_probability {
        document["initial_probability"] = json!(probability);
    }
    for (name, settings) in &imported.services {
        let known = &mut document["services"][name];
        if known.is_null() {
            *known = json!({});
        }
        for (field, value) in settings.as_object().into_iter().flatten() {
            if field == "operations" {
                for (operation, bounds) in value.as_object().into_iter().flatten() {
                    known["operations"][operation] = bounds.clone();
                }
            } else {
                known[field] = value.clone();
            }
        }
    }
    document
}

fn import(file: &File, exactly: bool) -> Imported {
    let mut made = Imported::default();
    let inherited = match &file.default_strategy {
        Some(default) => made.take_default(default),
        None => &[],
    };
    for strategy in &file.service_strategies {
        let Some(name) = strategy.service.as_deref() else {
            made.lost
                .push("a service strategy without a service".into());
            continue;
        };
        if made.services.contains_key(name) {
            made.lost.push(format!(
                "a second strategy of {name}: the first one is used"
            ));
            continue;
        }
        let settings = made.service(name, strategy, inherited, exactly);

        made.services.insert(name.to_owned(), settings);
    }
    made
}

impl Imported {
    /// Takes what there is for services that are not listed; returns their operations.
    fn take_default<'a>(&mut self, default: &'a Strategy) -> &'a [Strategy] {
        match default.kind() {
            Ok(Kind::Probability(probability)) => self.initial_probability = Some(probability),
            Ok(Kind::Limit(limit)) => self.lost.push(format!(
                "the default strategy's limit of {limit} traces/s for each process: services that the file does not list share the budget"
            )),
            Err(problem) => self.lost.push(format!("the default strategy: {problem}")),
        }
        if !default.operation_strategies.is_empty() {
            self.lost.push(format!(
                "the default strategy's {} operations, for services that the file does not list",
                default.operation_strategies.len()
            ));
        }
        &default.operation_strategies
    }

    fn service(
        &mut self,
        name: &str,
        strategy: &Strategy,
        inherited: &[Strategy],
        exactly: bool,
    ) -> Value {
        let mut settings = json!({});
        match strategy.kind() {
            Ok(Kind::Probability(probability)) => {
                settings["each"] = bounds(probability, exactly);
            }
            Ok(Kind::Limit(limit)) => settings["cap_traces_per_second"] = json!(limit),
            Err(problem) => self.lost.push(format!("the strategy of {name}: {problem}")),
        }
        let own = strategy.operation_strategies.iter();
        let mut seen = std::collections::HashSet::new();
        for operation in own.chain(inherited) {
            let Some(of) = operation.operation.as_deref() else {
                self.lost
                    .push(format!("an operation of {name} without a name"));
                continue;
            };
            if !seen.insert(of) {
                continue;
            }
            match operation.kind() {
                Ok(Kind::Probability(probability)) => {
                    settings["operations"][of] = bounds(probability, exactly);
                }
                // Jaeger itself ignores these. What they ask for is possible here.
                Ok(Kind::Limit(limit)) => {
                    settings["operations"][of] = json!({"cap_traces_per_second": limit});
                }
                Err(problem) => self.lost.push(format!("{of} of {name}: {problem}")),
            }
        }
        settings
    }
}

fn bounds(probability: f64, exactly: bool) -> Value {
    match exactly {
        true => json!({"probability": probability}),
        false => json!({"probability_max": probability}),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: &str = r#"{
      "default_strategy": {"type": "probabilistic", "param": 0.5, "operation_strategies": [
        {"operation": "/health", "type": "probabilistic", "param": 0.0}]},
      "service_strategies": [
        {"service": "foo", "type": "probabilistic", "param": 0.8, "operation_strategies": [
          {"operation": "op1", "type": "probabilistic", "param": 0.2},
          {"operation": "/health", "type": "probabilistic", "param": 0.1},
          {"operation": "op2", "type": "ratelimiting", "param": 3},
          {"operation": "op3", "type": "probabilistic", "param": 1.5}]},
        {"service": "bar", "type": "ratelimiting", "param": 5},
        {"service": "odd", "type": "adaptive", "param": 1}]}"#;

    #[test]
    fn services_inherit_and_their_own_operations_win() {
        let file = File::read(FILE).unwrap();
        let made = import(&file, false);
        assert_eq!(
            Value::Object(made.services.clone()),
            json!({
                "foo": {"each": {"probability_max": 0.8}, "operations": {
                    "op1": {"probability_max": 0.2},
                    "/health": {"probability_max": 0.1},
                    "op2": {"cap_traces_per_second": 3.0},
                }},
                "bar": {"cap_traces_per_second": 5.0, "operations": {"/health": {"probability_max": 0.0}}},
                "odd": {"operations": {"/health": {"probability_max": 0.0}}},
            })
        );
        assert_eq!(made.initial_probability, Some(0.5));
        let lost = made.lost.join("\n");
        for part in [
            "1 operations, for services",
            "op3 of foo",
            "1.5",
            "odd",
            "adaptive",
        ] {
            assert!(lost.contains(part), "{part}: {lost}");
        }
        let exact = import(&file, true);
        assert_eq!(exact.services["foo"]["each"], json!({"probability": 0.8}));
    }

    #[test]
    fn what_is_there_stays() {
        let running = json!({"budget": {"traces_per_second": 7}, "services": {
            "foo": {"group": "web", "each": {"weight": 2}, "operations": {"own": {"weight": 3}}},
            "other": {}}});
        let made = import(&File::read(FILE).unwrap(), false);
        let merged = merged(running, &made);
        assert_eq!(merged["budget"], json!({"traces_per_second": 7}));
        let foo = &merged["services"]["foo"];
        assert_eq!(foo["group"], json!("web"));
        assert_eq!(foo["operations"]["own"], json!({"weight": 3}));
        assert_eq!(foo["operations"]["op1"], json!({"probability_max": 0.2}));
        assert_eq!(foo["each"], json!({"probability_max": 0.8}));
        assert!(merged["services"]["other"].is_object());
    }

    #[test]
    fn what_is_no_file_of_strategies_is_refused() {
        for text in [
            "",
            "[]",
            "{\"services\": []}",
            "{\"service_strategies\": 5}",
            "{",
        ] {
            assert!(File::read(text).is_err(), "{text}");
        }
    }
}
