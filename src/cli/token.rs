//! `weir token`: creates, lists and revokes tokens in the database, on the host.
//!
//! So the first token needs nobody's: whoever may write to the database may do everything.

mod database;

use std::process::ExitCode;
use std::time::Duration;

use chrono::{DateTime, SecondsFormat, TimeDelta, Utc};
use clap::builder::{PossibleValuesParser, TypedValueParser};
use clap::{Args, Subcommand};
use serde_json::json;
use uuid::Uuid;

use self::database::DatabaseArgs;
use super::block_on;
use crate::access::{Actor, LOCAL, Role, SERVICES_MAX, Token, TokenKind, TokenName, TokenSecret};
use crate::allocation::ServiceName;
use crate::clock::{Clock, SystemClock};
use crate::settings::parse::{DAY, MINUTE, duration};
use crate::store::{
    AuditAction, NewAuditEntry, Origin, REASON_MAX, StoreError, TOKENS_MAX, TokenCreation,
};
use crate::telemetry::logging::chain;
use crate::view::change::ChangeDocument;

/// Flags of `weir token`.
#[derive(Debug, Args)]
pub(super) struct TokenArgs {
    #[command(subcommand)]
    command: TokenCommand,
}

#[derive(Debug, Subcommand)]
enum TokenCommand {
    /// Create a token and print it, once: it is stored nowhere
    Create(CreateArgs),
    /// List the tokens: who has which, not the tokens themselves
    List(DatabaseArgs),
    /// Revoke a token: every replica refuses it within 2 s
    Revoke(RevokeArgs),
}

#[derive(Debug, Args)]
struct CreateArgs {
    /// Who or what it is for; also who wrote a revision of the configuration
    #[arg(long, value_name = "NAME", value_parser = name)]
    name: TokenName,
    /// What it may do: viewer reads, operator changes the configuration, admin tokens, too; agent sends
    /// counts
    #[arg(long, value_name = "ROLE", value_parser = role())]
    role: Role,
    /// Limit it to this service; may be repeated
    #[arg(long = "service", value_name = "SERVICE", value_parser = service)]
    services: Vec<ServiceName>,
    /// How long it is valid, 1m to 3650d. Without it: until it is revoked
    #[arg(
        long,
        value_name = "DURATION",
        value_parser = duration(MINUTE, 3650 * DAY)
    )]
    expires_in: Option<Duration>,
    /// Why, for `weir audit`
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    #[command(flatten)]
    database: DatabaseArgs,
}

#[derive(Debug, Args)]
struct RevokeArgs {
    /// Its id, as `weir token list` shows it
    #[arg(value_name = "ID")]
    id: Uuid,
    /// Why, for `weir audit`
    #[arg(long, value_name = "TEXT", value_parser = reason)]
    reason: Option<String>,
    #[command(flatten)]
    database: DatabaseArgs,
}

fn name(text: &str) -> Result<TokenName, &'static str> {
    TokenName::parse(text)
}

fn service(text: &str) -> Result<ServiceName, crate::allocation::NameError> {
    ServiceName::parse(text)
}

fn role() -> impl TypedValueParser<Value = Role> {
    let names = Role::ALL.map(Role::name);
    PossibleValuesParser::new(names).try_map(|name| Role::named(&name).ok_or("is no role"))
}

/// Why a command failed.
#[derive(Debug, thiserror::Error)]
enum TokenError {
    #[error("{0}")]
    Refused(String),
    #[error(transparent)]
    Store(#[from] StoreError),
}

pub(super) fn run(args: TokenArgs) -> ExitCode {
    block_on(async {
        let done = match args.command {
            TokenCommand::Create(args) => create(args).await,
            TokenCommand::List(database) => list(&database).await,
            TokenCommand::Revoke(args) => revoke(&args).await,
        };
        match done {
            Ok(()) => ExitCode::SUCCESS,
            Err(error) => {
                eprintln!("weir token failed: {}", chain(&error));
                ExitCode::FAILURE
            }
        }
    })
}

/// The machine's time, as the database stores it. Tokens run out by the database's time.
fn now() -> DateTime<Utc> {
    let milliseconds = SystemClock.now().timestamp_millis();
    DateTime::from_timestamp_millis(milliseconds).unwrap_or_default()
}

/// What is recorded of what is done here.
fn record(
    action: AuditAction,
    token: Uuid,
    reason: Option<String>,
    change: &ChangeDocument,
) -> NewAuditEntry {
    let actor = Actor::local();
    NewAuditEntry {
        by: actor.name,
        kind: actor.kind.to_owned(),
        role: None,
        address: None,
        origin: Origin::Cli,
        action,
        subject: Some(token.to_string()),
        reason,
        revisions: None,
        change: change.document(),
        predicted: None,
    }
}

/// A reason, as it is recorded.
fn reason(text: &str) -> Result<String, String> {
    if text.trim().is_empty() || text.len() > REASON_MAX || text.contains(char::is_control) {
        return Err(format!(
            "must be 1 to {REASON_MAX} bytes without control characters"
        ));
    }
    Ok(text.to_owned())
}

async fn create(args: CreateArgs) -> Result<(), TokenError> {
    if args.services.len() > SERVICES_MAX {
        let most = format!("a token may be limited to {SERVICES_MAX} services at most");
        return Err(TokenError::Refused(most));
    }
    let secret = TokenSecret::draw().map_err(|error| TokenError::Refused(error.to_string()))?;
    let created_at = now();
    let lasts = args.expires_in.map(TimeDelta::from_std);
    let lasts = lasts.transpose().expect("ten years fit");
    let token = Token {
        id: Uuid::new_v4(),
        digest: secret.digest(),
        kind: TokenKind::Token,
        name: args.name,
        role: args.role,
        services: args.services,
        created_at,
        created_by: LOCAL.into(),
        expires_at: lasts.map(|lasts| created_at + lasts),
        revoked_at: None,
    };
    let store = args.database.open().await?;
    let shown = json!({ "token": {
        "id": token.id, "name": token.name.as_str(), "role": token.role.name(),
        "services": token.services.iter().map(ServiceName::as_str).collect::<Vec<_>>(),
        "expires_at": token.expires_at,
    } });
    let change = ChangeDocument::of_new(&shown);
    let record = record(AuditAction::TokenCreated, token.id, args.reason, &change);
    let created = store.create_token(&token, Some(&record)).await;
    store.close().await;
    match created? {
        TokenCreation::Created => {
            eprintln!(
                "created token {} for {}, role {}; it is shown once:",
                token.id,
                token.name.as_str(),
                token.role
            );
            println!("{}", secret.expose());
            Ok(())
        }
        TokenCreation::Full => Err(TokenError::Refused(format!(
            "there are {TOKENS_MAX} tokens already; those that were revoked or expired go after 30 \
             days"
        ))),
    }
}

async fn list(database: &DatabaseArgs) -> Result<(), TokenError> {
    let store = database.open().await?;
    let tokens = store.tokens().await;
    store.close().await;
    let now = now();
    println!(
        "{:36}  {:8}  {:20}  {:20}  {:20}  SERVICES",
        "ID", "ROLE", "NAME", "STATE", "CREATED BY"
    );
    for token in tokens? {
        let services: Vec<&str> = token.services.iter().map(ServiceName::as_str).collect();
        println!(
            "{}  {:8}  {:20}  {:20}  {:20}  {}",
            token.id,
            token.role.name(),
            token.name.as_str(),
            state(&token, now),
            token.created_by,
            if services.is_empty() {
                "all".into()
            } else {
                services.join(", ")
            }
        );
    }
    Ok(())
}

fn state(token: &Token, now: DateTime<Utc>) -> String {
    let seconds = |at: DateTime<Utc>| at.to_rfc3339_opts(SecondsFormat::Secs, true);
    match (token.revoked_at, token.expires_at) {
        (Some(_), _) => "revoked".into(),
        (None, Some(expires)) if expires <= now => "expired".into(),
        (None, Some(expires)) => seconds(expires),
        (None, None) => "valid".into(),
    }
}

async fn revoke(args: &RevokeArgs) -> Result<(), TokenError> {
    let store = args.database.open().await?;
    let now = now();
    let before = json!({ "token": { "revoked_at": null } });
    let after = json!({ "token": { "revoked_at": now } });
    let change = ChangeDocument::between(&before, &after);
    let reason = args.reason.clone();
    let record = record(AuditAction::TokenRevoked, args.id, reason, &change);
    let revoked = store.revoke_token(args.id, now, Some(&record)).await;
    store.close().await;
    match revoked? {
        Some(token) => {
            println!("revoked token {} of {}", token.id, token.name.as_str());
            Ok(())
        }
        None => Err(TokenError::Refused(format!(
            "there is no token {}",
            args.id
        ))),
    }
}
