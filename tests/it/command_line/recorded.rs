//! Who changed what, the plans and the replicas, on the command line.

use super::*;

#[tokio::test]
async fn changes_plans_and_replicas_are_shown() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let operator = Operator::of(&app.admin);
    let mut agent = Agent::new("a");
    let rates: &[(&str, &[(&str, f64)])] = &[("shop", &[("GET /", 100.0)])];
    eventually(
        DEADLINE,
        "some plans and a replica that leads",
        async || {
            if let Some(report) = agent.next(rates) {
                assert_eq!(app.report(&report).await.0, 200);
            }
            let (_, replicas) = app.admin_get("/v1/replicas").await;
            let number = app.plan().await?["plan"].as_u64()?;
            (number > 2 && replicas["replicas"][0]["leads"] == true).then_some(())
        },
    )
    .await;
    let changed = operator
        .run(&["budget", "25", "--yes", "--reason", "a sale"])
        .await;
    assert_eq!(changed.status, 0, "{}", changed.err);
    let file = operator.file("weir.yaml", "budget: {traces_per_second: 30}\n");
    let file = file.to_str().unwrap();
    let applied = ["apply", "--yes", "--take-over", "-f", file];
    assert_eq!(operator.run(&applied).await.status, 0);
    let again = operator.run(&applied).await;
    assert!(again.out.contains("Nothing to change"), "{}", again.out);

    let all = operator.run(&["audit", "--output", "json"]).await.json();
    let said = |entry: &Value| [&entry["origin"], &entry["reason"]].map(Value::clone);
    let entries = all["entries"].as_array().unwrap();
    assert_eq!(entries.len(), 2, "{all}");
    assert_eq!(said(&entries[0]), [Value::from("file"), Value::Null]);
    assert_eq!(
        said(&entries[1]),
        [Value::from("cli"), Value::from("a sale")]
    );
    let table = operator.run(&["audit", "--limit", "1"]).await.out;
    assert!(
        table.contains("25.0 → 30.0") && !table.contains("a sale"),
        "{table}"
    );
    let id = entries[1]["id"].to_string();
    let shown = operator.run(&["audit", "show", &id]).await.out;
    for part in ["Why: a sale", "10.0 → 25.0", "Expected:", "Measured: "] {
        assert!(shown.contains(part), "{part}: {shown}");
    }
    let lines = operator.run(&["audit", "export"]).await.out;
    assert_eq!(lines.lines().count(), 2);
    let none = operator.run(&["audit", "show", "999"]).await;
    assert_eq!(none.status, 1, "{}", none.out);

    let plans = operator
        .run(&["plans", "--limit", "2", "-o", "json"])
        .await
        .json();
    let number = |place: usize| plans["plans"][place]["plan"].to_string();
    let compared = operator.run(&["plans", &number(1), &number(0)]).await;
    assert_eq!(compared.status, 0, "{}", compared.err);
    assert!(
        compared.out.contains("traces/s are kept"),
        "{}",
        compared.out
    );
    let replicas = operator.run(&["replicas"]).await.out;
    assert!(replicas.contains("leads"), "{replicas}");
    let searched = operator
        .run(&["services", "SHO", "--sort", "observed"])
        .await
        .out;
    assert!(
        searched.contains("shop") && searched.contains("observed/s"),
        "{searched}"
    );
    app.stop().await;
}
