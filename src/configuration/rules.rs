//! Rules: changes of how some operations are sampled, for some time, with an owner and a reason.
//!
//! [`Rule`] is what the document contains. `matches` finds the operations that each rule means, `merge` puts
//! together what all rules of an operation set. docs/rules.md says which rule wins.

mod effect;
mod matches;
mod merge;
mod pattern;
mod patterns;
mod tagged;

use std::collections::BTreeMap;
use std::fmt;

use chrono::{DateTime, TimeDelta, Utc};
use serde::de::Error;
use serde::{Deserialize, Deserializer, Serialize, Serializer};

pub use effect::Effect;
pub use matches::{MatchCache, Matched, Matches};
pub use merge::{Field, Layers, Taken};
pub use pattern::{PATTERN_MAX, Pattern, PatternError};
pub use tagged::{TAGGED_RULES_MAX, TaggedRule, TaggedRules, rule_of_tagged, tagged_operation};

use super::overrides::{distinct, given};
use super::{BoundsSettings, Configuration, ConfigurationError, within};
use crate::allocation::Timestamp;

/// The most rules in a document.
pub const RULES_MAX: usize = 20_000;

/// The longest name of a rule, in bytes.
pub const RULE_NAME_MAX: usize = 64;

/// The longest owner and the longest reason, in bytes.
const OWNER_MAX: usize = 256;
const REASON_MAX: usize = 1024;

/// How long a fixed probability lasts if its rule does not say it: nobody is left with yesterday's experiment.
pub const PIN_LASTS: TimeDelta = TimeDelta::hours(24);

/// One rule, as the document contains it.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Rule {
    /// Which services: a name or a pattern.
    #[serde(default = "all")]
    pub service: String,
    /// Which operations of them: a name or a pattern.
    #[serde(default = "all")]
    pub operation: String,
    /// What the attributes of a request must look like when its span starts. With some, the rule is for tagged
    /// requests alone; see [`TaggedRule`].
    #[serde(
        default,
        deserialize_with = "distinct",
        skip_serializing_if = "BTreeMap::is_empty"
    )]
    pub attributes: BTreeMap<String, String>,
    /// What it sets.
    pub set: Effect,
    /// Added to the budget while it is active, in traces per second.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub extra_traces_per_second: Option<f64>,
    /// Who answers questions about it.
    pub owner: String,
    /// Why it is there.
    pub reason: String,
    /// From when on it is active; at once if absent.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub start: Option<DateTime<Utc>>,
    /// Until when it is active. Never absent in a stored document.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub expires: Option<Expiry>,
    /// Whether it is on.
    #[serde(default = "on")]
    pub enabled: bool,
    /// Whether it may match nothing that is known yet.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub expect: Option<Expect>,
    /// When it got its present form. Never absent in a stored document.
    #[serde(
        default,
        deserialize_with = "given",
        skip_serializing_if = "Option::is_none"
    )]
    pub written_at: Option<DateTime<Utc>>,
}

fn all() -> String {
    "*".into()
}

fn on() -> bool {
    true
}

/// Until when a rule is active.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Expiry {
    /// For ever.
    Never,
    /// Until this time, exclusively.
    At(DateTime<Utc>),
}

/// What an operator expects of a rule that matches nothing.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum Expect {
    /// Its operations will be reported later.
    Later,
}

/// What a rule does at some time.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize)]
#[serde(rename_all = "lowercase")]
pub enum RuleState {
    /// It applies.
    Active,
    /// It is turned off.
    Off,
    /// Its start has not come.
    Waiting,
    /// It ran out.
    Expired,
}

impl Serialize for Expiry {
    fn serialize<S: Serializer>(&self, to: S) -> Result<S::Ok, S::Error> {
        match self {
            Self::Never => to.serialize_str("never"),
            Self::At(at) => at.serialize(to),
        }
    }
}

impl<'de> Deserialize<'de> for Expiry {
    fn deserialize<D: Deserializer<'de>>(from: D) -> Result<Self, D::Error> {
        let text = String::deserialize(from)?;
        if text == "never" {
            return Ok(Self::Never);
        }
        let at = text.parse().map(Self::At);
        at.map_err(|_| D::Error::custom("must be a time like 2026-11-20T09:00:00Z, or never"))
    }
}

impl fmt::Display for Expiry {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Never => f.write_str("never"),
            Self::At(at) => f.write_str(&at.to_rfc3339_opts(chrono::SecondsFormat::AutoSi, true)),
        }
    }
}

impl Rule {
    /// Whether it fixes a probability: a pin or a boost.
    #[must_use]
    pub fn is_pin(&self) -> bool {
        self.set.probability.is_some()
    }

    /// Whether it is for tagged requests alone.
    #[must_use]
    pub fn is_tagged(&self) -> bool {
        !self.attributes.is_empty()
    }

    /// What it sets of the operations that it means. Tagged requests are all kept, up to the cap.
    #[must_use]
    pub fn settings(&self) -> BoundsSettings {
        let set = self.set.settings();
        BoundsSettings {
            probability_min: match self.is_tagged() {
                true => Some(1.0),
                false => set.probability_min,
            },
            ..set
        }
    }

    /// Whether it means the same operations as another one.
    #[must_use]
    pub fn means_like(&self, other: &Self) -> bool {
        self.service == other.service
            && self.operation == other.operation
            && self.is_tagged() == other.is_tagged()
    }

    /// Whether it has the same effect on the same operations as another one, while both are active.
    #[must_use]
    pub fn acts_like(&self, other: &Self) -> bool {
        self.means_like(other)
            && self.attributes == other.attributes
            && self.set == other.set
            && self.extra_traces_per_second == other.extra_traces_per_second
            && self.enabled == other.enabled
    }

    /// The same, active at any time.
    #[must_use]
    pub fn always_active(&self) -> Self {
        Self {
            enabled: true,
            start: None,
            expires: Some(Expiry::Never),
            ..self.clone()
        }
    }

    /// The same, turned off.
    #[must_use]
    pub fn turned_off(&self) -> Self {
        Self {
            enabled: false,
            ..self.clone()
        }
    }

    /// What it does at a time.
    #[must_use]
    pub fn state(&self, at: Timestamp) -> RuleState {
        let is_after = |time: DateTime<Utc>| time.timestamp_millis() > at.0;
        match (self.start, self.expires) {
            _ if !self.enabled => RuleState::Off,
            (_, Some(Expiry::At(end))) if !is_after(end) => RuleState::Expired,
            (Some(start), _) if is_after(start) => RuleState::Waiting,
            _ => RuleState::Active,
        }
    }

    /// Whether it applies at a time.
    #[must_use]
    pub fn is_active(&self, at: Timestamp) -> bool {
        self.state(at) == RuleState::Active
    }

    /// Takes over what Weir sets itself, from the rule that was stored under its name.
    fn complete(&mut self, held: Option<&Self>, now: DateTime<Utc>) {
        let held_expires = held.and_then(|held| held.expires);
        let (given, written) = (self.expires, self.written_at.take());
        let same = held.is_some_and(|held| {
            let mut like = self.clone();
            like.expires = given.or(held_expires);
            like.written_at = held.written_at;
            like == *held
        });
        if same {
            self.expires = given.or(held_expires);
            self.written_at = held.and_then(|held| held.written_at);
            return;
        }
        let changed = written.is_none() || written == held.and_then(|held| held.written_at);
        let at = written.filter(|at| !changed && *at < now).unwrap_or(now);
        self.written_at = Some(at);
        if given.is_none() && self.is_pin() {
            let from = self.start.map_or(now, |start| start.max(now));
            self.expires = from.checked_add_signed(PIN_LASTS).map(Expiry::At);
        }
    }

    fn check(&self, at: &str) -> Result<(), ConfigurationError> {
        let wrong = |field: &str, problem: String| {
            Err(ConfigurationError::new(format!("{at}.{field}"), problem))
        };
        for (field, text) in [("service", &self.service), ("operation", &self.operation)] {
            if let Err(error) = Pattern::parse(text) {
                return wrong(field, error.to_string());
            }
        }
        check_words(at, &self.owner, &self.reason)?;
        if let Some(extra) = self.extra_traces_per_second {
            let field = format!("{at}.extra_traces_per_second");
            within(&field, extra, Configuration::BUDGET_MAX)?;
        }
        match (self.start, self.expires) {
            (_, None) => {
                let problem = "is required: a time like 2026-11-20T09:00:00Z, or never";
                return wrong("expires", problem.into());
            }
            (Some(start), Some(Expiry::At(end))) if start >= end => {
                return wrong("start", "must be before expires".into());
            }
            _ => {}
        }
        self.set.check(&format!("{at}.set"))?;
        if self.is_tagged() {
            tagged::check(self, at)?;
        }
        Ok(())
    }
}

/// Checks the words of something that somebody asked for.
pub(super) fn check_words(at: &str, owner: &str, reason: &str) -> Result<(), ConfigurationError> {
    for (field, text, most) in [("owner", owner, OWNER_MAX), ("reason", reason, REASON_MAX)] {
        let problem = if text.trim().is_empty() {
            "must not be empty".into()
        } else if text.len() > most || text.contains(char::is_control) {
            format!("must be at most {most} bytes without control characters")
        } else {
            continue;
        };
        return Err(ConfigurationError::new(format!("{at}.{field}"), problem));
    }
    Ok(())
}

/// Fills in what Weir sets itself: when a rule was written, and when a fixed probability runs out. A rule that
/// is stored like this already stays as it is.
pub(super) fn complete(
    rules: &mut BTreeMap<String, Rule>,
    held: &BTreeMap<String, Rule>,
    now: DateTime<Utc>,
) {
    for (name, rule) in rules {
        rule.complete(held.get(name), now);
    }
}

/// Checks the rules of a document.
pub(super) fn check(rules: &BTreeMap<String, Rule>) -> Result<(), ConfigurationError> {
    if rules.len() > RULES_MAX {
        let problem = format!(
            "has {} entries; the limit is {RULES_MAX}: delete those that ran out",
            rules.len()
        );
        return Err(ConfigurationError::new("rules".into(), problem));
    }
    let tagged = rules.values().filter(|rule| rule.is_tagged()).count();
    if tagged > TAGGED_RULES_MAX {
        let problem = format!(
            "has {tagged} entries with attributes; the limit is {TAGGED_RULES_MAX}: delete those that ran out"
        );
        return Err(ConfigurationError::new("rules".into(), problem));
    }
    for (name, rule) in rules {
        if !is_name(name) {
            let problem = format!(
                "has a name that must be 1 to {RULE_NAME_MAX} letters, digits, hyphens, dots and \
                 underscores"
            );
            return Err(ConfigurationError::new("rules".into(), problem));
        }
        rule.check(&format!("rules.{name}"))?;
    }
    Ok(())
}

/// Whether a text can be a rule's name. It is a part of paths and stands in log lines.
#[must_use]
pub fn is_name(name: &str) -> bool {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || b"-._".contains(&byte);
    (1..=RULE_NAME_MAX).contains(&name.len())
        && name.bytes().all(fits)
        && name != "."
        && name != ".."
}

/// The rules that began and those that ran out between two times, by name.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct RuleChanges {
    /// They are active now and were not before.
    pub began: Vec<String>,
    /// They were active before and are not now.
    pub ran_out: Vec<String>,
}

impl RuleChanges {
    /// The changes from one time to a later one.
    #[must_use]
    pub fn between(rules: &BTreeMap<String, Rule>, before: Timestamp, now: Timestamp) -> Self {
        let mut changes = Self::default();
        for (name, rule) in rules {
            match (rule.is_active(before), rule.is_active(now)) {
                (false, true) => changes.began.push(name.clone()),
                (true, false) => changes.ran_out.push(name.clone()),
                _ => {}
            }
        }
        changes
    }

    /// Whether nothing changed.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.began.is_empty() && self.ran_out.is_empty()
    }
}

#[cfg(test)]
mod tests;
