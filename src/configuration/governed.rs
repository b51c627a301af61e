//! Where traces are decided about: by samplers when they begin (head), or by edges when they have ended (tail), and what
//! the classes of a tail-governed service get. docs/edge.md says what follows from it.

use std::collections::{BTreeMap, HashMap};

use serde::{Deserialize, Serialize};

use super::held::HeldOperations;
use super::overrides::{check_weight, check_whole, given};
use super::rules::Matches;
use super::{BoundsSettings, Configuration, ConfigurationError, TaggedRules, within};
use crate::allocation::{
    Bounds, Class, ClassEntry, OVERFLOW_NAME, OperationId, Policy, ServiceId, SharedBounds,
    Timestamp, Tuning, Whole,
};
use crate::names::Names;

/// The longest threshold for slow traces: an hour.
const SLOW_MS_MAX: u32 = 3_600_000;

/// A trace that takes longer is slow, unless somebody says otherwise.
pub const SLOW_MS: u32 = 500;

/// Who decides about the traces of a service.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Default, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Governed {
    /// Its samplers, when a trace begins.
    #[default]
    Head,
    /// Edges, when a trace has ended.
    Tail,
}

impl Governed {
    /// As documents and metrics say it.
    #[must_use]
    pub fn name(self) -> &'static str {
        match self {
            Self::Head => "head",
            Self::Tail => "tail",
        }
    }

    pub(super) fn is_default(&self) -> bool {
        *self == Self::default()
    }
}

/// What a class gets.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassSettings {
    /// Its weight when the budget is shared. It multiplies that of the operation.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The least traces per second of all operations of a service together, if they have as many.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub floor_traces_per_second: Option<f64>,
    /// The most traces per second of all operations of a service together.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub cap_traces_per_second: Option<f64>,
    /// The lowest probability, under the cap.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub probability_min: Option<f64>,
}

/// What each class gets.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ClassesSettings {
    /// Traces with a span that has failed.
    #[serde(skip_serializing_if = "ClassSettings::is_empty")]
    pub error: ClassSettings,
    /// Traces that took longer than `slow_ms`.
    #[serde(skip_serializing_if = "ClassSettings::is_empty")]
    pub slow: ClassSettings,
    /// Traces of tagged requests.
    #[serde(skip_serializing_if = "ClassSettings::is_empty")]
    pub tagged: ClassSettings,
    /// All others.
    #[serde(skip_serializing_if = "ClassSettings::is_empty")]
    pub rest: ClassSettings,
}

impl ClassSettings {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// What it says, and where it says nothing, what the others do.
    fn or(&self, other: &Self) -> Self {
        let cap = self.cap_traces_per_second;
        let floor = self.floor_traces_per_second;
        let under = |floor: Option<f64>, cap: Option<f64>| match (floor, cap) {
            (Some(floor), Some(cap)) => floor <= cap,
            _ => true,
        };
        // As with rules: one that contradicts what comes first is ignored.
        let others_cap = other
            .cap_traces_per_second
            .filter(|cap| under(floor, Some(*cap)));
        let others_floor = other.floor_traces_per_second;
        let others_floor = others_floor.filter(|floor| under(Some(*floor), cap));
        Self {
            weight: self.weight.or(other.weight),
            floor_traces_per_second: floor.or(others_floor),
            cap_traces_per_second: cap.or(others_cap),
            probability_min: self.probability_min.or(other.probability_min),
        }
    }

    fn check(&self, at: &str) -> Result<(), ConfigurationError> {
        check_weight(at, self.weight)?;
        check_whole(at, self.floor_traces_per_second, self.cap_traces_per_second)?;
        match self.probability_min {
            Some(least) => within(&format!("{at}.probability_min"), least, 1.0),
            None => Ok(()),
        }
    }
}

impl ClassesSettings {
    pub(super) fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Those of a class.
    #[must_use]
    pub fn of(&self, class: Class) -> &ClassSettings {
        match class {
            Class::Error => &self.error,
            Class::Slow => &self.slow,
            Class::Tagged => &self.tagged,
            Class::Rest => &self.rest,
        }
    }

    fn or(&self, other: &Self) -> Self {
        Self {
            error: self.error.or(&other.error),
            slow: self.slow.or(&other.slow),
            tagged: self.tagged.or(&other.tagged),
            rest: self.rest.or(&other.rest),
        }
    }

    pub(super) fn check(&self, at: &str) -> Result<(), ConfigurationError> {
        for class in Class::ALL {
            self.of(class).check(&format!("{at}.{class}"))?;
        }
        if self.tagged.cap_traces_per_second.is_some() {
            let problem = "is not set here: each rule for tagged requests has its own cap";
            return Err(ConfigurationError::new(
                format!("{at}.tagged.cap_traces_per_second"),
                problem.into(),
            ));
        }
        Ok(())
    }

    /// What applies where nobody says anything.
    fn by_default(budget: f64) -> Self {
        let of = |class: Class| {
            let of = class.by_default(budget);
            ClassSettings {
                weight: Some(of.weight),
                floor_traces_per_second: None,
                cap_traces_per_second: of.cap.is_finite().then_some(of.cap),
                probability_min: (of.probability_min > 0.0).then_some(of.probability_min),
            }
        };
        Self {
            error: of(Class::Error),
            slow: of(Class::Slow),
            tagged: of(Class::Tagged),
            rest: of(Class::Rest),
        }
    }
}

/// Checks `slow_ms`.
pub(super) fn check_slow(field: &str, slow_ms: u32) -> Result<(), ConfigurationError> {
    if (1..=SLOW_MS_MAX).contains(&slow_ms) {
        return Ok(());
    }
    let problem = format!("must be between 1 and {SLOW_MS_MAX}");
    Err(ConfigurationError::new(field.into(), problem))
}

/// How a service is governed.
#[derive(Debug, Clone, Copy, PartialEq)]
pub struct GovernedService {
    /// Who decides.
    pub governed: Governed,
    /// A trace that takes longer is slow.
    pub slow_ms: u32,
    classes: ClassesSettings,
}

impl GovernedService {
    /// The cap of a class with a budget, in traces per second; infinite without one. That of tagged requests is in their
    /// rules.
    #[must_use]
    pub fn cap(&self, class: Class, budget: f64) -> f64 {
        let cap = self.with_defaults(budget).of(class).cap_traces_per_second;
        cap.unwrap_or(f64::INFINITY)
    }

    fn with_defaults(&self, budget: f64) -> ClassesSettings {
        self.classes.or(&ClassesSettings::by_default(budget))
    }

    /// The floors and caps of its classes; `tagged` is the cap of its rules for tagged requests together.
    fn wholes(&self, budget: f64, tagged: f64) -> [Whole; Class::ALL.len()] {
        let classes = self.with_defaults(budget);
        Class::ALL.map(|class| {
            let of = classes.of(class);
            let cap = of.cap_traces_per_second.unwrap_or(f64::INFINITY);
            Whole {
                floor: of.floor_traces_per_second.unwrap_or(0.0),
                cap: if class == Class::Tagged { tagged } else { cap },
            }
        })
    }
}

/// How all services are governed.
#[derive(Debug, Clone, PartialEq)]
pub struct Governance {
    default: GovernedService,
    services: HashMap<Box<str>, GovernedService>,
    pub(super) held: HeldOperations,
}

impl Default for Governance {
    fn default() -> Self {
        Self::of(&Configuration::default())
    }
}

impl Governance {
    /// That of a configuration, without the caps of operations.
    #[must_use]
    pub fn of(configuration: &Configuration) -> Self {
        let default = GovernedService {
            governed: configuration.governed,
            slow_ms: configuration.slow_ms,
            classes: configuration.classes,
        };
        let own = configuration.services.iter();
        let own = own.map(|(name, of)| {
            let service = GovernedService {
                governed: of.governed.unwrap_or(default.governed),
                slow_ms: of.slow_ms.unwrap_or(default.slow_ms),
                classes: of.classes.or(&default.classes),
            };
            (name, service)
        });
        let services = own.filter(|(_, of)| *of != default);
        Self {
            services: services
                .map(|(name, of)| (name.as_str().into(), of))
                .collect(),
            default,
            held: HeldOperations::default(),
        }
    }

    /// Services that nobody has settings for.
    #[must_use]
    pub fn default_service(&self) -> &GovernedService {
        &self.default
    }

    /// One service. What stands for services that are not known is head-governed: it is many services.
    #[must_use]
    pub fn service(&self, name: &str) -> GovernedService {
        let of = *self.services.get(name).unwrap_or(&self.default);
        match name {
            OVERFLOW_NAME => GovernedService {
                governed: Governed::Head,
                ..of
            },
            _ => of,
        }
    }

    /// Whether edges decide about a service.
    #[must_use]
    pub fn is_tail(&self, name: &str) -> bool {
        self.service(name).governed == Governed::Tail
    }

    /// Whether edges decide about any service.
    #[must_use]
    pub fn has_tail(&self) -> bool {
        let mut all = self.services.values().chain([&self.default]);
        all.any(|of| of.governed == Governed::Tail)
    }

    /// The services that have settings, and are not governed as the default is, or are tail-governed.
    pub fn named(&self) -> impl Iterator<Item = (&str, &GovernedService)> {
        self.services.iter().map(|(name, of)| (&**name, of))
    }
}

impl Configuration {
    /// What differs from a document without edges, for the release before.
    pub(super) fn edges(&self) -> (Governed, u32, ClassesSettings, BTreeMap<&str, EdgeSettings>) {
        let own = self.services.iter().filter_map(|(name, of)| {
            let settings = (of.governed, of.slow_ms, of.classes);
            (settings != <EdgeSettings>::default()).then_some((&**name, settings))
        });
        (self.governed, self.slow_ms, self.classes, own.collect())
    }

    /// Adds what is set for the classes of tail-governed services that have a number.
    pub(super) fn resolve_classes(
        &self,
        names: &Names,
        matches: &Matches,
        at: Timestamp,
        policy: &mut Policy,
    ) {
        let governance = Governance::of(self);
        if !governance.has_tail() {
            return;
        }
        let tagged = TaggedRules::of(self, at);
        let mut services: HashMap<ServiceId, Option<TailService<'_>>> = HashMap::new();
        let mut shared: BTreeMap<(ServiceId, &str), SharedBounds> = BTreeMap::new();
        for (row, name) in names.operations() {
            let (operation, Some(class)) = Class::of(name) else {
                continue;
            };
            let tail = services.entry(row.service).or_insert_with(|| {
                let name = names.service_name(row.service)?;
                let governed = governance.service(name);
                (governed.governed == Governed::Tail).then(|| {
                    let caps = tagged.of_service(name).filter(|rule| rule.active);
                    let wholes = governed.wholes(policy.budget, caps.map(|rule| rule.cap).sum());
                    policy.services.entry(row.service).or_default().classes = wholes;
                    TailService {
                        name,
                        classes: governed.with_defaults(policy.budget),
                    }
                })
            });
            let Some(tail) = tail else { continue };
            let bounds = self.bounds_of_class(
                matches,
                tail,
                (row.service, row.operation),
                (operation, class),
                at,
            );
            let shared = shared.entry((row.service, operation));
            let shared = shared.or_insert_with(|| SharedBounds {
                floor: bounds.floor,
                cap: bounds.cap,
                entries: Vec::new(),
            });
            shared.entries.push(row.operation);
            policy.operations.insert(row.operation, bounds);
            let entry = ClassEntry {
                service: row.service,
                operation: shared.entries[0],
                class,
            };
            policy.classes.insert(row.operation, entry);
        }
        policy.shared_bounds = shared.into_values().collect();
    }

    /// The bounds of an entry: those of its operation, then those of its class.
    fn bounds_of_class(
        &self,
        matches: &Matches,
        tail: &TailService<'_>,
        (service, entry): (ServiceId, OperationId),
        (operation, class): (&str, Class),
        at: Timestamp,
    ) -> Bounds {
        let rules = matches.of_operation(service, entry);
        let base = self.settings_of(tail.name, operation);
        let of = tail.classes.of(class);
        let layer = BoundsSettings {
            probability_min: of.probability_min,
            ..BoundsSettings::default()
        };
        let merged = Matches::merged_over(&rules, base, at, &layer).bounds();
        let bounds = Bounds {
            weight: merged.weight * of.weight.unwrap_or(1.0),
            ..merged
        };
        // The overflow entry stands for names that nobody knows, which are never kept whole. Tagged requests are known by
        // their rule.
        if operation != OVERFLOW_NAME || class == Class::Tagged {
            return bounds;
        }
        let most = Tuning::DEFAULT.share.unknown.most;
        Bounds {
            probability_min: bounds.probability_min.min(most),
            probability_max: bounds.probability_max.min(most),
            pin: bounds.pin.map(|pin| pin.min(most)),
            ..bounds
        }
    }
}

/// What a service says of edges.
type EdgeSettings = (Option<Governed>, Option<u32>, ClassesSettings);

/// A service that edges decide about.
struct TailService<'n> {
    name: &'n str,
    classes: ClassesSettings,
}
