//! What an operation offered and what was sampled of it, window by window.

use std::process::ExitCode;

use serde_json::{Value, json};
use weir_terminal::Table;

use super::steps::time;
use crate::client::Client;
use crate::failure::Outcome;
use crate::output::Output;
use crate::words::{field, number, percent, text};

/// What is asked for.
pub(super) struct Asked<'a> {
    pub service: &'a str,
    pub operation: &'a str,
    pub class: Option<&'a str>,
    pub start: &'a str,
}

pub(super) async fn run(client: &Client, asked: &Asked<'_>, output: &Output) -> Outcome {
    let Asked {
        service,
        operation,
        class,
        start,
    } = *asked;
    let path = ["v1", "services", service, "history"];
    let mut points = Vec::new();
    let mut unreadable = 0.0;
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("operation", operation), ("start", start)];
        query.extend(class.map(|class| ("class", class)));
        if let Some(after) = &after {
            query.push(("after", after));
        }
        let mut page = client.get(&path, &query).await?;
        unreadable += field(&page, "unreadable_windows");
        if let Some(Value::Array(more)) = page.get_mut("points").map(Value::take) {
            points.extend(more);
        }
        match page["next"].as_str() {
            Some(next) if after.as_deref() != Some(next) => after = Some(next.to_owned()),
            _ => break,
        }
    }
    let all = json!({"service": service, "operation": operation, "class": class, "points": points});
    output.print(&all, || tell(&points, unreadable));
    Ok(ExitCode::SUCCESS)
}

fn tell(points: &[Value], unreadable: f64) {
    if points.is_empty() {
        weir_terminal::outln!("Nothing was counted in this time.");
    } else {
        let titles = [
            "window",
            ">offered/s",
            ">sampled/s",
            ">sampled",
            ">probability",
            ">seconds",
        ];
        let mut table = Table::new(&titles);
        for point in points {
            table.row(row(point));
        }
        table.print();
    }
    if unreadable > 0.0 {
        weir_terminal::outln!(
            "{} windows are missing: they are damaged, or a newer Weir wrote them.",
            number(unreadable)
        );
    }
}

fn row(point: &Value) -> [String; 6] {
    let seconds = field(point, "window_seconds").max(f64::MIN_POSITIVE);
    let offered = field(point, "offered");
    let sampled = point["sampled"].as_f64();
    [
        time(&text(point, "window_start"), true),
        number(offered / seconds),
        sampled.map_or_else(|| "unknown".into(), |sampled| number(sampled / seconds)),
        match sampled {
            Some(sampled) if offered > 0.0 => percent(sampled / offered),
            _ => "–".into(),
        },
        point["probability"]
            .as_f64()
            .map_or_else(|| "–".into(), percent),
        number(seconds),
    ]
}
