//! Which rules an operation has in the served plan, and which of them decided its probability.

use std::sync::Arc;

use actix_web::web::block;
use serde::Serialize;

use crate::allocation::{Binding, Class, OperationPlan, Plan, Policy, Source, Timestamp};
use crate::api::admin::{Admin, origins};
use crate::configuration::{
    Configuration, Field, Kind, Known, Mark, Matches, Origins, RuleState, Taken,
};
use crate::names::Names;
use crate::snapshot::Snapshot;
use crate::store::StoreError;

/// Two numbers this close are the same: a plan stores them in single precision.
const ROUNDING: f64 = 1e-5;

/// The rules that the served plan was made with.
pub(in crate::api::admin) struct PlannedRules {
    configuration: Configuration,
    matches: Arc<Matches>,
    origins: Origins,
    at: Timestamp,
}

/// A rule of an operation.
#[derive(Serialize)]
pub(in crate::api::admin) struct RuleOfOperation {
    id: String,
    state: RuleState,
    decides: Vec<Field>,
    binds: bool,
    /// Who last wrote it; null if that is not known.
    origin: Option<Mark>,
    #[serde(skip)]
    sentence: String,
}

impl RuleOfOperation {
    /// What the rule that binds adds to the explanation.
    pub(in crate::api::admin) fn sentence(of: &[Self]) -> Vec<String> {
        let binding = of.iter().filter(|rule| rule.binds);
        binding.map(|rule| rule.sentence.clone()).collect()
    }
}

impl PlannedRules {
    /// Reads them; none if the database does not answer in time, or does not have this revision any more.
    pub(in crate::api::admin) async fn of(admin: &Admin, snapshot: &Snapshot) -> Option<Self> {
        let plan = snapshot.plan();
        let number = plan.configuration_revision;
        let read = async {
            let revision = admin.store.configuration_revision(number).await?;
            Ok::<_, StoreError>((revision, origins::of(admin, number).await?.known))
        };
        let (revision, origins) = admin.patience.wait(read).await?.ok()?;
        let revision = revision?;
        let at = plan.window.end;
        let admin = admin.clone();
        // Not one at a time, as previews are: reading operations must not wait for one of a large fleet.
        let planned = block(move || {
            let configuration = Configuration::read(&revision).ok()?;
            let matches = admin.matches.of(&configuration, &admin.dictionary.names());
            Some(Self {
                configuration,
                matches,
                origins,
                at,
            })
        });
        planned.await.ok()?
    }

    /// The policy that the plan was made with, with the numbers that names have now.
    pub(in crate::api::admin) fn policy(&self, plan: &Plan, names: &Names) -> Policy {
        let revision = plan.configuration_revision;
        // A trace costs what the plan took it for.
        let known = Known {
            before: Some(plan),
            ..Known::default()
        };
        self.configuration
            .policy_with(&self.matches, revision, names, self.at, known)
    }

    /// Who last wrote the settings of a service, if it has some and that is known.
    pub(in crate::api::admin) fn origin(&self, service: &str) -> Option<&Mark> {
        let is_set = self.configuration.services.contains_key(service);
        self.origins.of(Kind::Services, service).filter(|_| is_set)
    }

    /// The rules of an operation, the one with the highest precedence first.
    pub(in crate::api::admin) fn of_operation(
        &self,
        service: &str,
        name: &str,
        operation: &OperationPlan,
    ) -> Vec<RuleOfOperation> {
        let base = self.configuration.settings_of(service, Class::of(name).0);
        let numbers = (operation.service, operation.operation);
        let explained = self.matches.explained(numbers, base, self.at);
        let binding = explained.iter().position(|rule| binds(rule, operation));
        let shown = explained
            .iter()
            .enumerate()
            .map(|(place, taken)| RuleOfOperation {
                id: taken.name.to_owned(),
                state: taken.rule.state(self.at),
                decides: taken.fields.clone(),
                binds: binding == Some(place),
                origin: self.origins.of(Kind::Rules, taken.name).cloned(),
                sentence: sentence(taken),
            });
        shown.collect()
    }
}

fn sentence(taken: &Taken<'_>) -> String {
    let until = match taken.rule.expires {
        Some(expires) => format!(" until {expires}"),
        None => String::new(),
    };
    let until = until.replace("until never", "with no end");
    let Taken { name, rule, .. } = taken;
    format!(
        "The rule {name:?} of {} decides this{until}: {}",
        rule.owner, rule.reason
    )
}

/// Whether a rule set what decided the probability.
fn binds(taken: &Taken<'_>, operation: &OperationPlan) -> bool {
    let reason = &operation.reason;
    let set = taken.rule.settings();
    let decided = |field| taken.fields.contains(&field);
    let bound = |value: Option<f64>| {
        let bound = f64::from(reason.bound);
        value.is_some_and(|value| (value - bound).abs() <= ROUNDING * bound.max(value))
    };
    let own = !matches!(reason.source, Source::Fleet | Source::Group);
    match operation.binding {
        Binding::Pin => decided(Field::Probability),
        Binding::Cap if own => {
            let is_probability = bound(set.probability_max);
            decided(Field::ProbabilityMax) && is_probability
                || decided(Field::CapTracesPerSecond) && !is_probability
        }
        Binding::Floor if own => {
            let is_rate = bound(set.floor_traces_per_second);
            decided(Field::FloorTracesPerSecond) && is_rate
                || decided(Field::ProbabilityMin) && !is_rate
        }
        Binding::Level => decided(Field::Weight),
        Binding::ProbabilityOne => taken.rule.is_tagged() && decided(Field::ProbabilityMin),
        _ => false,
    }
}
