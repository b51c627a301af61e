//! Files and people who change the same configuration.

use serde_json::{Value, json};

use super::{Operator, shown_path, with_a_plan};
use crate::support::app::TestApp;

/// The file of a team: all services and rules that begin with its name.
pub(super) fn part(team: &str, services: &[(&str, u32)], rest: &str) -> String {
    let services: Vec<String> = services
        .iter()
        .map(|(name, cap)| format!("  {team}-{name}:\n    cap_traces_per_second: {cap}\n"))
        .collect();
    format!(
        "owns:\n  name: {team}\n  services: [\"{team}-*\"]\n  rules: [\"{team}-*\"]\nservices:\n{}{rest}",
        services.concat()
    )
}

async fn origins(app: &TestApp) -> Value {
    let (status, shown) = app.admin_get("/v1/configuration?origins=true").await;
    assert_eq!(status, 200, "{shown}");
    shown["origins"].clone()
}

#[tokio::test(flavor = "multi_thread")]
async fn a_file_stops_at_what_a_person_wrote_and_a_person_hears_of_the_file() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);
    let text =
        "budget:\n  traces_per_second: 50\nservices:\n  checkout:\n    cap_traces_per_second: 9\n";
    let file = operator.file("weir.yaml", text);
    let apply = |more: &'static [&'static str]| {
        let arguments = [&["apply", "-f", shown_path(&file)], more].concat();
        let arguments: Vec<String> = arguments.iter().map(|it| (*it).to_owned()).collect();
        let operator = &operator;
        async move {
            let arguments: Vec<&str> = arguments.iter().map(String::as_str).collect();
            operator.run(&arguments).await
        }
    };
    let applied = apply(&["--yes", "--reason", "the first"]).await;
    assert_eq!(applied.status, 0, "{}{}", applied.out, applied.err);
    let shown = origins(&app).await;
    let written = &shown["services"]["checkout"];
    assert_eq!(
        (
            &written["origin"],
            &written["by"],
            &written["revision"],
            &written["reason"]
        ),
        (
            &json!("file"),
            &json!("local"),
            &json!(2),
            &json!("the first")
        )
    );

    // A person hears of the file before they are asked.
    let told = operator.run(&["budget", "60", "--dry-run"]).await;
    assert!(
        told.out
            .contains("A file has this, too:\n  budget: applied by local, "),
        "{}",
        told.out
    );
    assert!(
        told.out.contains("make it in the file, too."),
        "{}",
        told.out
    );
    let set = operator
        .run(&["budget", "60", "--yes", "--reason", "black friday"])
        .await;
    assert_eq!(set.status, 0, "{}", set.err);
    let added = [
        "rules",
        "add",
        "quiet",
        "--operation",
        "GET /health",
        "--set",
        "weight=0.5",
        "--expires",
        "never",
        "--owner",
        "platform",
        "--reason",
        "probes",
        "--yes",
    ];
    assert_eq!(operator.run(&added).await.status, 0);
    let rules = operator.run(&["rules"]).await.out;
    assert!(
        rules.contains("written by") && rules.contains("local (cli)"),
        "{rules}"
    );
    let services = operator.run(&["services"]).await.out;
    assert!(services.contains("set by local (file)"), "{services}");
    let explained = operator
        .run(&["explain", "checkout", "GET /health"])
        .await
        .out;
    assert!(
        explained.contains("Its settings were last written by local (file), "),
        "{explained}"
    );
    let differs = operator.run(&["diff", "-f", shown_path(&file)]).await;
    assert!(
        differs.out.contains("  budget: local (cli), "),
        "{}",
        differs.out
    );
    let listed = operator
        .run(&["diff", "-f", shown_path(&file), "-o", "json"])
        .await;
    let listed: Value = serde_json::from_str(&listed.out).unwrap();
    assert_eq!(
        listed["differences"][0]["origin"]["overwrote"]["by"], "local",
        "{listed}"
    );

    // The file stops there, by name, with owner, reason and time; so does its dry run.
    for way in [&["--yes"], &["--dry-run"]] {
        let refused = apply(way).await;
        assert_eq!(refused.status, 4, "{}", refused.err);
        for part in [
            "budget: local (cli), 20",
            ": black friday",
            "rules.quiet: ",
            "owner platform: probes",
            "--take-over",
        ] {
            assert!(refused.err.contains(part), "{part}: {}", refused.err);
        }
    }
    // The API refuses it, too, whoever asks.
    let whole = format!("{}/v1/configuration", app.admin);
    let request = app
        .client
        .put(whole)
        .header("If-Match", "*")
        .header("Weir-Origin", "file");
    let refused = request
        .json(&json!({"budget": {"traces_per_second": 50}}))
        .send()
        .await
        .unwrap();
    assert_eq!(refused.status(), 409);
    // A write of one setting does not take the parameter, so the way out names the write that does.
    let setting = app.client.put(format!("{}/v1/budget", app.admin));
    let setting = setting
        .header("If-Match", "*")
        .header("Weir-Origin", "file");
    let refused = setting.json(&json!({"traces_per_second": 50}));
    let refused = refused.send().await.unwrap();
    assert_eq!(refused.status(), 409);
    let said = refused.text().await.unwrap();
    let way_out = "or send the document to PUT /v1/configuration?take_over=true";
    assert!(said.contains(way_out), "{said}");
    assert_eq!(app.admin_get("/v1/budget").await.1["revision"], 4);

    // What a person takes into the file is the file's again, though nothing changes by that.
    let exported = operator.run(&["export"]).await.out;
    assert!(
        exported.contains("black friday"),
        "a comment says who wrote it: {exported}"
    );
    operator.file("weir.yaml", &exported);
    let same = apply(&["--yes"]).await;
    assert!(
        same.status == 0 && same.out.contains("Nothing to change"),
        "{}",
        same.out
    );
    operator.file("weir.yaml", &exported.replace("60", "61"));
    let applied = apply(&["--yes"]).await;
    assert_eq!(applied.status, 0, "{}", applied.err);

    // A deletion is remembered, and overwritten only on purpose.
    assert_eq!(
        operator
            .run(&["rules", "delete", "quiet", "--yes"])
            .await
            .status,
        0
    );
    let refused = apply(&["--yes"]).await;
    assert!(
        refused.status == 4 && refused.err.contains("rules.quiet: deleted by local (cli)"),
        "{}",
        refused.err
    );
    let taken = apply(&["--yes", "--take-over"]).await;
    assert_eq!(taken.status, 0, "{}", taken.err);
    assert_eq!(origins(&app).await["rules"]["quiet"]["origin"], "file");

    // Who ends what a file asks for hears of the file, too.
    let freeze = "freeze:\n  owner: ann\n  reason: release night\n  expires: never\n";
    operator.file(
        "weir.yaml",
        &format!("{}{freeze}", exported.replace("60", "61")),
    );
    let applied = apply(&["--yes"]).await;
    assert_eq!(applied.status, 0, "{}", applied.err);
    let ended = operator.run(&["freeze", "end"]).await;
    assert!(
        ended.status == 0
            && ended
                .out
                .contains("A file has this, too:\n  freeze: applied by local, "),
        "{}{}",
        ended.out,
        ended.err
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn a_part_changes_what_it_owns_and_nothing_else() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);
    let whole = operator.file(
        "weir.yaml",
        "budget:\n  traces_per_second: 40\nservices:\n  checkout: {}\n  pay-x: {}\n",
    );
    let applied = operator
        .run(&["apply", "-f", shown_path(&whole), "--yes"])
        .await;
    assert_eq!(applied.status, 0, "{}", applied.err);

    let mine = operator.file("pay.yaml", &part("pay", &[("a", 1), ("b", 2)], ""));
    let shown = operator.run(&["diff", "-f", shown_path(&mine)]).await;
    assert!(
        shown.out.contains("- services.pay-x"),
        "what it owns and does not name goes: {}",
        shown.out
    );
    assert!(
        !shown.out.contains("budget") && !shown.out.contains("checkout"),
        "{}",
        shown.out
    );
    // It was the whole file's so far.
    let refused = operator
        .run(&["apply", "-f", shown_path(&mine), "--yes"])
        .await;
    assert_eq!(refused.status, 4, "{}", refused.err);
    let taken = operator
        .run(&["apply", "-f", shown_path(&mine), "--yes", "--take-over"])
        .await;
    assert_eq!(taken.status, 0, "{}", taken.err);
    let (_, running) = app.admin_get("/v1/configuration").await;
    let names: Vec<&String> = running["services"].as_object().unwrap().keys().collect();
    assert_eq!(names, ["checkout", "pay-a", "pay-b"]);
    assert_eq!(running["budget"]["traces_per_second"], 40.0);
    assert!(running.get("owns").is_none() && running.get("origins").is_none());

    // The whole file would take them away again.
    let refused = operator
        .run(&["apply", "-f", shown_path(&whole), "--yes"])
        .await;
    assert!(
        refused.status == 4 && refused.err.contains("it belongs to the part pay"),
        "{}",
        refused.err
    );
    // So would somebody who adds what the next apply removes.
    let told = operator
        .run(&[
            "rules",
            "add",
            "pay-boost",
            "--set",
            "weight=2",
            "--for",
            "1h",
            "--owner",
            "ann",
            "--reason",
            "x",
            "--dry-run",
        ])
        .await;
    assert!(
        told.out
            .contains("rules.pay-boost: its name belongs to the part pay"),
        "{}{}",
        told.out,
        told.err
    );

    // Outside of its part it writes nothing, and says where.
    let outside = operator.file(
        "pay.yaml",
        &part(
            "pay",
            &[("a", 1)],
            "  checkout:\n    cap_traces_per_second: 1\n",
        ),
    );
    for command in [&["validate"][..], &["apply", "--yes"], &["diff"]] {
        let wrong = operator
            .run(&[command, &["-f", shown_path(&outside)]].concat())
            .await;
        assert_eq!(wrong.status, 2, "{}", wrong.out);
        assert!(
            wrong
                .err
                .contains("pay.yaml:8: services.checkout is outside the part \"pay\""),
            "{}",
            wrong.err
        );
    }
    // What it names no longer goes, and only that.
    let less = operator.file("pay.yaml", &part("pay", &[("b", 2)], ""));
    let applied = operator
        .run(&["apply", "-f", shown_path(&less), "--yes"])
        .await;
    assert!(
        applied.out.contains("- services.pay-a"),
        "{}{}",
        applied.out,
        applied.err
    );
    let exported = operator.run(&["export", "--owned-by", "pay"]).await.out;
    let again = operator.file("again.yaml", &exported);
    let same = operator.run(&["diff", "-f", shown_path(&again)]).await;
    assert_eq!(
        (same.status, same.out.trim()),
        (0, "The running configuration is the same."),
        "{exported}"
    );

    // Two files that own the same are told, offline and by the service.
    let other = operator.file("other.yaml", "owns:\n  name: other\n  services: [pay-b]\n");
    let both = [
        "validate",
        "-f",
        shown_path(&again),
        "-f",
        shown_path(&other),
    ];
    let wrong = operator.run(&both).await;
    assert!(
        wrong.status == 2 && wrong.err.contains("pay-*"),
        "{}",
        wrong.err
    );
    let refused = operator
        .run(&["apply", "-f", shown_path(&other), "--yes"])
        .await;
    assert!(
        refused.status == 4 && refused.err.contains("the part pay owns by pay-*"),
        "{}",
        refused.err
    );
    let new = [
        "export",
        "--owned-by",
        "core",
        "--owns",
        "services=checkout",
        "--owns",
        "settings=budget",
    ];
    let core = operator.run(&new).await.out;
    let core = operator.file("core.yaml", &core);
    let same = operator
        .run(&["apply", "-f", shown_path(&core), "--yes"])
        .await;
    assert!(
        same.status == 0 && same.out.contains("Nothing to change"),
        "{}{}",
        same.out,
        same.err
    );
    assert_eq!(origins(&app).await["services"]["checkout"]["part"], "core");
    let unknown = operator.run(&["export", "--owned-by", "nobody"]).await;
    assert!(
        unknown.status == 1 && unknown.err.contains("core, pay"),
        "{}",
        unknown.err
    );
    app.stop().await;
}
