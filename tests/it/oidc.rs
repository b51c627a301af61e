//! A real provider of OpenID Connect: people who sign in with a browser, and programs that present its JWTs.

pub mod browser;
mod machines;
pub mod provider;
pub mod sign_in;

use std::path::Path;
use std::time::Duration;

use serde_json::{Value, json};
use weir::settings::Settings;

use self::provider::Provider;
use crate::support::app::{TestApp, config};
use crate::support::postgres::free_port;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// The groups of the provider, and their roles.
const ROLES: &str = "weir-viewers=viewer,weir-operators=operator,weir-pipelines=operator,\
                     weir-admins=admin,weir-agents=agent";

/// A Weir that trusts a provider, and where browsers reach it.
pub struct Trusting {
    pub app: TestApp,
    pub url: String,
}

/// Settings of a Weir that trusts a provider, on a port that is known in advance.
pub fn trusting(directory: &Path, issuer: &str, port: u16, flags: &[&str]) -> Settings {
    let directory_flag = directory.to_str().unwrap();
    let secret = directory.join("secret");
    std::fs::write(&secret, format!("{}\n", provider::SECRET)).unwrap();
    let public_url = format!("http://127.0.0.1:{port}");
    let own = [
        "--data-dir",
        directory_flag,
        "--interval",
        "1s",
        "--oidc-issuer",
        issuer,
        "--oidc-client-id",
        "weir",
        "--oidc-client-secret-file",
        secret.to_str().unwrap(),
        "--oidc-audience",
        "weir",
        "--oidc-scope",
        "groups",
        "--oidc-role",
        ROLES,
        "--public-url",
        &public_url,
    ];
    let mut settings = config(&[&own, flags].concat());
    settings.listeners.admin_listen.set_port(port);
    settings
}

impl Trusting {
    /// Starts a Weir that knows the provider's keys.
    pub async fn start(directory: &Path, provider: &Provider, flags: &[&str]) -> Self {
        let port = free_port();
        provider.register(&format!("http://127.0.0.1:{port}")).await;
        Self::start_at(directory, provider, port, flags).await
    }

    pub async fn start_at(
        directory: &Path,
        provider: &Provider,
        port: u16,
        flags: &[&str],
    ) -> Self {
        let settings = trusting(directory, &provider.issuer, port, flags);
        let app = TestApp::start_with(settings).await;
        let weir = Self {
            url: app.admin.clone(),
            app,
        };
        let known = provider.jwt(provider.claims(&["weir-viewers"])).await;
        weir.accepts(&known).await;
        weir
    }

    /// Waits until a JWT is accepted. From an address of its own, which may present many that are not.
    pub async fn accepts(&self, jwt: &str) {
        let client = crate::access::client_at([127, 0, 7, 1]);
        eventually(DEADLINE, "the keys are read", async || {
            let (status, _) = self.ask_by(&client, "/v1/me", jwt).await;
            assert!([200, 401, 429].contains(&status), "{status}");
            (status == 200).then_some(())
        })
        .await;
    }

    /// The status of a read with a JWT.
    pub async fn status(&self, path: &str, jwt: &str) -> u16 {
        self.ask(path, jwt).await.0
    }

    /// The answer to a read with a JWT.
    pub async fn ask(&self, path: &str, jwt: &str) -> (u16, Value) {
        self.ask_by(&self.app.client, path, jwt).await
    }

    async fn ask_by(&self, client: &reqwest::Client, path: &str, jwt: &str) -> (u16, Value) {
        let get = client.get(format!("{}{path}", self.url));
        let answer = get.header("Authorization", format!("Bearer {jwt}"));
        let answer = answer.send().await.unwrap();
        let status = answer.status().as_u16();
        (status, answer.json().await.unwrap_or(json!(null)))
    }
}
