//! The dashboard as a document: its panels and their queries.

use std::path::Path;

use serde_json::Value;

pub fn root() -> &'static Path {
    Path::new(env!("CARGO_MANIFEST_DIR"))
}

/// The dashboard in deploy/.
pub struct Dashboard(pub Value);

/// A panel that shows something, and the title of its row.
pub struct Panel<'a> {
    pub row: &'a str,
    pub json: &'a Value,
}

/// A query of a panel.
pub struct Target<'a>(&'a Value);

impl Dashboard {
    pub fn read() -> Self {
        let text = std::fs::read_to_string(root().join("deploy/grafana/weir.json")).unwrap();
        Self(serde_json::from_str(&text).unwrap())
    }

    /// Rows and panels, in order.
    pub fn tiles(&self) -> impl Iterator<Item = &Value> {
        self.0["panels"].as_array().unwrap().iter()
    }

    /// All panels, without the titles of the rows. No row is folded: nobody sees folded panels at
    /// night.
    pub fn panels(&self) -> Vec<Panel<'_>> {
        let mut row = "";
        let mut panels = Vec::new();
        for json in self.tiles() {
            if json["type"] == "row" {
                assert_eq!(json["panels"], serde_json::json!([]));
                row = json["title"].as_str().unwrap();
            } else {
                panels.push(Panel { row, json });
            }
        }
        panels
    }

    /// Every expression and its place: those of the panels and of the annotations.
    pub fn expressions(&self) -> Vec<(String, String)> {
        let annotations = self.0["annotations"]["list"].as_array().unwrap().iter();
        let annotations = annotations.map(|annotation| {
            let expression = annotation["target"]["expr"].as_str().unwrap();
            (annotation["name"].to_string(), expression.to_owned())
        });
        let panels = self.panels();
        let asked = panels.iter().flat_map(|panel| {
            let targets = panel.targets().into_iter();
            targets.map(|target| (panel.title().to_owned(), target.expression().to_owned()))
        });
        annotations.chain(asked).collect()
    }
}

impl<'a> Panel<'a> {
    pub fn title(&self) -> &'a str {
        self.json["title"].as_str().unwrap()
    }

    pub fn targets(&self) -> Vec<Target<'a>> {
        let targets = self.json["targets"].as_array().unwrap();
        targets.iter().map(Target).collect()
    }
}

impl<'a> Target<'a> {
    pub fn reference(&self) -> &'a str {
        self.0["refId"].as_str().unwrap()
    }

    pub fn expression(&self) -> &'a str {
        self.0["expr"].as_str().unwrap()
    }

    /// The labels in the legend of each of its series.
    pub fn legend(&self) -> Vec<&'a str> {
        let legend = self.0["legendFormat"].as_str().unwrap_or_default();
        let labels = legend.split("{{").skip(1);
        labels
            .map(|rest| rest.split("}}").next().unwrap().trim())
            .collect()
    }
}

/// The text between an opening and a closing bracket; quoted text is skipped.
fn enclosed(expression: &str, open: char, close: char) -> Vec<(usize, &str)> {
    let (mut found, mut start, mut quoted) = (Vec::new(), None, false);
    for (at, c) in expression.char_indices() {
        match c {
            '"' => quoted = !quoted,
            _ if quoted => {}
            c if c == open => start = Some(at),
            c if c == close => {
                let start = start.take().expect("brackets come in pairs");
                found.push((start, &expression[start + 1..at]));
            }
            _ => {}
        }
    }
    found
}

/// Its label selectors.
pub fn selectors(expression: &str) -> Vec<&str> {
    let all = enclosed(expression, '{', '}');
    all.into_iter().map(|(_, selector)| selector).collect()
}

/// The ranges that it looks back.
pub fn ranges(expression: &str) -> Vec<&str> {
    let all = enclosed(expression, '[', ']');
    all.into_iter().map(|(_, range)| range).collect()
}

fn is_part_of_a_name(c: char) -> bool {
    c.is_ascii_alphanumeric() || c == '_' || c == ':'
}

/// The series in it. Each must have a selector: a bare name would select every fleet.
pub fn metrics(expression: &str) -> Vec<String> {
    let named: Vec<String> = enclosed(expression, '{', '}')
        .into_iter()
        .map(|(start, _)| {
            let before = &expression[..start];
            let name = before.rsplit(|c| !is_part_of_a_name(c)).next();
            name.unwrap_or_default().to_owned()
        })
        .collect();
    for word in expression.split(|c| !is_part_of_a_name(c)) {
        let is_series = word.starts_with("weir_") || word.starts_with("process_");
        assert!(
            !is_series || named.iter().any(|name| name == word),
            "{word}"
        );
    }
    named
}

#[test]
fn an_expression_is_taken_apart() {
    let expression = r#"sum by (le) (rate(a_total{x="{b}"}[5m])) / on(y) c{}"#;
    assert_eq!(metrics(expression), ["a_total", "c"]);
    assert_eq!(selectors(expression), [r#"x="{b}""#, ""]);
    assert_eq!(ranges(expression), ["5m"]);
}
