//! The cost of hostile or unlucky days: endless names.

use std::time::Duration;

use serde_json::{Value, json};
use weir::store::sqlite::SqliteStore;

use crate::support::app::Agent;
use crate::support::client::{Answer, Client, http_client, send};
use crate::support::process::{WeirProcess, eventually};
use crate::support::stored::stored_totals;

const DEADLINE: Duration = Duration::from_secs(120);
/// Invented names in total, and in one report.
const INVENTED: usize = 100_000;
const PER_REPORT: usize = 2_500;
/// Requests under each invented name.
const REQUESTS: u64 = 3;
/// Operations with an entry of their own in one service, by default.
const KEPT: usize = 2_000;
const BUDGET: f64 = 50.0;
/// The plan of a second answers the traffic of a second or two before. The first seconds of a flood
/// that nobody could predict are sampled at the old rates.
const REPORTS_BEFORE_HELD: usize = 6;
/// The memory that the process may use, in KiB: an idle one, built for tests, takes a fifth of it.
const MEMORY_MAX_KIB: u64 = 256 * 1024;

/// What the fleet would have sampled with the rates it was served.
#[derive(Default)]
struct Kept {
    traces: f64,
    seconds: f64,
}

/// The next report of the flood.
fn flood(agent: &mut Agent, invented: &mut usize) -> Option<Value> {
    let mut report = agent.next(&[("steady", &[("GET /", 1000.0)]), ("shop", &[])])?;
    let names = *invented..*invented + PER_REPORT;
    let operations = names.map(|name| {
        json!({ "operation": format!("GET /users/{name}"), "offered": REQUESTS, "sampled": 0 })
    });
    report["services"][1]["operations"] = Value::Array(operations.collect());
    *invented += PER_REPORT;
    Some(report)
}

/// The traces that SDKs sample of a report with the served rates.
async fn kept(client: &Client, report: &Value) -> f64 {
    let mut traces = 0.0;
    for service in report["services"].as_array().unwrap() {
        let strategy = client
            .strategy(service["service"].as_str().unwrap())
            .await
            .unwrap();
        let default = strategy.probability("");
        let listed = strategy.all_listed();
        for operation in service["operations"].as_array().unwrap() {
            let name = operation["operation"].as_str().unwrap();
            let probability = listed.get(name).copied().unwrap_or(default);
            traces += probability * operation["offered"].as_f64().unwrap();
        }
    }
    traces
}

#[tokio::test(flavor = "multi_thread")]
async fn a_hundred_thousand_invented_names_are_counted_together_and_the_budget_holds() {
    let directory = tempfile::tempdir().unwrap();
    let command = WeirProcess::command().flag("--data-dir", directory.path());
    let weir = command.flag("--interval", "1s").start().await;
    let client = Client::of(&weir);
    let http = http_client();
    client.set_budget(BUDGET).await;

    // Twice a second, so the flood lasts for twenty seconds.
    let mut agent = Agent::every("a", 0.5);
    let (mut invented, mut reports, mut flooded) = (0, 0, Kept::default());
    eventually(DEADLINE, "every name is reported", async || {
        let report = flood(&mut agent, &mut invented)?;
        reports += 1;
        if reports > REPORTS_BEFORE_HELD {
            flooded.traces += kept(&client, &report).await;
            flooded.seconds += report["window_seconds"].as_f64()?;
        }
        let answer = send(&http, weir.sdk_url(), &report).await;
        assert_eq!(answer, Answer::Counted);
        (invented == INVENTED).then_some(())
    })
    .await;
    let rate = flooded.traces / flooded.seconds;
    assert!(
        rate <= BUDGET * 1.1,
        "kept {rate} traces/s of {BUDGET} during the flood"
    );

    let served = client.strategy("shop").await.unwrap();
    let listed = served.body["operationSampling"]["perOperationStrategies"]
        .as_array()
        .unwrap();
    assert_eq!(listed.len(), KEPT, "the body stays bounded");
    let default = served.probability("GET /users/never-seen");
    assert!(
        default < 0.5,
        "what is not known is not kept whole: {default}"
    );
    let memory = weir.peak_memory_kib();
    assert!(memory < MEMORY_MAX_KIB, "{memory} KiB");
    assert!(weir.terminate().await.success());

    let store = SqliteStore::open(&directory.path().join("weir.db"))
        .await
        .unwrap();
    let totals = stored_totals(&store).await;
    let overflow = totals[&("shop".to_owned(), "__other__".to_owned())];
    let expected = REQUESTS * (INVENTED - KEPT) as u64;
    assert_eq!(overflow, (expected, 0), "every one was counted, once");
}
