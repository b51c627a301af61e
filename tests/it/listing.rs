//! More operations in a service than its strategy lists, as SDKs and operators see it.

use std::time::Duration;

use serde_json::{Value, json};
use weir::allocation::LISTED_MAX;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);
const OPERATIONS: usize = LISTED_MAX + 1_500;
const BUDGET: f64 = 2_000.0;

/// Requests a second of the nth name.
fn rate(number: usize) -> f64 {
    if number < 10 { 1000.0 } else { 1.0 }
}

fn name(number: usize) -> String {
    format!("GET /page/{number}")
}

/// The next report, with all operations.
fn report(agent: &mut Agent) -> Option<Value> {
    let mut report = agent.next(&[("big", &[])])?;
    let seconds = report["window_seconds"].as_f64()?;
    let operations = (0..OPERATIONS).map(|number| {
        let offered = (rate(number) * seconds).round() as u64;
        json!({ "operation": name(number), "offered": offered, "sampled": 0 })
    });
    report["services"][0]["operations"] = Value::Array(operations.collect());
    Some(report)
}

/// What SDKs sample with the served strategy, in traces per second, and how many names are listed.
async fn served(app: &TestApp) -> Option<(f64, usize)> {
    let body = app.poll("big").await;
    let default = body["probabilisticSampling"]["samplingRate"].as_f64()?;
    let listed = body["operationSampling"]["perOperationStrategies"].as_array()?;
    let own: std::collections::HashMap<&str, f64> = listed
        .iter()
        .filter_map(|entry| {
            let rate = entry["probabilisticSampling"]["samplingRate"].as_f64()?;
            Some((entry["operation"].as_str()?, rate))
        })
        .collect();
    let probability = |number| own.get(&*name(number)).copied().unwrap_or(default);
    let kept = (0..OPERATIONS).map(|number| rate(number) * probability(number));
    Some((kept.sum(), listed.len()))
}

#[tokio::test(flavor = "multi_thread")]
async fn what_sdks_keep_is_what_the_plan_expects() {
    let directory = tempfile::tempdir().unwrap();
    let more = ["--max-operations-per-service", "20000"];
    let app = TestApp::start(directory.path(), &more).await;
    app.set_budget(BUDGET).await;
    let mut agent = Agent::every("a", 1.0);
    let (kept, listed) = eventually(DEADLINE, "a plan that spends the budget", async || {
        if let Some(report) = report(&mut agent) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let plan = app.plan().await?;
        let expected = plan["expected_sampled_traces_per_second"].as_f64()?;
        let (kept, listed) = served(&app).await?;
        // The plan estimates the rates, so the two differ a little.
        let agree = (kept / expected - 1.0).abs() < 0.05 && (kept / BUDGET - 1.0).abs() < 0.1;
        (plan["operations"].as_u64()? >= OPERATIONS as u64 && agree).then_some((kept, listed))
    })
    .await;
    assert_eq!(listed, LISTED_MAX, "{kept}");

    // Numbers are assigned in the order of the report, so the last names are not listed.
    let last = "/v1/services/big/operations?limit=1000&after=GET%20/page/8";
    let (_, page) = app.admin_get(last).await;
    let operations = page["operations"].as_array().unwrap();
    let left_out = operations.iter().find(|of| of["listed"] == false).unwrap();
    assert_eq!(left_out["probability"], page["default_probability"]);
    let said = left_out["reason"]["explanation"].as_str().unwrap();
    assert!(said.contains("its service's default"), "{said}");
    app.stop().await;
}
