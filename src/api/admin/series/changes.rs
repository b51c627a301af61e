//! What changed in a range: changes of the configuration, and what began or ran out by itself.

use std::collections::BTreeMap;

use chrono::{DateTime, Utc};
use serde::Serialize;
use serde_json::Value;

use super::super::Admin;
use crate::configuration::{Configuration, Expiry};
use crate::http::problem::Problem;
use crate::store::{AuditAsked, AuditEntry};

/// The most changes of an answer: the newest.
const CHANGES_MAX: usize = 200;

/// Entries of the audit that are read at a time, and at most.
const PAGE: u32 = 200;
const ENTRIES_MAX: usize = 1000;

/// The words of a change that are shown.
const WORDS: usize = 3;

/// Something that changed.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub(super) struct Change {
    at: DateTime<Utc>,
    /// The action of the audit; what begins or ends by itself ends in `.began` or `.ran_out`.
    what: String,
    subject: Option<String>,
    by: Option<String>,
    reason: Option<String>,
    /// The entry of the audit.
    entry: Option<u64>,
    revision: Option<u64>,
    words: Vec<String>,
}

/// The changes of a range.
#[derive(Debug, Default, PartialEq)]
pub(super) struct Changes {
    /// The newest, oldest first.
    pub listed: Vec<Change>,
    /// Whether there are older ones.
    pub more: bool,
}

impl Changes {
    /// Reads what changed from one time to another.
    pub async fn read(
        admin: &Admin,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let (entries, more) = recorded(admin, start, end).await?;
        let stored = admin.store.configuration().await?;
        let running = Configuration::read(&stored).unwrap_or_default();
        let mut changes = Self::of(&entries, &running, start, end);
        changes.more |= more;
        Ok(changes)
    }

    fn of(
        entries: &[AuditEntry],
        running: &Configuration,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Self {
        let mut listed: Vec<Change> = entries.iter().map(Change::from).collect();
        let by_itself = Timers::of(entries).and_running(running).changes();
        let is_in = |at: DateTime<Utc>| start <= at && at < end;
        listed.extend(by_itself.into_iter().filter(|change| is_in(change.at)));
        listed.sort_by_key(|change| change.at);
        let over = listed.len().saturating_sub(CHANGES_MAX);
        Self {
            listed: listed.split_off(over),
            more: over > 0,
        }
    }
}

/// The recorded changes of the configuration in a range, oldest first, and whether there are more.
async fn recorded(
    admin: &Admin,
    start: DateTime<Utc>,
    end: DateTime<Utc>,
) -> Result<(Vec<AuditEntry>, bool), Problem> {
    let mut asked = AuditAsked {
        start: Some(start),
        end: Some(end),
        limit: PAGE,
        ..AuditAsked::default()
    };
    let (mut found, mut read) = (Vec::new(), 0);
    let more = loop {
        let page = admin.store.audit(&asked).await?;
        read += page.len();
        asked.before = page.last().map(|entry| entry.id);
        let is_last = page.len() < PAGE as usize;
        found.extend(page.into_iter().filter(|of| of.entry.revisions.is_some()));
        if is_last {
            break false;
        }
        if read >= ENTRIES_MAX || found.len() >= CHANGES_MAX {
            break true;
        }
    };
    found.reverse();
    Ok((found, more))
}

impl From<&AuditEntry> for Change {
    fn from(stored: &AuditEntry) -> Self {
        let entry = &stored.entry;
        let change: Value = serde_json::from_str(&entry.change).unwrap_or_default();
        let words = change["words"].as_array().into_iter().flatten();
        let words = words.filter_map(|words| words.as_str().map(str::to_owned));
        Self {
            at: stored.at,
            what: entry.action.name().to_owned(),
            subject: entry.subject.clone(),
            by: Some(entry.by.clone()),
            reason: entry.reason.clone(),
            entry: Some(stored.id),
            revision: entry.revisions.map(|(_, after)| after),
            words: words.take(WORDS).collect(),
        }
    }
}

/// When rules, a freeze and an emergency begin and run out. By the path in the document, the time.
#[derive(Default)]
struct Timers {
    planned: BTreeMap<String, DateTime<Utc>>,
    came: Vec<(String, DateTime<Utc>)>,
}

impl Timers {
    /// What recorded changes, oldest first, have set.
    fn of(entries: &[AuditEntry]) -> Self {
        let mut timers = Self::default();
        for entry in entries {
            let change: Value = serde_json::from_str(&entry.entry.change).unwrap_or_default();
            for field in change["fields"].as_array().into_iter().flatten() {
                let Some(path) = field["field"].as_str().filter(|path| is_timer(path)) else {
                    continue;
                };
                timers.set(path, time(&field["after"]), entry.at);
            }
        }
        timers
    }

    /// What the running configuration has, as far as nothing else is known of it.
    fn and_running(mut self, running: &Configuration) -> Self {
        let at = |expires: &Option<Expiry>| match expires {
            Some(Expiry::At(at)) => Some(*at),
            _ => None,
        };
        let mut held = Vec::new();
        for (name, rule) in running.rules.iter().filter(|(_, rule)| rule.enabled) {
            held.push((format!("rules.{name}.start"), rule.start));
            held.push((format!("rules.{name}.expires"), at(&rule.expires)));
        }
        let freeze = running.freeze.as_ref();
        held.push((
            "freeze.expires".into(),
            freeze.and_then(|of| at(&of.expires)),
        ));
        let emergency = running.emergency.as_ref();
        let emergency = emergency.and_then(|of| of.expires);
        held.push(("emergency.expires".into(), emergency));
        for (path, time) in held {
            if let Some(time) = time {
                self.planned.entry(path).or_insert(time);
            }
        }
        self
    }

    /// Notes that a time was set, or taken away. What came before that stays.
    fn set(&mut self, path: &str, time: Option<DateTime<Utc>>, at: DateTime<Utc>) {
        if let Some(before) = self.planned.remove(path).filter(|before| *before <= at) {
            self.came.push((path.to_owned(), before));
        }
        if let Some(time) = time {
            self.planned.insert(path.to_owned(), time);
        }
    }

    fn changes(self) -> Vec<Change> {
        let all = self.came.into_iter().chain(self.planned);
        all.map(|(path, at)| by_itself(&path, at)).collect()
    }
}

fn is_timer(path: &str) -> bool {
    let of_rule = path.starts_with("rules.");
    matches!(path, "freeze.expires" | "emergency.expires")
        || of_rule && (path.ends_with(".expires") || path.ends_with(".start"))
}

fn time(value: &Value) -> Option<DateTime<Utc>> {
    value.as_str()?.parse().ok()
}

fn by_itself(path: &str, at: DateTime<Utc>) -> Change {
    let ended = path.ends_with(".expires");
    let event = if ended { "ran_out" } else { "began" };
    let (of, subject) = match path.strip_prefix("rules.") {
        Some(rest) => {
            let name = rest.strip_suffix(".expires");
            let name = name.or_else(|| rest.strip_suffix(".start"));
            ("rule", name.map(str::to_owned))
        }
        None => (path.trim_end_matches(".expires"), None),
    };
    Change {
        at,
        what: format!("{of}.{event}"),
        subject,
        by: None,
        reason: None,
        entry: None,
        revision: None,
        words: Vec::new(),
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;
    use crate::store::NewAuditEntry;

    fn at(minutes: i64) -> DateTime<Utc> {
        DateTime::from_timestamp_millis(minutes * 60_000).unwrap()
    }

    fn entry(id: u64, minutes: i64, fields: &[(&str, Value)]) -> AuditEntry {
        let fields: Vec<Value> = fields
            .iter()
            .map(|(field, after)| json!({"field": field, "after": after}))
            .collect();
        AuditEntry {
            id,
            at: at(minutes),
            entry: NewAuditEntry {
                by: "anna".into(),
                kind: "token".into(),
                role: None,
                address: None,
                origin: Default::default(),
                action: Default::default(),
                subject: None,
                reason: None,
                revisions: Some((id, id + 1)),
                change: json!({"fields": fields, "words": ["a", "b", "c", "d"]}).to_string(),
                predicted: None,
            },
            measured: None,
        }
    }

    #[test]
    fn what_runs_out_by_itself_is_a_change_unless_somebody_ends_it_before() {
        let entries = [
            entry(1, 1, &[("freeze.expires", json!(at(5)))]),
            entry(2, 3, &[("freeze.expires", Value::Null)]),
            entry(
                3,
                10,
                &[
                    ("rules.a.b.start", json!(at(12))),
                    ("rules.a.b.expires", json!(at(20))),
                    ("rules.c.expires", json!(at(90))),
                ],
            ),
            entry(4, 15, &[("rules.a.b.expires", json!(at(30)))]),
            entry(5, 40, &[("rules.a.b.expires", Value::Null)]),
        ];
        let changes = Changes::of(&entries, &Configuration::default(), at(0), at(60));
        let said: Vec<_> = changes
            .listed
            .iter()
            .map(|change| {
                let minutes = change.at.timestamp() / 60;
                let subject = change.subject.as_deref().unwrap_or_default();
                (minutes, format!("{} {subject}", change.what))
            })
            .filter(|(_, what)| !what.starts_with("configuration"))
            .collect();
        let expected = [(12, "rule.began a.b"), (30, "rule.ran_out a.b")];
        assert_eq!(said, expected.map(|(at, what)| (at, what.to_owned())));
        assert_eq!(changes.listed[0].words, ["a", "b", "c"]);
        assert!(!changes.more);
    }
}
