//! The operators' commands, as programs against a running Weir.

mod changes;
mod controls;
mod killed;
mod mistakes;
mod origins;
mod recorded;
mod teams;
mod which;

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tempfile::TempDir;
use tokio::io::AsyncWriteExt;
use tokio::process::Command;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

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
    eventually(DEADLINE, "the fleet's history", async || {
        let fleet = operator.run(&["history"]).await;
        assert_eq!(fleet.status, 0, "{}", fleet.err);
        fleet.out.contains("from (UTC)").then_some(())
    })
    .await;
    let service = operator.run(&["history", "checkout", "-o", "json"]).await;
    assert!(service.out.contains("step_seconds"), "{}", service.out);
    let both = operator.run(&["history", "checkout", "--group", "a"]).await;
    assert_ne!(both.status, 0);
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
