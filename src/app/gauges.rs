//! Gauges that derive from state. They are set when somebody reads the metrics.
//!
//! Everything here is read from memory. A scrape never queries the database.

mod edges;

use std::cmp::Reverse;
use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};

use crate::allocation::{Figures, FleetPlan, GroupPlan, Plan};
use crate::clock::{Clock, FleetClock};
use crate::health::DatabaseState;
use crate::jobs::Leadership;
use crate::snapshot::{Served, Snapshot};
use crate::store::Store;
use crate::telemetry::metrics::{
    AgentStanding, BindingLabel, ConnectionState, HoldState, Label, Metrics, OTHER_SERVICES,
    ServingLabel,
};
use crate::view::agents::AgentFigures;
use crate::view::minted::minting;
use crate::view::not_applied::not_applying;
use crate::view::plan_summary::{binding_label, hold_label, serving_label};

/// Sets the gauges that derive from state.
pub(super) struct StateGauges {
    /// What is served.
    pub(super) served: Arc<Served>,
    /// The time all replicas agree on.
    pub(super) clock: Arc<FleetClock>,
    /// Whether this replica computes, and under which term.
    pub(super) leadership: Leadership,
    /// Whether the database answered when it was last asked, and is sound.
    pub(super) database: DatabaseState,
    /// The store whose connections are counted.
    pub(super) store: Arc<dyn Store>,
    /// A plan older than this is stale, in seconds.
    pub(super) stale_after_seconds: f64,
    /// The number of services with series of their own.
    pub(super) services: usize,
    /// The plan whose services the gauges show, and when it was published: after a restore, a
    /// number may be used again.
    pub(super) told: Option<(u64, Option<DateTime<Utc>>)>,
}

impl StateGauges {
    /// Sets the gauges to the current state.
    pub(super) fn set(&mut self, metrics: &Metrics) {
        let snapshot = self.served.snapshot();
        let age = snapshot.age_seconds(self.clock.now()).unwrap_or(0.0);
        metrics.plan_age.set(age);
        metrics.plan_stale.set(flag(age > self.stale_after_seconds));
        metrics.snapshot_bytes.set(self.served.bytes() as f64);
        tell_plan(metrics, snapshot.plan());
        tell_fleet(metrics, &snapshot.plan().fleet);
        tell_serving(metrics, &snapshot);
        tell_figures(metrics, &snapshot.plan().figures);
        edges::tell_tails(metrics, &snapshot);
        let told = Some((snapshot.plan().number, snapshot.published_at()));
        if self.told != told {
            self.told = told;
            tell_services(metrics, &snapshot, self.services);
            tell_bindings(metrics, snapshot.plan());
            tell_groups(metrics, snapshot.plan());
            tell_tagged(metrics, &snapshot);
            edges::tell_classes(metrics, &snapshot);
            tell_agents(metrics, snapshot.plan());
            let minting = minting(snapshot.plan()).len();
            metrics.services_minting_names.set(minting as f64);
            let not_applying = not_applying(snapshot.plan()).len();
            metrics.services_not_applying.set(not_applying as f64);
        }
        self.tell_process(metrics);
    }

    fn tell_process(&self, metrics: &Metrics) {
        let term = self.leadership.term();
        metrics.leader.set(flag(term.is_some()));
        metrics.leader_term.set(term.unwrap_or(0) as f64);
        let offset = self.clock.offset().num_milliseconds() as f64 / 1000.0;
        metrics.clock_offset.set(offset);
        let available = self.database.is_available();
        metrics.database_available.set(flag(available));
        let sound = self.database.unsound().is_none();
        metrics.database_sound.set(flag(sound));
        let pool = self.store.pool();
        let connections = |state, count| metrics.connections.of(state).set(f64::from(count));
        connections(ConnectionState::Idle, pool.idle);
        connections(ConnectionState::Used, pool.used);
        metrics.connections_max.set(f64::from(pool.most));
    }
}

fn flag(holds: bool) -> f64 {
    f64::from(u8::from(holds))
}

/// What is served of the plan.
fn tell_serving(metrics: &Metrics, snapshot: &Snapshot) {
    let plan = snapshot.plan();
    let factor = snapshot.cuts().factor();
    let serves = serving_label(plan.serving());
    for &label in ServingLabel::ALL {
        metrics.serving.of(label).set(flag(label == serves));
    }
    metrics.emergency_factor.set(factor);
    metrics.served_sampled.set(factor * plan.served_sampled());
}

fn tell_plan(metrics: &Metrics, plan: &Plan) {
    metrics.plan.set(plan.number as f64);
    metrics.plan_term.set(plan.term as f64);
    let revision = plan.configuration_revision as f64;
    metrics.plan_configuration_revision.set(revision);
    metrics.plan_services.set(plan.services.len() as f64);
    metrics.plan_operations.set(plan.operations.len() as f64);
    metrics.plan_agents.set(plan.agents.len() as f64);
    metrics.claims.set(plan.claims.len() as f64);
    metrics.polls_known.set(flag(plan.fleet.polled));
    metrics.windows_read.set(f64::from(plan.fleet.windows_read));
    let instances = plan.services.iter().map(|service| service.instances);
    metrics.plan_instances.set(instances.sum());
}

fn tell_figures(metrics: &Metrics, figures: &Figures) {
    metrics.due_sampled.set(figures.due_sampled);
    metrics.coverage.set(figures.coverage);
    metrics.fairness.set(figures.fairness);
    metrics.probabilities_changed_ratio.set(figures.changed);
}

fn tell_fleet(metrics: &Metrics, fleet: &FleetPlan) {
    metrics.budget.set(fleet.budget);
    metrics.offered.set(fleet.offered);
    metrics.expected_sampled.set(fleet.expected_sampled);
    metrics.observed_offered.set(fleet.observed_offered);
    metrics.observed_sampled.set(fleet.observed_sampled);
    metrics.tracking_error.set(fleet.tracking_error());
    metrics.level.set(fleet.level);
    metrics.completeness.set(fleet.completeness);
    metrics.trim.set(fleet.trim.factor);
    metrics.unseen_reserve.set(fleet.unseen_reserve);
    metrics.lower_bound.set(fleet.lower_bound);
    metrics.lower_bound_cost.set(fleet.lower_bound_cost);
    metrics.missing.set(fleet.missing);
    metrics.default_probability.set(fleet.default_probability);
    let held = hold_label(fleet.hold);
    for &state in HoldState::ALL {
        metrics.hold.of(state).set(flag(state == held));
    }
}

/// Counts the operations by what decides their share.
fn tell_bindings(metrics: &Metrics, plan: &Plan) {
    let mut bound = [0_u32; BindingLabel::ALL.len()];
    for operation in &plan.operations {
        bound[binding_label(operation.binding).place()] += 1;
    }
    for &label in BindingLabel::ALL {
        let count = f64::from(bound[label.place()]);
        metrics.operations.of(label).set(count);
    }
}

/// Counts the agents by how they stand.
fn tell_agents(metrics: &Metrics, plan: &Plan) {
    let figures = AgentFigures::of(plan);
    for &standing in AgentStanding::ALL {
        let count = figures.count(standing) as f64;
        metrics.agents.of(standing).set(count);
    }
    metrics.agents_late.set(figures.late_seconds);
    metrics
        .services_unheard
        .set(figures.services_unheard as f64);
    metrics
        .services_released
        .set(figures.services_released as f64);
}

/// Sets the series of all groups. A configuration has few.
fn tell_groups(metrics: &Metrics, plan: &Plan) {
    let grouped: f64 = plan.groups.iter().map(|group| group.sampled).sum();
    let ungrouped = (plan.fleet.expected_sampled - grouped).max(0.0);
    let told = [
        (
            &metrics.group_sampled,
            (|group| group.sampled) as fn(&GroupPlan) -> f64,
            ungrouped,
        ),
        (&metrics.group_floor, |group| group.whole.floor, 0.0),
        (
            &metrics.group_cap,
            |group| group.whole.cap,
            plan.fleet.budget,
        ),
        (&metrics.group_missing, |group| group.missing, 0.0),
    ];
    for (family, figure, none) in told {
        let groups = plan.groups.iter();
        family.set(
            groups.map(|group| (group.name.as_str(), figure(group))),
            none,
        );
    }
}

/// Sets the series of all rules for tagged requests that apply.
fn tell_tagged(metrics: &Metrics, snapshot: &Snapshot) {
    let seconds = snapshot.plan().window.seconds().max(0.001);
    let rules = snapshot.tagged().iter().filter(|rule| rule.active);
    let mut told: BTreeMap<&str, [f64; 3]> = rules.map(|of| (&*of.rule, [0.0; 3])).collect();
    let mut others = [0.0; 3];
    for (_, service) in snapshot.services() {
        for (rule, operation) in snapshot.tagged_operations(service) {
            let sampled = operation.window_sampled as f64 / seconds;
            let figures = [operation.offered, operation.share, sampled];
            let sums = told.get_mut(rule).unwrap_or(&mut others);
            for (sum, figure) in sums.iter_mut().zip(figures) {
                *sum += figure;
            }
        }
    }
    let families = [
        &metrics.tagged_offered,
        &metrics.tagged_share,
        &metrics.tagged_observed_sampled,
    ];
    for (place, family) in families.into_iter().enumerate() {
        let rules = told.iter().map(|(rule, sums)| (*rule, sums[place]));
        family.set(rules, others[place]);
    }
}

/// The figures of a service.
#[derive(Clone, Copy, Default)]
struct Spending {
    offered: f64,
    share: f64,
    /// None if nobody says it.
    observed_sampled: Option<f64>,
}

/// Sets the series of the services with the largest shares, and of all others together.
fn tell_services(metrics: &Metrics, snapshot: &Snapshot, most: usize) {
    let seconds = snapshot.plan().window.seconds().max(0.001);
    let mut others = Spending::default();
    let mut spending = Vec::new();
    for (name, service) in snapshot.services() {
        let known = snapshot.plan().sampled_known(service.id);
        let spends = Spending {
            offered: service.sums.offered,
            share: service.sums.share,
            observed_sampled: known.then(|| service.sums.sampled as f64 / seconds),
        };
        if &**name == OTHER_SERVICES {
            others = others.and(spends);
        } else {
            spending.push((&**name, spends));
        }
    }
    // Among equals the name decides, so that series do not come and go.
    spending.sort_unstable_by_key(|(name, spends)| (Reverse(ordered(spends.share)), *name));
    let rest = spending.split_off(spending.len().min(most));
    let others = rest
        .iter()
        .fold(others, |others, (_, spends)| others.and(*spends));
    let told = [
        (
            &metrics.service_offered,
            (|s| Some(s.offered)) as fn(Spending) -> Option<f64>,
        ),
        (&metrics.service_share, |s| Some(s.share)),
        (&metrics.service_observed_sampled, |s| s.observed_sampled),
    ];
    for (family, figure) in told {
        let services = spending
            .iter()
            .filter_map(|(name, spends)| Some((*name, figure(*spends)?)));
        family.set(services, figure(others).unwrap_or_default());
    }
}

impl Spending {
    fn and(self, other: Self) -> Self {
        Self {
            offered: self.offered + other.offered,
            share: self.share + other.share,
            // The sum of those that are known.
            observed_sampled: [self.observed_sampled, other.observed_sampled]
                .into_iter()
                .flatten()
                .reduce(|one, other| one + other),
        }
    }
}

/// Maps a rate to an integer with the same order. Rates are not negative.
fn ordered(rate: f64) -> u64 {
    rate.max(0.0).to_bits()
}
