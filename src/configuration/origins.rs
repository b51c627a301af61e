//! Who last wrote each object of the configuration, and from where, so that files and people do not overwrite each
//! other unawares.
//!
//! It is stored beside the document. A file is refused to change what somebody else wrote since; a person is told of
//! the file. docs/origins.md says it for operators.

mod mark;

use std::collections::BTreeMap;
use std::sync::Arc;

use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

pub use mark::{Mark, Overwrote};

use super::{Configuration, Kind, Object, Owns, PARTS_MAX, RuleState};
use crate::allocation::Timestamp;
use crate::store::Origin;

/// The longest reason that is kept with an object, in bytes; the audit has it whole.
const REASON_BYTES: usize = 256;

/// The most objects that are remembered because a person deleted them from what a file had written.
const GONE_MAX: usize = 1_000;

/// A part that a file owns.
#[derive(Debug, Clone, PartialEq, Serialize, Deserialize)]
struct OwnedPart {
    owns: Owns,
    by: String,
    at: DateTime<Utc>,
}

/// Who last wrote each object. What nobody is known for has no mark.
#[derive(Debug, Clone, Default, PartialEq)]
pub struct Origins {
    marks: BTreeMap<Object, Arc<Mark>>,
    parts: BTreeMap<String, OwnedPart>,
}

/// Who writes, and from where.
#[derive(Debug, Clone)]
pub struct Writer<'w> {
    /// What sends it.
    pub origin: Origin,
    /// Who.
    pub by: &'w str,
    /// Why.
    pub reason: Option<&'w str>,
    /// When.
    pub now: DateTime<Utc>,
    /// The revision that it becomes.
    pub revision: u64,
    /// What the file owns; none if it is the whole configuration, or if it is no file.
    pub owns: Option<&'w Owns>,
}

/// An object that a write changes although somebody else wrote it.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overwrite {
    /// Its path in the document.
    pub object: String,
    /// Who wrote it; none if it is new and its name belongs to a part.
    #[serde(flatten)]
    pub mark: Option<Mark>,
    /// The part that its name belongs to, if it is another one than the writer's.
    pub owned_by: Option<String>,
    /// Who answers questions about it, if it says so itself.
    pub owner: Option<String>,
    /// Why it is there, if it says so itself.
    pub why: Option<String>,
}

/// Two parts that own the same names.
#[derive(Debug, Clone, PartialEq, Serialize)]
pub struct Overlap {
    /// The kind of the objects.
    pub kind: Kind,
    /// What this part lists.
    pub listed: String,
    /// The other part, and what it lists.
    pub part: String,
    /// What the other part lists.
    pub lists: String,
    /// Who applied the other part's file.
    pub by: String,
    /// When.
    pub at: DateTime<Utc>,
}

/// As it is stored: what is written together shares a mark.
#[derive(Serialize, Deserialize)]
struct Stored {
    #[serde(default, skip_serializing_if = "BTreeMap::is_empty")]
    parts: BTreeMap<String, OwnedPart>,
    written: Vec<Written>,
}

#[derive(Serialize, Deserialize)]
struct Written {
    #[serde(flatten)]
    mark: Mark,
    objects: Vec<String>,
}

impl Origins {
    /// Reads what is stored.
    ///
    /// # Errors
    /// It cannot be read: a newer Weir wrote it, or it is damaged.
    pub fn read(document: &str) -> Result<Self, String> {
        let stored: Stored = serde_json::from_str(document).map_err(|error| error.to_string())?;
        let mut marks = BTreeMap::new();
        for Written { mark, objects } in stored.written {
            let mark = Arc::new(mark);
            let objects = objects.iter().filter_map(|path| Object::parse(path));
            marks.extend(objects.map(|object| (object, Arc::clone(&mark))));
        }
        let parts = stored.parts;
        Ok(Self { marks, parts })
    }

    /// The document to store.
    #[must_use]
    pub fn document(&self) -> String {
        let mut together: BTreeMap<String, Written> = BTreeMap::new();
        for (object, mark) in &self.marks {
            let key = serde_json::to_string(&**mark).expect("texts and numbers serialise");
            let written = together.entry(key).or_insert_with(|| Written {
                mark: (**mark).clone(),
                objects: Vec::new(),
            });
            written.objects.push(object.to_string());
        }
        let stored = Stored {
            parts: self.parts.clone(),
            written: together.into_values().collect(),
        };
        serde_json::to_string(&stored).expect("texts and numbers serialise")
    }

    /// Who last wrote an object, if that is known and it is there.
    #[must_use]
    pub fn of(&self, kind: Kind, name: &str) -> Option<&Mark> {
        let mark = self.marks.get(&Object::new(kind, name));
        mark.map(|mark| &**mark).filter(|mark| !mark.gone)
    }

    /// Every object that is there and whose writer is known.
    pub fn of_all(&self) -> impl Iterator<Item = (&Object, &Mark)> {
        let there = self.marks.iter().filter(|(_, mark)| !mark.gone);
        there.map(|(object, mark)| (object, &**mark))
    }

    /// What each part owns, by its name.
    pub fn parts(&self) -> impl Iterator<Item = &Owns> {
        self.parts.values().map(|part| &part.owns)
    }

    /// The other part that an object belongs to: its name is owned by it.
    fn owner(&self, object: &Object, writer: &Writer<'_>) -> Option<&str> {
        let own = writer.owns.map(|owns| &*owns.name);
        let others = self.parts.iter().filter(|(name, _)| Some(&***name) != own);
        let mut owners = others.filter(|(_, part)| part.owns.has_object(object));
        owners.next().map(|(name, _)| &**name)
    }

    /// Who wrote the objects after a change.
    #[must_use]
    pub fn after(&self, held: &Configuration, next: &Configuration, writer: &Writer<'_>) -> Self {
        let mut after = self.clone();
        let mark = Arc::new(writer.mark());
        for object in held.objects_differing(next) {
            let before = self.marks.get(&object);
            let overwrote = before.and_then(|mark| mark.of_file());
            let overwrote = overwrote.filter(|_| writer.origin != Origin::File);
            match overwrote {
                Some(overwrote) => {
                    let mark = Mark {
                        overwrote: Some(overwrote),
                        gone: !next.has(&object),
                        ..writer.mark()
                    };
                    after.marks.insert(object, Arc::new(mark));
                }
                None if next.has(&object) => drop(after.marks.insert(object, Arc::clone(&mark))),
                None => drop(after.marks.remove(&object)),
            }
        }
        if writer.origin == Origin::File {
            after.take_over(next, writer, &mark);
        }
        after.forget_gone();
        after
    }

    /// What a file has as it is belongs to it from now on, unless it is another part's.
    fn take_over(&mut self, next: &Configuration, writer: &Writer<'_>, mark: &Arc<Mark>) {
        let is_owned = |object: &Object| writer.owns.is_none_or(|owns| owns.has_object(object));
        let owned: Vec<Object> = next.objects().filter(is_owned).collect();
        for object in owned {
            let is_its_own = |held: &Mark| held.origin == Origin::File && held.part == mark.part;
            let held = self.marks.get(&object);
            if held.is_some_and(|held| is_its_own(held)) || self.owner(&object, writer).is_some() {
                continue;
            }
            self.marks.insert(object, Arc::clone(mark));
        }
        // The file agrees that these are gone.
        let gone = self.marks.iter().filter(|(_, mark)| mark.gone);
        let gone = gone.map(|(object, _)| object);
        let gone = gone.filter(|of| is_owned(of) && self.owner(of, writer).is_none());
        for object in gone.cloned().collect::<Vec<_>>() {
            self.marks.remove(&object);
        }
        let Some(owns) = writer.owns else { return };
        if owns.is_empty() {
            self.parts.remove(&owns.name);
        } else if self
            .parts
            .get(&owns.name)
            .is_none_or(|part| part.owns != *owns)
        {
            let part = OwnedPart {
                owns: owns.clone(),
                by: writer.by.to_owned(),
                at: writer.now,
            };
            self.parts.insert(owns.name.clone(), part);
        }
    }

    /// Forgets the oldest of the objects that are not there any more.
    fn forget_gone(&mut self) {
        let gone = self.marks.iter().filter(|(_, mark)| mark.gone);
        let mut gone: Vec<_> = gone
            .map(|(object, mark)| (mark.revision, object.clone()))
            .collect();
        let beyond = gone.len().saturating_sub(GONE_MAX);
        gone.sort_unstable();
        for (_, object) in gone.into_iter().take(beyond) {
            self.marks.remove(&object);
        }
    }

    /// The objects that a write changes although somebody else wrote them: for a file, what is not its own; for
    /// anybody else, what a file has.
    #[must_use]
    pub fn overwrites(
        &self,
        held: &Configuration,
        next: &Configuration,
        writer: &Writer<'_>,
    ) -> Vec<Overwrite> {
        let changed = held.objects_differing(next).into_iter();
        changed
            .filter_map(|object| {
                let mark = self.marks.get(&object).map(|mark| &**mark);
                let owned_by = self.owner(&object, writer);
                let others = match writer.origin {
                    Origin::File => {
                        let ran_out = !next.has(&object) && held.ran_out(&object, writer.now);
                        !ran_out && mark.is_some_and(|mark| !mark.is_of(writer))
                    }
                    _ => mark.is_some_and(|mark| mark.of_file().is_some()),
                };
                (others || owned_by.is_some()).then(|| {
                    let (owner, why) = held.words_of(&object).unzip();
                    Overwrite {
                        mark: mark.cloned(),
                        owned_by: owned_by.map(str::to_owned),
                        owner,
                        why,
                        object: object.to_string(),
                    }
                })
            })
            .collect()
    }

    /// The names that a new or changed part owns although another part does.
    #[must_use]
    pub fn overlaps(&self, owns: Option<&Owns>) -> Vec<Overlap> {
        let Some(owns) = owns else { return Vec::new() };
        let known = self.parts.get(&owns.name);
        if known.is_some_and(|part| part.owns == *owns) {
            return Vec::new();
        }
        let others = self.parts.iter().filter(|(name, _)| **name != owns.name);
        let overlaps = others.filter_map(|(name, part)| {
            let (kind, listed, lists) = owns.overlap(&part.owns)?;
            Some(Overlap {
                kind,
                listed: listed.to_owned(),
                part: name.clone(),
                lists: lists.to_owned(),
                by: part.by.clone(),
                at: part.at,
            })
        });
        overlaps.collect()
    }

    /// Whether there is no room for one part more.
    #[must_use]
    pub fn is_full_for(&self, owns: &Owns) -> bool {
        self.parts.len() >= PARTS_MAX && !self.parts.contains_key(&owns.name)
    }
}

impl Writer<'_> {
    fn mark(&self) -> Mark {
        let reason = self.reason.map(|reason| {
            let end = reason.floor_char_boundary(REASON_BYTES);
            reason[..end].to_owned()
        });
        Mark {
            origin: self.origin,
            by: self.by.to_owned(),
            at: self.now,
            revision: self.revision,
            reason,
            part: self.owns.map(|owns| owns.name.clone()),
            gone: false,
            overwrote: None,
        }
    }
}

impl Configuration {
    /// Whether an object had run out at a time, so that nobody misses it.
    fn ran_out(&self, object: &Object, now: DateTime<Utc>) -> bool {
        let now = Timestamp(now.timestamp_millis());
        match (object.kind, &*object.name) {
            (Kind::Settings, "freeze") => self.freeze.as_ref().is_some_and(|of| !of.is_active(now)),
            (Kind::Settings, "emergency") => {
                self.emergency.as_ref().is_some_and(|of| !of.is_active(now))
            }
            (Kind::Rules, id) => {
                let rule = self.rules.get(id);
                rule.is_some_and(|rule| rule.state(now) == RuleState::Expired)
            }
            _ => false,
        }
    }

    /// Who answers questions about an object, and why it is there, if it says so itself.
    fn words_of(&self, object: &Object) -> Option<(String, String)> {
        let (owner, reason) = match (object.kind, &*object.name) {
            (Kind::Settings, "freeze") => self.freeze.as_ref().map(|of| (&of.owner, &of.reason))?,
            (Kind::Settings, "emergency") => {
                self.emergency.as_ref().map(|of| (&of.owner, &of.reason))?
            }
            (Kind::Rules, id) => self.rules.get(id).map(|of| (&of.owner, &of.reason))?,
            _ => return None,
        };
        Some((owner.clone(), reason.clone()))
    }
}

#[cfg(test)]
mod tests;
