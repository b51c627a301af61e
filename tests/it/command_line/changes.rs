//! Commands that change the configuration.

use serde_json::json;

use super::{Operator, end, shown_path, with_a_plan};

#[tokio::test(flavor = "multi_thread")]
async fn a_file_becomes_the_configuration_and_earlier_ones_come_back() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);

    let exported = operator.run(&["export"]).await.out;
    let file = operator.file("weir.yaml", &exported);
    let same = operator.run(&["diff", "-f", shown_path(&file)]).await;
    assert_eq!(
        (same.status, same.out.trim()),
        (0, "The running configuration is the same.")
    );

    let text = "budget:\n  traces_per_second: 50\nservices:\n  checkout:\n    operations:\n      GET /health:\n        probability: 0.0001\n";
    let file = operator.file("weir.yaml", text);
    let differs = operator.run(&["diff", "-f", shown_path(&file)]).await;
    assert_eq!(differs.status, 1, "{}", differs.err);
    assert_eq!(
        differs.out,
        "~ budget.traces_per_second: 10.0 → 50.0\n+ services.checkout.operations.GET /health.probability: 0.0001\n"
    );

    // Nobody can be asked, and nobody said yes.
    let unasked = operator.run(&["apply", "-f", shown_path(&file)]).await;
    assert_eq!(unasked.status, 3, "{}", unasked.err);
    let dry = operator
        .run(&["apply", "-f", shown_path(&file), "--dry-run"])
        .await;
    assert!(
        dry.status == 0 && dry.out.contains("of 50 traces/s are kept"),
        "{}",
        dry.out
    );
    assert_eq!(app.admin_get("/v1/budget").await.1["revision"], 1);

    let applied = end(operator.command(&["apply", "-f", "-", "--yes"]), text).await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    assert!(
        applied
            .out
            .contains("This is revision 2 of the configuration."),
        "{}",
        applied.out
    );
    let again = operator
        .run(&["apply", "-f", shown_path(&file), "--yes"])
        .await;
    assert!(again.out.contains("Nothing to change"), "{}", again.out);

    let set = operator.run(&["budget", "20", "--yes"]).await;
    assert!(set.out.contains("revision 3"), "{}{}", set.out, set.err);
    let (_, configuration) = app.admin_get("/v1/configuration").await;
    assert_eq!(configuration["budget"]["traces_per_second"], 20.0);
    let pinned = &configuration["services"]["checkout"]["operations"]["GET /health"];
    assert_eq!(pinned["probability"], 0.0001, "the rest of it stays");

    let back = operator.run(&["rollback", "1", "--yes"]).await;
    assert!(back.out.contains("revision 4"), "{}{}", back.out, back.err);
    let again = operator.run(&["export"]).await.out;
    let same = again.lines().filter(|line| !line.trim().starts_with('#'));
    assert!(same.eq(exported.lines()), "{again}");
    assert!(again.starts_with("# local (cli), "), "{again}");
    let never = operator.run(&["rollback", "99", "--yes"]).await;
    assert!(
        never.status == 1 && never.err.contains("no revision 99"),
        "{}",
        never.err
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_wrong_is_named_with_its_line_before_a_service_is_asked() {
    let operator = Operator::of("http://127.0.0.1:9");
    let cases = [
        (
            "budget:\n  traces_per_second: -1\n",
            ":2: budget.traces_per_second must be between 0 and",
        ),
        (
            "services:\n  a:\n    eech: {}\n",
            ":3: services.a.eech is wrong: unknown field `eech`",
        ),
        (
            "budget:\n  traces_per_second: ten\n",
            ":2: budget.traces_per_second is wrong: invalid type",
        ),
        ("services:\n  a: {}\n  a: {}\n", ":3: lists \"a\" twice"),
        (
            "services:\n  a:\n    group: none-such\n",
            ":3: services.a.group names the group",
        ),
    ];
    for (text, said) in cases {
        let file = operator.file("weir.yaml", text);
        for command in [&["validate", "-f"][..], &["apply", "--yes", "-f"]] {
            let ended = operator
                .run(&[command, &[shown_path(&file)]].concat())
                .await;
            assert_eq!(ended.status, 2, "{text}");
            assert!(ended.err.contains(said), "{text}: {}", ended.err);
        }
    }
    let text = "budget: {spans_per_second: 500}\ncost: {spans_per_trace: 20}\nrules: {}\n";
    let right = operator.file("weir.yaml", text);
    let said = operator.run(&["validate", "-f", shown_path(&right)]).await;
    let short =
        "It is right: a budget of 500 spans/s, 0 groups, settings of 0 services, 0 rules.\n";
    assert_eq!((said.status, &*said.out), (0, short), "{}", said.err);
    let right = operator.file("weir.yaml", "budget: {traces_per_second: 5}\n");
    assert_eq!(
        operator
            .run(&["validate", "-f", shown_path(&right)])
            .await
            .status,
        0
    );
    let unheard = operator
        .run(&["apply", "--yes", "-f", shown_path(&right)])
        .await;
    assert!(
        unheard.status == 1 && unheard.err.contains("cannot ask http://127.0.0.1:9/"),
        "{}",
        unheard.err
    );
    assert!(unheard.err.contains("refused"), "{}", unheard.err);

    let schema = operator.run(&["validate", "--schema"]).await.json();
    let validator = jsonschema::validator_for(&schema).expect("a schema");
    assert!(validator.is_valid(&json!({"budget": {"traces_per_second": 5}})));
    assert!(!validator.is_valid(&json!({"budget": {"traces_per_second": "x"}})));
    assert!(!validator.is_valid(&json!({"budgets": {}})));
}

#[tokio::test(flavor = "multi_thread")]
async fn jaegers_strategies_are_taken_over() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);
    let file = operator.file(
        "strategies.json",
        r#"{"default_strategy": {"type": "probabilistic", "param": 0.01},
            "service_strategies": [
              {"service": "checkout", "type": "probabilistic", "param": 0.8,
               "operation_strategies": [{"operation": "GET /health", "type": "probabilistic", "param": 0}]},
              {"service": "odd", "type": "probabilistic", "param": 80}]}"#,
    );
    let shown_only = operator.run(&["import", "jaeger", shown_path(&file)]).await;
    assert_eq!(shown_only.status, 0, "{}", shown_only.err);
    for said in [
        "the strategy of odd: the probability 80",
        "+ services.checkout.each.probability_max: 0.8",
        "dry run",
        "--apply",
    ] {
        assert!(shown_only.out.contains(said), "{said}: {}", shown_only.out);
    }
    assert_eq!(app.admin_get("/v1/budget").await.1["revision"], 1);
    let printed = operator
        .run(&[
            "import",
            "jaeger",
            shown_path(&file),
            "--exactly",
            "--print",
        ])
        .await;
    let printed = operator.file("made.yaml", &printed.out);
    assert_eq!(
        operator
            .run(&["validate", "-f", shown_path(&printed)])
            .await
            .status,
        0
    );

    let applied = operator
        .run(&["import", "jaeger", shown_path(&file), "--apply"])
        .await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    let (_, configuration) = app.admin_get("/v1/configuration").await;
    let checkout = &configuration["services"]["checkout"];
    assert_eq!(
        checkout["operations"]["GET /health"],
        json!({"probability_max": 0.0})
    );
    assert_eq!(configuration["initial_probability"], 0.01);
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_boost_is_a_rule_that_runs_out_and_can_be_ended() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);
    assert!(
        operator
            .run(&["rules"])
            .await
            .out
            .contains("There are no rules.")
    );
    let who = ["--owner", "ann", "--reason", "payments fail"];
    let boost = |operation: &'static str, more: &[&'static str]| {
        let asked = ["boost", "checkout", operation, "--for", "20m", "--yes"];
        [&asked, &who[..], more].concat()
    };
    let greedy = operator.run(&boost("GET /health", &[])).await;
    assert_eq!(greedy.status, 1, "{}", greedy.out);
    assert!(greedy.err.contains("?force=true"), "{}", greedy.err);
    let unknown = operator
        .run(&boost("POST /kart", &["--probability", "0.01"]))
        .await;
    assert!(
        unknown.status == 1 && unknown.err.contains("POST /cart"),
        "{}",
        unknown.err
    );

    let extra = ["--extra", "300", "-o", "json"];
    let made = operator.run(&boost("GET /health", &extra)).await.json();
    let id = made["id"].as_str().unwrap();
    let listed = operator.run(&["rules"]).await;
    for said in [id, "active", "ann", "probability 1", "budget +300"] {
        assert!(listed.out.contains(said), "{said}: {}", listed.out);
    }
    let off = operator.run(&["rules", "off", id]).await;
    assert_eq!(off.status, 3, "nobody said yes: {}", off.out);
    let off = operator.run(&["rules", "off", id, "--yes"]).await;
    let line = format!("rules.{id}.enabled: true → false");
    assert!(
        off.status == 0 && off.out.contains(&line),
        "{}{}",
        off.out,
        off.err
    );
    let shown = operator.run(&["rules", "show", id]).await;
    assert!(
        shown.out.contains("matches 1 operations of 1 services"),
        "{}",
        shown.out
    );

    // A file that says the same changes nothing, whenever the rule was written.
    let exported = operator.run(&["export"]).await.out;
    let file = operator.file("weir.yaml", &exported);
    let same = operator.run(&["diff", "-f", shown_path(&file)]).await;
    assert_eq!(same.status, 0, "{}", same.out);
    let without: String = exported
        .lines()
        .filter(|line| !line.contains("written_at"))
        .map(|line| format!("{line}\n"))
        .collect();
    let file = operator.file("weir.yaml", &without);
    let same = operator.run(&["diff", "-f", shown_path(&file)]).await;
    assert_eq!(same.status, 0, "{}", same.out);

    let deleted = operator.run(&["rules", "delete", id, "--yes"]).await;
    assert_eq!(deleted.status, 0, "{}", deleted.err);
    assert_eq!(app.admin_get("/v1/rules").await.1["rules"], json!([]));
    let gone = operator.run(&["rules", "show", id]).await;
    assert!(
        gone.status == 1 && gone.err.contains("there is no rule"),
        "{}",
        gone.err
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_rule_is_added_after_its_effect_was_shown() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);
    let add = |set: &'static str, operation: &'static str, more: &[&'static str]| {
        let asked = [
            "rules",
            "add",
            "quiet",
            "--operation",
            operation,
            "--set",
            set,
        ];
        [&asked, &["--owner", "ann", "--reason", "noise"][..], more].concat()
    };
    let quiet = add(
        "probability_max=0.0001",
        "GET /health*",
        &["--expires", "never", "--dry-run"],
    );
    let dry = operator.run(&quiet).await;
    assert_eq!(dry.status, 0, "{}", dry.err);
    for said in [
        "+ rules.quiet.set.probability_max: 0.0001",
        "Operations that move most",
        "dry run",
    ] {
        assert!(dry.out.contains(said), "{said}: {}", dry.out);
    }
    assert_eq!(app.admin_get("/v1/rules").await.1["rules"], json!([]));
    let wrong = [
        (
            add("probability_max", "*", &["--expires", "never"]),
            2,
            "NAME=VALUE",
        ),
        (
            add("loudness=1", "*", &["--expires", "never", "--yes"]),
            2,
            "loudness",
        ),
        (add("weight=2", "*", &["--yes"]), 2, "expires"),
        (
            add(
                "weight=2",
                "*",
                &["--set", "weight=3", "--expires", "never"],
            ),
            2,
            "given twice",
        ),
        (
            add("weight=2", "GET /helth", &["--expires", "never", "--yes"]),
            1,
            "GET /health",
        ),
        (
            add("weight=2", "*", &["--expires", "tomorrow", "--yes"]),
            2,
            "expires",
        ),
    ];
    for (asked, status, said) in wrong {
        let refused = operator.run(&asked).await;
        assert!(
            refused.status == status && refused.err.contains(said),
            "{asked:?}: {} {}",
            refused.status,
            refused.err
        );
    }
    let made = operator
        .run(&add(
            "probability_max=0.0001",
            "GET /health*",
            &["--for", "2h", "--yes"],
        ))
        .await;
    assert!(
        made.status == 0 && made.out.contains("revision 2"),
        "{}{}",
        made.out,
        made.err
    );
    let rule = &app.admin_get("/v1/rules").await.1["rules"][0];
    assert_eq!(
        (&rule["id"], &rule["state"], &rule["matches"]["operations"]),
        (&json!("quiet"), &json!("active"), &json!(1))
    );
    let again = operator
        .run(&add("weight=2", "*", &["--for", "2h", "--yes"]))
        .await;
    assert!(
        again.status == 1 && again.err.contains("already"),
        "{}",
        again.err
    );
    let later = ["--for", "2h", "--expect-later", "--yes"];
    let asked = add("weight=2", "GET /later", &later);
    let asked: Vec<&str> = asked
        .iter()
        .map(|word| if *word == "quiet" { "later" } else { *word })
        .collect();
    let expected = operator.run(&asked).await;
    assert_eq!(expected.status, 0, "{}", expected.err);
    app.stop().await;
}
