//! Weir as its own process, for what cannot be tested inside one: kills, freezes, wrong clocks.

use std::ffi::{OsStr, OsString};
use std::io::{BufRead, BufReader};
use std::path::PathBuf;
use std::process::{Child, ChildStderr, Command, ExitStatus, Stdio};
use std::sync::{Arc, Mutex};
use std::time::Duration;

use tempfile::TempDir;
use tokio::sync::oneshot;

/// How long a process may take to listen, and to end after SIGTERM.
const PROCESS_DEADLINE: Duration = Duration::from_secs(60);

/// How often [`eventually`] checks.
const POLL: Duration = Duration::from_millis(10);

/// How much of a process's log is included in a failure's message.
const LINES_SHOWN: usize = 80;

/// Waits until `condition` returns a value, and fails the test once `deadline` has passed.
pub async fn eventually<T>(
    deadline: Duration,
    what: &str,
    mut condition: impl AsyncFnMut() -> Option<T>,
) -> T {
    let wait = async {
        loop {
            if let Some(value) = condition().await {
                return value;
            }
            tokio::time::sleep(POLL).await;
        }
    };
    match tokio::time::timeout(deadline, wait).await {
        Ok(value) => value,
        Err(_) => panic!("{what}: not within {deadline:?}"),
    }
}

/// The command line and environment of a Weir to start.
#[derive(Debug, Clone, Default)]
pub struct WeirCommand {
    program: Option<OsString>,
    flags: Vec<OsString>,
    environment: Vec<(OsString, OsString)>,
}

impl WeirCommand {
    /// Runs another program instead of the one built with the tests.
    pub fn program(mut self, path: impl AsRef<OsStr>) -> Self {
        self.program = Some(path.as_ref().into());
        self
    }

    /// Adds a flag with its value.
    pub fn flag(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.flags.push(name.into());
        self.flags.push(value.as_ref().into());
        self
    }

    /// Adds an environment variable.
    pub fn environment(mut self, name: &str, value: impl AsRef<OsStr>) -> Self {
        self.environment.push((name.into(), value.as_ref().into()));
        self
    }

    /// Shifts the process's wall clock by `seconds`; its monotonic clock stays right, as on a
    /// machine whose date was set wrong before the start.
    pub fn wall_clock_off_by(self, seconds: i64) -> Self {
        self.environment("LD_PRELOAD", libfaketime())
            .environment("FAKETIME", format!("{seconds:+}s"))
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Lets `clock` control the process's wall clock while it runs; its monotonic clock stays
    /// right.
    pub fn wall_clock_of(self, clock: &WallClock) -> Self {
        self.environment("LD_PRELOAD", libfaketime())
            .environment("FAKETIME_TIMESTAMP_FILE", clock.file())
            .environment("FAKETIME_NO_CACHE", "1")
            .environment("FAKETIME_DONT_FAKE_MONOTONIC", "1")
    }

    /// Starts the process and waits until it listens.
    pub async fn start(&self) -> WeirProcess {
        let built = OsStr::new(env!("CARGO_BIN_EXE_weir"));
        let mut command = Command::new(self.program.as_deref().unwrap_or(built));
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("WEIR_") {
                command.env_remove(name);
            }
        }
        command
            .arg("serve")
            .args(["--listen", "127.0.0.1:0", "--admin-listen", "127.0.0.1:0"])
            .args(&self.flags)
            // By the environment, because the release before does not know the flag.
            .env("WEIR_GRPC_LISTEN", "127.0.0.1:0")
            // The line that names the addresses must be written, and without colours.
            .env_remove("RUST_LOG")
            .env("NO_COLOR", "1")
            .envs(self.environment.iter().cloned())
            .stdin(Stdio::null())
            .stdout(Stdio::null())
            .stderr(Stdio::piped());
        let child = command
            .spawn()
            .expect("the weir binary was built with the tests");
        WeirProcess::listening(child).await
    }
}

/// A wall clock that can be set while a process runs.
#[derive(Debug)]
pub struct WallClock(TempDir);

impl WallClock {
    /// A clock that is right at first.
    pub fn right() -> Self {
        let clock = Self(tempfile::tempdir().expect("a directory"));
        clock.set_off_by(0);
        clock
    }

    /// Sets it to this many seconds from the right time.
    pub fn set_off_by(&self, seconds: i64) {
        // Replaced atomically: a reader must not see half a file.
        let written = self.0.path().join("written");
        std::fs::write(&written, format!("{seconds:+}s\n")).expect("there is room");
        std::fs::rename(written, self.file()).expect("they lie side by side");
    }

    fn file(&self) -> PathBuf {
        self.0.path().join("clock")
    }
}

/// A running Weir. It is killed when dropped.
#[derive(Debug)]
pub struct WeirProcess {
    child: Child,
    addresses: Addresses,
    log: Arc<Mutex<Vec<String>>>,
}

impl WeirProcess {
    /// Begins a command line.
    pub fn command() -> WeirCommand {
        WeirCommand::default()
    }

    async fn listening(mut child: Child) -> Self {
        let stderr = child.stderr.take().expect("stderr is piped");
        let log = Arc::new(Mutex::new(Vec::new()));
        let (found, addresses) = oneshot::channel();
        std::thread::spawn({
            let log = Arc::clone(&log);
            move || drain(stderr, &log, found)
        });
        let mut process = Self {
            child,
            addresses: Addresses::default(),
            log,
        };
        match tokio::time::timeout(PROCESS_DEADLINE, addresses).await {
            Ok(Ok(addresses)) => {
                process.addresses = addresses;
                process
            }
            Ok(Err(_)) => panic!("weir ended before it listened"),
            Err(_) => panic!("weir does not listen after {PROCESS_DEADLINE:?}"),
        }
    }

    /// The URL for SDKs and agents, without a slash at the end.
    pub fn sdk_url(&self) -> &str {
        &self.addresses.sdk
    }

    /// The URL for SDKs that speak gRPC, which was not turned off.
    pub fn grpc_url(&self) -> &str {
        let grpc = self.addresses.grpc.as_deref();
        grpc.expect("this release has gRPC, and it is on")
    }

    /// The URL for clients of X-Ray's protocol, which was turned on.
    pub fn xray_url(&self) -> &str {
        let xray = self.addresses.xray.as_deref();
        xray.expect("it is on: --xray-listen")
    }

    /// The URL for operators, without a slash at the end.
    pub fn admin_url(&self) -> &str {
        &self.addresses.admin
    }

    /// Its process id.
    pub fn id(&self) -> u32 {
        self.child.id()
    }

    /// The most memory it has used so far, in KiB.
    pub fn peak_memory_kib(&self) -> u64 {
        let status = std::fs::read_to_string(format!("/proc/{}/status", self.id()))
            .expect("the process runs");
        let peak = status.lines().find_map(|line| line.strip_prefix("VmHWM:"));
        let number = peak.and_then(|line| line.split_whitespace().next());
        number
            .and_then(|kib| kib.parse().ok())
            .expect("Linux tells the peak")
    }

    /// Kills it (SIGKILL), as a power cut would.
    pub fn kill9(&mut self) {
        self.child
            .kill()
            .expect("the process is a child of the test");
        self.child
            .wait()
            .expect("the process is a child of the test");
    }

    /// Freezes it (SIGSTOP).
    pub fn stop(&self) {
        self.signal("STOP");
    }

    /// Resumes it after [`Self::stop`] (SIGCONT).
    pub fn cont(&self) {
        self.signal("CONT");
    }

    /// Asks it to stop (SIGTERM) and waits until it has ended.
    pub async fn terminate(self) -> ExitStatus {
        self.signal("TERM");
        self.ended().await
    }

    /// Waits until it has ended.
    pub async fn ended(mut self) -> ExitStatus {
        eventually(PROCESS_DEADLINE, "weir leaves after SIGTERM", async || {
            self.child
                .try_wait()
                .expect("the process is a child of the test")
        })
        .await
    }

    /// The lines of its log so far that contain a text.
    pub fn logged(&self, text: &str) -> Vec<String> {
        let lines = self.lines();
        let found = lines.iter().filter(|line| line.contains(text));
        found.cloned().collect()
    }

    fn lines(&self) -> std::sync::MutexGuard<'_, Vec<String>> {
        self.log.lock().expect("no holder of the log panics")
    }

    /// Sends a signal with the shell's own `kill`, which exists even where there is no such
    /// program.
    pub fn signal(&self, name: &str) {
        let sent = Command::new("sh")
            .args(["-c", "kill -s \"$0\" \"$1\"", name, &self.id().to_string()])
            .status()
            .expect("there is a shell");
        assert!(sent.success(), "SIG{name} to a running weir");
    }
}

impl Drop for WeirProcess {
    fn drop(&mut self) {
        // An error means that it has already ended.
        let _ = self.child.kill();
        let _ = self.child.wait();
        if std::thread::panicking() {
            let lines = self.lines();
            let from = lines.len().saturating_sub(LINES_SHOWN);
            eprintln!("the last of weir's log:\n{}", lines[from..].join("\n"));
        }
    }
}

/// Reads a process's log, so that its pipe never fills, and finds the addresses in it.
fn drain(stderr: ChildStderr, log: &Mutex<Vec<String>>, found: oneshot::Sender<Addresses>) {
    let mut found = Some(found);
    for line in BufReader::new(stderr).lines() {
        let Ok(line) = line else { break };
        if let Some(addresses) = addresses(&line)
            && let Some(found) = found.take()
        {
            // The receiver is gone once the deadline has passed.
            let _ = found.send(addresses);
        }
        log.lock().expect("no holder of the log panics").push(line);
    }
}

/// The URLs of a process's listeners, without a slash at the end.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
struct Addresses {
    sdk: String,
    grpc: Option<String>,
    xray: Option<String>,
    admin: String,
}

/// The bound addresses in the log line about listening.
fn addresses(line: &str) -> Option<Addresses> {
    // In the text format or as JSON.
    let field = |name: &str| {
        let (_, rest) = [format!(" {name}="), format!("\"{name}\":\"")]
            .iter()
            .find_map(|start| line.split_once(start.as_str()))?;
        rest.split([' ', '"']).next().map(str::to_owned)
    };
    // The release before names the address alone.
    let url = |address: String| match address.split_once("://") {
        Some((_, address)) => format!("http://{address}"),
        None => format!("http://{address}"),
    };
    // Off, or not known to the release before.
    let optional = |name| field(name).filter(|address| address != "off").map(url);
    let read = || {
        Some(Addresses {
            sdk: url(field("sdk")?),
            grpc: optional("grpc"),
            xray: optional("xray"),
            admin: url(field("admin")?),
        })
    };
    line.contains("listening").then(read)?
}

/// The library that shifts a process's clock, for programs with threads.
fn libfaketime() -> PathBuf {
    const NAME: &str = "faketime/libfaketimeMT.so.1";
    let direct = ["/usr/lib", "/usr/lib64", "/usr/local/lib"].map(PathBuf::from);
    let by_architecture = std::fs::read_dir("/usr/lib")
        .into_iter()
        .flatten()
        .flatten()
        .map(|entry| entry.path());
    direct
        .into_iter()
        .chain(by_architecture)
        .map(|folder| folder.join(NAME))
        .find(|path| path.exists())
        .expect("libfaketime is installed: `make setup` does it")
}

#[test]
fn addresses_are_read_from_the_line_about_listening() {
    let line = "2026-11-20T09:00:00Z  INFO weir::app: listening sdk=127.0.0.1:41233 \
                grpc=127.0.0.1:41299 xray=off admin=127.0.0.1:34233";
    let expected = |grpc: Option<&str>| Addresses {
        sdk: "http://127.0.0.1:41233".into(),
        grpc: grpc.map(Into::into),
        xray: None,
        admin: "http://127.0.0.1:34233".into(),
    };
    let with_grpc = Some(expected(Some("http://127.0.0.1:41299")));
    assert_eq!(addresses(line), with_grpc);
    let json = r#"{"message":"listening","sdk":"127.0.0.1:41233","grpc":"127.0.0.1:41299","admin":"127.0.0.1:34233"}"#;
    assert_eq!(addresses(json), with_grpc);
    let with_xray = addresses(&line.replace("xray=off", "xray=127.0.0.1:2000"));
    let xray = with_xray.and_then(|addresses| addresses.xray);
    assert_eq!(xray.as_deref(), Some("http://127.0.0.1:2000"));
    let urls = "listening sdk=https://127.0.0.1:41233 admin=http://127.0.0.1:34233";
    assert_eq!(addresses(urls), Some(expected(None)));
    let before = "listening sdk=127.0.0.1:41233 admin=127.0.0.1:34233";
    assert_eq!(addresses(before), Some(expected(None)));
    assert_eq!(
        addresses("2026-11-20T09:00:00Z  INFO weir::app: leaving"),
        None
    );
}
