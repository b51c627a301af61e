//! What each class was offered and what was sampled of it, step by step.

use serde_json::Value;
use weir_terminal::Table;

use super::steps::time;
use crate::words::{number, percent, text};

/// The classes, in the order of the columns.
const CLASSES: [&str; 4] = ["error", "slow", "tagged", "rest"];

pub(super) fn tell(points: &[Value], step: f64) {
    let known = known(points);
    if known.is_empty() {
        weir_terminal::outln!("No request in this time has a class: no service is tail-governed.");
        return;
    }
    table(points, &known, step).print();
    weir_terminal::outln!("/s: offered a second; kept: the part of it that was sampled");
}

/// The classes of which anything was counted.
fn known(points: &[Value]) -> Vec<&'static str> {
    let in_any = |class: &&str| points.iter().any(|point| of(point, class).is_some());
    CLASSES.into_iter().filter(in_any).collect()
}

fn of<'p>(point: &'p Value, class: &str) -> Option<&'p Value> {
    let mut classes = point["classes"].as_array()?.iter();
    classes.find(|of| of["class"] == class)
}

fn table(points: &[Value], known: &[&str], step: f64) -> Table {
    let mut titles = vec!["from (UTC)".to_owned()];
    for class in known {
        titles.extend([format!(">{class}/s"), ">kept".to_owned()]);
    }
    let titles: Vec<&str> = titles.iter().map(String::as_str).collect();
    let mut table = Table::new(&titles);
    for point in points {
        let mut row = vec![time(&text(point, "start"), step < 60.0)];
        row.extend(known.iter().flat_map(|class| cells(of(point, class))));
        table.row(row);
    }
    table
}

fn cells(class: Option<&Value>) -> [String; 2] {
    let figure = |name: &str| class.and_then(|of| of[name].as_f64());
    let offered = figure("offered_per_second");
    let sampled = figure("observed_sampled_traces_per_second");
    let kept = offered
        .zip(sampled)
        .filter(|(offered, _)| *offered > 0.0)
        .map(|(offered, sampled)| percent(sampled / offered));
    let none = || "–".to_owned();
    [offered.map_or_else(none, number), kept.unwrap_or_else(none)]
}

#[cfg(test)]
mod tests {
    use serde_json::json;
    use unicode_width::UnicodeWidthStr;

    use super::*;

    #[test]
    fn four_classes_fit_80_columns() {
        let class = |class: &str, offered: f64, sampled: f64| {
            json!({"class": class, "offered_per_second": offered,
                "observed_sampled_traces_per_second": sampled})
        };
        let all = [
            class("error", 12.5, 12.5),
            class("slow", 250.0, 25.0),
            class("tagged", 0.0, 0.0),
            class("rest", 125_000.0, 12.5),
        ];
        let points = [
            json!({"start": "2026-11-20T09:00:00Z", "classes": all}),
            json!({"start": "2026-11-20T09:10:00Z", "classes": [{"class": "error",
                "offered_per_second": null, "observed_sampled_traces_per_second": null}]}),
        ];
        let lines: Vec<String> = table(&points, &known(&points), 600.0)
            .lines(80)
            .iter()
            .map(|line| anstream::adapter::strip_str(line).to_string())
            .collect();
        assert!(lines.iter().all(|line| line.width() <= 80), "{lines:#?}");
        let titles: Vec<&str> = lines[0].split_whitespace().collect();
        assert_eq!(titles[2..4], ["error/s", "kept"], "{lines:#?}");
        assert!(
            lines[1].contains("12.5") && lines[1].contains("100 %"),
            "{lines:#?}"
        );
        assert!(
            lines[1].contains("10 %") && lines[1].contains("0.01 %"),
            "{lines:#?}"
        );
        assert!(
            lines[2].contains('–') && !lines[2].contains("12.5"),
            "{lines:#?}"
        );
        assert!(known(&[json!({"start": "2026-11-20T09:00:00Z"})]).is_empty());
    }
}
