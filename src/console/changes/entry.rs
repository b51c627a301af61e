//! One change: what differs, in words; what was expected, and what was seen.

use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::Value;

use super::moved;
use crate::console::effect::Effect;
use crate::console::page::card;
use crate::console::page::format::{ago, change};

/// An entry of the audit.
#[derive(Debug, Clone, Deserialize)]
pub struct Entry {
    /// Its number.
    pub id: u64,
    at: DateTime<Utc>,
    by: String,
    by_kind: String,
    role: Option<String>,
    origin: String,
    action: String,
    subject: Option<String>,
    reason: Option<String>,
    revision_before: Option<u64>,
    revision_after: Option<u64>,
    change: Option<Changed>,
    predicted: Option<Effect>,
    measured: Option<Measured>,
}

#[derive(Debug, Clone, Deserialize)]
struct Changed {
    fields: Vec<Field>,
    fields_left_out: u64,
    words: Vec<String>,
}

#[derive(Debug, Clone, Deserialize)]
struct Field {
    field: String,
    before: Value,
    after: Value,
}

#[derive(Debug, Clone, Deserialize)]
struct Measured {
    why_unknown: Option<String>,
    #[serde(default)]
    budget_traces_per_second: Sides,
    #[serde(default)]
    observed_offered_per_second: Sides,
    #[serde(default)]
    observed_sampled_traces_per_second: Sides,
    #[serde(default)]
    coverage: Sides,
}

#[derive(Debug, Clone, Copy, Default, Deserialize)]
struct Sides {
    before: Option<f64>,
    after: Option<f64>,
}

impl Sides {
    fn shown(self) -> String {
        moved(self.before, self.after)
    }

    fn change(self) -> String {
        let both = self.before.zip(self.after);
        both.map_or_else(String::new, |(before, after)| change(before, after))
    }
}

impl Entry {
    /// What it changed, in as many sentences.
    fn words(&self, most: usize) -> Markup {
        let words = self.change.iter().flat_map(|change| &change.words);
        let shown: Vec<&String> = words.take(most).collect();
        let all = self.change.as_ref().map_or(0, |change| change.words.len());
        html! {
            @if shown.is_empty() {
                (self.action.replace(['.', '_'], " "))
                @if let Some(subject) = &self.subject { " " code { (subject) } }
            }
            @for (place, words) in shown.iter().enumerate() {
                @if place > 0 { "; " }
                (words)
            }
            @if all > most { " and " (all - most) " more" }
        }
    }

    fn href(&self) -> String {
        format!("{}/{}", super::SCREEN.path, self.id)
    }

    /// As an entry of a short list.
    pub fn short(&self, now: DateTime<Utc>) -> Markup {
        html! {
            p { a href=(self.href()) { "#" (self.id) } " " (self.words(2)) }
            p.quiet {
                (self.by) " · " (ago(self.at, now))
                @if let Some(reason) = &self.reason { " · “" (reason) "”" }
                @if let Some(before) = self.revision_before {
                    " · " a href=(back(before)) aria-label=(format!("roll back change {}", self.id)) { "roll back" }
                }
            }
        }
    }

    /// As a row of the list.
    pub fn row(&self, now: DateTime<Utc>) -> Markup {
        let expected = self.predicted.as_ref().map(Effect::kept);
        html! {
            tr {
                th scope="row" { a href=(self.href()) { "#" (self.id) } }
                td { (ago(self.at, now)) }
                td { (self.by) }
                td.words { (self.words(3)) }
                td.words { @if let Some(reason) = &self.reason { "“" (reason) "”" } }
                td.figure { (moved(expected.map(|of| of.before), expected.map(|of| of.after))) }
                td.figure { (self.seen()) }
            }
        }
    }

    fn seen(&self) -> String {
        match &self.measured {
            Some(of) => of.observed_sampled_traces_per_second.shown(),
            None => "–".into(),
        }
    }

    /// As a page.
    pub fn whole(&self, now: DateTime<Utc>) -> Markup {
        html! {
            nav.crumbs aria-label="Where this is" { a href=(super::SCREEN.path) { "Changes" } }
            h1 { "Change " (self.id) }
            section.card.head aria-label="Change" {
                p.why { (self.words(5)) }
                p {
                    strong { (self.by) } " (" (self.by_kind) @if let Some(role) = &self.role { ", " (role) }
                    ", from " (self.origin) ") " (ago(self.at, now))
                    @if let Some(reason) = &self.reason { ": “" (reason) "”" }
                }
                @if let (Some(before), Some(after)) = (self.revision_before, self.revision_after) {
                    p.quiet { "Revision " (before) " became " (after) "." }
                    p.buttons { a.button href=(back(before)) { "Roll back to revision " (before) "…" } }
                }
            }
            div.columns {
                (card("fields", "What differs", &self.fields()))
                (card("seen", "What came of it", &self.effect()))
            }
            @if let Some(predicted) = &self.predicted {
                div.below { (card("predicted", "What was expected", &predicted.shown())) }
            }
        }
    }

    fn fields(&self) -> Markup {
        let Some(change) = &self.change else {
            return html! { p.quiet { "What differs is not stored." } };
        };
        html! {
            div.scroll tabindex="0" role="group" aria-label="What differs" { table {
                caption.unseen { "Each field that differs" }
                thead { tr {
                    th scope="col" { "Field" }
                    th scope="col" { "Before" }
                    th scope="col" { "After" }
                } }
                tbody { @for of in &change.fields { tr {
                    th scope="row" { code { (of.field) } }
                    td { (value(&of.before)) }
                    td { (value(&of.after)) }
                } } }
            } }
            @if change.fields_left_out > 0 { p.quiet { "And " (change.fields_left_out) " more fields." } }
        }
    }

    fn effect(&self) -> Markup {
        let Some(seen) = &self.measured else {
            return html! { p.quiet { "This is known some windows after the change." } };
        };
        if let Some(why) = &seen.why_unknown {
            return html! { p.quiet { "Not known: " (why) "." } };
        }
        let rows = [
            ("Budget/s", seen.budget_traces_per_second),
            ("Offered/s", seen.observed_offered_per_second),
            ("Kept/s", seen.observed_sampled_traces_per_second),
            ("Coverage", seen.coverage),
        ];
        html! {
            div.scroll tabindex="0" role="group" aria-label="Three windows before and after" { table {
                caption.unseen { "Three windows before and after" }
                thead { tr {
                    th scope="col" { "" span.unseen { "Figure" } }
                    th.figure scope="col" { "Before → after" }
                    th.figure scope="col" { "Change" }
                } }
                tbody { @for (name, sides) in rows { tr {
                    th scope="row" { (name) }
                    td.figure { (sides.shown()) }
                    td.figure { (sides.change()) }
                } } }
            } }
        }
    }
}

/// Where one rolls back to a revision.
fn back(revision: u64) -> String {
    format!("/console/rollback?revision={revision}")
}

fn value(value: &Value) -> Markup {
    html! {
        @match value {
            Value::Null => span.quiet { "–" },
            Value::String(text) => (text),
            other => code { (other) },
        }
    }
}
