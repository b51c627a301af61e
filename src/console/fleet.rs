//! Does everybody take part? Services that poll and are not counted, and the reverse; SDKs that do not apply what they are
//! served; agents and how late they are; replicas; edges. What helps is here to copy.

mod tables;

use actix_web::HttpResponse;
use chrono::{DateTime, Utc};
use maud::{Markup, html};
use serde::Deserialize;

use super::call::{Asker, Call};
use super::effect::figure;
use super::form::Fields;
use super::page::format::length;
use super::page::trouble::Trouble;
use super::page::{Frame, Screen, card, link};
use super::recipes::{RECIPES, of_client, of_id, snippet};

/// The screen.
pub const SCREEN: Screen = Screen {
    path: "/console/fleet",
    name: "Fleet",
};

/// Rows of each table.
const ROWS: usize = 20;

/// Services that are looked at for SDKs that do not apply what they are served: those that keep most.
const LOOKED_AT: usize = 200;

#[derive(Debug, Deserialize)]
struct Pollers {
    both: usize,
    only_polls: usize,
    only_counts: usize,
    services: Vec<Polling>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Polling {
    service: String,
    offered_per_second: f64,
    polls: u64,
    clients: Vec<Client>,
}

#[derive(Debug, Deserialize)]
struct Client {
    client: String,
    protocol: String,
    last_seen: DateTime<Utc>,
}

#[derive(Debug, Deserialize)]
struct Services {
    services: Vec<Served>,
}

#[derive(Debug, Deserialize)]
struct Served {
    service: String,
    offered_per_second: f64,
    default_probability: f64,
    applies_strategy: Option<bool>,
}

#[derive(Debug, Deserialize)]
struct Agents {
    agents: Vec<Agent>,
    next: Option<String>,
}

#[derive(Debug, Deserialize)]
struct Agent {
    agent: Option<String>,
    number: String,
    state: String,
    late_seconds: f64,
    usual_late_seconds: f64,
    missing_seconds: f64,
    offered_per_second: f64,
    service_count: usize,
    refused: Option<Refused>,
}

#[derive(Debug, Deserialize)]
struct Refused {
    #[serde(default)]
    reports: u64,
}

#[derive(Debug, Deserialize)]
struct Replicas {
    replicas: Vec<Replica>,
}

#[derive(Debug, Deserialize)]
struct Replica {
    host: String,
    version: String,
    started_at: DateTime<Utc>,
    seen_seconds_ago: f64,
    there: bool,
    leads: bool,
    plan: u64,
}

#[derive(Debug, Deserialize)]
struct Edges {
    following: usize,
    edges: Vec<Edge>,
}

#[derive(Debug, Deserialize)]
struct Edge {
    edge: String,
    version: String,
    asked_at: DateTime<Utc>,
    follows: bool,
    plan: u64,
}

#[derive(Debug, Deserialize)]
struct Plan {
    agents_missing: u64,
    agents_late_seconds: f64,
}

/// All that the screen shows.
struct Fleet {
    plan: Result<Plan, Trouble>,
    only_polls: Result<Pollers, Trouble>,
    only_counts: Result<Pollers, Trouble>,
    deaf: Result<Vec<Served>, Trouble>,
    agents: Result<Agents, Trouble>,
    replicas: Result<Replicas, Trouble>,
    edges: Result<Edges, Trouble>,
}

impl Fleet {
    async fn read(asker: &Asker, fields: &Fields) -> Self {
        let pollers = |part: &'static str| {
            let call = Call::get("/v1/pollers").query("part", part);
            call.query("limit", ROWS)
        };
        let agents = Call::get("/v1/agents").query("limit", ROWS);
        let agents = agents.query_if("after", fields.get("after"));
        let agents = agents.query_if("state", fields.get("state"));
        let served = Call::get("/v1/services").query("sort", "kept");
        let served: Result<Services, Trouble> = asker.ask(served.query("limit", LOOKED_AT)).await;
        Self {
            plan: asker.ask(Call::get("/v1/plans/current")).await,
            only_polls: asker.ask(pollers("only_polls")).await,
            only_counts: asker.ask(pollers("only_counts")).await,
            deaf: served.map(|of| {
                let all = of.services.into_iter();
                all.filter(|of| of.applies_strategy == Some(false))
                    .collect()
            }),
            agents: asker.ask(agents).await,
            replicas: asker.ask(Call::get("/v1/replicas")).await,
            edges: asker.ask(Call::get("/v1/edges")).await,
        }
    }

    /// The family of clients whose recipe is shown, if the address names none: one that needs it.
    fn client(&self) -> Option<&str> {
        let polling = self.only_polls.as_ref().ok()?.services.first()?;
        polling.clients.first().map(|of| of.client.as_str())
    }
}

/// Shows the fleet.
pub async fn show(asker: Asker) -> Result<HttpResponse, Trouble> {
    let fields = Fields::of_query(&asker.request);
    let fleet = Fleet::read(&asker, &fields).await;
    let recipe = match (fields.get("sdk"), fleet.client()) {
        (Some(id), _) => of_id(id),
        (None, Some(client)) => of_client(client),
        (None, None) => &RECIPES[0],
    };
    let now = asker.console.clock.now();
    let main = html! {
        h1 { "Fleet: does everybody take part?" }
        div id="live" {
            section.card aria-label="In short" { (fleet.figures()) }
            (fleet.tables(&fields, now))
        }
        (card("fix", "The fix, for each SDK", &html! {
            ul.tabs { @for of in RECIPES {
                li { a href=(format!("{}#fix", link(SCREEN.path, &[("sdk", of.id)])))
                    aria-current=[(of.id == recipe.id).then_some("true")] { (of.name) } }
            } }
            (snippet("So that it is counted", recipe.counts))
            (snippet("So that it follows", recipe.follows))
            p.quiet { "weir stands for a replica or a load balancer. In Go, JavaScript and Python "
                code { "OTEL_TRACES_SAMPLER=jaeger_remote" } " means 100 %: set the sampler in code." }
        }))
    };
    Ok(Frame::of(&asker, SCREEN, "Fleet").ok(main))
}

impl Fleet {
    fn figures(&self) -> Markup {
        html! {
            dl.figures {
                @if let Ok(plan) = &self.plan {
                    (figure("Agents missing", &plan.agents_missing.to_string(), "of those that usually report"))
                    (figure("Counts are late by", &length(plan.agents_late_seconds), "in the mean of the traffic"))
                }
                @if let Ok(pollers) = &self.only_polls {
                    (figure("Services in full", &pollers.both.to_string(), "they poll and are counted"))
                    (figure("Only poll", &pollers.only_polls.to_string(), "nothing counts their requests"))
                    (figure("Are only counted", &pollers.only_counts.to_string(), "nobody polls for them"))
                }
                @if let Ok(replicas) = &self.replicas {
                    @let there = replicas.replicas.iter().filter(|of| of.there).count();
                    @let leader = replicas.replicas.iter().find(|of| of.leads);
                    (figure("Replicas", &there.to_string(),
                        &leader.map_or_else(|| "nobody leads".to_owned(), |of| format!("{} leads", of.host))))
                    @if let Ok(edges) = &self.edges {
                        (figure("Edges", &edges.following.to_string(), "they follow the plan"))
                    }
                    (figure("Database", "answers", "the replicas are read from it"))
                }
            }
            @if let Err(trouble) = &self.replicas { (trouble.sentence()) }
        }
    }
}
