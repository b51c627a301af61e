//! Tagged requests: what rules for them mean, and what became of those of a service.

use std::collections::HashSet;
use std::time::Duration;

use serde::Serialize;

use super::Admin;
use super::final_names::{WARNINGS, Warnings};
use crate::allocation::{Plan, ServiceId};
use crate::configuration::{Configuration, Pattern, Rule, RuleState};
use crate::names::{Names, NamesOfAgents};
use crate::snapshot::{APPLIES_TAGGED, ServiceSnapshot, Snapshot, is_overflow};

/// How long a request waits for the names of agents, which are known but for new ones.
const PATIENCE: Duration = Duration::from_millis(100);

/// The services whose samplers apply rules for tagged requests: those that poll by X-Ray.
pub(super) struct Appliers(HashSet<ServiceId>);

impl Appliers {
    /// Those of the served plan. New agents are missing while the database does not say their names.
    pub(super) async fn of(admin: &Admin) -> Self {
        let snapshot = admin.served.snapshot();
        let (asking, plan) = (admin.clone(), admin.served.snapshot());
        // It goes on after this request, so that the next one knows them.
        let asked = tokio::spawn(async move { asking.agents.of(plan.plan()).await });
        let names = tokio::time::timeout(PATIENCE, asked).await;
        let names = names.ok().and_then(Result::ok);
        let names = names.unwrap_or_else(|| admin.agents.known());
        Self::among(snapshot.plan(), &names)
    }

    fn among(plan: &Plan, names: &NamesOfAgents) -> Self {
        let rates = plan.rates.iter().filter(|of| {
            let name = names.get(&of.agent);
            name.is_some_and(|name| name.starts_with(APPLIES_TAGGED))
        });
        Self(rates.filter_map(|of| of.service).collect())
    }

    /// Whether a service is one of them.
    fn have(&self, service: ServiceId) -> bool {
        self.0.contains(&service)
    }
}

/// The services that a rule for tagged requests means.
#[derive(Serialize)]
pub(super) struct TaggedMatch {
    /// Those whose samplers apply it.
    services_applying: usize,
    /// The others.
    services_not_applying: usize,
    said: String,
}

impl TaggedMatch {
    /// None if the rule is not for tagged requests.
    pub(super) fn of(rule: &Rule, names: &Names, appliers: &Appliers) -> Option<Self> {
        let service = Pattern::parse(&rule.service).ok();
        let service = service.filter(|_| rule.is_tagged())?;
        let known = names.services();
        let meant = known.filter(|(id, name)| !is_overflow(*id) && service.matches(name));
        let (applying, not): (Vec<_>, Vec<_>) = meant.partition(|(id, _)| appliers.have(*id));
        let (applying, not) = (applying.len(), not.len());
        Some(Self {
            services_applying: applying,
            services_not_applying: not,
            said: said(applying, not),
        })
    }
}

fn said(applying: usize, not: usize) -> String {
    let services = |count: usize| match count {
        1 => "1 service".to_owned(),
        count => format!("{count} services"),
    };
    let polls = if applying == 1 { "polls" } else { "poll" };
    let first = format!(
        "matches the tagged requests of {} that {polls} by X-Ray",
        services(applying)
    );
    match not {
        0 => first,
        1 => format!("{first}; 1 service does not follow X-Ray rules and will not apply it"),
        not => format!("{first}; {not} services do not follow X-Ray rules and will not apply it"),
    }
}

/// The rules for tagged requests that some services will not apply.
pub(super) async fn warnings(admin: &Admin, configuration: &Configuration) -> Warnings {
    let rules = configuration.rules.iter();
    let tagged: Vec<_> = rules.filter(|(_, rule)| rule.is_tagged()).collect();
    if tagged.is_empty() {
        return Warnings::new();
    }
    let (appliers, names) = (Appliers::of(admin).await, admin.dictionary.names());
    let now = admin.clock.timestamp();
    let comes = |rule: &Rule| matches!(rule.state(now), RuleState::Active | RuleState::Waiting);
    let warned = tagged.into_iter().filter(|(_, rule)| comes(rule));
    let warned = warned.filter_map(|(id, rule)| {
        let matched = TaggedMatch::of(rule, &names, &appliers)?;
        (matched.services_not_applying > 0).then(|| (format!("rules.{id}"), matched.said))
    });
    warned.take(WARNINGS).collect()
}

/// What became of the tagged requests of a service under one rule.
#[derive(Serialize)]
pub(super) struct TaggedDocument {
    rule: String,
    operation: String,
    cap_traces_per_second: f64,
    /// Whether the service's samplers apply it.
    applies: bool,
    offered_per_second: f64,
    share_traces_per_second: f64,
    /// Null while none has been counted.
    probability: Option<f64>,
    window_offered: u64,
    window_sampled: u64,
}

impl TaggedDocument {
    /// The rules that the served plan applies to a service.
    pub(super) fn all(
        snapshot: &Snapshot,
        name: &str,
        service: &ServiceSnapshot,
        appliers: &Appliers,
    ) -> Vec<Self> {
        let rules = snapshot.tagged().of_service(name);
        let mut rules = rules.filter(|rule| rule.active).peekable();
        if rules.peek().is_none() {
            return Vec::new();
        }
        let planned = snapshot.tagged_operations(service);
        let document = rules.map(|rule| {
            let operation = planned.get(&*rule.rule);
            Self {
                rule: rule.rule.clone(),
                operation: rule.operation.clone(),
                cap_traces_per_second: rule.cap,
                applies: appliers.have(service.id),
                offered_per_second: operation.map_or(0.0, |of| of.offered),
                share_traces_per_second: operation.map_or(0.0, |of| of.share),
                probability: operation.map(|of| of.probability),
                window_offered: operation.map_or(0, |of| of.window_offered),
                window_sampled: operation.map_or(0, |of| of.window_sampled),
            }
        });
        document.collect()
    }
}
