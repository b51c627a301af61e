//! The operators' settings of groups, services and operations, as the document contains them.

use std::collections::BTreeMap;
use std::fmt;
use std::marker::PhantomData;

use serde::de::{Error, MapAccess, Visitor};
use serde::{Deserialize, Deserializer, Serialize};

use super::governed::check_slow;
use super::{ClassesSettings, Configuration, ConfigurationError, Cost, Governed, within};
use crate::allocation::{
    Bounds, Class, GroupName, NameError, OVERFLOW_NAME, OperationName, Priority, ServiceName, Whole,
};
use crate::telemetry::metrics::NO_GROUP;

/// The most groups in a document. Each has metrics of its own.
pub const GROUPS_MAX: usize = 100;

/// The most services in a document.
pub const SERVICES_MAX: usize = 10_000;

/// The most operations in a document, over all services.
pub const OPERATIONS_MAX: usize = 20_000;

/// The range of weights. If two weights are further apart, one of them is a mistake.
const WEIGHTS: (f64, f64) = (1e-6, 1e6);

/// A group of services with a common floor and cap.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct GroupSettings {
    /// The least traces per second that its services get together, if they have as many.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub floor_traces_per_second: Option<f64>,
    /// The most traces per second that its services get together.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub cap_traces_per_second: Option<f64>,
}

/// Settings of one service.
#[derive(Debug, Clone, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct ServiceSettings {
    /// The group that it belongs to.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub group: Option<String>,
    /// The least traces per second for the whole service.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub floor_traces_per_second: Option<f64>,
    /// The most traces per second for the whole service.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub cap_traces_per_second: Option<f64>,
    /// What its traces cost; where it says nothing, the fleet's.
    #[serde(skip_serializing_if = "Cost::is_empty")]
    pub cost: Cost,
    /// Who decides about its traces; the fleet's if absent.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub governed: Option<Governed>,
    /// A trace that takes longer is slow, in milliseconds; the fleet's if absent.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub slow_ms: Option<u32>,
    /// What its classes get if it is tail-governed; where it says nothing, the fleet's.
    #[serde(skip_serializing_if = "ClassesSettings::is_empty")]
    pub classes: ClassesSettings,
    /// The bounds of each of its operations that has none of its own.
    #[serde(skip_serializing_if = "BoundsSettings::is_empty")]
    pub each: BoundsSettings,
    /// The bounds of single operations, by name; they replace `each`.
    #[serde(
        deserialize_with = "distinct",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub operations: BTreeMap<String, BoundsSettings>,
}

/// Bounds of one operation, or of each operation of a service.
#[derive(Debug, Clone, Copy, PartialEq, Default, Serialize, Deserialize)]
#[serde(deny_unknown_fields, default)]
pub struct BoundsSettings {
    /// Its weight when the budget is shared; 1 by default.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub weight: Option<f64>,
    /// The least traces per second, if it has as many.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub floor_traces_per_second: Option<f64>,
    /// The most traces per second.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub cap_traces_per_second: Option<f64>,
    /// The lowest probability.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub probability_min: Option<f64>,
    /// The highest probability.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub probability_max: Option<f64>,
    /// A fixed probability; it takes precedence over everything else.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub probability: Option<f64>,
    /// Its priority when not all floors fit: floors of 0 are reduced first, those of 9 last; 5 by
    /// default.
    #[serde(deserialize_with = "given", skip_serializing_if = "Option::is_none")]
    pub priority: Option<u8>,
}

impl GroupSettings {
    pub(super) fn whole(&self) -> Whole {
        whole(self.floor_traces_per_second, self.cap_traces_per_second)
    }
}

impl ServiceSettings {
    pub(super) fn whole(&self) -> Whole {
        whole(self.floor_traces_per_second, self.cap_traces_per_second)
    }

    fn check(
        &self,
        at: &str,
        name: &str,
        groups: &BTreeMap<String, GroupSettings>,
    ) -> Result<(), ConfigurationError> {
        if let Some(group) = self.group.as_ref().filter(|it| !groups.contains_key(*it)) {
            // The name may be of any length, so only its beginning is quoted.
            let group: String = group.chars().take(GroupName::LONGEST).collect();
            let problem = format!("names the group {group:?}, which does not exist");
            return Err(ConfigurationError::new(format!("{at}.group"), problem));
        }
        check_whole(at, self.floor_traces_per_second, self.cap_traces_per_second)?;
        self.cost.check(&format!("{at}.cost"))?;
        if self.cost.measured {
            let problem =
                "is only of the fleet: the spans of a trace are counted by other services, too";
            return Err(ConfigurationError::new(
                format!("{at}.cost.measured"),
                problem.into(),
            ));
        }
        self.check_governed(at, name)?;
        self.each.check(&format!("{at}.each"))?;
        let at = format!("{at}.operations");
        for (operation, bounds) in &self.operations {
            check_name(&at, operation, OperationName::check)?;
            if Class::is_reserved(operation) {
                let problem = "has a name with U+FDD0, which separates operations from classes";
                return Err(ConfigurationError::new(at, problem.into()));
            }
            if name == OVERFLOW_NAME && operation != OVERFLOW_NAME {
                let problem = format!(
                    "is not allowed: {OVERFLOW_NAME} has no other operation than {OVERFLOW_NAME}"
                );
                return Err(ConfigurationError::new(
                    format!("{at}.{operation}"),
                    problem,
                ));
            }
            bounds.check(&format!("{at}.{operation}"))?;
        }
        Ok(())
    }
}

impl ServiceSettings {
    fn check_governed(&self, at: &str, name: &str) -> Result<(), ConfigurationError> {
        if let Some(slow_ms) = self.slow_ms {
            check_slow(&format!("{at}.slow_ms"), slow_ms)?;
        }
        self.classes.check(&format!("{at}.classes"))?;
        if name == OVERFLOW_NAME && self.governed == Some(Governed::Tail) {
            let problem = format!("must be head: {OVERFLOW_NAME} stands for many services");
            return Err(ConfigurationError::new(format!("{at}.governed"), problem));
        }
        Ok(())
    }
}

impl BoundsSettings {
    fn is_empty(&self) -> bool {
        *self == Self::default()
    }

    /// Whether it fixes the probability or bounds the share.
    pub(super) fn decides(&self) -> bool {
        let other = Self {
            weight: None,
            priority: None,
            ..*self
        };
        !other.is_empty()
    }

    pub(super) fn bounds(&self) -> Bounds {
        let Whole { floor, cap } = whole(self.floor_traces_per_second, self.cap_traces_per_second);
        let free = Bounds::default();
        Bounds {
            weight: self.weight.unwrap_or(free.weight),
            floor,
            cap,
            probability_min: self.probability_min.unwrap_or(free.probability_min),
            probability_max: self.probability_max.unwrap_or(free.probability_max),
            priority: self.priority.map_or(free.priority, Priority::new),
            pin: self.probability,
        }
    }

    pub(super) fn check(&self, at: &str) -> Result<(), ConfigurationError> {
        check_weight(at, self.weight)?;
        check_whole(at, self.floor_traces_per_second, self.cap_traces_per_second)?;
        check_pair(
            at,
            ("probability_min", self.probability_min),
            ("probability_max", self.probability_max),
            1.0,
        )?;
        if let Some(pin) = self.probability {
            within(&format!("{at}.probability"), pin, 1.0)?;
        }
        let highest = Priority::HIGHEST.number();
        if self.priority.is_some_and(|priority| priority > highest) {
            let problem = format!("must be between 0 and {highest}");
            return Err(ConfigurationError::new(format!("{at}.priority"), problem));
        }
        Ok(())
    }
}

/// Checks the groups and services of the document.
pub(super) fn check(configuration: &Configuration) -> Result<(), ConfigurationError> {
    let Configuration {
        groups, services, ..
    } = configuration;
    check_count("groups", groups.len(), GROUPS_MAX)?;
    for (name, group) in groups {
        check_name("groups", name, GroupName::check)?;
        let at = format!("groups.{name}");
        if name == NO_GROUP {
            let problem = "is reserved: metrics label ungrouped services with this name";
            return Err(ConfigurationError::new(at, problem.into()));
        }
        check_whole(
            &at,
            group.floor_traces_per_second,
            group.cap_traces_per_second,
        )?;
    }
    check_count("services", services.len(), SERVICES_MAX)?;
    let operations: usize = services
        .values()
        .map(|service| service.operations.len())
        .sum();
    if operations > OPERATIONS_MAX {
        let problem = format!("have {operations} operations; the limit is {OPERATIONS_MAX}");
        return Err(ConfigurationError::new("services".into(), problem));
    }
    for (name, service) in services {
        check_name("services", name, ServiceName::check)?;
        service.check(&format!("services.{name}"), name, groups)?;
    }
    Ok(())
}

fn check_count(field: &str, count: usize, most: usize) -> Result<(), ConfigurationError> {
    if count <= most {
        return Ok(());
    }
    let problem = format!("has {count} entries; the limit is {most}");
    Err(ConfigurationError::new(field.into(), problem))
}

/// A wrong name is not quoted: it may be of any length and contain anything.
fn check_name(
    field: &str,
    name: &str,
    check: fn(&str) -> Result<(), NameError>,
) -> Result<(), ConfigurationError> {
    check(name).map_err(|error| {
        let problem = format!("has a name that {error}");
        ConfigurationError::new(field.into(), problem)
    })
}

/// Checks a weight.
pub(super) fn check_weight(at: &str, weight: Option<f64>) -> Result<(), ConfigurationError> {
    let (least, most) = WEIGHTS;
    if weight.is_none_or(|weight| (least..=most).contains(&weight)) {
        return Ok(());
    }
    let problem = format!("must be between {least} and {most}");
    Err(ConfigurationError::new(format!("{at}.weight"), problem))
}

pub(super) fn check_whole(
    at: &str,
    floor: Option<f64>,
    cap: Option<f64>,
) -> Result<(), ConfigurationError> {
    check_pair(
        at,
        ("floor_traces_per_second", floor),
        ("cap_traces_per_second", cap),
        Configuration::BUDGET_MAX,
    )
}

/// Checks that a minimum and a maximum are in their range and in order.
fn check_pair(
    at: &str,
    (least_name, least): (&str, Option<f64>),
    (most_name, most): (&str, Option<f64>),
    largest: f64,
) -> Result<(), ConfigurationError> {
    for (name, value) in [(least_name, least), (most_name, most)] {
        if let Some(value) = value {
            within(&format!("{at}.{name}"), value, largest)?;
        }
    }
    match (least, most) {
        (Some(least), Some(most)) if least > most => {
            let problem = format!("must not exceed {most_name}");
            Err(ConfigurationError::new(
                format!("{at}.{least_name}"),
                problem,
            ))
        }
        _ => Ok(()),
    }
}

fn whole(floor: Option<f64>, cap: Option<f64>) -> Whole {
    let free = Whole::default();
    Whole {
        floor: floor.unwrap_or(free.floor),
        cap: cap.unwrap_or(free.cap),
    }
}

/// Reads a value that is present: `null` is a wrong value, not a missing one.
pub(super) fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<Option<T>, D::Error> {
    T::deserialize(from).map(Some)
}

/// Reads entries by name. Refuses a name that is listed twice, because one of the two would be
/// ignored.
pub(super) fn distinct<'de, D: Deserializer<'de>, T: Deserialize<'de>>(
    from: D,
) -> Result<BTreeMap<String, T>, D::Error> {
    struct Entries<T>(PhantomData<T>);

    impl<'de, T: Deserialize<'de>> Visitor<'de> for Entries<T> {
        type Value = BTreeMap<String, T>;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("an object of entries by name")
        }

        fn visit_map<A: MapAccess<'de>>(self, mut entries: A) -> Result<Self::Value, A::Error> {
            let mut found = BTreeMap::new();
            while let Some((name, entry)) = entries.next_entry()? {
                if found.insert(name, entry).is_some() {
                    return Err(A::Error::custom("lists a name twice"));
                }
            }
            Ok(found)
        }
    }

    from.deserialize_map(Entries(PhantomData))
}
