//! The tables of the fleet: who does not take part, who reports, who serves.

use chrono::{DateTime, Utc};
use maud::{Markup, html};

use super::{Agents, Edges, Fleet, Pollers, Replicas, SCREEN, Served};
use crate::console::form::Fields;
use crate::console::page::format::{ago, length, number, percent};
use crate::console::page::trouble::Trouble;
use crate::console::page::{card, link, service_link};

impl Fleet {
    /// All tables.
    pub(super) fn tables(&self, fields: &Fields, now: DateTime<Utc>) -> Markup {
        html! {
            (part("only-polls", "Poll, but are not counted", &self.only_polls, |of| polls(of, now)))
            (part("only-counts", "Are counted, but do not poll", &self.only_counts, counts))
            (part("deaf", "SDKs that do not apply what they are served", &self.deaf, |of| deaf(of)))
            (part("agents", "Agents and sources", &self.agents, |of| agents(of, fields)))
            (part("replicas", "Replicas", &self.replicas, |of| replicas(of, now)))
            (part("edges", "Edges", &self.edges, |of| edges(of, now)))
        }
    }
}

/// Edges that are listed.
const SHOWN: usize = 100;

fn part<T>(id: &str, title: &str, of: &Result<T, Trouble>, shown: impl Fn(&T) -> Markup) -> Markup {
    let body = match of {
        Ok(of) => shown(of),
        Err(trouble) => trouble.sentence(),
    };
    card(id, title, &body)
}

fn polls(of: &Pollers, now: DateTime<Utc>) -> Markup {
    html! {
        @if of.services.is_empty() { p.good { "✓ Whoever polls is counted." } } @else {
            div.scroll tabindex="0" role="group" aria-label="Services that poll and are not counted" { table {
                caption { "Their traces are not within the budget: let them send their metrics" }
                thead { tr {
                    th scope="col" { "Service" }
                    th scope="col" { "Client" }
                    th.figure scope="col" { "Polls" }
                    th scope="col" { "Last" }
                    th scope="col" { span.unseen { "What helps" } }
                } }
                tbody { @for service in &of.services { tr {
                    th scope="row" { (service.service) }
                    @if let Some(client) = service.clients.first() {
                        td { (client.client) " over " (client.protocol) }
                        td.figure { (service.polls) }
                        td { (ago(client.last_seen, now)) }
                        td { a href=(fix(&client.client)) { "the fix" } }
                    } @else { td {} td.figure { (service.polls) } td {} td {} }
                } } }
            } }
            (more(of))
        }
    }
}

fn fix(client: &str) -> String {
    let recipe = super::of_client(client);
    format!("{}#fix", link(SCREEN.path, &[("sdk", recipe.id)]))
}

fn counts(of: &Pollers) -> Markup {
    html! {
        @if of.services.is_empty() { p.good { "✓ Whoever is counted polls." } } @else {
            div.scroll tabindex="0" role="group" aria-label="Services that are counted and do not poll" { table {
                caption { "They sample as their SDK was told, whatever the plan says: point them at Weir" }
                thead { tr {
                    th scope="col" { "Service" }
                    th.figure scope="col" { "Offered/s" }
                } }
                tbody { @for service in &of.services { tr {
                    th scope="row" { (service_link(&service.service)) }
                    td.figure { (number(service.offered_per_second)) }
                } } }
            } }
            (more(of))
        }
    }
}

fn more(of: &Pollers) -> Markup {
    html! {
        @if of.next.is_some() { p.quiet { "There are more: " code { "weir pollers" } " lists all." } }
    }
}

fn deaf(services: &[Served]) -> Markup {
    html! {
        @if services.is_empty() { p.good { "✓ None is known: SDKs apply what they are served." } } @else {
            div.scroll tabindex="0" role="group" aria-label="Services that sample everything" { table {
                caption { "They sample everything, although they are served less" }
                thead { tr {
                    th scope="col" { "Service" }
                    th.figure scope="col" { "Offered/s" }
                    th.figure scope="col" { "Served" }
                } }
                tbody { @for of in services { tr {
                    th scope="row" { (service_link(&of.service)) }
                    td.figure { (number(of.offered_per_second)) }
                    td.figure { (percent(of.default_probability)) }
                } } }
            } }
        }
    }
}

fn agents(of: &Agents, fields: &Fields) -> Markup {
    let state = fields.text("state");
    html! {
        form.filters method="get" action=(SCREEN.path) {
            div {
                label for="state" { "State" }
                select id="state" name="state" {
                    @for (value, label) in [("", "all"), ("missing", "missing"), ("new", "new"), ("known", "known"), ("ended", "ended")] {
                        option value=(value) selected[value == state] { (label) }
                    }
                }
            }
            button type="submit" { "Show" }
        }
        @if of.agents.is_empty() { p.quiet { "No agent is known like this. The first count brings the first one." } } @else {
            div.scroll tabindex="0" role="group" aria-label="Agents" { table {
                caption { "By name" }
                thead { tr {
                    th scope="col" { "Agent" }
                    th scope="col" { "State" }
                    th.figure scope="col" { "Late by" }
                    th.figure scope="col" { "Usually" }
                    th.figure scope="col" { "Offered/s" }
                    th.figure scope="col" { "Services" }
                    th.figure scope="col" { "Refused" }
                } }
                tbody { @for agent in &of.agents { tr {
                    th scope="row" { (agent.agent.as_deref().unwrap_or(&agent.number)) }
                    td { @if agent.state == "missing" { strong.warn { "missing for " (length(agent.missing_seconds)) } } @else { (agent.state) } }
                    td.figure { (length(agent.late_seconds)) }
                    td.figure { (length(agent.usual_late_seconds)) }
                    td.figure { (number(agent.offered_per_second)) }
                    td.figure { (agent.service_count) }
                    td.figure { @if let Some(refused) = &agent.refused { strong.warn { (refused.reports) } } @else { "0" } }
                } } }
            } }
        }
        @if let Some(next) = &of.next {
            p.pages { a rel="next" href=(link(SCREEN.path, &[("state", state), ("after", next)])) { "More" } }
        }
    }
}

fn replicas(of: &Replicas, now: DateTime<Utc>) -> Markup {
    html! {
        div.scroll tabindex="0" role="group" aria-label="Replicas" { table {
            caption { "Those that were there within the last hour" }
            thead { tr {
                th scope="col" { "Host" }
                th scope="col" { "State" }
                th.figure scope="col" { "Plan" }
                th scope="col" { "Version" }
                th scope="col" { "Started" }
            } }
            tbody { @for replica in &of.replicas { tr {
                th scope="row" { (replica.host) }
                td {
                    @if replica.leads { strong.good { "leads" } }
                    @else if replica.there { "there" }
                    @else { span.warn { "gone for " (length(replica.seen_seconds_ago)) } }
                }
                td.figure { (replica.plan) }
                td { (replica.version) }
                td { (ago(replica.started_at, now)) }
            } } }
        } }
    }
}

fn edges(of: &Edges, now: DateTime<Utc>) -> Markup {
    html! {
        @if of.edges.is_empty() { p.quiet { "No edge has asked for the plan within the last hour." } } @else {
            div.scroll tabindex="0" role="group" aria-label="Edges" { table {
                caption { "Those that asked for the plan within the last hour, by name. What each takes and sends is in its own metrics" }
                thead { tr {
                    th scope="col" { "Edge" }
                    th scope="col" { "State" }
                    th.figure scope="col" { "Plan" }
                    th scope="col" { "Version" }
                    th scope="col" { "Last asked" }
                } }
                tbody { @for edge in of.edges.iter().take(SHOWN) { tr {
                    th scope="row" { (edge.edge) }
                    td { @if edge.follows { span.good { "follows" } } @else { strong.warn { "does not ask any more" } } }
                    td.figure { (edge.plan) }
                    td { (edge.version) }
                    td { (ago(edge.asked_at, now)) }
                } } }
            } }
            @if of.edges.len() > SHOWN { p.quiet { "There are " (of.edges.len() - SHOWN) " more: GET /v1/edges lists all." } }
        }
    }
}
