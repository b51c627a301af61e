//! Who may do what: tokens, roles, and whom a listener answers without one.

mod agents;
mod commands;
mod everybody;
mod limits;
mod roles;
mod tokens;

use std::path::Path;
use std::time::Duration;

use chrono::{DateTime, TimeDelta, Utc};
use reqwest::RequestBuilder;
use serde_json::{Value, json};
use tempfile::TempDir;
use uuid::Uuid;
use weir::access::{Role, Token, TokenKind, TokenName, TokenSecret};
use weir::clock::{Clock, SystemClock};
use weir::store::Store;
use weir::store::sqlite::SqliteStore;

use crate::support::app::TestApp;

const DEADLINE: Duration = Duration::from_secs(30);

/// Adds a token to a request.
pub trait Bearer {
    fn bearer(self, token: &str) -> Self;
}

impl Bearer for RequestBuilder {
    fn bearer(self, token: &str) -> Self {
        self.header("Authorization", format!("Bearer {token}"))
    }
}

/// A Weir that asks everybody for a token, and its first token.
pub struct Door {
    pub app: TestApp,
    pub first: String,
    exhausted: reqwest::Client,
    pub directory: TempDir,
}

impl Door {
    /// A token that nobody has.
    pub const NOBODYS: &str =
        "weir_00000000000000000000000000000000000000000000000000000000000000ff";

    pub async fn open(flags: &[&str]) -> Self {
        Self::open_in(tempfile::tempdir().unwrap(), flags).await
    }

    /// The same, with tokens that are stored already.
    pub async fn open_in(directory: TempDir, flags: &[&str]) -> Self {
        let first = TokenSecret::draw().unwrap().expose().to_owned();
        let file = directory.path().join("first");
        std::fs::write(&file, format!("{first}\n")).unwrap();
        let own = [
            "--require-admin-token",
            "--bootstrap-token-file",
            file.to_str().unwrap(),
        ];
        let app = TestApp::start(directory.path(), &[&own, flags].concat()).await;
        Self {
            exhausted: exhausted(&app.admin).await,
            app,
            first,
            directory,
        }
    }

    /// Creates a token over the API.
    pub async fn token(&self, role: &str, services: &[&str]) -> String {
        self.created(role, services).await["token"]
            .as_str()
            .expect("the token")
            .to_owned()
    }

    /// Creates a token over the API; the whole answer.
    pub async fn created(&self, role: &str, services: &[&str]) -> Value {
        let wanted = json!({ "name": format!("a {role}"), "role": role, "services": services });
        let post = self.app.client.post(self.url("/v1/tokens"));
        let answer = post.bearer(&self.first).json(&wanted).send().await.unwrap();
        assert_eq!(answer.status(), 201);
        answer.json().await.unwrap()
    }

    pub fn url(&self, path: &str) -> String {
        format!("{}{path}", self.app.admin)
    }

    /// The status of a read with a token.
    pub async fn status(&self, path: &str, token: &str) -> u16 {
        let get = self.app.client.get(self.url(path)).bearer(token);
        get.send().await.unwrap().status().as_u16()
    }

    /// A client from whose address too many tokens came that are not valid.
    pub fn exhausted(&self) -> &reqwest::Client {
        &self.exhausted
    }
}

/// A client with an address of its own.
pub fn client_at(address: [u8; 4]) -> reqwest::Client {
    let client = reqwest::Client::builder().local_address(std::net::IpAddr::from(address));
    client.build().unwrap()
}

async fn exhausted(admin: &str) -> reqwest::Client {
    let client = client_at([127, 0, 0, 99]);
    for _ in 0..20 {
        let get = client.get(format!("{admin}/v1/budget"));
        let refused = get.bearer(Door::NOBODYS).send().await.unwrap();
        assert_eq!(refused.status(), 401);
    }
    client
}

/// Stores a token directly, as somebody with the database does.
pub async fn stored(
    directory: &Path,
    role: Role,
    change: impl FnOnce(&mut Token),
) -> (String, Uuid) {
    let store = SqliteStore::open(&directory.join("weir.db")).await.unwrap();
    let secret = TokenSecret::draw().unwrap();
    let mut token = Token {
        id: Uuid::new_v4(),
        digest: secret.digest(),
        kind: TokenKind::Token,
        name: TokenName::parse(&format!("the {role}")).unwrap(),
        role,
        services: Vec::new(),
        created_at: in_seconds(-60),
        created_by: "local".into(),
        expires_at: None,
        revoked_at: None,
    };
    change(&mut token);
    store.create_token(&token, None).await.unwrap();
    store.close().await;
    (secret.expose().to_owned(), token.id)
}

/// The instant this number of seconds from now.
pub fn in_seconds(seconds: i64) -> DateTime<Utc> {
    SystemClock.now() + TimeDelta::seconds(seconds)
}
