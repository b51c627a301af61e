//! Programs that present JWTs of the provider.

use serde_json::{Value, json};
use uuid::Uuid;

use super::provider::Provider;
use super::{DEADLINE, Trusting, trusting};
use crate::support::app::{TestApp, report};
use crate::support::postgres::free_port;
use crate::support::process::eventually;

/// Claims, with one of them changed; null takes it away.
fn with(mut claims: Value, name: &str, value: Value) -> Value {
    let all = claims.as_object_mut().unwrap();
    match value {
        Value::Null => all.remove(name),
        value => all.insert(name.into(), value),
    };
    claims
}

#[tokio::test(flavor = "multi_thread")]
async fn a_program_presents_the_access_token_that_the_provider_gave_it() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let token = provider.client_credentials().await;
    let (status, told) = weir.ask("/v1/me", &token).await;
    assert_eq!(status, 200, "{told}");
    assert_eq!(told["name"], "oidc:pipeline");
    assert_eq!(told["kind"], "jwt");
    assert_eq!(told["role"], "operator");
    let put = weir.app.client.put(format!("{}/v1/budget", weir.url));
    let put = put.header("Authorization", format!("Bearer {token}"));
    let put = put
        .header("If-Match", "*")
        .json(&json!({ "traces_per_second": 7 }));
    assert_eq!(put.send().await.unwrap().status(), 200);
    let (_, listed) = weir.ask("/v1/configuration/revisions", &token).await;
    assert_eq!(listed["revisions"][0]["written_by"], "oidc:pipeline");
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_jwt_is_accepted_only_if_all_of_it_is_right() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let sound = provider.claims(&["weir-viewers"]);
    let now = sound["iat"].as_i64().unwrap();
    let claims = |name: &str, value: Value| json!({ "claims": with(sound.clone(), name, value) });
    let head = |more: Value| {
        let mut wanted = json!({ "claims": sound });
        let all = wanted.as_object_mut().unwrap();
        all.extend(more.as_object().unwrap().clone());
        wanted
    };
    let table = [
        (json!({ "claims": sound }), 200, ""),
        (head(json!({ "alg": "PS256" })), 200, ""),
        (head(json!({ "alg": "ES256" })), 200, ""),
        (head(json!({ "alg": "ES384" })), 200, ""),
        (head(json!({ "alg": "EdDSA" })), 200, ""),
        (head(json!({ "typ": "at+jwt" })), 200, ""),
        (
            head(json!({ "alg": "ES384", "kid": null })),
            200,
            "the only key for it",
        ),
        (claims("aud", json!(["other", "weir"])), 200, ""),
        (claims("exp", json!(now - 30)), 200, "clocks differ"),
        (claims("nbf", json!(now + 30)), 200, "clocks differ"),
        (claims("groups", json!("weir-viewers")), 200, "one group"),
        (claims("exp", json!(now - 90)), 401, "has expired"),
        (claims("exp", json!(null)), 401, "the claim exp"),
        (claims("exp", json!("never")), 401, "the claim exp"),
        (claims("nbf", json!(now + 600)), 401, "not valid yet"),
        (claims("nbf", json!("later")), 401, "the claim nbf"),
        (claims("aud", json!("other")), 401, "another audience"),
        (claims("aud", json!(["other"])), 401, "another audience"),
        (claims("aud", json!(null)), 401, "the claim aud"),
        (
            claims("iss", json!("http://localhost:1")),
            401,
            "another issuer",
        ),
        (
            claims("iss", json!([provider.issuer])),
            401,
            "the claim iss",
        ),
        (claims("sub", json!(null)), 401, "the claim sub"),
        (
            claims("groups", json!(["others"])),
            403,
            "in none of the groups",
        ),
        (claims("groups", json!(null)), 403, "in none of the groups"),
        (
            claims("groups", json!({ "weir-viewers": true })),
            403,
            "in none of the groups",
        ),
        (head(json!({ "sign": "none" })), 401, "must be signed with"),
        (head(json!({ "sign": "HS256" })), 401, "must be signed with"),
        (
            head(json!({ "sign": "other" })),
            401,
            "not signed by the issuer",
        ),
        (
            head(json!({ "sign": "other", "alg": "EdDSA" })),
            401,
            "not signed by the issuer",
        ),
        (
            head(json!({ "kid": "ES256-0" })),
            401,
            "must be signed with",
        ),
        (head(json!({ "kid": "made-up" })), 401, "names a key"),
        (head(json!({ "typ": "logout+jwt" })), 401, "typ"),
    ];
    for (number, (wanted, expected, why)) in table.into_iter().enumerate() {
        let jwt = provider.signed(wanted.clone()).await;
        // Each address may present a few that are not valid.
        let client = crate::access::client_at([127, 0, 8, 1 + number as u8]);
        let get = client.get(format!("{}/v1/budget", weir.url));
        let answer = get.header("Authorization", format!("Bearer {jwt}"));
        let answer = answer.send().await.unwrap();
        let status = answer.status();
        let text = answer.text().await.unwrap();
        assert_eq!(status, expected, "{wanted}: {text}");
        assert!(expected == 200 || text.contains(why), "{wanted}: {text}");
        assert!(!text.contains(&jwt), "{wanted}: {text}");
    }
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_only_looks_like_a_jwt_is_refused_however_large() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let groups: Vec<String> = (0..3000).map(|number| format!("group-{number}")).collect();
    let groups: Vec<&str> = groups.iter().map(String::as_str).collect();
    let large = provider.jwt(provider.claims(&groups)).await;
    for (number, text) in [
        "ey..",
        "eyJ.eyJ.eyJ",
        "eyJhbGciOiJSUzI1NiJ9.e30.AAAA",
        "eyJhbGciOiJSUzI1NiJ9.e30.",
        "eyJhbGciOlsxXX0.e30.AAAA",
        "eyJhbGciOiJSUzI1NiIsImNyaXQiOlsieCJdfQ.e30.AAAA",
        &large,
        &format!("ey{}.e30.AAAA", "J".repeat(60_000)),
        &format!("eyJ.{}.AAAA", "Z".repeat(500_000)),
    ]
    .into_iter()
    .enumerate()
    {
        let client = crate::access::client_at([127, 0, 9, 1 + number as u8]);
        let get = client.get(format!("{}/v1/budget", weir.url));
        let answer = get.header("Authorization", format!("Bearer {text}")).send();
        // A head that is too large may end the connection before it is read.
        if let Ok(answer) = answer.await {
            let status = answer.status().as_u16();
            assert!((400..500).contains(&status), "{number}: {status}");
        }
    }
    let sound = provider.jwt(provider.claims(&["weir-viewers"])).await;
    assert_eq!(weir.status("/v1/budget", &sound).await, 200);
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn new_keys_are_read_when_they_are_used_and_old_ones_are_forgotten() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let before = provider.jwt(provider.claims(&["weir-viewers"])).await;
    provider.rotate().await;
    assert_eq!(
        weir.status("/v1/budget", &before).await,
        200,
        "not read yet"
    );
    let after = provider.jwt(provider.claims(&["weir-viewers"])).await;
    weir.accepts(&after).await;
    assert_eq!(weir.status("/v1/budget", &before).await, 401);
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn without_the_provider_its_keys_stay_known_and_nobody_can_sign_in() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let jwt = provider.jwt(provider.claims(&["weir-viewers"])).await;
    let unknown = provider.signed(json!({
        "claims": provider.claims(&["weir-viewers"]), "kid": "made-up" }));
    let unknown = unknown.await;
    let issuer = provider.issuer.clone();
    provider.end();
    // It is asked, and does not answer.
    assert_eq!(weir.status("/v1/budget", &unknown).await, 401);
    let metric = async |name: &str| {
        let get = weir.app.client.get(format!("{}/metrics", weir.url));
        let get = get.header("Authorization", format!("Bearer {jwt}"));
        let text = get.send().await.unwrap().text().await.unwrap();
        crate::support::scrape::Scrape::read(text).value(name)
    };
    eventually(DEADLINE, "the provider is missed", async || {
        (metric("weir_oidc_keys_failing").await == 1.0).then_some(())
    })
    .await;
    assert!(metric("weir_oidc_keys_read_timestamp_seconds").await > 0.0);
    assert_eq!(weir.status("/v1/budget", &jwt).await, 200);
    weir.app.stop().await;

    // A Weir that starts now knows nobody, and knows them all once the provider is back.
    let port = free_port();
    let settings = trusting(directory.path(), &issuer, port, &[]);
    let app = TestApp::start_with(settings).await;
    let weir = Trusting {
        url: app.admin.clone(),
        app,
    };
    let (status, problem) = weir.ask("/v1/budget", &jwt).await;
    assert_eq!(status, 401, "{problem}");
    assert!(
        problem["detail"]
            .as_str()
            .unwrap()
            .contains("keys could not be read")
    );
    let login = weir.app.client.get(format!("{}/login", weir.url));
    let login = login.send().await.unwrap();
    assert_eq!(login.status(), 503);
    assert!(login.headers().contains_key("retry-after"));
    let port = issuer.rsplit_once(':').unwrap().1.parse().unwrap();
    let provider = Provider::start_at(port, true);
    let jwt = provider.jwt(provider.claims(&["weir-viewers"])).await;
    weir.accepts(&jwt).await;
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_agent_may_present_a_jwt_and_nobody_else_may_count() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &["--require-agent-token"]).await;
    let send = async |groups: &[&str]| {
        let jwt = provider.jwt(provider.claims(groups)).await;
        let post = weir.app.client.post(format!("{}/v1/reports", weir.app.sdk));
        let post = post.header("Authorization", format!("Bearer {jwt}"));
        let post = post.json(&report("a", Uuid::new_v4(), 1, 7));
        post.send().await.unwrap().status().as_u16()
    };
    assert_eq!(send(&["weir-agents"]).await, 200);
    assert_eq!(send(&["weir-admins"]).await, 403);
    // Who has another role beside it has that one.
    assert_eq!(send(&["weir-agents", "weir-viewers"]).await, 403);
    assert_eq!(send(&[]).await, 403);
    weir.app.stop().await;
}
