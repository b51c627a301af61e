//! The agents that the served plan knows: how late each is, and what it usually reports.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Query};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::refused::{Refused, RefusedDocument, UnknownAgent};
use super::services::{page_limit, unknown_service};
use crate::allocation::{AgentState, Plan, ServiceId};
use crate::http::problem::Problem;
use crate::names::NamesOfAgents;
use crate::snapshot::Snapshot;
use crate::telemetry::metrics::{AgentStanding, Label};
use crate::view::agents::{AgentDocument, rates, standing};

/// The services listed of each agent. A page has room for thousands of agents.
const SERVICES: usize = 10;

/// Which agents are asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    limit: Option<String>,
    after: Option<String>,
    state: Option<String>,
    service: Option<String>,
}

#[derive(Serialize)]
struct Agents<'a> {
    plan: u64,
    agents: Vec<Agent<'a>>,
    /// Null if nothing is known of refused reports.
    refused_unknown: Option<Vec<UnknownAgent>>,
    next: Option<&'a str>,
}

#[derive(Serialize)]
struct Agent<'a> {
    agent: Option<&'a str>,
    number: &'a str,
    #[serde(flatten)]
    document: AgentDocument,
    /// Null if none was refused, or nothing is known of it.
    refused: Option<&'a RefusedDocument>,
    service_count: usize,
    services: Vec<Service<'a>>,
}

#[derive(Serialize)]
struct Service<'a> {
    service: Option<&'a str>,
    offered_per_second: f64,
}

/// An agent with what it is listed by: its name, or its number if the name is not known.
struct Found<'a> {
    state: &'a AgentState,
    name: Option<&'a str>,
    number: String,
}

impl Found<'_> {
    fn key(&self) -> &str {
        self.name.unwrap_or(&self.number)
    }
}

/// Lists agents by name.
pub(super) async fn list(
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let limit = page_limit(wanted.limit.as_deref())?;
    let state = wanted.state.as_deref().map(known_state).transpose()?;
    let snapshot = admin.served.snapshot();
    let service = wanted.service.as_deref();
    let service = service.map(|name| {
        let found = snapshot.service(name).map(|found| found.id);
        found.ok_or_else(|| unknown_service(name))
    });
    let service = service.transpose()?;
    let plan = snapshot.plan();
    let (names, refused) = tokio::join!(admin.agents.of(plan), Refused::read(&admin));
    let asked = |agent: &&AgentState| {
        state.is_none_or(|state| state == standing(agent))
            && service.is_none_or(|service| reports(plan, agent, service))
    };
    let known: HashSet<&str> = plan
        .agents
        .iter()
        .filter_map(|of| names.get(&of.agent).map(|name| &**name))
        .collect();
    let found = plan.agents.iter().filter(asked);
    let mut found: Vec<Found<'_>> = found.map(|state| found_in(&names, state)).collect();
    if let Some(after) = wanted.after.as_deref() {
        found.retain(|found| found.key() > after);
    }
    found.sort_unstable_by(|one, other| one.key().cmp(other.key()));
    let more = found.len() > limit;
    found.truncate(limit);
    let services = services_by_number(&snapshot);
    let document = Agents {
        plan: plan.number,
        agents: found
            .iter()
            .map(|found| agent(plan, found, &services, refused.as_ref()))
            .collect(),
        refused_unknown: refused
            .as_ref()
            .map(|refused| refused.unknown(|name| known.contains(name))),
        next: found.last().filter(|_| more).map(Found::key),
    };
    // The document borrows from the snapshot, so it is encoded here.
    let body = serde_json::to_vec(&document).map_err(|_| Problem::Internal)?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(body))
}

fn known_state(given: &str) -> Result<AgentStanding, Problem> {
    let mut known = AgentStanding::ALL.iter();
    let found = known.find(|standing| standing.value() == given);
    found.copied().ok_or_else(|| Problem::Malformed {
        field: "state".into(),
        detail: "must be new, known, missing or ended".into(),
    })
}

/// Whether an agent usually reports a service.
fn reports(plan: &Plan, agent: &AgentState, service: ServiceId) -> bool {
    let mut services = rates(plan, agent).iter().map(|rate| rate.service);
    services.any(|reported| reported == Some(service))
}

fn found_in<'a>(names: &'a NamesOfAgents, state: &'a AgentState) -> Found<'a> {
    Found {
        state,
        name: names.get(&state.agent).map(|name| &**name),
        number: format!("{:016x}", state.agent.0),
    }
}

fn services_by_number(snapshot: &Snapshot) -> HashMap<ServiceId, &Arc<str>> {
    let services = snapshot.services();
    services.map(|(name, held)| (held.id, name)).collect()
}

fn agent<'a>(
    plan: &Plan,
    found: &'a Found<'_>,
    names: &HashMap<ServiceId, &'a Arc<str>>,
    refused: Option<&'a Refused>,
) -> Agent<'a> {
    let mut services: Vec<Service<'_>> = rates(plan, found.state)
        .iter()
        .map(|rate| Service {
            service: rate.service.and_then(|id| Some(&***names.get(&id)?)),
            offered_per_second: f64::from(rate.rate),
        })
        .collect();
    let service_count = services.len();
    services.sort_by(|one, other| other.offered_per_second.total_cmp(&one.offered_per_second));
    services.truncate(SERVICES);
    Agent {
        agent: found.name,
        number: &found.number,
        document: AgentDocument::of(plan, found.state),
        refused: refused.and_then(|refused| refused.of_agent(found.name?)),
        service_count,
        services,
    }
}
