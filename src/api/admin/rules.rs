//! Rules: read, write and delete single rules of the configuration, and boosts.

mod boost;
mod effect;
mod explained;
mod shown;
mod vetting;

use actix_web::http::StatusCode;
use actix_web::http::header::ETag;
use actix_web::web::{Data, Path, Payload, Query, block};
use actix_web::{HttpRequest, HttpResponse};
use serde::{Deserialize, Serialize};
use serde_json::{Map, Value};

pub(super) use boost::boost;
pub(super) use explained::{PlannedRules, RuleOfOperation};
pub(super) use vetting::vet;

use self::shown::{Beside, RuleDocument};
use super::Admin;
use super::configuration::{self, BYTES, Condition, tag};
use super::services::page_limit;
use crate::configuration::{Configuration, RULE_NAME_MAX, Rule, is_name};
use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::store::{AuditAction, ConfigurationRevision};
use crate::telemetry::logging::chain;
use crate::telemetry::seldom::log_seldom;

/// Whether a write may push operations under their fair floor.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Force {
    /// It may.
    Yes,
    /// It is refused.
    No,
    /// It brings back what was there, whatever that matches now.
    Restore,
}

/// The parameter of a write.
#[derive(Deserialize)]
pub(super) struct Forced {
    force: Option<String>,
}

impl Forced {
    pub(super) fn force(&self) -> Result<Force, Problem> {
        match self.force.as_deref() {
            None | Some("false") => Ok(Force::No),
            Some("true") => Ok(Force::Yes),
            Some(_) => Err(Problem::Malformed {
                field: "force".into(),
                detail: "must be true or false".into(),
            }),
        }
    }
}

/// Where a page begins, and how long it is.
#[derive(Deserialize)]
pub(super) struct Page {
    limit: Option<String>,
    after: Option<String>,
}

#[derive(Serialize)]
struct Rules {
    revision: u64,
    rules: Vec<RuleDocument>,
    next: Option<String>,
}

/// What an answer says of a rule beside the rule itself. It is ignored, so that an answer can be sent back.
const SHOWN: [&str; 4] = ["state", "matches", "effect", "origin"];

/// Reads a rule, and its id if it says one.
fn parse(body: &[u8]) -> Result<(Option<String>, Rule), Problem> {
    // Lists may be in what is shown beside the rule.
    let mut fields: Map<String, Value> = configuration::parse_as(body)?;
    SHOWN.iter().for_each(|shown| drop(fields.remove(*shown)));
    let id = match fields.remove("id") {
        None => None,
        Some(Value::String(id)) if is_name(&id) => Some(id),
        Some(_) => return Err(wrong_id()),
    };
    let rule = serde_json::to_vec(&fields).expect("it was JSON");
    Ok((id, configuration::parse(&rule)?))
}

fn wrong_id() -> Problem {
    Problem::Invalid {
        field: "id".into(),
        detail: format!(
            "must be 1 to {RULE_NAME_MAX} letters, digits, hyphens, dots and underscores"
        ),
    }
}

/// Lists the rules by id.
pub(super) async fn list(page: Query<Page>, admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let limit = page_limit(page.limit.as_deref())?;
    let (configuration, revision) = configuration::current(&admin).await?;
    let number = revision.revision;
    let after = page.into_inner().after;
    let beside = Beside::of(&admin, number).await?;
    let shown = working(&admin, move |admin| {
        let from = |id: &&String| after.as_ref().is_none_or(|after| *id > after);
        let mut ids: Vec<&String> = configuration.rules.keys().filter(from).collect();
        let more = ids.len() > limit;
        ids.truncate(limit);
        Rules {
            revision: number,
            next: ids.last().filter(|_| more).map(|id| (*id).clone()),
            rules: shown::documents(admin, &configuration, &ids, &beside),
        }
    });
    let shown = shown.await?;
    Ok(answer(StatusCode::OK, &revision, &shown))
}

/// Shows one rule, and what it does or would do.
pub(super) async fn one(id: Path<String>, admin: Data<Admin>) -> Result<HttpResponse, Problem> {
    let (configuration, revision) = configuration::current(&admin).await?;
    if !configuration.rules.contains_key(&*id) {
        return Err(unknown(&id));
    }
    shown(
        &admin,
        StatusCode::OK,
        configuration,
        revision,
        id.into_inner(),
    )
    .await
}

/// Adds a rule under a new id.
pub(super) async fn create(
    request: HttpRequest,
    forced: Query<Forced>,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let force = forced.force()?;
    let condition = Condition::if_given(&request)?.doing(AuditAction::RuleAdded);
    let body = read_json(&request, payload, BYTES).await?;
    let (id, rule) = parse(&body)?;
    let id = id.ok_or_else(|| Problem::Invalid {
        field: "id".into(),
        detail: "is required".into(),
    })?;
    add(&admin, condition, force, id, rule).await
}

/// Adds a rule, if its id is free.
async fn add(
    admin: &Data<Admin>,
    condition: Condition,
    force: Force,
    id: String,
    rule: Rule,
) -> Result<HttpResponse, Problem> {
    let condition = condition.to(&id);
    let written = write(admin, &condition, force, &id, |configuration| {
        if configuration.rules.contains_key(&id) {
            return Err(Problem::Conflict(format!(
                "there is a rule {id:?} already: PUT /v1/rules/{id} changes it"
            )));
        }
        configuration.rules.insert(id.clone(), unwritten(&rule));
        Ok(())
    });
    let (configuration, revision) = written.await?;
    let rule = configuration.rules.get(&id);
    condition.log(&id, rule, &revision, "a rule was added");
    shown(admin, StatusCode::CREATED, configuration, revision, id).await
}

/// Replaces a rule.
pub(super) async fn replace(
    request: HttpRequest,
    id: Path<String>,
    forced: Query<Forced>,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let force = forced.force()?;
    let condition = Condition::of(&request)?.doing(AuditAction::RuleChanged);
    let condition = condition.to(&id);
    let (said, rule) = parse(&read_json(&request, payload, BYTES).await?)?;
    if said.is_some_and(|said| said != *id) {
        return Err(Problem::Invalid {
            field: "id".into(),
            detail: "must be the id in the path; a rule cannot be renamed".into(),
        });
    }
    let written = write(&admin, &condition, force, &id, |configuration| {
        let held = configuration.rules.get_mut(&*id);
        *held.ok_or_else(|| unknown(&id))? = unwritten(&rule);
        Ok(())
    });
    let (configuration, revision) = written.await?;
    let rule = configuration.rules.get(&*id);
    condition.log(&id, rule, &revision, "a rule was changed");
    shown(
        &admin,
        StatusCode::OK,
        configuration,
        revision,
        id.into_inner(),
    )
    .await
}

#[derive(Serialize)]
struct Removed<'a> {
    id: &'a str,
    revision: u64,
}

/// Deletes a rule.
pub(super) async fn remove(
    request: HttpRequest,
    id: Path<String>,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let condition = Condition::of(&request)?.doing(AuditAction::RuleDeleted);
    let condition = condition.to(&id);
    let written = write(&admin, &condition, Force::No, &id, |configuration| {
        let removed = configuration.rules.remove(&*id);
        removed.map(drop).ok_or_else(|| unknown(&id))
    });
    let (_, revision) = written.await?;
    condition.log(&id, None, &revision, "a rule was deleted");
    let removed = Removed {
        id: &id,
        revision: revision.revision,
    };
    Ok(answer(StatusCode::OK, &revision, &removed))
}

/// When it was written is for Weir to say.
fn unwritten(rule: &Rule) -> Rule {
    Rule {
        written_at: None,
        ..rule.clone()
    }
}

/// Writes the configuration with a change of one rule. Errors name fields relative to the rule.
async fn write(
    admin: &Admin,
    condition: &Condition,
    force: Force,
    id: &str,
    change: impl Fn(&mut Configuration) -> Result<(), Problem>,
) -> Result<(Configuration, ConfigurationRevision), Problem> {
    let changed = |held: &ConfigurationRevision| {
        let mut configuration = configuration::read(held)?;
        change(&mut configuration)?;
        Ok(configuration)
    };
    let written = configuration::write(admin, condition, force, changed).await;
    written.map_err(|problem| match problem {
        Problem::Invalid { field, detail } => {
            let own = field.strip_prefix(&format!("rules.{id}"));
            let field = own.map(|own| own.trim_start_matches('.').to_owned());
            Problem::Invalid {
                field: field.unwrap_or_else(|| "rules".into()),
                detail,
            }
        }
        other => other,
    })
}

impl Condition {
    fn log(
        &self,
        id: &str,
        rule: Option<&Rule>,
        revision: &ConfigurationRevision,
        what: &'static str,
    ) {
        if self.is_dry_run() {
            return;
        }
        tracing::info!(
            rule = id,
            owner = rule.map(|rule| &*rule.owner),
            reason = rule.map(|rule| &*rule.reason),
            expires = rule.and_then(|rule| rule.expires).map(|at| at.to_string()),
            revision = revision.revision,
            "{what}"
        );
    }
}

fn unknown(id: &str) -> Problem {
    let id: String = id.chars().take(RULE_NAME_MAX).collect();
    Problem::NotFound(format!("there is no rule {id:?}"))
}

async fn shown(
    admin: &Data<Admin>,
    status: StatusCode,
    configuration: Configuration,
    revision: ConfigurationRevision,
    id: String,
) -> Result<HttpResponse, Problem> {
    let beside = Beside::of(admin, revision.revision).await?;
    let shown = working(admin, move |admin| {
        shown::with_effect(admin, &configuration, &id, &beside)
    });
    Ok(answer(status, &revision, &shown.await?))
}

fn answer(
    status: StatusCode,
    revision: &ConfigurationRevision,
    body: &impl Serialize,
) -> HttpResponse {
    HttpResponse::build(status)
        .insert_header(ETag(tag(revision)))
        .json(body)
}

/// Compares rules with names, or previews them: one at a time, because it may keep a core busy for a moment. The
/// work goes on after its client has disconnected, so it takes the permit with it.
pub(super) async fn working<T: Send + 'static>(
    admin: &Admin,
    work: impl FnOnce(&Admin) -> T + Send + 'static,
) -> Result<T, Problem> {
    let turn = std::sync::Arc::clone(&admin.previews).acquire_owned().await;
    let admin = admin.clone();
    let done = block(move || {
        let _turn = turn;
        work(&admin)
    });
    done.await.map_err(|error| {
        log_seldom!(error, error = chain(&error), "rules could not be shown");
        Problem::Internal
    })
}
