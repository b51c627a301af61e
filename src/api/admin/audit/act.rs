//! Who sends a change, from where and why: what is recorded with it.

use actix_web::web::Query;
use actix_web::{HttpMessage, HttpRequest};
use chrono::{DateTime, Utc};
use serde::Deserialize;

use crate::access::{Actor, Caller};
use crate::http::problem::Problem;
use crate::store::{AuditAction, ConfigurationRevision, NewAuditEntry, Origin, REASON_MAX};
use crate::view::change::ChangeDocument;

/// The header by which a client says what it is.
pub const ORIGIN: &str = "Weir-Origin";

/// A request that changes something.
#[derive(Debug, Clone)]
pub(in crate::api::admin) struct Act {
    actor: Actor,
    address: Option<String>,
    origin: Origin,
    reason: Option<String>,
    action: AuditAction,
    subject: Option<String>,
    dry_run: bool,
}

/// What every request that changes something may say of it.
#[derive(Deserialize)]
struct Asked {
    /// Why, where the request does not say it itself.
    reason: Option<String>,
    dry_run: Option<String>,
}

impl Act {
    /// Reads who sends a request, and why.
    pub(in crate::api::admin) fn of(request: &HttpRequest) -> Result<Self, Problem> {
        let caller = request.extensions().get::<Caller>().cloned();
        let asked = Query::<Asked>::from_query(request.query_string());
        let asked = asked.map_err(|_| wrong_reason())?.into_inner();
        Ok(Self {
            actor: Actor::from(&caller.unwrap_or(Caller::Anybody)),
            address: request.peer_addr().map(|from| from.ip().to_string()),
            origin: origin(request)?,
            reason: reason(asked.reason)?,
            action: AuditAction::default(),
            subject: None,
            dry_run: dry_run(asked.dry_run.as_deref())?,
        })
    }

    /// Says what is done.
    pub(in crate::api::admin) fn doing(self, action: AuditAction) -> Self {
        Self { action, ..self }
    }

    /// Says what it is done to.
    pub(in crate::api::admin) fn to(self, subject: &str) -> Self {
        Self {
            subject: Some(subject.to_owned()),
            ..self
        }
    }

    /// Whether it is only asked what it would do: nothing may be stored, and nothing recorded.
    pub(in crate::api::admin) fn is_dry_run(&self) -> bool {
        self.dry_run
    }

    /// The name of who does it.
    pub(in crate::api::admin) fn by(&self) -> &str {
        &self.actor.name
    }

    /// The revision that would follow another one.
    pub(in crate::api::admin) fn following(
        &self,
        newest: &ConfigurationRevision,
        document: String,
        now: DateTime<Utc>,
    ) -> ConfigurationRevision {
        ConfigurationRevision {
            revision: newest.revision + 1,
            document,
            written_at: now,
            written_by: Some(self.by().to_owned()),
        }
    }

    /// What sends it.
    pub(in crate::api::admin) fn origin(&self) -> Origin {
        self.origin
    }

    /// Why, if the request says so itself.
    pub(in crate::api::admin) fn reason(&self) -> Option<&str> {
        self.reason.as_deref()
    }

    /// What is done.
    pub(in crate::api::admin) fn action(&self) -> AuditAction {
        self.action
    }

    /// Whether it must not wait until its effect is computed.
    pub(in crate::api::admin) fn is_urgent(&self) -> bool {
        matches!(
            self.action,
            AuditAction::EmergencyChanged | AuditAction::EmergencyEnded
        )
    }

    /// What it is done to.
    pub(in crate::api::admin) fn subject(&self) -> Option<&str> {
        self.subject.as_deref()
    }

    /// What is recorded. `otherwise` is the reason if the request gives none.
    pub(in crate::api::admin) fn record(
        &self,
        change: &ChangeDocument,
        otherwise: Option<&str>,
    ) -> NewAuditEntry {
        let reason = self.reason.as_deref().or(otherwise);
        NewAuditEntry {
            by: self.actor.name.clone(),
            kind: self.actor.kind.to_owned(),
            role: self.actor.role.map(|role| role.name().to_owned()),
            address: self.address.clone(),
            origin: self.origin,
            action: self.action,
            subject: self.subject.clone(),
            reason: reason.map(str::to_owned),
            revisions: None,
            change: change.document(),
            predicted: None,
        }
    }
}

fn origin(request: &HttpRequest) -> Result<Origin, Problem> {
    let Some(given) = request.headers().get(ORIGIN) else {
        return Ok(Origin::Api);
    };
    let named = given.to_str().ok().and_then(Origin::named);
    named.ok_or_else(|| Problem::Malformed {
        field: ORIGIN.into(),
        detail: "must be api, cli, file or ui".into(),
    })
}

fn dry_run(given: Option<&str>) -> Result<bool, Problem> {
    match given {
        None | Some("false") => Ok(false),
        Some("true") => Ok(true),
        Some(_) => Err(Problem::Malformed {
            field: "dry_run".into(),
            detail: "must be true or false".into(),
        }),
    }
}

fn reason(given: Option<String>) -> Result<Option<String>, Problem> {
    match given {
        Some(text)
            if text.trim().is_empty()
                || text.len() > REASON_MAX
                || text.contains(char::is_control) =>
        {
            Err(wrong_reason())
        }
        given => Ok(given),
    }
}

fn wrong_reason() -> Problem {
    Problem::Malformed {
        field: "reason".into(),
        detail: format!(
            "must be given once, as 1 to {REASON_MAX} bytes without control characters"
        ),
    }
}
