//! `weir history`: what an operation offered and what was sampled of it.

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat};
use clap::Args as ClapArgs;
use serde_json::{Value, json};

use crate::Service;
use crate::connect::Connect;
use crate::failure::{Failure, Outcome};
use crate::output::Output;
use crate::table::Table;
use crate::words::{field, number, percent, text};

/// Flags of `weir history`.
#[derive(Debug, ClapArgs)]
pub struct Args {
    /// The service
    service: String,
    /// The operation
    operation: String,
    /// How far back, such as 30m, 6h or 2d
    #[arg(long, default_value = "1h", value_parser = humantime::parse_duration, value_name = "TIME")]
    since: Duration,
    #[command(flatten)]
    output: Output,
    #[command(flatten)]
    connect: Connect,
}

pub async fn run(args: Args, service: Service) -> Outcome {
    let client = args.connect.client()?;
    let back = chrono::Duration::from_std(args.since).ok();
    let start = back.and_then(|back| (service.now)().checked_sub_signed(back));
    let start = start.ok_or_else(|| Failure::Usage("--since is too long ago".into()))?;
    let start = start.to_rfc3339_opts(SecondsFormat::Millis, true);
    let path = ["v1", "services", args.service.as_str(), "history"];
    let mut points = Vec::new();
    let mut unreadable = 0.0;
    let mut after: Option<String> = None;
    loop {
        let mut query = vec![("operation", args.operation.as_str()), ("start", &start)];
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
    let all = json!({"service": args.service, "operation": args.operation, "points": points});
    args.output.print(&all, || tell(&points, unreadable));
    Ok(ExitCode::SUCCESS)
}

fn tell(points: &[Value], unreadable: f64) {
    if points.is_empty() {
        anstream::println!("Nothing was counted in this time.");
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
        anstream::println!(
            "{} windows are missing: they are damaged, or a newer Weir wrote them.",
            number(unreadable)
        );
    }
}

fn row(point: &Value) -> [String; 6] {
    let seconds = field(point, "window_seconds").max(f64::MIN_POSITIVE);
    let offered = field(point, "offered");
    let sampled = point["sampled"].as_f64();
    let start = text(point, "window_start");
    let start = DateTime::parse_from_rfc3339(&start)
        .map_or(start, |time| time.format("%Y-%m-%d %H:%M:%S").to_string());
    [
        start,
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
