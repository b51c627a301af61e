//! What the commands print for people, on a terminal of 80 columns and into a pipe.

use std::process::Stdio;
use std::time::Duration;

use serde_json::Value;
use tokio::process::Command;
use weir_terminal::{plain, plain_width};

use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(60);

/// A command on a terminal of this many columns.
fn on_terminal(columns: u16, arguments: &str, environment: &[(&str, &str)]) -> Command {
    let mut command = Command::new("script");
    let weir = env!("CARGO_BIN_EXE_weir");
    let line = format!("stty cols {columns} rows 24; {weir} {arguments}");
    command.args(["--quiet", "--return", "--command", &line, "/dev/null"]);
    command
        .env_clear()
        .env("PATH", std::env::var("PATH").unwrap());
    command
        .env("TERM", "xterm-256color")
        .envs(environment.iter().copied());
    command.stdin(Stdio::null()).kill_on_drop(true);
    command
}

/// What a command writes to its terminal, until it ends.
async fn written(mut command: Command) -> String {
    let ended = tokio::time::timeout(DEADLINE, command.output()).await;
    let ended = ended.expect("it ends in time").unwrap();
    String::from_utf8_lossy(&ended.stdout).replace('\r', "")
}

const STEP: &str = "simulate --synthetic step --budget 50 --intervals 40 --lose 4:20:3";

#[tokio::test]
async fn a_simulation_fits_80_columns_and_says_what_came_of_it_first() {
    let said = written(on_terminal(80, STEP, &[])).await;
    assert!(said.contains("\x1b["), "colour on a terminal: {said}");
    let lines: Vec<String> = said.lines().map(plain).collect();
    for line in &lines {
        assert!(plain_width(line) <= 80, "{line}\n{said}");
    }
    let kept = lines.iter().position(|line| line.starts_with("Kept "));
    let table = lines.iter().position(|line| line.contains("recorded"));
    assert!(kept.is_some() && kept < table, "{said}");
    assert!(said.contains("--explain says how"), "{said}");
    assert!(
        said.contains("(no room for: "),
        "what is left out is named: {said}"
    );
    assert!(
        !said.contains("σ"),
        "formulas are for those who ask: {said}"
    );
}

#[tokio::test]
async fn no_color_is_obeyed_and_formulas_are_shown_on_request() {
    let line = format!("{STEP} --explain");
    let said = written(on_terminal(80, &line, &[("NO_COLOR", "1")])).await;
    assert!(!said.contains("\x1b["), "{said}");
    let in_one_line = said.replace('\n', " ");
    assert!(in_one_line.contains("1.25 × reference + 2 %"), "{said}");
    assert!(said.contains(": judged on 38 intervals"), "{said}");
}

async fn piped(arguments: &str) -> (String, String) {
    let mut command = Command::new(env!("CARGO_BIN_EXE_weir"));
    command.args(arguments.split(' ')).env_clear();
    let ended = tokio::time::timeout(DEADLINE, command.output()).await;
    let ended = ended.expect("it ends in time").unwrap();
    let text = |bytes: Vec<u8>| String::from_utf8(bytes).unwrap();
    (text(ended.stdout), text(ended.stderr))
}

#[tokio::test]
async fn programs_read_every_figure_as_json() {
    let (said, _) = piped(&format!("{STEP} --output json")).await;
    let read: Value = serde_json::from_str(&said).expect("one document");
    let run = &read["runs"][0]["run"];
    assert_eq!(run["budget_traces_per_second"], 50.0);
    assert_eq!(run["intervals"].as_array().unwrap().len(), 40);
    assert_eq!(run["judgement"]["intervals"], 38);
    assert!(run["passes"].is_boolean() && run["judgement"]["tracking"]["holds"].is_boolean());
    assert!(run["sentence"].as_str().unwrap().starts_with("Kept "));
    assert_eq!(read["services"].as_array().unwrap().len(), 11);
    let several = format!("{STEP} --output json").replace("50", "50,100");
    let read: Value = serde_json::from_str(&piped(&several).await.0).unwrap();
    assert_eq!(read["runs"].as_array().unwrap().len(), 2);
    assert!(read["runs"][1]["figures"]["traces_per_month"].as_f64() > Some(1e8));
}

#[tokio::test]
async fn nothing_in_a_pipe_is_coloured_or_cut() {
    let (said, _) = piped(STEP).await;
    assert!(!said.contains("\x1b["), "{said}");
    assert!(
        said.contains("budget") && !said.contains("no room for"),
        "{said}"
    );
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn a_demonstration_can_be_looked_at_while_it_runs_and_afterwards() {
    let directory = tempfile::tempdir().unwrap();
    let errors = directory.path().join("errors");
    let demo = Command::new(env!("CARGO_BIN_EXE_weir"))
        .args("demo --seconds 7 --interval 1s --keep --output json".split(' '))
        .args(["--plot", "demo.svg"])
        .current_dir(directory.path())
        .stdout(Stdio::piped())
        .stderr(std::fs::File::create(&errors).unwrap())
        .kill_on_drop(true)
        .spawn()
        .unwrap();
    let said = || std::fs::read_to_string(&errors).unwrap();
    let address = |what: &str| {
        let said = said();
        let line = said.lines().find(|line| line.trim().starts_with(what))?;
        let address = line
            .split_whitespace()
            .find(|word| word.starts_with("http"))?;
        Some(address.to_owned())
    };
    let docs = eventually(DEADLINE, "the address", async || address("its API")).await;
    let answer = reqwest::get(&docs).await.unwrap();
    assert_eq!(answer.status(), 200);
    eventually(DEADLINE, "the verdict", async || {
        said().contains("go on until Ctrl-C").then_some(())
    })
    .await;
    // It serves, and the fleet goes on: plans follow each other.
    let plan = async || {
        let url = docs.replace("/docs", "/v1/plans/current");
        let plan: Value = reqwest::get(url).await.ok()?.json().await.ok()?;
        plan["plan"].as_u64()
    };
    let before = plan().await.unwrap();
    eventually(DEADLINE, "two more plans", async || {
        plan().await.filter(|now| *now >= before + 2)
    })
    .await;
    let budget: Value = reqwest::get(docs.replace("/docs", "/v1/budget"))
        .await
        .unwrap()
        .json()
        .await
        .unwrap();
    assert_eq!(budget["traces_per_second"], 50.0, "as in the run");
    let id = demo.id().expect("it runs").to_string();
    assert!(
        std::process::Command::new("kill")
            .args(["-INT", &id])
            .status()
            .unwrap()
            .success()
    );
    let ended = tokio::time::timeout(DEADLINE, demo.wait_with_output()).await;
    let ended = ended.expect("it ends in time").unwrap();
    let read: Value = serde_json::from_slice(&ended.stdout).expect("one document");
    assert_eq!(read["run"]["intervals"].as_array().unwrap().len(), 7);
    assert!(read["wire"]["polls_answered"].as_u64() > Some(0));
    let picture = std::fs::read_to_string(directory.path().join("demo.svg")).unwrap();
    for part in [
        "role=\"img\"",
        "<title",
        "<desc",
        "one operation × 20",
        "prefers-color-scheme",
    ] {
        assert!(picture.contains(part), "{part}");
    }
}
