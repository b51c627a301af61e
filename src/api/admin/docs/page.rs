//! Renders the whole page: the introduction, the operations by tag, the schemas.

use maud::{DOCTYPE, Markup, PreEscaped, html};
use yaml_rust2::Yaml;

use super::node::Node;
use super::operation::Operation;
use super::schema::component;
use super::text::{inline, prose};

/// The most of a search that is read, in characters.
const SEARCH_MAX: usize = 100;

/// Renders a document: all of it, or the operations that a search finds.
pub(super) fn render(document: &Yaml, style: &str, search: &str) -> Markup {
    let root = Node::root(document);
    let search: String = search.chars().take(SEARCH_MAX).collect();
    let words: Vec<String> = search.split_whitespace().map(str::to_lowercase).collect();
    let mut operations = operations(root);
    operations.retain(|one| one.is_about(&words));
    let is_whole = words.is_empty();
    let of = |tag: Node<'_>| {
        let name = tag.text("name").to_owned();
        operations.iter().filter(move |one| one.has_tag(&name))
    };
    html! {
        (DOCTYPE)
        html lang="en" {
            (head(root, style))
            body {
                nav aria-label="Operations" {
                    p.name { a href="/docs#top" { (title(root)) } }
                    (search_form(&search))
                    // On a phone the list is folded; the box opens it without a script.
                    input id="unfold" type="checkbox" checked[!is_whole];
                    label for="unfold" { "All operations" }
                    div.list {
                        @for tag in root.items("tags").filter(|tag| of(*tag).next().is_some()) {
                            p.tag { (tag.text("name")) }
                            ul { @for one in of(tag) {
                                li { a href={ "#" (one.anchor()) } { (one.title()) " " span.port { (one.port()) } } }
                            } }
                        }
                        p.tag { a href="#schemas" { "schemas" } }
                        p.tag { a href="/openapi.yaml" { "openapi.yaml" } }
                    }
                }
                main id="top" {
                    h1 { (title(root)) " " small { (info(root, "version")) } }
                    @if is_whole {
                        p.summary { (inline(info(root, "summary"))) }
                        (prose(info(root, "description")))
                    } @else {
                        p.summary { (operations.len()) " operations are about “" (search) "”. " a href="/docs" { "Show all" } }
                    }
                    @for tag in root.items("tags").filter(|tag| of(*tag).next().is_some()) {
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

fn search_form(search: &str) -> Markup {
    html! {
        form role="search" method="get" action="/docs" {
            input type="search" name="q" value=(search) aria-label="Search operations" placeholder="Search operations";
            button type="submit" { "Search" }
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
        let server = listener.map_or("", |server| server.text("url"));
        let listener = listener.map_or("", |server| server.text("description"));
        for method in ["get", "put", "post", "patch", "delete"] {
            if let Some(node) = item.get(method) {
                found.push(Operation {
                    method,
                    path,
                    server,
                    listener,
                    node,
                });
            }
        }
    }
    found
}
