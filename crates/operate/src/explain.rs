//! `weir explain`: why does an operation have the probability it has?

use std::process::ExitCode;

use clap::Args as ClapArgs;
use serde_json::{Value, json};
use weir_terminal::Table;

use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::origin;
use crate::output::Output;
use crate::words::{a_month, field, number, percent, printable, text};

/// Flags of `weir explain`.
#[derive(Debug, ClapArgs)]
#[command(after_help = "\
Examples:
  weir explain checkout                  each of its operations, in a sentence
  weir explain checkout 'POST /cart'     one of them")]
pub struct Args {
    /// The service
    service: String,
    /// The operation; without it, all of the service are listed
    operation: Option<String>,
    /// How many operations to list
    #[arg(long, default_value_t = 50, value_name = "COUNT")]
    limit: usize,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args) -> Outcome {
    let client = args.connect.client()?;
    let path = ["v1", "services", args.service.as_str()];
    let service = client.get(&path, &[]).await?;
    let operations = [path.as_slice(), &["operations"]].concat();
    let (mut listed, page) = client.all(&operations, "operations").await?;
    if let Some(wanted) = &args.operation {
        let known = listed.len();
        listed.retain(|it| it["operation"].as_str() == Some(wanted));
        if listed.is_empty() {
            let unknown = format!(
                "the plan lists no operation {} among the {known} of {}; SDKs are served {} for it",
                printable(wanted),
                printable(&args.service),
                percent(field(&page, "default_probability")),
            );
            return Err(Failure::Failed(unknown));
        }
    }
    listed.sort_by(|one, other| {
        let share = |it| field(it, "share_traces_per_second");
        share(other).total_cmp(&share(one))
    });
    let explanation = match &args.operation {
        Some(wanted) => {
            let explanation = [path.as_slice(), &["explanation"]].concat();
            client.find(&explanation, &[("operation", wanted)]).await?
        }
        None => None,
    };
    let mut all = json!({"service": service, "operations": listed});
    if let Some(explanation) = &explanation {
        all["explanation"] = explanation.clone();
    }
    args.output.print(&all, || {
        tell_service(&service);
        match (&args.operation, &*listed) {
            (Some(_), [operation]) => {
                tell_operation(operation);
                explanation.iter().for_each(tell_more);
            }
            // Its classes, each of which is decided for itself.
            (Some(_), classes) => classes.iter().for_each(tell_operation),
            _ => tell_operations(&listed, args.limit),
        }
    });
    Ok(ExitCode::SUCCESS)
}

fn tell_service(service: &Value) {
    let share = field(service, "share_traces_per_second");
    weir_terminal::outln!(
        "{} offers {} requests/s and gets {} traces/s ({} a month).",
        text(service, "service"),
        number(field(service, "offered_per_second")),
        number(share),
        a_month(share),
    );
    if service["origin"].is_object() {
        weir_terminal::outln!(
            "Its settings were last written by {}.",
            origin::line(&service["origin"])
        );
    }
    if let Some(tail) = service["tail"].as_str() {
        anstream::println!(
            "Its traces are decided about when they have ended (tail): {}.",
            match tail {
                "in_effect" => "edges do that, and its SDKs keep everything for them",
                "no_edge" => "NOT YET, because no edge follows the plan; its SDKs sample instead",
                "not_counted" => "NOT YET, because no edge counts it; its SDKs sample instead",
                _ => "not while Weir only observes",
            }
        );
    }
    let group = text(service, "group");
    if !group.is_empty() {
        weir_terminal::outln!("It belongs to the group {group}.");
    }
    weir_terminal::outln!(
        "Operations that no strategy lists are served {}.",
        percent(field(service, "default_probability"))
    );
    for source in service["sources"].as_array().into_iter().flatten() {
        let left_out = source["left_out"].as_bool() == Some(true);
        weir_terminal::outln!(
            "Counted by {}, {} s late{}.",
            text(source, "basis"),
            number(field(source, "late_seconds")),
            if left_out {
                "; left out, because another source counts the same requests"
            } else {
                ""
            },
        );
    }
    if service["applies_strategy"].as_bool() == Some(false) {
        weir_terminal::outln!(
            "It does NOT apply its strategy: it samples nearly everything, although it is served less."
        );
    }
}

/// The name of an operation, with its class if it has one.
fn named(operation: &Value) -> String {
    match operation["class"].as_str() {
        Some(class) => format!("{} ({class})", text(operation, "operation")),
        None => text(operation, "operation"),
    }
}

fn tell_operation(operation: &Value) {
    weir_terminal::outln!(
        "\n{}: probability {}.",
        named(operation),
        percent(field(operation, "probability"))
    );
    weir_terminal::outln!("Why: {}.", text(&operation["reason"], "explanation"));
    let sampled = match operation["window_sampled"].as_u64() {
        Some(sampled) => format!("{} sampled", number(sampled as f64)),
        None => "its source does not say how many were sampled".into(),
    };
    weir_terminal::outln!(
        "In the plan's window: {} requests, {sampled}. Estimated rate: {} requests/s.",
        number(field(operation, "window_offered")),
        number(field(operation, "offered_per_second")),
    );
    let target = field(&operation["reason"], "target_probability");
    weir_terminal::outln!("Level, floor and cap alone would give {}.", percent(target));
    if operation["listed"].as_bool() == Some(false) {
        weir_terminal::outln!(
            "Its service's strategy has no room for it: SDKs are served the default."
        );
    }
    let names = operation["final_names"].as_array().into_iter().flatten();
    let mut table = Table::new(&["final name", ">requests/s", ">share"]);
    let mut some = false;
    for name in names {
        table.row([
            text(name, "name"),
            number(field(name, "requests_per_second")),
            percent(field(name, "share")),
        ]);
        some = true;
    }
    if some {
        weir_terminal::outln!("\nIts spans end with these names; all have its probability:");
        table.print();
    }
}

/// What is set, what keeps the probability, how exact its traces are, and what other names are served.
fn tell_more(explanation: &Value) {
    let settings = &explanation["settings"];
    if settings.is_object() {
        let mut set = vec![format!("weight {}", number(field(settings, "weight")))];
        set.push(format!("priority {}", field(settings, "priority")));
        for (name, title) in [
            ("floor_traces_per_second", "floor"),
            ("cap_traces_per_second", "cap"),
        ] {
            if field(settings, name) > 0.0 {
                set.push(format!(
                    "{title} {} traces/s",
                    number(field(settings, name))
                ));
            }
        }
        if let Some(fixed) = settings["probability"].as_f64() {
            set.push(format!("fixed at {}", percent(fixed)));
        }
        weir_terminal::outln!("Set: {}.", set.join(", "));
    }
    for rule in explanation["rules"].as_array().into_iter().flatten() {
        let decides = rule["decides"].as_array().into_iter().flatten();
        let decides: Vec<_> = decides.filter_map(Value::as_str).collect();
        weir_terminal::outln!(
            "Rule {} ({}{}) decides: {}.",
            text(rule, "id"),
            text(rule, "state"),
            match rule["origin"].is_object() {
                true => format!(", last written by {}", origin::writer(&rule["origin"])),
                false => String::new(),
            },
            match decides.is_empty() {
                true => "nothing, others come first".to_owned(),
                false => printable(&decides.join(", ")),
            },
        );
    }
    let behind = text(&explanation["behind"], "explanation");
    if !behind.is_empty() {
        weir_terminal::outln!("If nothing kept it there: {behind}.");
    }
    let (demand, counts) = (&explanation["demand"], &explanation["counts"]);
    weir_terminal::outln!(
        "Its rate is known to {}; {} of its service's agents are heard, by traffic.",
        percent(field(demand, "rate_relative_deviation")),
        percent(field(counts, "completeness")),
    );
    if let Some(error) = explanation["expected_relative_error"].as_f64() {
        weir_terminal::outln!(
            "Five minutes of its traces show its requests to {}, and at least one with a probability of {}.",
            percent(error),
            percent(field(explanation, "coverage")),
        );
    }
    let served = &explanation["served"];
    weir_terminal::outln!(
        "Another name of this service is served {}, another service {}.",
        percent(field(served, "unknown_operation_probability")),
        percent(field(served, "unknown_service_probability")),
    );
}

fn tell_operations(listed: &[Value], limit: usize) {
    let titles = [
        "operation",
        ">kept/s",
        ">offered/s",
        ">probability",
        "binding",
        "why",
    ];
    let mut table = Table::new(&titles);
    for operation in listed.iter().take(limit) {
        table.row([
            named(operation),
            number(field(operation, "share_traces_per_second")),
            number(field(operation, "offered_per_second")),
            percent(field(operation, "probability")),
            text(operation, "binding"),
            text(&operation["reason"], "explanation"),
        ]);
    }
    weir_terminal::outln!();
    table.print();
    if listed.len() > limit {
        weir_terminal::outln!("… and {} more (--limit)", listed.len() - limit);
    }
}
