//! Renders the whole page: the introduction, the operations by tag, the schemas.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use yaml_rust2::Yaml;

use super::node::Node;
use super::operation::Operation;
use super::schema::component;
use super::text::{inline, prose};

/// Renders a document.
pub(super) fn render(document: &Yaml, style: &str) -> Markup {
    let root = Node::root(document);
    let operations = operations(root);
    let of = |tag: Node<'_>| {
        let name = tag.text("name").to_owned();
        operations.iter().filter(move |one| one.has_tag(&name))
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(root, style))
            body {
                nav {
                    p.name { a href="#top" { (title(root)) } }
                    @for tag in root.items("tags") {
                        p.tag { (tag.text("name")) }
                        ul { @for one in of(tag) {
                            li { a href={ "#" (one.anchor()) } { (one.title()) } }
                        } }
                    }
                    p.tag { a href="#schemas" { "schemas" } }
                    p.tag { a href="/openapi.yaml" { "openapi.yaml" } }
                }
                main id="top" {
                    h1 { (title(root)) " " small { (info(root, "version")) } }
                    p.summary { (inline(info(root, "summary"))) }
                    (prose(info(root, "description")))
                    @for tag in root.items("tags") {
                        h2 { (tag.text("name")) }
                        (prose(tag.text("description")))
                        @for one in of(tag) { (one.render()) }
                    }
                    h2 id="schemas" { "schemas" }
                    @if let Some(components) = root.get("components") {
                        @for (name, schema) in components.entries("schemas") {
                            (component(name, schema))
                        }
                    }
                }
            }
        }
    }
}

fn head(root: Node<'_>, style: &str) -> Markup {
    html! {
        head {
            meta charset="utf-8";
            meta name="viewport" content="width=device-width, initial-scale=1";
            title { (title(root)) " API" }
            style { (PreEscaped(style)) }
        }
    }
}

fn info<'a>(root: Node<'a>, key: &str) -> &'a str {
    root.get("info").map_or("", |info| info.text(key))
}

fn title(root: Node<'_>) -> &str {
    info(root, "title")
}

/// Every operation, in the order of the document.
fn operations(root: Node<'_>) -> Vec<Operation<'_>> {
    let mut found = Vec::new();
    for (path, item) in root.entries("paths") {
        let listener = item.items("servers").next();
        let listener = listener.or_else(|| root.items("servers").next());
        let listener = listener.map_or("", |server| server.text("description"));
        for method in ["get", "put", "post", "patch", "delete"] {
            if let Some(node) = item.get(method) {
                found.push(Operation {
                    method,
                    path,
                    listener,
                    node,
                });
            }
        }
    }
    found
}
