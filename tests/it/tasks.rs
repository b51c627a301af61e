//! docs/tasks.md: its commands run one after the other, as a new user would, and print what it says.

use std::net::TcpListener;
use std::path::{Path, PathBuf};
use std::time::Duration;

use tokio::process::Command;

use crate::support::app::{Agent, TestApp};
use crate::support::postgres::TestDatabase;
use crate::support::process::eventually;

const DEADLINE: Duration = Duration::from_secs(30);

/// In the printed output, any number of lines.
const ANYTHING: &str = "…";

/// The ports of the other Weirs that the page starts.
const PORTS: [&str; 4] = [":5779", ":8779", ":5780", ":8780"];

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
    let page = concat!(env!("CARGO_MANIFEST_DIR"), "/docs/tasks.md");
    for line in std::fs::read_to_string(page).unwrap().lines() {
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

/// What the commands find around them.
struct Around<'a> {
    app: &'a TestApp,
    directory: &'a Path,
    /// The databases `$DATABASE_URL` and `$RESTORED_URL`.
    databases: [TestDatabase; 2],
    /// Free ports, in the place of [`PORTS`].
    ports: [String; 4],
    /// Ends what the commands started and did not end.
    _started: Started,
}

impl<'a> Around<'a> {
    async fn new(app: &'a TestApp, directory: &'a Path) -> Self {
        // All are bound before one is let go, so no two are the same.
        let bound = PORTS.map(|_| TcpListener::bind("127.0.0.1:0").unwrap());
        Self {
            app,
            directory,
            databases: [TestDatabase::create().await, TestDatabase::create().await],
            ports: bound.map(|bound| format!(":{}", bound.local_addr().unwrap().port())),
            _started: Started(directory.to_owned()),
        }
    }
}

/// The processes whose numbers the commands write into files.
struct Started(PathBuf);

impl Drop for Started {
    fn drop(&mut self) {
        let files = std::fs::read_dir(&self.0).into_iter().flatten().flatten();
        let files = files.map(|file| file.path());
        for file in files.filter(|path| path.extension().is_some_and(|it| it == "pid")) {
            let process = std::fs::read_to_string(file).unwrap_or_default();
            // Those that the page ended are gone already.
            let _ = std::process::Command::new("kill")
                .arg(process.trim())
                .stderr(std::process::Stdio::null())
                .status();
        }
    }
}

/// Runs a command as a person would, in this directory, and returns the lines that it prints.
async fn run(around: &Around<'_>, command: &str) -> Vec<String> {
    let Around { app, directory, .. } = around;
    let ports = PORTS.iter().zip(&around.ports);
    let command = ports.fold(command.to_owned(), |command, (shown, free)| {
        command.replace(shown, free)
    });
    let program = Path::new(env!("CARGO_BIN_EXE_weir"));
    let programs = program.parent().unwrap().to_str().unwrap();
    let path = format!("{programs}:{}", std::env::var("PATH").unwrap());
    let ran = Command::new("bash")
        .args(["-c", &format!("exec 2>&1\n{command}")])
        .current_dir(directory)
        .env("PATH", path)
        .env("WEIR_URL", &app.admin)
        .env("HOME", directory)
        .env("DATABASE_URL", around.databases[0].url())
        .env("RESTORED_URL", around.databases[1].url())
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
        // In the page, an empty line ends nothing.
        .filter(|line| !line.is_empty())
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
    assert!(all.len() >= 60, "{all:?}");
    let around = Around::new(&app, directory.path()).await;
    let mut differing = Vec::new();
    for Shown { command, output } in &all {
        let printed = run(&around, command).await;
        // A report that comes in time keeps the figures of the next command those of a fleet that reports.
        if let Some(report) = agent.next(rates) {
            app.report(&report).await;
        }
        if !is_as_shown(output, &printed) {
            let (shown, printed) = (output.join("\n"), printed.join("\n"));
            differing.push(format!(
                "$ {command}\nthe page says:\n{shown}\nprinted is:\n{printed}\n"
            ));
        }
    }
    assert!(differing.is_empty(), "{}", differing.join("\n"));
    app.stop().await;
}
