//! Why is so much, or so little, of it kept? A service, and one of its operations: what it offers, what becomes of it,
//! who counts it and who polls for it.

pub mod boost;
mod operation;

use actix_web::HttpResponse;
use actix_web::web::Path;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::call::{Asker, Call};
use super::effect::{figure, operation_link};
use super::form::Fields;
use super::history::{History, Range};
use super::page::format::{a_month, ago, length, number, percent};
use super::page::trouble::Trouble;
use super::page::{Frame, card, link, service_path};
use super::services::SCREEN;

/// Operations of a page.
const ROWS: usize = 50;

/// A service, as the API says it.
#[derive(Debug, Deserialize)]
struct Service {
    service: String,
    operations: usize,
    offered_per_second: f64,
    share_traces_per_second: f64,
    observed_sampled_traces_per_second: Option<f64>,
    part_of_budget: f64,
    missing_traces_per_second: f64,
    default_probability: f64,
    instances: f64,
    group: Option<String>,
    level_traces_per_second: Option<f64>,
    names_return: f64,
    names_seen_once: Vec<String>,
    applies_strategy: Option<bool>,
    usual_polls_per_second: Option<f64>,
    sources: Vec<Source>,
    pollers: Option<Vec<Client>>,
}

/// What counts a service's requests.
#[derive(Debug, Deserialize)]
struct Source {
    basis: String,
    late_seconds: f64,
    left_out: bool,
}

/// What polls for it.
#[derive(Debug, Deserialize)]
struct Client {
    client: String,
    protocol: String,
    polls: u64,
    last_seen: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct Operations {
    operations: Vec<Operation>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Operation {
    operation: String,
    offered_per_second: f64,
    probability: f64,
    share_traces_per_second: f64,
    reason: Reason,
}

/// What decided a probability.
#[derive(Debug, Deserialize)]
struct Reason {
    binding: String,
    explanation: String,
    target_probability: f64,
    level_traces_per_second: Option<f64>,
    weight: f64,
}

/// Shows a service, or the operation that the address names.
pub async fn show(asker: Asker, service: Path<String>) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    if let Some(operation) = fields.get("operation") {
        return operation::show(&asker, &service, operation, &fields).await;
    }
    let call = Call::get("/v1/services/{service}").at("service", &service);
    let held: Service = asker.ask(call).await?;
    let range = Range::asked(&fields, &asker.console);
    let history = Call::get("/v1/services/{service}/history").at("service", &service);
    let history: Result<History, Trouble> = asker.ask(range.of(history, &asker.console)).await;
    let operations = Call::get("/v1/services/{service}/operations").at("service", &service);
    let operations = operations
        .query("limit", ROWS)
        .query_if("after", fields.get("after"));
    let operations: Result<Operations, Trouble> = asker.ask(operations).await;
    let path = service_path(&service);
    let main = html! {
        (crumbs(&service, None))
        h1 { (held.service) }
        @if fields.get("saved").is_some() {
            p.saved role="status" { "Saved. The next plan applies it, and SDKs with their next poll." }
        }
        div id="live" {
            (held.head())
            div.columns {
                (card("history", "Kept", &html! {
                    (range.links(&path))
                    @match &history {
                        Ok(history) => (history.chart("service-chart", &format!("Kept of {service}"), "budget")),
                        Err(trouble) => (trouble.sentence()),
                    }
                }))
                (card("counts", "Who counts it", &sources(&held.sources)))
                (card("operations", "Operations", &match &operations {
                    Ok(operations) => operations.table(&service),
                    Err(trouble) => trouble.sentence(),
                }))
                (card("polls", "Which SDKs poll", &held.polls(asker.console.clock.now())))
            }
        }
    };
    Ok(Frame::of(&asker, SCREEN, &service).ok(main))
}

/// The way back.
fn crumbs(service: &str, operation: Option<&str>) -> Markup {
    html! {
        nav.crumbs aria-label="Where this is" {
            a href=(SCREEN.path) { "Services" }
            @if operation.is_some() { " › " a href=(service_path(service)) { (service) } }
        }
    }
}

impl Service {
    fn head(&self) -> Markup {
        let part = match self.offered_per_second > 0.0 {
            true => (self.share_traces_per_second / self.offered_per_second).min(1.0),
            false => self.default_probability,
        };
        let path = service_path(&self.service);
        let observed = match self.observed_sampled_traces_per_second {
            Some(observed) => format!("{} counted in the last window", number(observed)),
            None => "nobody says what was sampled".into(),
        };
        html! {
            section.card.head aria-label="Figures" {
                p.large { strong { (percent(part)) } " of " (number(self.offered_per_second)) "/s is kept" }
                dl.figures {
                    (figure("Kept", &format!("{} traces/s", number(self.share_traces_per_second)), &observed))
                    (figure("Of the budget", &percent(self.part_of_budget), &format!("≈ {} traces a month", a_month(self.share_traces_per_second))))
                    (figure("Group", self.group.as_deref().unwrap_or("none"), &self.level()))
                    (figure("Instances", &number(self.instances), &format!("{} operations", self.operations)))
                }
                p.buttons {
                    a.button href=(format!("{path}/boost")) { "Boost for 20 minutes…" }
                    a.button href=(format!("{path}/settings")) { "Floor, cap, group…" }
                }
                (self.notes())
            }
        }
    }

    fn level(&self) -> String {
        match self.level_traces_per_second {
            Some(level) => format!("each operation shares at {} traces/s", number(level)),
            None => "nothing binds it".into(),
        }
    }

    fn notes(&self) -> Markup {
        html! {
            @if self.applies_strategy == Some(false) {
                p.bad { "Its SDKs kept nearly everything, although at most half was due: they do not apply what they are served." }
            }
            @if self.missing_traces_per_second > 0.0 {
                p.warn { "Its floors are not met by " (number(self.missing_traces_per_second)) " traces/s." }
            }
            @if self.names_return < 0.5 {
                p.warn {
                    "Its operations' names contain ids: most are seen once"
                    @for name in &self.names_seen_once { ", " code { (name) } }
                    "."
                }
            }
        }
    }

    fn polls(&self, now: DateTime<Utc>) -> Markup {
        let Some(clients) = &self.pollers else {
            return html! { p.quiet { "This is not known now: the database does not answer." } };
        };
        html! {
            @if clients.is_empty() {
                p.warn { "Nobody polls for it: nothing applies what is decided here." }
            } @else {
                div.scroll tabindex="0" role="group" aria-label="Which SDKs poll" { table {
                    caption.unseen { "Which SDKs poll for " (self.service) }
                    thead { tr {
                        th scope="col" { "SDK" }
                        th scope="col" { "Protocol" }
                        th.figure scope="col" { "Polls" }
                        th scope="col" { "Last" }
                    } }
                    tbody { @for of in clients { tr {
                        th scope="row" { (of.client) }
                        td { (of.protocol) }
                        td.figure { (of.polls) }
                        td { (ago(of.last_seen, now)) }
                    } } }
                } }
            }
            @if let Some(polls) = self.usual_polls_per_second {
                p.quiet { "Usually " (number(polls)) " polls/s." }
            }
        }
    }
}

/// What counts a service's requests.
fn sources(all: &[Source]) -> Markup {
    html! {
        @if all.is_empty() {
            p.quiet { "Nothing has counted it lately." }
        } @else {
            div.scroll tabindex="0" role="group" aria-label="What counts its requests" { table {
                caption.unseen { "What counts its requests, the best first" }
                thead { tr {
                    th scope="col" { "Source" }
                    th.figure scope="col" { "Late by" }
                    th scope="col" { "Used" }
                } }
                tbody { @for of in all { tr {
                    th scope="row" { (of.basis) }
                    td.figure { (length(of.late_seconds)) }
                    td { @if of.left_out { "no: something better counts the same" } @else { "yes" } }
                } } }
            } }
        }
    }
}

impl Operations {
    fn table(&self, service: &str) -> Markup {
        html! {
            div.scroll tabindex="0" role="group" aria-label="Operations" { table {
                caption.unseen { "Operations of " (service) }
                thead { tr {
                    th scope="col" { "Operation" }
                    th.figure scope="col" { "Offered/s" }
                    th.figure scope="col" { "Kept/s" }
                    th.figure scope="col" { "Probability" }
                    th scope="col" { "Decided by" }
                } }
                tbody { @for of in &self.operations { tr {
                    th scope="row" { (operation_link(service, &of.operation)) }
                    td.figure { (number(of.offered_per_second)) }
                    td.figure { (number(of.share_traces_per_second)) }
                    td.figure { (percent(of.probability)) }
                    td title=(of.reason.explanation) { (of.reason.binding.replace('_', " ")) }
                } } }
            } }
            @if let Some(next) = &self.next {
                p.pages { a rel="next" href=(link(&service_path(service), &[("after", next)])) { "Next " (ROWS) } }
            }
        }
    }
}
