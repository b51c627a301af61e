//! `GET /strategies.json`: the whole plan, as Jaeger and the Collector fetch it.

use std::collections::BTreeSet;
use std::sync::Arc;
use std::time::Duration;

use reqwest::Response;
use reqwest::header::{ACCEPT_ENCODING, HeaderMap, IF_NONE_MATCH};
use serde_json::{Value, json};
use weir::allocation::{OperationPlan, Plan, ServiceId, ServicePlan};
use weir::names::Dictionary;
use weir::protocols::jaeger::file::BYTES_MAX;
use weir::protocols::jaeger::file::document::encode;
use weir::settings::Settings;
use weir::snapshot::Snapshot;
use weir::store::sqlite::SqliteStore;

use crate::jobs::OPERATION;
use crate::support::app::{Agent, TestApp, config};
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

const DEADLINE: Duration = Duration::from_secs(60);

async fn fetch(app: &TestApp, headers: &[(&str, &str)]) -> Response {
    let mut asked = app.client.get(format!("{}/strategies.json", app.sdk));
    for (name, value) in headers {
        asked = asked.header(*name, *value);
    }
    asked.send().await.expect("an answer")
}

fn header<'a>(headers: &'a HeaderMap, name: &str) -> &'a str {
    headers[name].to_str().unwrap()
}

#[tokio::test]
async fn before_the_first_plan_the_file_is_what_everybody_gets() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().to_str().unwrap();
    let app = TestApp::start_with(config(&["--data-dir", folder, "--interval", "1h"])).await;
    let answer = fetch(&app, &[]).await;
    assert_eq!(
        answer.status(),
        200,
        "503 would throw every service to 0.001"
    );
    assert_eq!(header(answer.headers(), "content-type"), "application/json");
    assert_eq!(header(answer.headers(), "weir-plan"), "0");
    let expected = json!({
        "default_strategy": { "type": "probabilistic", "param": 0.001 },
        "service_strategies": [],
    });
    assert_eq!(answer.json::<Value>().await.unwrap(), expected);
    let parameters = app
        .client
        .get(format!("{}/strategies.json?reload=1", app.sdk));
    assert_eq!(parameters.send().await.unwrap().status(), 200);
    app.stop().await;
}

#[tokio::test]
async fn a_client_that_has_the_file_is_not_sent_it_again() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &["--grace", "500ms"]).await;
    let first = fetch(&app, &[]).await;
    let tag = header(first.headers(), "etag").to_owned();
    let packed = reqwest::Client::builder().no_gzip().build().unwrap();
    let packed = packed.get(format!("{}/strategies.json", app.sdk));
    let packed = packed.header(ACCEPT_ENCODING, "gzip").send().await.unwrap();
    assert_eq!(header(packed.headers(), "content-encoding"), "gzip");
    assert_eq!(header(packed.headers(), "etag"), tag, "a weak tag");
    let if_none_match = IF_NONE_MATCH.as_str();
    for known in [tag.as_str(), "*", &format!("\"other\", {tag}"), &tag[2..]] {
        let unchanged = fetch(&app, &[(if_none_match, known)]).await;
        assert_eq!(unchanged.status(), 304, "{known}");
        assert_eq!(header(unchanged.headers(), "etag"), tag);
        assert_eq!(unchanged.bytes().await.unwrap().len(), 0);
    }
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 500.0)])];
    let changed = eventually(DEADLINE, "a plan changes the file", async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let answer = fetch(&app, &[(if_none_match, &tag)]).await;
        (answer.status() == 200).then_some(answer)
    })
    .await;
    assert_ne!(header(changed.headers(), "etag"), tag);
    let file: Value = changed.json().await.unwrap();
    assert_eq!(file["service_strategies"][0]["service"], "shop");
    let counted = Scrape::of(&app).await;
    let requests = |outcome| {
        let series = format!("weir_strategies_file_requests_total{{outcome=\"{outcome}\"}}");
        counted.value(&series)
    };
    assert_eq!(requests("sent"), 3.0);
    assert!(requests("unchanged") >= 4.0);
    assert_eq!(
        counted.value("weir_strategies_file_omitted_operations"),
        0.0
    );
    assert!(counted.value("weir_strategies_file_bytes") > 100.0);
    app.stop().await;
}

/// A plan of three services, with these numbers of operations.
async fn snapshot(operations: [usize; 3]) -> Snapshot {
    let directory = tempfile::tempdir().unwrap();
    let store = SqliteStore::open(&directory.path().join("weir.db")).await;
    let names = Settings::SHARED.names;
    let dictionary = Dictionary::new(Arc::new(store.unwrap()), names, Arc::default());
    let services = ["a \"quoted\" one", "b", "c"];
    let all: Vec<(&str, String)> = services
        .into_iter()
        .zip(operations)
        .flat_map(|(service, number)| {
            (0..number).map(move |at| (service, format!("GET /\"{at}\"")))
        })
        .collect();
    let wanted = all.iter().map(|(service, name)| (*service, name.as_str()));
    let rows = dictionary.resolve(wanted).await.unwrap().rows;
    let planned = rows.iter().zip(0_i32..).map(|(row, at)| OperationPlan {
        operation: row.operation,
        service: row.service,
        // So the first one of each service is its busiest.
        offered: 2_f64.powi(-at),
        probability: 0.5_f64.powi(at % 20),
        ..OPERATION
    });
    let known: BTreeSet<ServiceId> = rows.iter().map(|row| row.service).collect();
    let plan = Plan {
        operations: planned.collect(),
        services: known
            .into_iter()
            .map(|service| ServicePlan {
                service,
                default_probability: 0.25,
                ..ServicePlan::default()
            })
            .collect(),
        ..Plan::default()
    };
    Snapshot::build(plan, None, &dictionary.names())
}

/// The operations of each service in a file.
fn listed(file: &[u8]) -> Vec<Vec<Value>> {
    let file: Value = serde_json::from_slice(file).expect("JSON");
    let services = file["service_strategies"].as_array().unwrap().iter();
    let operations =
        services.map(|service| service["operation_strategies"].as_array().unwrap().clone());
    operations.collect()
}

#[tokio::test]
async fn a_file_that_would_be_too_large_keeps_the_busiest_operations() {
    const OPERATIONS: [usize; 3] = [5, 20, 40];
    /// More than one more operation of each service takes.
    const NEXT: usize = 3 * 80 + 256;
    let snapshot = snapshot(OPERATIONS).await;
    let (whole, omitted) = encode(&snapshot, BYTES_MAX);
    assert_eq!(omitted, 0);
    let all = listed(&whole);
    assert_eq!(all.iter().map(Vec::len).collect::<Vec<_>>(), OPERATIONS);
    let mut sizes = BTreeSet::new();
    for most in (600..=whole.len()).step_by(50) {
        let (file, omitted) = encode(&snapshot, most);
        assert!(file.len() <= most, "{} of {most}", file.len());
        let kept = listed(&file);
        let each = kept.iter().map(Vec::len).max().unwrap();
        for (kept, all) in kept.iter().zip(&all) {
            assert_eq!(
                kept[..],
                all[..each.min(all.len())],
                "the busiest, as many of each"
            );
        }
        let total: usize = kept.iter().map(Vec::len).sum();
        assert_eq!(omitted, OPERATIONS.iter().sum::<usize>() - total);
        assert!(
            omitted == 0 || file.len() + NEXT > most,
            "one more would fit: {most}"
        );
        sizes.insert(each);
    }
    assert!(sizes.len() > 20, "{sizes:?}");
    let (least, omitted) = encode(&snapshot, 400);
    assert!(
        least.len() <= 400 && listed(&least).len() < 3,
        "services do not fit either"
    );
    assert_eq!(omitted, OPERATIONS.iter().sum::<usize>());
}
