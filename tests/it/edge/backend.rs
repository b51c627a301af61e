//! The backend dies in the middle of a load: what is lost is counted, and what Weir is told stays exact.

use serde_json::{Value, json};

use super::{DEADLINE, Edge, root};
use crate::interop::sink::Sink;
use crate::support::app::TestApp;
use crate::support::process::eventually;
use crate::support::scrape::Scrape;

/// Traces in an export.
const EACH: u64 = 250;

/// Sends exports of traces of one span of 2 kB. An edge without room for a body asks for patience.
async fn send(edge: &Edge, exports: std::ops::Range<u64>) {
    for export in exports {
        let filled = |trace: u64| {
            let mut span = root(export * EACH + trace, trace.is_multiple_of(2));
            let filler = format!("{trace:02000}");
            span["attributes"] = json!([{"key": "filler", "value": {"stringValue": filler}}]);
            span
        };
        let spans: Vec<Value> = (0..EACH).map(filled).collect();
        eventually(DEADLINE, "room for an export", async || {
            match edge.send("shop", spans.clone()).await {
                200 => Some(()),
                503 => None,
                status => panic!("status {status}"),
            }
        })
        .await;
    }
}

/// Waits until every span that came is decided, and was sent or lost.
async fn settle(edge: &Edge) {
    eventually(DEADLINE, "nothing waits", async || {
        let held = edge.metric("weir_edge_held", "\"spans\"").await;
        let queued = edge.metric("weir_edge_queue_bytes", "").await;
        (held == 0.0 && queued == 0.0).then_some(())
    })
    .await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_backend_that_dies_under_load_costs_what_is_counted_and_no_count_of_weir() {
    let folder = tempfile::tempdir().unwrap();
    let app = TestApp::start(folder.path(), &[]).await;
    let document = json!({"budget": {"traces_per_second": 1e6}, "governed": "tail"});
    let put = app.client.put(format!("{}/v1/configuration", app.admin));
    let put = put.header("If-Match", "*").json(&document).send().await;
    assert_eq!(put.unwrap().status(), 200);
    let (_, written) = app.admin_get("/v1/budget").await;
    eventually(DEADLINE, "a plan with it", async || {
        let plan = app.plan().await?;
        (plan["configuration_revision"] == written["revision"]).then_some(())
    })
    .await;
    let first = Sink::start();
    let url = first.url().to_owned();
    let flags = [
        "--weir",
        &app.sdk,
        "--backend",
        &url,
        "--backend-compression",
        "none",
        "--memory",
        "32MiB",
        "--retry-for",
        "1s",
    ];
    let edge = Edge::start(&flags);
    edge.until("weir_edge_plan", "", 1.0).await;
    // The program itself, and what the allocator keeps.
    let bound = edge.peak_memory_kib() + (32 << 10) + (48 << 10);
    send(&edge, 0..5).await;
    let of_first = first.counter();
    eventually(DEADLINE, "spans at the backend", async || {
        (of_first() > 0).then_some(())
    })
    .await;
    drop(first);
    send(&edge, 5..25).await;
    edge.until("weir_edge_spans_lost_total", "", 1.0).await;
    let second = eventually(DEADLINE, "the port", async || Sink::start_again_at(&url)).await;
    send(&edge, 25..30).await;
    settle(&edge).await;
    // Every kept span was sent or is counted as lost, and the backend has what was sent.
    let sent = edge.metric("weir_edge_spans_sent_total", "").await;
    let lost = edge.metric("weir_edge_spans_lost_total", "").await;
    let kept = edge.metric("weir_edge_spans_total", "\"kept\"").await;
    assert_eq!(sent + lost, kept);
    let (before, after) = (of_first(), second.roots().len());
    assert!(before > 0 && after > 0, "{before} {after}");
    assert!(
        (before + after) as f64 >= sent,
        "{before} + {after} of {sent}"
    );
    let received = 30 * EACH;
    let dropped = edge.metric("weir_edge_spans_total", "\"dropped\"").await;
    assert_eq!(kept + dropped, received as f64);
    assert!(
        edge.peak_memory_kib() < bound,
        "{} KiB",
        edge.peak_memory_kib()
    );
    // Weir has each root once, and as kept what was kept, whether or not the backend got it.
    let weir = eventually(DEADLINE, "all counts at Weir", async || {
        let weir = Scrape::of(&app).await;
        (weir.value("weir_reported_offered_total") >= received as f64).then_some(weir)
    })
    .await;
    assert_eq!(weir.value("weir_reported_offered_total"), received as f64);
    assert_eq!(weir.value("weir_reported_sampled_total"), kept);
    println!("{sent} of {kept} kept spans were sent, {lost} were lost and counted");
    drop(edge);
    app.stop().await;
}
