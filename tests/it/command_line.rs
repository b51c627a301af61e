//! The operators' commands, as programs against a running Weir.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::{Value, json};
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;
use crate::support::tls::{Authority, Secret, Valid};

const DEADLINE: Duration = Duration::from_secs(30);

/// How a command ended, and what it said.
struct Ended {
    status: i32,
    out: String,
    err: String,
}

impl Ended {
    fn json(&self) -> Value {
        assert_eq!(self.status, 0, "{}", self.err);
        serde_json::from_str(&self.out).expect("JSON")
    }
}

/// A person with a home directory, who speaks to one Weir.
struct Operator {
    home: TempDir,
    url: String,
}

impl Operator {
    fn of(url: &str) -> Self {
        Self {
            home: tempfile::tempdir().unwrap(),
            url: url.into(),
        }
    }

    fn command(&self, arguments: &[&str]) -> Command {
        let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
        command.args(arguments).env_clear();
        command.env("HOME", self.home.path());
        command.env("WEIR_URL", &self.url);
        command.kill_on_drop(true);
        command
    }

    async fn run(&self, arguments: &[&str]) -> Ended {
        end(self.command(arguments), "").await
    }

    fn file(&self, name: &str, text: &str) -> PathBuf {
        let path = self.home.path().join(name);
        std::fs::create_dir_all(path.parent().unwrap()).unwrap();
        std::fs::write(&path, text).unwrap();
        path
    }
}

/// Runs a command to its end, with this on its standard input.
async fn end(mut command: Command, input: &str) -> Ended {
    command
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::piped());
    let mut child = command.spawn().expect("the program starts");
    let mut stdin = child.stdin.take().unwrap();
    // A command that reads nothing may have ended already.
    let _ = stdin.write_all(input.as_bytes()).await;
    drop(stdin);
    let ended = tokio::time::timeout(DEADLINE, child.wait_with_output()).await;
    let ended = ended.expect("it ends in time").unwrap();
    Ended {
        status: ended.status.code().unwrap_or(-1),
        out: String::from_utf8(ended.stdout).unwrap(),
        err: String::from_utf8(ended.stderr).unwrap(),
    }
}

fn shown_path(path: &Path) -> &str {
    path.to_str().unwrap()
}

/// A Weir with a plan of two services.
async fn with_a_plan(directory: &Path) -> TestApp {
    let app = TestApp::start(directory, &[]).await;
    let mut agent = Agent::new("node-1");
    eventually(DEADLINE, "both services are planned", async || {
        let services: &[(&str, &[(&str, f64)])] = &[
            ("checkout", &[("POST /cart", 100.0), ("GET /health", 300.0)]),
            ("search\u{202e}x", &[("GET /find", 50.0)]),
        ];
        if let Some(report) = agent.next(services) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let plan = app.plan().await?;
        (plan["services"] == 2 && plan["offered_per_second"].as_f64() > Some(100.0)).then_some(())
    })
    .await;
    app
}

#[tokio::test(flavor = "multi_thread")]
async fn what_is_planned_is_shown_to_people_and_programs() {
    let directory = tempfile::tempdir().unwrap();
    let app = with_a_plan(directory.path()).await;
    let operator = Operator::of(&app.admin);

    let budget = operator.run(&["budget"]).await;
    assert_eq!(budget.status, 0, "{}", budget.err);
    assert!(
        budget
            .out
            .contains("Budget: 10 traces/s, 26.3 M traces a month."),
        "{}",
        budget.out
    );
    assert!(budget.out.contains("Offered: "), "{}", budget.out);

    let services = operator.run(&["services"]).await;
    let lines: Vec<_> = services.out.lines().collect();
    assert!(
        lines[0].starts_with("service") && lines[0].contains("of budget"),
        "{lines:?}"
    );
    assert!(
        lines[1].starts_with("checkout"),
        "the largest share comes first: {lines:?}"
    );
    // A name from outside does not turn the text around.
    assert!(lines[2].contains("search\\u{202e}x"));
    let listed = operator
        .run(&["services", "CHECK", "-o", "json"])
        .await
        .json();
    assert_eq!(listed["services"].as_array().map(Vec::len), Some(1));

    let explained = operator.run(&["explain", "checkout", "POST /cart"]).await;
    let (_, page) = app.admin_get("/v1/services/checkout/operations").await;
    let why = page["operations"][1]["reason"]["binding"].as_str().unwrap();
    assert!(
        explained.out.contains("POST /cart: probability "),
        "{}",
        explained.out
    );
    assert!(
        !why.is_empty() && explained.out.contains("Why: "),
        "{}",
        explained.out
    );
    let unknown = operator.run(&["explain", "checkout", "GET /nothing"]).await;
    assert_eq!(unknown.status, 1);
    assert!(
        unknown.err.contains("GET /nothing") && unknown.err.contains("are served"),
        "{}",
        unknown.err
    );

    let history = operator
        .run(&["history", "checkout", "POST /cart", "-o", "yaml"])
        .await;
    assert!(history.out.contains("window_start: "), "{}", history.out);
    let agents = operator.run(&["agents"]).await;
    assert!(agents.out.contains("node-1"), "{}", agents.out);
    let top = operator.run(&["top"]).await;
    assert!(
        top.status == 0 && top.out.contains("checkout"),
        "{}",
        top.out
    );
    app.stop().await;
}

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
    assert_eq!(operator.run(&["export"]).await.out, exported);
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
        let asked = ["boost", "checkout", operation, "--for", "20m"];
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
    assert!(
        off.status == 0 && off.out.contains("(off)"),
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

    let deleted = operator.run(&["rules", "delete", id]).await;
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
async fn a_profile_says_which_weir_is_spoken_to() {
    let directory = tempfile::tempdir().unwrap();
    let token = format!("weir_{}", "0123456789abcdef".repeat(4));
    let flags = ["--require-admin-token", "--bootstrap-token", &token];
    let app = TestApp::start(directory.path(), &flags).await;
    let operator = Operator::of(&app.admin);
    let profiles = format!(
        "default: near\nprofiles:\n  near: {{url: '{}', token_file: token}}\n  far: {{url: 'http://127.0.0.1:9'}}\n",
        app.admin
    );
    operator.file(".config/weir/profiles.yaml", &profiles);
    operator.file(".config/weir/token", &format!("{token}\n"));
    let run = async |arguments: &[&str]| {
        let mut command = operator.command(arguments);
        command.env_remove("WEIR_URL");
        end(command, "").await
    };
    let near = run(&["budget", "-o", "json"]).await.json();
    assert_eq!(near["budget"]["traces_per_second"], 10.0);
    // The profile's token is for the profile's URL.
    let elsewhere = operator.run(&["budget"]).await;
    assert_eq!(elsewhere.status, 0, "the same URL: {}", elsewhere.err);
    let mut other = operator.command(&["budget"]);
    other.env("WEIR_URL", format!("{}/", app.admin));
    let other = end(other, "").await;
    assert!(
        other.status == 1 && other.err.contains("needs a token of role viewer"),
        "{}",
        other.err
    );
    let far = run(&["budget", "--profile", "far"]).await;
    assert!(
        far.status == 1 && far.err.contains("127.0.0.1:9"),
        "{}",
        far.err
    );
    let unknown = run(&["budget", "--profile", "moon"]).await;
    assert!(
        unknown.status == 2
            && unknown.err.contains("no profile \"moon\"")
            && unknown.err.contains("far"),
        "{}",
        unknown.err
    );
    operator.file(".config/weir/token", "\n");
    let empty = run(&["budget"]).await;
    assert!(
        empty.status == 2 && empty.err.contains("holds no token"),
        "{}",
        empty.err
    );
    // Not the admin listener.
    let mut wrong = operator.command(&["budget"]);
    wrong.env("WEIR_URL", &app.sdk);
    let wrong = end(wrong, "").await;
    assert!(
        wrong.status == 1 && wrong.err.contains("admin"),
        "{}",
        wrong.err
    );
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn the_certificate_of_the_service_is_checked() {
    let authority = Authority::new("ours");
    let secret = Secret::of(&authority.server(Valid::NOW));
    let directory = tempfile::tempdir().unwrap();
    let own = secret.flags();
    let flags: Vec<&str> = own.iter().map(String::as_str).collect();
    let app = TestApp::start(directory.path(), &flags).await;
    let operator = Operator::of(&app.admin.replace("http://127.0.0.1", "https://localhost"));
    let ours = operator.file("ours.pem", &authority.pem());
    let other = operator.file("other.pem", &Authority::new("another").pem());
    let empty = operator.file("empty.pem", "");
    let cases: &[(&[&str], i32, &str)] = &[
        (&["--ca", shown_path(&ours)], 0, ""),
        (&["--ca", shown_path(&other)], 1, "certificate"),
        (&[], 1, "certificate"),
        (&["--ca", shown_path(&empty)], 2, "holds no certificate"),
    ];
    for (flags, status, said) in cases {
        let asked = operator.run(&[&["budget"], *flags].concat()).await;
        assert_eq!(asked.status, *status, "{flags:?}: {}", asked.err);
        assert!(asked.err.contains(said), "{flags:?}: {}", asked.err);
    }
    app.stop().await;
}

#[tokio::test(flavor = "multi_thread")]
async fn completions_and_manual_pages_know_every_command() {
    let operator = Operator::of("http://127.0.0.1:9");
    for shell in ["bash", "zsh", "fish"] {
        let script = operator.run(&["completions", shell]).await;
        assert!(
            script.status == 0 && script.out.contains("rollback"),
            "{}",
            script.err
        );
    }
    let pages = operator.home.path().join("man");
    let written = operator.run(&["manual", shown_path(&pages)]).await;
    assert_eq!(written.status, 0, "{}", written.err);
    for page in ["weir.1", "weir-apply.1", "weir-serve.1"] {
        assert!(pages.join(page).exists(), "{page}");
    }
}
