//! How long a change takes to reach an edge.

use std::time::{Duration, Instant};

use serde_json::{Value, json};

use super::Edge;
use crate::support::app::{TestApp, config};
use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;

/// The most that may pass until an edge has a change.
const WITHIN: Duration = Duration::from_secs(10);

/// How many changes there are, unless `WEIR_CHANGES` says another number.
const CHANGES: usize = 12;

/// Changes what is served, at once and without a plan.
async fn change(app: &TestApp, factor: f64) {
    let emergency =
        json!({"factor": factor, "owner": "ann", "reason": "a test", "for_seconds": 600});
    let put = app.client.put(format!("{}/v1/emergency", app.admin));
    let answer = put.header("If-Match", "*").json(&emergency).send().await;
    assert_eq!(answer.unwrap().status(), 200);
}

/// One replica is changed, and the edge follows the other. A change that needs a plan takes as long once that is there.
#[tokio::test(flavor = "multi_thread")]
async fn a_change_reaches_an_edge_within_ten_seconds() {
    let database = TestDatabase::create().await;
    let flags = ["--database-url", database.url(), "--interval", "2s"];
    let changed = TestApp::start_with(config(&flags)).await;
    let followed = TestApp::start_with(config(&flags)).await;
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("plan.json");
    let flags = [
        "--weir",
        &followed.sdk,
        "--backend",
        &followed.sdk,
        "--plan-file",
        file.to_str().unwrap(),
    ];
    let edge = Edge::start(&flags);
    edge.until("weir_edge_plan", "", 1.0).await;
    let wanted = std::env::var("WEIR_CHANGES").ok();
    let changes = wanted.map_or(CHANGES, |wanted| wanted.parse().expect("a number"));
    let mut took = Vec::new();
    for number in 1..=changes {
        // Tagged requests of services that no plan names are kept whole, but for the emergency.
        let factor = number as f64 / (changes + 1) as f64;
        let began = Instant::now();
        change(&changed, factor).await;
        eventually(WITHIN, "the edge follows", async || {
            let plan: Value = serde_json::from_slice(&std::fs::read(&file).ok()?).ok()?;
            let tagged = plan["default"]["probabilities"]["tagged"].as_f64()?;
            ((tagged - factor).abs() < 1e-6).then_some(())
        })
        .await;
        took.push(began.elapsed());
    }
    took.sort_unstable();
    let at = |part: usize| took[(took.len() * part).div_ceil(100) - 1];
    println!(
        "{changes} changes reached an edge of another replica after {:.2?} (median), {:.2?} (p99), {:.2?} at most",
        at(50),
        at(99),
        at(100)
    );
    drop(edge);
    changed.stop().await;
    followed.stop().await;
}
