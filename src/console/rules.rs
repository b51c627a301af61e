//! What have we asked for? Each rule with what it matches now, what it costs, its owner, its end, and whether it is on.

pub mod add;
pub mod one;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;
use serde_json::{Map, Value};

use super::call::{Asker, Call};
use super::effect::{Pair, operation_link};
use super::form::Fields;
use super::page::format::{ago, number};
use super::page::trouble::Trouble;
use super::page::{Frame, Screen, encoded, link};

/// The screen.
pub const SCREEN: Screen = Screen {
    path: "/console/rules",
    name: "Rules",
};

/// Rules of a page.
const ROWS: usize = 25;

#[derive(Debug, Deserialize)]
struct Rules {
    rules: Vec<Rule>,
    next: Option<String>,
}

/// A rule, as the API shows it.
#[derive(Debug, Deserialize)]
struct Rule {
    id: String,
    service: String,
    operation: String,
    #[serde(default)]
    attributes: Map<String, Value>,
    set: Map<String, Value>,
    extra_traces_per_second: Option<f64>,
    owner: String,
    reason: String,
    start: Option<DateTime<Utc>>,
    expires: Option<String>,
    enabled: bool,
    state: String,
    matches: Matches,
    effect: Option<Consequence>,
}

#[derive(Debug, Deserialize)]
struct Matches {
    operations: usize,
    services: usize,
    examples: Vec<Example>,
    did_you_mean: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Example {
    service: String,
    operation: String,
}

/// What a rule does while it is active, if traffic stays as it is.
#[derive(Debug, Deserialize)]
struct Consequence {
    share_traces_per_second: Pair,
    taken_traces_per_second: f64,
    under_fair_floor: usize,
    taken_from: Vec<Taken>,
}

#[derive(Debug, Deserialize)]
struct Taken {
    service: String,
    operation: String,
    share_traces_per_second: Pair,
}

/// Shows the list.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    let call = Call::get("/v1/rules").query("limit", ROWS);
    let call = call.query_if("after", fields.get("after"));
    let listed: Result<Rules, Trouble> = asker.ask(call).await;
    let now = asker.console.clock.now();
    let main = html! {
        h1 { "Rules: what have we asked for?" }
        @if fields.get("saved").is_some() {
            p.saved role="status" { "Saved. The next plan applies it, and SDKs with their next poll." }
        }
        p.buttons { a.button href=(format!("{}/add", SCREEN.path)) { "Add a rule…" } }
        div id="live" { section.card {
            @match &listed {
                Ok(listed) => (table(listed, now)),
                Err(trouble) => (trouble.sentence()),
            }
        } }
    };
    Ok(Frame::of(&asker, SCREEN, "Rules").ok(main))
}

fn table(listed: &Rules, now: DateTime<Utc>) -> Markup {
    html! {
        @if listed.rules.is_empty() {
            p.quiet { "No rule is here: everything shares the budget as the settings say." }
        } @else {
            div.scroll tabindex="0" role="group" aria-label="Rules" { table {
                caption { "By name. What a rule costs is what others give for it, with the traffic of now." }
                thead { tr {
                    th scope="col" { "Rule" }
                    th scope="col" { "State" }
                    th scope="col" { "Of what" }
                    th scope="col" { "Sets" }
                    th.figure scope="col" { "Matches now" }
                    th.figure scope="col" { "Costs" }
                    th scope="col" { "Owner" }
                    th scope="col" { "Until" }
                } }
                tbody { @for rule in &listed.rules { (rule.row(now)) } }
            } }
        }
        @if let Some(next) = &listed.next {
            p.pages { a rel="next" href=(link(SCREEN.path, &[("after", next)])) { "More" } }
        }
    }
}

impl Rule {
    fn path(&self) -> String {
        format!("{}/{}", SCREEN.path, encoded(&self.id))
    }

    fn row(&self, now: DateTime<Utc>) -> Markup {
        let path = self.path();
        html! {
            tr {
                th scope="row" { a.name href=(path) { (self.id) } }
                td { (self.shown_state()) }
                td { (self.subject()) }
                td { (self.sets()) }
                td.figure { (self.matched()) }
                // A preview for each: it comes when the row is seen, and by the link without a script.
                td.figure hx-get=(path) hx-trigger="revealed" hx-select="#cost" hx-swap="innerHTML" {
                    a href=(path) aria-label=(format!("see what {} costs", self.id)) { "see" }
                }
                td { (self.owner) }
                td { (self.until(now)) }
            }
        }
    }

    fn shown_state(&self) -> Markup {
        html! {
            @match self.state.as_str() {
                "active" => span.good { "● on" },
                "off" => span.quiet { "○ off" },
                "waiting" => span { "◷ not yet" },
                _ => span.quiet { "○ ran out" },
            }
        }
    }

    /// Which requests it means.
    fn subject(&self) -> Markup {
        html! {
            code { (self.operation) } " of " code { (self.service) }
            @for (name, value) in &self.attributes {
                " with " code { (name) "=" (plain(value)) }
            }
        }
    }

    fn sets(&self) -> Markup {
        html! {
            @for (place, (name, value)) in self.set.iter().enumerate() {
                @if place > 0 { ", " }
                code { (name) " " (plain(value)) }
            }
            @if let Some(extra) = self.extra_traces_per_second {
                " and adds " (number(extra)) " traces/s"
            }
        }
    }

    fn matched(&self) -> Markup {
        let Matches {
            operations,
            services,
            ..
        } = &self.matches;
        html! {
            @if *operations == 0 {
                strong.warn { "nothing" }
                @if let Some(meant) = &self.matches.did_you_mean { " — " (meant) "?" }
            } @else {
                (operations) " of " (services) @if *services == 1 { " service" } @else { " services" }
            }
        }
    }

    fn until(&self, now: DateTime<Utc>) -> Markup {
        let end = self.expires.as_deref().unwrap_or("never");
        html! {
            @if let Some(start) = self.start.filter(|start| *start > now) { "from " (ago(start, now)) ", " }
            @match end.parse::<DateTime<Utc>>() {
                Ok(end) => (ago(end, now)),
                Err(_) => (end),
            }
        }
    }
}

impl Consequence {
    /// What it costs, in few words.
    fn cost(&self) -> Markup {
        let taken = self.taken_traces_per_second;
        html! {
            @if taken.abs() < 0.005 { "nothing" }
            @else if taken > 0.0 { (number(taken)) " traces/s" }
            @else { "gives " (number(-taken)) " traces/s" }
            @if self.under_fair_floor > 0 {
                " " strong.warn { (self.under_fair_floor) " keep less than half" }
            }
        }
    }

    fn givers(&self) -> Markup {
        html! {
            @if !self.taken_from.is_empty() {
                div.scroll tabindex="0" role="group" aria-label="Those that give most" { table {
                    caption { "Those that give most" }
                    thead { tr {
                        th scope="col" { "Operation" }
                        th scope="col" { "Service" }
                        th.figure scope="col" { "Kept/s without it" }
                        th.figure scope="col" { "With it" }
                    } }
                    tbody { @for of in &self.taken_from {
                        tr {
                            th scope="row" { (operation_link(&of.service, &of.operation)) }
                            td { (of.service) }
                            td.figure { (number(of.share_traces_per_second.before)) }
                            td.figure { (number(of.share_traces_per_second.after)) }
                        }
                    } }
                } }
            }
        }
    }
}

/// A value as people write it.
fn plain(value: &Value) -> String {
    match value {
        Value::String(text) => text.clone(),
        other => other.to_string(),
    }
}
