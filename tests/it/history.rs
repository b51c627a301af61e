//! The history endpoint: pages, old and new formats, and its cost.

use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use serde_json::Value;
use weir::allocation::{OperationId, Timestamp, Window};
use weir::clock::{Clock, SystemClock};
use weir::store::history_codec::{self, HistoryOperation};
use weir::store::sqlite::SqliteStore;
use weir::store::{DictionaryLimits, HistoryRow, Store, WriteFormat};

use crate::support::app::{TestApp, report};
use crate::support::client::http_client;
use crate::support::process::{WeirProcess, eventually};
use crate::support::stored::ReadWhole;

const MINUTE: i64 = 60_000;
const DEADLINE: Duration = Duration::from_secs(60);

/// Another connection to the file of a running Weir.
async fn beside(directory: &Path) -> Arc<dyn Store> {
    let file = directory.join("weir.db");
    Arc::new(SqliteStore::open(&file).await.unwrap())
}

/// The number of the operation that [`report`] reports.
async fn reported(store: &dyn Store) -> OperationId {
    let page = store.read_dictionary(None, None).await.unwrap();
    let mut entries = page.entries.into_iter();
    let known = |name: &str| name == "POST /cart";
    let found = entries.find(|entry| known(entry.operation_name.as_str()));
    found.expect("it was reported").operation
}

/// The minute that many minutes ago.
fn ago(minutes: i64) -> Window {
    let now = SystemClock.timestamp();
    Window::aligned(Timestamp(now.0 - minutes * MINUTE), MINUTE)
}

fn row(window: Window, operation: OperationId, offered: u64, format: WriteFormat) -> HistoryRow {
    let operation = HistoryOperation {
        operation,
        offered,
        sampled: Some(1),
        probability: Some(0.5),
    };
    HistoryRow {
        window,
        payload: history_codec::encode(&[operation], format),
    }
}

fn offered(page: &Value) -> Vec<u64> {
    let points = page["points"].as_array().unwrap().iter();
    points
        .map(|point| point["offered"].as_u64().unwrap())
        .collect()
}

#[tokio::test]
async fn pages_follow_each_other_over_windows_of_any_format() {
    let directory = tempfile::tempdir().unwrap();
    let flags = [
        "--data-dir",
        directory.path().to_str().unwrap(),
        "--interval",
        "1h",
    ];
    let app = TestApp::start_with(crate::support::app::config(&flags)).await;
    assert_eq!(
        app.report(&report("a", uuid::Uuid::new_v4(), 1, 5)).await.0,
        200
    );
    let store = beside(directory.path()).await;
    let operation = reported(&*store).await;
    let other = OperationId(operation.0 + 1000);
    let mut damaged = row(ago(56), operation, 4, WriteFormat::Newest);
    damaged.payload[0] = 99;
    let rows = [
        row(ago(59), operation, 1, WriteFormat::Previous),
        row(ago(58), operation, 2, WriteFormat::Newest),
        row(ago(57), other, 3, WriteFormat::Newest),
        damaged,
        row(ago(55), operation, 5, WriteFormat::Newest),
    ];
    store.settle(&rows, Timestamp(0)).await.unwrap();

    let path = "/v1/services/checkout/history?operation=POST%20/cart";
    let (status, whole) = app.admin_get(path).await;
    assert_eq!((status, offered(&whole)), (200, vec![1, 2, 5]), "{whole}");
    assert_eq!(
        (&whole["unreadable_windows"], &whole["next"]),
        (&1.into(), &Value::Null)
    );

    let mut path = format!("{path}&limit=2");
    let mut pages = Vec::new();
    loop {
        let (_, page) = app.admin_get(&path).await;
        pages.push(offered(&page));
        let Some(next) = page["next"].as_str() else {
            break;
        };
        path = format!("/v1/services/checkout/history?operation=POST%20/cart&limit=2&after={next}");
    }
    assert_eq!(pages, [vec![1, 2], vec![], vec![5]]);
    app.stop().await;
}

/// Operations in a window of a large fleet, and windows: together more than may be in memory.
const LARGE: u32 = 100_000;
const WINDOWS: i64 = 140;

/// The memory that an answer may add to the process's peak, in KiB. All rows together are over 80
/// MiB.
const ADDED_MAX_KIB: u64 = 20 * 1024;

/// A window of a large fleet. Its numbers compress as badly as real ones.
fn large(format: WriteFormat) -> Vec<u8> {
    let operation = |id: u32| {
        let noise = id.wrapping_mul(2_654_435_761);
        HistoryOperation {
            operation: OperationId(id),
            offered: u64::from(noise >> 12),
            sampled: Some(u64::from(noise >> 25)),
            probability: Some(f32::from_bits(0x3f00_0000 | noise >> 9)),
        }
    };
    let operations: Vec<_> = (1..=LARGE).map(operation).collect();
    history_codec::encode(&operations, format)
}

#[tokio::test(flavor = "multi_thread")]
async fn a_large_fleets_history_is_answered_without_being_held() {
    for format in [WriteFormat::Previous, WriteFormat::Newest] {
        let directory = tempfile::tempdir().unwrap();
        let store = beside(directory.path()).await;
        let name = |name| weir::allocation::OperationName::parse(name).unwrap();
        let service = weir::allocation::ServiceName::parse("checkout").unwrap();
        let limits = DictionaryLimits {
            services: 9,
            operations_per_service: 9,
            operations: 9,
        };
        store
            .add_names(&[(service, name("POST /cart"))], limits)
            .await
            .unwrap();
        let payload = large(format);
        let newest = ago(1).start.0;
        for minutes in 0..WINDOWS {
            // No plan of the running Weir has a window that starts here.
            let start = Timestamp(newest - minutes * MINUTE + 1);
            let row = HistoryRow {
                window: Window {
                    start,
                    end: Timestamp(start.0 + MINUTE),
                },
                payload: payload.clone(),
            };
            store.settle(&[row], Timestamp(0)).await.unwrap();
        }
        assert!(
            payload.len() as i64 * WINDOWS > 80 << 20,
            "{}",
            payload.len()
        );
        store.close().await;

        let weir = WeirProcess::command()
            .flag("--data-dir", directory.path())
            .flag("--interval", "1h")
            .start()
            .await;
        let start = (SystemClock.now() - chrono::TimeDelta::hours(3)).to_rfc3339();
        let url = format!("{}/v1/services/checkout/history", weir.admin_url());
        let ask = |after: &str| {
            let query = [
                ("operation", "POST /cart"),
                ("start", &*start),
                ("after", after),
            ];
            reqwest::Url::parse_with_params(&url, query).unwrap()
        };
        let http = http_client_patient();
        // Summing this history takes memory of its own, a few windows at a time.
        eventually(4 * DEADLINE, "history is summed", async || {
            let url = format!("{}/metrics", weir.admin_url());
            let metrics = http_client()
                .get(url)
                .send()
                .await
                .ok()?
                .text()
                .await
                .ok()?;
            let run = r#"weir_job_runs_total{name="downsample",outcome="succeeded"} "#;
            let runs = metrics.lines().find_map(|line| line.strip_prefix(run))?;
            // A run before this replica leads does nothing, and one after the sums are made finds nothing new.
            (runs.parse::<f64>().ok()? >= 3.0).then_some(())
        })
        .await;
        let before = weir.peak_memory_kib();
        let (mut points, mut after) = (0, start.clone());
        loop {
            let page = http.get(ask(&after)).send().await.unwrap();
            let page: Value = page.json().await.unwrap();
            points += offered(&page).len();
            match page["next"].as_str() {
                Some(next) => next.clone_into(&mut after),
                None => break,
            }
        }
        assert_eq!(points as i64, WINDOWS);
        let added = weir.peak_memory_kib() - before;
        eprintln!("{format:?}: {added} KiB more");
        assert!(added < ADDED_MAX_KIB, "{format:?}: {added} KiB more");
    }
}

/// A client that waits as long as an answer may take on a busy machine.
fn http_client_patient() -> reqwest::Client {
    let client = reqwest::Client::builder().timeout(DEADLINE);
    client.build().expect("a client without TLS needs nothing")
}
