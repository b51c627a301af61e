//! The configuration as a whole: read it, replace it, and read older revisions.

use actix_web::http::header::{ContentType, ETag};
use actix_web::web::{Data, Json, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, Responder};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::configuration::{self, BYTES, Condition, Sent, WHOLE_BYTES, preview_id, tag};
use super::final_names::Warnings;
use super::origins::{self, OriginsDocument, TakeOver, flag};
use super::rules::{Force, Forced};
use super::services::page_limit;
use super::unknown_names::warnings;
use crate::configuration::Configuration;
use crate::http::body::{read_json, read_json_in};
use crate::http::problem::Problem;
use crate::store::{AuditAction, ConfigurationRevision};

/// Whether who last wrote each object is asked for, too.
#[derive(Deserialize)]
pub(super) struct WithOrigins {
    origins: Option<String>,
}

/// The document, and who last wrote each of its objects.
#[derive(Serialize)]
struct Shown {
    #[serde(flatten)]
    configuration: Configuration,
    origins: OriginsDocument,
}

/// Returns the whole document. Its revision is in the `ETag`, so the document can be put back
/// unchanged.
pub(super) async fn show(
    wanted: Query<WithOrigins>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let with_origins = flag("origins", wanted.origins.as_deref())?;
    let revision = admin.store.configuration().await?;
    if !with_origins {
        return Ok(stored(revision));
    }
    let configuration = configuration::read(&revision)?;
    let origins = origins::of(&admin, revision.revision).await?.known;
    let origins = OriginsDocument::of(&origins);
    let shown = Shown {
        configuration,
        origins,
    };
    Ok(HttpResponse::Ok()
        .insert_header(ETag(tag(&revision)))
        .json(shown))
}

/// Replaces the whole document, or the part that a file owns, if its revision is still the one that the caller has
/// seen.
pub(super) async fn replace(
    request: HttpRequest,
    forced: Query<Forced>,
    previewed: Query<Previewed>,
    take_over: Query<TakeOver>,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let force = forced.force()?;
    take_over.with(None)?;
    let condition = Condition::of(&request)?;
    let body = read_json_in(&admin.documents, &request, payload, WHOLE_BYTES).await?;
    let sent = Sent::parse(&body)?;
    drop(body);
    let owns = sent.part.as_ref().map(|part| &part.owns);
    let condition = condition.owning(take_over.with(owns)?);
    let replaced = configuration::write(&admin, &condition, force, |held| {
        let wanted = sent.over(held)?;
        previewed.check(held, &wanted)?;
        Ok(wanted)
    });
    let (configuration, revision) = replaced.await?;
    if !condition.is_dry_run() {
        tracing::info!(
            revision = revision.revision,
            budget = configuration.budget.amount(),
            unit = configuration.budget.unit(),
            groups = configuration.groups.len(),
            services = configuration.services.len(),
            rules = configuration.rules.len(),
            part = owns.map(|owns| &*owns.name),
            "the configuration was replaced"
        );
    }
    let warnings = warnings(&admin, &configuration).await;
    Ok(HttpResponse::Ok()
        .insert_header(ETag(tag(&revision)))
        .json(Replaced {
            configuration: &configuration,
            warnings,
        }))
}

/// The preview that is applied, if one is.
#[derive(Deserialize)]
pub(super) struct Previewed {
    preview: Option<String>,
}

impl Previewed {
    /// Whether this document was previewed, as the one that replaces this revision.
    fn check(&self, held: &ConfigurationRevision, wanted: &Configuration) -> Result<(), Problem> {
        let asked = self.preview.as_deref();
        if asked.is_none_or(|id| id == preview_id(held, wanted)) {
            return Ok(());
        }
        Err(Problem::PreconditionFailed(format!(
            "this is not what was previewed: the document is another one, or the configuration has moved on to {}. \
             Preview it again",
            tag(held)
        )))
    }
}

/// Which revision comes back.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Rollback {
    revision: u64,
}

/// Writes the document of an older revision again, as the newest one.
pub(super) async fn roll_back(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::ConfigurationRolledBack);
    let body = read_json(&request, payload, BYTES).await?;
    let Rollback { revision: number } = configuration::parse(&body)?;
    let found = admin
        .store
        .configuration_revision(stored_number(number)?)
        .await?;
    let Some(found) = found else {
        return Err(dropped(&admin, number).await?.unwrap_or_else(no_revision));
    };
    let back = configuration::read(&found)?;
    let written = configuration::write(&admin, &condition, Force::Restore, |_| Ok(back.clone()));
    let (configuration, revision) = written.await?;
    if !condition.is_dry_run() {
        tracing::info!(
            revision = revision.revision,
            rolled_back_to = number,
            budget = configuration.budget.amount(),
            unit = configuration.budget.unit(),
            "the configuration was rolled back"
        );
    }
    Ok(answer(&configuration, &revision))
}

/// The database stores numbers up to 2⁶³.
fn stored_number(number: u64) -> Result<u64, Problem> {
    i64::try_from(number).map_err(|_| no_revision())?;
    Ok(number)
}

fn no_revision() -> Problem {
    Problem::NotFound("there is no such revision of the configuration".into())
}

/// The document that was written, and its settings that do nothing.
#[derive(Serialize)]
struct Replaced<'c> {
    #[serde(flatten)]
    configuration: &'c Configuration,
    #[serde(skip_serializing_if = "Warnings::is_empty")]
    warnings: Warnings,
}

/// A revision's document with every field. If this Weir does not know all of its fields, it is
/// returned as it is stored.
fn stored(revision: ConfigurationRevision) -> HttpResponse {
    match Configuration::read(&revision) {
        Ok(configuration) => answer(&configuration, &revision),
        Err(_) => HttpResponse::Ok()
            .insert_header(ETag(tag(&revision)))
            .content_type(ContentType::json())
            .body(revision.document),
    }
}

fn answer(configuration: &Configuration, revision: &ConfigurationRevision) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ETag(tag(revision)))
        .json(configuration)
}

/// Where a page of revisions begins, and how long it is.
#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    before: Option<String>,
}

#[derive(Serialize)]
struct Revisions {
    revisions: Vec<Revision>,
    next: Option<u64>,
}

#[derive(Serialize)]
struct Revision {
    revision: u64,
    written_at: DateTime<Utc>,
    written_by: Option<String>,
}

/// Lists the revisions, newest first.
pub(super) async fn revisions(
    page: Query<Page>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let limit = page_limit(page.limit.as_deref())?;
    let before = page.before.as_deref().map(number).transpose()?;
    let asked = u32::try_from(limit).unwrap_or(u32::MAX).saturating_add(1);
    let mut marks = admin.store.configuration_revisions(before, asked).await?;
    let more = marks.len() > limit;
    marks.truncate(limit);
    let next = marks.last().filter(|_| more).map(|mark| mark.revision);
    let revisions = marks.into_iter().map(|mark| Revision {
        revision: mark.revision,
        written_at: mark.written_at,
        written_by: mark.written_by,
    });
    Ok(Json(Revisions {
        revisions: revisions.collect(),
        next,
    }))
}

fn number(given: &str) -> Result<u64, Problem> {
    let number = given.parse::<i64>().ok();
    let number = number.and_then(|number| u64::try_from(number).ok());
    number.ok_or_else(|| Problem::Malformed {
        field: "before".into(),
        detail: "must be the number of a revision".into(),
    })
}

/// The problem for a revision that existed and was deleted.
async fn dropped(admin: &Admin, number: u64) -> Result<Option<Problem>, Problem> {
    let newest = admin.store.configuration().await?;
    let was_there = (1..newest.revision).contains(&number);
    Ok(was_there.then(|| {
        Problem::NotFound(format!(
            "revision {number} of the configuration was deleted: the newest {} are kept, up to {} \
             bytes together",
            Configuration::REVISIONS.most,
            Configuration::REVISIONS.bytes
        ))
    }))
}

/// Returns the document of one revision.
pub(super) async fn revision(
    wanted: Path<String>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let number = wanted.parse().map_err(|_| no_revision())?;
    let found = admin.store.configuration_revision(number).await?;
    match found {
        Some(found) => Ok(stored(found)),
        None => Err(dropped(&admin, number).await?.unwrap_or_else(no_revision)),
    }
}
