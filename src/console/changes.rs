//! Who did what, and why? What was changed, what was expected of it and what came of it; and the way back.

mod entry;
pub mod rollback;

use actix_web::HttpResponse;
use actix_web::web::Path;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::call::{Asker, Call};
use super::form::Fields;
use super::page::format::number;
use super::page::trouble::Trouble;
use super::page::{Frame, Screen, link};

pub use self::entry::Entry;

/// The screen.
pub const SCREEN: Screen = Screen {
    path: "/console/changes",
    name: "Changes",
};

/// Entries of a page.
const ROWS: usize = 25;

/// What may be asked for: the parameters of the list.
const FILTERS: [(&str, &str); 3] = [("by", "Who"), ("action", "What"), ("subject", "Of what")];

/// Entries of the audit.
#[derive(Debug, Deserialize)]
pub struct Audit {
    /// The newest first.
    pub entries: Vec<Entry>,
    next: Option<u64>,
}

/// Shows the list.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    let mut call = Call::get("/v1/audit").query("limit", ROWS);
    for name in ["by", "action", "subject", "before"] {
        call = call.query_if(name, fields.get(name));
    }
    let listed: Result<Audit, Trouble> = asker.ask(call).await;
    let now = asker.console.clock.now();
    let main = html! {
        h1 { "Changes: who did what, and why?" }
        @if fields.get("saved").is_some() {
            p.saved role="status" { "Rolled back. The next plan applies it, and SDKs with their next poll." }
        }
        (filters(&fields))
        div id="live" { section.card {
            @match &listed {
                Ok(audit) => (audit.table(&fields, now)),
                Err(trouble) => (trouble.sentence()),
            }
        } }
    };
    Ok(Frame::of(&asker, SCREEN, "Changes").ok(main))
}

/// Shows one entry.
pub async fn one(asker: Asker, id: Path<String>) -> Result<HttpResponse, Trouble> {
    let entry: Entry = asker.ask(Call::get("/v1/audit/{id}").at("id", &id)).await?;
    let main = entry.whole(asker.console.clock.now());
    Ok(Frame::of(&asker, SCREEN, &format!("Change {}", entry.id)).ok(main))
}

fn filters(fields: &Fields) -> Markup {
    html! {
        form.filters method="get" action=(SCREEN.path) role="search" {
            @for (name, label) in FILTERS {
                div {
                    label for=(name) { (label) }
                    input id=(name) name=(name) value=(fields.text(name)) placeholder=[(name == "action").then_some("budget.changed")];
                }
            }
            button type="submit" { "Show" }
        }
    }
}

impl Audit {
    fn table(&self, fields: &Fields, now: DateTime<Utc>) -> Markup {
        html! {
            div.scroll tabindex="0" role="group" aria-label="Changes" { table {
                caption { "The newest first" }
                thead { tr {
                    th scope="col" { "Change" }
                    th scope="col" { "When" }
                    th scope="col" { "Who" }
                    th scope="col" { "What" }
                    th scope="col" { "Why" }
                    th.figure scope="col" { "Kept/s, expected" }
                    th.figure scope="col" { "Kept/s, seen" }
                } }
                tbody { @for entry in &self.entries { (entry.row(now)) } }
            } }
            @if self.entries.is_empty() { p.quiet { "No change is shown by this." } }
            @if let Some(next) = self.next {
                p.pages { a rel="next" href=(older(fields, next)) { "Older" } }
            }
        }
    }
}

fn older(fields: &Fields, before: u64) -> String {
    let before = before.to_string();
    let names = FILTERS
        .iter()
        .filter_map(|(name, _)| Some((*name, fields.get(name)?)));
    let all: Vec<_> = names.chain([("before", &*before)]).collect();
    link(SCREEN.path, &all)
}

/// A figure before and after that may not be known.
fn moved(before: Option<f64>, after: Option<f64>) -> String {
    match (before, after) {
        (Some(before), Some(after)) => format!("{} → {}", number(before), number(after)),
        (None, Some(after)) => format!("→ {}", number(after)),
        _ => "–".into(),
    }
}
