//! People who sign in with a browser.

use reqwest::Method;
use serde_json::{Value, json};

use super::browser::{Browser, From, Page, origin};
use super::provider::Provider;
use super::{DEADLINE, Trusting};
use crate::support::process::eventually;

const COOKIE: &str = "weir_session";
const ATTEMPT: &str = "weir_sign_in";

/// Goes through the provider's pages as somebody does who signs in; where that leads.
pub async fn sign_in(browser: &mut Browser, weir: &str, who: &str) -> Page {
    let to = format!("{weir}/login?to=/v1/me");
    let mut page = browser.go(&to, From::Nobody).await;
    for _ in 0..3 {
        if !page.url.contains("/interaction/") {
            return page;
        }
        let fields = match page.text.contains("name=\"login\"") {
            true => vec![("prompt", "login"), ("login", who), ("password", "any")],
            false => vec![("prompt", "consent")],
        };
        page = browser.submit(&page, &fields).await;
    }
    page
}

/// Sends something in the session of a browser.
async fn send(
    browser: &Browser,
    method: Method,
    url: &str,
    origin: Option<&str>,
    body: Option<Value>,
) -> (u16, Value) {
    let cookies = browser.cookies(url, true, &method);
    let request = reqwest::Client::new().request(method, url);
    let mut request = request.header("Cookie", cookies).header("If-Match", "*");
    if let Some(origin) = origin {
        request = request.header("Origin", origin);
    }
    if let Some(body) = body {
        request = request.json(&body);
    }
    let answer = request.send().await.unwrap();
    let status = answer.status().as_u16();
    (status, answer.json().await.unwrap_or(Value::Null))
}

async fn me(browser: &Browser, weir: &str) -> u16 {
    let url = format!("{weir}/v1/me");
    send(browser, Method::GET, &url, None, None).await.0
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_signs_in_changes_the_budget_and_signs_out() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &weir.url, "anna").await;
    assert_eq!(page.status, 200, "{page:?}");
    let told: Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!(told["name"], "oidc:anna@example.com");
    assert_eq!(told["kind"], "session");
    assert_eq!(told["role"], "operator");
    assert_ne!(told["expires_at"], Value::Null);
    let session = browser.cookie(COOKIE).expect("a session").clone();
    for attribute in ["HttpOnly", "SameSite=Strict", "Path=/", "Max-Age=28800"] {
        assert!(session.line.contains(attribute), "{}", session.line);
    }
    assert!(browser.cookie(ATTEMPT).is_none(), "it is used up");

    let budget = format!("{}/v1/budget", weir.url);
    let put = async |origin: Option<&str>| {
        let body = json!({ "traces_per_second": 7 });
        let (status, problem) = send(&browser, Method::PUT, &budget, origin, Some(body)).await;
        (status, problem["detail"].as_str().unwrap_or("").to_owned())
    };
    assert_eq!(put(Some(&weir.url)).await.0, 200);
    let (status, why) = put(None).await;
    assert_eq!(status, 403, "no page says that it sends this");
    assert!(why.contains("Origin"), "{why}");
    assert_eq!(put(Some("http://attacker.example")).await.0, 403);
    let tokens = format!("{}/v1/tokens", weir.url);
    let (status, _) = send(&browser, Method::GET, &tokens, None, None).await;
    assert_eq!(status, 403, "an operator is no admin");
    let revisions = format!("{}/v1/configuration/revisions", weir.url);
    let (_, listed) = send(&browser, Method::GET, &revisions, None, None).await;
    assert_eq!(
        listed["revisions"][0]["written_by"],
        "oidc:anna@example.com"
    );

    let attacker = From::Page("http://attacker.example/page");
    let led = browser.go(&format!("{}/v1/me", weir.url), attacker).await;
    assert_eq!(led.status, 401, "no session with a link of another site");
    let as_token = weir.status("/v1/me", &session.value).await;
    assert_eq!(as_token, 401, "a session is its cookie's alone");

    let logout = format!("{}/logout", weir.url);
    let out = async |origin| send(&browser, Method::POST, &logout, origin, None).await.0;
    assert_eq!(out(None).await, 403);
    assert_eq!(out(Some(&weir.url)).await, 204);
    assert_eq!(me(&browser, &weir.url).await, 401);
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_session_is_known_to_every_replica_survives_a_restart_and_can_be_revoked() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(false);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let port = weir.url.rsplit_once(':').unwrap().1.parse().unwrap();
    let other_port = crate::support::postgres::free_port();
    let other = Trusting::start_at(directory.path(), &provider, other_port, &[]).await;
    let mut browser = Browser::new();
    // What her ID token does not say, the provider is asked for.
    let page = sign_in(&mut browser, &weir.url, "vera").await;
    let told: Value = serde_json::from_str(&page.text).unwrap();
    assert_eq!(told["name"], "oidc:vera");
    assert_eq!(told["role"], "viewer");
    assert_eq!(me(&browser, &other.url).await, 200, "without a pause");

    weir.app.stop().await;
    let again = Trusting::start_at(directory.path(), &provider, port, &[]).await;
    assert_eq!(me(&browser, &again.url).await, 200);

    let admin = provider.jwt(provider.claims(&["weir-admins"])).await;
    let (_, listed) = again.ask("/v1/tokens", &admin).await;
    let sessions = listed["tokens"].as_array().unwrap();
    assert_eq!(sessions.len(), 1, "{listed}");
    assert_eq!(sessions[0]["kind"], "session");
    assert_eq!(sessions[0]["created_by"], "sign-in");
    let id = sessions[0]["id"].as_str().unwrap();
    let delete = again
        .app
        .client
        .delete(format!("{}/v1/tokens/{id}", again.url));
    let delete = delete.header("Authorization", format!("Bearer {admin}"));
    assert_eq!(delete.send().await.unwrap().status(), 200);
    assert_eq!(me(&browser, &again.url).await, 401);
    eventually(DEADLINE, "the other replica follows", async || {
        (me(&browser, &other.url).await == 401).then_some(())
    })
    .await;
    again.app.stop().await;
    other.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn who_has_no_role_or_turns_back_gets_no_session() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &weir.url, "otto").await;
    assert_eq!(page.status, 403, "{page:?}");
    // An address that the provider has not checked is nobody's name.
    assert!(
        page.text.contains("oidc:otto is in none of the groups"),
        "{}",
        page.text
    );
    assert!(browser.cookie(COOKIE).is_none());

    let mut browser = Browser::new();
    let page = browser
        .go(&format!("{}/login", weir.url), From::Nobody)
        .await;
    let abort = format!("{}/abort", page.url);
    let page = browser.go(&abort, From::Page(&page.url)).await;
    assert_eq!(page.status, 403, "{page:?}");
    assert!(page.text.contains("access_denied"), "{}", page.text);
    assert!(browser.cookie(COOKIE).is_none());
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn an_answer_is_good_once_and_for_the_browser_that_asked() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &weir.url, "anna").await;
    let is_answer = |url: &&String| url.contains("/login/callback?");
    let answer = page
        .way
        .iter()
        .find(is_answer)
        .expect("the provider's answer");
    let again = browser.go(answer, From::Page(&provider.issuer)).await;
    assert_eq!(again.status, 400, "{again:?}");

    // Somebody else's answer, in a browser that has begun to sign in.
    let mut victim = Browser::new();
    let begun = victim
        .go(&format!("{}/login", weir.url), From::Nobody)
        .await;
    let led = victim
        .go(answer, From::Page("http://attacker.example/"))
        .await;
    assert_eq!(led.status, 400, "{led:?}");
    assert!(victim.cookie(COOKIE).is_none());

    // A code that is made up, in an attempt that is real.
    let mut browser = Browser::new();
    let login = browser
        .go(&format!("{}/login", weir.url), From::Nobody)
        .await;
    let asked = login.way.iter().find(|url| url.contains("state=")).unwrap();
    let state = asked
        .split_once("state=")
        .unwrap()
        .1
        .split('&')
        .next()
        .unwrap();
    let callback = format!("{}/login/callback", weir.url);
    let issuer: String = form_urlencoded::byte_serialize(provider.issuer.as_bytes()).collect();
    for (answer, status) in [
        (format!("code=made-up&state={state}"), 400),
        (
            format!("code=made-up&state={state}&iss=http://other.example"),
            400,
        ),
        (format!("code=made-up&state={state}&iss={issuer}"), 400),
        (format!("state={state}&iss={issuer}"), 400),
        ("code=made-up".into(), 400),
    ] {
        let mut tried = Browser::new();
        let began = tried.go(&format!("{}/login", weir.url), From::Nobody).await;
        let own = began.way.iter().find(|url| url.contains("state=")).unwrap();
        let own = own
            .split_once("state=")
            .unwrap()
            .1
            .split('&')
            .next()
            .unwrap();
        let answer = answer.replace(state, own);
        let led = tried
            .go(
                &format!("{callback}?{answer}"),
                From::Page(&provider.issuer),
            )
            .await;
        assert_eq!(led.status, status, "{answer}: {led:?}");
        assert!(tried.cookie(COOKIE).is_none());
    }
    for to in [
        "//attacker.example",
        "https://attacker.example",
        "/\\attacker.example",
    ] {
        let url = format!("{}/login?to={to}", weir.url);
        assert_eq!(browser.go(&url, From::Nobody).await.status, 400, "{to}");
    }
    assert!(origin(&begun.url) == provider.issuer);
    weir.app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn somebody_has_a_bounded_number_of_sessions() {
    let directory = tempfile::tempdir().unwrap();
    let provider = Provider::start(true);
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let mut browsers = Vec::new();
    for _ in 0..11 {
        let mut browser = Browser::new();
        let page = sign_in(&mut browser, &weir.url, "anna").await;
        assert_eq!(page.status, 200, "{page:?}");
        browsers.push(browser);
    }
    assert_eq!(
        me(&browsers[0], &weir.url).await,
        401,
        "the oldest has ended"
    );
    assert_eq!(me(&browsers[1], &weir.url).await, 200);
    assert_eq!(me(&browsers[10], &weir.url).await, 200);
    weir.app.stop().await;
}
