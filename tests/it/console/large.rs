//! Pages of a large fleet: how long they take, and how large they are.

use std::time::{Duration, Instant};

use chrono::TimeDelta;
use serde_json::json;
use uuid::Uuid;
use weir::clock::{Clock, SystemClock};

use super::world::Visitor;
use crate::support::app::{TestApp, config};
use crate::support::process::eventually;

/// Services, and operations of each.
const FLEET: (usize, usize) = (10_000, 10);

/// How many agents count it.
const PARTS: usize = 50;

const DEADLINE: Duration = Duration::from_secs(300);

/// The most bytes of a page.
const BYTES_MAX: usize = 300_000;

const PATHS: [&str; 16] = [
    "/",
    "/?range=week",
    "/console/budget",
    "/console/budget?amount=5&unit=traces_per_second",
    "/console/services",
    "/console/services?sort=missing&search=77",
    "/console/services/s00077",
    "/console/services/s00077?operation=op-3",
    "/console/services/s00077/settings?floor_traces_per_second=1",
    "/console/services/s00077/boost",
    "/console/changes",
    "/console/rules",
    "/console/fleet",
    "/console/try?range=hour",
    "/console/try?range=month",
    "/console/first-run",
];

/// `cargo test --release -- --ignored --nocapture console::large` prints the figures of docs/console.md.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "prints figures, and takes a minute"]
async fn figures_of_a_large_fleet() {
    let directory = tempfile::tempdir().unwrap();
    let folder = directory.path().to_str().unwrap();
    let flags = [
        "--data-dir",
        folder,
        "--interval",
        "10s",
        "--max-services",
        "20000",
        "--max-operations",
        "200000",
    ];
    let app = TestApp::start_with(config(&flags)).await;
    let mut turn = 0;
    eventually(DEADLINE, "a plan of all", async || {
        turn += 1;
        for part in 0..PARTS {
            let answer = app.report(&report(part, turn)).await;
            assert_eq!(answer.0, 200, "{}", answer.1);
        }
        let plan = app.plan().await?;
        (plan["operations"].as_u64()? >= 100_000).then_some(())
    })
    .await;
    let visitor = Visitor::of(&app.admin);
    println!("| page | time | bytes |\n|---|---|---|");
    for path in PATHS {
        let mut times = Vec::new();
        let mut bytes = 0;
        for _ in 0..7 {
            let begun = Instant::now();
            let answer = visitor.get(path).await;
            times.push(begun.elapsed());
            assert_eq!(answer.status, 200, "{path}");
            bytes = answer.text.len();
            answer.page();
        }
        times.sort();
        println!("| `{path}` | {} ms | {bytes} |", times[3].as_millis());
        assert!(bytes <= BYTES_MAX, "{path}: {bytes}");
    }
    app.stop().await;
}

/// What one agent counted in the last five seconds.
fn report(part: usize, sequence: u64) -> serde_json::Value {
    let start = SystemClock.now() - TimeDelta::seconds(5);
    let of_service = |service: usize| {
        let operation = |operation: usize| {
            let offered = 1 + (service * 7919 + operation * 104_729) % 5_000;
            json!({ "operation": format!("op-{operation}"), "offered": offered, "sampled": 1 })
        };
        let operations: Vec<_> = (0..FLEET.1).map(operation).collect();
        json!({ "service": format!("s{service:05}"), "instances": 2, "operations": operations })
    };
    let length = FLEET.0 / PARTS;
    let services: Vec<_> = (part * length..(part + 1) * length)
        .map(of_service)
        .collect();
    json!({
        "agent": format!("agent-{part}"), "epoch": Uuid::from_u128(part as u128 + 1), "sequence": sequence,
        "window_start": start, "window_seconds": 5, "services": services,
    })
}
