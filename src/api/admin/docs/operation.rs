//! Renders one operation: its parameters and all its answers.

use maud::{Markup, html};

use super::curl::curl;
use super::json::{plain, pretty};
use super::node::Node;
use super::schema::{fields, kind, limits};
use super::text::{inline, prose};

/// One method of one path.
#[derive(Clone, Copy)]
pub(super) struct Operation<'a> {
    pub method: &'a str,
    pub path: &'a str,
    pub server: &'a str,
    pub listener: &'a str,
    pub node: Node<'a>,
}

impl Operation<'_> {
    /// Whether it has a tag.
    pub fn has_tag(&self, tag: &str) -> bool {
        self.node
            .items("tags")
            .any(|one| one.yaml().as_str() == Some(tag))
    }

    /// Its anchor on the page.
    pub fn anchor(&self) -> &str {
        self.node.text("operationId")
    }

    /// Method and path.
    pub fn title(&self) -> Markup {
        html! {
            span.method.(self.method) { (self.method.to_uppercase()) } " " code.path { (self.path) }
        }
    }

    /// The port that it is on by default.
    pub fn port(&self) -> &str {
        self.server.rsplit(':').next().unwrap_or_default()
    }

    /// Whether it is about all of these words, in lower case.
    pub fn is_about(&self, words: &[String]) -> bool {
        let node = self.node;
        let texts = [
            self.method,
            self.path,
            node.text("operationId"),
            node.text("summary"),
            node.text("description"),
        ];
        let text = texts.join(" ").to_lowercase();
        words.iter().all(|word| text.contains(word.as_str()))
    }

    /// Everything about it.
    pub fn render(&self) -> Markup {
        let node = self.node;
        html! {
            section.operation id=(self.anchor()) {
                h3 { (self.title()) span.listener { "port " (self.port()) ": " (self.listener) } }
                p.summary { (inline(node.text("summary"))) }
                (prose(node.text("description")))
                @if node.get("x-weir-role").is_some() {
                    p.limits { "Where tokens are asked for: role " code { (node.text("x-weir-role")) } }
                }
                pre.curl tabindex="0" aria-label="As curl" { (curl(self)) }
                (parameters(node))
                @if let Some(body) = node.get("requestBody") {
                    h4 { "Body" }
                    (content(body.resolved()))
                }
                h4 { "Answers" }
                @for (status, response) in node.entries("responses") {
                    (answer(status, response.resolved()))
                }
            }
        }
    }
}

fn parameters(operation: Node<'_>) -> Markup {
    html! {
        @if operation.get("parameters").is_some() {
            h4 { "Parameters" }
            table {
                @for parameter in operation.items("parameters").map(Node::resolved) {
                    tr {
                        th {
                            code { (parameter.text("name")) }
                            @if !parameter.is("required") { span.optional { "optional" } }
                        }
                        td.kind { (parameter.text("in")) }
                        td { (described(parameter)) }
                    }
                }
            }
        }
    }
}

/// A parameter or header: its meaning, its type and limits, and an example.
fn described(parameter: Node<'_>) -> Markup {
    html! {
        (prose(parameter.text("description")))
        @if let Some(schema) = parameter.get("schema") {
            p.limits { (kind(schema)) " " (limits(schema)) }
        }
        @if let Some(example) = parameter.get("example") {
            p.limits { "Example: " code { (plain(example.yaml())) } }
        }
    }
}

fn answer(status: &str, response: Node<'_>) -> Markup {
    html! {
        details open[status.starts_with('2')] {
            summary {
                span.status.ok[status.starts_with('2')] { (status) } " "
                (inline(response.text("description").trim()))
            }
            @if response.get("headers").is_some() {
                table {
                    @for (name, header) in response.entries("headers") {
                        tr {
                            th { code { (name) } }
                            td.kind { "header" }
                            td { (described(header.resolved())) }
                        }
                    }
                }
            }
            (content(response))
        }
    }
}

/// A body: its type, its schema and its examples.
fn content(holder: Node<'_>) -> Markup {
    html! {
        @for (media_type, content) in holder.entries("content") {
            p.media { code { (media_type) } @if let Some(schema) = content.get("schema") {
                ", " (kind(schema))
            } }
            @if let Some(schema) = content.get("schema") {
                @if schema.reference().is_none() { (fields(schema)) }
            }
            @if let Some(example) = content.get("example") {
                pre { (shown(example)) }
            }
            @for (_, example) in content.entries("examples") {
                p.caption { (inline(example.text("summary"))) }
                @if let Some(value) = example.get("value") { pre { (shown(value)) } }
            }
        }
    }
}

/// An example as it is sent: text unchanged, everything else as JSON.
fn shown(example: Node<'_>) -> String {
    match example.yaml().as_str() {
        Some(text) => text.into(),
        None => pretty(example.yaml()),
    }
}
