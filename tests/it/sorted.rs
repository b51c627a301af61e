//! Services and operations, sorted, searched and paged by the server.

use std::time::Duration;

use serde_json::Value;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// The names on all pages of one entry each, of one plan.
async fn names(app: &TestApp, path: &str, list: &str) -> Vec<String> {
    eventually(DEADLINE, "all pages of one plan", async || {
        let (mut found, mut after, mut plan) = (Vec::new(), String::new(), None);
        loop {
            let (status, page) = app.admin_get(&format!("{path}&limit=1{after}")).await;
            assert_eq!(status, 200, "{page}");
            let first = plan.get_or_insert_with(|| page["plan"].clone());
            if *first != page["plan"] {
                return None;
            }
            for entry in page[list].as_array().unwrap() {
                let service = entry["service"].as_str().unwrap();
                let operation = entry["operation"].as_str();
                found.push(operation.map_or(service.into(), |of| format!("{service} {of}")));
            }
            let Some(next) = page["next"].as_str() else {
                return Some(found);
            };
            let next: String = form_urlencoded::byte_serialize(next.as_bytes()).collect();
            after = format!("&after={next}");
        }
    })
    .await
}

#[tokio::test]
async fn whoever_spends_most_comes_first() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[
        ("Checkout", &[("GET /", 900.0), ("POST /cart", 90.0)]),
        ("bücher", &[("suchen", 300.0)]),
        ("stock", &[("sync", 20.0)]),
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
    let path = "/v1/services/Checkout/explanation?operation=POST+/cart";
    let (_, one) = app.admin_get(path).await;
    let (settings, served) = (&one["settings"], &one["served"]);
    assert_eq!(
        (&settings["weight"], &settings["probability"]),
        (&1.0.into(), &Value::Null)
    );
    assert_eq!(settings["cap_traces_per_second"], Value::Null, "{one}");
    assert_eq!(one["counts"]["completeness"], 1.0, "{one}");
    assert_eq!(one["counts"]["sources"][0]["basis"], "reports", "{one}");
    assert!(
        served["unknown_service_probability"].as_f64().unwrap() > 0.0,
        "{one}"
    );
    let keeps = ["deadband", "raise_limit", "hold", "peak"];
    let binding = one["reason"]["binding"].as_str().unwrap();
    assert_eq!(one["behind"].is_object(), keeps.contains(&binding), "{one}");
    let (status, unknown) = app
        .admin_get("/v1/services/Checkout/explanation?operation=none")
        .await;
    let detail = unknown["detail"].as_str().unwrap();
    assert!(
        status == 404 && detail.contains("SDKs are served"),
        "{detail}"
    );
    app.stop().await;
}

/// The largest fleet that docs/limits.md speaks of: how long an answer takes, and how large it is.
#[tokio::test(flavor = "multi_thread")]
#[ignore = "figures for docs/limits.md"]
async fn figures_of_a_large_fleet() {
    let directory = tempfile::tempdir().unwrap();
    let flags = ["--max-services", "20000", "--max-operations", "200000"];
    let app = TestApp::start(directory.path(), &flags).await;
    let service = |service: usize| {
        let operation = |operation: usize| {
            let offered = 1 + (service * 7919 + operation * 104_729) % 5_000;
            serde_json::json!({ "operation": format!("GET /v1/resource-{operation}"), "offered": offered, "sampled": 0 })
        };
        let operations: Vec<Value> = (0..10).map(operation).collect();
        serde_json::json!({ "service": format!("team-{}-service-{service:05}", service % 40), "instances": 1, "operations": operations })
    };
    let epoch = uuid::Uuid::new_v4();
    for part in 0..50 {
        let services: Vec<Value> = (part * 200..(part + 1) * 200).map(service).collect();
        let start =
            weir::clock::Clock::now(&weir::clock::SystemClock) - chrono::TimeDelta::seconds(1);
        let report = serde_json::json!({
            "agent": format!("agent-{part}"), "epoch": epoch, "sequence": 1,
            "window_start": start, "window_seconds": 1, "services": services,
        });
        assert_eq!(app.report(&report).await.0, 200);
    }
    eventually(Duration::from_secs(300), "a plan of all", async || {
        let (_, all) = app.admin_get("/v1/operations?limit=1").await;
        (all["found"].as_u64()? >= 100_000).then_some(())
    })
    .await;
    for path in [
        "/v1/services?sort=kept",
        "/v1/services?sort=kept&limit=10000",
        "/v1/services?search=team-7-&sort=offered",
        "/v1/operations?sort=kept",
        "/v1/operations?sort=kept&limit=10000",
        "/v1/operations?search=resource-7&sort=probability",
    ] {
        let started = std::time::Instant::now();
        let answer = app.client.get(format!("{}{path}", app.admin)).send().await;
        let bytes = answer.unwrap().bytes().await.unwrap().len();
        eprintln!("{path}: {bytes} bytes in {:?}", started.elapsed());
    }
    app.stop().await;
}
