//! What the fleet, a group or a service did, step by step, and what was changed meanwhile.

use std::process::ExitCode;

use chrono::DateTime;
use serde_json::Value;
use weir_terminal::Table;

use super::{Args, By, classes};
use crate::client::Client;
use crate::failure::Outcome;
use crate::words::{field, number, percent, text};

/// The most steps that are asked for if their length is not given: a line of them fits the terminal.
const POINTS: &str = "48";

/// The marks of a sparkline, from the lowest.
const MARKS: [char; 8] = ['▁', '▂', '▃', '▄', '▅', '▆', '▇', '█'];

/// The widest line of marks.
const WIDTH: usize = 60;

pub(super) async fn run(client: &Client, path: &[&str], start: &str, args: &Args) -> Outcome {
    let how = match &args.step {
        Some(step) => ("step", step.as_str()),
        None => ("points", POINTS),
    };
    let mut query = vec![("start", start), how];
    if args.by == Some(By::Class) {
        query.push(("by", "class"));
    }
    let answer = client.get(path, &query).await?;
    args.output.print(&answer, || tell(&answer, args.by));
    Ok(ExitCode::SUCCESS)
}

fn tell(answer: &Value, by: Option<By>) {
    let none = Vec::new();
    let points = answer["points"].as_array().unwrap_or(&none);
    let changes = answer["changes"].as_array().unwrap_or(&none);
    // What was before anything was counted is no gap.
    let first = points
        .iter()
        .position(|point| field(point, "seconds") > 0.0);
    match first.map(|first| &points[first..]) {
        None => weir_terminal::outln!("Nothing was counted in this time."),
        Some(points) => {
            weir_terminal::outln!("sampled/s  {}", line(points));
            weir_terminal::outln!();
            let step = field(answer, "step_seconds");
            match by {
                Some(By::Class) => classes::tell(points, step),
                None => table(points, changes, step).print(),
            }
            legend(points);
        }
    }
    let unreadable = field(answer, "unreadable_windows");
    if unreadable > 0.0 {
        weir_terminal::outln!(
            "{} windows are missing: they are damaged, or a newer Weir wrote them.",
            number(unreadable)
        );
    }
    if !changes.is_empty() {
        weir_terminal::outln!();
        weir_terminal::outln!("Changes in this time:");
        for change in changes {
            weir_terminal::outln!("  {}", said(change));
        }
    }
    if answer["older_changes"] == true {
        weir_terminal::outln!("  There are older ones: weir audit lists them all.");
    }
}

fn table(points: &[Value], changes: &[Value], step: f64) -> Table {
    let limit = match points
        .iter()
        .any(|of| !of["budget_traces_per_second"].is_null())
    {
        true => ">limit/s",
        false => ">",
    };
    let mut table = Table::new(&[
        "from (UTC)",
        "change",
        ">sampled/s",
        limit,
        ">± chance",
        ">offered/s",
        ">probability",
        ">due/s",
        ">sampled",
        ">offered",
    ]);
    for point in points {
        table.row(row(point, &marks(point, changes, step), step));
    }
    table
}

/// What the columns mean that are not clear by themselves.
fn legend(points: &[Value]) {
    if points.iter().any(|point| point["settled"] == false) {
        weir_terminal::outln!("* not settled yet: late reports may still be added");
    }
    if points.iter().any(|point| field(point, "seconds") <= 0.0) {
        weir_terminal::outln!("– nothing was counted");
    }
}

fn row(point: &Value, marks: &str, step: f64) -> [String; 10] {
    let start = time(&text(point, "start"), step < 60.0);
    let settled = match point["settled"] == false && field(point, "seconds") > 0.0 {
        true => " *",
        false => "",
    };
    let figure = |name: &str| point[name].as_f64().map_or_else(|| "–".into(), number);
    let chance = point["chance_traces_per_second"].as_f64();
    [
        format!("{start}{settled}"),
        marks.to_owned(),
        figure("observed_sampled_traces_per_second"),
        match point["budget_traces_per_second"].as_f64() {
            Some(budget) => number(budget),
            None => String::new(),
        },
        // Two standard deviations: 19 of 20 steps stay within.
        chance.map_or_else(|| "–".into(), |chance| number(2.0 * chance)),
        figure("offered_per_second"),
        point["probability"]
            .as_f64()
            .map_or_else(|| "–".into(), percent),
        figure("due_sampled_traces_per_second"),
        figure("sampled"),
        figure("offered"),
    ]
}

/// The entries of the audit that fall into a step; `·` for what has none.
fn marks(point: &Value, changes: &[Value], step: f64) -> String {
    let at = |value: &Value, name: &str| DateTime::parse_from_rfc3339(value[name].as_str()?).ok();
    let Some(start) = at(point, "start") else {
        return String::new();
    };
    let inside = changes.iter().filter(|change| {
        at(change, "at").is_some_and(|at| {
            let after = (at - start).num_milliseconds();
            (0..(step * 1000.0) as i64).contains(&after)
        })
    });
    let marks: Vec<String> = inside
        .map(|change| match change["entry"].as_u64() {
            Some(entry) => format!("#{entry}"),
            None => "·".into(),
        })
        .collect();
    match &marks[..] {
        [first, .., last] if marks.len() > 2 => format!("{first}…{last}"),
        _ => marks.join(" "),
    }
}

/// A change in a line.
fn said(change: &Value) -> String {
    let mut said = time(&text(change, "at"), true);
    if let Some(entry) = change["entry"].as_u64() {
        said.push_str(&format!("  #{entry}"));
    }
    said.push_str(&format!("  {}", text(change, "what")));
    let subject = text(change, "subject");
    if !subject.is_empty() {
        said.push_str(&format!(" {subject}"));
    }
    let by = text(change, "by");
    if !by.is_empty() {
        said.push_str(&format!(" by {by}"));
    }
    let reason = text(change, "reason");
    if !reason.is_empty() {
        said.push_str(&format!(" ({reason})"));
    }
    let words = change["words"].as_array().into_iter().flatten();
    for words in words.filter_map(Value::as_str) {
        said.push_str(&format!("\n      {}", crate::words::printable(words)));
    }
    said
}

/// A line of marks, as high as what was sampled. Several steps share a mark where there are many.
fn line(points: &[Value]) -> String {
    let each = points.len().div_ceil(WIDTH).max(1);
    let rate = |point: &Value| point["observed_sampled_traces_per_second"].as_f64();
    let highest = |some: &[Value]| some.iter().filter_map(rate).reduce(f64::max);
    let rates: Vec<Option<f64>> = points.chunks(each).map(highest).collect();
    let most = rates.iter().flatten().copied().fold(0.0, f64::max);
    let marks = rates.iter().map(|rate| match rate {
        None => ' ',
        Some(_) if most <= 0.0 => MARKS[0],
        Some(rate) => MARKS[((rate / most * 7.0).round() as usize).min(7)],
    });
    let marks: String = marks.collect();
    format!("{}  at most {}", marks.trim_end(), number(most))
}

/// A time as people read it.
pub(super) fn time(text: &str, seconds: bool) -> String {
    let format = match seconds {
        true => "%Y-%m-%d %H:%M:%S",
        false => "%Y-%m-%d %H:%M",
    };
    let parsed = DateTime::parse_from_rfc3339(text);
    parsed.map_or_else(|_| text.to_owned(), |time| time.format(format).to_string())
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    fn point(minute: u32, rate: Option<f64>) -> Value {
        json!({
            "start": format!("2026-11-20T09:{minute:02}:00Z"),
            "seconds": rate.map_or(0.0, |_| 60.0),
            "settled": minute < 2,
            "offered": rate.map(|rate| rate * 6000.0),
            "sampled": rate.map(|rate| rate * 60.0),
            "offered_per_second": rate.map(|rate| rate * 100.0),
            "observed_sampled_traces_per_second": rate,
            "due_sampled_traces_per_second": rate,
            "chance_traces_per_second": rate.map(|rate| rate / 10.0),
            "budget_traces_per_second": rate.map(|_| 10.0),
            "probability": rate.map(|_| 0.01),
        })
    }

    #[test]
    fn a_table_fits_80_columns_with_its_gaps_and_changes() {
        let points = [point(0, Some(10.0)), point(1, None), point(2, Some(80.0))];
        let changes = [
            json!({"at": "2026-11-20T09:02:30Z", "entry": 17, "what": "budget.changed", "by": "anna",
                "words": ["budget.traces_per_second: 10 → 50"]}),
            json!({"at": "2026-11-20T09:00:01Z", "what": "rule.ran_out", "subject": "boost-1"}),
        ];
        let lines = table(&points, &changes, 60.0).lines(80);
        let lines: Vec<String> = lines
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert!(lines.iter().all(|line| line.width() <= 80), "{lines:#?}");
        assert!(lines[1].starts_with("2026-11-20 09:00    ·"), "{lines:#?}");
        assert!(
            lines[2].contains('–') && !lines[2].contains("10"),
            "{lines:#?}"
        );
        assert!(
            lines[3].starts_with("2026-11-20 09:02 *  #17"),
            "{lines:#?}"
        );
        assert_eq!(line(&points), "▂ █  at most 80");
        let expected = "2026-11-20 09:02:30  #17  budget.changed by anna\n      budget.traces_per_second: 10 → 50";
        assert_eq!(said(&changes[0]), expected);
        assert_eq!(
            said(&changes[1]),
            "2026-11-20 09:00:01  rule.ran_out boost-1"
        );
    }
}
