//! What a preview foresees, and what moved between two plans.

use serde_json::Value;
use weir_terminal::Table;

use crate::words::{change, field, number, percent, printable, text};

/// Says what a preview foresees.
pub fn tell_effect(effect: &Value) {
    let pair = |value: &Value, name: &str| {
        let pair = &value[name];
        (field(pair, "before"), field(pair, "after"))
    };
    let (before, after) = pair(effect, "expected_sampled_traces_per_second");
    let budget = field(&effect["budget_traces_per_second"], "after");
    weir_terminal::outln!(
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
        weir_terminal::outln!(
            "Floors are not met by {} traces/s: the budget or a cap is too small for them.",
            number(missing)
        );
    }
    for warning in warnings(&effect["warnings"]) {
        weir_terminal::outln!("Warning: {warning}");
    }
    tell_services(&effect["services"]);
    tell_operations(&effect["operations"]);
}

/// Says what moved between two plans.
pub fn tell_compared(compared: &Value) {
    let kept = &compared["expected_sampled_traces_per_second"];
    let (before, after) = (field(kept, "before"), field(kept, "after"));
    weir_terminal::outln!(
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
        weir_terminal::outln!("\nServices that move most:");
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
        weir_terminal::outln!("\nOperations that move most:");
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
