//! Services and operations, sorted, searched and paged by the server.

use std::time::Duration;

use serde_json::Value;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// The names on all pages of one entry each.
async fn names(app: &TestApp, path: &str, list: &str) -> Vec<String> {
    let (mut found, mut after) = (Vec::new(), String::new());
    loop {
        let (status, page) = app.admin_get(&format!("{path}&limit=1{after}")).await;
        assert_eq!(status, 200, "{page}");
        for entry in page[list].as_array().unwrap() {
            let service = entry["service"].as_str().unwrap();
            let operation = entry["operation"].as_str();
            found.push(operation.map_or(service.into(), |of| format!("{service} {of}")));
        }
        let Some(next) = page["next"].as_str() else {
            return found;
        };
        let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
        after = format!("&after={next}");
    }
}

#[tokio::test]
async fn whoever_spends_most_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[
        ("Checkout", &[("GET /", 900.0), ("POST /cart", 90.0)]),
        ("bücher", &[("suchen", 300.0)]),
        ("stock", &[("sync", 2.0)]),
    ];
    eventually(DEADLINE, "a plan of all", async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let (_, all) = app.admin_get("/v1/operations").await;
        (all["found"] == 4).then_some(())
    })
    .await;
    let services = async |query: &str| {
        let path = format!("/v1/services?{query}");
        names(&app, &path, "services").await
    };
    assert_eq!(services("sort=name").await, ["Checkout", "bücher", "stock"]);
    assert_eq!(
        services("sort=offered").await,
        ["Checkout", "bücher", "stock"]
    );
    let kept = services("sort=kept").await;
    assert_eq!((kept.len(), &*kept[0], &*kept[2]), (3, "Checkout", "stock"));
    assert_eq!(services("search=BÜCHER").await, ["bücher"]);
    assert_eq!(services("search=check&sort=kept").await, ["Checkout"]);
    assert_eq!(services("search=nobody").await, Vec::<String>::new());
    let operations = async |query: &str| {
        let path = format!("/v1/operations?{query}");
        names(&app, &path, "operations").await
    };
    let offered = operations("sort=offered").await;
    let expected = [
        "Checkout GET /",
        "bücher suchen",
        "Checkout POST /cart",
        "stock sync",
    ];
    assert_eq!(offered, expected);
    assert_eq!(operations("search=cart").await, ["Checkout POST /cart"]);
    assert_eq!(
        operations("search=checkout").await.len(),
        2,
        "a service's name counts"
    );
    let (_, plan) = app.admin_get("/v1/services?sort=kept").await;
    let parts = plan["services"].as_array().unwrap();
    let sum: f64 = parts
        .iter()
        .filter_map(|of| of["part_of_budget"].as_f64())
        .sum();
    assert!((sum - 1.0).abs() < 0.1, "they spend the budget: {sum}");
    let first: &Value = &parts[0];
    let kept = first["share_traces_per_second"].as_f64().unwrap();
    assert_eq!(
        first["traces_per_month"].as_f64().unwrap(),
        kept * 2_629_800.0
    );
    assert_eq!(
        first["observed_sampled_traces_per_second"], 0.0,
        "agents say that nothing was sampled"
    );
    app.stop().await;
}
