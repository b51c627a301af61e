//! The configuration as a whole: read it, replace it, and read older revisions.

use actix_web::http::header::{ContentType, ETag};
use actix_web::web::{Data, Json, Path, Payload, Query};
use actix_web::{HttpRequest, HttpResponse, Responder};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::configuration::{self, Condition, WHOLE_BYTES, tag};
use super::final_names::{self, Warnings};
use super::services::page_limit;
use crate::configuration::Configuration;
use crate::http::body::read_json_in;
use crate::http::problem::Problem;
use crate::store::ConfigurationRevision;

/// Returns the whole document. Its revision is in the `ETag`, so the document can be put back
/// unchanged.
pub(super) async fn show(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    Ok(stored(admin.store.configuration().await?))
}

/// Replaces the whole document if its revision is still the one that the caller has seen.
pub(super) async fn replace(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?;
    let body = read_json_in(&admin.documents, &request, payload, WHOLE_BYTES).await?;
    let wanted: Configuration = configuration::parse(&body)?;
    drop(body);
    let replaced = configuration::write(&admin, &condition, |_| Ok(wanted.clone()));
    let (configuration, revision) = replaced.await?;
    tracing::info!(
        revision = revision.revision,
        traces_per_second = configuration.budget.traces_per_second,
        groups = configuration.groups.len(),
        services = configuration.services.len(),
        "the configuration was replaced"
    );
    let warnings = final_names::warnings(&admin, &configuration).await;
    Ok(HttpResponse::Ok()
        .insert_header(ETag(tag(&revision)))
        .json(Replaced {
            configuration: &configuration,
            warnings,
        }))
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
    let missing = || Problem::NotFound("there is no such revision of the configuration".into());
    let number = wanted.parse().map_err(|_| missing())?;
    let found = admin.store.configuration_revision(number).await?;
    match found {
        Some(found) => Ok(stored(found)),
        None => Err(dropped(&admin, number).await?.unwrap_or_else(missing)),
    }
}
