//! A plan's figures for the whole fleet, as a document for people and dashboards.

use chrono::{DateTime, Utc};
use serde::Serialize;

use super::agents::AgentFigures;
use crate::allocation::{Binding, GroupPlan, Hold, Plan, Serving, Window};
use crate::clock::date;
use crate::telemetry::metrics::{AgentStanding, BindingLabel, HoldState, Label, ServingLabel};

/// Stored beside a plan, and returned by the admin API.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct PlanSummary {
    /// The plan's number.
    pub plan: u64,
    /// The term of the leader that computed it.
    pub term: u64,
    /// The configuration revision it was computed from.
    pub configuration_revision: u64,
    /// The window that it was computed from.
    pub window: WindowDocument,
    /// What is served: what the plan decides, or something else.
    #[serde(flatten)]
    pub serving: ServingDocument,
    /// The sampled rate that is expected by what is served.
    pub served_sampled_traces_per_second: f64,
    /// The wanted sampled rate.
    pub budget_traces_per_second: f64,
    /// The estimated offered rate.
    pub offered_per_second: f64,
    /// The sampled rate the plan expects.
    pub expected_sampled_traces_per_second: f64,
    /// The offered rate in the window, as reported.
    pub observed_offered_per_second: f64,
    /// The sampled rate in the window, as reported. Where nobody says it, what was due.
    pub observed_sampled_traces_per_second: f64,
    /// The water level; none if the budget does not bind.
    pub level_traces_per_second: Option<f64>,
    /// The part of the fleet's usual traffic whose agents are not missing.
    pub completeness: f64,
    /// The part of the window, by usual traffic, that was in.
    pub window_covered: f64,
    /// How many windows the plan was made from.
    pub windows_read: u32,
    /// How late counts usually are, in the mean over the traffic.
    pub agents_late_seconds: f64,
    /// The agents that are later than usual.
    pub agents_missing: usize,
    /// The services of which agents are missing.
    pub services_unheard: usize,
    /// The services of whose missing agents a part is no longer expected, because their SDKs have stopped asking.
    pub services_released: usize,
    /// The counts that are held apart.
    pub claims: usize,
    /// Whether probabilities were held for want of counts.
    pub hold: &'static str,
    /// The factor on the budget before it was shared.
    pub trim: f64,
    /// Traces/s reserved for operations not seen yet.
    pub unseen_reserve_traces_per_second: f64,
    /// The traces/s that every SDK instance samples of each operation at least, where a lower bound
    /// is served.
    pub lower_bound_traces_per_second: f64,
    /// The most that the lower bound is expected to add.
    pub lower_bound_cost_traces_per_second: f64,
    /// The probability for services without reports.
    pub default_probability: f64,
    /// By how much floors and pins exceed the budget.
    pub missing_traces_per_second: f64,
    /// By which part more was sampled than wanted.
    pub tracking_error: f64,
    /// The sampled rate of the window if every SDK had applied what it was served.
    pub due_sampled_traces_per_second: f64,
    /// The part of the operations that is expected to show a trace within five minutes.
    pub coverage: f64,
    /// Jain's index of the operations' shares.
    pub fairness: f64,
    /// The part of the probabilities that moved by more than 1 %.
    pub probabilities_changed: f64,
    /// The number of services.
    pub services: usize,
    /// The number of operations.
    pub operations: usize,
    /// The groups in the configuration, by name.
    pub groups: Vec<GroupDocument>,
}

/// The figures of a group of services.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct GroupDocument {
    /// Its name.
    pub group: String,
    /// Its floor; 0 if it has none.
    pub floor_traces_per_second: f64,
    /// Its cap; none if it has none.
    pub cap_traces_per_second: Option<f64>,
    /// The estimated offered rate.
    pub offered_per_second: f64,
    /// The sampled rate the plan expects.
    pub expected_sampled_traces_per_second: f64,
    /// The level at which its operations share; none if nothing binds them.
    pub level_traces_per_second: Option<f64>,
    /// By how much the floors inside it exceed its cap.
    pub missing_traces_per_second: f64,
}

impl From<&GroupPlan> for GroupDocument {
    fn from(plan: &GroupPlan) -> Self {
        Self {
            group: plan.name.as_str().to_owned(),
            floor_traces_per_second: plan.whole.floor,
            cap_traces_per_second: finite(plan.whole.cap),
            offered_per_second: plan.offered,
            expected_sampled_traces_per_second: plan.sampled,
            level_traces_per_second: finite(plan.level),
            missing_traces_per_second: plan.missing,
        }
    }
}

/// A figure that is infinite if nothing binds; JSON has no such number.
#[must_use]
pub fn finite(figure: f64) -> Option<f64> {
    figure.is_finite().then_some(figure)
}

/// A window as dates.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
pub struct WindowDocument {
    /// The first instant inside.
    pub start: DateTime<Utc>,
    /// The first instant after.
    pub end: DateTime<Utc>,
}

impl From<Window> for WindowDocument {
    fn from(window: Window) -> Self {
        Self {
            start: date(window.start),
            end: date(window.end),
        }
    }
}

impl From<&Plan> for PlanSummary {
    fn from(plan: &Plan) -> Self {
        let fleet = &plan.fleet;
        let agents = AgentFigures::of(plan);
        Self {
            plan: plan.number,
            term: plan.term,
            configuration_revision: plan.configuration_revision,
            window: plan.window.into(),
            serving: serving(plan),
            served_sampled_traces_per_second: plan.served_sampled(),
            budget_traces_per_second: fleet.budget,
            offered_per_second: fleet.offered,
            expected_sampled_traces_per_second: fleet.expected_sampled,
            observed_offered_per_second: fleet.observed_offered,
            observed_sampled_traces_per_second: fleet.observed_sampled,
            level_traces_per_second: finite(fleet.level),
            completeness: fleet.completeness,
            window_covered: fleet.covered,
            windows_read: fleet.windows_read,
            agents_late_seconds: agents.late_seconds,
            agents_missing: agents.count(AgentStanding::Missing),
            services_unheard: agents.services_unheard,
            services_released: agents.services_released,
            claims: plan.claims.len(),
            hold: hold_label(fleet.hold).value(),
            trim: fleet.trim.factor,
            unseen_reserve_traces_per_second: fleet.unseen_reserve,
            lower_bound_traces_per_second: fleet.lower_bound,
            lower_bound_cost_traces_per_second: fleet.lower_bound_cost,
            default_probability: fleet.default_probability,
            missing_traces_per_second: fleet.missing,
            tracking_error: fleet.tracking_error(),
            due_sampled_traces_per_second: plan.figures.due_sampled,
            coverage: plan.figures.coverage,
            fairness: plan.figures.fairness,
            probabilities_changed: plan.figures.changed,
            services: plan.services.len(),
            operations: plan.operations.len(),
            groups: plan.groups.iter().map(GroupDocument::from).collect(),
        }
    }
}

/// What is served of a plan.
#[derive(Debug, Clone, Copy, PartialEq, Serialize)]
pub struct ServingDocument {
    /// The plan, what was served before a freeze, or the initial probability.
    pub serving: &'static str,
    /// Since when it is not the plan.
    pub serving_since: Option<DateTime<Utc>>,
}

/// What is served of a plan.
#[must_use]
pub fn serving(plan: &Plan) -> ServingDocument {
    ServingDocument {
        serving: serving_label(plan.serving()).value(),
        serving_since: plan.steered.as_ref().map(|steered| date(steered.since)),
    }
}

/// The name of what is served in the API, in logs and in metrics.
#[must_use]
pub fn serving_label(serving: Serving) -> ServingLabel {
    match serving {
        Serving::Plan => ServingLabel::Plan,
        Serving::Freeze => ServingLabel::Freeze,
        Serving::Observe => ServingLabel::Observe,
    }
}

/// A hold's name in the API, in logs and in metrics.
#[must_use]
pub fn hold_label(hold: Hold) -> HoldState {
    match hold {
        Hold::None => HoldState::None,
        Hold::CutsOnly => HoldState::CutsOnly,
        Hold::Frozen => HoldState::Frozen,
    }
}

/// A binding's name in the API, in logs and in metrics.
#[must_use]
pub fn binding_label(binding: Binding) -> BindingLabel {
    match binding {
        Binding::Level => BindingLabel::Level,
        Binding::Floor => BindingLabel::Floor,
        Binding::Cap => BindingLabel::Cap,
        Binding::Pin => BindingLabel::Pin,
        Binding::ProbabilityOne => BindingLabel::ProbabilityOne,
        Binding::RaiseLimit => BindingLabel::RaiseLimit,
        Binding::Deadband => BindingLabel::Deadband,
        Binding::Hold => BindingLabel::Hold,
        Binding::Peak => BindingLabel::Peak,
    }
}
