//! Services and their operations: the traffic of each, its share, and what decides it.

use std::cmp::Reverse;
use std::ops::RangeInclusive;

use actix_web::Responder;
use actix_web::web::{Data, Json, Path, Query, block};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::classes::GovernedDocument;
use super::final_names::{Named, Span};
use super::origins;
use super::pollers::{ClientDocument, Polled};
use super::rules::{PlannedRules, RuleOfOperation};
use super::series::{self, SPARKLINES_MAX, Sparkline, SparklineSteps};
use super::sorted::{Figures, Sorted, Wanted, part_of_budget, traces_per_month};
use super::tagged::{Appliers, TaggedDocument};
use crate::allocation::{Basis, Class, OperationPlan, Plan, ServicePlan, Serving, Tuning, Window};
use crate::configuration::{Kind, Mark, Origins};
use crate::http::problem::Problem;
use crate::ingest::basis_label;
use crate::snapshot::{ServiceSnapshot, Snapshot};
use crate::telemetry::metrics::Label;
use crate::view::explanation::{ReasonDocument, instead};
use crate::view::final_names::FinalNameDocument;
use crate::view::minted::{examples, seen_once};
use crate::view::not_applied::Applied;
use crate::view::plan_summary::{binding_label, finite};

/// Entries on one page by default, and at most.
const PAGE: usize = 100;
const PAGE_MAX: usize = 10_000;

/// What services in no group are asked for by, as metrics label them. No group can have this name.
const UNGROUPED: &str = "none";

/// Where a page begins, and how long it is.
#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    after: Option<String>,
}

impl Page {
    fn limit(&self) -> Result<usize, Problem> {
        page_limit(self.limit.as_deref())
    }

    fn begins_before(&self, name: &str) -> bool {
        self.after.as_deref().is_none_or(|after| name > after)
    }
}

/// The length of a page.
pub(super) fn page_limit(given: Option<&str>) -> Result<usize, Problem> {
    number_between("limit", given, PAGE, 1..=PAGE_MAX)
}

/// Parses a parameter that is a whole number.
pub(super) fn number_between(
    field: &str,
    given: Option<&str>,
    otherwise: usize,
    range: RangeInclusive<usize>,
) -> Result<usize, Problem> {
    let Some(given) = given else {
        return Ok(otherwise);
    };
    let number = given.parse().ok().filter(|number| range.contains(number));
    number.ok_or_else(|| {
        let (least, most) = range.into_inner();
        Problem::Malformed {
            field: field.into(),
            detail: format!("must be a whole number between {least} and {most}"),
        }
    })
}

#[derive(Serialize)]
struct Services {
    plan: u64,
    services: Vec<ServiceDocument>,
    found: usize,
    sparklines: Option<SparklineSteps>,
    next: Option<String>,
}

#[derive(Serialize)]
struct ServiceDocument {
    service: String,
    operations: usize,
    offered_per_second: f64,
    share_traces_per_second: f64,
    observed_sampled_traces_per_second: Option<f64>,
    part_of_budget: f64,
    traces_per_month: f64,
    missing_traces_per_second: f64,
    default_probability: f64,
    planned_default_probability: f64,
    instances: f64,
    lower_bound_traces_per_second: f64,
    group: Option<String>,
    level_traces_per_second: Option<f64>,
    names_return: f64,
    names_seen_once: Vec<String>,
    applies_strategy: Option<bool>,
    usual_polls_per_second: Option<f64>,
    released: f64,
    sources: Vec<SourceDocument>,
    tagged: Vec<TaggedDocument>,
    #[serde(flatten)]
    governed: GovernedDocument,
    /// Who last wrote its settings; null if it has none, or that is not known.
    origin: Option<Mark>,
    sparkline: Option<Sparkline>,
}

/// A service, and who polls for it.
#[derive(Serialize)]
struct OneService {
    #[serde(flatten)]
    service: ServiceDocument,
    /// Null if it is not known.
    pollers: Option<Vec<ClientDocument>>,
}

/// What counts a service's requests.
#[derive(Serialize)]
pub(super) struct SourceDocument {
    basis: &'static str,
    late_seconds: f64,
    left_out: bool,
}

/// What counts a service's requests, the best first.
pub(super) fn sources(plan: &Plan, service: &ServicePlan) -> Vec<SourceDocument> {
    let bases = Basis::ALL.into_iter().zip(service.bases);
    let heard = bases.filter_map(|(basis, until)| Some((basis, until?)));
    let heard = heard.map(|(basis, until)| SourceDocument {
        basis: basis_label(basis).value(),
        late_seconds: plan.window.end.0.saturating_sub(until.0).max(0) as f64 / 1000.0,
        left_out: service.leaves_out(basis),
    });
    heard.collect()
}

/// Lists services: those that are searched for, in the order that is asked for.
pub(super) async fn list(
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let sorted = Sorted::of(&wanted)?;
    if wanted.sparkline.is_some() {
        sorted.limited(SPARKLINES_MAX, "sparkline")?;
    }
    let beside = Beside::of(&admin).await;
    let wanted_group = wanted.group.clone();
    let snapshot = admin.served.snapshot();
    // A fleet may have many services, each with many operations.
    let listed = block(move || {
        let services = snapshot.services().filter(|(_, held)| {
            let group = group_of(snapshot.plan(), held);
            wanted_group
                .as_deref()
                .is_none_or(|of| group.unwrap_or(UNGROUPED) == of)
        });
        let services = services.map(|(name, held)| {
            let figures = Figures::of_service(&snapshot, held);
            (&**name, "", figures, ())
        });
        let page = sorted.page(services);
        let services = page.rows.iter();
        Services {
            plan: snapshot.plan().number,
            services: services
                .filter_map(|row| service(&snapshot, row.service, &beside))
                .collect(),
            found: page.found,
            sparklines: None,
            next: page.next,
        }
    });
    let mut listed = listed.await.map_err(|_| Problem::Internal)?;
    if let Some(length) = &wanted.sparkline {
        let names = listed.services.iter().map(|of| of.service.clone());
        let mut drawn = series::sparklines(&admin, length, names.collect()).await?;
        listed.sparklines = drawn.steps;
        for service in &mut listed.services {
            service.sparkline = drawn.of.remove(&service.service);
        }
    }
    Ok(Json(listed))
}

/// Shows one service.
pub(super) async fn one(name: Path<String>, admin: Data<Admin>) -> Result<impl Responder, Problem> {
    let beside = Beside::of(&admin).await;
    let found = service(&admin.served.snapshot(), &name, &beside);
    let service = found.ok_or_else(|| unknown_service(&name))?;
    let pollers = Polled::of_service(&admin, &name).await;
    Ok(Json(OneService { service, pollers }))
}

/// How often its SDKs ask while all agents are heard; none until enough windows have shown it.
fn usual_polls(service: &ServicePlan, window: Window) -> Option<f64> {
    let polls = service.polls;
    let learned = polls.windows >= Tuning::DEFAULT.trust.polls.least_windows;
    learned.then(|| f64::from(polls.usual) / window.seconds().max(0.001))
}

/// What an answer says of services that is not in the plan.
struct Beside {
    appliers: Appliers,
    origins: Origins,
}

impl Beside {
    async fn of(admin: &Admin) -> Self {
        Self {
            appliers: Appliers::of(admin).await,
            origins: origins::newest(admin).await.unwrap_or_default(),
        }
    }
}

/// The name of a service's group in the plan.
fn group_of<'p>(plan: &'p Plan, held: &ServiceSnapshot) -> Option<&'p str> {
    let place = plan.service(held.id)?.group?;
    plan.groups.get(place).map(|group| group.name.as_str())
}

fn service(snapshot: &Snapshot, name: &str, beside: &Beside) -> Option<ServiceDocument> {
    let held = snapshot.service(name)?;
    let plan = snapshot.plan();
    let planned = plan.service(held.id);
    let mut document = ServiceDocument {
        service: name.into(),
        operations: 0,
        offered_per_second: 0.0,
        share_traces_per_second: 0.0,
        observed_sampled_traces_per_second: None,
        part_of_budget: 0.0,
        traces_per_month: 0.0,
        missing_traces_per_second: 0.0,
        default_probability: snapshot.served_default(held.id),
        planned_default_probability: plan.default_probability(held.id),
        instances: held.instances,
        lower_bound_traces_per_second: snapshot.strategy(held).lower_bound,
        group: group_of(plan, held).map(str::to_owned),
        level_traces_per_second: finite(plan.level(held.id)),
        names_return: planned.map_or(1.0, |of| f64::from(of.names_return)),
        names_seen_once: Vec::new(),
        applies_strategy: None,
        usual_polls_per_second: planned.and_then(|of| usual_polls(of, plan.window)),
        released: planned.map_or(0.0, |of| f64::from(of.polls.released)),
        sources: planned.map_or_else(Vec::new, |of| sources(plan, of)),
        tagged: TaggedDocument::all(snapshot, name, held, &beside.appliers),
        governed: GovernedDocument::of(snapshot, name, held),
        origin: beside.origins.of(Kind::Services, name).cloned(),
        sparkline: None,
    };
    let mut applied = Applied::default();
    let mut once = Vec::new();
    for (name, place) in snapshot.places(held) {
        let operation = &plan.operations[place];
        if seen_once(operation) {
            once.push((Reverse(operation.operation), name));
        }
        applied.add(plan, place);
        document.operations += 1;
        document.offered_per_second += operation.offered;
        document.share_traces_per_second += operation.share;
    }
    let figures = Figures::of_service(snapshot, held);
    document.observed_sampled_traces_per_second = figures.observed;
    document.part_of_budget = part_of_budget(plan, figures.kept);
    document.traces_per_month = traces_per_month(figures.kept);
    document.missing_traces_per_second = figures.missing;
    // While Weir only observes, SDKs need not ask yet.
    let known = plan.sampled_known(held.id) && plan.serving() != Serving::Observe;
    document.applies_strategy = applied.verdict().filter(|_| known);
    once.sort_unstable();
    document.names_seen_once = examples(once.into_iter().map(|(_, name)| name));
    Some(document)
}

#[derive(Serialize)]
struct Operations<'a> {
    plan: u64,
    service: &'a str,
    default_probability: f64,
    operations: Vec<OperationDocument>,
    final_names: Option<Span>,
    next: Option<String>,
}

#[derive(Serialize)]
struct OperationDocument {
    operation: String,
    /// Null if it has no classes.
    class: Option<&'static str>,
    offered_per_second: f64,
    window_offered: u64,
    window_sampled: Option<u64>,
    /// What its SDKs are told now.
    probability: f64,
    /// What the plan decides: the same, unless operators keep or cut what is served.
    planned_probability: f64,
    share_traces_per_second: f64,
    listed: bool,
    binding: &'static str,
    reason: ReasonDocument,
    /// Null if the rules of the plan are not known.
    rules: Option<Vec<RuleOfOperation>>,
    final_names: Vec<FinalNameDocument>,
}

/// Lists a service's operations by name.
pub(super) async fn operations(
    service: Path<String>,
    page: Query<Page>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let limit = page.limit()?;
    let snapshot = admin.served.snapshot();
    let plan = snapshot.plan();
    let held = snapshot
        .service(&service)
        .ok_or_else(|| unknown_service(&service))?;
    let mut found: Vec<(&str, &OperationPlan)> = snapshot
        .operations(held)
        .filter(|(name, _)| page.begins_before(name))
        .collect();
    found.sort_unstable_by_key(|(name, _)| *name);
    let more = found.len() > limit;
    found.truncate(limit);
    let next = found
        .last()
        .filter(|_| more)
        .map(|(name, _)| (*name).to_owned());
    let named = Named::of(&admin, &snapshot, &service).await;
    let planned = PlannedRules::of(&admin, &snapshot).await;
    let documents = found.iter().map(|(name, operation)| {
        let rules = planned.as_ref();
        let rules = rules.map(|rules| rules.of_operation(&service, name, operation));
        operation_document(&snapshot, &named, rules, name, operation)
    });
    let document = Operations {
        plan: plan.number,
        service: &service,
        default_probability: snapshot.served_default(held.id),
        operations: documents.collect(),
        final_names: named.span(),
        next,
    };
    // The document borrows from the snapshot, so it is encoded here.
    let body = serde_json::to_vec(&document).map_err(|_| Problem::Internal)?;
    Ok(actix_web::HttpResponse::Ok()
        .content_type("application/json")
        .body(body))
}

fn operation_document(
    snapshot: &Snapshot,
    named: &Named<'_>,
    rules: Option<Vec<RuleOfOperation>>,
    name: &str,
    operation: &OperationPlan,
) -> OperationDocument {
    let plan = snapshot.plan();
    let (plain, class) = Class::of(name);
    let decided = RuleOfOperation::sentence(rules.as_deref().unwrap_or_default());
    let known = plan.sampled_known(operation.service);
    OperationDocument {
        operation: plain.into(),
        class: class.map(Class::name),
        offered_per_second: operation.offered,
        window_offered: operation.window_offered,
        window_sampled: known.then_some(operation.window_sampled),
        probability: snapshot.served(operation),
        planned_probability: operation.probability,
        share_traces_per_second: operation.share,
        listed: operation.is_listed(),
        binding: binding_label(operation.binding).value(),
        reason: ReasonDocument::of(plan, operation)
            .and(&decided)
            .and(&instead(
                plan,
                snapshot.served(operation),
                snapshot.cuts().factor(),
            ))
            .and(&named.said(name, snapshot, operation)),
        rules,
        final_names: named.under(name, operation),
    }
}

pub(super) fn unknown_service(name: &str) -> Problem {
    Problem::NotFound(format!("no service {name:?} is in the current plan"))
}
