//! Reads the plan as Weir sends it: JSON, of which every number is checked.

use std::collections::{BTreeMap, HashMap};

use serde::Deserialize;

use super::tagged::{ATTRIBUTES_MAX, RULES_MAX};
use super::{
    Class, ClassCaps, Classes, Glob, Governed, OperationPlan, Plan, Rule, SLOW_MS_DEFAULT,
    ServicePlan, Tagged,
};
use crate::otlp::trace_state::Threshold;

/// The longest threshold for slow traces: an hour.
const SLOW_MS_MAX: u64 = 3_600_000;

/// The longest name of a rule, in bytes.
const NAME_BYTES_MAX: usize = 255;

/// The highest cap, in traces per second.
const CAP_MAX: f64 = 1e9;

/// What is wrong with a plan.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("the plan is wrong: {field}: {problem}")]
pub struct WrongPlan {
    /// The field, as a path in the document.
    pub field: String,
    /// What is wrong with it.
    pub problem: String,
}

fn wrong(field: impl Into<String>, problem: impl Into<String>) -> WrongPlan {
    WrongPlan {
        field: field.into(),
        problem: problem.into(),
    }
}

/// Fields that are not known are ignored: a newer Weir may send more.
#[derive(Deserialize)]
struct Document {
    plan: u64,
    default: Default,
    #[serde(default)]
    services: Vec<Service>,
    #[serde(default)]
    tagged: Vec<TaggedRule>,
}

#[derive(Deserialize)]
struct Default {
    #[serde(default = "head")]
    governed: Place,
    slow_ms: Option<u64>,
    probabilities: Probabilities,
    #[serde(default)]
    caps: Probabilities,
}

#[derive(Deserialize)]
struct Service {
    service: Box<str>,
    governed: Place,
    slow_ms: Option<u64>,
    #[serde(default)]
    default: Probabilities,
    #[serde(default)]
    caps: Probabilities,
    #[serde(default)]
    operations: Vec<Operation>,
}

#[derive(Deserialize)]
struct Operation {
    operation: Box<str>,
    #[serde(flatten)]
    probabilities: Probabilities,
    cap_traces_per_second: Option<f64>,
}

/// A probability of each class, or a cap. A class that is left out has what the level above says.
#[derive(Deserialize, Default, Clone, Copy)]
struct Probabilities {
    error: Option<f64>,
    slow: Option<f64>,
    tagged: Option<f64>,
    rest: Option<f64>,
}

#[derive(Deserialize, Clone, Copy, PartialEq)]
#[serde(rename_all = "snake_case")]
enum Place {
    Head,
    Tail,
}

fn head() -> Place {
    Place::Head
}

#[derive(Deserialize)]
struct TaggedRule {
    name: Box<str>,
    #[serde(default = "everything")]
    service: Box<str>,
    attributes: BTreeMap<Box<str>, Box<str>>,
    cap_traces_per_second: f64,
}

fn everything() -> Box<str> {
    "*".into()
}

impl Plan {
    /// Reads a plan.
    ///
    /// # Errors
    /// Names the first field that is wrong.
    pub fn parse(document: &[u8]) -> Result<Self, WrongPlan> {
        let read: Document = serde_json::from_slice(document)
            .map_err(|error| wrong("the document", error.to_string()))?;
        let whole = [read.default.probabilities];
        if !whole[0].is_complete() {
            return Err(wrong("default.probabilities", "must have all four classes"));
        }
        let nothing = Classes::all(Threshold::NONE);
        let default = ServicePlan {
            governed: read.default.governed.into(),
            slow_ns: slow_ns(read.default.slow_ms, SLOW_MS_DEFAULT, "default")?,
            default: whole[0].over(&nothing, "default.probabilities")?,
            caps: read
                .default
                .caps
                .caps(ClassCaps::default(), "default.caps")?,
            operations: HashMap::new(),
        };
        let slow_ms = default.slow_ns / 1_000_000;
        let mut services = HashMap::with_capacity(read.services.len());
        for service in read.services {
            let name = service.service.clone();
            let planned = service.planned(&default, slow_ms)?;
            if services.insert(name.clone(), planned).is_some() {
                return Err(wrong(format!("services: {name}"), "is listed twice"));
            }
        }
        Ok(Self {
            number: read.plan,
            default,
            services,
            tagged: tagged(read.tagged)?,
        })
    }
}

impl Service {
    fn planned(self, fleet: &ServicePlan, slow_ms: u64) -> Result<ServicePlan, WrongPlan> {
        let field = format!("services: {}", self.service);
        let default = self
            .default
            .over(&fleet.default, &format!("{field}: default"))?;
        let mut operations = HashMap::with_capacity(self.operations.len());
        for operation in self.operations {
            let field = format!("{field}: {}", operation.operation);
            let cap = operation.cap_traces_per_second.unwrap_or(f64::INFINITY);
            let planned = OperationPlan {
                classes: operation.probabilities.over(&default, &field)?,
                cap: match cap.is_finite() {
                    true => checked_cap(cap, || format!("{field}: cap_traces_per_second"))?,
                    false => cap,
                },
            };
            operations.insert(operation.operation, planned);
        }
        Ok(ServicePlan {
            governed: self.governed.into(),
            slow_ns: slow_ns(self.slow_ms, slow_ms, &field)?,
            caps: self.caps.caps(fleet.caps, &format!("{field}: caps"))?,
            default,
            operations,
        })
    }
}

fn slow_ns(given: Option<u64>, otherwise: u64, field: &str) -> Result<u64, WrongPlan> {
    let slow_ms = given.unwrap_or(otherwise);
    if slow_ms == 0 || slow_ms > SLOW_MS_MAX {
        return Err(wrong(
            format!("{field}: slow_ms"),
            format!("must be between 1 and {SLOW_MS_MAX}"),
        ));
    }
    Ok(slow_ms * 1_000_000)
}

impl Probabilities {
    fn of(&self, class: Class) -> Option<f64> {
        match class {
            Class::Error => self.error,
            Class::Slow => self.slow,
            Class::Tagged => self.tagged,
            Class::Rest => self.rest,
        }
    }

    fn is_complete(&self) -> bool {
        Class::ALL.iter().all(|class| self.of(*class).is_some())
    }

    /// These, and what the level above says where they say nothing.
    fn over(&self, above: &Classes, field: &str) -> Result<Classes, WrongPlan> {
        let mut classes = *above;
        for class in Class::ALL {
            let Some(probability) = self.of(class) else {
                continue;
            };
            if !(0.0..=1.0).contains(&probability) {
                let field = format!("{field}: {}", class.name());
                return Err(wrong(field, "must be between 0 and 1"));
            }
            classes.0[class as usize] = Threshold::of_probability(probability);
        }
        Ok(classes)
    }
}

impl Probabilities {
    /// These as traces per second.
    fn caps(&self, above: ClassCaps, field: &str) -> Result<ClassCaps, WrongPlan> {
        let mut caps = above;
        for class in Class::ALL {
            let Some(cap) = self.of(class) else { continue };
            let cap = checked_cap(cap, || format!("{field}: {}", class.name()))?;
            caps.set(class, cap);
        }
        Ok(caps)
    }
}

/// A cap that is within its bounds.
fn checked_cap(cap: f64, field: impl FnOnce() -> String) -> Result<f64, WrongPlan> {
    if (0.0..=CAP_MAX).contains(&cap) {
        return Ok(cap);
    }
    Err(wrong(field(), format!("must be between 0 and {CAP_MAX}")))
}

impl From<Place> for Governed {
    fn from(place: Place) -> Self {
        match place {
            Place::Head => Self::Head,
            Place::Tail => Self::Tail,
        }
    }
}

fn tagged(rules: Vec<TaggedRule>) -> Result<Tagged, WrongPlan> {
    if rules.len() > RULES_MAX {
        return Err(wrong("tagged", format!("has more than {RULES_MAX} rules")));
    }
    rules
        .into_iter()
        .map(rule)
        .collect::<Result<_, _>>()
        .map(Tagged)
}

fn rule(given: TaggedRule) -> Result<Rule, WrongPlan> {
    if given.name.is_empty() || given.name.len() > NAME_BYTES_MAX {
        let problem = format!("must have 1 to {NAME_BYTES_MAX} bytes");
        return Err(wrong("tagged: name", problem));
    }
    let field = format!("tagged: {}", given.name);
    if given.attributes.is_empty() || given.attributes.len() > ATTRIBUTES_MAX - 1 {
        let problem = format!("must have 1 to {} attributes", ATTRIBUTES_MAX - 1);
        return Err(wrong(field, problem));
    }
    let patterns = given.attributes.values().chain([&given.service]);
    if patterns
        .into_iter()
        .any(|pattern| pattern.len() > Glob::BYTES_MAX)
    {
        let problem = format!("a pattern is longer than {} bytes", Glob::BYTES_MAX);
        return Err(wrong(field, problem));
    }
    let cap = given.cap_traces_per_second;
    let cap = checked_cap(cap, || format!("{field}: cap_traces_per_second"))?;
    let attributes = given.attributes.into_iter();
    Ok(Rule {
        name: (*given.name).into(),
        service: Glob::new(&given.service),
        attributes: attributes
            .map(|(key, value)| (key, Glob::new(&value)))
            .collect(),
        cap_traces_per_second: cap,
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const PLAN: &str = r#"{
        "plan": 7, "newer": true,
        "default": {"governed": "head", "slow_ms": 400, "caps": {"error": 7, "rest": 9},
            "probabilities": {"error": 0.5, "slow": 0.25, "tagged": 1, "rest": 0.125}},
        "services": [{"service": "checkout", "governed": "tail", "default": {"error": 1, "rest": 0.5}, "caps": {"rest": 2},
            "operations": [{"operation": "GET /x", "rest": 0.25, "cap_traces_per_second": 3}, {"operation": "GET /y"}]}],
        "tagged": [{"name": "actors", "service": "check*", "attributes": {"test.actor": "*"},
            "cap_traces_per_second": 5}]}"#;

    #[test]
    fn a_class_that_is_left_out_is_that_of_the_level_above() {
        let plan = Plan::parse(PLAN.as_bytes()).unwrap();
        let checkout = plan.service("checkout");
        assert_eq!(
            (checkout.governed, checkout.slow_ns),
            (Governed::Tail, 400_000_000)
        );
        let operation = checkout.operation("GET /x");
        let probabilities = Class::ALL.map(|class| operation.classes.of(class).probability());
        assert_eq!(probabilities, [1.0, 0.25, 1.0, 0.25]);
        assert_eq!(operation.cap, 3.0);
        assert_eq!(checkout.operation("GET /y").cap, f64::INFINITY);
        assert_eq!(
            checkout.operation("GET /z"),
            checkout.operation("GET /y"),
            "nothing is said of either"
        );
        assert_eq!(checkout.default.of(Class::Rest).probability(), 0.5);
        assert_eq!(plan.service("unknown").governed, Governed::Head);
        assert_eq!(
            plan.service("unknown")
                .default
                .of(Class::Rest)
                .probability(),
            0.125
        );
        let caps = Class::ALL.map(|class| checkout.caps.of(class));
        assert_eq!(caps, [7.0, f64::INFINITY, f64::INFINITY, 2.0]);
        assert!(!plan.passes_everything());
        assert!(!Plan::initial(0.1).passes_everything());
    }

    #[test]
    fn what_is_wrong_is_named() {
        let cases = [
            (r#""error": 0.5, "#, "", "default.probabilities"),
            (
                r#""rest": 0.25"#,
                r#""rest": 1.5"#,
                "services: checkout: GET /x: rest",
            ),
            (
                r#""rest": 2}"#,
                r#""rest": -2}"#,
                "services: checkout: caps: rest",
            ),
            ("400", "0", "default: slow_ms"),
            (r#"{"test.actor": "*"}"#, "{}", "tagged: actors"),
            ("\": 5}", "\": -5}", "tagged: actors: cap_traces_per_second"),
            (r#""name": "actors""#, r#""name": """#, "tagged: name"),
            ("\"plan\": 7", "\"plan\": -7", "the document"),
            (
                r#""cap_traces_per_second": 3"#,
                r#""cap_traces_per_second": -3"#,
                "services: checkout: GET /x: cap_traces_per_second",
            ),
            ("\"tail\"", "\"both\"", "the document"),
        ];
        for (before, after, field) in cases {
            let document = PLAN.replace(before, after);
            assert_ne!(document, PLAN, "{before}");
            assert_eq!(Plan::parse(document.as_bytes()).unwrap_err().field, field);
        }
    }
}
