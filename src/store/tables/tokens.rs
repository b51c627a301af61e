//! Table `token`: the tokens that people and programs present, and the sessions of browsers.

use chrono::{DateTime, Days, Utc};
use uuid::Uuid;

use super::audit;
use crate::access::{Role, Token, TokenDigest, TokenKind, TokenName};
use crate::allocation::ServiceName;
use crate::store::backend::{Backend, Kind, Row, Transaction, Value};
use crate::store::fault::{self, Fault};
use crate::store::{
    NewAuditEntry, SESSIONS_EACH, SESSIONS_MAX, TOKENS_MAX, TokenCreation, TokensMark,
};

/// How long a token is listed after it was revoked or ran out, so that people can see what it was.
const LISTED: Days = Days::new(30);

const DELETE_OLD: &str = "\
-- token: delete old
delete from token where revoked_ms < $1 or expires_ms < $1
    or (kind = 'session' and (revoked_ms is not null or expires_ms <= $2))";

/// The oldest sessions of somebody who begins one more than they may have.
const DELETE_OLDEST_SESSIONS: &str = "\
-- token: delete oldest sessions
delete from token where id in (
    select id from token where kind = 'session' and name = $1
    order by created_ms desc, id desc limit 1000 offset $2)";

/// Two who create the last one at the same time may both succeed.
const INSERT: &str = "\
-- token: insert
insert into token
    (id, digest, name, role, services, created_ms, created_by, expires_ms, revoked_ms, kind)
select $1, $2, $3, $4, $5, $6, $7, $8, $9, $11
where (select count(*) from token where kind = $11) < $10";

const READ_ALL: &str = "\
-- token: read all
select id, digest, name, role, services, created_ms, created_by, expires_ms, revoked_ms, kind
from token order by created_ms, id";

const READ_ONE: &str = "\
-- token: read one
select id, digest, name, role, services, created_ms, created_by, expires_ms, revoked_ms, kind
from token where id = $1";

const READ_MARK: &str = "\
-- token: read mark
select count(*) as tokens, count(revoked_ms) as revoked,
    coalesce(max(created_ms), 0) as created_ms, coalesce(max(revoked_ms), 0) as revoked_ms
from token";

const REVOKE: &str = "\
-- token: revoke
update token set revoked_ms = $2 where id = $1 and revoked_ms is null";

fn token(row: &impl Row) -> Result<Token, Fault> {
    let id = row.id("id")?;
    let cell = |column: &str| format!("token.{column} of token {id}");
    let wrong = |column: &str, why: &str| Fault::corrupt(cell(column), why);
    let instant = |column: &'static str| {
        let cell = || cell(column);
        let stored = row.integer_or_null(column)?;
        stored
            .map(|stored| fault::instant(stored, cell))
            .transpose()
    };
    let digest = row.bytes("digest")?.try_into();
    let services: Vec<String> = serde_json::from_str(row.text("services")?)
        .map_err(|error| wrong("services", &error.to_string()))?;
    let services = services.iter().map(|service| ServiceName::parse(service));
    Ok(Token {
        id,
        digest: TokenDigest(digest.map_err(|_| wrong("digest", "it is not 32 bytes long"))?),
        kind: TokenKind::named(row.text("kind")?)
            .ok_or_else(|| wrong("kind", "it is not known"))?,
        name: TokenName::stored(row.text("name")?).map_err(|why| wrong("name", why))?,
        role: Role::named(row.text("role")?).ok_or_else(|| wrong("role", "it is not known"))?,
        services: services
            .collect::<Result<_, _>>()
            .map_err(|error| wrong("services", &error.to_string()))?,
        created_at: fault::instant(row.integer("created_ms")?, || cell("created_ms"))?,
        created_by: row.text("created_by")?.to_owned(),
        expires_at: instant("expires_ms")?,
        revoked_at: instant("revoked_ms")?,
    })
}

/// Stores a new token, and deletes those that are gone for long.
pub async fn create<B: Backend>(
    backend: &B,
    new: &Token,
    record: Option<&NewAuditEntry>,
) -> Result<TokenCreation, Fault> {
    let services: Vec<&str> = new.services.iter().map(ServiceName::as_str).collect();
    let services = serde_json::to_string(&services).expect("texts are JSON");
    let milliseconds = |at: Option<DateTime<Utc>>| at.map(|at| at.timestamp_millis());
    let (most, is_session) = match new.kind {
        TokenKind::Session => (SESSIONS_MAX, true),
        TokenKind::Token | TokenKind::Jwt => (TOKENS_MAX, false),
    };
    let values: [Value<'_>; 11] = [
        new.id.into(),
        new.digest.0[..].into(),
        new.name.as_str().into(),
        new.role.name().into(),
        (*services).into(),
        new.created_at.timestamp_millis().into(),
        (*new.created_by).into(),
        milliseconds(new.expires_at).into(),
        milliseconds(new.revoked_at).into(),
        most.into(),
        new.kind.name().into(),
    ];
    let gone = new.created_at.checked_sub_days(LISTED);
    let gone = gone.unwrap_or(DateTime::UNIX_EPOCH).timestamp_millis();
    let mut transaction = backend.begin(Kind::Write).await?;
    let now = new.created_at.timestamp_millis();
    transaction
        .execute(DELETE_OLD, &[gone.into(), now.into()])
        .await?;
    if is_session {
        let others = [new.name.as_str().into(), (SESSIONS_EACH - 1).into()];
        transaction.execute(DELETE_OLDEST_SESSIONS, &others).await?;
    }
    let written = transaction.execute(INSERT, &values).await?;
    if written > 0 {
        audit::insert(&mut transaction, record).await?;
    }
    transaction.commit().await?;
    Ok(match written {
        0 => TokenCreation::Full,
        _ => TokenCreation::Created,
    })
}

/// Every token, oldest first.
pub async fn all<B: Backend>(backend: &B) -> Result<Vec<Token>, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let rows = transaction.rows(READ_ALL, &[]).await?;
    transaction.commit().await?;
    rows.iter().map(token).collect()
}

/// What changes with the tokens.
pub async fn mark<B: Backend>(backend: &B) -> Result<TokensMark, Fault> {
    let mut transaction = backend.begin(Kind::Glance).await?;
    let row = transaction.only_row(READ_MARK, &[]).await?;
    transaction.commit().await?;
    Ok(TokensMark {
        tokens: row.integer("tokens")?,
        revoked: row.integer("revoked")?,
        created_ms: row.integer("created_ms")?,
        revoked_ms: row.integer("revoked_ms")?,
    })
}

/// Revokes a token, unless it is revoked already; none if there is no such token.
pub async fn revoke<B: Backend>(
    backend: &B,
    id: Uuid,
    now: DateTime<Utc>,
    record: Option<&NewAuditEntry>,
) -> Result<Option<Token>, Fault> {
    let values = [id.into(), now.timestamp_millis().into()];
    let mut transaction = backend.begin(Kind::Write).await?;
    if transaction.execute(REVOKE, &values).await? > 0 {
        audit::insert(&mut transaction, record).await?;
    }
    let row = transaction.row(READ_ONE, &[id.into()]).await?;
    transaction.commit().await?;
    row.as_ref().map(token).transpose()
}
