//! Rules for tagged requests: those that have some attributes when their span starts.
//!
//! Such a rule means one operation of each of its services, which has the name of the rule. So tagged requests are
//! counted, bounded and explained as any operation is. It keeps all of them, up to its cap.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};

use super::{Effect, Expiry, Pattern, Rule, is_name};
use crate::allocation::Timestamp;
use crate::configuration::{Configuration, ConfigurationError};

/// What the name of an operation of tagged requests begins with: this class, then the rule.
const CLASS: &str = "tagged=";

/// The most rules for tagged requests. A sampler compares each request with all of its service, and reports on
/// each of them.
pub const TAGGED_RULES_MAX: usize = 50;

/// The most attributes of a rule: what X-Ray allows.
const ATTRIBUTES_MAX: usize = 5;

/// The longest name of an attribute and the longest pattern of its value, in bytes.
const KEY_MAX: usize = 128;
const VALUE_MAX: usize = 256;

/// The operation that a rule's tagged requests are counted under.
#[must_use]
pub fn tagged_operation(rule: &str) -> String {
    format!("{CLASS}{rule}")
}

/// The rule of an operation of tagged requests; none if it is another operation.
#[must_use]
pub fn rule_of_tagged(operation: &str) -> Option<&str> {
    operation.strip_prefix(CLASS).filter(|rule| is_name(rule))
}

/// A rule for tagged requests, as samplers apply it.
#[derive(Debug, Clone, PartialEq)]
pub struct TaggedRule {
    /// Its name.
    pub rule: String,
    /// The operation that its requests are counted under.
    pub operation: String,
    /// What the attributes of a request must look like: `*` stands for any characters, `?` for one.
    pub attributes: BTreeMap<String, String>,
    /// The most that is kept of each service, in traces per second.
    pub cap: f64,
    /// Whether it applies. One that does not is listed, because samplers may still have it.
    pub active: bool,
    /// When it got its present form.
    pub written_at: Timestamp,
    /// When it last began, changed or ended.
    pub changed_at: Timestamp,
    service: Pattern,
    service_text: String,
}

impl TaggedRule {
    /// None if it is not as [`check`] wants it, which documents are before they are written.
    fn of(name: &str, rule: &Rule, at: Timestamp) -> Option<Self> {
        let milliseconds = |time: DateTime<Utc>| Timestamp(time.timestamp_millis());
        let written_at = rule.written_at.map(milliseconds).unwrap_or_default();
        let end = match rule.expires {
            Some(Expiry::At(end)) => Some(end),
            Some(Expiry::Never) | None => None,
        };
        let passed = [rule.start, end].into_iter().flatten().map(milliseconds);
        let passed = passed.filter(|time| *time <= at);
        Some(Self {
            rule: name.to_owned(),
            operation: tagged_operation(name),
            attributes: rule.attributes.clone(),
            cap: rule.set.cap_traces_per_second?,
            active: rule.is_active(at),
            written_at,
            changed_at: passed.fold(written_at, Timestamp::max),
            service: Pattern::parse(&rule.service).ok()?,
            service_text: rule.service.clone(),
        })
    }

    /// Its services, as edges read patterns: without escapes. A character that is escaped becomes `?`, which means it and
    /// others.
    #[must_use]
    pub fn service_glob(&self) -> String {
        let mut glob = String::with_capacity(self.service_text.len());
        let mut characters = self.service_text.chars();
        while let Some(character) = characters.next() {
            if character == '\\' {
                glob.push(characters.next().map_or(character, |_| '?'));
            } else {
                glob.push(character);
            }
        }
        glob
    }

    /// Whether it is for a service.
    #[must_use]
    pub fn is_for(&self, service: &str) -> bool {
        self.service.matches(service)
    }
}

/// The rules for tagged requests of a configuration at some time, by name.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct TaggedRules(Vec<TaggedRule>);

impl TaggedRules {
    /// Those of a configuration.
    #[must_use]
    pub fn of(configuration: &Configuration, at: Timestamp) -> Self {
        let rules = configuration.rules.iter();
        let tagged = rules.filter(|(_, rule)| rule.is_tagged());
        Self(
            tagged
                .filter_map(|(name, rule)| TaggedRule::of(name, rule, at))
                .collect(),
        )
    }

    /// All of them, whether they apply or not.
    pub fn iter(&self) -> impl Iterator<Item = &TaggedRule> {
        self.0.iter()
    }

    /// Those that are for a service, whether they apply or not.
    pub fn of_service<'r>(&'r self, service: &str) -> impl Iterator<Item = &'r TaggedRule> {
        self.0.iter().filter(move |rule| rule.is_for(service))
    }
}

/// Checks what is particular to rules for tagged requests.
pub(super) fn check(rule: &Rule, at: &str) -> Result<(), ConfigurationError> {
    let wrong = |field: &str, problem: String| {
        Err(ConfigurationError::new(format!("{at}.{field}"), problem))
    };
    if rule.attributes.len() > ATTRIBUTES_MAX {
        let problem = format!(
            "has {} entries; the limit is {ATTRIBUTES_MAX}",
            rule.attributes.len()
        );
        return wrong("attributes", problem);
    }
    let fits = |text: &str, most: usize| {
        (1..=most).contains(&text.len()) && !text.contains(char::is_control)
    };
    for (key, value) in &rule.attributes {
        if !fits(key, KEY_MAX) {
            let problem =
                format!("has a name that must be 1 to {KEY_MAX} bytes without control characters");
            return wrong("attributes", problem);
        }
        if !fits(value, VALUE_MAX) {
            let problem = format!("must be 1 to {VALUE_MAX} bytes without control characters");
            return wrong(&format!("attributes.{key}"), problem);
        }
    }
    if rule.operation != "*" {
        let problem = "must be left out beside attributes: samplers are not asked with it";
        return wrong("operation", problem.into());
    }
    if rule.set.cap_traces_per_second.is_none() {
        let problem = "is required beside attributes: the most that is kept of each service";
        return wrong("set.cap_traces_per_second", problem.into());
    }
    let others = Effect {
        cap_traces_per_second: None,
        priority: None,
        ..rule.set
    };
    if others != Effect::default() {
        let problem = "may only hold cap_traces_per_second and priority beside attributes";
        return wrong("set", problem.into());
    }
    Ok(())
}
