//! Common behaviour of both listeners: allowed hosts, malformed heads, expectations, and HEAD.

use std::time::Duration;

use reqwest::{Method, Response};
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use weir::api::{admin, health, metrics, reports};
use weir::http::routes::Route;
use weir::protocols::jaeger;

use crate::support::app::TestApp;
use crate::support::process::{WeirProcess, eventually};
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

/// Sends bytes, and reads until the server closes.
async fn exchange(listener: &str, sent: &str) -> String {
    let address = listener.trim_start_matches("http://");
    let mut stream = TcpStream::connect(address).await.expect("a listener");
    stream.write_all(sent.as_bytes()).await.expect("sent");
    let mut answer = Vec::new();
    // A reset also ends it.
    let _ = stream.read_to_end(&mut answer).await;
    String::from_utf8(answer).expect("text")
}

/// Asks the admin listener with these headers, including `Host`.
async fn ask(app: &TestApp, method: Method, path: &str, headers: &[(&str, &str)]) -> Response {
    let mut request = app.client.request(method, format!("{}{path}", app.admin));
    for (name, value) in headers {
        request = request.header(*name, *value);
    }
    let request = request.header("If-Match", "*");
    let body = json!({ "traces_per_second": 0 });
    request.json(&body).send().await.expect("an answer")
}

#[tokio::test]
async fn a_page_that_gives_its_name_to_the_admin_listener_reads_and_writes_nothing() {
    let directory = tempfile::tempdir().unwrap();
    let flags = ["--admin-host", "weir.example,weir.internal"];
    let app = TestApp::start(directory.path(), &flags).await;
    let attacker = ("Host", "attacker.example:8778");
    let origin = ("Origin", "http://attacker.example:8778");
    let own = ("Sec-Fetch-Site", "same-origin");
    for (method, path) in [
        (Method::GET, "/v1/configuration"),
        (Method::GET, "/metrics"),
        (Method::GET, "/docs"),
        (Method::PUT, "/v1/budget"),
    ] {
        let refused = ask(&app, method, path, &[attacker, origin, own]).await;
        assert_eq!(refused.status(), 421, "{path}");
        let problem: Value = refused.json().await.unwrap();
        assert_eq!(problem["type"], "urn:weir:problem:misdirected");
        let detail = problem["detail"].as_str().unwrap();
        assert!(detail.contains("--admin-host attacker.example"), "{detail}");
    }
    let cross = [origin, ("Sec-Fetch-Site", "cross-site")];
    let refused = ask(&app, Method::PUT, "/v1/budget", &cross).await;
    assert_eq!(refused.status(), 403);
    let (_, budget) = app.admin_get("/v1/budget").await;
    assert_ne!(budget["traces_per_second"], 0.0, "nobody has written");

    for host in [
        "weir.example",
        "weir.internal:8778",
        "localhost",
        "10.0.0.7",
    ] {
        let shown = ask(&app, Method::GET, "/v1/budget", &[("Host", host)]).await;
        assert_eq!(shown.status(), 200, "{host}");
    }
    for path in ["/livez", "/readyz"] {
        let probed = ask(&app, Method::GET, path, &[attacker]).await;
        assert_eq!(
            probed.status(),
            200,
            "{path}: probes have names of their own"
        );
    }
    app.stop().await;
}

#[tokio::test]
async fn requests_that_cannot_be_read_are_counted_and_not_logged() {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.start().await;
    for (name, listener) in [("sdk", weir.sdk_url()), ("admin", weir.admin_url())] {
        for head in [
            "\u{16}\u{3}\u{1}\r\n\r\n",
            "GET / HTTP/9.9\r\n\r\n",
            "\0\0\0\0",
        ] {
            let answer = exchange(listener, head).await;
            assert!(answer.starts_with("HTTP/1.1 400 "), "{answer}");
        }
        let series = format!("weir_malformed_requests_total{{listener=\"{name}\"}}");
        eventually(DEADLINE, &series, async || {
            let answer = reqwest::get(format!("{}/metrics", weir.admin_url())).await;
            let text = answer.ok()?.text().await.ok()?;
            (Scrape::read(text).value(&series) == 3.0).then_some(())
        })
        .await;
    }
    for level in ["ERROR", "WARN"] {
        assert_eq!(weir.logged(level), Vec::<String>::new());
    }
}

#[tokio::test]
async fn a_body_that_is_announced_too_long_is_not_asked_for() {
    let directory = tempfile::tempdir().unwrap();
    let flags = ["--max-report-bytes", "1024"];
    let app = TestApp::start(directory.path(), &flags).await;
    let head = |path: &str, length: usize, expected: &str| {
        format!(
            "{path} HTTP/1.1\r\nHost: localhost\r\nIf-Match: *\r\nConnection: close\r\n\
             Content-Type: application/json\r\nContent-Length: {length}\r\nExpect: {expected}\r\n\r\n"
        )
    };
    let reported = |length, expected| head("POST /v1/reports", length, expected);
    let refused = exchange(&app.sdk, &reported(1025, "100-continue")).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    assert!(refused.contains("urn:weir:problem:too-large"), "{refused}");
    let above = admin::LARGEST_BODY + 1;
    let configured = head("PUT /v1/configuration", above, "100-continue");
    let refused = exchange(&app.admin, &configured).await;
    assert!(refused.starts_with("HTTP/1.1 413 "), "{refused}");
    let asked_for = exchange(&app.sdk, &(reported(2, "100-continue") + "{}")).await;
    assert!(asked_for.starts_with("HTTP/1.1 100 "), "{asked_for}");
    let unknown = exchange(&app.sdk, &reported(2, "a-miracle")).await;
    assert!(unknown.starts_with("HTTP/1.1 417 "), "{unknown}");
    let counted = Scrape::of(&app).await;
    let too_large = "weir_reports_total{outcome=\"too_large\"}";
    assert_eq!(counted.value(too_large), 1.0);
    app.stop().await;
}

/// The tables of a listener's routes.
fn tables(is_admin: bool) -> Vec<&'static [Route]> {
    let own = if is_admin {
        [admin::ROUTES, metrics::ROUTES]
    } else {
        [reports::ROUTES, jaeger::ROUTES]
    };
    own.into_iter().chain([health::ROUTES]).collect()
}

#[tokio::test]
async fn where_there_is_get_there_is_head() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    // Bodies are compared as they are sent.
    let client = reqwest::Client::builder().no_gzip().build().unwrap();
    let volatile = ["date", "age", "x-request-id", "content-length"];
    for (is_admin, listener) in [(false, &app.sdk), (true, &app.admin)] {
        let routes = tables(is_admin).into_iter().flatten();
        for route in routes.filter(|route| route.method == "GET") {
            let path = route.path.replace("{revision}", "1");
            let url = format!("{listener}{path}");
            let shown = client.get(&url).send().await.unwrap();
            let head = client.head(&url).send().await.unwrap();
            assert_eq!(head.status(), shown.status(), "{url}");
            let steady = |answer: &Response| {
                let mut headers = answer.headers().clone();
                volatile.iter().for_each(|name| drop(headers.remove(*name)));
                headers
            };
            assert_eq!(steady(&head), steady(&shown), "{url}");
            assert!(head.headers().contains_key("content-length"), "{url}");
            assert_eq!(head.bytes().await.unwrap().len(), 0, "{url}");
        }
    }
    app.stop().await;
}

/// A connection that was used once and stays open.
struct Kept(TcpStream);

impl Kept {
    async fn open(listener: &str) -> Self {
        let address = listener.trim_start_matches("http://");
        let mut kept = Self(TcpStream::connect(address).await.expect("a listener"));
        let answer = kept.ask().await.expect("an answer");
        assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
        kept
    }

    /// Uses it again; none if the connection is closed.
    async fn ask(&mut self) -> Option<String> {
        let request = b"GET /livez HTTP/1.1\r\nHost: localhost\r\n\r\n";
        self.0.write_all(request).await.ok()?;
        let mut answer = vec![0; 4096];
        let length = self.0.read(&mut answer).await.ok()?;
        answer.truncate(length);
        String::from_utf8(answer)
            .ok()
            .filter(|text| !text.is_empty())
    }

    /// Returns once the server has closed it.
    async fn closed(mut self) {
        let mut rest = Vec::new();
        let closed = tokio::time::timeout(DEADLINE, self.0.read_to_end(&mut rest)).await;
        // A reset also ends it.
        let _ = closed.expect("it is closed in time");
    }
}

#[tokio::test]
async fn a_connection_is_kept_for_as_long_as_the_idle_timeout_says() {
    let directories = [(); 3].map(|()| tempfile::tempdir().unwrap());
    let [patient, usual, hasty] = &directories;
    let patient = TestApp::start(patient.path(), &["--idle-timeout", "1h"]).await;
    let usual = TestApp::start(usual.path(), &[]).await;
    let hasty = TestApp::start(hasty.path(), &["--idle-timeout", "1s"]).await;
    let mut longest = Kept::open(&patient.sdk).await;
    let admin = Kept::open(&patient.admin).await;
    let mut long = Kept::open(&usual.sdk).await;
    Kept::open(&hasty.sdk).await.closed().await;
    assert!(long.ask().await.is_some(), "the usual time is longer");
    long.closed().await;
    // The flag applies to the SDK listener only.
    admin.closed().await;
    assert!(longest.ask().await.is_some(), "idle for longer than usual");
    for app in [patient, usual, hasty] {
        app.stop().await;
    }
}
