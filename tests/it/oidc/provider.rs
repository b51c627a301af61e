//! The provider: oidc-provider, in Node.js.

use std::io::{BufRead, BufReader};
use std::process::{Child, Command, Stdio};

use serde_json::{Value, json};
use weir::clock::{Clock, SystemClock};

use crate::support::postgres::free_port;

/// The secret of Weir's client, with what has to be encoded in it.
pub const SECRET: &str = "geheim of weir: 100% +/&=";

/// A provider that runs. It ends when it is dropped.
pub struct Provider {
    pub issuer: String,
    process: Child,
    client: reqwest::Client,
}

impl Provider {
    /// Starts one. With `whole`, its ID tokens say everything; else it has to be asked.
    pub fn start(whole: bool) -> Self {
        Self::start_at(free_port(), whole)
    }

    pub fn start_at(port: u16, whole: bool) -> Self {
        let script = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/oidc/provider.js");
        let mut process = Command::new("node")
            .args([
                script,
                &port.to_string(),
                if whole { "whole" } else { "bare" },
            ])
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .expect("node runs: `make setup` installs what it needs");
        let output = process.stdout.take().unwrap();
        let mut lines = BufReader::new(output).lines();
        let said = lines.find(|line| line.as_ref().is_ok_and(|line| line == "listening"));
        said.expect("the provider listens: `make setup` installs it")
            .unwrap();
        // It writes more, which nobody reads.
        std::thread::spawn(move || lines.for_each(drop));
        Self {
            issuer: format!("http://localhost:{port}"),
            process,
            client: reqwest::Client::new(),
        }
    }

    async fn tell(&self, path: &str, body: &Value) -> Value {
        let post = self.client.post(format!("{}{path}", self.issuer));
        let answer = post.json(body).send().await.unwrap();
        let (status, text) = (answer.status(), answer.text().await.unwrap());
        assert_eq!(status, 200, "{text}");
        serde_json::from_str(&text).unwrap()
    }

    /// Registers Weir and a program. Browsers come back to Weir at this URL.
    pub async fn register(&self, url: &str) {
        let clients = json!([
            {
                "client_id": "weir",
                "client_secret": SECRET,
                "redirect_uris": [format!("{url}/login/callback")],
            },
            {
                "client_id": "pipeline",
                "client_secret": SECRET,
                "grant_types": ["client_credentials"],
                "response_types": [],
                "redirect_uris": [],
            },
        ]);
        self.tell("/test/clients", &clients).await;
    }

    /// Replaces its keys.
    pub async fn rotate(&self) {
        self.tell("/test/rotate", &json!({})).await;
    }

    /// A JWT that it signs as it is told.
    pub async fn signed(&self, wanted: Value) -> String {
        let signed = self.tell("/test/jwt", &wanted).await;
        signed["jwt"].as_str().unwrap().to_owned()
    }

    /// A JWT with these claims.
    pub async fn jwt(&self, claims: Value) -> String {
        self.signed(json!({ "claims": claims })).await
    }

    /// Claims that are in order.
    pub fn claims(&self, groups: &[&str]) -> Value {
        let now = SystemClock.now().timestamp();
        json!({
            "iss": self.issuer, "aud": "weir", "sub": "4711", "exp": now + 600, "iat": now,
            "groups": groups,
        })
    }

    /// The access token of a program, by the protocol.
    pub async fn client_credentials(&self) -> String {
        let post = self.client.post(format!("{}/token", self.issuer));
        let encoded: String = form_urlencoded::byte_serialize(SECRET.as_bytes()).collect();
        let form = form_urlencoded::Serializer::new(String::new())
            .append_pair("grant_type", "client_credentials")
            .append_pair("resource", "https://weir.example/api")
            .append_pair("scope", "api")
            .finish();
        let post = post.basic_auth("pipeline", Some(encoded)).body(form);
        let post = post.header("Content-Type", "application/x-www-form-urlencoded");
        let answer: Value = post.send().await.unwrap().json().await.unwrap();
        answer["access_token"].as_str().expect("a token").to_owned()
    }

    /// Ends.
    pub fn end(mut self) {
        self.kill();
    }

    fn kill(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

impl Drop for Provider {
    fn drop(&mut self) {
        self.kill();
    }
}
