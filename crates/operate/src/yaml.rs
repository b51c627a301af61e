//! YAML as configuration needs it: JSON's values, and the line of each.
//!
//! Anchors, aliases and tags are refused: a few lines of them can stand for more than any memory
//! holds, and who reads a configuration should see what it says.

use std::collections::HashMap;
use std::fmt;

use serde_json::{Map, Number, Value};
use yaml_rust2::parser::{Event, Parser};
use yaml_rust2::scanner::TScalarStyle;
use yaml_rust2::{Yaml, YamlEmitter, yaml};

/// How deep a document may be nested. A configuration has six levels.
const DEPTH_MAX: usize = 32;

/// A document, and where its values are.
pub struct Document {
    /// What it says.
    pub value: Value,
    /// The line of each field, by its path as serde writes it: `services.checkout.each.weight`.
    lines: HashMap<String, usize>,
}

/// What is wrong, and where.
#[derive(Debug, PartialEq, Eq)]
pub struct Error {
    /// The line, from 1.
    pub line: usize,
    /// What is wrong.
    pub problem: String,
}

impl fmt::Display for Error {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "line {}: {}", self.line, self.problem)
    }
}

impl Document {
    /// The line of a field. If it is not in the document, that of the closest field around it.
    pub fn line(&self, field: &str) -> usize {
        let mut path = field;
        loop {
            if let Some(line) = self.lines.get(path) {
                return *line;
            }
            match path.rfind(['.', '[']) {
                Some(end) => path = &path[..end],
                None => return 1,
            }
        }
    }
}

/// Reads one document. JSON is YAML, too.
pub fn read(text: &str) -> Result<Document, Error> {
    let mut builder = Builder::default();
    let mut parser = Parser::new_from_str(text);
    // Event by event: what the parser offers for a whole document calls itself for each level.
    loop {
        let read = parser.next_token().map_err(|error| Error {
            line: error.marker().line(),
            problem: error.info().to_owned(),
        });
        let (event, mark) = read?;
        if event == Event::StreamEnd {
            break;
        }
        builder.take(event, mark.line()).map_err(|problem| Error {
            line: mark.line(),
            problem,
        })?;
    }
    Ok(Document {
        value: builder.done.unwrap_or(Value::Null),
        lines: builder.lines,
    })
}

/// Puts a document together from the parser's events.
#[derive(Default)]
struct Builder {
    open: Vec<Open>,
    done: Option<Value>,
    lines: HashMap<String, usize>,
}

/// A sequence or a mapping that has not ended.
struct Open {
    path: String,
    line: usize,
    value: Value,
    /// The key whose value comes next, and its line.
    key: Option<(String, usize)>,
}

impl Builder {
    fn take(&mut self, event: Event, line: usize) -> Result<(), String> {
        match event {
            Event::Alias(_) => Err("aliases (*name) are not read here; write the value out".into()),
            Event::Scalar(_, _, anchor, _)
            | Event::SequenceStart(anchor, _)
            | Event::MappingStart(anchor, _)
                if anchor > 0 =>
            {
                Err("anchors (&name) are not read here; write the value out".into())
            }
            Event::Scalar(_, _, _, Some(_))
            | Event::SequenceStart(_, Some(_))
            | Event::MappingStart(_, Some(_)) => Err("tags (!name) are not read here".into()),
            Event::DocumentStart if self.done.is_some() => {
                Err("a second document begins; one file is one configuration".into())
            }
            Event::Scalar(text, style, _, _) => self.scalar(text, style, line),
            Event::SequenceStart(..) => self.begin(Value::Array(Vec::new()), line),
            Event::MappingStart(..) => self.begin(Value::Object(Map::new()), line),
            Event::SequenceEnd | Event::MappingEnd => self.end(),
            _ => Ok(()),
        }
    }

    fn scalar(&mut self, text: String, style: TScalarStyle, line: usize) -> Result<(), String> {
        if let Some(Open {
            value: Value::Object(known),
            key: key @ None,
            ..
        }) = self.open.last_mut()
        {
            if known.contains_key(&text) {
                return Err(format!("lists {text:?} twice"));
            }
            *key = Some((text, line));
            return Ok(());
        }
        let value = match style {
            TScalarStyle::Plain => plain(&text)?,
            _ => Value::String(text),
        };
        self.put(value, line);
        Ok(())
    }

    fn begin(&mut self, value: Value, line: usize) -> Result<(), String> {
        if self.open.len() >= DEPTH_MAX {
            return Err(format!("is nested deeper than {DEPTH_MAX} levels"));
        }
        if let Some(Open {
            value: Value::Object(_),
            key: None,
            ..
        }) = self.open.last()
        {
            return Err("a key must be a text".into());
        }
        let path = self.next_path();
        self.open.push(Open {
            path,
            line,
            value,
            key: None,
        });
        Ok(())
    }

    fn end(&mut self) -> Result<(), String> {
        let ended = self.open.pop().ok_or("ends more than it began")?;
        self.put(ended.value, ended.line);
        Ok(())
    }

    /// The path of the value that comes next.
    fn next_path(&self) -> String {
        let Some(open) = self.open.last() else {
            return String::new();
        };
        match (&open.value, &open.key) {
            (Value::Array(entries), _) => format!("{}[{}]", open.path, entries.len()),
            (_, Some((key, _))) if open.path.is_empty() => key.clone(),
            (_, Some((key, _))) => format!("{}.{key}", open.path),
            (_, None) => open.path.clone(),
        }
    }

    fn put(&mut self, value: Value, line: usize) {
        let key = self.open.last().and_then(|open| open.key.as_ref());
        let line = key.map_or(line, |(_, line)| *line);
        self.lines.insert(self.next_path(), line);
        match self.open.last_mut() {
            None => self.done = Some(value),
            Some(Open {
                value: Value::Array(entries),
                ..
            }) => entries.push(value),
            Some(Open {
                value: Value::Object(known),
                key,
                ..
            }) => {
                if let Some((key, _)) = key.take() {
                    known.insert(key, value);
                }
            }
            Some(_) => unreachable!("only sequences and mappings are open"),
        }
    }
}

/// A value that is not quoted, by YAML 1.2's core schema.
fn plain(text: &str) -> Result<Value, String> {
    Ok(match Yaml::from_str(text) {
        Yaml::Integer(number) => number.into(),
        Yaml::Real(number) => {
            let read: Option<f64> = number.parse().ok();
            let number = read.and_then(Number::from_f64);
            Value::Number(number.ok_or_else(|| format!("{text} is no number that can be used"))?)
        }
        Yaml::Boolean(value) => value.into(),
        Yaml::Null => Value::Null,
        _ => text.into(),
    })
}

/// Writes a document.
pub fn write(value: &Value) -> String {
    let mut text = String::new();
    let written = YamlEmitter::new(&mut text).dump(&to_yaml(value));
    written.expect("a text takes whatever is written");
    // The emitter begins with the mark of a document, which a file of one does not need.
    let text = text
        .strip_prefix("---")
        .unwrap_or(&text)
        .trim_start_matches('\n');
    format!("{text}\n")
}

fn to_yaml(value: &Value) -> Yaml {
    match value {
        Value::Null => Yaml::Null,
        Value::Bool(value) => Yaml::Boolean(*value),
        Value::Number(number) => match number.as_i64() {
            Some(whole) => Yaml::Integer(whole),
            None => Yaml::Real(number.to_string()),
        },
        Value::String(text) => Yaml::String(text.clone()),
        Value::Array(entries) => Yaml::Array(entries.iter().map(to_yaml).collect()),
        Value::Object(entries) => {
            let mut hash = yaml::Hash::new();
            for (key, value) in entries {
                hash.insert(Yaml::String(key.clone()), to_yaml(value));
            }
            Yaml::Hash(hash)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn wrong(text: &str) -> (usize, String) {
        let error = read(text).err().expect("it is wrong");
        (error.line, error.problem)
    }

    #[test]
    fn values_come_with_their_lines() {
        let text = "# budget\nbudget:\n  traces_per_second: 50\nservices:\n  a.b:\n    each: {weight: 2.5}\n    operations:\n      \"GET /x: y\":\n        probability: 1e-3\nlist: [1, two, ~, true]\n";
        let read = read(text).unwrap();
        assert_eq!(
            read.value,
            json!({
                "budget": {"traces_per_second": 50},
                "services": {"a.b": {
                    "each": {"weight": 2.5},
                    "operations": {"GET /x: y": {"probability": 0.001}},
                }},
                "list": [1, "two", null, true],
            })
        );
        let lines = [
            ("budget.traces_per_second", 3),
            // What stands below its name is found at its name.
            ("services", 4),
            ("services.a.b", 5),
            ("services.a.b.each.weight", 6),
            ("services.a.b.operations.GET /x: y.probability", 9),
            // A field that is missing is looked for where it should be.
            ("services.a.b.each.missing", 6),
            ("list[2]", 10),
            ("nowhere", 1),
        ];
        for (field, line) in lines {
            assert_eq!(read.line(field), line, "{field}");
        }
    }

    #[test]
    fn what_cannot_be_read_is_named_with_its_line() {
        assert_eq!(wrong("a: 1\na: 2\n"), (2, "lists \"a\" twice".into()));
        assert!(wrong("a: &x 1\nb: *x\n").1.contains("anchors"));
        assert!(wrong("a: !!str 1\n").1.contains("tags"));
        assert!(wrong("a: 1\n---\nb: 2\n").1.contains("second document"));
        assert!(wrong("a: .inf\n").1.contains("no number"));
        assert!(wrong("? [a]\n: 1\n").1.contains("key must be a text"));
        assert_eq!(wrong("a: 1\n b: 2\n").0, 2);
        assert!(wrong(&"[".repeat(40)).1.contains("nested"));
        // The parser itself has a bound, too: no depth overflows the stack.
        assert!(read(&"[".repeat(100_000)).is_err());
        assert!(read(&"- ".repeat(100_000)).is_err());
        // The well-known billion of laughs.
        let laughs = "a: &a [x, x]\nb: &b [*a, *a]\nc: [*b, *b]\n";
        assert_eq!(wrong(laughs).0, 1);
    }

    #[test]
    fn what_is_written_reads_the_same() {
        let values = [
            json!({"budget": {"traces_per_second": 50.0}, "empty": {}, "names": ["yes", "1", "null", "a: b", "~", "-", "1e3", "", " x ", "#", "a\nb"]}),
            json!({"tiny": 1e-300, "large": 1.7976931348623157e308, "third": 0.3333333333333333}),
        ];
        for value in values {
            assert_eq!(
                read(&write(&value)).unwrap().value,
                value,
                "{}",
                write(&value)
            );
        }
    }
}
