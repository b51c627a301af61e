//! Budgets on what is stored for months: steps of services, in the answer and on the page.

use serde_json::{Value, json};

use super::{DAY, DEADLINE, HOUR, OFFERED, ago, hour, start_keeping, total};
use crate::console::world::Visitor;
use crate::support::app::TestApp;
use crate::support::process::eventually;
use crate::support::stored::ReadWhole;
use weir::allocation::Timestamp;
use weir::clock::{Clock, SystemClock};

async fn tried(app: &TestApp, query: &str) -> Value {
    let path = format!("/v1/budget/trial?traces_per_second=1,1000{query}");
    let (status, answer) = app.admin_get(&path).await;
    assert_eq!(status, 200, "{answer}");
    answer
}

fn figure(of: &Value) -> f64 {
    of.as_f64().unwrap_or_else(|| panic!("no figure: {of}"))
}

/// Two services of 10 and 20 requests per second: a budget of 1 binds, one of 1,000 keeps all.
fn assert_kept(answer: &Value) {
    assert_eq!(answer["played"], "steps", "{answer}");
    assert!((figure(&answer["offered_per_second"]) - 30.0).abs() < 0.01);
    let [small, large] = &answer["budgets"].as_array().unwrap()[..] else {
        panic!("{answer}")
    };
    let kept = |of: &Value| figure(&of["expected_sampled_traces_per_second"]);
    assert!((kept(small) - 1.0).abs() < 0.001, "{small}");
    assert_eq!(small["unbound_ratio"], 0.0);
    assert!((kept(large) - 30.0).abs() < 0.01, "{large}");
    assert_eq!(large["unbound_ratio"], 1.0);
    assert!(figure(&large["coverage"]) > 0.999, "{large}");
    assert_eq!(
        answer["other_ratio"], 0.0,
        "both services are known by name"
    );
    assert_eq!(
        (&answer["operations_alone"], &answer["operations_together"]),
        (&json!(2), &json!(0))
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_budget_is_tried_on_steps_where_windows_are_no_longer_stored() {
    let directory = tempfile::tempdir().unwrap();
    let (app, store, operations) = start_keeping(directory.path(), "24h").await;
    eventually(DEADLINE, "a plan", async || app.plan().await).await;
    let now = SystemClock.timestamp().0;
    let rows: Vec<_> = (3..48).map(|hours| hour(now, hours, &operations)).collect();
    let settled = Timestamp(now.div_euclid(HOUR) * HOUR - 3 * HOUR);
    store.settle(&rows, settled).await.unwrap();
    let week = format!("&start={}", ago(now, 7 * DAY));
    eventually(DEADLINE, "it is summed", async || {
        let path = format!("/v1/history?start={}", ago(now, 7 * DAY));
        let (_, answer) = app.admin_get(&path).await;
        (total(&answer, "offered") == 3 * OFFERED * 45).then_some(())
    })
    .await;

    // Later hours are known, too: nothing was counted in them.
    let end = ago(now, now.rem_euclid(HOUR) + 2 * HOUR);
    let answer = tried(&app, &format!("{week}&end={end}")).await;
    assert_kept(&answer);
    assert_eq!(figure(&answer["seconds"]), 45.0 * 3600.0);
    assert_eq!(answer["step_seconds"], 3600.0, "{answer}");
    let said = answer["approximations"].to_string();
    for part in [
        "even within each step of 60 min",
        "divided among its operations",
        "Nothing is stored of the time before",
    ] {
        assert!(said.contains(part), "{said}");
    }
    let days = tried(&app, &format!("{week}&step=1d")).await;
    assert_eq!(
        (&days["played"], &days["step_seconds"]),
        (&json!("steps"), &json!(86_400.0))
    );
    let offered = figure(&days["offered_per_second"]) * figure(&days["seconds"]);
    assert!((offered - (3 * OFFERED * 45) as f64).abs() < 1.0, "{days}");
    // Windows, if they are asked for: those that are still stored.
    let windows = tried(&app, &format!("{week}&step=window")).await;
    assert_eq!(windows["played"], "windows", "{windows}");
    assert!(
        windows["approximations"][0]
            .as_str()
            .unwrap()
            .contains("10 windows")
    );

    let visitor = Visitor::of(&app.admin);
    let page = visitor.page("/console/try?range=week").await;
    let caption = page.text("#budgets caption");
    assert!(caption.contains("steps of 60 min"), "{caption}");
    let said = page.text("#approximations");
    assert!(said.contains("even within each step"), "{said}");
    app.stop().await;
}
