//! docs/tasks.md: its commands run one after the other, as a new user would, and print what it says.

use std::path::Path;
use std::time::Duration;

use tokio::process::Command;

use crate::support::app::{Agent, TestApp};
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

/// In the printed output, any number of lines.
const ANYTHING: &str = "…";

/// A command of the page, and what it says that it prints.
#[derive(Debug)]
struct Shown {
    command: String,
    output: Vec<String>,
}

/// The commands after `$`, in their order. Without it, a block is only to be read.
fn shown() -> Vec<Shown> {
    let mut all: Vec<Shown> = Vec::new();
    let mut inside = false;
    for line in include_str!("../../docs/tasks.md").lines() {
        let Some(line) = line.strip_prefix("    ") else {
            inside = inside && line.is_empty();
            continue;
        };
        if let Some(command) = line.strip_prefix("$ ") {
            inside = true;
            all.push(Shown {
                command: command.to_owned(),
                output: Vec::new(),
            });
        } else if let Some(last) = all.last_mut().filter(|_| inside) {
            match goes_on(&last.command) {
                true => last.command = format!("{}\n{line}", last.command),
                false => last.output.push(line.to_owned()),
            }
        }
    }
    all
}

/// Whether the next line is a part of the command, too.
fn goes_on(command: &str) -> bool {
    let in_document = command.contains("<<'END'") && !command.ends_with("\nEND");
    command.ends_with('\\') || in_document
}

/// Whether a line is as the page says, which may leave its end out.
fn is_line(shown: &str, printed: &str) -> bool {
    match shown.strip_suffix(ANYTHING) {
        Some(begin) => shape(printed).starts_with(shape(begin).trim_end()),
        None => shape(shown) == shape(printed),
    }
}

/// A line without its numbers, times, ids and widths, which differ from run to run.
fn shape(line: &str) -> String {
    let words = line.split_whitespace().map(|word| {
        let is_id = |part: &str| part.len() >= 8 && part.chars().all(|c| c.is_ascii_hexdigit());
        let word = word
            .split('-')
            .map(|part| if is_id(part) { "#" } else { part })
            .collect::<Vec<_>>()
            .join("-");
        let mut shape = String::new();
        for character in word.chars() {
            let number = character.is_ascii_digit()
                || (matches!(character, '.' | ',' | ':') && shape.ends_with('#'));
            match number {
                true if shape.ends_with('#') => {}
                true => shape.push('#'),
                false => shape.push(character),
            }
        }
        shape
    });
    words.collect::<Vec<_>>().join(" ")
}

/// Whether lines are as the page says, which may leave some out.
fn is_as_shown(shown: &[String], printed: &[String]) -> bool {
    match (shown.split_first(), printed.split_first()) {
        (None, None) => true,
        (Some((first, rest)), _) if first.trim() == ANYTHING => {
            (0..=printed.len()).any(|from| is_as_shown(rest, &printed[from..]))
        }
        (Some((first, rest)), Some((line, after))) => {
            is_line(first, line) && is_as_shown(rest, after)
        }
        _ => false,
    }
}

/// Runs a command as a person would, in this directory, and returns the lines that it prints.
async fn run(app: &TestApp, directory: &Path, command: &str) -> Vec<String> {
    let program = Path::new(env!("CARGO_BIN_EXE_weir"));
    let programs = program.parent().unwrap().to_str().unwrap();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let ran = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(directory)
        .env("PATH", path)
        .env("WEIR_URL", &app.admin)
        .env("HOME", directory)
        // As wide as the page.
        .env("COLUMNS", "100")
        .kill_on_drop(true)
        .output();
    let ran = tokio::time::timeout(DEADLINE, ran).await;
    let ran = ran.expect("it ends in time").unwrap();
    let printed = String::from_utf8_lossy(&ran.stdout);
    printed
        .lines()
        .map(|line| line.trim_end().to_owned())
        .collect()
}

#[tokio::test(flavor = "multi_thread")]
async fn every_task_prints_what_it_says() {
    let directory = tempfile::tempdir().unwrap();
    let app = TestApp::start(directory.path(), &[]).await;
    let mut agent = Agent::new("node-17");
    let rates: &[(&str, &[(&str, f64)])] = &[
        (
            "checkout",
            &[
                ("GET /health", 300.0),
                ("POST /cart", 120.0),
                ("POST /pay", 40.0),
            ],
        ),
        ("search", &[("GET /find", 200.0), ("GET /suggest", 400.0)]),
        ("mail", &[("send", 30.0)]),
    ];
    eventually(DEADLINE, "all services are planned", async || {
        if let Some(report) = agent.next(rates) {
            assert_eq!(app.report(&report).await.0, 200);
        }
        let plan = app.plan().await?;
        let counted = plan["offered_per_second"].as_f64() > Some(900.0);
        (plan["operations"] == 6 && counted).then_some(())
    })
    .await;
    let all = shown();
    assert!(all.len() >= 20, "{all:?}");
    for Shown { command, output } in &all {
        let printed = run(&app, directory.path(), command).await;
        // A report that comes in time keeps the figures of the next command those of a fleet that reports.
        if let Some(report) = agent.next(rates) {
            app.report(&report).await;
        }
        assert!(
            is_as_shown(output, &printed),
            "$ {command}\nthe page says:\n{}\nprinted is:\n{}",
            output.join("\n"),
            printed.join("\n")
        );
    }
    app.stop().await;
}
