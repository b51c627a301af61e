//! The shipped rules, and the same rules scaled to Weir's fastest interval for tests.

use std::collections::BTreeSet;
use std::path::{Path, PathBuf};

use serde_json::Value;
use yaml_rust2::YamlLoader;

use crate::contract::document::value;

/// Where the rules are.
pub fn folder() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy/prometheus")
}

/// A YAML file under the folder.
pub fn document(file: &Path) -> Value {
    let text = std::fs::read_to_string(folder().join(file)).unwrap();
    value(&YamlLoader::load_from_str(&text).unwrap()[0])
}

/// Every alert in the rules.
pub fn alerts() -> Vec<Value> {
    let rules = document(Path::new("alerts.rules.yaml"));
    let groups = rules["groups"].as_array().unwrap().iter();
    groups
        .flat_map(|group| group["rules"].as_array().unwrap().clone())
        .collect()
}

/// The names of all alerts.
pub fn names() -> BTreeSet<String> {
    let name = |alert: &Value| alert["alert"].as_str().unwrap().to_owned();
    alerts().iter().map(name).collect()
}

/// The rules for an interval of a second. Every duration is a number of intervals of a minute, so
/// all of them are divided by sixty. Nothing else changes.
pub fn for_an_interval_of_a_second(rules: &str) -> String {
    let mut scaled = String::with_capacity(rules.len());
    let mut rest = rules;
    let mut before = ' ';
    while let Some(next) = rest.chars().next() {
        let digits = rest.len() - rest.trim_start_matches(|c: char| c.is_ascii_digit()).len();
        let (number, after) = rest.split_at(digits);
        let unit = after.chars().next().unwrap_or(' ');
        let ends = |c: char| !c.is_alphanumeric() && c != '_' && c != '.';
        let follows = after.chars().nth(1).unwrap_or(' ');
        let milliseconds = match unit {
            'm' => Some(60_000),
            's' => Some(1000),
            _ => None,
        };
        let taken = match milliseconds {
            Some(unit) if digits > 0 && ends(before) && ends(follows) => {
                let duration: u64 = number.parse::<u64>().unwrap() * unit / 60;
                scaled.push_str(&format!("{duration}ms"));
                digits + 1
            }
            _ => {
                scaled.push_str(&rest[..digits.max(next.len_utf8())]);
                digits.max(next.len_utf8())
            }
        };
        before = rest[..taken].chars().next_back().unwrap();
        rest = &rest[taken..];
    }
    scaled
}

#[test]
fn only_durations_are_scaled() {
    let rule = "expr: weir:x:increase15m > 4 * rate(y{a=\"5m1\"}[5m]) offset 30m and p99_5m < 0.25\n\
        for: 2m\ninterval: 15s";
    let scaled = "expr: weir:x:increase15m > 4 * rate(y{a=\"5m1\"}[5000ms]) offset 30000ms and p99_5m < 0.25\n\
        for: 2000ms\ninterval: 250ms";
    assert_eq!(for_an_interval_of_a_second(rule), scaled);
}
