//! Shows the document's examples, which are YAML, as the JSON that is sent.

use yaml_rust2::Yaml;

/// A value as indented JSON, in the order of the document.
pub(super) fn pretty(value: &Yaml) -> String {
    let mut out = String::new();
    write(&mut out, value, 0);
    out
}

/// A value as JSON. It is one line if no string in it has several.
pub(super) fn compact(value: &Yaml) -> String {
    let lines = pretty(value);
    let lines: Vec<&str> = lines.lines().map(str::trim_start).collect();
    lines.join(" ")
}

/// A scalar on one line; a string is shown without quotes.
pub(super) fn plain(value: &Yaml) -> String {
    match value.as_str() {
        Some(text) => text.into(),
        None => pretty(value),
    }
}

fn write(out: &mut String, value: &Yaml, depth: usize) {
    match value {
        Yaml::String(text) => quoted(out, text),
        Yaml::Real(number) => out.push_str(number),
        Yaml::Integer(number) => out.push_str(&number.to_string()),
        Yaml::Boolean(is) => out.push_str(if *is { "true" } else { "false" }),
        Yaml::Array(items) => list(out, ['[', ']'], depth, items, |out, item| {
            write(out, item, depth + 1);
        }),
        Yaml::Hash(map) => list(out, ['{', '}'], depth, map, |out, (key, item)| {
            quoted(out, key.as_str().unwrap_or_default());
            out.push_str(": ");
            write(out, item, depth + 1);
        }),
        _ => out.push_str("null"),
    }
}

fn quoted(out: &mut String, text: &str) {
    out.push_str(&serde_json::Value::from(text).to_string());
}

fn list<T>(
    out: &mut String,
    [open, close]: [char; 2],
    depth: usize,
    items: impl IntoIterator<Item = T>,
    mut each: impl FnMut(&mut String, T),
) {
    out.push(open);
    let mut is_empty = true;
    for item in items {
        out.push_str(if is_empty { "\n" } else { ",\n" });
        out.push_str(&"  ".repeat(depth + 1));
        each(out, item);
        is_empty = false;
    }
    if !is_empty {
        out.push('\n');
        out.push_str(&"  ".repeat(depth));
    }
    out.push(close);
}

#[cfg(test)]
mod tests {
    use yaml_rust2::YamlLoader;

    use super::*;

    #[test]
    fn examples_become_json_in_their_order() {
        let yaml = "{b: [1, 2.50, 'x\"', null], a: {}, c: true}";
        let value = YamlLoader::load_from_str(yaml).unwrap().swap_remove(0);
        let expected = "{\n  \"b\": [\n    1,\n    2.50,\n    \"x\\\"\",\n    null\n  ],\n  \
                        \"a\": {},\n  \"c\": true\n}";
        assert_eq!(pretty(&value), expected);
    }
}
