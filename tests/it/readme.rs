//! What the README shows works as it is printed, from a fresh start.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

/// The commands of a section, a script for each block.
fn blocks(section: &str) -> Vec<String> {
    let readme = include_str!("../../README.md");
    let begins = format!("\n## {section}\n");
    let (_, rest) = readme.split_once(&begins).expect("the section is there");
    let section = rest.split("\n## ").next().unwrap_or_default();
    let mut blocks: Vec<String> = Vec::new();
    let mut inside = false;
    for line in section.lines() {
        match line.strip_prefix("    ") {
            Some(command) if inside => {
                let last = blocks.last_mut().expect("one has begun");
                last.push('\n');
                last.push_str(command);
            }
            Some(command) => blocks.push(command.to_owned()),
            None => {}
        }
        inside = line.starts_with("    ");
    }
    blocks
}

/// Runs a script as a person would, in this directory, against this Weir.
async fn run(app: &TestApp, directory: &Path, script: &str) {
    let program = Path::new(env!("CARGO_BIN_EXE_weir"));
    let programs = program.parent().unwrap().to_str().unwrap();
    let script = script.replace("http://127.0.0.1:8778", &app.admin);
    let strict = "set -eu; curl() { command curl --silent --show-error --fail-with-body \"$@\"; }";
    let ran = Command::new("bash")
        .args(["-c", &format!("{strict}\n{script}")])
        .current_dir(directory)
        .env(
            "PATH",
            format!("{programs}:{}", std::env::var("PATH").unwrap()),
        )
        .env("WEIR_URL", &app.admin)
        .env("HOME", directory)
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(DEADLINE, ran).await;
    let ran = ran.expect("it ends in time").unwrap();
    let (said, wrong) = (
        String::from_utf8_lossy(&ran.stdout),
        String::from_utf8_lossy(&ran.stderr),
    );
    assert!(ran.status.success(), "{script}\n{said}\n{wrong}");
}

#[tokio::test(flavor = "multi_thread")]
async fn what_steers_works_as_it_is_printed() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("node-17");
    eventually(
        DEADLINE,
        "the service of the examples is planned",
        async || {
            if let Some(report) = agent.next(&[("checkout", &[("POST /cart", 120.0)])]) {
                assert_eq!(app.report(&report).await.0, 200);
            }
            let plan = app.plan().await?;
            (plan["offered_per_second"].as_f64() > Some(100.0)).then_some(())
        },
    )
    .await;
    let blocks = blocks("Steer it");
    assert!(blocks.len() >= 8, "{blocks:?}");
    let commands = blocks.iter().flat_map(|block| block.lines());
    assert!(commands.filter(|line| line.starts_with("weir ")).count() >= 10);
    for block in &blocks {
        run(&app, directory.path(), block).await;
    }
    app.stop().await;
}
