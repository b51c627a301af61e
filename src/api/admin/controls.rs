//! What holds for the whole fleet for a time: the mode, a freeze, and an emergency.

use actix_web::http::header::ETag;
use actix_web::web::{Data, Payload};
use actix_web::{HttpRequest, HttpResponse};
use chrono::{DateTime, SubsecRound, TimeDelta, Utc};
use serde::{Deserialize, Serialize};

use super::Admin;
use super::configuration::{self, BYTES, Condition, tag};
use super::rules::Force;
use crate::configuration::{Configuration, Emergency, Expiry, Freeze, Mode};
use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::store::{AuditAction, ConfigurationRevision};
use crate::view::plan_summary::{ServingDocument, serving};

/// The longest time that can be asked for in seconds: a week. What is needed for longer says when it expires.
const SECONDS_MAX: u32 = 7 * 24 * 3600;

/// The mode, as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedMode {
    mode: Mode,
}

#[derive(Serialize)]
struct ModeDocument {
    mode: Mode,
    #[serde(flatten)]
    serving: ServingDocument,
    revision: u64,
}

/// Returns the mode, and what is served.
pub(super) async fn show_mode(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = configuration::current(&admin).await?;
    Ok(mode_answer(&admin, &configuration, &revision))
}

/// Changes the mode.
pub(super) async fn change_mode(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::ModeChanged);
    let AskedMode { mode } = configuration::parse(&read_json(&request, payload, BYTES).await?)?;
    let changed = configuration::change(&admin, &condition, "", |held| held.mode = mode);
    let (configuration, revision) = changed.await?;
    if !condition.is_dry_run() {
        tracing::info!(
            revision = revision.revision,
            mode = match mode {
                Mode::Enforce => "enforce",
                Mode::Observe => "observe",
            },
            "the mode was changed"
        );
    }
    Ok(mode_answer(&admin, &configuration, &revision))
}

fn mode_answer(
    admin: &Admin,
    configuration: &Configuration,
    revision: &ConfigurationRevision,
) -> HttpResponse {
    answer(
        revision,
        &ModeDocument {
            mode: configuration.mode,
            serving: serving(admin.served.load().plan()),
            revision: revision.revision,
        },
    )
}

/// A freeze, as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedFreeze {
    owner: String,
    reason: String,
    expires: Option<Expiry>,
    for_seconds: Option<u32>,
}

#[derive(Serialize)]
struct FreezeDocument<'c> {
    active: bool,
    freeze: Option<&'c Freeze>,
    #[serde(flatten)]
    serving: ServingDocument,
    revision: u64,
}

/// Returns the freeze, if there is one, and what is served.
pub(super) async fn show_freeze(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = configuration::current(&admin).await?;
    Ok(freeze_answer(&admin, &configuration, &revision))
}

/// Begins a freeze, or changes when it ends.
pub(super) async fn freeze(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::FreezeChanged);
    let asked: AskedFreeze = configuration::parse(&read_json(&request, payload, BYTES).await?)?;
    let given = match asked.expires {
        Some(Expiry::At(at)) => Some(at),
        Some(Expiry::Never) | None => None,
    };
    let both = asked.expires.is_some() && asked.for_seconds.is_some();
    let end = end(&admin, given, asked.for_seconds, both)?;
    let freeze = Freeze {
        owner: asked.owner,
        reason: asked.reason,
        expires: asked.expires.or(end.map(Expiry::At)),
        written_at: None,
    };
    let changed = configuration::change(&admin, &condition, "freeze", |held| {
        held.freeze = Some(freeze.clone());
    });
    let (configuration, revision) = changed.await?;
    let written = configuration.freeze.as_ref();
    if !condition.is_dry_run() {
        tracing::info!(
            revision = revision.revision,
            owner = freeze.owner,
            reason = freeze.reason,
            expires = written.and_then(|of| of.expires).map(|at| at.to_string()),
            "what is served was frozen"
        );
    }
    Ok(freeze_answer(&admin, &configuration, &revision))
}

/// Ends the freeze.
pub(super) async fn end_freeze(
    request: HttpRequest,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::FreezeEnded);
    let ended = configuration::write(&admin, &condition, Force::No, |held| {
        let mut configuration = configuration::read(held)?;
        let frozen = configuration.freeze.take();
        frozen.ok_or_else(|| Problem::NotFound("there is no freeze".into()))?;
        Ok(configuration)
    });
    let (configuration, revision) = ended.await?;
    if !condition.is_dry_run() {
        tracing::info!(revision = revision.revision, "the freeze was ended");
    }
    Ok(freeze_answer(&admin, &configuration, &revision))
}

fn freeze_answer(
    admin: &Admin,
    configuration: &Configuration,
    revision: &ConfigurationRevision,
) -> HttpResponse {
    let now = admin.clock.timestamp();
    let freeze = configuration.freeze.as_ref();
    answer(
        revision,
        &FreezeDocument {
            active: freeze.is_some_and(|freeze| freeze.is_active(now)),
            freeze,
            serving: serving(admin.served.load().plan()),
            revision: revision.revision,
        },
    )
}

/// An emergency, as it is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct AskedEmergency {
    factor: f64,
    owner: String,
    reason: String,
    expires: Option<DateTime<Utc>>,
    for_seconds: Option<u32>,
}

#[derive(Serialize)]
struct EmergencyDocument<'c> {
    active: bool,
    emergency: Option<&'c Emergency>,
    /// What this replica multiplies by now.
    factor: f64,
    revision: u64,
}

/// Returns the emergency, if there is one, and the factor that is served.
pub(super) async fn show_emergency(admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = configuration::current(&admin).await?;
    Ok(emergency_answer(&admin, &configuration, &revision))
}

/// Begins an emergency, or changes it.
pub(super) async fn emergency(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::EmergencyChanged);
    let asked: AskedEmergency = configuration::parse(&read_json(&request, payload, BYTES).await?)?;
    let both = asked.expires.is_some() && asked.for_seconds.is_some();
    let emergency = Emergency {
        factor: asked.factor,
        owner: asked.owner,
        reason: asked.reason,
        expires: end(&admin, asked.expires, asked.for_seconds, both)?,
        written_at: None,
    };
    let changed = configuration::change(&admin, &condition, "emergency", |held| {
        held.emergency = Some(emergency.clone());
    });
    let (configuration, revision) = changed.await?;
    let written = configuration.emergency.as_ref();
    if !condition.is_dry_run() {
        tracing::info!(
            revision = revision.revision,
            factor = emergency.factor,
            owner = emergency.owner,
            reason = emergency.reason,
            expires = written.and_then(|of| of.expires).map(|at| at.to_rfc3339()),
            "an emergency was written: every replica cuts what it serves"
        );
    }
    Ok(emergency_answer(&admin, &configuration, &revision))
}

/// Ends the emergency.
pub(super) async fn end_emergency(
    request: HttpRequest,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::EmergencyEnded);
    let ended = configuration::write(&admin, &condition, Force::No, |held| {
        let mut configuration = configuration::read(held)?;
        let ended = configuration.emergency.take();
        ended.ok_or_else(|| Problem::NotFound("there is no emergency".into()))?;
        Ok(configuration)
    });
    let (configuration, revision) = ended.await?;
    if !condition.is_dry_run() {
        tracing::info!(revision = revision.revision, "the emergency was ended");
    }
    Ok(emergency_answer(&admin, &configuration, &revision))
}

fn emergency_answer(
    admin: &Admin,
    configuration: &Configuration,
    revision: &ConfigurationRevision,
) -> HttpResponse {
    let now = admin.clock.timestamp();
    let emergency = configuration.emergency.as_ref();
    answer(
        revision,
        &EmergencyDocument {
            active: emergency.is_some_and(|emergency| emergency.is_active(now)),
            emergency,
            factor: admin.served.load().cuts().factor(),
            revision: revision.revision,
        },
    )
}

/// When something ends that says either a time or a number of seconds.
fn end(
    admin: &Admin,
    expires: Option<DateTime<Utc>>,
    for_seconds: Option<u32>,
    both: bool,
) -> Result<Option<DateTime<Utc>>, Problem> {
    let wrong = |field: &str, detail: String| {
        Err(Problem::Invalid {
            field: field.into(),
            detail,
        })
    };
    let now = admin.clock.now().trunc_subsecs(3);
    match (expires, for_seconds) {
        _ if both => wrong("for_seconds", "must not be given beside expires".into()),
        (Some(at), _) if at <= now => wrong("expires", "must be in the future".into()),
        (_, Some(seconds)) if !(1..=SECONDS_MAX).contains(&seconds) => {
            let detail = format!("must be between 1 and {SECONDS_MAX}");
            wrong("for_seconds", detail)
        }
        (_, Some(seconds)) => Ok(now.checked_add_signed(TimeDelta::seconds(seconds.into()))),
        (expires, None) => Ok(expires),
    }
}

fn answer(revision: &ConfigurationRevision, body: &impl Serialize) -> HttpResponse {
    HttpResponse::Ok()
        .insert_header(ETag(tag(revision)))
        .json(body)
}
