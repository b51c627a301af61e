//! The operators' configuration: one versioned document, compiled into an `allocation::Policy` for each plan.

mod budget;
mod controls;
mod costing;
mod governed;
mod held;
mod listless;
mod measured;
mod objects;
mod origins;
mod overrides;
mod part;
mod resolve;
mod rules;
mod timers;
mod upgrade;

use std::collections::BTreeMap;

use chrono::{DateTime, SubsecRound, Utc};
use serde::de::IgnoredAny;
use serde::{Deserialize, Serialize};

pub use budget::{Budget, Cost, MONTH_SECONDS};
pub use controls::{EMERGENCY_LASTS, Emergency, FREEZE_LASTS, Freeze, Mode, emergency_of};
pub use costing::{CostSource, Costing, Known};
pub use governed::{
    ClassSettings, ClassesSettings, Governance, Governed, GovernedService, SLOW_MS,
};
pub use listless::Listless;
pub use measured::{CostMeter, Mean, MeasuredCost};
pub use objects::{Kind, Object, SETTINGS};
pub use origins::{Mark, Origins, Overlap, Overwrite, Overwrote, Writer};
pub use overrides::{
    BoundsSettings, GROUPS_MAX, GroupSettings, OPERATIONS_MAX, SERVICES_MAX, ServiceSettings,
};
pub use part::{OWNS_MAX, Outline, Owns, PARTS_MAX, Part};
pub use rules::{
    Effect as RuleEffect, Expect, Expiry, Field, Layers, MatchCache, Matched, Matches, PATTERN_MAX,
    PIN_LASTS, Pattern, PatternError, RULE_NAME_MAX, RULES_MAX, Rule, RuleChanges, RuleState,
    TAGGED_RULES_MAX, TaggedRule, TaggedRules, Taken, is_name, rule_of_tagged, tagged_operation,
};
pub use timers::{ByItself, Timed, Timers};

use crate::allocation::{Policy, Timestamp};
use crate::names::Names;
use crate::store::{ConfigurationRevision, Revisions};

/// The document as it is stored. Every field has a default, so that older documents stay readable.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct Configuration {
    /// The budget of the whole fleet.
    pub budget: Budget,
    /// What a trace costs. Left out if nothing is said: the release before does not know it.
    #[serde(skip_serializing_if = "Cost::is_empty")]
    pub cost: Cost,
    /// What is done with plans. Left out if they are served, likewise.
    #[serde(skip_serializing_if = "Mode::is_default")]
    pub mode: Mode,
    /// What is served stays as it is. Left out if it does not.
    #[serde(
        deserialize_with = "overrides::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub freeze: Option<Freeze>,
    /// Everything that is served is cut. Left out if it is not.
    #[serde(
        deserialize_with = "overrides::given",
        skip_serializing_if = "Option::is_none"
    )]
    pub emergency: Option<Emergency>,
    /// A floor for every operation, however small it is.
    pub coverage: Coverage,
    /// The part of the budget for traces that SDKs keep on their own.
    pub lower_bound: LowerBound,
    /// The probability that is served until a plan has been computed.
    ///
    /// # Source
    /// Jaeger's adaptive sampling starts from 0.001.
    pub initial_probability: f64,
    /// The largest part of the budget that may be reserved for operations not seen yet, in [0, 1].
    pub unseen_reserve_max: f64,
    /// The exponent of `offered` in an operation's weight, in [0, 1].
    pub weight_exponent: f64,
    /// The lowest probability that an operation is served, unless its cap is lower.
    pub probability_min: f64,
    /// Who decides about the traces of services that do not say it. Left out if that is their samplers: the release
    /// before does not know edges.
    #[serde(skip_serializing_if = "Governed::is_default")]
    pub governed: Governed,
    /// A trace that takes longer is slow, in milliseconds, for services that do not say it. Left out likewise.
    #[serde(skip_serializing_if = "is_usual_slow")]
    pub slow_ms: u32,
    /// What the classes of tail-governed services get. Left out likewise.
    #[serde(skip_serializing_if = "ClassesSettings::is_empty")]
    pub classes: ClassesSettings,
    /// Groups of services with a common floor and cap, by name.
    #[serde(deserialize_with = "overrides::distinct")]
    pub groups: BTreeMap<String, GroupSettings>,
    /// Settings of services and their operations, by the service's name.
    #[serde(deserialize_with = "overrides::distinct")]
    pub services: BTreeMap<String, ServiceSettings>,
    /// Rules, by name. Left out if there are none: the release before does not know them.
    #[serde(
        deserialize_with = "overrides::distinct",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub rules: BTreeMap<String, Rule>,
    /// What an answer warned of. It is ignored, so that an answer can be put back as it came.
    #[serde(skip_serializing)]
    pub warnings: IgnoredAny,
    /// Who last wrote what, as an answer says it. Ignored, likewise.
    #[serde(skip_serializing)]
    pub origins: IgnoredAny,
    /// The part that a file owns: [`Part`]. It is no part of what is stored.
    #[serde(skip_serializing)]
    pub owns: IgnoredAny,
}

/// A floor for every operation, stated by its purpose: at least one trace within a time, with a
/// probability.
#[derive(Debug, Clone, Copy, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Coverage {
    /// The probability of at least one trace; 0 turns the floor off.
    pub probability: f64,
    /// The time, in seconds; five minutes by default.
    #[serde(default = "Coverage::default_within_seconds")]
    pub within_seconds: f64,
}

impl Coverage {
    /// The highest probability that can be asked for. Certainty would cost everything.
    pub const PROBABILITY_MAX: f64 = 0.9999;

    /// The longest time: a day. More means nothing to an operator.
    pub const WITHIN_SECONDS_MAX: f64 = 86_400.0;

    /// Five minutes: the range of most dashboards and alerts.
    fn default_within_seconds() -> f64 {
        300.0
    }

    /// The share that every operation needs for this, in traces per second.
    ///
    /// # Source
    /// Sampled traces are a Poisson process with the share f as its rate. So none comes within W
    /// with probability e^(-f·W), and f = ln(1/(1 - P))/W.
    #[must_use]
    pub fn floor(&self) -> f64 {
        -(-self.probability).ln_1p() / self.within_seconds
    }

    fn check(&self) -> Result<(), ConfigurationError> {
        within(
            "coverage.probability",
            self.probability,
            Self::PROBABILITY_MAX,
        )?;
        if (1.0..=Self::WITHIN_SECONDS_MAX).contains(&self.within_seconds) {
            return Ok(());
        }
        Err(ConfigurationError::new(
            "coverage.within_seconds".into(),
            format!("must be between 1 and {}", Self::WITHIN_SECONDS_MAX),
        ))
    }
}

/// The part of the budget that is reserved for traces that SDKs keep on their own, whatever their
/// probabilities: every SDK instance keeps a fixed rate of every operation.
#[derive(Debug, Clone, Copy, Default, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct LowerBound {
    /// In traces per second; 0 serves no lower bound.
    pub reserve_traces_per_second: f64,
}

/// What is wrong with a configuration.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{field} {problem}")]
pub struct ConfigurationError {
    /// The field, as a path in the document.
    pub field: String,
    /// What is wrong, in words that follow the field's name.
    pub problem: String,
}

impl ConfigurationError {
    fn new(field: String, problem: String) -> Self {
        Self { field, problem }
    }
}

impl Default for Configuration {
    fn default() -> Self {
        Self {
            budget: Budget::TracesPerSecond(Self::INITIAL_BUDGET),
            cost: Cost::default(),
            mode: Mode::default(),
            freeze: None,
            emergency: None,
            coverage: Coverage {
                probability: 0.0,
                within_seconds: Coverage::default_within_seconds(),
            },
            lower_bound: LowerBound::default(),
            initial_probability: 0.001,
            unseen_reserve_max: 0.05,
            weight_exponent: 0.0,
            probability_min: 0.0,
            governed: Governed::Head,
            slow_ms: SLOW_MS,
            classes: ClassesSettings::default(),
            groups: BTreeMap::new(),
            services: BTreeMap::new(),
            rules: BTreeMap::new(),
            warnings: IgnoredAny,
            origins: IgnoredAny,
            owns: IgnoredAny,
        }
    }
}

impl Configuration {
    /// The budget of a new Weir, in traces per second: enough to see something of every service of
    /// a medium-sized fleet, and so little that it costs nobody anything.
    pub const INITIAL_BUDGET: f64 = 10.0;

    /// The largest budget accepted, in traces per second. A larger one is taken for a mistake.
    pub const BUDGET_MAX: f64 = 1e9;

    /// The largest document, in bytes. The most services and operations allowed fit in, with the
    /// longest names, every character escaped, and every bound: 58 MiB. The most rules take 8 MB, if they are
    /// as long as usual.
    pub const BYTES_MAX: usize = 64 << 20;

    /// How many revisions are stored: years for most fleets, and four documents of the largest
    /// size.
    pub const REVISIONS: Revisions = Revisions {
        most: 10_000,
        bytes: 4 * Self::BYTES_MAX as u64,
    };

    /// Reads a stored revision.
    ///
    /// # Errors
    /// Names the first field that cannot be read. A document is checked before it is written, so a
    /// newer Weir wrote this one.
    pub fn read(revision: &ConfigurationRevision) -> Result<Self, String> {
        let mut reader = serde_json::Deserializer::from_str(&revision.document);
        let read: Self = serde_path_to_error::deserialize(&mut reader)
            .map_err(|error| format!("at {}: {}", error.path(), error.inner()))?;
        read.check().map_err(|error| error.to_string())?;
        Ok(read)
    }

    /// The document to store.
    #[must_use]
    pub fn document(&self) -> String {
        serde_json::to_string(self).expect("numbers and names serialise")
    }

    /// Checks every name, the range of every number, and how many there are.
    ///
    /// # Errors
    /// Names the first wrong field, as a path in the document.
    pub fn check(&self) -> Result<(), ConfigurationError> {
        self.cost.check("cost")?;
        self.budget.check(&self.cost)?;
        self.check_controls()?;
        self.coverage.check()?;
        within(
            "lower_bound.reserve_traces_per_second",
            self.lower_bound.reserve_traces_per_second,
            Self::BUDGET_MAX,
        )?;
        within("initial_probability", self.initial_probability, 1.0)?;
        within("unseen_reserve_max", self.unseen_reserve_max, 1.0)?;
        within("weight_exponent", self.weight_exponent, 1.0)?;
        within("probability_min", self.probability_min, 1.0)?;
        governed::check_slow("slow_ms", self.slow_ms)?;
        self.classes.check("classes")?;
        overrides::check(self)?;
        rules::check(&self.rules)
    }

    /// Fills in what Weir sets itself: when a rule, a freeze or an emergency was written, and when it runs out if that
    /// was not said. What `held` has like this stays as it is there.
    pub fn complete(&mut self, held: &Self, now: DateTime<Utc>) {
        let now = now.trunc_subsecs(3);
        rules::complete(&mut self.rules, &held.rules, now);
        self.complete_controls(held, now);
    }

    /// Compiles it for the allocation, with the numbers that its names have now.
    ///
    /// A service or operation that has not been reported yet has no number and is skipped. Its
    /// settings apply from the first plan that contains it. Each name in the document takes one
    /// look-up. The rules that are active at the given time apply.
    #[must_use]
    pub fn policy(&self, revision: u64, names: &Names, at: Timestamp) -> Policy {
        let matches = Matches::of(&self.rules, names);
        self.policy_with(&matches, revision, names, at, Known::default())
    }

    /// The same, with what its rules match and what else is known, for the plan that follows another one.
    #[must_use]
    pub fn policy_with(
        &self,
        matches: &Matches,
        revision: u64,
        names: &Names,
        at: Timestamp,
        known: Known<'_>,
    ) -> Policy {
        let cost = self.costing(revision, names, known).per_trace;
        let mut policy = Policy {
            revision,
            serving: self.serving(at),
            cost_per_trace: match self.budget {
                Budget::TracesPerSecond(_) => 0.0,
                Budget::SpansPerSecond(_) | Budget::GigabytesPerMonth(_) => cost,
            },
            weight_exponent: self.weight_exponent,
            initial_probability: self.initial_probability,
            unseen_reserve_max: self.unseen_reserve_max,
            floor: self.coverage.floor(),
            lower_bound_reserve: self.lower_bound.reserve_traces_per_second,
            probability_min: self.probability_min,
            groups: self.policy_groups(),
            ..Policy::of_budget(self.budget_in_traces(cost))
        };
        self.resolve(names, matches, at, &mut policy);
        self.resolve_classes(names, matches, at, &mut policy);
        policy
    }
}

#[expect(clippy::trivially_copy_pass_by_ref, reason = "serde passes references")]
fn is_usual_slow(slow_ms: &u32) -> bool {
    *slow_ms == SLOW_MS
}

fn within(field: &str, value: f64, most: f64) -> Result<(), ConfigurationError> {
    if (0.0..=most).contains(&value) {
        return Ok(());
    }
    Err(ConfigurationError::new(
        field.into(),
        format!("must be between 0 and {most}"),
    ))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn revision(document: &str) -> ConfigurationRevision {
        ConfigurationRevision {
            revision: 1,
            document: document.into(),
            written_at: chrono::DateTime::UNIX_EPOCH,
            written_by: None,
        }
    }

    #[test]
    fn what_is_written_reads_back() {
        let mut written = Configuration {
            budget: Budget::TracesPerSecond(12.5),
            ..Configuration::default()
        };
        let group = GroupSettings {
            cap_traces_per_second: Some(3.0),
            ..GroupSettings::default()
        };
        written.groups.insert("batch".into(), group);
        let bounds = BoundsSettings {
            weight: Some(2.0),
            priority: Some(9),
            ..BoundsSettings::default()
        };
        let service = ServiceSettings {
            group: Some("batch".into()),
            operations: [("POST /cart".into(), bounds)].into(),
            ..ServiceSettings::default()
        };
        written.services.insert("checkout".into(), service);
        assert_eq!(
            Configuration::read(&revision(&written.document())),
            Ok(written)
        );
    }

    #[test]
    fn an_older_document_takes_the_defaults() {
        let read = Configuration::read(&revision(r#"{"budget":{"traces_per_second":3}}"#));
        let read = read.unwrap();
        assert_eq!(read.initial_probability, 0.001);
        assert_eq!(read.lower_bound.reserve_traces_per_second, 0.0);
    }

    #[test]
    fn coverage_is_a_floor() {
        let coverage = |probability| Coverage {
            probability,
            within_seconds: 300.0,
        };
        assert_eq!(coverage(0.0).floor(), 0.0);
        // 95 % within five minutes: about one trace in a hundred seconds.
        assert!((coverage(0.95).floor() - 0.009_986).abs() < 1e-6);
        assert!(coverage(1.0).check().is_err());
        assert!(coverage(f64::NAN).check().is_err());
    }

    #[test]
    fn a_figure_out_of_range_is_named() {
        let read = Configuration::read(&revision(r#"{"budget":{"traces_per_second":-3}}"#));
        assert_eq!(
            read,
            Err("budget.traces_per_second must be between 0 and 1000000000".into())
        );
        let document = r#"{"lower_bound":{"reserve_traces_per_second":2e9}}"#;
        assert_eq!(
            Configuration::read(&revision(document)),
            Err("lower_bound.reserve_traces_per_second must be between 0 and 1000000000".into())
        );
    }
}
