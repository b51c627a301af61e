//! Everything that is known of one operation: its demand, who counts it, what is set for it, what decides, and what
//! its SDKs are served.

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Data, Path, Query};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::classes::{ClassDocument, ServiceGovernance, class_named};
use super::final_names::Named;
use super::history::{Point, recent};
use super::rules::{PlannedRules, RuleOfOperation, working};
use super::services::{SourceDocument, sources, unknown_service};
use super::sorted::{Figures, part_of_budget, traces_per_month};
use crate::allocation::{Binding, Class, OperationPlan, Plan, preview};
use crate::configuration::{Configuration, Mark};
use crate::http::problem::Problem;
use crate::names::Names;
use crate::snapshot::{ServiceSnapshot, Snapshot};
use crate::view::explanation::{ReasonDocument, shared};
use crate::view::final_names::FinalNameDocument;
use crate::view::plan_summary::{WindowDocument, finite};
use crate::view::precision::{coverage, relative_error};

/// Which operation is asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    operation: Option<String>,
    class: Option<String>,
}

impl Wanted {
    /// The operation, and the entry that is asked for: itself, or one of its classes.
    fn entry(self) -> Result<(String, String), Problem> {
        let wrong = |field: &str, detail: String| Problem::Malformed {
            field: field.into(),
            detail,
        };
        let operation = self.operation;
        let operation = operation.ok_or_else(|| wrong("operation", "is missing".into()))?;
        let Some(class) = self.class else {
            return Ok((operation.clone(), operation));
        };
        let entry = class_named(&class)?.entry(&operation);
        Ok((operation, entry))
    }
}

#[derive(Serialize)]
struct Explanation<'a> {
    plan: u64,
    window: WindowDocument,
    configuration_revision: u64,
    service: &'a str,
    operation: &'a str,
    /// Null if it has no classes.
    class: Option<&'static str>,
    /// All classes of the operation, if its traces are decided about when they have ended.
    classes: Vec<ClassDocument>,
    #[serde(flatten)]
    governed: ServiceGovernance,
    demand: Demand,
    counts: Counts,
    /// Null if the settings of the plan are not known.
    settings: Option<Settings>,
    /// Who last wrote the settings of its service; null if it has none, or that is not known.
    origin: Option<Mark>,
    rules: Option<Vec<RuleOfOperation>>,
    reason: ReasonDocument,
    /// What would decide if nothing kept the probability where it is; null if nothing does.
    behind: Option<ReasonDocument>,
    served: ServedDocument,
    final_names: Vec<FinalNameDocument>,
    share_traces_per_second: f64,
    part_of_budget: f64,
    traces_per_month: f64,
    coverage: f64,
    expected_relative_error: Option<f64>,
}

/// What it offers.
#[derive(Serialize)]
struct Demand {
    offered_per_second: f64,
    observed_sampled_traces_per_second: Option<f64>,
    window_offered: u64,
    /// The estimate of its rate while it has traffic, and the relative standard deviation of that estimate.
    rate_per_second: f64,
    rate_relative_deviation: f64,
    /// The probability that it has traffic in a window.
    presence: f64,
    peak_per_second: f64,
    silent_windows: u32,
    /// Its last windows; null if they cannot be read in time.
    history: Option<Vec<Point>>,
}

/// Who counts its service, and how completely.
#[derive(Serialize)]
struct Counts {
    sources: Vec<SourceDocument>,
    completeness: f64,
    window_covered: f64,
}

/// What is set for it, in the plan: its own settings, its service's or the fleet's.
#[derive(Serialize)]
struct Settings {
    weight: f64,
    priority: u8,
    floor_traces_per_second: f64,
    cap_traces_per_second: Option<f64>,
    probability_min: f64,
    probability_max: f64,
    probability: Option<f64>,
}

/// What SDKs are served.
#[derive(Serialize)]
struct ServedDocument {
    probability: f64,
    listed: bool,
    /// For a name that its service's strategy does not list.
    unknown_operation_probability: f64,
    /// For a service that nobody has reported.
    unknown_service_probability: f64,
}

/// Explains one operation.
pub(super) async fn show(
    service: Path<String>,
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let (plain, wanted) = wanted.into_inner().entry()?;
    let snapshot = admin.served.snapshot();
    let held = snapshot
        .service(&service)
        .ok_or_else(|| unknown_service(&service))?;
    let mut operations = snapshot.operations(held);
    let found = operations.find(|(name, _)| *name == wanted);
    // Without a class, the first one that there is: an operation of a tail-governed service has no other entry.
    let by_class = || {
        let mut classes = snapshot.operations(held);
        classes.find(
            |(name, _)| matches!(Class::of(name), (operation, Some(_)) if operation == wanted),
        )
    };
    let Some((name, operation)) = found.or_else(by_class) else {
        return Err(Problem::NotFound(format!(
            "the plan has no operation {:?} of service {:?}; SDKs are served {} for it",
            Class::shown(&wanted),
            *service,
            snapshot.strategy(held).default_probability
        )));
    };
    let planned = PlannedRules::of(&admin, &snapshot).await;
    let behind = behind(&admin, &snapshot, planned.as_ref(), operation).await;
    let history = recent(&admin, operation.operation).await;
    let named = Named::of(&admin, &snapshot, &service).await;
    let whole = explanation(
        &admin,
        &snapshot,
        held,
        planned,
        (&service, name, operation),
    );
    let explanation = Explanation {
        demand: Demand {
            history,
            ..demand(snapshot.plan(), operation)
        },
        behind,
        final_names: named.under(name, operation),
        reason: whole.reason.and(&named.said(name, &snapshot, operation)),
        classes: ClassDocument::all(&snapshot, held, |of| of == plain),
        ..whole
    };
    // The document borrows from the snapshot, so it is encoded here.
    let body = serde_json::to_vec(&explanation).map_err(|_| Problem::Internal)?;
    Ok(HttpResponse::Ok()
        .content_type("application/json")
        .body(body))
}

fn explanation<'a>(
    admin: &Admin,
    snapshot: &Snapshot,
    held: &ServiceSnapshot,
    planned: Option<PlannedRules>,
    (service, name, operation): (&'a str, &'a str, &OperationPlan),
) -> Explanation<'a> {
    let plan = snapshot.plan();
    let (plain, class) = Class::of(name);
    let rules = planned
        .as_ref()
        .map(|planned| planned.of_operation(service, name, operation));
    let decided = RuleOfOperation::sentence(rules.as_deref().unwrap_or_default());
    let names = admin.dictionary.names();
    let set = planned
        .as_ref()
        .map(|planned| settings(planned, plan, &names, operation));
    let of_classes = set.as_ref().filter(|_| class.is_some());
    let shared = of_classes.map_or_else(Vec::new, |set| set.shared(plain));
    Explanation {
        plan: plan.number,
        window: plan.window.into(),
        configuration_revision: plan.configuration_revision,
        service,
        operation: plain,
        class: class.map(Class::name),
        classes: Vec::new(),
        governed: ServiceGovernance::of(snapshot, service, held),
        demand: demand(plan, operation),
        counts: counts(plan, held),
        origin: planned
            .as_ref()
            .and_then(|planned| planned.origin(service))
            .cloned(),
        settings: set,
        reason: ReasonDocument::of(plan, operation)
            .and(&decided)
            .and(&shared),
        rules,
        behind: None,
        served: ServedDocument {
            probability: match class {
                // Edges are told it, and SDKs sample everything.
                Some(_) => snapshot.served(operation),
                None if snapshot.counted_by_edges(service) => 1.0,
                None if operation.is_listed() => snapshot.served(operation),
                None => snapshot.served_default(held.id),
            },
            listed: operation.is_listed(),
            unknown_operation_probability: snapshot.served_default(held.id),
            unknown_service_probability: snapshot.served_fleet_default(),
        },
        final_names: Vec::new(),
        share_traces_per_second: operation.share,
        part_of_budget: part_of_budget(plan, operation.share),
        traces_per_month: traces_per_month(operation.share),
        coverage: coverage(operation.offered, operation.share),
        expected_relative_error: relative_error(operation.offered, operation.share),
    }
}

fn demand(plan: &Plan, operation: &OperationPlan) -> Demand {
    let belief = &operation.belief;
    Demand {
        offered_per_second: operation.offered,
        observed_sampled_traces_per_second: Figures::of_operation(plan, operation).observed,
        window_offered: operation.window_offered,
        rate_per_second: belief.rate,
        rate_relative_deviation: finite(f64::from(belief.variance).sqrt()).unwrap_or(0.0),
        presence: f64::from(belief.presence),
        peak_per_second: f64::from(belief.peak),
        silent_windows: operation.silent_windows,
        history: None,
    }
}

fn counts(plan: &Plan, held: &ServiceSnapshot) -> Counts {
    let planned = plan.service(held.id);
    Counts {
        sources: planned.map_or_else(Vec::new, |of| sources(plan, of)),
        completeness: planned.map_or(1.0, |of| f64::from(of.heard)),
        window_covered: planned.map_or(1.0, |of| f64::from(of.covered)),
    }
}

fn settings(
    planned: &PlannedRules,
    plan: &Plan,
    names: &Names,
    operation: &OperationPlan,
) -> Settings {
    let policy = planned.policy(plan, names);
    let (bounds, _) = policy.bounds(operation.service, operation.operation);
    Settings {
        weight: bounds.weight,
        priority: bounds.priority.number(),
        floor_traces_per_second: bounds.floor,
        // The allocation has no infinite amounts; nobody can set a cap this high.
        cap_traces_per_second: Some(bounds.cap).filter(|cap| *cap <= Configuration::BUDGET_MAX),
        probability_min: bounds.probability_min,
        probability_max: bounds.probability_max,
        probability: bounds.pin,
    }
}

impl Settings {
    /// What the classes of an operation share.
    fn shared(&self, operation: &str) -> Vec<String> {
        let floor = Some(self.floor_traces_per_second).filter(|floor| *floor > 0.0);
        let bounds = [("floor", floor), ("cap", self.cap_traces_per_second)];
        let given = bounds
            .into_iter()
            .filter_map(|(name, of)| Some((name, of?)));
        given
            .map(|(name, of)| shared(operation, name, of))
            .collect()
    }
}

/// What would decide if nothing kept the probability where it is: the same plan, as if it had settled.
async fn behind(
    admin: &Data<Admin>,
    snapshot: &Arc<Snapshot>,
    planned: Option<&PlannedRules>,
    operation: &OperationPlan,
) -> Option<ReasonDocument> {
    let keeps = [
        Binding::Deadband,
        Binding::RaiseLimit,
        Binding::Hold,
        Binding::Peak,
    ];
    if !keeps.contains(&operation.binding) {
        return None;
    }
    let plan = snapshot.plan();
    let policy = planned?.policy(plan, &admin.dictionary.names());
    let (snapshot, id) = (Arc::clone(snapshot), operation.operation);
    let settled = working(admin, move |_| {
        let settled = preview(snapshot.plan(), &policy);
        let place = settled
            .operations
            .binary_search_by_key(&id, |of| of.operation)
            .ok()?;
        Some(ReasonDocument::of(&settled, &settled.operations[place]))
    });
    settled.await.ok()?
}
