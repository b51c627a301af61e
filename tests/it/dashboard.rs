//! The Grafana dashboard: Grafana can read it, and a real Prometheus that scrapes two real replicas
//! answers every query of every panel.

mod document;
mod live;
mod provisioning;
mod types;

use std::collections::{BTreeMap, BTreeSet};

use document::{Dashboard, Panel, Target, root};

/// Metrics of Prometheus itself.
const OTHERS: [&str; 2] = ["ALERTS", "up"];

/// Columns of Grafana's grid.
const COLUMNS: u64 = 24;

/// The metrics that docs/metrics.md lists.
fn documented() -> BTreeSet<String> {
    let text = std::fs::read_to_string(root().join("docs/metrics.md")).unwrap();
    let headings = text.lines().filter_map(|line| line.strip_prefix("## `"));
    headings
        .map(|rest| rest.trim_end_matches('`').to_owned())
        .collect()
}

/// The metric that a series belongs to: a histogram has three series.
fn family(series: &str, documented: &BTreeSet<String>) -> String {
    let mut parts = ["_bucket", "_sum", "_count"].iter();
    let whole = parts.find_map(|part| series.strip_suffix(part));
    match whole {
        Some(whole) if documented.contains(whole) => whole.to_owned(),
        _ => series.to_owned(),
    }
}

#[test]
fn every_metric_it_names_is_documented_and_every_documented_one_is_shown() {
    let documented = documented();
    let mut shown = BTreeSet::new();
    for (place, expression) in Dashboard::read().expressions() {
        let names = document::metrics(&expression);
        assert!(!names.is_empty(), "{place}: {expression}");
        for name in names {
            let name = family(&name, &documented);
            let known = documented.contains(&name) || OTHERS.contains(&name.as_str());
            assert!(known, "{place}: {name} is nowhere documented");
            shown.insert(name);
        }
    }
    // Not every metric of the process needs a panel.
    let hidden = documented.difference(&shown);
    let hidden: Vec<_> = hidden.filter(|name| name.starts_with("weir_")).collect();
    assert!(hidden.is_empty(), "no panel shows {hidden:?}");
}

#[test]
fn every_panel_says_what_it_shows_and_when_to_worry() {
    let mut titles = BTreeSet::new();
    for panel in Dashboard::read().panels() {
        let title = panel.title();
        assert!(!title.is_empty() && titles.insert(format!("{} {title}", panel.row)));
        let description = panel.json["description"].as_str().unwrap();
        let (what, worry) = description
            .split_once("\n\nWorry: ")
            .unwrap_or_else(|| panic!("{title} does not say when to worry"));
        assert!(what.ends_with('.') && worry.ends_with('.'), "{title}");
        let unit = panel.json["fieldConfig"]["defaults"]["unit"].as_str();
        assert!(unit.is_some_and(|unit| !unit.is_empty()), "{title}");
        assert!(!panel.targets().is_empty(), "{title} asks nothing");
        let references: BTreeSet<&str> = panel.targets().iter().map(Target::reference).collect();
        assert_eq!(references.len(), panel.targets().len(), "{title}");
    }
}

#[test]
fn panels_neither_overlap_nor_leave_the_grid() {
    let dashboard = Dashboard::read();
    let mut taken: BTreeMap<(u64, u64), String> = BTreeMap::new();
    let mut numbers = BTreeSet::new();
    let (mut deepest, mut last_row) = (0, 0);
    for json in dashboard.tiles() {
        let title = json["title"].as_str().unwrap();
        let number = json["id"].as_u64().unwrap();
        assert!(numbers.insert(number), "{title} has another's number");
        let [x, y, width, height] =
            ["x", "y", "w", "h"].map(|side| json["gridPos"][side].as_u64().unwrap());
        assert!(x + width <= COLUMNS && width > 0 && height > 0, "{title}");
        for column in x..x + width {
            for line in y..y + height {
                let before = taken.insert((column, line), title.to_owned());
                assert_eq!(before, None, "{title} covers it");
            }
        }
        if json["type"] == "row" {
            assert!(y >= deepest, "{title} stands in the row before");
            last_row = y;
        }
        assert!(y >= last_row, "{title} stands above its row");
        deepest = deepest.max(y + height);
    }
    // Grafana would pull panels up into a gap, so the grid must have none.
    assert_eq!(taken.len() as u64, deepest * COLUMNS, "there is a gap");
}

#[test]
fn queries_ask_one_fleet_and_leave_the_range_to_grafana() {
    for (place, expression) in Dashboard::read().expressions() {
        for selector in document::selectors(&expression) {
            let fleet = selector.contains(r#"job="$job",instance=~"$instance""#)
                || selector.contains(r#"job=~"$job|""#) && selector.contains("alertname");
            assert!(fleet, "{place}: {{{selector}}}");
        }
        for range in document::ranges(&expression) {
            assert_eq!(range, "$__rate_interval", "{place}");
        }
    }
}

/// Alerts in a panel's description, each with the section that it points to.
fn alerts(panel: &Panel) -> Vec<(String, String)> {
    let description = panel.json["description"].as_str().unwrap();
    let words = description.split(|c: char| !c.is_ascii_alphanumeric() && !"#./()".contains(c));
    let words: Vec<&str> = words.collect();
    let pairs = words.windows(2).filter_map(|pair| {
        let section = pair[1].strip_prefix("(docs/operations.md#")?;
        let section = section.trim_end_matches('.').strip_suffix(')')?;
        Some((pair[0].to_owned(), section.to_owned()))
    });
    pairs.collect()
}

#[test]
fn every_alert_has_a_panel_that_points_at_its_runbook() {
    let rules = std::fs::read_to_string(root().join("deploy/prometheus/alerts.rules.yaml"));
    let rules = rules.unwrap();
    let all: BTreeSet<&str> = rules
        .lines()
        .filter_map(|line| line.trim().strip_prefix("- alert: "))
        .collect();
    let mut named = BTreeSet::new();
    for panel in Dashboard::read().panels() {
        for (alert, section) in alerts(&panel) {
            assert!(all.contains(alert.as_str()), "there is no alert {alert}");
            assert_eq!(section, alert.to_lowercase());
            named.insert(alert);
        }
    }
    let named: BTreeSet<&str> = named.iter().map(String::as_str).collect();
    let silent: Vec<_> = all.difference(&named).collect();
    assert!(silent.is_empty(), "no panel points at {silent:?}");
}
