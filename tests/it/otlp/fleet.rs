//! Processes export to replicas that come and go: what is stored is what they counted.

use std::time::Duration;

use serde_json::{Value, json};
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};
use weir::store::postgres::PostgresStore;

use super::start;
use crate::support::app::report;
use crate::support::client::http_client;
use crate::support::postgres::Cluster;
use crate::support::process::{WeirCommand, WeirProcess, eventually};
use crate::support::stored::stored_totals;

const DEADLINE: Duration = Duration::from_secs(60);
const SECOND: u64 = 1_000_000_000;

fn now_ns() -> u64 {
    SystemClock.timestamp().0.unsigned_abs() * 1_000_000
}

/// A process that counts requests since its start.
#[derive(Clone)]
struct Process {
    resource: Value,
    start_ns: u64,
    time_ns: u64,
    requests: u64,
}

impl Process {
    /// As SDKs of Go describe themselves: all processes on a host have one resource.
    fn begin(start_ns: u64) -> Self {
        let attribute =
            |key: &str, value: &str| json!({ "key": key, "value": { "stringValue": value } });
        Self {
            resource: json!({ "attributes": [
                attribute("service.name", "checkout"), attribute("host.name", "a"),
            ] }),
            start_ns,
            time_ns: start_ns,
            requests: 0,
        }
    }

    fn export(&self) -> Value {
        let point = json!({
            "attributes": [{ "key": "http.request.method", "value": { "stringValue": "POST" } }],
            "startTimeUnixNano": self.start_ns.to_string(),
            "timeUnixNano": self.time_ns.to_string(),
            "count": self.requests.to_string(),
        });
        let metric = json!({
            "name": "http.server.request.duration",
            "histogram": { "aggregationTemporality": 2, "dataPoints": [point] },
        });
        json!({ "resourceMetrics": [{
            "resource": self.resource,
            "scopeMetrics": [{ "metrics": [metric] }],
        }] })
    }
}

/// Sends an export. Whether it was stored; an answer that says so says nothing else.
async fn sent(client: &reqwest::Client, replica: &str, export: &Value) -> bool {
    let request = client.post(format!("{replica}/v1/metrics")).json(export);
    let Ok(answer) = request.send().await else {
        return false;
    };
    match answer.status().as_u16() {
        200 => {
            assert_eq!(answer.text().await.unwrap_or("{}".into()), "{}");
            true
        }
        429 | 503 => false,
        status => panic!("{status}"),
    }
}

/// Two replicas behind alternating requests; now and then one is killed while it takes an export, and its
/// sender tries the other. Of three processes under one resource, each is started again once.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn exports_are_counted_once_whichever_replica_is_killed() {
    const COLLECTIONS: u64 = 24;
    let cluster = Cluster::start();
    let url = cluster.url("postgres");
    let command: WeirCommand = WeirProcess::command().flag("--database-url", &url);
    let mut replicas = vec![command.start().await, command.start().await];
    let client = http_client();
    let began = now_ns() - 120 * SECOND;
    let mut processes: Vec<_> = (0..3)
        .map(|number| Process::begin(began + number))
        .collect();
    let mut counted = 0;
    for collection in 1..=COLLECTIONS {
        for (number, process) in processes.iter_mut().enumerate() {
            let new = 10 * collection + number as u64;
            process.requests += new;
            process.time_ns = began + collection * SECOND + number as u64;
            counted += new;
            let export = process.export();
            let first = (collection as usize + number) % 2;
            let killed = collection % 8 == 4 && number == 1;
            if killed {
                let sending = {
                    let (client, export) = (client.clone(), export.clone());
                    let replica = replicas[first].sdk_url().to_owned();
                    tokio::spawn(async move { sent(&client, &replica, &export).await })
                };
                replicas[first].kill9();
                sending.await.unwrap();
            }
            let mut attempt = first;
            eventually(DEADLINE, "an export is stored", async || {
                let replica = replicas[attempt % 2].sdk_url().to_owned();
                attempt += 1;
                sent(&client, &replica, &export).await.then_some(())
            })
            .await;
            if killed {
                replicas[first] = command.start().await;
            }
            if collection % 5 == 0 {
                let other = replicas[attempt % 2].sdk_url();
                assert!(sent(&client, other, &export).await, "sent again");
            }
            if collection == 8 + number as u64 {
                *process = Process::begin(process.time_ns + 1);
            }
        }
    }
    for replica in replicas {
        assert!(replica.terminate().await.success());
    }
    let store = PostgresStore::connect(&url, 2).await.unwrap();
    let totals = stored_totals(&store).await;
    let name = ("checkout".to_owned(), "POST".to_owned());
    assert_eq!(
        totals.into_iter().collect::<Vec<_>>(),
        [(name, (counted, 0))]
    );
}

/// An agent and the process's metrics count the same requests.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_an_agent_counts_is_not_counted_by_metrics_too() {
    let (app, _directory) = start(&[]).await;
    let mut process = Process::begin(now_ns() - 10 * SECOND);
    let epoch = Uuid::new_v4();
    let mut sequence = 0;
    eventually(DEADLINE, "the metrics are left out", async || {
        sequence += 1;
        let (status, said) = app.report(&report("node-1", epoch, sequence, 100)).await;
        assert_eq!(status, 200, "{said}");
        process.requests += 100;
        process.time_ns = now_ns();
        assert!(sent(&app.client, &app.sdk, &process.export()).await);
        let (_, services) = app.admin_get("/v1/services").await;
        let sources = &services["services"][0]["sources"];
        let of = |at: usize| (&sources[at]["basis"], &sources[at]["left_out"]);
        let left_out = of(0) == (&json!("reports"), &json!(false))
            && of(1) == (&json!("requests"), &json!(true));
        left_out.then_some(())
    })
    .await;
    // The agent alone is counted from now on.
    let offered = async || {
        let scrape = crate::support::scrape::Scrape::of(&app).await;
        scrape.value("weir_reported_offered_total")
    };
    let before = offered().await;
    process.requests += 77;
    process.time_ns = now_ns();
    assert!(sent(&app.client, &app.sdk, &process.export()).await);
    assert_eq!(offered().await, before);
    app.stop().await;
}
