//! Shows an operation as a command for a shell, with the document's own examples.

use std::fmt::Write;

use percent_encoding::{NON_ALPHANUMERIC, utf8_percent_encode};

use super::json::{compact, plain};
use super::node::Node;
use super::operation::Operation;

/// Bodies beyond this are read from a file instead.
const BODY_MAX: usize = 600;

/// The operation as curl.
pub(super) fn curl(operation: &Operation<'_>) -> String {
    let node = operation.node;
    let mut command = String::from("curl -sS");
    if operation.method != "get" {
        let _ = write!(command, " -X {}", operation.method.to_uppercase());
    }
    let parameters = || node.items("parameters").map(Node::resolved);
    for header in parameters().filter(|of| of.text("in") == "header" && of.is("required")) {
        let header = format!("{}: {}", header.text("name"), example(header));
        let _ = write!(command, " -H {}", quoted(&header));
    }
    if let Some(body) = body(node) {
        let shown = if body.len() <= BODY_MAX {
            &*body
        } else {
            "@body.json"
        };
        let _ = write!(command, " --json {}", quoted(shown));
    }
    let mut url = format!("{}{}", operation.server, operation.path);
    for parameter in parameters().filter(|of| of.text("in") == "path") {
        let braces = format!("{{{}}}", parameter.text("name"));
        url = url.replace(&braces, &encoded(&example(parameter)));
    }
    let mut mark = '?';
    for parameter in parameters().filter(|of| of.text("in") == "query" && of.is("required")) {
        let _ = write!(
            url,
            "{mark}{}={}",
            parameter.text("name"),
            encoded(&example(parameter))
        );
        mark = '&';
    }
    let _ = write!(command, " {}", quoted(&url));
    command
}

fn example(parameter: Node<'_>) -> String {
    let example = parameter.get("example");
    example.map_or_else(|| "…".into(), |example| plain(example.yaml()))
}

/// The first example of a body in JSON.
fn body(operation: Node<'_>) -> Option<String> {
    let body = operation.get("requestBody")?.resolved();
    let media = body.get("content")?.get("application/json")?;
    let first = || {
        media
            .entries("examples")
            .find_map(|(_, of)| of.get("value"))
    };
    let example = media.get("example").or_else(first)?;
    Some(compact(example.yaml()))
}

fn encoded(text: &str) -> String {
    utf8_percent_encode(text, NON_ALPHANUMERIC).to_string()
}

/// A text as one word of a POSIX shell.
fn quoted(text: &str) -> String {
    format!("'{}'", text.replace('\'', r"'\''"))
}
