//! `openapi.yaml` and the server agree: what is documented is answered, and what is answered is
//! documented.

mod answer;
pub mod document;
mod provoke;

use std::collections::{BTreeMap, BTreeSet};

use base64::Engine;
use serde_json::{Value, json};
use sha2::{Digest, Sha256};
use weir::access::Role;
use weir::api::{admin, health, metrics, reports};
use weir::http::routes::Route;
use weir::protocols::{edges, jaeger, otlp, xray};

use self::answer::Answer;
use self::document::{Document, METHODS, object};
use self::provoke::Given;
use crate::support::app::TestApp;

/// Every registered route, and whether it is the admin listener's.
fn routes() -> Vec<(bool, Route)> {
    let sdk = [
        reports::ROUTES,
        edges::ROUTES,
        otlp::ROUTES,
        jaeger::ROUTES,
        health::ROUTES,
    ];
    let admin = [admin::ROUTES, metrics::ROUTES, health::ROUTES];
    let sdk = sdk.concat().into_iter().map(|route| (false, route));
    let admin = admin.concat().into_iter().map(|route| (true, route));
    sdk.chain(admin).collect()
}

#[test]
fn every_route_is_documented_and_every_documented_route_is_there() {
    let registered: BTreeSet<_> = routes()
        .iter()
        .map(|(is_admin, route)| (*is_admin, route.method.to_owned(), route.path.to_owned()))
        .collect();
    let documented: BTreeSet<_> = Document::read()
        .operations()
        .into_iter()
        .map(|one| (one.is_admin, one.method, one.path))
        .collect();
    assert_eq!(registered, documented);
}

/// What is needed of a caller is part of each route, and of each operation.
#[test]
fn every_operation_says_which_role_it_needs() {
    let document = Document::read();
    for (is_admin, route) in routes() {
        let method = route.method.to_lowercase();
        let operation = &document.whole["paths"][route.path][&method];
        let role = operation["x-weir-role"].as_str();
        assert_eq!(role, route.need.role().map(Role::name), "{route:?}");
        let secured = match is_admin {
            true => json!([{ "token": [] }, { "session": [] }, {}]),
            false => json!([{ "token": [] }, {}]),
        };
        let expected = role.map(|_| &secured);
        assert_eq!(operation.get("security"), expected, "{route:?}");
    }
}

/// The calls of X-Ray's protocol are AWS's, with errors of their own, so they are listed elsewhere.
#[test]
fn the_calls_of_xray_are_listed_in_its_own_document() {
    let registered: BTreeSet<_> = xray::ROUTES
        .iter()
        .map(|route| format!("{} {}", route.method, route.path))
        .collect();
    let text = std::fs::read_to_string(concat!(env!("CARGO_MANIFEST_DIR"), "/docs/xray.md"));
    let text = text.unwrap();
    let code = text.split('`').filter(|code| code.starts_with("POST /"));
    assert_eq!(code.map(str::to_owned).collect::<BTreeSet<_>>(), registered);
    let document = Document::read();
    let description = document.whole["info"]["description"].as_str().unwrap();
    assert!(description.contains("docs/xray.md"));
}

#[test]
fn every_parameter_is_documented_and_every_documented_parameter_is_taken() {
    let document = Document::read();
    let mut headers = BTreeSet::new();
    for (_, route) in routes() {
        let operation = document.operation(route.method, route.path);
        let taken: BTreeSet<&str> = route.query.iter().copied().collect();
        assert_eq!(operation.names("query"), taken, "{}", operation.label());
        let braces = route.path.split('{').skip(1);
        let in_path: BTreeSet<&str> = braces.filter_map(|rest| rest.split('}').next()).collect();
        assert_eq!(operation.names("path"), in_path, "{}", operation.label());
        for header in operation.names("header") {
            headers.insert((operation.label(), header.to_owned()));
        }
    }
    // There is no list of the headers that handlers read; the tests below show what each does.
    let expected = [
        ("GET /strategies.json", "If-None-Match"),
        ("GET /v1/edges/plan", "If-None-Match"),
        ("DELETE /v1/emergency", "If-Match"),
        ("DELETE /v1/freeze", "If-Match"),
        ("DELETE /v1/rules/{id}", "If-Match"),
        ("POST /v1/boosts", "If-Match"),
        ("POST /v1/configuration/preview", "Weir-Origin"),
        ("POST /v1/configuration/rollback", "If-Match"),
        ("POST /v1/logs", "Content-Encoding"),
        ("POST /v1/metrics", "Content-Encoding"),
        ("POST /v1/reports", "Content-Encoding"),
        ("POST /v1/rules", "If-Match"),
        ("POST /v1/traces", "Content-Encoding"),
        ("PUT /v1/budget", "If-Match"),
        ("PUT /v1/configuration", "If-Match"),
        ("PUT /v1/coverage", "If-Match"),
        ("PUT /v1/emergency", "If-Match"),
        ("PUT /v1/freeze", "If-Match"),
        ("PUT /v1/lower-bound", "If-Match"),
        ("PUT /v1/mode", "If-Match"),
        ("PUT /v1/rules/{id}", "If-Match"),
    ];
    let recorded = routes()
        .into_iter()
        .filter(|(_, route)| route.query.contains(&"reason"));
    let recorded = recorded.map(|(_, route)| {
        let label = document.operation(route.method, route.path).label();
        (label, "Weir-Origin".to_owned())
    });
    let expected = expected.map(|(label, name)| (label.to_owned(), name.to_owned()));
    let expected: BTreeSet<_> = expected.into_iter().chain(recorded).collect();
    assert_eq!(headers, expected);
}

/// A path with values for its parameters.
pub fn filled(path: &str) -> String {
    path.replace("{service}", "checkout")
        .replace("{group}", "tier-1")
        .replace("{revision}", "1")
        .replace("{id}", "0b6fc9a2-0a53-4a7e-9d0c-5d0f0f6f9b11")
}

#[tokio::test]
async fn a_parameter_that_is_not_documented_is_refused_or_documented_as_ignored() {
    let document = Document::read();
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    for (is_admin, route) in routes() {
        let listener = if is_admin { &app.admin } else { &app.sdk };
        let url = format!("{listener}{}?made-up=1&service=a", filled(route.path));
        let request = app.client.request(route.method.parse().unwrap(), url);
        let answer = Answer::of(request).await;
        let refused = answer.status == 400 && answer.json()["field"] == "made-up";
        assert_eq!(refused, !route.ignores_others, "{route:?}: {answer:?}");
        let operation = document.operation(route.method, route.path);
        if refused {
            let errors = answer.errors(document, &operation);
            assert_eq!(errors, Vec::<String>::new(), "{route:?}");
        }
    }
    app.stop().await;
}

#[tokio::test]
async fn other_methods_and_other_paths_are_refused_as_the_document_says() {
    let document = Document::read();
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let problem = json!({ "$ref": "#/components/schemas/Problem" });
    let check = |answer: &Answer, status: u16| {
        assert_eq!(answer.status, status, "{answer:?}");
        assert_eq!(
            answer.header("content-type"),
            Some("application/problem+json")
        );
        if !answer.body.is_empty() {
            assert_eq!(
                document.errors(&problem, &answer.json()),
                Vec::<String>::new()
            );
        }
    };
    let mut methods: BTreeMap<(bool, String), BTreeSet<String>> = BTreeMap::new();
    for one in document.operations() {
        let path = methods.entry((one.is_admin, one.path)).or_default();
        if one.method == "GET" {
            path.insert("HEAD".into());
        }
        path.insert(one.method);
    }
    for ((is_admin, path), allowed) in methods {
        let listener = if is_admin { &app.admin } else { &app.sdk };
        let url = format!("{listener}{}", filled(&path));
        for method in METHODS.iter().filter(|method| !allowed.contains(**method)) {
            let request = app.client.request(method.parse().unwrap(), &url);
            let answer = Answer::of(request).await;
            check(&answer, 405);
            let told: BTreeSet<String> = answer
                .header("allow")
                .unwrap_or_default()
                .split(", ")
                .map(String::from)
                .collect();
            assert_eq!(told, allowed, "{method} {path}");
        }
    }
    for listener in [&app.sdk, &app.admin] {
        check(
            &Answer::of(app.client.get(format!("{listener}/made-up"))).await,
            404,
        );
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn every_documented_answer_is_given_and_no_other() {
    let mut given: [Given; 11] = Default::default();
    let [
        first,
        operated,
        away,
        broken,
        newer,
        old,
        stopping,
        tokens,
        refused,
        people,
        nobody,
    ] = &mut given;
    // Each at its own Weir: most of the time they wait.
    tokio::join!(
        provoke::before_the_first_plan(first),
        provoke::in_operation(operated),
        provoke::faults::without_the_database(away),
        provoke::faults::with_a_broken_database(broken),
        provoke::faults::with_a_newer_configuration(newer),
        provoke::rules::before_the_end_of_an_upgrade(old),
        provoke::faults::while_stopping(stopping),
        provoke::access::with_all_tokens(tokens),
        provoke::access::without_rights(refused),
        provoke::signing::people(people),
        provoke::signing::nobody_any_more(nobody),
    );
    let given = Given::of_all(given);
    assert_eq!(given.errors, Vec::<String>::new());

    let document = Document::read();
    let mut documented = BTreeSet::new();
    let mut headers = BTreeSet::new();
    for operation in document.operations() {
        for (status, response) in &operation.responses {
            documented.insert((operation.label(), *status));
            for (name, _) in object(&response["headers"]) {
                headers.insert((operation.label(), *status, name.to_lowercase()));
            }
        }
    }
    assert_eq!(given.answers, documented);
    let missing: Vec<_> = headers.difference(&given.headers).collect();
    assert!(missing.is_empty(), "documented but never sent: {missing:?}");
}

#[test]
fn the_examples_are_what_the_schemas_say() {
    let document = Document::read();
    let mut wrong = Vec::new();
    let mut seen = 0;
    let mut check = |label: &str, holder: &Value| {
        for (kind, content) in object(&holder["content"]) {
            let single = content.get("example");
            let several = object(&content["examples"]).map(|(_, example)| &example["value"]);
            for example in single.into_iter().chain(several) {
                seen += 1;
                let errors = document.errors(&content["schema"], example);
                wrong.extend(
                    errors
                        .iter()
                        .map(|error| format!("{label} {kind}: {error}")),
                );
            }
        }
    };
    for operation in document.operations() {
        for (status, response) in &operation.responses {
            check(&format!("{} {status}", operation.label()), response);
        }
        let path = &document.whole["paths"][&operation.path];
        check(
            &operation.label(),
            &path[operation.method.to_lowercase()]["requestBody"],
        );
    }
    assert_eq!(wrong, Vec::<String>::new());
    assert!(seen > 20, "{seen} examples");
}

#[tokio::test]
async fn the_documentation_is_whole_and_fetches_nothing() {
    let document = Document::read();
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let served = Answer::of(app.client.get(format!("{}/openapi.yaml", app.admin))).await;
    let source = concat!(env!("CARGO_MANIFEST_DIR"), "/openapi.yaml");
    assert_eq!(served.body, std::fs::read(source).unwrap());
    assert_eq!(document.whole["info"]["version"], env!("CARGO_PKG_VERSION"));

    let page = Answer::of(app.client.get(format!("{}/docs", app.admin))).await;
    let html = String::from_utf8(page.body.clone()).unwrap();
    for operation in document.operations() {
        assert!(html.contains(&operation.path), "{}", operation.path);
        for parameter in &operation.parameters {
            assert!(html.contains(parameter["name"].as_str().unwrap()));
        }
    }
    for (name, _) in object(&document.whole["components"]["schemas"]) {
        let anchor = format!("id=\"schema-{name}\"");
        assert_eq!(html.matches(&anchor).count(), 1, "{name}");
    }
    for link in html.split("href=\"#").skip(1) {
        let target = link.split('"').next().unwrap();
        assert!(html.contains(&format!("id=\"{target}\"")), "{target}");
    }
    for fetching in [
        "<script", "<link", "<img", "<iframe", "src=", "url(", "@import", "style=",
    ] {
        assert!(!html.contains(fetching), "{fetching}");
    }
    let style = html.split("<style>").nth(1).unwrap();
    let style = style.split("</style>").next().unwrap();
    let digest = base64::engine::general_purpose::STANDARD.encode(Sha256::digest(style));
    let policy = page.header("content-security-policy").unwrap();
    assert!(
        policy.starts_with(&format!("default-src 'none'; style-src 'sha256-{digest}';")),
        "{policy}"
    );
    app.stop().await;
}

/// Without a script: a search asks for the page with fewer operations, and calls are there for a shell.
#[tokio::test]
async fn the_documentation_is_searched_and_says_where_each_call_goes() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let text = async |query: &str| {
        let get = app.client.get(format!("{}/docs{query}", app.admin));
        let answer = get.send().await.unwrap();
        assert_eq!(answer.status(), 200, "{query}");
        answer.text().await.unwrap()
    };
    let sections = |page: &str| page.matches("<section class=\"operation\"").count();
    let all = text("").await;
    assert!(sections(&all) > 60, "all operations with a tag are there");
    for curl in [
        "curl -sS 'http://127.0.0.1:8778/v1/budget/trial?traces_per_second=25%2C50%2C100'",
        "curl -sS -X PUT -H 'If-Match: ",
        "curl -sS -X POST --json '{",
    ] {
        let escaped = curl.replace('\'', "&#39;");
        assert!(all.contains(curl) || all.contains(&escaped), "{curl}");
    }
    assert!(all.contains("port 5778: The SDK listener"));
    let found = text("?q=Budget+TRIAL").await;
    assert_eq!(sections(&found), 1);
    assert!(found.contains("id=\"getBudgetTrial\""));
    for hostile in [
        "?q=%3Cscript%3E",
        "?q=%FF%22%3E",
        &format!("?q={}", "a".repeat(4000)),
    ] {
        let page = text(hostile).await;
        assert_eq!(sections(&page), 0, "{hostile}");
        assert!(!page.contains("<script>"), "{hostile}");
    }
    app.stop().await;
}
