//! The contents of `/metrics`, parsed strictly.

use std::collections::{BTreeMap, BTreeSet};
use std::fmt::Write as _;
use std::io::Write as _;
use std::process::{Command, Stdio};

use super::app::TestApp;
use super::client::http_client;
use super::process::WeirProcess;

/// A metric as it is exposed: its help, its type, its series.
#[derive(Debug, Default)]
pub struct Family {
    pub help: String,
    pub kind: String,
    /// The value of each series, by the sample's whole name with its labels in braces.
    pub samples: BTreeMap<String, f64>,
}

/// One reading of all metrics.
#[derive(Debug)]
pub struct Scrape {
    pub text: String,
    pub families: BTreeMap<String, Family>,
}

impl Scrape {
    /// Requests the metrics and checks that the answer is well formed.
    pub async fn of(app: &TestApp) -> Self {
        let asked = app.client.get(format!("{}/metrics", app.admin)).send();
        let answer = asked.await.expect("an answer");
        assert_eq!(answer.status(), 200);
        let kind = answer.headers()["content-type"].to_str().expect("text");
        assert!(kind.starts_with("text/plain; version=0.0.4"), "{kind}");
        Self::read(answer.text().await.expect("text"))
    }

    /// The same for a process; nothing while it does not answer.
    pub async fn of_process(weir: &WeirProcess) -> Option<Self> {
        let url = format!("{}/metrics", weir.admin_url());
        let answer = http_client().get(url).send().await.ok()?;
        Some(Self::read(answer.text().await.ok()?))
    }

    /// Parses the text format, as strictly as a scraper may.
    pub fn read(text: String) -> Self {
        let mut families: BTreeMap<String, Family> = BTreeMap::new();
        let mut current = String::new();
        for line in text.lines() {
            if let Some(rest) = line.strip_prefix("# HELP ") {
                let (name, help) = rest.split_once(' ').expect("a name and its help");
                current = name.into();
                let family = Family {
                    help: help.into(),
                    ..Family::default()
                };
                let before = families.insert(current.clone(), family);
                assert!(before.is_none(), "{name} stands twice");
            } else if let Some(rest) = line.strip_prefix("# TYPE ") {
                let (name, kind) = rest.split_once(' ').expect("a name and its type");
                assert_eq!(name, current, "the type follows the help");
                families.get_mut(name).expect("its help").kind = kind.into();
            } else {
                let (series, value) = line.rsplit_once(' ').expect("a series and its value");
                let name = series.split('{').next().expect("a name");
                let part = name.strip_prefix(current.as_str());
                let part = part.unwrap_or_else(|| panic!("{line} stands under {current}"));
                let family = families.get_mut(&current).expect("its help");
                match family.kind.as_str() {
                    "counter" | "gauge" => assert_eq!(part, "", "{line}"),
                    "histogram" => {
                        assert!(["_bucket", "_sum", "_count"].contains(&part), "{line}");
                    }
                    kind => panic!("{current} is a {kind}"),
                }
                let value = value.parse().expect("a number");
                let before = family.samples.insert(series.into(), value);
                assert!(before.is_none(), "{series} stands twice");
            }
        }
        Self { text, families }
    }

    /// The value of a series, whose name is written as it is exposed.
    #[track_caller]
    pub fn value(&self, series: &str) -> f64 {
        let mut found = self.families.values();
        found
            .find_map(|family| family.samples.get(series).copied())
            .unwrap_or_else(|| panic!("there is no {series}"))
    }

    /// The names of all series.
    pub fn series(&self) -> BTreeSet<&str> {
        let samples = self.families.values().flat_map(|family| &family.samples);
        samples.map(|(series, _)| series.as_str()).collect()
    }

    /// The labels of a metric with their values.
    pub fn labels(&self, name: &str) -> BTreeMap<String, BTreeSet<String>> {
        let mut labels: BTreeMap<String, BTreeSet<String>> = BTreeMap::new();
        for series in self.families[name].samples.keys() {
            let Some((_, braces)) = series.split_once('{') else {
                continue;
            };
            for pair in braces.trim_end_matches('}').split("\",") {
                let (label, value) = pair.split_once("=\"").expect("a label and its value");
                let value = value.trim_end_matches('"').to_owned();
                labels.entry(label.into()).or_default().insert(value);
            }
        }
        labels
    }

    /// Runs `promtool` if it is installed, and returns the problems it reports.
    pub fn check_with_promtool(&self) {
        let tool = Command::new("promtool")
            .args(["check", "metrics"])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .spawn();
        let Ok(mut tool) = tool else {
            eprintln!("promtool is not installed: only the test's own reader checked the format");
            return;
        };
        let mut stdin = tool.stdin.take().unwrap();
        stdin.write_all(self.text.as_bytes()).unwrap();
        drop(stdin);
        let said = tool.wait_with_output().unwrap();
        let found = [said.stdout, said.stderr].concat();
        assert!(
            said.status.success() && found.is_empty(),
            "{}",
            String::from_utf8_lossy(&found)
        );
    }

    /// The reference of all metrics, as Markdown.
    pub fn reference(&self) -> String {
        let mut text = String::new();
        for (name, family) in &self.families {
            let _ = write!(text, "\n## `{name}`\n\n{}\n\n", family.help);
            let _ = writeln!(text, "* type: {}", family.kind);
            for (label, values) in self.labels(name) {
                let values: Vec<String> = values.iter().map(|v| format!("`{v}`")).collect();
                let _ = match label.as_str() {
                    "le" => Ok(()),
                    "service" => writeln!(text, "* `service`: a service's name, or `other`"),
                    "group" => writeln!(text, "* `group`: a group's name, or `none`"),
                    "version" => writeln!(text, "* `version`: Weir's version"),
                    _ => writeln!(text, "* `{label}`: {}", values.join(", ")),
                };
            }
        }
        text
    }
}
