//! Tokens, and who may not do something.

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use sqlx::{Connection, SqliteConnection};

use weir::access::Need;
use weir::http::routes::Route;

use super::{Answer, Document, Given, TestApp, too_large};
use crate::access::{Bearer, Door};
use crate::contract::filled;

pub const TOKENS: &str = "/v1/tokens";
pub const TOKEN: &str = "/v1/tokens/{id}";

impl Given {
    pub async fn create_token(&mut self, request: RequestBuilder, expected: u16) -> Answer {
        let answer = Answer::of(request).await;
        self.note("POST", TOKENS, expected, &answer);
        answer
    }

    pub async fn revoke_token(&mut self, app: &TestApp, id: &str, expected: u16) -> Answer {
        let url = format!("{}{TOKENS}/{id}", app.admin);
        let answer = Answer::of(app.client.delete(url)).await;
        self.note("DELETE", TOKEN, expected, &answer);
        answer
    }
}

pub fn post(app: &TestApp) -> RequestBuilder {
    app.client.post(format!("{}{TOKENS}", app.admin))
}

pub fn sound() -> Value {
    json!({ "name": "grafana", "role": "viewer", "services": ["checkout"],
            "expires_at": "2126-11-20T09:00:00Z" })
}

/// On loopback, where nobody is asked for a token.
pub async fn tokens(given: &mut Given, app: &TestApp) {
    let created = given.create_token(post(app).json(&sound()), 201).await;
    let id = created.json()["id"].as_str().unwrap().to_owned();
    let listed = given.get(app, TOKENS, "", 200).await.json();
    assert_eq!(listed["tokens"][0]["id"], *id);
    assert_eq!(listed["tokens"][0].get("token"), None);
    given.get(app, TOKENS, "?made-up=1", 400).await;
    given
        .revoke_token(app, &format!("{id}?made-up=1"), 400)
        .await;
    let revoked = given.revoke_token(app, &id, 200).await.json();
    assert!(revoked["revoked_at"].is_string(), "{revoked}");
    for unknown in ["0b6fc9a2-0a53-4a7e-9d0c-5d0f0f6f9b11", "none"] {
        given.revoke_token(app, unknown, 404).await;
    }
    for (field, wrong) in [
        ("name", json!({ "name": "local", "role": "viewer" })),
        ("name", json!({ "name": "a\nb", "role": "viewer" })),
        ("role", json!({ "name": "a", "role": "root" })),
        (
            "services[0]",
            json!({ "name": "a", "role": "agent", "services": [1] }),
        ),
        (
            "services",
            json!({ "name": "a", "role": "agent", "services": [""] }),
        ),
        (
            "services",
            json!({ "name": "a", "role": "agent", "services": vec!["a"; 101] }),
        ),
        (
            "expires_at",
            json!({ "name": "a", "role": "agent", "expires_at": "2020-11-20T09:00:00Z" }),
        ),
        (
            "token",
            json!({ "name": "a", "role": "agent", "token": "weir_" }),
        ),
    ] {
        let refused = given.create_token(post(app).json(&wrong), 422).await;
        assert_eq!(refused.json()["field"], field, "{wrong}");
    }
    given
        .create_token(post(app).json(&json!(["a", "admin"])), 400)
        .await;
    given.create_token(post(app).body("{}"), 415).await;
    given
        .create_token(too_large(post(app), 64 << 10), 413)
        .await;
}

/// There are as many tokens as there may be.
pub async fn with_all_tokens(given: &mut Given) {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let file = format!("sqlite://{}/weir.db", directory.path().display());
    let mut connection = SqliteConnection::connect(&file).await.unwrap();
    let fill = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000)
        insert into token select lower(hex(randomblob(16))), randomblob(32), 'a', 'agent', '[]', i,
            'local', null, null, 'token' from n";
    sqlx::query(fill).execute(&mut connection).await.unwrap();
    given.create_token(post(&app).json(&sound()), 409).await;
    app.stop().await;
}

/// Without a token, with one of another role, and with too many that are not valid.
pub async fn without_rights(given: &mut Given) {
    let door = Door::open(&["--require-agent-token"]).await;
    let (agent, viewer) = (
        door.token("agent", &[]).await,
        door.token("viewer", &[]).await,
    );
    for operation in Document::read().operations() {
        if !operation.responses.contains_key(&401) {
            continue;
        }
        let (method, path) = (&*operation.method, &*operation.path);
        let listener = if operation.is_admin {
            &door.app.admin
        } else {
            &door.app.sdk
        };
        let url = format!("{listener}{}", filled(path));
        let ask = |client: &reqwest::Client| {
            let request = client.request(method.parse().unwrap(), &url);
            request.header("Content-Type", "application/json")
        };
        let client = &door.app.client;
        given.note(method, path, 401, &Answer::of(ask(client)).await);
        let other = if operation.is_admin { &agent } else { &viewer };
        let refused = ask(client).bearer(other);
        let refused = Answer::of(refused).await;
        // Who is known may ask who they are, whatever their role.
        let is_for_anyone = |route: &&Route| route.path == path && route.need == Need::Anyone;
        let expected = match weir::api::admin::ROUTES.iter().find(is_for_anyone) {
            Some(route) => {
                if route.method == "GET" {
                    200
                } else {
                    409
                }
            }
            None => 403,
        };
        given.note(method, path, expected, &refused);
        let exhausted = ask(door.exhausted()).bearer(Door::NOBODYS);
        given.note(method, path, 429, &Answer::of(exhausted).await);
    }
    door.app.stop().await;
}
