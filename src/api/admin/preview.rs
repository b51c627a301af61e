//! Previews a configuration: what would change if it were applied.

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use actix_web::HttpRequest;
use actix_web::Responder;
use actix_web::web::{Data, Json, Payload, Query, block};
use itertools::{EitherOrBoth, Itertools};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::configuration::{self, WHOLE_BYTES, preview_id};
use super::final_names::Warnings;
use super::services::number_between;
use super::unknown_names::warnings;
use crate::allocation::{Binding, OperationPlan, Plan, Policy, ServiceId, preview};
use crate::configuration::Configuration;
use crate::http::body::read_json_in;
use crate::http::problem::Problem;
use crate::names::Names;
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::view::explanation::{ReasonDocument, floor_asked};
use crate::view::plan_summary::{GroupDocument, finite};

/// How many changes are listed by default, and at most.
const LISTED: usize = 20;
const LISTED_MAX: usize = 1000;

/// A probability that moves by less than this part of itself counts as unchanged.
const CHANGE: f64 = 0.01;

/// How many changes are asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    limit: Option<String>,
}

#[derive(Serialize)]
struct Document {
    id: String,
    plan: u64,
    budget_traces_per_second: Change<f64>,
    expected_sampled_traces_per_second: Change<f64>,
    level_traces_per_second: Change<Option<f64>>,
    missing_traces_per_second: Change<f64>,
    missing_by_priority: Vec<Missing>,
    coverage: Change<f64>,
    fairness: Change<f64>,
    default_probability: Change<f64>,
    groups: Vec<GroupDocument>,
    services: Vec<ServiceChange>,
    operations: Vec<OperationChange>,
    operations_changed: usize,
    warnings: Warnings,
}

/// A figure before and after the change.
#[derive(Serialize)]
pub(super) struct Change<T> {
    pub(super) before: T,
    pub(super) after: T,
}

#[derive(Serialize)]
struct Missing {
    priority: u8,
    traces_per_second: f64,
}

#[derive(Serialize)]
struct ServiceChange {
    service: String,
    offered_per_second: f64,
    share_traces_per_second: Change<f64>,
}

#[derive(Serialize)]
struct OperationChange {
    service: String,
    operation: String,
    offered_per_second: f64,
    share_traces_per_second: Change<f64>,
    probability: Change<f64>,
    reason: ReasonDocument,
}

/// Returns what would change if a document were applied and traffic stayed the same.
pub(super) async fn show(
    request: HttpRequest,
    wanted: Query<Wanted>,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let limit = wanted.limit.as_deref();
    let limit = number_between("limit", limit, LISTED, 1..=LISTED_MAX)?;
    let body = read_json_in(&admin.documents, &request, payload, WHOLE_BYTES).await?;
    let mut configuration: Configuration = configuration::parse(&body)?;
    drop(body);
    let revision = admin.store.configuration().await?;
    let id = preview_id(&revision, &configuration);
    let held = Configuration::read(&revision).unwrap_or_default();
    configuration.complete(&held, admin.clock.now());
    configuration::check(&configuration)?;
    let warnings = warnings(&admin, &configuration).await;
    // A preview of a large fleet keeps a core busy for a moment, so there is one at a time. The
    // work goes on after its client has disconnected, so it takes the permit with it.
    let turn = Arc::clone(&admin.previews).acquire_owned().await;
    let admin = admin.clone();
    let shown = block(move || {
        let _turn = turn;
        Document {
            id,
            warnings,
            ..document(&admin, &configuration, limit)
        }
    })
    .await;
    shown.map(Json).map_err(|error| {
        log_seldom!(
            error,
            error = chain(&error),
            "a preview could not be computed"
        );
        Problem::Internal
    })
}

fn document(admin: &Admin, configuration: &Configuration, limit: usize) -> Document {
    let snapshot = admin.served.snapshot();
    let before = snapshot.plan();
    let names = admin.dictionary.names();
    let policy = configuration.policy(
        before.configuration_revision,
        &names,
        admin.clock.timestamp(),
    );
    let after = preview(before, &policy);
    let changes = OperationPairs::between(before, &after);
    let (services, operations) = (changes.services(limit), changes.largest(limit));
    let services = services.into_iter();
    let operations = operations.into_iter();
    Document {
        services: services.filter_map(|of| of.named(&names)).collect(),
        operations: operations
            .filter_map(|of| of.named(&after, &names))
            .collect(),
        operations_changed: changes.count(),
        missing_by_priority: missing(&policy, &after),
        groups: after.groups.iter().map(GroupDocument::from).collect(),
        ..totals(before, &after)
    }
}

/// The figures of the fleet, without the lists.
fn totals(before: &Plan, after: &Plan) -> Document {
    let fleet = |figure: fn(&Plan) -> f64| Change {
        before: figure(before),
        after: figure(after),
    };
    Document {
        id: String::new(),
        plan: before.number,
        budget_traces_per_second: fleet(|plan| plan.fleet.budget),
        expected_sampled_traces_per_second: fleet(|plan| plan.fleet.expected_sampled),
        level_traces_per_second: Change {
            before: finite(before.fleet.level),
            after: finite(after.fleet.level),
        },
        missing_traces_per_second: fleet(|plan| plan.fleet.missing),
        missing_by_priority: Vec::new(),
        coverage: fleet(|plan| plan.figures.coverage),
        fairness: fleet(|plan| plan.figures.fairness),
        default_probability: fleet(|plan| plan.fleet.default_probability),
        groups: Vec::new(),
        services: Vec::new(),
        operations: Vec::new(),
        operations_changed: 0,
        warnings: Warnings::new(),
    }
}

/// By how much floors are short, by priority.
fn missing(policy: &Policy, plan: &Plan) -> Vec<Missing> {
    let mut missing: BTreeMap<u8, f64> = BTreeMap::new();
    let floors = plan.operations.iter();
    for operation in floors.filter(|of| of.binding == Binding::Floor) {
        let floor = floor_asked(operation);
        let short = floor - operation.share;
        // The floor is rounded to single precision.
        if short > 1e-6 * floor {
            let (bounds, _) = policy.bounds(operation.service, operation.operation);
            *missing.entry(bounds.priority.number()).or_default() += short;
        }
    }
    let by_priority = missing.into_iter();
    by_priority
        .map(|(priority, traces_per_second)| Missing {
            priority,
            traces_per_second,
        })
        .collect()
}

/// Every operation that is in both plans.
pub(super) struct OperationPairs<'a>(pub(super) Vec<Pair<'a>>);

/// An operation before and after the change.
#[derive(Clone, Copy)]
pub(super) struct Pair<'a> {
    pub(super) before: &'a OperationPlan,
    pub(super) after: &'a OperationPlan,
}

impl<'a> OperationPairs<'a> {
    pub(super) fn between(before: &'a Plan, after: &'a Plan) -> Self {
        let both = before
            .operations
            .iter()
            .merge_join_by(&after.operations, |before, after| {
                before.operation.cmp(&after.operation)
            })
            .filter_map(EitherOrBoth::both);
        Self(both.map(|(before, after)| Pair { before, after }).collect())
    }

    /// How many probabilities would change.
    fn count(&self) -> usize {
        self.0.iter().filter(|pair| pair.changes()).count()
    }

    /// The operations whose shares would change most, largest change first.
    fn largest(&self, limit: usize) -> Vec<Pair<'a>> {
        let moved = self.0.iter().copied().filter(|pair| pair.moves() > 0.0);
        let mut moved: Vec<Pair<'a>> = moved.collect();
        moved.sort_by_key(|pair| (Reverse(pair.moves().to_bits()), pair.after.operation));
        moved.truncate(limit);
        moved
    }

    /// The services whose shares would change most, largest change first.
    fn services(&self, limit: usize) -> Vec<ServicePair> {
        let mut services: BTreeMap<ServiceId, ServicePair> = BTreeMap::new();
        for Pair { before, after } in &self.0 {
            let service = services.entry(after.service).or_default();
            service.id = after.service;
            service.offered += after.offered;
            service.before += before.share;
            service.after += after.share;
        }
        let mut moved: Vec<ServicePair> = services.into_values().collect();
        moved.retain(|service| service.moves() > 0.0);
        moved.sort_by_key(|service| (Reverse(service.moves().to_bits()), service.id));
        moved.truncate(limit);
        moved
    }
}

/// A service before and after the change: the sums of its operations.
#[derive(Default)]
struct ServicePair {
    id: ServiceId,
    offered: f64,
    before: f64,
    after: f64,
}

impl ServicePair {
    fn moves(&self) -> f64 {
        (self.after - self.before).abs()
    }

    fn named(&self, names: &Names) -> Option<ServiceChange> {
        Some(ServiceChange {
            service: names.service(self.id)?.to_string(),
            offered_per_second: self.offered,
            share_traces_per_second: Change {
                before: self.before,
                after: self.after,
            },
        })
    }
}

impl Pair<'_> {
    /// By how many traces per second its share would change.
    fn moves(&self) -> f64 {
        (self.after.share - self.before.share).abs()
    }

    fn changes(&self) -> bool {
        let (before, after) = (self.before.probability, self.after.probability);
        (after - before).abs() > CHANGE * before.max(after)
    }

    fn named(&self, plan: &Plan, names: &Names) -> Option<OperationChange> {
        let Self { before, after } = self;
        let name = names.name(after.operation)?;
        Some(OperationChange {
            service: name.service.to_string(),
            operation: name.operation.to_string(),
            offered_per_second: after.offered,
            share_traces_per_second: Change {
                before: before.share,
                after: after.share,
            },
            probability: Change {
                before: before.probability,
                after: after.probability,
            },
            reason: ReasonDocument::of(plan, after),
        })
    }
}
