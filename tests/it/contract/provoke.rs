//! Causes every situation in which Weir answers.

pub mod access;
mod audit;
mod controls;
mod exports;
pub mod faults;
mod lists;
pub mod rules;
pub mod signing;
mod whole;

use std::collections::BTreeSet;
use std::io::Write;
use std::time::Duration;

use reqwest::RequestBuilder;
use serde_json::{Value, json};
use uuid::Uuid;
use weir::configuration::Configuration;
use weir::protocols::jaeger::file;

use self::whole::PREVIEW;
use super::answer::Answer;
use super::document::Document;
use crate::supervision::Faulty;
use crate::support::app::{Agent, TestApp, report};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);
const SERVICE: &str = "/v1/services/{service}";
const OPERATIONS: &str = "/v1/services/{service}/operations";
const HISTORY: &str = "/v1/services/{service}/history";
const FLEET_HISTORY: &str = "/v1/history";
const GROUP_HISTORY: &str = "/v1/groups/{group}/history";
const TRIAL: &str = "/v1/budget/trial";
const FORGET: &str = "?silent_for_seconds=12";
const POLLED: [&str; 5] = [
    "/",
    "/sampling",
    "/sampling/",
    "/api/sampling",
    "/api/sampling/sampling",
];

/// The answers so far, and those that differ from the document.
#[derive(Default)]
pub struct Given {
    pub answers: BTreeSet<(String, u16)>,
    pub headers: BTreeSet<(String, u16, String)>,
    pub errors: Vec<String>,
}

impl Given {
    /// Those of several situations.
    pub fn of_all(situations: impl IntoIterator<Item = Self>) -> Self {
        let mut all = Self::default();
        for given in situations {
            all.answers.extend(given.answers);
            all.headers.extend(given.headers);
            all.errors.extend(given.errors);
        }
        all
    }

    fn note(&mut self, method: &str, path: &str, expected: u16, answer: &Answer) {
        let document = Document::read();
        let operation = document.operation(method, path);
        let label = operation.label();
        if answer.status != expected {
            let error = format!("{label}: {expected} expected, but {answer:?}");
            self.errors.push(error);
        }
        let errors = answer.errors(document, &operation);
        let told = errors
            .iter()
            .map(|error| format!("{label} {}: {error}", answer.status));
        self.errors.extend(told);
        self.answers.insert((label.clone(), answer.status));
        for (name, _) in &answer.headers {
            self.headers
                .insert((label.clone(), answer.status, name.clone()));
        }
    }

    async fn get(&mut self, app: &TestApp, path: &str, query: &str, expected: u16) -> Answer {
        let listener = if POLLED.contains(&path) || [file::PATH, "/v1/edges/plan"].contains(&path) {
            &app.sdk
        } else {
            &app.admin
        };
        // Bodies are compared as they are sent.
        let client = reqwest::Client::builder().no_gzip().build().unwrap();
        let filled = path.replace("{service}", "checkout");
        let filled = filled.replace("{group}", "tier-1");
        let filled = filled.replace("/{revision}", "").replace("/{id}", "");
        let request = client
            .get(format!("{listener}{filled}{query}"))
            .header("Accept-Encoding", "gzip");
        let answer = Answer::of(request).await;
        self.note("GET", path, expected, &answer);
        answer
    }

    async fn put(&mut self, part: &Part, request: RequestBuilder, expected: u16) -> Answer {
        let answer = Answer::of(request).await;
        self.note("PUT", part.path, expected, &answer);
        answer
    }

    async fn forget(&mut self, app: &TestApp, query: &str, expected: u16) -> Answer {
        let path = OPERATIONS.replace("{service}", "checkout");
        let request = app.client.delete(format!("{}{path}{query}", app.admin));
        let answer = Answer::of(request).await;
        self.note("DELETE", OPERATIONS, expected, &answer);
        answer
    }

    async fn post(&mut self, request: RequestBuilder, expected: u16) -> Answer {
        let answer = Answer::of(request).await;
        self.note("POST", "/v1/reports", expected, &answer);
        answer
    }
}

/// A part of the configuration, with a body that is accepted and one that is refused.
struct Part {
    path: &'static str,
    fine: fn() -> Value,
    wrong: fn() -> Value,
    /// The largest body.
    bytes: usize,
}

const PARTS: [Part; 7] = [
    Part {
        path: "/v1/budget",
        fine: || json!({ "traces_per_second": 50 }),
        wrong: || json!({ "traces_per_second": -1 }),
        bytes: 16 << 10,
    },
    Part {
        path: "/v1/coverage",
        fine: || json!({ "probability": 0.95 }),
        wrong: || json!({ "probability": 0.95, "within_seconds": 0 }),
        bytes: 16 << 10,
    },
    Part {
        path: "/v1/configuration",
        fine: whole::document,
        wrong: || json!({ "groups": { "batch": { "cap_traces_per_second": -1 } } }),
        bytes: Configuration::BYTES_MAX,
    },
    Part {
        path: "/v1/lower-bound",
        fine: || json!({ "reserve_traces_per_second": 5 }),
        wrong: || json!({ "reserve_traces_per_second": 1e10 }),
        bytes: 16 << 10,
    },
    Part {
        path: "/v1/mode",
        // Not what the whole configuration above has: what changes nothing is no revision.
        fine: || json!({ "mode": "enforce" }),
        wrong: || json!({ "mode": "off" }),
        bytes: 16 << 10,
    },
    Part {
        path: "/v1/freeze",
        fine: || json!({ "owner": "bob", "reason": "a test", "expires": "never" }),
        wrong: || json!({ "owner": "ann", "reason": "" }),
        bytes: 16 << 10,
    },
    Part {
        path: "/v1/emergency",
        fine: || json!({ "factor": 0.5, "owner": "ann", "reason": "a test", "for_seconds": 600 }),
        wrong: || json!({ "factor": 1.5, "owner": "ann", "reason": "a test" }),
        bytes: 16 << 10,
    },
];

fn put(app: &TestApp, part: &Part, condition: Option<&str>) -> RequestBuilder {
    let request = app.client.put(format!("{}{}", app.admin, part.path));
    match condition {
        Some(condition) => request.header("If-Match", condition),
        None => request,
    }
}

/// A body one byte larger than allowed, compressed, so that little has to be sent.
fn too_large(request: RequestBuilder, allowed: usize) -> RequestBuilder {
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&vec![b' '; allowed + 1]).unwrap();
    request
        .header("Content-Type", "application/json")
        .header("Content-Encoding", "gzip")
        .body(gzip.finish().unwrap())
}

fn post(app: &TestApp) -> RequestBuilder {
    app.client.post(format!("{}/v1/reports", app.sdk))
}

/// Does what keeps a thread, while other situations go on.
async fn apart<T: Send + 'static>(work: impl FnOnce() -> T + Send + 'static) -> T {
    tokio::task::spawn_blocking(work).await.unwrap()
}

/// Before anything is known.
pub async fn before_the_first_plan(given: &mut Given) {
    let directory = tempfile::tempdir().unwrap();
    // No plan is computed: a window is due as soon as a Weir starts.
    let broken = Some("read_deltas");
    let app = Faulty::start_broken(directory.path(), &[], broken)
        .await
        .app;
    given.get(&app, "/v1/plans/current", "", 404).await;
    given.get(&app, "/v1/services", "", 200).await;
    given.get(&app, SERVICE, "", 404).await;
    given.get(&app, OPERATIONS, "", 404).await;
    given.forget(&app, FORGET, 404).await;
    given.get(&app, HISTORY, "?operation=a", 404).await;
    given.get(&app, "/readyz", "", 200).await;
    for path in POLLED {
        let answer = given.get(&app, path, "?service=checkout", 200).await;
        assert_eq!(answer.header("age"), None, "there is no plan yet");
    }
    app.stop().await;
}

/// In normal operation, with reports and operators.
pub async fn in_operation(given: &mut Given) {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[
        ("checkout", &[("POST /cart", 100.0), ("GET /", 900.0)]),
        ("stock", &[("sync", 5.0)]),
    ];
    eventually(DEADLINE, "history of a plan", async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let path = "/v1/services/checkout/history?operation=GET%20/";
        let (_, history) = app.admin_get(path).await;
        let points = history["points"].as_array()?;
        points
            .iter()
            .any(|point| point["probability"].is_number())
            .then_some(())
    })
    .await;
    for path in [
        "/livez",
        "/metrics",
        "/readyz",
        "/docs",
        "/openapi.yaml",
        "/v1/plans/current",
    ] {
        given.get(&app, path, "", 200).await;
    }
    for path in POLLED {
        given.get(&app, path, "?service=checkout", 200).await;
        given.get(&app, path, "?service=", 200).await;
        given.get(&app, path, "", 400).await;
    }
    strategies_file(given, &app).await;
    for path in PARTS
        .map(|part| part.path)
        .into_iter()
        .chain(["/v1/plans/current"])
    {
        given.get(&app, path, "?made-up=1", 400).await;
    }
    lists::pages(given, &app).await;
    lists::service(given, &app).await;
    lists::agents(given, &app).await;
    lists::pollers(given, &app).await;
    lists::history(given, &app).await;
    lists::steps(given, &app).await;
    lists::forget(given, &app).await;
    for part in &PARTS {
        configuration(given, &app, part).await;
    }
    controls::in_operation(given, &app).await;
    rules::in_operation(given, &app).await;
    whole::preview(given, &app).await;
    whole::revisions(given, &app).await;
    whole::origins(given, &app).await;
    whole::rollback(given, &app).await;
    reports(given, &app).await;
    exports::in_operation(given, &app).await;
    access::tokens(given, &app).await;
    signing::nobody(given, &app).await;
    audit::shown(given, &app).await;
    slow_bodies(given, &app).await;
    app.stop().await;
}

async fn strategies_file(given: &mut Given, app: &TestApp) {
    let sent = given.get(app, file::PATH, "", 200).await;
    let tag = sent.header("etag").unwrap().to_owned();
    let request = app.client.get(format!("{}{}", app.sdk, file::PATH));
    // The file may have changed since, so the client says that it has any.
    assert!(tag.starts_with("W/"), "{tag}");
    let unchanged = Answer::of(request.header("If-None-Match", "*")).await;
    given.note("GET", file::PATH, 304, &unchanged);
}

async fn configuration(given: &mut Given, app: &TestApp, part: &Part) {
    let put = |condition| put(app, part, condition);
    let fine = |condition| put(condition).json(&(part.fine)());
    let shown = given.get(app, part.path, "", 200).await;
    let tag = shown.header("etag").unwrap().to_owned();
    let written = given.put(part, fine(Some(&tag)), 200).await;
    assert_ne!(written.header("etag"), Some(&*tag));
    given.put(part, fine(Some("*")), 200).await;
    given.put(part, fine(Some(&tag)), 412).await;
    given.put(part, fine(None), 428).await;
    for other in ["\"+1\"", "\"1\"", "W/\"1\""] {
        given.put(part, fine(Some(other)), 412).await;
    }
    for malformed in ["1", "w/\"1\"", "\"1\", \"2\"", ""] {
        given.put(part, fine(Some(malformed)), 400).await;
    }
    let json = |body: String| {
        put(Some("*"))
            .header("Content-Type", "application/json")
            .body(body)
    };
    given.put(part, json("{".into()), 400).await;
    let large = too_large(put(Some("*")), part.bytes);
    given.put(part, large, 413).await;
    given.put(part, put(Some("*")).body("{}"), 415).await;
    // A wrong value is wrong whichever revision is the newest.
    for condition in ["*", &*tag] {
        let wrong = put(Some(condition)).json(&(part.wrong)());
        given.put(part, wrong, 422).await;
    }
}

async fn reports(given: &mut Given, app: &TestApp) {
    let epoch = Uuid::new_v4();
    let first = report("b", epoch, 1000, 5);
    for expected in ["counted", "duplicate"] {
        let answer = given.post(post(app).json(&first), 200).await;
        assert_eq!(answer.json()["result"], expected);
    }
    given
        .post(post(app).json(&report("b", epoch, 1, 5)), 409)
        .await;
    let mut wrong = report("b", epoch, 1001, 5);
    wrong["window_seconds"] = json!(301);
    given.post(post(app).json(&wrong), 422).await;
    let mut amended = report("b", epoch, 1001, 5);
    amended["services"][0]["operations"] = json!([
        { "operation": "", "class": "error", "offered": 5, "sampled": 6 },
        { "operation": "GET /", "offered": -1, "sampled": 0 },
    ]);
    let answer = given.post(post(app).json(&amended), 200).await.json();
    for kind in ["folded", "clamped", "ignored"] {
        assert_eq!(answer[kind]["total"], 1, "{answer}");
    }
    given.post(post(app).body("{}"), 415).await;

    let bytes = |sequence| serde_json::to_vec(&report("c", epoch, sequence, 5)).unwrap();
    let mut gzip = flate2::write::GzEncoder::new(Vec::new(), flate2::Compression::fast());
    gzip.write_all(&bytes(2)).unwrap();
    let encoded = |encoding: &'static str, body: Vec<u8>| {
        post(app)
            .header("Content-Type", "application/json")
            .header("Content-Encoding", encoding)
            .body(body)
    };
    given.post(encoded("identity", bytes(1)), 200).await;
    given
        .post(encoded("gzip", gzip.finish().unwrap()), 200)
        .await;
    let zstd = zstd::encode_all(&bytes(3)[..], 3).unwrap();
    given.post(encoded("zstd", zstd), 200).await;
    given.post(encoded("gzip", bytes(4)), 400).await;
    given.post(encoded("br", bytes(4)), 415).await;
    given
        .post(encoded("identity", vec![b' '; 5 << 20]), 413)
        .await;
}

/// Bodies that are announced but do not arrive.
async fn slow_bodies(given: &mut Given, app: &TestApp) {
    let ask = |url: &str, method: &str, path: &str| {
        let address = url.trim_start_matches("http://").to_owned();
        let head = format!(
            "{method} {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\nIf-Match: *\r\n\
             Content-Type: application/json\r\nContent-Length: 10\r\n\r\n"
        );
        tokio::task::spawn_blocking(move || Answer::of_silence(&address, &head))
    };
    let exported = exports::PATHS.map(|path| (path, ask(&app.sdk, "POST", path)));
    let ruled = [
        ("POST", rules::RULES),
        ("PUT", rules::RULE),
        ("POST", rules::BOOSTS),
        ("POST", whole::ROLLBACK),
        ("PUT", "/v1/mode"),
        ("PUT", "/v1/freeze"),
        ("PUT", "/v1/emergency"),
    ];
    let ruled = ruled.map(|(method, path)| {
        let asked = ask(&app.admin, method, &path.replace("{id}", "a"));
        (method, path, asked)
    });
    let (report, budget, coverage, lower_bound, whole, preview, token) = tokio::join!(
        ask(&app.sdk, "POST", "/v1/reports"),
        ask(&app.admin, "PUT", "/v1/budget"),
        ask(&app.admin, "PUT", "/v1/coverage"),
        ask(&app.admin, "PUT", "/v1/lower-bound"),
        ask(&app.admin, "PUT", "/v1/configuration"),
        ask(&app.admin, "POST", PREVIEW),
        ask(&app.admin, "POST", access::TOKENS),
    );
    for (path, answer) in exported {
        given.note("POST", path, 503, &answer.await.unwrap());
    }
    for (method, path, answer) in ruled {
        given.note(method, path, 408, &answer.await.unwrap());
    }
    given.note("POST", "/v1/reports", 408, &report.unwrap());
    given.note("PUT", "/v1/budget", 408, &budget.unwrap());
    given.note("PUT", "/v1/coverage", 408, &coverage.unwrap());
    given.note("PUT", "/v1/lower-bound", 408, &lower_bound.unwrap());
    given.note("PUT", "/v1/configuration", 408, &whole.unwrap());
    given.note("POST", PREVIEW, 408, &preview.unwrap());
    given.note("POST", access::TOKENS, 408, &token.unwrap());
}
