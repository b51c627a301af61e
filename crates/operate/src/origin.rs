//! Who last wrote an object of the configuration: what others wrote, and what a file has.

use serde_json::{Map, Value};

use crate::failure::Failure;
use crate::words::{field, number, text};

/// How many objects of others are named.
const NAMED: usize = 20;

/// The parts of a document whose entries are objects.
const KINDS: [&str; 3] = ["groups", "services", "rules"];

/// Who wrote something, in a few words: `ann (cli)`.
pub fn writer(mark: &Value) -> String {
    let (by, origin) = (text(mark, "by"), text(mark, "origin"));
    match (mark["by"].as_str(), text(mark, "part")) {
        (None, _) => String::new(),
        (_, part) if part.is_empty() => format!("{by} ({origin})"),
        (_, part) => format!("{by} ({origin} {part})"),
    }
}

/// Who wrote something, when and why, in one line.
pub fn line(mark: &Value) -> String {
    let mut said = format!("{}, {}", writer(mark), text(mark, "at"));
    let reason = text(mark, "reason");
    if !reason.is_empty() {
        said = format!("{said}: {reason}");
    }
    said
}

/// Who last wrote the object that a field belongs to, if that is known. Names may have dots.
pub fn of_field<'o>(origins: &'o Value, field: &str) -> Option<(String, &'o Value)> {
    let Some((kind, rest)) = field.split_once('.') else {
        return origins.get(field).map(|mark| (field.to_owned(), mark));
    };
    if !KINDS.contains(&kind) {
        return origins.get(kind).map(|mark| (kind.to_owned(), mark));
    }
    let ends = rest.match_indices('.').map(|(end, _)| end);
    ends.chain([rest.len()]).find_map(|end| {
        let name = &rest[..end];
        let mark = origins[kind].get(name)?;
        Some((format!("{kind}.{name}"), mark))
    })
}

/// What of a preview is somebody else's.
pub struct Others<'e> {
    overwrites: &'e [Value],
    left_out: f64,
    overlaps: &'e [Value],
}

impl<'e> Others<'e> {
    /// Reads a preview. An older service says nothing of it.
    pub fn of(effect: &'e Value) -> Self {
        let list = |name: &str| effect[name].as_array().map_or(&[][..], Vec::as_slice);
        Self {
            overwrites: list("overwrites"),
            left_out: field(effect, "overwrites_left_out"),
            overlaps: list("overlaps"),
        }
    }

    /// Refuses a file that overwrites what others wrote, and says what that is.
    pub fn refuse(&self) -> Result<(), Failure> {
        let mut said = String::new();
        if !self.overwrites.is_empty() {
            said = format!("{said}\n{}", self.listed(of_others));
        }
        for overlap in self.overlaps {
            said = format!(
                "{said}\n  owns.{} lists {}, which the part {} owns by {} ({}, {})",
                text(overlap, "kind"),
                text(overlap, "listed"),
                text(overlap, "part"),
                text(overlap, "lists"),
                text(overlap, "by"),
                text(overlap, "at"),
            );
        }
        if said.is_empty() {
            return Ok(());
        }
        Err(Failure::Theirs(format!(
            "nothing was changed: others wrote since, or own, what this file changes:{said}\nTake that into the file (`weir export` has it), let the file own something else, or say --take-over"
        )))
    }

    /// Tells somebody who changes what a file has.
    pub fn tell(&self) {
        if self.overwrites.is_empty() {
            return;
        }
        weir_terminal::outln!(
            "\nA file has this, too:\n{}\nIts next `weir apply` stops there, and puts it back if that is told to --take-over. To keep\nyour change, make it in the file, too.",
            self.listed(of_file)
        );
    }

    fn listed(&self, said: impl Fn(&Value) -> String) -> String {
        let named = self.overwrites.iter().take(NAMED);
        let mut lines: Vec<String> = named
            .map(|of| format!("  {}: {}", text(of, "object"), said(of)))
            .collect();
        let more = self.overwrites.len().saturating_sub(NAMED) as f64 + self.left_out;
        if more > 0.0 {
            lines.push(format!("  … and {} more", number(more)));
        }
        lines.join("\n")
    }
}

/// What somebody else wrote.
fn of_others(of: &Value) -> String {
    let mut said = Vec::new();
    if of["by"].is_string() {
        let deleted = of["gone"].as_bool() == Some(true);
        let deleted = if deleted { "deleted by " } else { "" };
        said.push(format!("{deleted}{}", line(of)));
    }
    let part = text(of, "owned_by");
    if !part.is_empty() {
        said.push(format!("it belongs to the part {part}"));
    }
    let (owner, why) = (text(of, "owner"), text(of, "why"));
    if !owner.is_empty() {
        said.push(format!("owner {owner}: {why}"));
    }
    said.join("; ")
}

/// What a file has.
fn of_file(of: &Value) -> String {
    let part = text(of, "owned_by");
    let file = match of["origin"].as_str() {
        Some("file") => of,
        _ => &of["overwrote"],
    };
    match (file["by"].as_str(), part.is_empty()) {
        (Some(_), _) => {
            let name = text(file, "part");
            let name = match name.is_empty() {
                true => String::new(),
                false => format!(" of the part {name}"),
            };
            format!(
                "applied by {}{name}, {}",
                text(file, "by"),
                text(file, "at")
            )
        }
        (None, _) => format!("its name belongs to the part {part}"),
    }
}

/// What a file has of a setting; none if no file has it.
pub fn in_file(origins: &Value, setting: &str) -> Option<Value> {
    let mut mark = origins[setting].as_object().cloned()?;
    let overwrote = mark.get("overwrote").is_some_and(|was| !was.is_null());
    if !overwrote && mark.get("origin").and_then(Value::as_str) != Some("file") {
        return None;
    }
    mark.insert("object".into(), setting.into());
    Some(Value::Object(mark))
}

/// Tells somebody who changed a setting without a preview that a file has it, too.
pub fn tell_of_setting(in_file: Option<Value>) {
    let listed: Vec<Value> = in_file.into_iter().collect();
    let others = Others {
        overwrites: &listed,
        left_out: 0.0,
        overlaps: &[],
    };
    others.tell();
}

/// A document as YAML, with a comment at each object that somebody else than a file of the whole configuration wrote.
pub fn commented(document: &Value, origins: &Value) -> String {
    let mut text = String::new();
    let none = Map::new();
    for (field, value) in document.as_object().unwrap_or(&none) {
        let entries = value.as_object().filter(|entries| !entries.is_empty());
        let entries = entries.filter(|_| KINDS.contains(&field.as_str()));
        let Some(entries) = entries else {
            text += &comment(&origins[field], "");
            text += &yaml_of(field, value, "");
            continue;
        };
        text = format!("{text}{field}:\n");
        for (name, value) in entries {
            text += &comment(&origins[field][name], "  ");
            text += &yaml_of(name, value, "  ");
        }
    }
    text
}

fn comment(mark: &Value, indent: &str) -> String {
    let is_plain = mark["origin"].as_str() == Some("file") && mark.get("part").is_none();
    match mark["by"].is_string() && !is_plain {
        true => format!("{indent}# {}\n", line(mark)),
        false => String::new(),
    }
}

/// A field as YAML. Texts with line ends are written escaped, so every line can be indented.
fn yaml_of(name: &str, value: &Value, indent: &str) -> String {
    let mut field = Map::new();
    field.insert(name.to_owned(), value.clone());
    let written = crate::yaml::write(&Value::Object(field));
    let lines = written.lines().map(|line| format!("{indent}{line}\n"));
    lines.collect()
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    #[test]
    fn the_object_of_a_field_is_found_by_its_longest_name() {
        let origins = json!({"budget": {"by": "ann"}, "services": {"a.b": {"by": "bob"}}});
        let found = |field: &str| of_field(&origins, field).map(|(object, _)| object);
        assert_eq!(found("budget.traces_per_second"), Some("budget".into()));
        assert_eq!(
            found("services.a.b.each.weight"),
            Some("services.a.b".into())
        );
        assert_eq!(found("services.a.b"), Some("services.a.b".into()));
        assert_eq!(found("services.a"), None);
        assert_eq!(found("coverage.probability"), None);
    }

    #[test]
    fn comments_change_nothing_of_what_a_file_says() {
        let document = json!({"budget": {"traces_per_second": 5.0}, "groups": {},
            "services": {}, "rules": {"x": {"reason": "a\nb # c: d", "set": {"weight": 2.0}}, "y": {}}});
        let origins = json!({"budget": {"origin": "cli", "by": "ann\n\u{202e}", "at": "now", "reason": "more"}, "services": {},
            "rules": {"x": {"origin": "file", "by": "ci", "at": "then", "part": "pay"},
                "y": {"origin": "file", "by": "ci", "at": "then"}}});
        let text = commented(&document, &origins);
        assert_eq!(crate::yaml::read(&text).unwrap().value, document, "{text}");
        let comments: Vec<&str> = text.lines().filter(|line| line.contains("# ")).collect();
        assert_eq!(comments[0], "# ann\\u{a}\\u{202e} (cli), now: more");
        assert_eq!(comments[1], "  # ci (file pay), then");
        assert_eq!(comments.len(), 3, "and the text with a #: {text}");
    }
}
