//! How two configurations differ, field by field.

use anstyle::{AnsiColor, Style};
use serde_json::{Map, Value};

use crate::words::printable;

const ADDED: Style = AnsiColor::Green.on_default();
const REMOVED: Style = AnsiColor::Red.on_default();
const CHANGED: Style = AnsiColor::Yellow.on_default();

/// One field that differs.
#[derive(Debug, PartialEq)]
pub struct Difference {
    /// Its path in the document.
    pub field: String,
    /// What it is now, if it is there.
    pub before: Option<Value>,
    /// What it becomes, if it stays.
    pub after: Option<Value>,
}

/// The fields of an object; those of nothing are none.
fn fields(value: Option<&Value>) -> Option<Option<&Map<String, Value>>> {
    match value {
        Some(Value::Object(fields)) => Some(Some(fields)),
        None => Some(None),
        Some(_) => None,
    }
}

/// The fields that differ, in the order of the documents.
pub fn between(before: &Value, after: &Value) -> Vec<Difference> {
    let mut found = Vec::new();
    compare("", Some(before), Some(after), &mut found);
    found
}

fn compare(path: &str, before: Option<&Value>, after: Option<&Value>, found: &mut Vec<Difference>) {
    if before == after {
        return;
    }
    let none = Map::new();
    match (fields(before), fields(after)) {
        (Some(old), Some(new)) if [old, new].into_iter().flatten().any(|it| !it.is_empty()) => {
            let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
            let mut names: Vec<_> = old.keys().chain(new.keys()).collect();
            names.sort_unstable();
            names.dedup();
            for name in names {
                let path = match path {
                    "" => name.clone(),
                    path => format!("{path}.{name}"),
                };
                compare(&path, old.get(name), new.get(name), found);
            }
        }
        _ => found.push(Difference {
            field: path.to_owned(),
            before: before.cloned(),
            after: after.cloned(),
        }),
    }
}

impl Difference {
    /// One line for people.
    pub fn line(&self) -> String {
        let field = printable(&self.field);
        let value = |value: &Value| printable(&value.to_string());
        match (&self.before, &self.after) {
            (Some(before), Some(after)) => {
                format!(
                    "{CHANGED}~ {field}: {} → {}{CHANGED:#}",
                    value(before),
                    value(after)
                )
            }
            (None, Some(after)) => format!("{ADDED}+ {field}: {}{ADDED:#}", value(after)),
            (Some(before), None) => format!("{REMOVED}- {field}: {}{REMOVED:#}", value(before)),
            (None, None) => String::new(),
        }
    }

    /// The same for programs.
    pub fn json(&self) -> Value {
        serde_json::json!({"field": self.field, "before": self.before, "after": self.after})
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    #[test]
    fn each_field_that_differs_is_named_with_both_values() {
        let before = json!({"budget": {"t": 10.0}, "services": {"a": {"cap": 1.0}, "b": {"each": {"weight": 2.0}}}, "same": [1, {"x": 2}]});
        let after = json!({"budget": {"t": 50.0}, "services": {"a": {"cap": 1.0, "floor": 0.5}}, "same": [1, {"x": 2}]});
        let lines: Vec<_> = between(&before, &after)
            .iter()
            .map(|it| anstream::adapter::strip_str(&it.line()).to_string())
            .collect();
        assert_eq!(
            lines,
            [
                "~ budget.t: 10.0 → 50.0",
                "+ services.a.floor: 0.5",
                "- services.b.each.weight: 2.0",
            ]
        );
        assert!(between(&before, &before).is_empty());
        // An empty entry is there, too.
        let named = between(&json!({"s": {}}), &json!({"s": {"a": {}}}));
        assert_eq!((named.len(), named[0].field.as_str()), (1, "s.a"));
    }
}
