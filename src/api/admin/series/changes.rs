//! What changed in a range: changes of the configuration, and what began or ran out by itself.
//!
//! The first are in the audit. The second follow from what was set when the range begins, and from each change since.

use std::ops::Range;

use chrono::{DateTime, TimeDelta, Utc};
use serde::Serialize;
use serde_json::Value;

use super::super::Admin;
use crate::configuration::{ByItself, Timed, Timers};
use crate::http::problem::Problem;
use crate::store::{AuditAsked, AuditEntry, StoreError};

/// The most changes of an answer: the newest.
const CHANGES_MAX: usize = 200;

/// Entries of the audit that are read at a time, and at most.
const PAGE: u32 = 200;
const ENTRIES_MAX: usize = 1000;

/// Revisions that are read at most, where an entry of the audit does not say all that a change changed.
const REVISIONS_MAX: usize = 10;

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
    /// Reads what changed from one time to another, or until now.
    pub async fn read(
        admin: &Admin,
        start: DateTime<Utc>,
        end: DateTime<Utc>,
    ) -> Result<Self, Problem> {
        let (entries, more) = recorded(admin, start, end).await?;
        let since = match entries.first() {
            Some(oldest) if more => oldest.at,
            _ => start,
        };
        let mut clockwork = Clockwork::new(admin);
        // From the first instant on: what comes after the one before it.
        let before = since.checked_sub_signed(TimeDelta::milliseconds(1));
        let after = before.unwrap_or(since);
        let came = clockwork.follow(&entries, after..end.min(admin.clock.now()));
        let came = came.await?.into_iter().filter(|of| of.at < end);
        let mut listed: Vec<Change> = entries.iter().map(Change::from).collect();
        listed.extend(came.map(Change::from));
        listed.sort_by_key(|change| change.at);
        let over = listed.len().saturating_sub(CHANGES_MAX);
        Ok(Self {
            listed: listed.split_off(over),
            more: more || over > 0 || clockwork.is_incomplete,
        })
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

impl From<ByItself> for Change {
    fn from(came: ByItself) -> Self {
        let (of, subject) = match came.of {
            Timed::Rule(name) => ("rule", Some(name)),
            Timed::Freeze => ("freeze", None),
            Timed::Emergency => ("emergency", None),
        };
        let event = if came.ended { "ran_out" } else { "began" };
        Self {
            at: came.at,
            what: format!("{of}.{event}"),
            subject,
            by: None,
            reason: None,
            entry: None,
            revision: None,
            words: Vec::new(),
        }
    }
}

/// Follows what is set to begin and end by itself, from change to change.
struct Clockwork<'a> {
    admin: &'a Admin,
    timers: Timers,
    /// The revision that `timers` are of.
    revision: Option<u64>,
    /// How many revisions were read.
    read: usize,
    /// Whether a revision was deleted, or could not be read, so that something may be missing.
    is_incomplete: bool,
}

impl<'a> Clockwork<'a> {
    fn new(admin: &'a Admin) -> Self {
        Self {
            admin,
            timers: Timers::default(),
            revision: None,
            read: 0,
            is_incomplete: false,
        }
    }

    /// What comes by itself after the start of a range and until its end. The entries are the changes in it, oldest
    /// first.
    async fn follow(
        &mut self,
        entries: &[AuditEntry],
        range: Range<DateTime<Utc>>,
    ) -> Result<Vec<ByItself>, StoreError> {
        if entries.is_empty() {
            let revision = in_force(self.admin, range.start).await?;
            self.set(revision).await?;
        }
        let (mut came, mut after) = (Vec::new(), range.start);
        for entry in entries {
            let Some((before, next)) = entry.entry.revisions else {
                continue;
            };
            // The first, or one that follows a change that was not recorded.
            if self.revision != Some(before) {
                self.set(before).await?;
            }
            came.extend(self.timers.between(after, entry.at));
            after = entry.at;
            if self.apply(entry) {
                self.revision = Some(next);
            } else {
                self.set(next).await?;
            }
        }
        came.extend(self.timers.between(after, range.end));
        Ok(came)
    }

    /// Takes over the fields that a change changed; false if it does not list all of them.
    fn apply(&mut self, entry: &AuditEntry) -> bool {
        let change: Value = serde_json::from_str(&entry.entry.change).unwrap_or_default();
        for field in change["fields"].as_array().into_iter().flatten() {
            if let Some(path) = field["field"].as_str() {
                self.timers.set(path, &field["after"]);
            }
        }
        change["fields_left_out"] == 0
    }

    /// Takes over what a revision has.
    async fn set(&mut self, revision: u64) -> Result<(), StoreError> {
        self.read += 1;
        let stored = match self.read <= REVISIONS_MAX {
            true => self.admin.store.configuration_revision(revision).await?,
            false => None,
        };
        let timers = stored.and_then(|stored| Timers::read(&stored.document));
        self.is_incomplete |= timers.is_none();
        self.timers = timers.unwrap_or_default();
        self.revision = Some(revision);
        Ok(())
    }
}

/// The newest revision that was written by a time, or the oldest that may still be there. Revisions have no gaps.
async fn in_force(admin: &Admin, at: DateTime<Utc>) -> Result<u64, StoreError> {
    let newest = admin.store.configuration_revisions(None, 1).await?;
    let Some(newest) = newest.first() else {
        return Ok(1);
    };
    if newest.written_at <= at {
        return Ok(newest.revision);
    }
    // The first was not written later, or was deleted.
    let (mut from, mut to) = (1, newest.revision);
    while to - from > 1 {
        let middle = from + (to - from) / 2;
        let mark = admin.store.configuration_revisions(Some(middle + 1), 1);
        let mark = mark.await?;
        let is_later = mark.first().is_some_and(|mark| mark.written_at > at);
        *(if is_later { &mut to } else { &mut from }) = middle;
    }
    Ok(from)
}
