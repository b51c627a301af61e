//! People who sign in, by a real provider.

use reqwest::redirect::Policy;
use reqwest::{Client, Method, RequestBuilder};
use sqlx::{Connection, SqliteConnection};

use super::{Answer, DEADLINE, Given, TestApp, apart};
use crate::oidc::browser::Browser;
use crate::oidc::provider::Provider;
use crate::oidc::sign_in::sign_in;
use crate::oidc::{Trusting, trusting};
use crate::support::postgres::{Cluster, free_port};
use crate::support::process::eventually;

const LOGIN: &str = "/login";
const CALLBACK: &str = "/login/callback";
const LOGOUT: &str = "/logout";
const ME: &str = "/v1/me";

fn client() -> Client {
    let client = Client::builder().redirect(Policy::none());
    client.build().unwrap()
}

impl Given {
    async fn told(&mut self, method: &str, path: &str, expected: u16, request: RequestBuilder) {
        let answer = Answer::of(request).await;
        self.note(method, path, expected, &answer);
    }

    /// Signs in at the provider, and brings its answer to Weir.
    async fn finish(&mut self, weir: &str, who: &str, expected: u16) -> Browser {
        let mut browser = Browser::new();
        browser.stop = Some(CALLBACK);
        let stopped = sign_in(&mut browser, weir, who).await;
        assert!(stopped.url.contains(CALLBACK), "{stopped:?}");
        let cookies = browser.cookies(&stopped.url, false, &Method::GET);
        let answer = client().get(&stopped.url).header("Cookie", cookies);
        self.told("GET", CALLBACK, expected, answer).await;
        browser
    }

    /// Signs out in the session of a browser.
    async fn sign_out(&mut self, browser: &Browser, weir: &str, expected: u16) {
        let url = format!("{weir}{LOGOUT}");
        let cookies = browser.cookies(&url, true, &Method::POST);
        let post = client().post(&url).header("Cookie", cookies);
        let page = (expected != 403).then_some(weir);
        let post = match page {
            Some(page) => post.header("Origin", page),
            None => post,
        };
        self.told("POST", LOGOUT, expected, post).await;
    }
}

/// Where nobody signs in.
pub async fn nobody(given: &mut Given, app: &TestApp) {
    given.get(app, LOGIN, "", 404).await;
    given.get(app, LOGIN, "?made-up=1", 400).await;
    given.get(app, CALLBACK, "", 404).await;
    given.get(app, ME, "", 200).await;
    given.get(app, ME, "?made-up=1", 400).await;
    let post = client().post(format!("{}{LOGOUT}?made-up=1", app.admin));
    given.told("POST", LOGOUT, 400, post).await;
}

/// Where people sign in.
pub async fn people(given: &mut Given) {
    let provider = apart(|| Provider::start(true)).await;
    let directory = tempfile::tempdir().unwrap();
    let weir = Trusting::start(directory.path(), &provider, &[]).await;
    let url = weir.url.clone();
    let login = client().get(format!("{url}{LOGIN}"));
    given.told("GET", LOGIN, 303, login).await;
    let callback = client().get(format!("{url}{CALLBACK}"));
    given.told("GET", CALLBACK, 400, callback).await;
    given.finish(&url, "otto", 403).await;
    given.finish(&url, "anna", 200).await;
    let mut browser = Browser::new();
    let page = sign_in(&mut browser, &url, "anna").await;
    assert_eq!(page.status, 200, "{page:?}");
    given.sign_out(&browser, &url, 403).await;
    given.sign_out(&browser, &url, 204).await;

    let mut browser = Browser::new();
    sign_in(&mut browser, &url, "anna").await;
    let file = format!("sqlite://{}/weir.db", directory.path().display());
    let mut connection = SqliteConnection::connect(&file).await.unwrap();
    let fill = "with recursive n(i) as (select 1 union all select i + 1 from n where i < 1000)
        insert into token select lower(hex(randomblob(16))), randomblob(32), 'a', 'viewer', '[]', i,
            'sign-in', 4102444800000, null, 'session' from n";
    sqlx::query(fill).execute(&mut connection).await.unwrap();
    given.finish(&url, "vera", 409).await;
    let broken = "alter table token rename column name to away";
    sqlx::raw_sql(broken)
        .execute(&mut connection)
        .await
        .unwrap();
    given.finish(&url, "vera", 500).await;
    given.sign_out(&browser, &url, 500).await;
    weir.app.stop().await;
}

/// Where people have signed in, without the database or the provider.
pub async fn nobody_any_more(given: &mut Given) {
    let cluster = apart(Cluster::start).await;
    let provider = apart(|| Provider::start(true)).await;
    let directory = tempfile::tempdir().unwrap();
    let database = cluster.url("postgres");
    let flags = ["--database-url", &*database];
    let weir = Trusting::start(directory.path(), &provider, &flags).await;
    let mut browser = Browser::new();
    sign_in(&mut browser, &weir.url, "anna").await;
    let cluster = apart(move || {
        cluster.kill9();
        cluster
    })
    .await;
    given.sign_out(&browser, &weir.url, 503).await;
    given.finish(&weir.url, "anna", 503).await;
    let _cluster = apart(move || {
        cluster.restart();
        cluster
    })
    .await;
    weir.app.stop().await;

    let issuer = provider.issuer.clone();
    provider.end();
    let settings = trusting(directory.path(), &issuer, free_port(), &flags);
    let app = TestApp::start_with(settings).await;
    given.get(&app, LOGIN, "", 503).await;
    eventually(DEADLINE, "the database is there", async || {
        let ready = app
            .client
            .get(format!("{}/readyz", app.admin))
            .send()
            .await
            .ok()?;
        (ready.status() == 200).then_some(())
    })
    .await;
    app.stop().await;
}
