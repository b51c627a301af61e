//! The history of the fleet, of groups and of services: steps, gaps, changes, sparklines.

mod by_itself;
mod figures;
mod trial;

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use chrono::DateTime;
use serde_json::Value;
use weir::allocation::{Class, OperationId, OperationName, ServiceName, Timestamp, Window};
use weir::clock::{Clock, SystemClock};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::sqlite::SqliteStore;
use weir::store::{DictionaryLimits, HistoryRow, Store, WriteFormat};

use crate::support::app::{TestApp, config, report};
use crate::support::process::eventually;
use crate::support::stored::ReadWhole;

const HOUR: i64 = 3_600_000;
const DAY: i64 = 24 * HOUR;
const DEADLINE: Duration = Duration::from_secs(90);

/// Requests of the service in an hour, and traces of them.
const OFFERED: u64 = 36_000;
const SAMPLED: u64 = 1_800;

/// Another connection to the file of a running Weir.
async fn beside(directory: &Path) -> Arc<dyn Store> {
    let file = directory.join("weir.db");
    Arc::new(SqliteStore::open(&file).await.unwrap())
}

/// A Weir whose windows are hours, with these services known, and their operations.
async fn start(directory: &Path) -> (TestApp, Arc<dyn Store>, Vec<OperationId>) {
    start_keeping(directory, "90d").await
}

/// The same with windows stored for this long.
async fn start_keeping(
    directory: &Path,
    history: &str,
) -> (TestApp, Arc<dyn Store>, Vec<OperationId>) {
    let store = beside(directory).await;
    let limits = DictionaryLimits {
        services: 9,
        operations_per_service: 9,
        operations: 9,
    };
    let name = |service: &str| {
        let operation = OperationName::parse("GET /").unwrap();
        (ServiceName::parse(service).unwrap(), operation)
    };
    let names = ["checkout", "search"].map(name);
    store.add_names(&names, limits).await.unwrap();
    let page = store.read_dictionary(None, None).await.unwrap();
    let mut entries = page.entries;
    entries.retain(|entry| entry.operation_name.as_str() == "GET /");
    entries.sort_by_key(|entry| entry.service);
    let operations = entries.iter().map(|entry| entry.operation).collect();
    let folder = directory.to_str().unwrap();
    let flags = [
        "--data-dir",
        folder,
        "--interval",
        "1h",
        "--history",
        history,
    ];
    (TestApp::start_with(config(&flags)).await, store, operations)
}

/// The history of the hour that began this many hours before a time.
fn hour(before: i64, hours: i64, operations: &[OperationId]) -> HistoryRow {
    let start = Timestamp(before.div_euclid(HOUR) * HOUR - hours * HOUR);
    let operation = |(&operation, factor): (&OperationId, u64)| HistoryOperation {
        operation,
        offered: OFFERED * factor,
        sampled: Some(SAMPLED * factor),
        probability: Some(0.05),
    };
    let all: Vec<_> = operations.iter().zip([1, 2]).map(operation).collect();
    HistoryRow {
        window: Window {
            start,
            end: Timestamp(start.0 + HOUR),
        },
        payload: history_codec::encode(&all, WriteFormat::Newest),
    }
}

fn points(answer: &Value) -> &Vec<Value> {
    answer["points"].as_array().expect("points")
}

/// The sum of a figure over all points.
fn total(answer: &Value, figure: &str) -> u64 {
    points(answer)
        .iter()
        .filter_map(|of| of[figure].as_u64())
        .sum()
}

fn ago(now: i64, milliseconds: i64) -> String {
    let at = DateTime::from_timestamp_millis(now - milliseconds).unwrap();
    at.to_rfc3339_opts(chrono::SecondsFormat::Millis, true)
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn weeks_are_shown_in_steps_with_their_gaps_and_changes() {
    let directory = tempfile::tempdir().unwrap();
    let (app, store, operations) = start(directory.path()).await;
    // The first plan writes history, too: of the last windows, in which nothing was counted.
    eventually(DEADLINE, "a plan", async || app.plan().await).await;
    let now = SystemClock.timestamp().0;
    // Twelve days, without the sixth.
    let hours = (3..12 * 24).filter(|hours| !(120..144).contains(hours));
    let rows: Vec<_> = hours.map(|hours| hour(now, hours, &operations)).collect();
    let counted = rows.len() as u64;
    let settled = Timestamp(now.div_euclid(HOUR) * HOUR - 3 * HOUR);
    store.settle(&rows, settled).await.unwrap();
    app.set_budget(50.0).await;

    let all = format!("/v1/history?start={}", ago(now, 13 * DAY));
    let fleet = eventually(DEADLINE, "it is summed", async || {
        let (status, answer) = app.admin_get(&all).await;
        assert_eq!(status, 200, "{answer}");
        (total(&answer, "offered") == 3 * OFFERED * counted).then_some(answer)
    })
    .await;
    assert_eq!(fleet["step_seconds"], 3600.0, "{}", fleet["step_seconds"]);
    assert_eq!(total(&fleet, "sampled"), 3 * SAMPLED * counted);
    let gaps: Vec<_> = points(&fleet)
        .iter()
        .filter(|point| point["seconds"] == 0.0)
        .collect();
    assert!(gaps.len() >= 24, "the sixth day is a gap");
    assert!(gaps.iter().all(|gap| gap["offered_per_second"].is_null()));
    let step = points(&fleet)
        .iter()
        .find(|point| point["offered"].as_u64() == Some(3 * OFFERED))
        .unwrap();
    assert_eq!(
        (&step["seconds"], &step["offered_per_second"]),
        (&3600.0.into(), &30.0.into())
    );
    assert_eq!(step["observed_sampled_traces_per_second"], 1.5);
    let due = step["due_sampled_traces_per_second"].as_f64().unwrap();
    assert!((due - 1.5).abs() < 0.001, "{step}");
    // A part of 0.05 of 108,000 requests varies by the root of 5,130.
    let chance = step["chance_traces_per_second"].as_f64().unwrap();
    assert!((chance - 5130_f64.sqrt() / 3600.0).abs() < 0.001, "{step}");
    let changes = fleet["changes"].as_array().unwrap();
    assert_eq!(changes.len(), 1, "{changes:?}");
    assert_eq!(changes[0]["what"], "budget.changed");
    assert!(changes[0]["words"][0].as_str().unwrap().contains("50"));

    let query = format!("start={}", ago(now, 13 * DAY));
    for (service, factor) in [("checkout", 1), ("search", 2)] {
        for step in ["", "&step=1d", "&step=7d", "&points=10"] {
            let path = format!("/v1/services/{service}/history?{query}{step}");
            let (status, answer) = app.admin_get(&path).await;
            assert_eq!(status, 200, "{answer}");
            let sum = total(&answer, "offered");
            assert_eq!(sum, factor * OFFERED * counted, "{service} {step}");
        }
    }
    let path = format!("/v1/services/nobody/history?{query}");
    assert_eq!(app.admin_get(&path).await.0, 404);
    let path = format!("/v1/groups/nobody/history?{query}");
    assert_eq!(app.admin_get(&path).await.0, 404);
    let group = serde_json::json!({"groups": {"tier-1": {}}});
    let url = format!("{}/v1/configuration", app.admin);
    let put = app.client.put(url).header("If-Match", "*").json(&group);
    assert_eq!(put.send().await.unwrap().status(), 200);
    let path = format!("/v1/groups/tier-1/history?{query}");
    let (status, answer) = app.admin_get(&path).await;
    assert_eq!((status, total(&answer, "offered")), (200, 0), "{answer}");
    app.stop().await;
}

/// Gives a service entries for the errors and the rest of its operation.
async fn by_class(store: &dyn Store, service: &str) -> [OperationId; 2] {
    let limits = DictionaryLimits {
        services: 9,
        operations_per_service: 9,
        operations: 9,
    };
    let entries = [Class::Error, Class::Rest].map(|class| class.entry("GET /"));
    let name = |entry: &String| {
        let entry = OperationName::parse(entry).unwrap();
        (ServiceName::parse(service).unwrap(), entry)
    };
    let names = entries.each_ref().map(name);
    store.add_names(&names, limits).await.unwrap();
    let page = store.read_dictionary(None, None).await.unwrap();
    entries.map(|entry| {
        let mut known = page.entries.iter();
        let found = known.find(|of| of.operation_name.as_str() == entry);
        found.expect("it was added").operation
    })
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn classes_are_told_apart_in_every_length_of_steps() {
    let directory = tempfile::tempdir().unwrap();
    let (app, store, operations) = start(directory.path()).await;
    let [error, rest] = by_class(&*store, "shop").await;
    eventually(DEADLINE, "a plan", async || app.plan().await).await;
    let now = SystemClock.timestamp().0;
    let all = [operations[0], error, rest];
    let rows: Vec<_> = (3..4 * 24)
        .map(|hours| {
            let of = |(operation, offered, sampled)| HistoryOperation {
                operation,
                offered,
                sampled: Some(sampled),
                probability: Some(0.5),
            };
            let counted = [(all[0], OFFERED, 9), (all[1], 40, 40), (all[2], 4000, 7)];
            let mut counted = counted.map(of);
            counted.sort_by_key(|of| of.operation);
            HistoryRow {
                payload: history_codec::encode(&counted, WriteFormat::Newest),
                ..hour(now, hours, &operations)
            }
        })
        .collect();
    let counted = rows.len() as u64;
    let settled = Timestamp(now.div_euclid(HOUR) * HOUR - 3 * HOUR);
    store.settle(&rows, settled).await.unwrap();

    let query = format!("start={}&by=class", ago(now, 5 * DAY));
    let class = |answer: &Value, class: &str, figure: &str| -> u64 {
        let points = points(answer).iter();
        let classes = points.flat_map(|point| point["classes"].as_array().unwrap());
        let of = classes.filter(|of| of["class"] == class);
        of.filter_map(|of| of[figure].as_u64()).sum()
    };
    for step in ["&step=1h", "&step=1d", "&points=10"] {
        let path = format!("/v1/services/shop/history?{query}{step}");
        let shop = eventually(DEADLINE, "it is summed", async || {
            let (status, answer) = app.admin_get(&path).await;
            assert_eq!(status, 200, "{answer}");
            (total(&answer, "offered") == 4040 * counted).then_some(answer)
        })
        .await;
        let errors = ["offered", "sampled"].map(|figure| class(&shop, "error", figure));
        assert_eq!(errors, [40 * counted; 2], "{step}");
        let rest = ["offered", "sampled"].map(|figure| class(&shop, "rest", figure));
        assert_eq!(rest, [4000 * counted, 7 * counted], "{step}");
        assert_eq!(class(&shop, "slow", "offered"), 0, "{step}");
    }
    let (_, fleet) = app.admin_get(&format!("/v1/history?{query}")).await;
    assert_eq!(class(&fleet, "error", "sampled"), 40 * counted);
    assert_eq!(total(&fleet, "offered"), (OFFERED + 4040) * counted);
    let checkout = format!("/v1/services/checkout/history?{query}");
    let (_, checkout) = app.admin_get(&checkout).await;
    assert!(
        points(&checkout)
            .iter()
            .all(|of| of["classes"] == serde_json::json!([]))
    );
    let (_, plain) = app.admin_get("/v1/services/shop/history").await;
    assert!(points(&plain).iter().all(|of| of["classes"].is_null()));

    let windows = format!(
        "/v1/services/shop/history?operation=GET%20/&start={}",
        ago(now, DAY)
    );
    let (status, problem) = app.admin_get(&windows).await;
    let said = problem["detail"].as_str().unwrap();
    assert_eq!(status, 404, "{problem}");
    assert!(said.ends_with("it has class=error or class=rest"), "{said}");
    let (status, errors) = app.admin_get(&format!("{windows}&class=error")).await;
    assert_eq!(
        (status, &errors["class"]),
        (200, &"error".into()),
        "{errors}"
    );
    assert!(points(&errors).iter().all(|of| of["offered"] == 40) && !points(&errors).is_empty());
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_range_that_is_too_large_or_wrong_is_refused_with_the_way_out() {
    let directory = tempfile::tempdir().unwrap();
    let (app, ..) = start(directory.path()).await;
    let history = "/v1/services/checkout/history";
    for (path, field) in [
        (
            "/v1/history?start=2020-01-01T00:00:00Z&step=1h".into(),
            "step",
        ),
        ("/v1/history?step=1s".into(), "step"),
        ("/v1/history?step=soon".into(), "step"),
        ("/v1/history?points=0".into(), "points"),
        ("/v1/history?points=1001".into(), "points"),
        ("/v1/history?start=now".into(), "start"),
        (
            "/v1/history?end=2020-01-01T00:00:00Z&start=2021-01-01T00:00:00Z".into(),
            "start",
        ),
        (format!("{history}?limit=3"), "limit"),
        (format!("{history}?after=2020-01-01T00:00:00Z"), "after"),
        (format!("{history}?operation=GET+/&step=1h"), "step"),
        (format!("{history}?operation=GET+/&points=9"), "points"),
        (format!("{history}?operation=GET+/&by=class"), "by"),
        (format!("{history}?operation=GET+/&class=failed"), "class"),
        (format!("{history}?class=error"), "class"),
        ("/v1/history?by=operation".into(), "by"),
        ("/v1/services?sparkline=soon".into(), "sparkline"),
        ("/v1/services?sparkline=1h".into(), "sparkline"),
        ("/v1/services?sparkline=24h&limit=501".into(), "limit"),
    ] {
        let (status, problem) = app.admin_get(&path).await;
        assert_eq!(
            (status, &problem["field"]),
            (400, &field.into()),
            "{path}: {problem}"
        );
    }
    // The beginning and the end of time.
    for query in [
        "start=-262143-01-01T00:00:00Z",
        "start=-262143-01-01T00:00:00Z&end=-262142-01-01T00:00:00Z&points=3",
        "end=%2B262142-12-31T23:59:59Z",
    ] {
        let (status, answer) = app.admin_get(&format!("/v1/history?{query}")).await;
        assert_eq!(status, 200, "{answer}");
        assert!(points(&answer).len() <= 1000);
    }
    app.stop().await;
}

/// One request draws the list of services with the last day of each.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_page_of_services_has_their_sparklines() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let epoch = uuid::Uuid::new_v4();
    let mut sequence = 0;
    let line = eventually(DEADLINE, "a sparkline with its last point", async || {
        sequence += 1;
        let sent = app.report(&report("a", epoch, sequence, 500)).await;
        assert_eq!(sent.0, 200);
        let (status, page) = app.admin_get("/v1/services?sparkline=24h").await;
        assert_eq!(status, 200, "{page}");
        assert_eq!(page["sparklines"]["step_seconds"], 3600.0, "{page}");
        let service = page["services"].get(0)?;
        let line = service["sparkline"]["offered_per_second"].as_array()?;
        assert_eq!(line.len(), 24);
        (line.iter().any(|rate| rate.as_f64() > Some(0.0))).then(|| line.clone())
    })
    .await;
    assert!(line[0].is_null(), "nothing is known of a day ago: {line:?}");
    let (_, page) = app.admin_get("/v1/services").await;
    assert!(page["sparklines"].is_null() && page["services"][0]["sparkline"].is_null());
    // What is not settled yet is shown as it is known.
    let (_, fleet) = app.admin_get("/v1/history").await;
    assert_eq!(
        fleet["step_seconds"], 60.0,
        "an hour of seconds has too many"
    );
    let last = points(&fleet)
        .iter()
        .rev()
        .find(|of| of["offered"].as_u64() > Some(0));
    assert_eq!(last.unwrap()["settled"], false, "{fleet}");
    let budget = last.unwrap()["budget_traces_per_second"].as_f64();
    assert_eq!(budget, Some(10.0), "{}", last.unwrap());
    app.stop().await;
}
