//! Who last wrote each object of the configuration: read, kept up to date with each write, and asked before a file
//! overwrites what somebody else wrote.

use std::collections::BTreeMap;

use actix_web::web::block;
use chrono::SubsecRound;
use serde::{Deserialize, Serialize};

use super::Admin;
use super::audit::Act;
use crate::configuration::{
    Configuration, Kind, Mark, Origins, Overlap, Overwrite, Owns, PARTS_MAX, Writer,
};
use crate::http::problem::Problem;
use crate::store::{ConfigurationRevision, Origin, StoreError, StoredOrigins};
use crate::telemetry::seldom::log_seldom;

/// How many objects a refusal names.
const NAMED: usize = 5;

/// The most objects of others that are listed.
const OVERWRITES: usize = 100;

/// Who wrote the objects of a revision, and the document that says so.
#[derive(Default)]
pub(super) struct HeldOrigins {
    pub(super) known: Origins,
    stored: StoredOrigins,
}

/// Who wrote the objects of a revision. What cannot be read is not known: it must not keep anybody from a change.
pub(super) async fn of(admin: &Admin, revision: u64) -> Result<HeldOrigins, StoreError> {
    let stored = admin.store.origins(revision).await?;
    let document = stored.document.clone();
    // Of the largest configuration it has megabytes.
    let read = block(move || document.as_deref().map(Origins::read).transpose());
    let known = match read.await {
        Ok(Ok(known)) => known.unwrap_or_default(),
        Ok(Err(error)) => {
            log_seldom!(warn, error, "who wrote the configuration cannot be read");
            Origins::default()
        }
        Err(_) => Origins::default(),
    };
    Ok(HeldOrigins { known, stored })
}

/// Who wrote the objects of the newest revision, for an answer that shows it beside other things; none if the
/// database does not answer in time.
pub(super) async fn newest(admin: &Admin) -> Option<Origins> {
    let read = of(admin, i64::MAX.unsigned_abs());
    Some(admin.patience.wait(read).await?.ok()?.known)
}

/// Writes that a file takes over objects as they are. False if somebody else wrote meanwhile.
pub(super) async fn take_over(
    admin: &Admin,
    revision: &ConfigurationRevision,
    held: &HeldOrigins,
    after: &Origins,
) -> Result<bool, StoreError> {
    if *after == held.known {
        return Ok(true);
    }
    let number = revision.revision;
    let written = admin
        .store
        .write_origins(number, &held.stored, &after.document())
        .await?;
    if written {
        tracing::info!(revision = number, "a file took over objects as they are");
    }
    Ok(written)
}

/// What a file owns, and whether it takes over what others wrote.
#[derive(Default)]
pub(super) struct Ownership {
    owns: Option<Owns>,
    take_over: bool,
}

/// How a file overwrites what somebody else wrote. Other writes do not take the parameter.
const TAKE_OVER: &str = "send the document to PUT /v1/configuration?take_over=true";

/// The parameter of a write of the whole document.
#[derive(Deserialize)]
pub(super) struct TakeOver {
    take_over: Option<String>,
}

impl TakeOver {
    /// With what the file owns.
    pub(super) fn with(&self, owns: Option<&Owns>) -> Result<Ownership, Problem> {
        let take_over = flag("take_over", self.take_over.as_deref())?;
        Ok(Ownership {
            owns: owns.cloned(),
            take_over,
        })
    }
}

/// Parses a parameter that is true or false.
pub(super) fn flag(field: &str, given: Option<&str>) -> Result<bool, Problem> {
    match given {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::Malformed {
            field: field.into(),
            detail: "must be true or false".into(),
        }),
    }
}

impl Ownership {
    /// What a part owns, to see what it would overwrite.
    pub(super) fn of(owns: Option<&Owns>) -> Self {
        Self {
            owns: owns.cloned(),
            take_over: false,
        }
    }

    /// Who writes the revision after the newest. Whoever sends a part sends a file.
    pub(super) fn writer<'w>(&'w self, act: &'w Act, admin: &Admin, newest: u64) -> Writer<'w> {
        Writer {
            origin: match self.owns {
                Some(_) => Origin::File,
                None => act.origin(),
            },
            by: act.by(),
            reason: act.reason(),
            now: admin.clock.now().trunc_subsecs(3),
            revision: newest + 1,
            owns: self.owns.as_ref(),
        }
    }

    /// Refuses a file that overwrites what somebody else wrote, unless it takes that over.
    pub(super) fn check(
        &self,
        origins: &HeldOrigins,
        held: &Configuration,
        next: &Configuration,
        writer: &Writer<'_>,
    ) -> Result<(), Problem> {
        if writer
            .owns
            .is_some_and(|owns| origins.known.is_full_for(owns))
        {
            return Err(Problem::Invalid {
                field: "owns.name".into(),
                detail: format!(
                    "is one part more than the {PARTS_MAX} that may be: apply a file of another part \
                     that owns nothing, which forgets that part"
                ),
            });
        }
        if self.take_over || writer.origin != Origin::File {
            return Ok(());
        }
        if let Some(overlap) = origins.known.overlaps(self.owns.as_ref()).first() {
            return Err(Problem::Conflict(overlap_in_words(overlap)));
        }
        let lost = origins.known.overwrites(held, next, writer);
        if lost.is_empty() {
            return Ok(());
        }
        let named: Vec<String> = lost.iter().take(NAMED).map(in_words).collect();
        let more = match lost.len().saturating_sub(NAMED) {
            0 => String::new(),
            more => format!(", and {more} more"),
        };
        Err(Problem::Conflict(format!(
            "this file overwrites what somebody else wrote: {}{more}. Take that into the file, or {TAKE_OVER}",
            named.join(", ")
        )))
    }
}

fn in_words(lost: &Overwrite) -> String {
    let Overwrite { object, mark, .. } = lost;
    let object: String = object.chars().take(256).collect();
    match (mark, &lost.owned_by) {
        (_, Some(part)) => format!("{object} (of the part {part:?})"),
        (Some(mark), None) => {
            let (by, origin, at) = (&mark.by, mark.origin.name(), mark.at);
            let deleted = if mark.gone { "deleted by " } else { "" };
            format!(
                "{object} ({deleted}{by}, {origin}, {})",
                at.format("%Y-%m-%dT%H:%M:%SZ")
            )
        }
        (None, None) => object,
    }
}

fn overlap_in_words(overlap: &Overlap) -> String {
    format!(
        "owns.{} lists {:?}, which the part {:?} owns by {:?}, as {} applied it at {}: \
         no two files should own the same. Or {TAKE_OVER}",
        overlap.kind.name(),
        overlap.listed,
        overlap.part,
        overlap.lists,
        overlap.by,
        overlap.at.format("%Y-%m-%dT%H:%M:%SZ"),
    )
}

/// Who wrote each object, as the document is built.
#[derive(Serialize)]
pub(super) struct OriginsDocument {
    #[serde(flatten)]
    settings: BTreeMap<String, Mark>,
    groups: BTreeMap<String, Mark>,
    services: BTreeMap<String, Mark>,
    rules: BTreeMap<String, Mark>,
    parts: Vec<Owns>,
}

impl OriginsDocument {
    /// Those of the objects that are there.
    pub(super) fn of(origins: &Origins) -> Self {
        let mut document = Self {
            settings: BTreeMap::new(),
            groups: BTreeMap::new(),
            services: BTreeMap::new(),
            rules: BTreeMap::new(),
            parts: origins.parts().cloned().collect(),
        };
        for (object, mark) in origins.of_all() {
            let kind = match object.kind {
                Kind::Settings => &mut document.settings,
                Kind::Groups => &mut document.groups,
                Kind::Services => &mut document.services,
                Kind::Rules => &mut document.rules,
            };
            kind.insert(object.name.clone(), mark.clone());
        }
        document
    }
}

/// What is somebody else's: for a file, what others wrote; for others, what a file has.
#[derive(Serialize)]
pub(super) struct Others {
    overwrites: Vec<Overwrite>,
    overwrites_left_out: usize,
    overlaps: Vec<Overlap>,
}

impl Others {
    /// What a preview finds.
    pub(super) async fn of(
        admin: &Admin,
        act: &Act,
        ownership: &Ownership,
        (revision, held): (&ConfigurationRevision, &Configuration),
        next: &Configuration,
    ) -> Result<Self, Problem> {
        let origins = of(admin, revision.revision).await?.known;
        let writer = ownership.writer(act, admin, revision.revision);
        let mut overwrites = origins.overwrites(held, next, &writer);
        let overwrites_left_out = overwrites.len().saturating_sub(OVERWRITES);
        overwrites.truncate(OVERWRITES);
        Ok(Self {
            overwrites,
            overwrites_left_out,
            overlaps: origins.overlaps(writer.owns),
        })
    }
}
