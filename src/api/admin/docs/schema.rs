//! Renders schemas: a type in a few words, an object as a table of its fields.

use maud::{Markup, html};
use yaml_rust2::Yaml;

use super::json::plain;
use super::node::Node;
use super::text::prose;

/// A schema's type: a link if it has a name, else a description.
pub(super) fn kind(schema: Node<'_>) -> Markup {
    if let Some(name) = schema.reference() {
        return html! { a href={ "#schema-" (name) } { (name) } };
    }
    if let Some(items) = schema.get("items") {
        return html! { "list of " (kind(items)) };
    }
    if let Some(values) = schema.get("additionalProperties")
        && matches!(values.yaml(), Yaml::Hash(_))
    {
        return html! { (kind(values)) " by name" };
    }
    let named = match schema.yaml()["type"] {
        Yaml::Array(ref kinds) => kinds.iter().map(plain).collect::<Vec<_>>().join(" or "),
        ref one => one.as_str().unwrap_or_default().into(),
    };
    html! {
        (named)
        @let format = schema.text("format");
        @if !format.is_empty() { " (" (format) ")" }
    }
}

/// The limits of a value, beyond its type.
pub(super) fn limits(schema: Node<'_>) -> Markup {
    let value = |key: &str| schema.get(key).map(|node| plain(node.yaml()));
    let said = [
        ("minimum", "at least"),
        ("exclusiveMinimum", "more than"),
        ("maximum", "at most"),
        ("minLength", "characters: at least"),
        ("maxLength", "characters: at most"),
        ("maxItems", "entries: at most"),
        ("maxProperties", "entries: at most"),
        ("default", "if absent:"),
        ("const", "always"),
        ("pattern", "matches"),
    ];
    let allowed: Vec<String> = schema.items("enum").map(|one| plain(one.yaml())).collect();
    html! {
        @for (key, words) in said {
            @if let Some(value) = value(key) { span.limit { (words) " " code { (value) } } " " }
        }
        @if !allowed.is_empty() {
            span.limit {
                "one of "
                @for (index, one) in allowed.iter().enumerate() {
                    @if index > 0 { ", " }
                    code { (one) }
                }
            }
        }
    }
}

/// An object's fields. Fields of a nested object are included if the object has no name.
pub(super) fn fields(schema: Node<'_>) -> Markup {
    let required: Vec<&str> = schema
        .items("required")
        .filter_map(|name| name.yaml().as_str())
        .collect();
    html! {
        @if schema.get("properties").is_some() {
            table {
                @for (name, field) in schema.entries("properties") {
                    tr {
                        th {
                            code { (name) }
                            @if !required.contains(&name) { span.optional { "optional" } }
                        }
                        td.kind { (kind(field)) }
                        td {
                            (prose(field.text("description")))
                            (limits(field))
                            @if field.reference().is_none() {
                                (fields(field))
                                @if let Some(items) = field.get("items") {
                                    @if items.reference().is_none() { (fields(items)) }
                                }
                            }
                        }
                    }
                }
            }
        }
    }
}

/// A schema with a name.
pub(super) fn component(name: &str, schema: Node<'_>) -> Markup {
    html! {
        section.schema id={ "schema-" (name) } {
            h3 { (name) " " span.kind { (kind(schema)) } }
            (prose(schema.text("description")))
            (limits(schema))
            (fields(schema))
        }
    }
}
