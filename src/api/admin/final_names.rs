//! What is known of final names, for the operations of a service and for settings that name one.

use std::collections::{BTreeMap, HashMap};
use std::time::Duration;

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::{Admin, configuration};
use crate::allocation::{OperationPlan, Timestamp, Window};
use crate::clock::date;
use crate::configuration::{Configuration, ServiceSettings};
use crate::names::Heard;
use crate::snapshot::Snapshot;
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::view::final_names::{
    FinalNameDocument, Served, documents, no_effect, one_probability, set_for_nothing,
    which_applies,
};

/// How far back final names are summed: processes export once a minute, at any second of it.
const SPAN: Duration = Duration::from_secs(300);

/// If an operation was not reported for this many windows, its setting is taken to have no effect.
const SILENT_WINDOWS: u32 = 60;

/// The most warnings in one answer.
pub(super) const WARNINGS: usize = 100;

/// Warnings by field.
pub(super) type Warnings = BTreeMap<String, String>;

/// The time in which final names were heard.
#[derive(Debug, Clone, Copy, Serialize)]
pub(super) struct Span {
    start: DateTime<Utc>,
    end: DateTime<Utc>,
}

/// The final names of some services.
pub(super) struct Known {
    /// When they were heard.
    pub span: Span,
    services: HashMap<String, Heard>,
}

impl Known {
    /// Those of a service.
    pub fn of(&self, service: &str) -> Option<&Heard> {
        self.services.get(service)
    }
}

/// The final names of services; none if the database does not answer in time.
pub(super) async fn known(admin: &Admin, services: Vec<String>) -> Option<Known> {
    admin.patience.wait(read(admin, services)).await.flatten()
}

async fn read(admin: &Admin, services: Vec<String>) -> Option<Known> {
    let length = admin.interval.as_millis().max(1) as i64;
    let until = Window::aligned(admin.clock.timestamp(), length).start.0;
    let windows = SPAN.as_millis().div_ceil(length.unsigned_abs().into()) as i64;
    let from = until.saturating_sub(windows.saturating_mul(length));
    let (from, until) = (Timestamp(from), Timestamp(until));
    let _turn = admin.histories.acquire().await.ok()?;
    let rows = admin.store.read_final_names(&services, from..until);
    // Its failure was logged by the store.
    let rows = rows.await.ok()?;
    let sum = move || {
        let mut heard: HashMap<String, Heard> = services
            .into_iter()
            .map(|service| (service, Heard::default()))
            .collect();
        for row in &rows {
            match row.services() {
                Ok(all) => all.into_iter().for_each(|of| {
                    if let Some(heard) = heard.get_mut(&of.service) {
                        heard.add(of.names);
                    }
                }),
                Err(error) => {
                    log_seldom!(warn, error = chain(&error), "final names cannot be read");
                }
            }
        }
        heard
    };
    Some(Known {
        span: Span {
            start: date(from),
            end: date(until),
        },
        services: actix_web::web::block(sum).await.ok()?,
    })
}

/// What is known of one service's final names, beside its plan.
pub(super) struct Named<'s> {
    known: Option<Known>,
    service: &'s str,
    /// What is served of each operation that is listed, and of all others.
    served: HashMap<&'s str, Served>,
    otherwise: Served,
    /// The operations with settings of their own that nobody reports.
    set: Vec<String>,
}

impl<'s> Named<'s> {
    /// Reads it. If the database does not answer, nothing is known.
    pub async fn of(admin: &Admin, snapshot: &'s Snapshot, service: &'s str) -> Self {
        let known = known(admin, vec![service.to_owned()]).await;
        let mut named = Self {
            known: known.filter(|known| known.of(service).is_some()),
            service,
            served: HashMap::new(),
            otherwise: Served::default(snapshot.served_fleet_default()),
            set: Vec::new(),
        };
        let (Some(heard), Some(held)) = (named.heard(), snapshot.service(service)) else {
            return named;
        };
        if heard.is_empty() {
            return named;
        }
        let listed = snapshot.operations(held).filter(|(_, of)| of.is_listed());
        named.served = listed
            .map(|(name, of)| (name, served(snapshot, of)))
            .collect();
        named.otherwise = Served::default(snapshot.served_default(held.id));
        let configured = admin.patience.wait(configuration::current(admin)).await;
        if let Some(Ok((configuration, _))) = configured
            && let Some(settings) = configuration.services.get(service)
        {
            let set = unheard(admin, service, settings).into_iter();
            named.set = set.map(|(_, operation)| operation.to_owned()).collect();
        }
        named
    }

    fn heard(&self) -> Option<&Heard> {
        self.known.as_ref()?.of(self.service)
    }

    /// When final names were heard; none if that cannot be read.
    pub fn span(&self) -> Option<Span> {
        Some(self.known.as_ref()?.span)
    }

    /// The final names under an operation.
    pub fn under(&self, name: &str, operation: &OperationPlan) -> Vec<FinalNameDocument> {
        let names = self.heard().and_then(|heard| heard.under(name));
        documents(operation.offered, &names.unwrap_or_default())
    }

    /// What final names mean for an operation, in sentences.
    pub fn said(&self, name: &str, snapshot: &Snapshot, operation: &OperationPlan) -> Vec<String> {
        let Some(heard) = self.heard() else {
            return Vec::new();
        };
        let mut said = Vec::new();
        if let Some(names) = heard.under(name) {
            said.push(one_probability(
                name,
                snapshot.served(operation),
                names.len(),
            ));
            let set = self.set.iter();
            let mut set = set.filter(|set| heard.asked_instead_of(set) == Some(name));
            if let Some(first) = set.next() {
                said.push(set_for_nothing(first, set.count()));
            }
        }
        if let Some(start) = heard.asked_instead_of(name) {
            let asked = self.served.get(start).copied().unwrap_or(self.otherwise);
            said.push(which_applies(
                operation,
                served(snapshot, operation),
                start,
                asked,
            ));
        }
        said
    }
}

/// What SDKs may hold of an operation.
fn served(snapshot: &Snapshot, operation: &OperationPlan) -> Served {
    let factor = snapshot.cuts().factor();
    let (now, before) = (snapshot.uncut(operation), snapshot.uncut_before(operation));
    Served::between(factor * now, factor * before)
}

/// The settings of operations that samplers are not asked with, each with what it means.
pub(super) async fn warnings(admin: &Admin, configuration: &Configuration) -> Warnings {
    let candidates: Vec<(&str, &str)> = configuration
        .services
        .iter()
        .flat_map(|(service, settings)| unheard(admin, service, settings))
        .collect();
    let mut services: Vec<String> = candidates.iter().map(|(of, _)| (*of).to_owned()).collect();
    services.dedup();
    if services.is_empty() {
        return Warnings::new();
    }
    let Some(known) = known(admin, services).await else {
        return Warnings::new();
    };
    let warned = candidates.into_iter().filter_map(|(service, operation)| {
        let at_start = known.of(service)?.asked_instead_of(operation)?;
        let field = format!("services.{service}.operations.{operation}");
        Some((field, no_effect(at_start)))
    });
    warned.take(WARNINGS).collect()
}

/// The operations with settings of their own that nobody reports.
fn unheard<'c>(
    admin: &Admin,
    service: &'c str,
    settings: &'c ServiceSettings,
) -> Vec<(&'c str, &'c str)> {
    let names = admin.dictionary.names();
    let snapshot = admin.served.snapshot();
    let is_heard = |operation: &str| {
        let id = names.find(service, operation)?;
        let operations = &snapshot.plan().operations;
        let place = operations
            .binary_search_by_key(&id, |of| of.operation)
            .ok()?;
        Some(operations[place].silent_windows < SILENT_WINDOWS)
    };
    let operations = settings.operations.keys();
    operations
        .filter(|operation| is_heard(operation) != Some(true))
        .map(|operation| (service, operation.as_str()))
        .collect()
}
