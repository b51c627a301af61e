//! What begins and ends by the clock: rules, a freeze, an emergency. Says when, of a stored document and of the
//! changes that follow it.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Deserialize;
use serde_json::Value;

use super::rules::{Expiry, is_name};

/// Something that begins or ends by the clock.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub enum Timed {
    /// The emergency.
    Emergency,
    /// The freeze.
    Freeze,
    /// A rule, by its name.
    Rule(String),
}

/// What came by itself.
#[derive(Debug, Clone, PartialEq, Eq, PartialOrd, Ord)]
pub struct ByItself {
    /// When.
    pub at: DateTime<Utc>,
    /// What.
    pub of: Timed,
    /// Whether it ran out; otherwise it began.
    pub ended: bool,
}

/// When everything begins and ends.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Timers(BTreeMap<Timed, Times>);

#[derive(Debug, Clone, Copy, Default, PartialEq, Eq)]
struct Times {
    is_on: bool,
    start: Option<DateTime<Utc>>,
    end: Option<DateTime<Utc>>,
}

/// The times of a stored document. Everything else in it may be of a newer release.
#[derive(Deserialize)]
struct Document {
    #[serde(default)]
    rules: BTreeMap<String, OfRule>,
    freeze: Option<Control>,
    emergency: Option<Control>,
}

#[derive(Deserialize)]
struct OfRule {
    #[serde(default = "on")]
    enabled: bool,
    start: Option<DateTime<Utc>>,
    expires: Option<Expiry>,
}

#[derive(Deserialize)]
struct Control {
    expires: Option<Expiry>,
}

fn on() -> bool {
    true
}

fn end(expires: Option<Expiry>) -> Option<DateTime<Utc>> {
    match expires {
        Some(Expiry::At(at)) => Some(at),
        Some(Expiry::Never) | None => None,
    }
}

impl Timers {
    /// The times of a stored document; none if it cannot be read.
    #[must_use]
    pub fn read(document: &str) -> Option<Self> {
        let read: Document = serde_json::from_str(document).ok()?;
        let controls = [
            (Timed::Freeze, read.freeze),
            (Timed::Emergency, read.emergency),
        ];
        let controls = controls.into_iter().filter_map(|(of, control)| {
            let times = Times {
                is_on: true,
                start: None,
                end: end(control?.expires),
            };
            Some((of, times))
        });
        let rules = read.rules.into_iter().map(|(name, rule)| {
            let times = Times {
                is_on: rule.enabled,
                start: rule.start,
                end: end(rule.expires),
            };
            (Timed::Rule(name), times)
        });
        Some(Self(controls.chain(rules).collect()))
    }

    /// Takes over what a field of the document became; null if it is gone. Fields without a time are ignored.
    pub fn set(&mut self, field: &str, value: &Value) {
        let time = value.as_str().and_then(|time| time.parse().ok());
        match field {
            "freeze.expires" => self.control(Timed::Freeze, time),
            "emergency.expires" => self.control(Timed::Emergency, time),
            _ => {
                let rule = field.strip_prefix("rules.");
                let Some((name, of)) = rule.and_then(|rest| rest.rsplit_once('.')) else {
                    return;
                };
                if matches!(of, "enabled" | "start" | "expires") && is_name(name) {
                    let times = self.0.entry(Timed::Rule(name.to_owned())).or_default();
                    match of {
                        "enabled" => times.is_on = value == &Value::Bool(true),
                        "start" => times.start = time,
                        _ => times.end = time,
                    }
                }
            }
        }
    }

    fn control(&mut self, of: Timed, end: Option<DateTime<Utc>>) {
        let times = Times {
            is_on: true,
            start: None,
            end,
        };
        self.0.insert(of, times);
    }

    /// What begins or ends after one time, and not after another.
    #[must_use]
    pub fn between(&self, after: DateTime<Utc>, until: DateTime<Utc>) -> Vec<ByItself> {
        let is_on = self.0.iter().filter(|(_, times)| times.is_on);
        let all = is_on.flat_map(|(of, times)| {
            let event = |ended| move |at| (of, at, ended);
            let began = times.start.map(event(false));
            began.into_iter().chain(times.end.map(event(true)))
        });
        let found = all.filter(|(_, at, _)| after < *at && *at <= until);
        found
            .map(|(of, at, ended)| ByItself {
                at,
                of: of.clone(),
                ended,
            })
            .collect()
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp(minutes * 60, 0).expect("a time")
    }

    fn said(timers: &Timers, after: i64, until: i64) -> Vec<(i64, Timed, bool)> {
        let mut found = timers.between(at(after), at(until));
        found.sort();
        let said = found.into_iter();
        said.map(|of| (of.at.timestamp() / 60, of.of, of.ended))
            .collect()
    }

    #[test]
    fn a_stored_document_says_what_comes_by_itself() {
        let document = json!({
            "something": { "new": [1] },
            "freeze": { "owner": "ann", "expires": at(5) },
            "emergency": { "factor": 0.1, "expires": at(6) },
            "rules": {
                "a.b": { "start": at(7), "expires": at(9), "enabled": true },
                "off": { "start": at(7), "expires": at(9), "enabled": false },
                "ever": { "expires": "never" },
            },
        });
        let timers = Timers::read(&document.to_string()).unwrap();
        let rule = || Timed::Rule("a.b".into());
        let expected = [
            (5, Timed::Freeze, true),
            (6, Timed::Emergency, true),
            (7, rule(), false),
            (9, rule(), true),
        ];
        assert_eq!(said(&timers, 0, 60), expected);
        assert_eq!(said(&timers, 5, 7), expected[1..3]);
        assert_eq!(Timers::read("{"), None);
    }

    #[test]
    fn recorded_changes_move_what_comes_by_itself() {
        let mut timers = Timers::default();
        for (field, value) in [
            ("rules.a.start", json!(at(1))),
            ("rules.a.expires", json!(at(2))),
            ("rules.a.enabled", json!(true)),
            // The name of an attribute is no field of a rule.
            ("rules.a.attributes.x.expires", json!(at(3))),
            ("rules.a.attributes.x.enabled", json!("true")),
            ("freeze.expires", json!(at(4))),
            ("budget.traces_per_second", json!(9.0)),
        ] {
            timers.set(field, &value);
        }
        let rule = |minute, ended| (minute, Timed::Rule("a".into()), ended);
        let freeze = (4, Timed::Freeze, true);
        let all = [rule(1, false), rule(2, true), freeze.clone()];
        assert_eq!(said(&timers, 0, 60), all);
        timers.set("rules.a.enabled", &Value::Null);
        assert_eq!(said(&timers, 0, 60), [freeze]);
        timers.set("freeze.expires", &Value::Null);
        assert_eq!(said(&timers, 0, 60), []);
    }
}
