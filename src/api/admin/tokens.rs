//! The tokens: who has which, new ones, and revoking them. The sessions of browsers are among them.

use actix_web::http::header::{CACHE_CONTROL, CacheControl, CacheDirective};
use actix_web::web::{Data, Json, Path, Payload};
use actix_web::{HttpRequest, HttpResponse, Responder};
use chrono::{DateTime, Utc};
use serde::{Deserialize, Serialize};
use serde_json::json;
use uuid::Uuid;

use super::Admin;
use super::audit::Act;
use super::configuration::parse_object;
use crate::access::{Role, SERVICES_MAX, Token, TokenKind, TokenName, TokenSecret};
use crate::allocation::ServiceName;
use crate::http::body::read_json;
use crate::http::problem::Problem;
use crate::store::{AuditAction, TOKENS_MAX, TokenCreation};
use crate::view::change::ChangeDocument;

/// The largest body: a hundred of the longest names.
const BYTES: usize = 64 << 10;

#[derive(Serialize)]
struct Tokens {
    tokens: Vec<TokenDocument>,
}

/// A token without its secret.
#[derive(Serialize)]
struct TokenDocument {
    id: Uuid,
    kind: &'static str,
    name: String,
    role: &'static str,
    services: Vec<String>,
    created_at: DateTime<Utc>,
    created_by: String,
    expires_at: Option<DateTime<Utc>>,
    revoked_at: Option<DateTime<Utc>>,
}

/// A new token, with its secret.
#[derive(Serialize)]
struct Created {
    #[serde(flatten)]
    document: TokenDocument,
    /// None if nothing was created.
    token: Option<String>,
}

impl From<&Token> for TokenDocument {
    fn from(token: &Token) -> Self {
        Self {
            id: token.id,
            kind: token.kind.name(),
            name: token.name.as_str().to_owned(),
            role: token.role.name(),
            services: token.services.iter().map(ToString::to_string).collect(),
            created_at: token.created_at,
            created_by: token.created_by.clone(),
            expires_at: token.expires_at,
            revoked_at: token.revoked_at,
        }
    }
}

/// A token that is asked for.
#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Wanted {
    name: String,
    role: String,
    #[serde(default)]
    services: Vec<String>,
    #[serde(default)]
    expires_at: Option<DateTime<Utc>>,
}

/// Lists every token, oldest first.
pub(super) async fn list(admin: Data<Admin>) -> Result<impl Responder, Problem> {
    let tokens = admin.store.tokens().await?;
    let tokens = tokens.iter().map(TokenDocument::from).collect();
    Ok(Json(Tokens { tokens }))
}

/// Creates a token. The answer is the only place that ever shows it.
pub(super) async fn create(
    request: HttpRequest,
    payload: Payload,
    admin: Data<Admin>,
) -> Result<HttpResponse, Problem> {
    let act = Act::of(&request)?.doing(AuditAction::TokenCreated);
    let wanted: Wanted = parse_object(&read_json(&request, payload, BYTES).await?)?;
    let secret = TokenSecret::draw().map_err(|_| Problem::Internal)?;
    let token = wanted.token(&secret, act.by(), admin.now())?;
    let shown = json!({ "token": TokenDocument::from(&token) });
    let act = act.to(&token.id.to_string());
    let record = act.record(&ChangeDocument::of_new(&shown), None);
    if act.is_dry_run() {
        let tokens = admin.store.tokens().await?;
        let others = tokens.iter().filter(|of| of.kind == TokenKind::Token);
        return match others.count() < TOKENS_MAX as usize {
            true => Ok(created(&token, None)),
            false => Err(full()),
        };
    }
    match admin.store.create_token(&token, Some(&record)).await? {
        TokenCreation::Created => {}
        TokenCreation::Full => return Err(full()),
    }
    admin.know_tokens().await?;
    tracing::info!(
        token = %token.id,
        name = token.name.as_str(),
        role = token.role.name(),
        by = act.by(),
        "a token was created"
    );
    Ok(created(&token, Some(&secret)))
}

fn created(token: &Token, secret: Option<&TokenSecret>) -> HttpResponse {
    HttpResponse::Created()
        .insert_header((CACHE_CONTROL, CacheControl(vec![CacheDirective::NoStore])))
        .json(Created {
            document: TokenDocument::from(token),
            token: secret.map(|secret| secret.expose().to_owned()),
        })
}

fn full() -> Problem {
    Problem::Conflict(format!(
        "there are {TOKENS_MAX} tokens already; those that were revoked or expired go after 30 days"
    ))
}

/// Revokes a token. Every replica refuses it within 2 s.
pub(super) async fn revoke(
    request: HttpRequest,
    id: Path<String>,
    admin: Data<Admin>,
) -> Result<impl Responder, Problem> {
    let missing = || Problem::NotFound("there is no token with this id".into());
    let id = Uuid::try_parse(&id).map_err(|_| missing())?;
    let act = Act::of(&request)?.doing(AuditAction::TokenRevoked);
    let act = act.to(&id.to_string());
    let known = admin.store.tokens().await?;
    let known = known
        .iter()
        .find(|token| token.id == id)
        .ok_or_else(missing)?;
    let now = admin.now();
    let before = json!({ "token": { "name": known.name.as_str(), "revoked_at": null } });
    let after = json!({ "token": { "name": known.name.as_str(), "revoked_at": now } });
    if act.is_dry_run() {
        let revoked = Token {
            revoked_at: known.revoked_at.or(Some(now)),
            ..known.clone()
        };
        return Ok(Json(TokenDocument::from(&revoked)));
    }
    let record = act.record(&ChangeDocument::between(&before, &after), None);
    let revoked = admin.store.revoke_token(id, now, Some(&record)).await?;
    let revoked = revoked.ok_or_else(missing)?;
    admin.know_tokens().await?;
    tracing::info!(
        token = %revoked.id,
        name = revoked.name.as_str(),
        by = act.by(),
        "a token was revoked"
    );
    Ok(Json(TokenDocument::from(&revoked)))
}

impl Admin {
    pub(super) fn now(&self) -> DateTime<Utc> {
        let milliseconds = self.clock.now().timestamp_millis();
        DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
    }

    /// Takes over at once what was changed here; the other replicas follow.
    pub(super) async fn know_tokens(&self) -> Result<(), Problem> {
        self.tokens.install(self.store.tokens().await?);
        Ok(())
    }
}

impl Wanted {
    fn token(
        self,
        secret: &TokenSecret,
        created_by: &str,
        now: DateTime<Utc>,
    ) -> Result<Token, Problem> {
        let invalid = |field: &str, detail: String| Problem::Invalid {
            field: field.to_owned(),
            detail,
        };
        let name = TokenName::parse(&self.name).map_err(|why| invalid("name", why.into()))?;
        let role = Role::named(&self.role);
        let role =
            role.ok_or_else(|| invalid("role", "must be viewer, operator, admin or agent".into()))?;
        if self.services.len() > SERVICES_MAX {
            let detail = format!("must be at most {SERVICES_MAX} services");
            return Err(invalid("services", detail));
        }
        let services = self.services.iter().map(|service| {
            let parsed = ServiceName::parse(service);
            parsed.map_err(|why| invalid("services", format!("a name {why}")))
        });
        if self.expires_at.is_some_and(|expires| expires <= now) {
            return Err(invalid("expires_at", "must be in the future".into()));
        }
        Ok(Token {
            id: Uuid::new_v4(),
            digest: secret.digest(),
            kind: TokenKind::Token,
            name,
            role,
            services: services.collect::<Result<_, _>>()?,
            created_at: now,
            created_by: created_by.to_owned(),
            expires_at: self.expires_at,
            revoked_at: None,
        })
    }
}
