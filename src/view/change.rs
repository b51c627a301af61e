//! What a change changed: field by field, for programs and in words.

use serde::Serialize;
use serde_json::{Map, Value, json};

/// The largest document, in bytes.
pub const CHANGE_BYTES_MAX: usize = 64 << 10;

/// The most fields that are listed.
const FIELDS: usize = 100;

/// The longest path and the longest value that is shown whole, in bytes.
const TEXT: usize = 256;

/// What differs.
#[derive(Debug, Clone, Default, PartialEq, Serialize)]
pub struct ChangeDocument {
    /// Each field that differs, in the order of the documents.
    fields: Vec<FieldChange>,
    /// How many more there are.
    fields_left_out: usize,
    /// The same in words.
    words: Vec<String>,
}

/// A field that differs. What is null was or is not there.
#[derive(Debug, Clone, PartialEq, Serialize)]
struct FieldChange {
    field: String,
    before: Value,
    after: Value,
}

impl ChangeDocument {
    /// How two documents differ.
    #[must_use]
    pub fn between(before: &Value, after: &Value) -> Self {
        let mut change = Self::default();
        change.compare("", Some(before), Some(after));
        change.fit();
        change
    }

    /// Something that was not there before.
    #[must_use]
    pub fn of_new(document: &Value) -> Self {
        Self::between(&json!({}), document)
    }

    /// As it is stored.
    #[must_use]
    pub fn document(&self) -> String {
        serde_json::to_string(self).expect("texts and numbers are JSON")
    }

    fn compare(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        if before == after {
            return;
        }
        let none = Map::new();
        let is_whole = |side: Option<&Value>| side.is_some_and(|value| !value.is_object());
        let old = before.and_then(Value::as_object);
        let new = after.and_then(Value::as_object);
        let empty = [old, new].into_iter().flatten().all(Map::is_empty);
        if is_whole(before) || is_whole(after) || empty {
            self.note(path, before, after);
            return;
        }
        let (old, new) = (old.unwrap_or(&none), new.unwrap_or(&none));
        let mut names: Vec<&String> = old.keys().chain(new.keys()).collect();
        names.sort_unstable();
        names.dedup();
        for name in names {
            let path = match path {
                "" => name.clone(),
                path => format!("{path}.{name}"),
            };
            self.compare(&path, old.get(name), new.get(name));
        }
    }

    fn note(&mut self, path: &str, before: Option<&Value>, after: Option<&Value>) {
        if self.fields.len() == FIELDS {
            self.fields_left_out += 1;
            return;
        }
        let field = shortened(path.to_owned());
        self.words.push(match (before, after) {
            (None, Some(after)) => format!("{field} is new: {}", said(after)),
            (Some(before), None) => format!("{field} is gone; it was {}", said(before)),
            _ => format!("{field}: {} → {}", or_null(before), or_null(after)),
        });
        self.fields.push(FieldChange {
            field,
            before: before.map_or(Value::Null, shown),
            after: after.map_or(Value::Null, shown),
        });
    }

    /// Leaves fields out until the document may be stored: some names and values are long.
    fn fit(&mut self) {
        while self.document().len() > CHANGE_BYTES_MAX && !self.fields.is_empty() {
            self.fields.pop();
            self.words.pop();
            self.fields_left_out += 1;
        }
    }
}

fn or_null(value: Option<&Value>) -> String {
    value.map_or_else(|| "null".to_owned(), said)
}

/// A value in words.
fn said(value: &Value) -> String {
    shortened(value.to_string())
}

/// A value, or the beginning of its text if it is long.
fn shown(value: &Value) -> Value {
    let text = value.to_string();
    if text.len() <= TEXT {
        return value.clone();
    }
    Value::String(shortened(text))
}

fn shortened(mut text: String) -> String {
    if text.len() > TEXT {
        text.truncate(text.floor_char_boundary(TEXT));
        text.push('…');
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_change_is_said_field_by_field() {
        let before = json!({"budget": {"t": 10.0}, "services": {"a": {"cap": 1.0}}});
        let after = json!({"budget": {"t": 50.0}, "services": {}, "rules": {"x": {"on": true}}});
        let change = ChangeDocument::between(&before, &after);
        assert_eq!(
            change.words,
            [
                "budget.t: 10.0 → 50.0",
                "rules.x.on is new: true",
                "services.a.cap is gone; it was 1.0",
            ]
        );
        assert_eq!(change.fields[0].before, json!(10.0));
        assert_eq!(
            ChangeDocument::between(&before, &before),
            ChangeDocument::default()
        );
    }

    #[test]
    fn a_change_is_bounded() {
        let many: Map<String, Value> = (0..5_000)
            .map(|number| (format!("{number:0300}"), json!("\u{1}".repeat(3_000))))
            .collect();
        let change = ChangeDocument::of_new(&Value::Object(many));
        assert!(change.document().len() <= CHANGE_BYTES_MAX);
        assert_eq!(change.fields.len() + change.fields_left_out, 5_000);
    }
}
