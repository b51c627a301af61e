//! What hostile or unlucky days may cost: names without end.

use std::time::Duration;

use serde_json::{Value, json};

use crate::support::app::{Agent, TestApp, eventually};

const DEADLINE: Duration = Duration::from_secs(60);
/// Invented names in all, and in one report.
const INVENTED: usize = 100_000;
const PER_REPORT: usize = 5_000;
/// Operations kept apart in one service by default.
const KEPT: usize = 2_000;

#[tokio::test]
async fn a_hundred_thousand_invented_names_are_counted_together_and_the_budget_holds() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    app.set_budget(50.0).await;
    let mut agent = Agent::new("a");
    let mut invented = 0;
    let mut sent_to_shop = 0_u64;
    let plan = eventually("a plan that has seen them all", DEADLINE, async || {
        let mut report = agent.next(&[("steady", &[("GET /", 1000.0)]), ("shop", &[])])?;
        if invented < INVENTED {
            let names = invented..invented + PER_REPORT;
            let operations = names.map(
                |name| json!({ "operation": format!("GET /users/{name}"), "offered": 3, "sampled": 0 }),
            );
            report["services"][1]["operations"] = Value::Array(operations.collect());
            sent_to_shop += 3 * PER_REPORT as u64;
            invented += PER_REPORT;
        }
        let (status, answer) = app.report(&report).await;
        assert_eq!(status, 200, "{answer}");
        let plan = app.plan().await?;
        let all = invented == INVENTED && plan["observed_offered_per_second"].as_f64()? < 3000.0;
        let seen = plan["operations"].as_u64()? as usize > KEPT;
        let expected = plan["expected_sampled_traces_per_second"].as_f64()?;
        let budget = plan["budget_traces_per_second"].as_f64()?;
        assert!(budget < 50.0 || expected <= 50.0 * (1.0 + 1e-9), "over the budget: {plan}");
        (all && seen).then_some(plan)
    })
    .await;
    assert_eq!(
        plan["operations"],
        1 + KEPT + 1,
        "the rest is one overflow entry: {plan}"
    );

    let path = "/v1/services/shop/history?operation=__other__";
    let (_, overflow) = app.admin_get(path).await;
    let counted: u64 = overflow["points"]
        .as_array()
        .unwrap()
        .iter()
        .map(|p| p["offered"].as_u64().unwrap())
        .sum();
    assert_eq!(
        counted,
        sent_to_shop - 3 * KEPT as u64,
        "every one of them was counted"
    );
    let served = app.poll("shop").await;
    let listed = served["operationSampling"]["perOperationStrategies"]
        .as_array()
        .unwrap()
        .len();
    assert_eq!(listed, KEPT, "the body stays bounded");
    let default = served["operationSampling"]["defaultSamplingProbability"]
        .as_f64()
        .unwrap();
    assert!(
        default < 0.5,
        "what is not known is not kept whole: {default}"
    );
    app.stop().await;
}
