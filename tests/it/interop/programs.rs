//! Programs in other languages: where they are built, and how a test speaks to them.

use std::path::{Path, PathBuf};
use std::process::Stdio;
use std::sync::{Arc, Mutex};
use std::time::Duration;

use serde_json::Value;
use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader, Lines};
use tokio::process::{Child, ChildStdin, ChildStdout, Command};

use crate::support::process::eventually;

/// How long a program may take to start, to answer, and to end. A JVM with the agent takes a
/// quarter of a minute on a busy machine.
const DEADLINE: Duration = Duration::from_secs(90);

/// A file or folder of the checkout.
pub fn source(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

/// What `make interop` has built.
pub fn built(path: &str) -> PathBuf {
    let path = source("target/interop").join(path);
    assert!(
        path.exists(),
        "{} is missing: run `make interop`",
        path.display()
    );
    path
}

/// Begins a command line. The program sees none of the variables that configure SDKs, except
/// those that the test sets.
pub fn command(program: impl AsRef<Path>) -> Command {
    let mut command = Command::new(program.as_ref());
    for (name, _) in std::env::vars_os() {
        if ["OTEL_", "JAEGER_"]
            .iter()
            .any(|prefix| name.to_string_lossy().starts_with(prefix))
        {
            command.env_remove(name);
        }
    }
    command
}

/// Where the classes of the Java programs are, with their libraries.
pub fn class_path() -> String {
    let folder = built("java");
    format!("{0}/interop-1.jar:{0}/libraries/*", folder.display())
}

/// A running program. It is killed when dropped.
pub struct Program {
    child: Child,
    input: ChildStdin,
    output: Lines<BufReader<ChildStdout>>,
    errors: Arc<Mutex<String>>,
}

impl Program {
    /// Starts it.
    pub fn start(mut command: Command) -> Self {
        let mut child = command
            .stdin(Stdio::piped())
            .stdout(Stdio::piped())
            .stderr(Stdio::piped())
            .kill_on_drop(true)
            .spawn()
            .unwrap_or_else(|error| {
                panic!("{command:?}: {error}; `make interop` says what is needed")
            });
        let errors = Arc::<Mutex<String>>::default();
        let mut lines = BufReader::new(child.stderr.take().expect("piped")).lines();
        let written = Arc::clone(&errors);
        tokio::spawn(async move {
            while let Ok(Some(line)) = lines.next_line().await {
                let mut written = written.lock().expect("no holder panics");
                written.push_str(&line);
                written.push('\n');
            }
        });
        Self {
            input: child.stdin.take().expect("piped"),
            output: BufReader::new(child.stdout.take().expect("piped")).lines(),
            child,
            errors,
        }
    }

    /// Reads the next line of JSON that it prints.
    pub async fn line(&mut self) -> Value {
        loop {
            let line = tokio::time::timeout(DEADLINE, self.output.next_line()).await;
            let Ok(Ok(Some(line))) = line else {
                panic!("no answer of the program; it wrote:\n{}", self.errors());
            };
            // An agent inside a process may greet on the same channel.
            if line.starts_with('{') {
                return serde_json::from_str(&line).expect("the program prints JSON");
            }
        }
    }

    /// Sends an empty line, and reads the answer to it.
    pub async fn ask(&mut self) -> Value {
        let sent = self.input.write_all(b"\n").await;
        assert!(
            sent.is_ok(),
            "the program ended; it wrote:\n{}",
            self.errors()
        );
        self.line().await
    }

    /// What it wrote to its standard error.
    pub fn errors(&self) -> String {
        self.errors.lock().expect("no holder panics").clone()
    }

    /// Asks it to end (SIGTERM) and waits until it has.
    pub async fn terminate(mut self) {
        let id = self.child.id().expect("it was not waited for");
        let signalled = Command::new("sh")
            .args(["-c", "kill -s TERM \"$0\"", &id.to_string()])
            .status()
            .await;
        assert!(signalled.expect("there is a shell").success());
        eventually(DEADLINE, "the program ends after SIGTERM", async || {
            self.child.try_wait().expect("it is a child of the test")
        })
        .await;
    }
}

impl Drop for Program {
    fn drop(&mut self) {
        if std::thread::panicking() {
            eprintln!("a program wrote:\n{}", self.errors());
        }
    }
}
