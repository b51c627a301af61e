//! Published instrumentation sends its metrics to Weir by OTLP: requests made are requests counted,
//! exactly, while the application and Weir are restarted.

use std::net::SocketAddr;
use std::path::Path;
use std::time::Duration;

use chrono::TimeDelta;
use tempfile::TempDir;
use weir::allocation::Timestamp;
use weir::store::Store;
use weir::store::sqlite::SqliteStore;

use super::servers::{Kind, Server, Telemetry};
use super::sink::Sink;
use crate::support::client::now;
use crate::support::process::{WeirProcess, eventually};
use crate::support::proxy::Proxy;
use crate::support::stored::ReadWhole;

const SERVICE: &str = "shop";

const DEADLINE: Duration = Duration::from_secs(60);

/// Requests between two restarts.
const REQUESTS: u64 = 200;

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn go_cumulative() {
    every_request_counts_once(Kind::Go, "cumulative").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn go_delta() {
    every_request_counts_once(Kind::Go, "delta").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn java_agent_cumulative() {
    every_request_counts_once(Kind::JavaAgent, "cumulative").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn java_agent_delta() {
    every_request_counts_once(Kind::JavaAgent, "delta").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn javascript_cumulative() {
    every_request_counts_once(Kind::JavaScript, "cumulative").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn javascript_delta() {
    every_request_counts_once(Kind::JavaScript, "delta").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn flask_cumulative() {
    every_request_counts_once(Kind::Flask, "cumulative").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn flask_delta() {
    every_request_counts_once(Kind::Flask, "delta").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn fastapi_cumulative() {
    every_request_counts_once(Kind::FastApi, "cumulative").await;
}

#[tokio::test(flavor = "multi_thread")]
#[ignore = "needs packages: make interop"]
async fn fastapi_delta() {
    every_request_counts_once(Kind::FastApi, "delta").await;
}

async fn every_request_counts_once(kind: Kind, temporality: &'static str) {
    let folder = TempDir::new().unwrap();
    let weir = start_weir(folder.path()).await;
    let store = SqliteStore::open(&folder.path().join("weir.db"))
        .await
        .unwrap();
    let proxy = Proxy::to_tcp(address(&weir)).await;
    let sink = Sink::start();
    let telemetry = Telemetry {
        service: SERVICE.to_owned(),
        metrics_url: Some(format!("http://{}", proxy.address())),
        traces_url: sink.url().to_owned(),
        temporality,
        export_interval: Duration::from_millis(500),
        sampler: None,
    };
    let server = Server::start(kind, &telemetry).await;
    server.load(REQUESTS).await;
    counted(&store, REQUESTS).await;

    weir.terminate().await;
    // A delta that no server took is lost with the SDK; a cumulative value comes again.
    let during = if temporality == "cumulative" { 40 } else { 0 };
    server.load(during).await;
    let weir = start_weir(folder.path()).await;
    proxy.lead_to_tcp(address(&weir));
    server.load(REQUESTS).await;
    counted(&store, 2 * REQUESTS + during).await;

    // The last counts come while the application ends.
    server.load(REQUESTS).await;
    server.terminate().await;
    counted(&store, 3 * REQUESTS + during).await;
    let server = Server::start(kind, &telemetry).await;
    server.load(REQUESTS).await;
    server.terminate().await;
    counted(&store, 4 * REQUESTS + during).await;
    weir.terminate().await;
    counted(&store, 4 * REQUESTS + during).await;
}

async fn start_weir(folder: &Path) -> WeirProcess {
    WeirProcess::command()
        .flag("--data-dir", folder)
        .flag("--interval", "1s")
        .flag("--grace", "500ms")
        .start()
        .await
}

fn address(weir: &WeirProcess) -> SocketAddr {
    let (_, address) = weir.sdk_url().split_once("://").expect("a URL");
    address.parse().expect("an address and a port")
}

/// Waits until that many requests are counted, and fails at once if there are more.
async fn counted(store: &dyn Store, requests: u64) {
    let day = TimeDelta::days(1);
    eventually(DEADLINE, "every request is counted", async || {
        let days = [now() - day, now() + day].map(|at| Timestamp(at.timestamp_millis()));
        let buckets = store.read_deltas(days[0]..days[1]).await.unwrap();
        let counts = buckets.iter().flat_map(|bucket| &bucket.operations);
        let counted: u64 = counts.map(|count| count.offered).sum();
        assert!(counted <= requests, "{counted} counted of {requests}");
        (counted == requests).then_some(())
    })
    .await;
}
