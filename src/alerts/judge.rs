//! From what holds at each moment to alerts that begin once and end once.

use std::collections::HashMap;
use std::collections::hash_map::Entry;
use std::time::Duration;

use chrono::{DateTime, Utc};

use super::{Found, Notice, Rule, Seen, Turn};

/// The most subjects of one rule. Others are left out: they are as many groups that have the same fault.
const SUBJECTS_MAX: usize = 20;

/// What was found of one rule and subject, and since when.
struct Held {
    rule: &'static Rule,
    since: Duration,
    last: Duration,
    found: Found,
    begun_at: Option<DateTime<Utc>>,
}

/// Remembers which rules hold.
pub struct Judge {
    interval: Duration,
    held: HashMap<(&'static str, Option<String>), Held>,
}

impl Judge {
    /// A judge that has seen nothing. Durations of rules are in these intervals.
    #[must_use]
    pub fn new(interval: Duration) -> Self {
        Self {
            interval,
            held: HashMap::new(),
        }
    }

    /// What begins and what ends with this. `now` counts on, whatever the clock is set to; `at` is what is said.
    pub fn look(&mut self, seen: &Seen, now: Duration, at: DateTime<Utc>) -> Vec<Notice> {
        let mut notices = Vec::new();
        for rule in super::RULES {
            for found in (rule.holds)(seen).into_iter().take(SUBJECTS_MAX) {
                notices.extend(self.note(rule, found, now, at));
            }
        }
        let interval = self.interval;
        self.held.retain(|_, held| {
            let stays = interval * held.rule.stays;
            let goes_on = held.last == now
                || (held.begun_at.is_some() && now.saturating_sub(held.last) < stays);
            if !goes_on {
                notices.extend(held.notice(Turn::Ended, at));
            }
            goes_on
        });
        notices
    }

    /// Notes that a rule holds now; what is said if it has held for long enough.
    fn note(
        &mut self,
        rule: &'static Rule,
        found: Found,
        now: Duration,
        at: DateTime<Utc>,
    ) -> Option<Notice> {
        let held = match self.held.entry((rule.name, found.subject.clone())) {
            Entry::Occupied(held) => held.into_mut(),
            Entry::Vacant(free) => free.insert(Held {
                rule,
                since: now,
                last: now,
                found: found.clone(),
                begun_at: None,
            }),
        };
        held.last = now;
        held.found = found;
        if held.begun_at.is_some()
            || now.saturating_sub(held.since) < self.interval * rule.intervals
        {
            return None;
        }
        held.begun_at = Some(at);
        held.notice(Turn::Begun, at)
    }
}

impl Held {
    /// What is said; nothing of what never began.
    fn notice(&self, state: Turn, at: DateTime<Utc>) -> Option<Notice> {
        let said = (self.rule.says)(&self.found);
        Some(Notice {
            alert: self.rule.name,
            state,
            severity: self.rule.severity,
            subject: self.found.subject.clone(),
            value: self.found.value,
            text: match state {
                Turn::Begun => said,
                Turn::Ended => format!("ended: {said}"),
            },
            begun_at: self.begun_at?,
            at,
            runbook: format!("docs/operations.md#{}", self.rule.name.to_lowercase()),
            about: self.rule.about,
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::alerts::Severity;

    const INTERVAL: Duration = Duration::from_secs(60);

    /// What is said, minute by minute.
    fn said(minutes: &[Seen]) -> Vec<(usize, &'static str, Turn)> {
        let mut judge = Judge::new(INTERVAL);
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let all = minutes.iter().enumerate().flat_map(|(minute, seen)| {
            let now = INTERVAL * u32::try_from(minute).unwrap();
            let notices = judge.look(seen, now, at);
            notices
                .into_iter()
                .map(move |of| (minute, of.alert, of.state))
        });
        all.collect()
    }

    fn incomplete() -> Seen {
        Seen {
            completeness: 0.5,
            ..Seen::default()
        }
    }

    #[test]
    fn an_alert_is_said_once_when_it_has_held_for_long_enough_and_once_when_it_ends() {
        let mut minutes = vec![incomplete(); 7];
        minutes.extend([Seen::default(), Seen::default()]);
        let missing = "WeirAgentsMissing";
        let expected = [(3, missing, Turn::Begun), (7, missing, Turn::Ended)];
        assert_eq!(said(&minutes), expected);
    }

    #[test]
    fn what_holds_for_a_moment_is_not_said() {
        let mut minutes = vec![incomplete(); 3];
        minutes.push(Seen::default());
        minutes.extend(vec![incomplete(); 3]);
        assert_eq!(said(&minutes), []);
    }

    #[test]
    fn a_claim_is_remembered_for_a_while() {
        let claim = Seen {
            claims: 1,
            ..Seen::default()
        };
        let mut minutes = vec![claim];
        minutes.extend(vec![Seen::default(); 16]);
        let name = "WeirClaimsHeldApart";
        assert_eq!(
            said(&minutes),
            [(0, name, Turn::Begun), (15, name, Turn::Ended)]
        );
    }

    #[test]
    fn each_group_has_an_alert_of_its_own_and_their_number_is_bounded() {
        let missing = |count: usize| Seen {
            group_missing: (0..count).map(|of| (format!("g{of}"), 2.0)).collect(),
            ..Seen::default()
        };
        let minutes = [vec![missing(100); 6], vec![missing(1)]].concat();
        let said = said(&minutes);
        let of = |turn| said.iter().filter(|(_, _, of)| *of == turn).count();
        assert_eq!((of(Turn::Begun), of(Turn::Ended)), (20, 19));
    }

    #[test]
    fn a_notice_is_a_document_that_names_its_runbook() {
        let mut judge = Judge::new(INTERVAL);
        let at = DateTime::from_timestamp(0, 0).unwrap();
        let seen = Seen {
            database_available: false,
            ..Seen::default()
        };
        judge.look(&seen, Duration::ZERO, at);
        let notices = judge.look(&seen, INTERVAL, at);
        assert_eq!(notices[0].severity, Severity::Page);
        assert_eq!(
            serde_json::to_value(&notices[0]).unwrap(),
            serde_json::json!({
                "alert": "WeirDatabaseUnavailable", "state": "begun", "severity": "page", "subject": null, "value": 1.0,
                "text": "the database does not answer; the last plan is served, and agents send their reports again",
                "begun_at": "1970-01-01T00:00:00Z", "at": "1970-01-01T00:00:00Z",
                "runbook": "docs/operations.md#weirdatabaseunavailable",
            })
        );
    }
}
