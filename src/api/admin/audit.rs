//! What was changed, by whom, why, and what came of it.

mod act;

use std::sync::Arc;

use actix_web::HttpResponse;
use actix_web::web::{Bytes, Data, Json, Path, Query};
use chrono::{DateTime, Utc};
use futures_util::stream;
use serde::{Deserialize, Serialize};
use serde_json::Value;

pub(super) use act::Act;

use super::Admin;
use super::history::instant;
use super::services::number_between;
use crate::http::problem::Problem;
use crate::store::{AuditAction, AuditAsked, AuditEntry, Store, StoreError};

/// Entries on one page by default, and at most.
const PAGE: usize = 50;
const PAGE_MAX: usize = 500;

/// Entries that an export reads at a time.
const EXPORTED: u32 = 200;

/// Which entries are asked for.
#[derive(Deserialize)]
pub(super) struct Wanted {
    limit: Option<String>,
    before: Option<String>,
    start: Option<String>,
    end: Option<String>,
    by: Option<String>,
    action: Option<String>,
    subject: Option<String>,
    format: Option<String>,
}

#[derive(Serialize)]
struct Audit {
    entries: Vec<EntryDocument>,
    next: Option<u64>,
}

/// An entry as it is shown.
#[derive(Serialize)]
pub(super) struct EntryDocument {
    id: u64,
    at: DateTime<Utc>,
    by: String,
    by_kind: String,
    role: Option<String>,
    address: Option<String>,
    origin: &'static str,
    action: &'static str,
    subject: Option<String>,
    reason: Option<String>,
    revision_before: Option<u64>,
    revision_after: Option<u64>,
    change: Option<Value>,
    predicted: Option<Value>,
    measured: Option<Value>,
}

impl From<AuditEntry> for EntryDocument {
    fn from(stored: AuditEntry) -> Self {
        let AuditEntry {
            id,
            at,
            entry,
            measured,
        } = stored;
        let (revision_before, revision_after) = entry.revisions.unzip();
        // A document that a restore damaged is left out rather than hiding the others.
        let parsed = |text: String| serde_json::from_str(&text).ok();
        Self {
            id,
            at,
            by: entry.by,
            by_kind: entry.kind,
            role: entry.role,
            address: entry.address,
            origin: entry.origin.name(),
            action: entry.action.name(),
            subject: entry.subject,
            reason: entry.reason,
            revision_before,
            revision_after,
            change: parsed(entry.change),
            predicted: entry.predicted.and_then(parsed),
            measured: measured.and_then(parsed),
        }
    }
}

impl Wanted {
    fn asked(self) -> Result<(AuditAsked, bool), Problem> {
        let exported = match self.format.as_deref() {
            None | Some("json") => false,
            Some("ndjson") => true,
            Some(_) => {
                return Err(Problem::Malformed {
                    field: "format".into(),
                    detail: "must be json or ndjson".into(),
                });
            }
        };
        let limit = number_between("limit", self.limit.as_deref(), PAGE, 1..=PAGE_MAX)?;
        let action = self.action.as_deref().map(known_action).transpose()?;
        let before = self.before.as_deref().map(entry_number).transpose()?;
        let asked = AuditAsked {
            before,
            start: instant("start", self.start.as_deref())?,
            end: instant("end", self.end.as_deref())?,
            by: filter("by", self.by)?,
            action,
            subject: filter("subject", self.subject)?,
            limit: u32::try_from(limit).unwrap_or(u32::MAX),
        };
        Ok((asked, exported))
    }
}

/// A text to compare with; PostgreSQL knows no text with a null.
fn filter(field: &str, given: Option<String>) -> Result<Option<String>, Problem> {
    match given {
        Some(text) if text.is_empty() || text.contains(char::is_control) => {
            Err(Problem::Malformed {
                field: field.into(),
                detail: "must be a text without control characters".into(),
            })
        }
        given => Ok(given),
    }
}

fn known_action(given: &str) -> Result<AuditAction, Problem> {
    AuditAction::named(given).ok_or_else(|| {
        let names = AuditAction::ALL.map(AuditAction::name).join(", ");
        Problem::Malformed {
            field: "action".into(),
            detail: format!("must be one of {names}"),
        }
    })
}

fn entry_number(given: &str) -> Result<u64, Problem> {
    let number = given.parse::<i64>().ok();
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| Problem::Malformed {
        field: "before".into(),
        detail: "must be the id of an entry".into(),
    })
}

/// Lists what was recorded, newest first; or all of it, one entry a line.
pub(super) async fn list(
    wanted: Query<Wanted>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let (mut asked, exported) = wanted.into_inner().asked()?;
    if exported {
        return Ok(export(Arc::clone(&admin.store), asked));
    }
    let limit = asked.limit as usize;
    asked.limit += 1;
    let mut entries = admin.store.audit(&asked).await?;
    let more = entries.len() > limit;
    entries.truncate(limit);
    let next = entries.last().filter(|_| more).map(|entry| entry.id);
    let entries = entries.into_iter().map(EntryDocument::from).collect();
    Ok(HttpResponse::Ok().json(Audit { entries, next }))
}

/// Sends everything that is asked for, page by page as it is read. If the database goes away
/// meanwhile, the connection ends before the body does.
fn export(store: Arc<dyn Store>, asked: AuditAsked) -> HttpResponse {
    let first = AuditAsked {
        limit: EXPORTED,
        ..asked
    };
    let lines = stream::try_unfold(Some(first), move |asked| {
        let store = Arc::clone(&store);
        async move {
            let Some(asked) = asked else {
                return Ok(None);
            };
            let entries = store.audit(&asked).await.map_err(Interrupted)?;
            let Some(last) = entries.last() else {
                return Ok(None);
            };
            let next = (entries.len() == EXPORTED as usize).then(|| AuditAsked {
                before: Some(last.id),
                ..asked.clone()
            });
            let mut text = Vec::new();
            for entry in entries {
                let document = EntryDocument::from(entry);
                serde_json::to_writer(&mut text, &document).expect("an entry is JSON");
                text.push(b'\n');
            }
            Ok::<_, Interrupted>(Some((Bytes::from(text), next)))
        }
    });
    HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .streaming(lines)
}

/// Why an export ended early.
#[derive(Debug, thiserror::Error)]
#[error("the entries could not be read")]
struct Interrupted(#[source] StoreError);

/// Shows one entry.
pub(super) async fn one(
    id: Path<String>,
    admin: Data<Admin>,
) -> Result<Json<EntryDocument>, Problem> {
    let missing = || Problem::NotFound("there is no such entry, or it was deleted".into());
    let id: i64 = id.parse().map_err(|_| missing())?;
    let id = u64::try_from(id).map_err(|_| missing())?;
    let asked = AuditAsked {
        before: Some(id.saturating_add(1)),
        limit: 1,
        ..AuditAsked::default()
    };
    let found = admin.store.audit(&asked).await?.pop();
    let found = found.filter(|entry| entry.id == id).ok_or_else(missing)?;
    Ok(Json(EntryDocument::from(found)))
}
