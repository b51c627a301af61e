//! Previews a configuration: what would change if it were applied.

mod missing;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Duration;

use actix_web::HttpRequest;
use actix_web::Responder;
use actix_web::web::{Data, Json, Payload, Query, block};
use itertools::{EitherOrBoth, Itertools};
use serde::{Deserialize, Serialize};

use self::missing::{Missing, MissingOperation, missing, missing_operations};
use super::Admin;
use super::audit::Act;
use super::configuration::{self, Sent, WHOLE_BYTES, preview_id};
use super::final_names::Warnings;
use super::origins::{Others, Ownership};
use super::plans::stored_plan;
use super::rules::working;
use super::services::number_between;
use super::unknown_names::warnings;
use crate::allocation::{Class, OperationPlan, Plan, ServiceId, preview};
use crate::configuration::Configuration;
use crate::http::body::read_json_in;
use crate::http::problem::Problem;
use crate::names::Names;
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;
use crate::view::explanation::ReasonDocument;
use crate::view::plan_summary::{GroupDocument, finite};
use crate::view::precision::{coverage, relative_error};

/// How many changes are listed by default, and at most.
const LISTED: usize = 20;
const LISTED_MAX: usize = 1000;

/// A probability that moves by less than this part of itself counts as unchanged.
const CHANGE: f64 = 0.01;

/// What is recorded of the effect that a change is expected to have: this many services and operations.
const RECORDED: (usize, usize) = (5, 10);

/// How long a change waits for its expected effect. After that it is written without.
const PREDICTION: Duration = Duration::from_secs(5);

/// How many changes are asked for, and which plan they are compared with.
#[derive(Deserialize)]
pub(super) struct Wanted {
    limit: Option<String>,
    plan: Option<String>,
}

#[derive(Serialize)]
struct Document {
    id: String,
    plan: u64,
    missing_by_priority: Vec<Missing>,
    warnings: Warnings,
    #[serde(flatten)]
    others: Others,
    #[serde(flatten)]
    compared: Compared,
}

/// Two plans: the figures of the fleet, and what moves most.
#[derive(Serialize)]
pub(super) struct Compared {
    budget_traces_per_second: Change<f64>,
    expected_sampled_traces_per_second: Change<f64>,
    level_traces_per_second: Change<Option<f64>>,
    missing_traces_per_second: Change<f64>,
    missing_operations: Vec<MissingOperation>,
    coverage: Change<f64>,
    fairness: Change<f64>,
    default_probability: Change<f64>,
    groups: Vec<GroupDocument>,
    services: Vec<ServiceChange>,
    operations: Vec<OperationChange>,
    operations_changed: usize,
}

/// A figure before and after the change.
#[derive(Serialize)]
pub(super) struct Change<T> {
    pub(super) before: T,
    pub(super) after: T,
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
    coverage: Change<f64>,
    expected_relative_error: Change<Option<f64>>,
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
    let plan = wanted.plan.as_deref();
    let body = read_json_in(&admin.documents, &request, payload, WHOLE_BYTES).await?;
    let sent = Sent::parse(&body)?;
    drop(body);
    let act = Act::of(&request)?;
    let revision = admin.store.configuration().await?;
    let mut configuration = sent.over(&revision)?;
    let id = preview_id(&revision, &configuration);
    let held = Configuration::read(&revision).unwrap_or_default();
    configuration.complete(&held, admin.clock.now());
    configuration::check(&configuration)?;
    let ownership = Ownership::of(sent.part.as_ref().map(|part| &part.owns));
    let others = Others::of(&admin, &act, &ownership, (&revision, &held), &configuration).await?;
    let stored = match plan {
        Some(number) => Some(stored_plan(&admin, "plan", number).await?),
        None => None,
    };
    let warnings = warnings(&admin, &configuration).await;
    // A preview of a large fleet keeps a core busy for a moment, so there is one at a time. The
    // work goes on after its client has disconnected, so it takes the permit with it.
    let turn = Arc::clone(&admin.previews).acquire_owned().await;
    let admin = admin.clone();
    let shown = block(move || {
        let _turn = turn;
        let snapshot = admin.served.snapshot();
        let before = stored.as_ref().unwrap_or(snapshot.plan());
        let (compared, missing_by_priority) =
            effect(&admin, before, &configuration, (limit, limit));
        Document {
            id,
            plan: before.number,
            missing_by_priority,
            warnings,
            others,
            compared,
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

/// The effect that a configuration is expected to have, as it is recorded with a change; none before the
/// first plan, or if it takes too long.
pub(super) async fn predicted(admin: &Admin, configuration: &Configuration) -> Option<String> {
    if admin.served.load().plan().number == 0 {
        return None;
    }
    let configuration = configuration.clone();
    let computing = working(admin, move |admin| {
        let snapshot = admin.served.snapshot();
        let (compared, _) = effect(admin, snapshot.plan(), &configuration, RECORDED);
        serde_json::to_string(&compared).ok()
    });
    let computed = tokio::time::timeout(PREDICTION, computing).await;
    computed.ok()?.ok()?
}

/// The effect of a configuration on a plan, with as many services and operations, and by how much floors are short.
fn effect(
    admin: &Admin,
    before: &Plan,
    configuration: &Configuration,
    listed: (usize, usize),
) -> (Compared, Vec<Missing>) {
    let names = admin.dictionary.names();
    let (revision, now) = (before.configuration_revision, admin.clock.timestamp());
    let matches = admin.matches.of(configuration, &names);
    let policy = configuration.policy_with(&matches, revision, &names, now, admin.known(before));
    let after = preview(before, &policy);
    let missing = missing(&policy, &after);
    (Compared::between(before, &after, &names, listed), missing)
}

impl Compared {
    /// Compares two plans, and lists as many services and operations.
    pub(super) fn between(
        before: &Plan,
        after: &Plan,
        names: &Names,
        listed: (usize, usize),
    ) -> Self {
        let fleet = |figure: fn(&Plan) -> f64| Change {
            before: figure(before),
            after: figure(after),
        };
        let pairs = OperationPairs::between(before, after);
        let services = pairs.services(listed.0).into_iter();
        let operations = pairs.largest(listed.1).into_iter();
        Self {
            budget_traces_per_second: fleet(|plan| plan.fleet.budget),
            expected_sampled_traces_per_second: fleet(|plan| plan.fleet.expected_sampled),
            level_traces_per_second: Change {
                before: finite(before.fleet.level),
                after: finite(after.fleet.level),
            },
            missing_traces_per_second: fleet(|plan| plan.fleet.missing),
            missing_operations: missing_operations(after, names),
            coverage: fleet(|plan| plan.figures.coverage),
            fairness: fleet(|plan| plan.figures.fairness),
            default_probability: fleet(|plan| plan.fleet.default_probability),
            groups: after.groups.iter().map(GroupDocument::from).collect(),
            services: services.filter_map(|of| of.named(names)).collect(),
            operations: operations.filter_map(|of| of.named(after, names)).collect(),
            operations_changed: pairs.count(),
        }
    }
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
            operation: Class::shown(&name.operation),
            offered_per_second: after.offered,
            share_traces_per_second: Change {
                before: before.share,
                after: after.share,
            },
            probability: Change {
                before: before.probability,
                after: after.probability,
            },
            coverage: Change {
                before: coverage(before.offered, before.share),
                after: coverage(after.offered, after.share),
            },
            expected_relative_error: Change {
                before: relative_error(before.offered, before.share),
                after: relative_error(after.offered, after.share),
            },
            reason: ReasonDocument::of(plan, after),
        })
    }
}
